//! The memory that everybody in a race shares: who is ready, when to act, and what each one recorded.
//!
//! All of it is mapped shared and touched beforehand, so that it serves threads, forked processes and
//! the worker that reads it afterwards, and no access to it faults.

use std::ops::Range;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use crate::measure::clock::Ticks;
use crate::measure::discards::{MARK_WORDS, Mark};
use crate::measure::locks::{LockWatch, Waited};
use crate::memory::MemoryError;
use crate::memory::area::SharedWords;
use crate::record::clock::ClockSource;
use crate::record::race::WaitedFor;
use crate::scenario::workload::{OtherProcess, Race};
use crate::sys::usage::ThreadUsage;

/// Words to a cache line.
const LINE: usize = 8;
/// Turns of a waiting loop, some 10 ns each, before it lets others run.
const PATIENCE: u32 = 10_000;
/// Turns of a waiting loop for which whoever had the race's lock leaves it to others.
const LEAVE: u32 = 8;
/// Kinds of waits.
const KINDS: usize = WaitedFor::ALL.len();
/// Forks of one trial that there is room for.
const FORKS: usize = 4096;
/// Words for a complaint of 504 bytes and its length.
const COMPLAINT: usize = 64;

/// Who stands where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The CPU of each thread.
    pub cpus: Vec<u32>,
    /// The CPU of the other process, where it acts.
    pub other_process: u32,
}

impl Placement {
    /// Whether threads share CPUs: whoever waits must then let others run.
    pub fn crowded(&self) -> bool {
        let mut cpus = self.cpus.clone();
        cpus.sort_unstable();
        cpus.windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Whether the other process has no CPU of its own and shares the rival's.
    pub fn other_process_shares(&self) -> bool {
        self.cpus.contains(&self.other_process)
    }
}

/// What is to be done in one trial.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// The tag of the pattern on the pages.
    pub fill: u64,
    /// The tag of the stores.
    pub tag: u64,
    /// Ticks between the announcement of a deadline and the deadline.
    pub lead: u64,
    /// What is watched meanwhile.
    pub watching: Watching,
    /// Ticks that threads have stored before this trial, of those that count for the rate of forks.
    pub stored_for: u64,
}

/// What is watched while threads race.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Watching {
    /// Nothing but the time.
    #[default]
    Nothing,
    /// What each thread allocates at each page.
    Allocations,
    /// How long each thread waits for locks.
    Locks,
}

/// What one thread records.
pub struct ThreadRecord {
    /// Two ticks a page: when it began to act and when it had acted.
    pub stamps: SharedWords,
    /// Two words a page: what a reader saw.
    pub saw: SharedWords,
    /// Two marks a page: before and after.
    pub marks: SharedWords,
    /// What [`crate::measure::discards::AllocationWatch::finish`] writes.
    pub events: SharedWords,
    complaint: SharedWords,
    // 1 and the number, where the kernel tells.
    copies: SharedWords,
    // Why it does not, where it does not.
    uncounted: SharedWords,
    // 1 and the number, where there are kprobes.
    probed: SharedWords,
    // Of each kind of wait: 1, the ns and the times, where the kernel tells.
    waits: SharedWords,
    // What the kernel counted of the thread while it raced, packed.
    usage: SharedWords,
}

/// The shared memory of a race.
pub struct RaceShared {
    /// The race.
    pub race: Race,
    /// Who stands where.
    pub placement: Placement,
    /// Pages in the area.
    pub pages: usize,
    /// Ticks from the first thread's deadline to the rival's; may be negative.
    pub skew: i64,
    /// Ticks over which a swept rival moves.
    pub sweep: u64,
    /// Where timestamps come from.
    pub source: ClockSource,
    /// One for each thread, and the other process's last.
    pub records: Vec<ThreadRecord>,
    /// One word a page: what was last stored under the lock; whoever holds the lock may use it.
    pub told: SharedWords,
    // How many forks there were, and two ticks of each: when it was called and when it had returned.
    forks: SharedWords,
    lock: SharedWords,
    control: SharedWords,
    deadlines: SharedWords,
    edges: SharedWords,
    orders: SharedWords,
}

