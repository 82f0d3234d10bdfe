//! Whether this process sees the whole machine: in a user namespace of its own root may do less, and in a PID
//! namespace of its own /proc shows less.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::files::read;

/// Inode number of the initial user namespace (linux/nsfs.h, `USER_NS_INIT_INO`).
const INITIAL_USER: u64 = 0xEFFF_FFFD;
/// The first kernel thread and its process id in the initial PID namespace.
const KTHREADD: (&str, &str) = ("/proc/2/comm", "kthreadd");

/// Whether this process is in the initial user namespace, where a capability counts for the whole machine. Where the
/// kernel does not tell, there is only one.
pub(crate) fn in_initial_user() -> bool {
    fs::metadata("/proc/self/ns/user").map_or(true, |namespace| namespace.ino() == INITIAL_USER)
}

/// Whether /proc shows the kernel's threads. It does not in a PID namespace of one's own, nor where it is mounted with
/// hidepid and this process is not root.
pub(crate) fn shows_kernel_threads() -> bool {
    let (path, name) = KTHREADD;
    read(path).as_deref() == Some(name)
}
