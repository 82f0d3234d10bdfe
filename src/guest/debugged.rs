//! A guest under a debugger: booted and watched like any other, while a client of its gdb stub works.

use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::boot::{Boot, BootWatch, boot};
use super::gdb::{Gdb, GdbError};
use super::inbox::Inbox;
use super::patience::Patience;
use super::qemu::{Machine, Qemu};
use crate::guest::error::VmError;
use crate::guest::memory_file::MemoryFile;
use crate::guest::spec::{GuestKernel, GuestSpec};

/// How long QEMU may take to open its stub.
const STUB_PATIENCE: Duration = Duration::from_secs(10);
/// How long a guest may go on after the debugger is done: one that is ending by itself, which may be why
/// the debugger is done, then says how.
const GRACE: Duration = Duration::from_secs(1);

/// A guest to be booted under a debugger.
pub struct Debugged<'a> {
    /// How guests are made.
    pub spec: &'a GuestSpec,
    /// The QEMU to use.
    pub qemu: &'a Qemu,
    /// The machine; its `debugger` is set here.
    pub machine: Machine<'a>,
    /// The kernel.
    pub kernel: &'a GuestKernel,
    /// What the guest runs.
    pub initramfs: &'a MemoryFile,
    /// Where the console's text is kept.
    pub log: &'a Path,
    /// Wall-clock time after which the guest is given up, whatever the debugger does.
    pub time_limit: Duration,
    /// Told what the guest reaches and says.
    pub tell: &'a dyn Fn(String),
}

/// What debugger and guest came to.
pub struct DebuggedOutcome<T> {
    /// What the debugger made of it.
    pub work: T,
    /// How the guest ended; [`BootOutcome::Interrupted`](super::boot::BootOutcome) where it was still there
    /// when the debugger was done, or the user stopped it.
    pub boot: Boot,
}

/// Boots the guest, lets `work` have the debugger, and ends the guest when that is done.
///
/// The guest stands at its reset vector when `work` begins. No process is left.
///
/// # Errors
/// If there is no place for the socket or no memory for what the guest needs.
pub fn debug<T: Send>(
    guest: &Debugged<'_>,
    work: impl FnOnce(Result<Gdb, GdbError>) -> T + Send,
) -> Result<DebuggedOutcome<T>, VmError> {
    let failed = |source| VmError::Io {
        what: "create",
        path: "a socket for the debugger".into(),
        source,
    };
    let folder = tempfile::tempdir().map_err(failed)?;
    let socket = folder.path().join("gdb");
    let inbox = Inbox::new().map_err(failed)?;
    let mut machine = guest.machine.clone();
    machine.debugger = Some(&socket);
    let command = guest.qemu.boot(
        &guest.spec.program,
        &machine,
        &guest.kernel.image.path,
        guest.initramfs,
        inbox.file(),
    );
    let (ended, done) = (AtomicBool::new(false), OnceLock::new());
    let watch = BootWatch {
        log: guest.log,
        patience: Patience::of(guest.time_limit),
        stop: &|| {
            let done: Option<&Instant> = done.get();
            guest.spec.stopped() || done.is_some_and(|at| at.elapsed() > GRACE)
        },
        pin: None,
        tell: guest.tell,
        keep: &|_| {},
    };
    let (ended, done) = (&ended, &done);
    let (socket, work) = (&socket, work);
    let (boot, work) = std::thread::scope(|scope| {
        let debugger = scope.spawn(move || {
            // Also if `work` panics: the guest must not run on.
            let _end = SetOnDrop(done);
            work(Gdb::connect(socket, STUB_PATIENCE, || {
                !ended.load(Ordering::Relaxed)
            }))
        });
        let boot = boot(command, inbox, &watch);
        ended.store(true, Ordering::Relaxed);
        (boot, debugger.join())
    });
    match work {
        Ok(work) => Ok(DebuggedOutcome { work, boot }),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

struct SetOnDrop<'a>(&'a OnceLock<Instant>);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        let _ = self.0.set(Instant::now());
    }
}
