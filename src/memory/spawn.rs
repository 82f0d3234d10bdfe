//! Children that live for a moment: made by vfork, or forked only to see how long that takes.

use std::panic::{AssertUnwindSafe, catch_unwind};

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

use super::MemoryError;
use super::area::Area;

/// Bytes of the stack of a child that shares this address space.
const STACK: usize = 64 << 10;

/// Makes a child as vfork(2) does (one address space, the parent waits); it reads every page and exits.
pub fn vfork_and_read(area: &Area) -> Result<(), MemoryError> {
    extern "C" fn read(area: *mut libc::c_void) -> libc::c_int {
        // SAFETY: the pointer is the caller's reference, and the caller waits until this process is gone.
        unsafe { &*area.cast::<Area>() }.read();
        0
    }
    let mut stack = vec![0u128; STACK / 16];
    let area = std::ptr::from_ref(area).cast_mut().cast();
    // SAFETY: a loop of reads needs little of the stack, and the area is the caller's, who waits.
    let pid = unsafe { vfork(&mut stack, read, area) };
    reaped(pid)
}

/// Makes a child that runs in this address space on a stack of its own; this thread goes on when it has ended.
///
/// # Safety
/// `run` must be content with that stack and do nothing to this address space that its caller does not expect.
unsafe fn vfork(
    stack: &mut [u128],
    run: extern "C" fn(*mut libc::c_void) -> libc::c_int,
    argument: *mut libc::c_void,
) -> libc::pid_t {
    let top = stack.as_mut_ptr_range().end;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack is aligned to 16 bytes; CLONE_VFORK suspends this thread until the child has exited, so that the
    // stack outlives it. The rest is this function's own contract.
    unsafe { libc::clone(run, top.cast(), flags, argument) }
}

/// Waits for the child that [`vfork`] has made, if it has.
fn reaped(pid: libc::pid_t) -> Result<(), MemoryError> {
    if pid < 0 {
        let error = std::io::Error::last_os_error();
        return Err(MemoryError::refused("clone(CLONE_VM | CLONE_VFORK)", error));
    }
    waitpid(Pid::from_raw(pid), None)
        .map(|_| ())
        .map_err(|e| MemoryError::refused("waiting for the child", e))
}

/// Makes a child as vfork(2) does, which ends at once, and tells by `now` how long that took until this process goes on.
pub fn vfork_timed(now: impl Fn() -> u64) -> Result<u64, MemoryError> {
    extern "C" fn nothing(_: *mut libc::c_void) -> libc::c_int {
        0
    }
    let mut stack = vec![0u128; STACK / 16];
    let start = now();
    // SAFETY: the child does nothing but end.
    let pid = unsafe { vfork(&mut stack, nothing, std::ptr::null_mut()) };
    let took = now() - start;
    reaped(pid).map(|()| took)
}

/// Forks a child that does `act` and exits with what it gives; the kernel kills it with its parent.
///
/// # Safety
/// This process must have one thread, or `act` must neither allocate nor take a lock: one that another thread holds at
/// the fork is never given back in the child.
pub unsafe fn child(act: impl FnOnce() -> i32) -> Result<Pid, MemoryError> {
    let parent = getpid();
    // SAFETY: by this function's own contract the child may do what `act` does.
    match unsafe { fork() }.map_err(|e| MemoryError::refused("fork()", e))? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            // A parent that died between fork and prctl is noticed by its changed pid.
            let orphan = set_pdeathsig(Signal::SIGKILL).is_err() || getppid() != parent;
            let code = if orphan {
                1
            } else {
                catch_unwind(AssertUnwindSafe(act)).unwrap_or(101)
            };
            exit_now(code)
        }
    }
}

/// Forks by the bare system call, for a process of several threads: the child exits at once and is reaped. Tells by `now` when
/// fork was called and when it had returned here.
pub fn fork_and_reap(now: impl Fn() -> u64) -> Result<[u64; 2], MemoryError> {
    let begin = now();
    // SAFETY: a copy of this process on the same stack, as fork(2) makes it; none of the C library's handlers run, and the child
    // calls nothing but _exit, whatever other threads of this process hold.
    let child = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
    if child == 0 {
        exit_now(0);
    }
    let end = now();
    if child < 0 {
        let error = std::io::Error::last_os_error();
        return Err(MemoryError::refused("clone(SIGCHLD)", error));
    }
    waitpid(Pid::from_raw(child as libc::pid_t), None)
        .map_err(|e| MemoryError::refused("waiting for the child", e))?;
    Ok([begin, end])
}

/// Ends this process at once; no destructor runs, since they belong to the parent.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Forks a child that exits at once, and tells by `now` how long fork took in this process.
pub fn fork_timed(now: impl Fn() -> u64) -> Result<u64, MemoryError> {
    let refused = |e| MemoryError::refused("fork()", e);
    let start = now();
    // SAFETY: the child calls nothing but _exit, whatever other threads of this process hold.
    match unsafe { fork() }.map_err(refused)? {
        ForkResult::Child => {
            // SAFETY: _exit has no preconditions.
            unsafe { libc::_exit(0) }
        }
        ForkResult::Parent { child } => {
            let took = now() - start;
            waitpid(child, None).map_err(refused)?;
            Ok(took)
        }
    }
}
