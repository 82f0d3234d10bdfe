//! The stack of a thread that is about to be timed.

use std::hint::black_box;
use std::mem::MaybeUninit;

/// Bytes of it to touch after a fork, which has made it copy-on-write: more than what follows uses.
pub(super) const AFTER_FORK: usize = 8 << 10;

/// Bytes of a new thread's stack to touch before anything is timed.
pub(super) const OF_A_THREAD: usize = 64 << 10;

/// Touches the stack below the caller, so that nothing on it faults later.
#[inline(never)]
pub(super) fn touch_stack<const LENGTH: usize>() {
    let mut bytes = [0u8; LENGTH];
    for at in (0..LENGTH).step_by(1024) {
        // SAFETY: at < LENGTH.
        unsafe { bytes.as_mut_ptr().add(at).write_volatile(1) };
    }
    black_box(&bytes);
}

/// The stack of this thread while no child that is forked gets it: fork then leaves its pages as they are, writable.
pub(super) struct OwnStack {
    start: *mut libc::c_void,
    length: usize,
}

impl OwnStack {
    /// Keeps it from children until this is dropped. Nothing in a child may touch it: the child's one thread has another stack.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn kept() -> Result<Self, String> {
        let refused = |what: &str, code: i32| {
            let error = std::io::Error::from_raw_os_error(code);
            format!("keeping a thread's stack from children: {what}: {error}")
        };
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the call initialises the attributes of the thread that runs.
        let got =
            unsafe { libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) };
        if got != 0 {
            return Err(refused("pthread_getattr_np()", got));
        }
        let (mut start, mut length) = (std::ptr::null_mut(), 0);
        // SAFETY: initialised above, and destroyed once.
        let got = unsafe {
            let got = libc::pthread_attr_getstack(attributes.as_ptr(), &mut start, &mut length);
            libc::pthread_attr_destroy(attributes.as_mut_ptr());
            got
        };
        if got != 0 {
            return Err(refused("pthread_attr_getstack()", got));
        }
        // SAFETY: the whole of this thread's stack, whose content the advice does not change.
        match unsafe { libc::madvise(start, length, libc::MADV_DONTFORK) } {
            0 => Ok(OwnStack { start, length }),
            _ => Err(refused(
                "madvise(MADV_DONTFORK)",
                std::io::Error::last_os_error().raw_os_error().unwrap_or(0),
            )),
        }
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        // The C library gives the stack to another thread, which may fork.
        // SAFETY: as above.
        unsafe { libc::madvise(self.start, self.length, libc::MADV_DOFORK) };
    }
}
