//! Survives stores to a page that is read-only for a moment: the fault is counted and the store tried
//! again.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use super::MemoryError;
use super::area::Area;

static START: AtomicUsize = AtomicUsize::new(0);
static END: AtomicUsize = AtomicUsize::new(0);
static SURVIVED: AtomicU64 = AtomicU64::new(0);

/// While it lives, SIGSEGV for an address in the area returns to the instruction that caused it. Only
/// one may live at a time.
pub struct Survivor {
    before: SigAction,
}

extern "C" fn count(signal: i32, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo_t to a handler that was installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    if (START.load(Ordering::Relaxed)..END.load(Ordering::Relaxed)).contains(&address) {
        SURVIVED.fetch_add(1, Ordering::Relaxed);
        return;
    }
    // A fault of our own: the default action when the instruction is tried again.
    // SAFETY: signal(2) is async-signal-safe.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

impl Survivor {
    /// Installs the handler for faults in `area`.
    pub fn install(area: &Area) -> Result<Self, MemoryError> {
        START.store(area.base() as usize, Ordering::Relaxed);
        END.store(area.base() as usize + area.len(), Ordering::Relaxed);
        SURVIVED.store(0, Ordering::Relaxed);
        let action = SigAction::new(
            SigHandler::SigAction(count),
            SaFlags::SA_SIGINFO,
            SigSet::empty(),
        );
        // SAFETY: the handler touches atomics and calls signal(2) only.
        let before = unsafe { sigaction(Signal::SIGSEGV, &action) }
            .map_err(|e| MemoryError::refused("sigaction(SIGSEGV)", e))?;
        Ok(Survivor { before })
    }

    /// Faults survived so far.
    pub fn survived(&self) -> u64 {
        SURVIVED.load(Ordering::Relaxed)
    }
}

impl Drop for Survivor {
    fn drop(&mut self) {
        // SAFETY: puts back the action that was there before.
        let _ = unsafe { sigaction(Signal::SIGSEGV, &self.before) };
        START.store(0, Ordering::Relaxed);
        END.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::mman::{ProtFlags, mprotect};
    use std::ptr::NonNull;

    #[test]
    fn a_store_to_a_page_that_becomes_writable_later_succeeds() {
        let area = Area::map(1).unwrap();
        area.fill(1);
        let survivor = Survivor::install(&area).unwrap();
        let base = area.base() as usize;
        let protect = |flags| {
            let base = NonNull::new(base as *mut libc::c_void).unwrap();
            // SAFETY: the area's own page, which lives until the end of the test.
            unsafe { mprotect(base, super::super::area::page_size(), flags) }.unwrap();
        };
        protect(ProtFlags::PROT_READ);
        std::thread::scope(|scope| {
            let store = scope.spawn(|| area.store(5));
            while survivor.survived() == 0 {
                std::hint::spin_loop();
            }
            protect(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE);
            store.join().unwrap();
        });
        assert!(survivor.survived() > 0);
    }
}
