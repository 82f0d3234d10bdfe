//! Starts QEMU so that it cannot outlive cowpath.
//!
//! The parent-death signal has to be set between fork and exec. This program does so by being that
//! step itself: it runs again under another name, asks for the signal, and becomes QEMU.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::getppid;

const NAME: &str = "cowpath-guard";
/// The longest file that QEMU may write, in bytes: what a guest sends ends in one that lies in memory, of which what was
/// read takes no memory any more. This is some thousand checkpoints of the usual size.
pub const MOST_WRITTEN: u64 = 8 << 30;

/// A command that runs `qemu` through `program`, which is this program.
///
/// The thread that spawns it must live until it ends: the kernel watches the thread, not the
/// process.
pub fn command(program: &Path, qemu: &Path) -> Command {
    let mut command = Command::new(program);
    // A group of its own, so that an interrupt from the terminal is cowpath's to handle.
    command
        .arg0(NAME)
        .process_group(0)
        .arg(std::process::id().to_string())
        .arg(qemu);
    command
}

/// True if this process was started by [`command`].
pub fn is_guard() -> bool {
    std::env::args_os().next().is_some_and(|name| name == NAME)
}

/// Becomes QEMU; gives the reason if that fails.
pub fn become_qemu() -> String {
    let mut arguments = std::env::args_os().skip(1);
    let parent = arguments.next().unwrap_or_default();
    let qemu: OsString = arguments.next().unwrap_or_default();
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return format!("cannot ask for a parent-death signal: {error}");
    }
    // The parent may have gone before the signal was asked for.
    if parent != *getppid().to_string() {
        return "the starting process is gone".to_owned();
    }
    if let Err(error) = setrlimit(Resource::RLIMIT_FSIZE, MOST_WRITTEN, MOST_WRITTEN) {
        return format!("cannot bound what a guest sends: {error}");
    }
    let error = Command::new(&qemu).args(arguments).exec();
    format!("cannot run {}: {error}", Path::new(&qemu).display())
}
