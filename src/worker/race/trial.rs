//! One race over the area: set up, race, judge, check the data.

use std::collections::BTreeMap;

use super::accesses::ReadLocked;
use super::judge::{Judged, frame, judge};
use super::shared::{Orders, RaceShared, ThreadRecord, Watching};
use crate::measure::clock::{WentBack, elapsed};
use crate::measure::locks::Waited;
use crate::measure::vmstat::{self, Vmstat};
use crate::memory::MemoryError;
use crate::memory::pagemap::Entry;
use crate::memory::pattern::{plausible, thread_tag};
use crate::memory::sharer::Order;
use crate::record::outcome::Outcome;
use crate::record::race::{FrameChange, WaitedFor};
use crate::record::schema::{Integrity, Setup};
use crate::scenario::Step;
use crate::scenario::workload::{Access, Actor, OtherProcess, Rendezvous};
use crate::sys::usage::ThreadUsage;
use crate::worker::race::integrity::{drops, violations};
use crate::worker::trial::Prepared;

/// What a race over the area came to.
pub(super) struct RaceTrial {
    /// What became of the page of each store, and the store's ticks.
    pub stores: Vec<(Outcome, u64)>,
    /// Ticks from the first store to the end of the last one.
    pub ticks: u64,
    /// How far apart the first thread and its rival began, beyond what was intended, in ticks.
    pub arrivals: Vec<u64>,
    /// What the threads allocated, where they were watched.
    pub judged: Option<Judged>,
    /// Copies that the kernel says the threads finished, or why it does not.
    pub copies: Result<u64, String>,
    /// Copies that kprobes say were begun and not kept, where there are any.
    pub probed: Option<i64>,
    /// What the threads waited, and the ticks that they were at it, where that was watched.
    pub waits: BTreeMap<WaitedFor, (Waited, u64)>,
    /// Ticks of each fork that fell between the first store and the end of the last one.
    pub forks: Vec<u64>,
    /// Ticks of each store that a fork overlapped.
    pub beside: Vec<u64>,
    /// What the thread that forks waited, where that was watched, and the ticks of its forks.
    pub fork_waits: BTreeMap<WaitedFor, (Waited, u64)>,
    /// Copies that the kernel says were thrown away meanwhile, on the whole machine; `None` where it does not count.
    pub backoffs: Option<u64>,
    /// Copies that it says were installed although the page had become exclusive.
    pub replaced: Option<u64>,
    /// What the kernel counted of all threads while they raced.
    pub usage: ThreadUsage,
    /// Data checks.
    pub integrity: Integrity,
    /// How the page state came about.
    pub setup: Setup,
}

