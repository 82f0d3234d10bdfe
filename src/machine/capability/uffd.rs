//! Which faults a userfaultfd of this process can take.

use std::collections::BTreeMap;
use std::io;

use crate::machine::capability::name::{Capability, Probe};
use crate::machine::{kernel, settings};
use crate::sys::missing::{Missing, UFFD_FOR_ALL, UNFILTERED, errno, is_denied};
use crate::sys::privilege::{Privilege, holds};
use crate::sys::uffd::{FEATURE_WP, FEATURE_WP_ASYNC, Uffd};

pub(super) fn probe(probes: &mut BTreeMap<Capability, Probe>) {
    let uffd = Uffd::open(0);
    let (plain, kernel, wp, wp_async) = match &uffd {
        Ok(uffd) => (
            Ok(format!("features {:#x}", uffd.features())),
            if uffd.user_mode_only() {
                Err(unprivileged())
            } else {
                Ok(String::from("opened"))
            },
            feature(FEATURE_WP, "CONFIG_HAVE_ARCH_USERFAULTFD_WP and Linux 5.7"),
            feature(FEATURE_WP_ASYNC, "Linux 6.7"),
        ),
        Err(error) => {
            let missing = Err(cannot_open(error));
            (missing.clone(), missing.clone(), missing.clone(), missing)
        }
    };
    probes.insert(Capability::Uffd, plain);
    probes.insert(Capability::UffdKernelFaults, kernel);
    probes.insert(Capability::UffdWp, wp);
    probes.insert(Capability::UffdWpAsync, wp_async);
}

/// Opens a descriptor with the feature switched on.
fn feature(bit: u64, needed: &str) -> Probe {
    match Uffd::open(bit) {
        Ok(uffd) if uffd.features() & bit != 0 => Ok("switched on".to_owned()),
        Ok(uffd) => {
            let found = format!("feature bit {bit:#x} not in {:#x}", uffd.features());
            Err(Missing::new(needed, found, ""))
        }
        Err(error) => {
            let found = format!("feature bit {bit:#x} refused with {}", errno(&error));
            Err(Missing::new(needed, found, ""))
        }
    }
}

fn unprivileged() -> Missing {
    let setting = settings::sysctl("vm.unprivileged_userfaultfd");
    let setting = setting.as_deref().unwrap_or("absent");
    Missing::new(
        "CAP_SYS_PTRACE, or vm.unprivileged_userfaultfd = 1",
        format!("vm.unprivileged_userfaultfd is {setting}"),
        UFFD_FOR_ALL,
    )
}

fn cannot_open(error: &io::Error) -> Missing {
    if is_denied(error) {
        // Since 5.11 everybody may have a descriptor for faults from user mode.
        let by_setting = !holds(Privilege::SysPtrace)
            && kernel::version().is_some_and(|version| version < (5, 11));
        if by_setting {
            return unprivileged();
        }
        let found = format!("{}: a seccomp filter or security module", errno(error));
        return Missing::new("userfaultfd(2)", found, UNFILTERED);
    }
    let needed = match error.raw_os_error() {
        Some(libc::ENOSYS) => "CONFIG_USERFAULTFD",
        _ => "userfaultfd(2)",
    };
    Missing::new(needed, errno(error), "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_without_userfaultfd_has_no_mending_command() {
        let missing = cannot_open(&io::Error::from_raw_os_error(libc::ENOSYS));
        assert_eq!(
            (missing.needed.as_str(), missing.mend.as_str()),
            ("CONFIG_USERFAULTFD", "")
        );
    }

    #[test]
    fn wp_async_is_never_there_without_wp() {
        let mut probes = BTreeMap::new();
        probe(&mut probes);
        assert!(probes[&Capability::UffdWp].is_ok() || probes[&Capability::UffdWpAsync].is_err());
        assert!(probes[&Capability::Uffd].is_ok() || probes[&Capability::UffdWp].is_err());
    }
}