/// Lines of `control`: one of these for each thread.
#[derive(Clone, Copy)]
enum Slot {
    /// Pages for which the thread is ready, or was.
    Ready,
    /// Pages that the thread is done with.
    Done,
    /// Deadlines that had passed when the thread saw them.
    Missed,
    /// What the thread counts: rescues, faults survived.
    Events,
}
const SLOTS: usize = 4;

/// The line that stops everybody when it is not zero.
const ABORT: usize = 0;
/// The line that counts who is set up.
const PRESENT: usize = 1;
/// Lines before those of the parties.
const COMMON: usize = 2;

impl RaceShared {
    /// Maps everything for `placement` and `pages` pages.
    ///
    /// # Errors
    /// When memory is refused.
    pub fn map(
        race: Race,
        placement: Placement,
        pages: usize,
        skew: i64,
        sweep: u64,
        source: ClockSource,
    ) -> Result<Self, MemoryError> {
        let parties = placement.cpus.len() + 1;
        // Each page takes a few allocations at most, and where processes are forked for it, more.
        let events = 2 + pages * 12 * race.page_divisor() as usize;
        let record = |_| -> Result<ThreadRecord, MemoryError> {
            Ok(ThreadRecord {
                stamps: SharedWords::map(2 * pages)?,
                saw: SharedWords::map(2 * pages)?,
                marks: SharedWords::map(2 * MARK_WORDS * pages)?,
                events: SharedWords::map(events)?,
                complaint: SharedWords::map(COMPLAINT)?,
                copies: SharedWords::map(2)?,
                uncounted: SharedWords::map(COMPLAINT)?,
                probed: SharedWords::map(2)?,
                waits: SharedWords::map(3 * KINDS)?,
                usage: SharedWords::map(1)?,
            })
        };
        Ok(RaceShared {
            race,
            placement,
            pages,
            skew,
            sweep,
            source,
            records: (0..parties).map(record).collect::<Result<_, _>>()?,
            told: SharedWords::map(pages)?,
            forks: SharedWords::map(1 + 2 * FORKS)?,
            lock: SharedWords::map(LINE)?,
            control: SharedWords::map((COMMON + SLOTS * parties) * LINE)?,
            deadlines: SharedWords::map(pages)?,
            edges: SharedWords::map(pages)?,
            orders: SharedWords::map(LINE)?,
        })
    }

    /// Threads that race.
    pub fn threads(&self) -> usize {
        self.placement.cpus.len()
    }

    /// The pages that `thread` acts on.
    pub fn pages_of(&self, thread: usize) -> Range<usize> {
        self.race.reach.of(thread, self.threads(), self.pages)
    }

    /// Those who wait for each other before a trial: the threads, and another process or a thread that acts meanwhile.
    pub fn parties(&self) -> usize {
        let others = self.race.other_process == OtherProcess::Unmaps || self.race.forks_meanwhile();
        self.threads() + usize::from(others)
    }

    /// The number among the parties of the other process, or of the thread that forks.
    pub fn other_process(&self) -> usize {
        self.threads()
    }

    /// Prepares a trial. Nobody may be racing.
    pub fn begin(&self, orders: Orders) {
        self.told.clear();
        self.forks.atomic(0).store(0, Relaxed);
        self.lock.clear();
        self.control.clear();
        self.deadlines.clear();
        self.edges.clear();
        for record in &self.records {
            record.stamps.clear();
            record.saw.clear();
            record.complaint.clear();
            record.copies.clear();
            record.uncounted.clear();
            record.probed.clear();
            record.waits.clear();
            record.usage.clear();
            if orders.watching == Watching::Allocations {
                record.marks.clear();
                record.events.clear();
            }
        }
        let words = [
            orders.fill,
            orders.tag,
            orders.lead,
            orders.watching as u64,
            orders.stored_for,
        ];
        for (at, word) in words.into_iter().enumerate() {
            self.orders.atomic(at).store(word, Relaxed);
        }
    }