/// Races over the pages of a trial.
pub(super) fn race_over(
    shared: &RaceShared,
    mut prepared: Prepared,
    lead: u64,
    watching: Watching,
    stored_for: u64,
) -> Result<RaceTrial, MemoryError> {
    let fill = match prepared.state.content {
        crate::memory::area::Content::Filled(fill) => fill,
        crate::memory::area::Content::Zero => 0,
    };
    let orders = Orders {
        fill,
        tag: prepared.tag,
        lead,
        watching,
        stored_for,
    };
    shared.begin(orders);
    let before = Vmstat::now();
    let fixture = prepared.fixture;
    let unmaps = shared.race.other_process == OtherProcess::Unmaps;
    match (shared.race.within, &mut prepared.state.sharer) {
        (Actor::Child, Some(child)) => {
            child.order(Order::Race)?;
        }
        (_, Some(sharer)) if unmaps => {
            sharer.tell(Order::Race)?;
            fixture.take_part(&prepared.state.area, prepared.state.pipe.as_ref(), false);
            sharer.hear(Order::Race)?;
        }
        _ => {
            fixture.take_part(&prepared.state.area, prepared.state.pipe.as_ref(), false);
        }
    }
    let now = Vmstat::now();
    if let Some(why) = shared.complaint() {
        return Err(MemoryError::Unsupported(why));
    }
    let mut usage = ThreadUsage::default();
    for record in &shared.records[..shared.threads()] {
        usage += record.usage();
    }
    // A store that userfaultfd has kept waiting is tried again, and counts as major, too.
    usage.major_faults = prepared.waited_of(usage.major_faults);
    if usage.major_faults > 0 {
        return Err(MemoryError::Moved(format!(
            "{} faults of the race waited for pages that had left memory since their state was proven",
            usage.major_faults
        )));
    }
    let after = prepared.stored_to(&prepared.pagemap_after()?);
    let judged = match watching {
        Watching::Allocations => Some(judge(shared, &prepared.before, &after)?),
        Watching::Nothing | Watching::Locks => None,
    };
    let threads = &shared.records[..shared.threads()];
    let copies = threads.iter().map(ThreadRecord::copies).sum();
    let integrity = check(shared, &mut prepared, orders)?;
    let TimedStores { each, span } = stores(shared, &prepared.before, &after)?;
    let forks: Vec<[u64; 2]> = shared.forks().filter(|fork| overlap(*fork, span)).collect();
    let all = shared
        .forks()
        .map(|[begin, end]| end.saturating_sub(begin))
        .sum();
    let fork_waits = waits(&shared.records[shared.other_process()], all);
    Ok(RaceTrial {
        beside: beside(shared, &forks),
        forks: forks
            .iter()
            .map(|[begin, end]| end.saturating_sub(*begin))
            .collect(),
        fork_waits,
        stores: each,
        ticks: span[1].saturating_sub(span[0]),
        arrivals: arrivals(shared),
        judged,
        copies,
        probed: threads.iter().map(|record| record.probed_late()).sum(),
        waits: all_waits(shared),
        backoffs: now.events_since(&before, vmstat::BACKOFF),
        replaced: now.events_since(&before, vmstat::REPLACED),
        usage,
        integrity,
        setup: prepared.setup.clone(),
    })
}

/// The waits of all threads, and the ticks from each one's first act to its last, added up.
fn all_waits(shared: &RaceShared) -> BTreeMap<WaitedFor, (Waited, u64)> {
    let each = (0..shared.threads()).map(|thread| {
        let (record, pages) = (&shared.records[thread], shared.pages_of(thread));
        let [begin, end] = [
            record.stamped(pages.start)[0],
            record.stamped(pages.end - 1)[1],
        ];
        waits(record, end.saturating_sub(begin))
    });
    each.reduce(|mut sum, one| {
        sum.retain(|what, _| one.contains_key(what));
        for (what, (waited, ticks)) in &mut sum {
            let (more, of) = one[what];
            waited.ns += more.ns;
            waited.times += more.times;
            *ticks += of;
        }
        sum
    })
    .unwrap_or_default()
}

/// The waits of one thread that was at it for so many ticks.
fn waits(record: &ThreadRecord, ticks: u64) -> BTreeMap<WaitedFor, (Waited, u64)> {
    let of = |what| Some((what, (record.waits(what)?, ticks)));
    WaitedFor::ALL.into_iter().filter_map(of).collect()
}

fn overlap(one: [u64; 2], other: [u64; 2]) -> bool {
    one[0] < other[1] && other[0] < one[1]
}

/// Ticks of the stores that one of `forks` overlapped.
fn beside(shared: &RaceShared, forks: &[[u64; 2]]) -> Vec<u64> {
    if forks.is_empty() {
        return Vec::new();
    }
    let mut ticks = Vec::new();
    for page in 0..shared.pages {
        for thread in storing(shared, page) {
            let store = shared.records[thread].stamped(page);
            if forks.iter().any(|&fork| overlap(fork, store)) {
                ticks.push(store[1].saturating_sub(store[0]));
            }
        }
    }
    ticks
}

/// The threads that store to `page`.
fn storing(shared: &RaceShared, page: usize) -> impl Iterator<Item = usize> + '_ {
    (0..shared.threads()).filter(move |&thread| {
        shared.race.access(thread) == Access::Store && shared.pages_of(thread).contains(&page)
    })
}

/// The stores of a trial.
struct TimedStores {
    /// What became of the page of each one, and its ticks.
    each: Vec<(Outcome, u64)>,
    /// When the first one began and the last one ended.
    span: [u64; 2],
}

