//! What a thread does to a page: the part that is timed, and what goes before and after it.

use std::ptr::NonNull;

use nix::sys::mman::{MmapAdvise, ProtFlags, madvise, mprotect, munmap};

use super::shared::{RaceShared, ThreadRecord};
use crate::memory::area::{Area, page_size, stored_word};
use crate::memory::pattern::thread_tag;
use crate::memory::pipe::PipeHold;
use crate::sys::uffd::Uffd;

/// A thread's part in a race.
pub(super) trait Act {
    /// Untimed, before the thread says that it is ready. False stops the race.
    fn prepare(&mut self, _page: usize) -> bool {
        true
    }

    /// Untimed, where the thread acts as soon as the other process has let go of the CPU that they share.
    fn follow(&mut self) {}

    /// Timed.
    fn act(&mut self, page: usize);

    /// Untimed, after it.
    fn after(&mut self, _page: usize) {}
}

/// Stores a word of the thread's own.
pub(super) struct Store<'a> {
    pub area: &'a Area,
    pub thread: usize,
    pub tag: u64,
}

impl<'a> Store<'a> {
    pub fn new(area: &'a Area, thread: usize, tag: u64) -> Self {
        let tag = thread_tag(tag, thread);
        Store { area, thread, tag }
    }
}

impl Act for Store<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        let slot = self.area.slot(page, self.thread);
        // SAFETY: the slot lies inside the area, and this thread alone stores to it.
        unsafe { slot.write_volatile(stored_word(self.tag, page)) };
    }
}

/// Reads the first thread's word and the pattern beside it.
#[inline(always)]
fn observe(area: &Area, page: usize) -> [u64; 2] {
    let slot = area.slot(page, 0);
    // SAFETY: the slot and the word before it lie inside the area.
    unsafe {
        let pattern = slot.wrapping_sub(1).read_volatile();
        [pattern, slot.read_volatile()]
    }
}

/// Reads.
pub(super) struct Read<'a> {
    pub area: &'a Area,
    pub record: &'a ThreadRecord,
    pub saw: [u64; 2],
}

impl Act for Read<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        self.saw = observe(self.area, page);
    }

    fn after(&mut self, page: usize) {
        self.record.note(page, self.saw);
    }
}

/// Reads through a pin of its own memory.
pub(super) struct Pin<'a> {
    pub area: &'a Area,
    pub record: &'a ThreadRecord,
    pub shared: &'a RaceShared,
    pub thread: usize,
    pub saw: [u64; 2],
    pub pid: i32,
}

impl Act for Pin<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        let local = libc::iovec {
            iov_base: self.saw.as_mut_ptr().cast(),
            iov_len: 16,
        };
        let remote = libc::iovec {
            iov_base: self.area.slot(page, 0).wrapping_sub(1).cast(),
            iov_len: 16,
        };
        // SAFETY: both vectors describe 16 bytes that live across the call.
        let got = unsafe { libc::process_vm_readv(self.pid, &local, 1, &remote, 1, 0) };
        if got != 16 {
            self.saw = [0, 0];
        }
    }

    fn after(&mut self, page: usize) {
        if self.saw == [0, 0] {
            self.shared.complain(
                self.thread,
                "process_vm_readv() of this process's own memory failed; needs CONFIG_CROSS_MEMORY_ATTACH",
            );
        }
        self.record.note(page, self.saw);
    }
}

fn address(area: &Area, page: usize) -> NonNull<libc::c_void> {
    let address = area.base().wrapping_add(page * page_size()).cast();
    NonNull::new(address).unwrap_or(NonNull::dangling())
}

/// Makes the page read-only and writable again.
pub(super) struct Mprotect<'a>(pub &'a Area);

impl Act for Mprotect<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        for flags in [
            ProtFlags::PROT_READ,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        ] {
            // SAFETY: a page of the area, whose stores survive SIGSEGV while it is read-only. A refusal
            // (too many mappings) leaves it as it was; the second call is tried again below.
            let _ = unsafe { mprotect(address(self.0, page), page_size(), flags) };
        }
    }
}