    /// Whether a racing thread shares its CPU with another one, or with the other process while that acts.
    pub fn shares_cpus(&self) -> bool {
        let acts = self.race.other_process != OtherProcess::Rests || self.race.forks_meanwhile();
        self.placement.crowded() || acts && self.placement.other_process_shares()
    }

    /// What is to be done in this trial.
    pub fn orders(&self) -> Orders {
        let word = |at: usize| self.orders.atomic(at).load(Relaxed);
        Orders {
            fill: word(0),
            tag: word(1),
            lead: word(2),
            watching: match word(3) {
                1 => Watching::Allocations,
                2 => Watching::Locks,
                _ => Watching::Nothing,
            },
            stored_for: word(4),
        }
    }

    /// Records when a fork was called and when it had returned. False if there is no room for it.
    pub fn forked(&self, stamps: [u64; 2]) -> bool {
        let number = self.forks.atomic(0).load(Relaxed) as usize;
        if number == FORKS {
            return false;
        }
        for (at, tick) in stamps.into_iter().enumerate() {
            self.forks.atomic(1 + 2 * number + at).store(tick, Relaxed);
        }
        self.forks.atomic(0).store(number as u64 + 1, Relaxed);
        true
    }

    /// When each fork of this trial was called and when it had returned.
    pub fn forks(&self) -> impl Iterator<Item = [u64; 2]> + '_ {
        let words = self.forks.as_slice();
        let stamps = words[1..].chunks_exact(2).take(words[0] as usize);
        stamps.map(|stamps| [stamps[0], stamps[1]])
    }

    fn slot(&self, thread: usize, slot: Slot) -> &std::sync::atomic::AtomicU64 {
        self.control
            .atomic((COMMON + SLOTS * thread + slot as usize) * LINE)
    }

    /// Says why `thread` can not go on, and stops everybody.
    pub fn complain(&self, thread: usize, why: &str) {
        write(&self.records[thread].complaint, why);
        self.control.atomic(ABORT * LINE).store(1, Release);
    }

    /// The first complaint of this trial.
    pub fn complaint(&self) -> Option<String> {
        self.records
            .iter()
            .find_map(|record| read(&record.complaint))
    }

    /// Whether somebody complained.
    #[inline]
    pub fn aborted(&self) -> bool {
        self.control.atomic(ABORT * LINE).load(Relaxed) != 0
    }

    /// Spins until `done`; lets others run meanwhile where `yielding`, and in any case once it takes so
    /// long that whoever is waited for can not be running. False if the race is off.
    #[inline]
    pub fn wait(&self, yielding: bool, mut done: impl FnMut() -> bool) -> bool {
        let mut turns = 0u32;
        while !done() {
            if self.aborted() {
                return false;
            }
            turns = turns.saturating_add(1);
            if yielding || turns > PATIENCE {
                // SAFETY: sched_yield has no preconditions.
                unsafe { libc::sched_yield() };
            } else {
                std::hint::spin_loop();
            }
        }
        true
    }

    /// Does something under the race's lock, then leaves it to others for a moment; waits `yielding` or not, as
    /// [`RaceShared::wait`]. `None` if the race is off. Nobody has a turn: where more CPUs than there are seem to be at it, as in
    /// an emulated guest, each turn would take a time slice.
    #[inline(always)]
    pub fn locked<T>(&self, yielding: bool, act: impl FnOnce() -> T) -> Option<T> {
        let lock = self.lock.atomic(0);
        let take = || lock.load(Relaxed) == 0 && lock.swap(1, Acquire) == 0;
        if !self.wait(yielding, take) {
            return None;
        }
        let done = act();
        lock.store(0, Release);
        for _ in 0..LEAVE {
            std::hint::spin_loop();
        }
        Some(done)
    }

    /// Waits until every one of `parties` parties is set up. False if the race is off.
    pub fn gather(&self, parties: usize) -> bool {
        let present = self.control.atomic(PRESENT * LINE);
        present.fetch_add(1, Release);
        self.wait(true, || present.load(Acquire) >= parties as u64)
    }

    /// Says that `thread` is ready for `page`.
    #[inline]
    pub fn ready(&self, thread: usize, page: usize) {
        self.slot(thread, Slot::Ready)
            .store(page as u64 + 1, Release);
    }

    /// Whether `thread` is ready for `page`.
    #[inline]
    pub fn is_ready(&self, thread: usize, page: usize) -> bool {
        self.slot(thread, Slot::Ready).load(Acquire) > page as u64
    }

    /// Says that `thread` is done with `page`.
    #[inline]
    pub fn done(&self, thread: usize, page: usize) {
        self.slot(thread, Slot::Done)
            .store(page as u64 + 1, Release);
    }

    /// Whether `thread` is done with `page`.
    #[inline]
    pub fn is_done(&self, thread: usize, page: usize) -> bool {
        self.slot(thread, Slot::Done).load(Acquire) > page as u64
    }

    /// Announces the deadline for `page`, and how many ticks after it the edge is sought.
    #[inline]
    pub fn announce(&self, page: usize, deadline: u64, edge: u64) {
        self.edges.atomic(page).store(edge, Relaxed);
        self.deadlines.atomic(page).store(deadline, Release);
    }

    /// The deadline for `page` and the edge, once they are announced; 0 before.
    #[inline]
    pub fn deadline(&self, page: usize) -> (u64, u64) {
        let deadline = self.deadlines.atomic(page).load(Acquire);
        (deadline, self.edges.atomic(page).load(Relaxed))
    }

    /// Spins to `target` and returns the tick at which it was seen to have come; counts a target that
    /// had passed already.
    #[inline(always)]
    pub fn spin_to<T: Ticks>(&self, thread: usize, target: u64) -> u64 {
        let mut now = T::now();
        if now > target {
            self.slot(thread, Slot::Missed).fetch_add(1, Relaxed);
        }
        while now < target {
            now = T::now();
        }
        now
    }

    /// Deadlines that had passed when a thread saw them.
    pub fn missed(&self) -> u64 {
        let parties = 0..self.records.len();
        parties
            .map(|thread| self.slot(thread, Slot::Missed).load(Relaxed))
            .sum()
    }

    /// Counts `n` of what `thread` counts.
    pub fn count(&self, thread: usize, n: u64) {
        self.slot(thread, Slot::Events).fetch_add(n, Relaxed);
    }

    /// What all parties counted.
    pub fn counted(&self) -> u64 {
        let parties = 0..self.records.len();
        parties
            .map(|thread| self.slot(thread, Slot::Events).load(Relaxed))
            .sum()
    }
}