/// An outcome is that of the page: the frame number does not tell which of several threads made the copy that was kept.
fn stores(shared: &RaceShared, before: &[Entry], after: &[Entry]) -> Result<TimedStores, WentBack> {
    let dropped =
        (0..shared.threads()).any(|thread| shared.race.access(thread) == Access::DontNeed);
    let mut each = Vec::new();
    let (mut first, mut last) = (u64::MAX, 0);
    for page in 0..shared.pages {
        let outcome = match frame(before[page], after[page]) {
            Some(FrameChange::Same) => Outcome::Reuse,
            // A page that was dropped before the store is filled by it; one that is gone was stored to
            // while it was still shared.
            Some(FrameChange::Changed) if dropped => Outcome::Fill,
            Some(FrameChange::Filled) => Outcome::Fill,
            Some(FrameChange::Changed | FrameChange::Gone) => Outcome::Copy,
            None => Outcome::Unknown,
        };
        for thread in storing(shared, page) {
            let [begin, end] = shared.records[thread].stamped(page);
            each.push((outcome, elapsed(begin, end)?));
            (first, last) = (first.min(begin), last.max(end));
        }
    }
    let span = [first, last];
    Ok(TimedStores { each, span })
}

/// Only threads that meet at a deadline have an arrival.
fn arrivals(shared: &RaceShared) -> Vec<u64> {
    let follows =
        shared.race.other_process != OtherProcess::Rests && shared.placement.other_process_shares();
    if shared.race.rendezvous == Rendezvous::Free || shared.threads() < 2 || follows {
        return Vec::new();
    }
    let [first, rival] = [&shared.records[0], &shared.records[1]];
    (0..shared.pages)
        .map(|page| {
            let apart = rival.stamped(page)[0].wrapping_sub(first.stamped(page)[0]) as i64;
            let intended = shared.skew + super::thread::swept(page, shared.sweep) as i64;
            (apart - intended).unsigned_abs()
        })
        .collect()
}

/// Every thread's word is there, the pattern around it is whole, the other process sees the old data,
/// and readers saw old or new data; those under the lock what was stored last.
fn check(
    shared: &RaceShared,
    prepared: &mut Prepared,
    orders: Orders,
) -> Result<Integrity, MemoryError> {
    let words = prepared.state.area.line_words_checked(shared.threads());
    let mut integrity = Integrity {
        checked: words,
        violations: 0,
    };
    integrity.violations += match (shared.race.within, &mut prepared.state.sharer) {
        (Actor::Child, Some(child)) => child.order(Order::CheckLines(orders.fill, orders.tag))?,
        _ => violations(shared, &prepared.state.area, orders.fill, orders.tag),
    };
    let parent_dropped = prepared.fixture.scenario.has(Step::ParentDrops);
    match (
        shared.race.within,
        shared.race.other_process,
        &mut prepared.state.sharer,
    ) {
        (Actor::Child, _, _) if parent_dropped => {}
        (Actor::Child, _, _) => {
            integrity.checked += words;
            integrity.violations += violations(shared, &prepared.state.area, orders.fill, 0);
        }
        (Actor::Parent, OtherProcess::Rests, Some(child)) => {
            integrity.checked += words;
            integrity.violations += child.order(Order::CheckLines(orders.fill, 0))?;
        }
        _ => {}
    }
    let dropped = drops(shared);
    let mut saw = |record: usize, tag: u64| {
        for page in 0..shared.pages {
            let saw = shared.records[record].noted(page);
            let fine = plausible(orders.fill, tag, page, saw) || (dropped && saw[0] == 0);
            integrity.checked += 2;
            integrity.violations += u64::from(!fine);
        }
    };
    for thread in 0..shared.threads() {
        if matches!(
            shared.race.access(thread),
            Access::Read | Access::Pin | Access::ReadAndRelease
        ) {
            saw(thread, thread_tag(orders.tag, 0));
        }
    }
    if shared.race.other_process != OtherProcess::Rests {
        // The other process must not see the store: a tag that nobody uses.
        saw(shared.other_process(), u64::MAX / 2);
    }
    for thread in 0..shared.threads() {
        if shared.race.access(thread) == Access::ReadLocked {
            integrity.checked += 2 * shared.pages as u64;
            integrity.violations += ReadLocked::stale(shared, thread);
        }
    }
    Ok(integrity)
}