/// Protects and unprotects the page through userfaultfd; wakes a store that sleeps all the same.
pub(super) struct UffdWp<'a> {
    pub area: &'a Area,
    pub uffd: &'a Uffd,
    pub shared: &'a RaceShared,
    pub thread: usize,
    /// Whose store may sleep.
    pub sleepers: Vec<usize>,
    /// Turns of the waiting loop before a store counts as asleep.
    pub patience: u32,
}

impl UffdWp<'_> {
    #[inline(always)]
    fn protect(&self, page: usize, on: bool) {
        // EAGAIN: the address space is changing; the caller tries again in the end.
        let _ = self
            .uffd
            .writeprotect(address(self.area, page).as_ptr() as usize, page_size(), on);
    }
}

impl Act for UffdWp<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        self.protect(page, true);
        self.protect(page, false);
    }

    /// A store can sleep on although the protection is gone: on a page shared over fork the kernel
    /// takes the PTE, which is still read-only, for a protected one when it is about to sleep.
    fn after(&mut self, page: usize) {
        let crowded = self.shared.placement.crowded();
        let sleepers = std::mem::take(&mut self.sleepers);
        for &sleeper in &sleepers {
            let mut turns = 0;
            self.shared.wait(crowded, || {
                if self.shared.is_done(sleeper, page) {
                    return true;
                }
                turns += 1;
                if turns == self.patience {
                    turns = 0;
                    self.shared.count(self.thread, 1);
                    self.protect(page, false);
                }
                false
            });
        }
        self.sleepers = sleepers;
    }
}

/// Drops the page.
pub(super) struct DontNeed<'a>(pub &'a Area);

impl Act for DontNeed<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        // SAFETY: a page of the area; its stores and reads expect to find zeroes afterwards.
        let _ = unsafe {
            madvise(
                address(self.0, page),
                page_size(),
                MmapAdvise::MADV_DONTNEED,
            )
        };
    }
}

/// Reads, then takes the page out of the pipe.
pub(super) struct ReadAndRelease<'a> {
    pub area: &'a Area,
    pub record: &'a ThreadRecord,
    pub shared: &'a RaceShared,
    pub thread: usize,
    pub pipe: &'a PipeHold,
    /// A page long, on memory that is touched.
    pub buffer: Vec<u8>,
    pub saw: [u64; 2],
    pub released: bool,
}

impl Act for ReadAndRelease<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        self.saw = observe(self.area, page);
        self.released = self.pipe.release(page, &mut self.buffer).is_ok();
    }

    fn after(&mut self, page: usize) {
        if !self.released {
            self.shared
                .complain(self.thread, "reading a page from the pipe failed");
        }
        // What the pipe saw must be possible too; an impossible pair is kept.
        let at = self.area.slot(page, 0) as usize - address(self.area, page).as_ptr() as usize - 8;
        let word = |at: usize| {
            let bytes = self.buffer[at..at + 8].try_into().unwrap_or_default();
            u64::from_ne_bytes(bytes)
        };
        let piped = [word(at), word(at + 8)];
        let saw = if piped[0] == self.saw[0] {
            self.saw
        } else {
            piped
        };
        self.record.note(page, saw);
    }
}

/// Unmaps the page, in the process that shares it.
pub(super) struct Unmap<'a> {
    pub area: &'a Area,
    pub record: &'a ThreadRecord,
}

impl Act for Unmap<'_> {
    fn prepare(&mut self, page: usize) -> bool {
        self.record.note(page, observe(self.area, page));
        true
    }

    #[inline(always)]
    fn act(&mut self, page: usize) {
        // SAFETY: this process never touches the page again.
        let _ = unsafe { munmap(address(self.area, page), page_size()) };
    }
}
