//! What a thread does to a page: the part that is timed, and what goes before and after it.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

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

    #[inline(always)]
    fn put(&self, page: usize, word: u64) {
        let slot = self.area.slot(page, self.thread);
        // SAFETY: the slot lies inside the area, and this thread alone stores to it.
        unsafe { slot.write_volatile(word) };
    }
}

impl Act for Store<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        self.put(page, stored_word(self.tag, page));
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

/// A thread whose calls can be refused, and how the last one was answered.
pub(super) struct RacingCaller<'a> {
    pub area: &'a Area,
    pub shared: &'a RaceShared,
    /// Its number.
    pub thread: usize,
    pub called: nix::Result<()>,
}

impl RacingCaller<'_> {
    /// Stops the race where a call was refused: what the others did beside it is not the race that was asked for.
    fn check(&self, what: &str) {
        if let Err(errno) = self.called {
            let why = format!("{what} of a page failed while it was raced for: {errno}");
            self.shared.complain(self.thread, &why);
        }
    }
}

/// Makes the page read-only and writable again.
pub(super) struct Mprotect<'a>(pub RacingCaller<'a>);

impl Act for Mprotect<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        let page = address(self.0.area, page);
        // SAFETY: a page of the area, whose stores survive SIGSEGV while it is read-only.
        let protect = |flags| unsafe { mprotect(page, page_size(), flags) };
        self.0.called = protect(ProtFlags::PROT_READ)
            .and_then(|()| protect(ProtFlags::PROT_READ | ProtFlags::PROT_WRITE));
    }

    fn after(&mut self, _page: usize) {
        if self.0.called.is_err() {
            writable_again(self.0.area);
        }
        self.0.check("mprotect()");
    }
}

/// Lets stores to any page of the area come to an end: where a page was left read-only, they are tried for ever. The area
/// becomes one mapping, which takes none that there is no room for; should that be refused too, nothing helps.
fn writable_again(area: &Area) {
    let flags = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the area, as it was mapped.
    let whole = unsafe { mprotect(address(area, 0), area.len(), flags) };
    if whole.is_err() {
        std::process::abort();
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
    /// What the kernel refused.
    pub refused: Option<io::Error>,
}

impl UffdWp<'_> {
    /// Lets every store go on: where the race is off, nobody wakes one that sleeps.
    fn lift(&self) {
        let base = address(self.area, 0).as_ptr() as usize;
        // Refused, it leaves a store asleep until the worker's time is up, as it would be without.
        let _ = self.uffd.writeprotect(base, self.area.len(), false);
    }

    /// Stops the race where the kernel refused to protect or unprotect.
    fn check(&mut self) {
        if let Some(error) = self.refused.take() {
            self.lift();
            let why = format!(
                "protecting a page through userfaultfd failed while it was raced for: {error}"
            );
            self.shared.complain(self.thread, &why);
        }
    }

    #[inline(always)]
    fn protect(&mut self, page: usize, on: bool) {
        let at = address(self.area, page).as_ptr() as usize;
        match self.uffd.writeprotect(at, page_size(), on) {
            // The address space is changing; it is tried again in the end.
            Err(error) if error.raw_os_error() != Some(libc::EAGAIN) => self.refused = Some(error),
            _ => {}
        }
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
        self.check();
        let crowded = self.shared.placement.crowded();
        let sleepers = std::mem::take(&mut self.sleepers);
        for &sleeper in &sleepers {
            let (mut turns, shared) = (0, self.shared);
            shared.wait(crowded, || {
                if shared.is_done(sleeper, page) {
                    return true;
                }
                turns += 1;
                if turns == self.patience {
                    turns = 0;
                    shared.count(self.thread, 1);
                    self.protect(page, false);
                }
                false
            });
        }
        self.sleepers = sleepers;
        self.check();
        if self.shared.aborted() {
            self.lift();
        }
    }
}

/// Drops the page.
pub(super) struct DontNeed<'a>(pub RacingCaller<'a>);

impl Act for DontNeed<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        let page = address(self.0.area, page);
        // SAFETY: a page of the area; its stores and reads expect to find zeroes afterwards.
        self.0.called = unsafe { madvise(page, page_size(), MmapAdvise::MADV_DONTNEED) };
    }

    fn after(&mut self, _page: usize) {
        self.0.check("madvise(MADV_DONTNEED)");
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

/// The thread that stores under the lock.
const LOCKED_WRITER: usize = 1;
/// Its stores to a page.
const ROUNDS: u64 = 16;

/// Stores a word of the thread's own again and again, and tells each time under the lock what it was.
pub(super) struct StoreLocked<'a> {
    store: Store<'a>,
    shared: &'a RaceShared,
    crowded: bool,
}

impl<'a> StoreLocked<'a> {
    pub fn new(area: &'a Area, shared: &'a RaceShared) -> Self {
        StoreLocked {
            store: Store::new(area, LOCKED_WRITER, shared.orders().tag),
            shared,
            crowded: shared.placement.crowded(),
        }
    }
}

impl Act for StoreLocked<'_> {
    #[inline(always)]
    fn act(&mut self, page: usize) {
        let last = stored_word(self.store.tag, page);
        for left in (0..ROUNDS).rev() {
            let word = last - left;
            let stored = self.shared.locked(self.crowded, || {
                self.store.put(page, word);
                self.shared.told.atomic(page).store(word, Relaxed);
            });
            if stored.is_none() {
                return;
            }
        }
    }
}

