//! The stack of a thread that is about to be timed.

use std::hint::black_box;

/// Bytes of it to touch after a fork, which has made it copy-on-write: more than what follows uses.
pub(super) const AFTER_FORK: usize = 8 << 10;

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