/// Writes a text, or as much of it as there is room for: its length, then its bytes.
fn write(words: &SharedWords, text: &str) {
    let bytes = &text.as_bytes()[..text.len().min((COMPLAINT - 1) * 8)];
    for (at, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let word = u64::from_ne_bytes(word);
        words.atomic(1 + at).store(word, Relaxed);
    }
    words.atomic(0).store(bytes.len() as u64, Release);
}

/// The text that [`write`] wrote, if there is one.
fn read(words: &SharedWords) -> Option<String> {
    let words = words.as_slice();
    let length = words[0] as usize;
    let bytes: Vec<u8> = words[1..].iter().flat_map(|w| w.to_ne_bytes()).collect();
    (length > 0).then(|| String::from_utf8_lossy(&bytes[..length]).into_owned())
}

impl ThreadRecord {
    /// Records when the thread began to act on `page` and when it had acted.
    #[inline(always)]
    pub fn stamp(&self, page: usize, begin: u64, end: u64) {
        self.stamps.atomic(2 * page).store(begin, Relaxed);
        self.stamps.atomic(2 * page + 1).store(end, Relaxed);
    }

    /// When the thread began to act on `page` and when it had acted.
    pub fn stamped(&self, page: usize) -> [u64; 2] {
        let words = self.stamps.as_slice();
        [words[2 * page], words[2 * page + 1]]
    }