/// Reads what [`StoreLocked`] stores: beforehand, so that this CPU's TLB has the page as it is before the race, and then twice
/// under each hold of the lock until it is the last store, or other than what was told.
pub(super) struct ReadLocked<'a> {
    area: &'a Area,
    shared: &'a RaceShared,
    record: &'a ThreadRecord,
    tag: u64,
    crowded: bool,
    saw: [u64; 2],
}

impl<'a> ReadLocked<'a> {
    pub fn new(area: &'a Area, shared: &'a RaceShared, thread: usize) -> Self {
        ReadLocked {
            area,
            shared,
            record: &shared.records[thread],
            tag: thread_tag(shared.orders().tag, LOCKED_WRITER),
            crowded: shared.placement.crowded(),
            saw: [0; 2],
        }
    }

    #[inline(always)]
    fn look(&self, page: usize) -> u64 {
        // SAFETY: the slot lies inside the area; volatile, so that each look is a load of its own.
        unsafe { self.area.slot(page, LOCKED_WRITER).read_volatile() }
    }

    /// How many of the words that the reader saw last are not what was stored last.
    pub fn stale(shared: &RaceShared, thread: usize) -> u64 {
        let tag = thread_tag(shared.orders().tag, LOCKED_WRITER);
        let stale = (0..shared.pages).flat_map(|page| {
            let saw = shared.records[thread].noted(page);
            saw.into_iter()
                .filter(move |&word| word != stored_word(tag, page))
        });
        stale.count() as u64
    }
}

impl Act for ReadLocked<'_> {
    fn prepare(&mut self, page: usize) -> bool {
        self.look(page);
        true
    }

    #[inline(always)]
    fn act(&mut self, page: usize) {
        let last = stored_word(self.tag, page);
        loop {
            let looked = self.shared.locked(self.crowded, || {
                let told = self.shared.told.atomic(page).load(Relaxed);
                (told, [self.look(page), self.look(page)])
            });
            let Some((told, saw)) = looked else {
                return;
            };
            self.saw = saw;
            if told == last || saw != [told; 2] {
                return;
            }
        }
    }

    fn after(&mut self, page: usize) {
        self.record.note(page, self.saw);
    }
}

/// Unmaps the page, in the process that shares it.
pub(super) struct Unmap<'a> {
    pub caller: RacingCaller<'a>,
    pub record: &'a ThreadRecord,
}

impl Act for Unmap<'_> {
    fn prepare(&mut self, page: usize) -> bool {
        self.record.note(page, observe(self.caller.area, page));
        true
    }

    #[inline(always)]
    fn act(&mut self, page: usize) {
        // SAFETY: this process never touches the page again.
        self.caller.called = unsafe { munmap(address(self.caller.area, page), page_size()) };
    }

    fn after(&mut self, _page: usize) {
        self.caller.check("munmap()");
    }
}

#[cfg(test)]
mod tests {
    use super::super::shared::{Orders, Placement};
    use super::*;
    use crate::memory::area::Content;
    use crate::record::clock::ClockSource;
    use crate::scenario::workload::Race;

    const PAGES: usize = 3;

    fn shared() -> RaceShared {
        let crowded = Placement {
            cpus: vec![0; 3],
            other_process: 0,
        };
        let source = ClockSource::MonotonicRaw;
        let shared = RaceShared::map(Race::STORES, crowded, PAGES, 0, 0, source).unwrap();
        shared.begin(Orders {
            tag: 1 << 34,
            ..Orders::default()
        });
        shared
    }

    /// Words that were stale for a reader of `read` while another thread stored to `stored`.
    fn stale_between(stored: &Area, read: &Area) -> u64 {
        let shared = shared();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut writer = StoreLocked::new(stored, &shared);
                (0..PAGES).for_each(|page| writer.act(page));
            });
            let mut reader = ReadLocked::new(read, &shared, 2);
            for page in 0..PAGES {
                assert!(reader.prepare(page));
                reader.act(page);
                reader.after(page);
            }
        });
        ReadLocked::stale(&shared, 2)
    }

    #[test]
    fn a_reader_that_keeps_the_old_page_is_found() {
        let [new, old] = [0; 2].map(|_| Area::map(PAGES).unwrap());
        assert_eq!(stale_between(&new, &new), 0);
        assert_eq!(stale_between(&new, &old), 2 * PAGES as u64);
    }

    #[test]
    fn a_reader_whose_looks_differ_is_found() {
        let shared = shared();
        let last = |page| stored_word(thread_tag(shared.orders().tag, LOCKED_WRITER), page);
        let record = &shared.records[2];
        (0..PAGES).for_each(|page| record.note(page, [last(page); 2]));
        assert_eq!(ReadLocked::stale(&shared, 2), 0);
        record.note(1, [0, last(1)]);
        record.note(2, [last(2), last(2) - 1]);
        assert_eq!(ReadLocked::stale(&shared, 2), 2);
    }

    #[test]
    fn a_page_that_was_left_read_only_can_be_stored_to_again() {
        let area = Area::map(3).unwrap();
        area.fill(1);
        // SAFETY: a page of the area, which nobody stores to meanwhile.
        unsafe { mprotect(address(&area, 1), page_size(), ProtFlags::PROT_READ) }.unwrap();
        writable_again(&area);
        area.store(7);
        assert_eq!(area.violations(Content::Filled(1), Some(7)), 0);
    }
}
