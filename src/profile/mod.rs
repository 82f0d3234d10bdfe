//! Where a fault goes inside the kernel.
//!
//! [`stepper`] steps through single faults in a guest and [`path`] makes sense of what it saw. A
//! [`document`] holds it, which [`output`] writes in every form.

mod changes;
pub mod compare;
pub mod decode;
pub mod document;
pub mod diff;
mod frames;
pub mod stepper;
pub mod args;
mod page;
pub mod output;
pub mod path;
mod phase;
pub mod sampled;
pub mod stacks;
pub mod stepped;
pub mod text;
mod words;
pub mod trace;
pub mod walk;

use crate::exit;
use crate::guest::error::VmError;
use crate::guest::gdb::GdbError;
use crate::guest::symbols::SymbolsError;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No guest could be had at all.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// The guest is lost.
    #[error("{label}: the guest was lost: {reason}")]
    Lost {
        /// The kernel.
        label: String,
        /// Why.
        reason: String,
    },
    /// The debugger lost the guest.
    #[error(transparent)]
    Gdb(#[from] GdbError),
    /// The kernel has no usable symbols.
    #[error(transparent)]
    Symbols(#[from] SymbolsError),
    /// The subject cannot store, and says why.
    #[error("{0}")]
    Refused(String),
    /// The store's fault led elsewhere.
    #[error(
        "the store's fault was to end behind the store and led to {to}, {steps} instructions on (a signal, or another process); the last instruction was at {last:#x}"
    )]
    Astray {
        /// Instructions followed.
        steps: usize,
        /// Where it led.
        to: String,
        /// The last instruction's address.
        last: u64,
    },
    /// The fault took more instructions than any should.
    #[error("the store's fault was to end within {steps} instructions and had not")]
    Endless {
        /// Instructions followed.
        steps: usize,
    },
    /// The guest did something else than was asked for.
    #[error("the guest was to {expected} and {found}")]
    Unexpected {
        /// What was expected.
        expected: &'static str,
        /// What happened.
        found: String,
    },
}

impl ProfileError {
    /// The exit code that goes with the error: 2 for what cannot be used, 3 where it is not possible,
    /// 4 where a guest was lost.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Vm(error) => error.exit_code(),
            Self::Gdb(GdbError::NoStub { .. } | GdbError::Unknown { .. })
            | Self::Symbols(_)
            | Self::Refused(_)
            | Self::Astray { .. }
            | Self::Endless { .. } => exit::IMPOSSIBLE,
            Self::Lost { .. } | Self::Gdb(_) | Self::Unexpected { .. } => exit::LOST,
        }
    }
}
