//! Something that a measurement could use and this process does not have, and the command that mends it.

use std::io;

use nix::errno::Errno;
use nix::unistd::geteuid;
use serde::Serialize;

use super::namespaces::in_initial_user;
use super::privilege::{Privilege, holds};

/// Starts a container whose system calls pass no filter.
pub(crate) const UNFILTERED: &str = "docker run --security-opt seccomp=unconfined ...";

/// Lets everybody have a userfaultfd that takes faults inside the kernel.
pub(crate) const UFFD_FOR_ALL: &str = "sudo sysctl vm.unprivileged_userfaultfd=1";

/// What was needed, what was found, and the command that mends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("needs {needed}; found: {found}{}", advice(.mend))]
pub struct Missing {
    /// What was needed, such as `CAP_SYS_ADMIN`.
    pub needed: String,
    /// What was found instead.
    pub found: String,
    /// One shell command, as somebody without privilege gives it; empty when nothing on this machine mends it.
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

    /// A permission that this capability gives, and how this process comes by it.
    pub(crate) fn privilege(capability: Privilege, found: impl Into<String>) -> Self {
        let name = capability.name();
        if !in_initial_user() {
            return Self::new(
                format!("CAP_{name} in the initial user namespace"),
                format!("{}, in a user namespace of its own", found.into()),
                "sudo cowpath run",
            );
        }
        if holds(capability) {
            let needed = format!("CAP_{name}, which is there, and no filter");
            return Self::new(needed, found, UNFILTERED);
        }
        let mend = if geteuid().is_root() {
            // Root without the capability: only whoever started the container can give it.
            format!("docker run --cap-add={name} ...")
        } else {
            "sudo cowpath run".to_owned()
        };
        Self::new(format!("CAP_{name}"), found, mend)
    }
}

fn advice(mend: &str) -> String {
    if mend.is_empty() {
        String::new()
    } else {
        format!("; mend with: {}", addressed(mend))
    }
}

/// What lets whoever runs this process change a setting of the machine.
pub(crate) fn to_change_settings() -> String {
    let mend = match geteuid().is_root() && in_initial_user() {
        // Root is refused where a container has the files read-only.
        true => "docker run --privileged ...",
        false => "sudo cowpath run ...",
    };
    addressed(mend)
}

/// Who is told what mends something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// Somebody who needs sudo.
    User,
    /// Root of the machine, who does not.
    Root,
    /// Anybody in a user namespace, where not even sudo gives what the machine asks for.
    Namespaced,
}

/// The command `mend` as it is told to whoever runs this process.
pub(crate) fn addressed(mend: &str) -> String {
    let asker = match (in_initial_user(), geteuid().is_root()) {
        (false, _) => Asker::Namespaced,
        (true, true) => Asker::Root,
        (true, false) => Asker::User,
    };
    addressed_to(asker, mend)
}

fn addressed_to(asker: Asker, mend: &str) -> String {
    match asker {
        Asker::Root => mend.replace("sudo ", ""),
        Asker::Namespaced if mend.contains("sudo ") => {
            format!("outside of this user namespace or container: {mend}")
        }
        Asker::User | Asker::Namespaced => mend.to_owned(),
    }
}

/// The error's name and text, such as `EPERM: Operation not permitted`.
pub(crate) fn errno(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => {
            let code = Errno::from_raw(code);
            format!("{code:?}: {}", code.desc())
        }
        None => error.to_string(),
    }
}

/// Whether the error says that permission is lacking.
pub(crate) fn is_denied(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPERM | libc::EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_says_what_was_needed_what_was_found_and_what_mends_it() {
        let missing = Missing::new("swap", "none", "swapon /swapfile");
        let message = missing.to_string();
        assert_eq!(
            message,
            "needs swap; found: none; mend with: swapon /swapfile"
        );
    }

    #[test]
    fn a_command_is_told_to_each_as_it_works_for_them() {
        let mend = "echo 1 | sudo tee /sys/file";
        assert_eq!(addressed_to(Asker::User, mend), mend);
        assert_eq!(addressed_to(Asker::Root, mend), "echo 1 | tee /sys/file");
        let told = addressed_to(Asker::Namespaced, mend);
        assert!(told.starts_with("outside of this user namespace"), "{told}");
        assert_eq!(addressed_to(Asker::Namespaced, UNFILTERED), UNFILTERED);
    }

    #[test]
    fn the_message_names_no_command_when_nothing_mends_it() {
        let missing = Missing::new("a PMU", "none", "");
        assert_eq!(missing.to_string(), "needs a PMU; found: none");
    }

    #[test]
    fn who_has_the_capability_is_not_told_to_get_it() {
        let missing = Missing::privilege(Privilege::SysAdmin, "EPERM");
        if holds(Privilege::SysAdmin) {
            assert_eq!(missing.mend, UNFILTERED);
        } else {
            assert_eq!(missing.needed, "CAP_SYS_ADMIN");
            assert_ne!(missing.mend, UNFILTERED);
        }
    }

    #[test]
    fn errors_are_written_by_name() {
        let error = io::Error::from_raw_os_error(libc::EPERM);
        assert_eq!(errno(&error), "EPERM: Operation not permitted");
    }
}
