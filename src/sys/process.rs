//! Where /proc has a process of this PID namespace.

use std::fs;
use std::path::{Path, PathBuf};

use super::missing::Missing;

/// The folder in /proc of the process that has the number `pid` in this process's PID namespace.
///
/// # Errors
/// That /proc is of another PID namespace: the number is another process's there.
pub(crate) fn folder_of(pid: i32) -> Result<PathBuf, Missing> {
    let own = fs::read_link("/proc/self").unwrap_or_default();
    match own == Path::new(&std::process::id().to_string()) {
        true => Ok(PathBuf::from(format!("/proc/{pid}"))),
        false => Err(Missing::new(
            "a /proc of this PID namespace",
            format!(
                "this process is {} and {} in /proc",
                std::process::id(),
                own.display()
            ),
            "sudo mount -t proc proc /proc",
        )),
    }
}
