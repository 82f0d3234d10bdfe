//! Mappings and the page states that a scenario needs.

pub mod advice;
pub mod area;
pub mod backing;
pub mod gup;
pub mod folio;
pub mod in_flight;
pub mod neighbours;
pub mod pattern;
pub mod ksm;
pub mod pagemap;
pub mod pin;
pub mod pipe;
pub mod pool;
pub mod remap;
pub mod protect;
pub mod threads;
pub mod sigsegv;
pub mod sharer;
pub mod trampoline;
pub mod smaps;
pub mod spawn;

use std::io;

use crate::sys::missing::Missing;

/// A page state that could not be brought about or proven.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The kernel refused an operation.
    #[error("{what} failed: {source}{}", if mend.is_empty() { String::new() } else { format!("; {mend}") })]
    Refused {
        /// The operation.
        what: String,
        /// What the kernel answered.
        source: io::Error,
        /// What would make it work; may be empty.
        mend: String,
    },
    /// The sharing process has died.
    #[error("the sharing process {how} while it was {doing}")]
    SharerDied {
        /// How it ended.
        how: String,
        /// What it had been told to do.
        doing: &'static str,
    },
    /// Nothing on this kernel brings the state about.
    #[error("{0}")]
    Unsupported(String),
    /// The kernel has moved pages, or taken them out of memory, while a trial lasted: such a page looks copied.
    #[error("{0}")]
    Moved(String),
    /// The operations succeeded and the pages are in another state all the same.
    #[error("page {page} is not in the state asked for: {expected} expected, {found} found")]
    NotReached {
        /// Index of the first such page in the area.
        page: usize,
        /// The state asked for.
        expected: String,
        /// The state found.
        found: String,
    },
}

impl MemoryError {
    /// Whether the same may come about at another time: a page that was off its state for a moment, a process that was
    /// killed, memory that was short. All else is lacking here.
    pub fn is_passing(&self) -> bool {
        match self {
            MemoryError::NotReached { .. }
            | MemoryError::Moved(_)
            | MemoryError::SharerDied { .. } => true,
            // Where a remedy is known, it is lacking.
            MemoryError::Refused { source, mend, .. } => {
                let short = [libc::ENOMEM, libc::EAGAIN, libc::EBUSY, libc::EINTR];
                let code = source.raw_os_error();
                mend.is_empty() && code.is_some_and(|code| short.contains(&code))
            }
            MemoryError::Unsupported(_) => false,
        }
    }

    /// That something is missing without which nothing can be proven.
    pub fn missing(missing: Missing) -> Self {
        MemoryError::Unsupported(missing.to_string())
    }

    /// The error of operation `what`, to which no remedy is known.
    pub fn refused(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        MemoryError::Refused {
            what: what.into(),
            source: source.into(),
            mend: String::new(),
        }
    }
}