    /// Records what a reader saw.
    #[inline]
    pub fn note(&self, page: usize, saw: [u64; 2]) {
        self.saw.atomic(2 * page).store(saw[0], Relaxed);
        self.saw.atomic(2 * page + 1).store(saw[1], Relaxed);
    }

    /// What a reader saw.
    pub fn noted(&self, page: usize) -> [u64; 2] {
        let words = self.saw.as_slice();
        [words[2 * page], words[2 * page + 1]]
    }

    /// Records how many copies the kernel says the thread has finished.
    pub fn copied(&self, copies: u64) {
        self.copies.atomic(1).store(copies, Relaxed);
        self.copies.atomic(0).store(1, Relaxed);
    }

    /// Records why the kernel does not say how many copies the thread has finished.
    pub fn uncounted(&self, why: &str) {
        write(&self.uncounted, why);
    }

    /// How many copies the kernel says the thread has finished, or why it does not.
    pub fn copies(&self) -> Result<u64, String> {
        let words = self.copies.as_slice();
        let why = || read(&self.uncounted).unwrap_or_else(|| "the thread did not ask".into());
        (words[0] == 1).then_some(words[1]).ok_or_else(why)
    }

    /// Records how many copies kprobes say the thread has begun and not kept.
    pub fn probed(&self, late: i64) {
        self.probed.atomic(1).store(late.cast_unsigned(), Relaxed);
        self.probed.atomic(0).store(1, Relaxed);
    }

    /// How many copies kprobes say the thread has begun and not kept, if there were any.
    pub fn probed_late(&self) -> Option<i64> {
        let words = self.probed.as_slice();
        (words[0] == 1).then_some(words[1].cast_signed())
    }

    /// Records what the kernel counted of the thread while it raced.
    pub fn used(&self, usage: ThreadUsage) {
        self.usage.atomic(0).store(usage.packed(), Relaxed);
    }

    /// What the kernel counted of the thread while it raced.
    pub fn usage(&self) -> ThreadUsage {
        ThreadUsage::unpacked(self.usage.as_slice()[0])
    }

    /// Records what the thread waited.
    pub fn waited(&self, what: WaitedFor, waited: Waited) {
        let words = [1, waited.ns, waited.times];
        for (at, word) in words.into_iter().enumerate() {
            self.waits
                .atomic(3 * what as usize + at)
                .store(word, Relaxed);
        }
    }

    /// What the thread waited, if that was watched.
    pub fn waits(&self, what: WaitedFor) -> Option<Waited> {
        let words = &self.waits.as_slice()[3 * what as usize..];
        (words[0] == 1).then_some(Waited {
            ns: words[1],
            times: words[2],
        })
    }

    /// Records what watches say that the thread waited; what could not be watched to the end stays empty.
    pub fn note_waits(&self, mut watches: Vec<(WaitedFor, LockWatch)>) {
        // What one is finished by, the others would see.
        let stopped: Vec<_> = watches.iter_mut().map(|(_, watch)| watch.stop()).collect();
        for ((what, watch), stopped) in watches.into_iter().zip(stopped) {
            if let Ok(waited) = stopped.and_then(|()| watch.finish()) {
                self.waited(what, waited);
            }
        }
    }

    /// Records the counts before (0) or after (1) `page`.
    pub fn mark(&self, page: usize, side: usize, mark: Mark) {
        let at = (2 * page + side) * MARK_WORDS;
        for (n, word) in [mark.faults, mark.allocated, mark.freed]
            .into_iter()
            .enumerate()
        {
            self.marks.atomic(at + n).store(word, Relaxed);
        }
    }

    /// The counts before and after `page`.
    pub fn marked(&self, page: usize) -> [Mark; 2] {
        [0, 1].map(|side| {
            let words = &self.marks.as_slice()[(2 * page + side) * MARK_WORDS..];
            Mark {
                faults: words[0],
                allocated: words[1],
                freed: words[2],
            }
        })
    }
}
