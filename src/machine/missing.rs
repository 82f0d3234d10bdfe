//! Something that a measurement could use and this process does not have, and the command that mends it.

use std::io;

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, capabilities};
use serde::Serialize;

/// What was needed, what was found, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("needs {needed}; found: {found}{}", advice(.mend))]
pub struct Missing {
    /// What was needed, such as `CAP_SYS_ADMIN`.
    pub needed: String,
    /// What was found instead.
    pub found: String,
    /// One shell command; empty when nothing on this machine mends it.
    pub mend: String,
}

impl Missing {
    /// All three parts; an empty `mend` means that nothing on this machine mends it.
    pub fn new(
        needed: impl Into<String>,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) -> Self {
        Self {
            needed: needed.into(),
            found: found.into(),
            mend: mend.into(),
        }
    }

    /// A permission that more privilege gives: `sudo`, or for root in a container the capability.
    pub(crate) fn privilege(capability: &str, found: impl Into<String>) -> Self {
        Self::new(capability, found, with_privilege(capability))
    }
}

fn advice(mend: &str) -> String {
    if mend.is_empty() {
        String::new()
    } else {
        format!("; mend with: {mend}")
    }
}

/// The command that starts cowpath with `capability`, such as `CAP_SYS_ADMIN`.
pub(crate) fn with_privilege(capability: &str) -> String {
    if rustix::process::geteuid().is_root() {
        // Root without the capability: only whoever started the container can give it.
        format!(
            "docker run --cap-add={} ...",
            capability.trim_start_matches("CAP_")
        )
    } else {
        "sudo cowpath run".to_owned()
    }
}

/// Whether the calling thread has one of these capabilities in effect.
pub(crate) fn holds(any_of: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.intersects(any_of))
}

/// The error's name and text, such as `EPERM: Operation not permitted`.
pub(crate) fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let code = nix::errno::Errno::from_raw(code);
            format!("{code:?}: {}", code.desc())
        }
        None => error.to_string(),
    }
}

/// Whether the error says that permission is lacking.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::PERM | Errno::ACCESS)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_was_needed_what_was_found_and_what_mends_it() {
        let missing = Missing::new("swap", "none", "sudo swapon /swapfile");
        let message = missing.to_string();
        assert_eq!(
            message,
            "needs swap; found: none; mend with: sudo swapon /swapfile"
        );
    }

    #[test]
    fn the_message_names_no_command_when_nothing_mends_it() {
        let missing = Missing::new("a PMU", "none", "");
        assert_eq!(missing.to_string(), "needs a PMU; found: none");
    }

    #[test]
    fn errors_are_written_by_name() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(errno(&error), "EPERM: Operation not permitted");
    }
}
