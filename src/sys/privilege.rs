//! The privileges that measuring asks for: capabilities(7) of the calling thread.

use nix::errno::Errno;

use super::namespaces::in_initial_user;

/// One of them; its value is its number in linux/capability.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Privilege {
    /// `CAP_NET_ADMIN`.
    NetAdmin = 12,
    /// `CAP_SYS_PTRACE`.
    SysPtrace = 19,
    /// `CAP_SYS_ADMIN`.
    SysAdmin = 21,
    /// `CAP_PERFMON` (Linux 5.8).
    Perfmon = 38,
}

impl Privilege {
    /// The name without `CAP_`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NetAdmin => "NET_ADMIN",
            Self::SysPtrace => "SYS_PTRACE",
            Self::SysAdmin => "SYS_ADMIN",
            Self::Perfmon => "PERFMON",
        }
    }
}

/// Whether the calling thread has this privilege in effect, over the whole machine.
pub(crate) fn holds(privilege: Privilege) -> bool {
    in_initial_user() && effective().is_ok_and(|effective| effective & (1 << privilege as u32) != 0)
}

/// `_LINUX_CAPABILITY_VERSION_3`, whose sets have 64 bits in two halves.
const VERSION: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// The calling thread's effective set, capget(2).
fn effective() -> nix::Result<u64> {
    let mut header = Header {
        version: VERSION,
        pid: 0,
    };
    let mut halves = [Half::default(); 2];
    // SAFETY: the kernel reads a header and writes two halves, as version 3 says; both are as linux/capability.h has them.
    let answer = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) };
    Errno::result(answer)?;
    Ok(u64::from(halves[0].effective) | u64::from(halves[1].effective) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_effective_set_is_the_one_that_proc_shows() {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
        let shown = u64::from_str_radix(line.unwrap().trim(), 16).unwrap();
        assert_eq!(effective(), Ok(shown));
    }
}
