//! How long a thread waits in the kernel: what passes between two events of the same thread.
//!
//! For any lock these are the tracepoints lock:contention_begin and lock:contention_end (Linux 5.19), which stand in the slow
//! paths alone and cost nothing where nobody waits; for the mmap lock mmap_lock:mmap_lock_start_locking and
//! mmap_lock_acquire_returned (Linux 5.11); for a VMA's lock the entry of a function and its return.
//!
//! A spin lock's first waiter on bare metal spins without passing them, so with two threads the share
//! is a lower bound there; under a hypervisor with paravirtual locks every waiter passes them.

use std::collections::BTreeMap;
use std::io;

use perf_event::events::{KProbe, Tracepoint};
use perf_event::{Builder, SampleFlag, Sampler};
use serde::{Deserialize, Serialize};

use crate::record::race::WaitedFor;
use crate::sys::tracing;

/// `PERF_RECORD_SAMPLE`, of which only the time is asked for.
const SAMPLE: u32 = 9;
/// The kernel had no room for a record (`PERF_RECORD_LOST`).
const LOST: u32 = 2;
/// Bytes of a record.
const RECORD: usize = 16;

/// Where fork, mprotect and others wait for those who have a VMA locked for reading; up to 6.14 a part of its callers, whose waits
/// lock:contention_begin knows.
const VMA_LOCKED: &str = "__vma_start_write";

/// The two events between which a thread waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum WaitEvents {
    /// Tracepoints, by their ids.
    Tracepoints {
        /// Where a wait begins.
        begin: u64,
        /// Where it ends.
        end: u64,
    },
    /// The entry and the return of `__vma_start_write()`.
    VmaLocked,
}

/// How each kind of wait is watched here, or what is missing and what mends it.
pub type WaitWatches = BTreeMap<WaitedFor, Result<WaitEvents, String>>;

/// Looks for the events of every kind of wait.
pub fn watches() -> WaitWatches {
    let pair = |category, [begin, end]: [&str; 2], since: &str| {
        let id = |name| {
            tracing::tracepoint_id(category, name).map_err(|e| format!("{e}; {since} has it"))
        };
        Ok(WaitEvents::Tracepoints {
            begin: id(begin)?,
            end: id(end)?,
        })
    };
    let mmap_lock = ["mmap_lock_start_locking", "mmap_lock_acquire_returned"];
    BTreeMap::from([
        (
            WaitedFor::Locks,
            pair("lock", ["contention_begin", "contention_end"], "Linux 5.19"),
        ),
        (
            WaitedFor::MmapLock,
            pair("mmap_lock", mmap_lock, "Linux 5.11"),
        ),
        (WaitedFor::VmaLock, vma_locked()),
    ])
}

fn vma_locked() -> Result<WaitEvents, String> {
    let returns = KProbe::retprobe(VMA_LOCKED, 0).and_then(|probe| builder(probe).build());
    returns.map(|_| WaitEvents::VmaLocked).map_err(|e| {
        format!(
            "no kprobe on {VMA_LOCKED}() ({}): needs CONFIG_KPROBE_EVENTS, root and Linux 6.15; from 6.4 to 6.14 it is part of its \
             callers, and its waits are among those for locks",
            crate::measure::counters::reason(&e)
        )
    })
}

/// Each time that it passes, stopped at first.
fn builder<E: perf_event::events::Event>(event: E) -> Builder<'static> {
    let mut builder = Builder::new(event);
    builder
        .enabled(false)
        .include_kernel()
        .sample_period(1)
        .sample(SampleFlag::TIME);
    builder
}

/// What a thread waited, by the clock of its events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// For so long, in ns.
    pub ns: u64,
    /// So many times.
    pub times: u64,
}

/// The watch over the thread that opened it.
pub struct LockWatch {
    begins: Sampler,
    ends: Sampler,
}

impl LockWatch {
    /// Watches the calling thread from [`LockWatch::start`] on; has room for so many waits.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(events: WaitEvents, waits: usize) -> Result<Self, String> {
        let sampler = |builder: io::Result<Builder<'static>>| {
            let counter = builder.and_then(|builder| builder.build());
            counter
                .map_err(|e| crate::measure::counters::reason(&e))?
                .sampled((waits * RECORD).max(4096))
                .map_err(|e| format!("a perf ring buffer: {e}"))
        };
        let [begins, ends] = match events {
            WaitEvents::Tracepoints { begin, end } => {
                [begin, end].map(|id| Ok(builder(Tracepoint::with_id(id))))
            }
            WaitEvents::VmaLocked => [
                KProbe::probe(VMA_LOCKED, 0).map(builder),
                KProbe::retprobe(VMA_LOCKED, 0).map(builder),
            ],
        };
        Ok(LockWatch {
            begins: sampler(begins)?,
            ends: sampler(ends)?,
        })
    }

    /// Starts watching.
    ///
    /// # Errors
    /// When the tracepoints cannot be switched on.
    pub fn start(&mut self) -> io::Result<()> {
        self.ends.enable()?;
        self.begins.enable()
    }

    /// Stops watching.
    ///
    /// # Errors
    /// When the tracepoints cannot be switched off.
    pub fn stop(&mut self) -> Result<(), String> {
        let stopped = self.begins.disable().and_then(|()| self.ends.disable());
        stopped.map_err(|e| format!("stopping the tracepoints: {e}"))
    }

    /// Stops watching and adds up.
    ///
    /// # Errors
    /// When the kernel had no room for every wait.
    pub fn finish(mut self) -> Result<Waited, String> {
        self.stop()?;
        total(&whole(&mut self.begins)?, &whole(&mut self.ends)?)
    }
}

/// When each wait began, or ended. A ring that is full takes no more, and says so only with the next record that it has room
/// for: what it holds is counted against what the event counted.
fn whole(sampler: &mut Sampler) -> Result<Vec<u64>, String> {
    let counted = sampler
        .read()
        .map_err(|e| format!("reading a tracepoint: {e}"))?;
    let times = times(sampler)?;
    match times.len() as u64 == counted {
        true => Ok(times),
        false => Err(format!(
            "the kernel had room for {} of {counted} waits: fewer --pages",
            times.len()
        )),
    }
}

/// When the samples were taken, in ns, in order.
fn times(sampler: &mut Sampler) -> Result<Vec<u64>, String> {
    let mut times = Vec::new();
    while let Some(record) = sampler.next_record() {
        times.extend(time(record.ty(), &record.to_contiguous())?);
    }
    Ok(times)
}

/// The time of one record, if it is a sample. Both ends of a wait can be lost alike, so that their numbers do not tell.
fn time(kind: u32, record: &[u8]) -> Result<Option<u64>, String> {
    match kind {
        SAMPLE => Ok(record.first_chunk().map(|&time| u64::from_ne_bytes(time))),
        LOST => Err("the kernel had no room for every wait: fewer --pages".into()),
        _ => Ok(None),
    }
}

/// The waits that began and ended while they were watched. Each begins and ends on the same thread, so
/// the sum of the ends less that of the beginnings is the time waited, however waits lie within each
/// other.
fn total(begins: &[u64], ends: &[u64]) -> Result<Waited, String> {
    let (Some(&first), Some(&last)) = (begins.first(), ends.last()) else {
        return Ok(Waited::default());
    };
    let begins = &begins[..begins.partition_point(|&begin| begin <= last)];
    let ends = &ends[ends.partition_point(|&end| end < first)..];
    if begins.len() != ends.len() {
        let (began, ended) = (begins.len(), ends.len());
        return Err(format!("{began} waits for locks began and {ended} ended"));
    }
    let sum = |times: &[u64]| {
        times
            .iter()
            .fold(0, |sum: u64, &time| sum.wrapping_add(time))
    };
    Ok(Waited {
        ns: sum(ends).wrapping_sub(sum(begins)),
        times: begins.len() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn waits_add_up_also_where_one_lies_in_another() {
        let waited = |begins: &[u64], ends: &[u64]| total(begins, ends);
        let both = Waited { ns: 30, times: 2 };
        assert_eq!(waited(&[100, 200], &[110, 220]), Ok(both));
        assert_eq!(waited(&[100, 105], &[110, 125]), Ok(both));
        assert_eq!(waited(&[], &[]), Ok(Waited::default()));
    }

    #[test]
    fn a_thread_that_maps_memory_asks_for_the_mmap_lock() {
        let watched = watches().remove(&WaitedFor::MmapLock).unwrap();
        let watch = watched.and_then(|events| LockWatch::open(events, 1 << 10));
        let mut watch = match watch {
            Ok(watch) => watch,
            Err(why) => return skip(Need::Tracefs, why),
        };
        watch.start().unwrap();
        // Not unmapped meanwhile: munmap() gives a part of the lock back, which is one end more.
        let area = crate::memory::area::Area::map(1).unwrap();
        watch.stop().unwrap();
        drop(area);
        assert!(watch.finish().unwrap().times >= 2, "mmap() and mprotect()");
    }

    #[test]
    fn a_record_that_was_lost_is_an_error() {
        let bytes = 7_u64.to_ne_bytes();
        assert_eq!(time(SAMPLE, &bytes), Ok(Some(7)));
        assert_eq!(time(14, &bytes), Ok(None));
        assert!(time(LOST, &bytes).is_err());
    }

    #[test]
    fn a_wait_at_the_edge_of_the_watch_is_left_out_and_a_lost_one_is_an_error() {
        let one = Waited { ns: 10, times: 1 };
        assert_eq!(total(&[100], &[90, 110]), Ok(one));
        assert_eq!(total(&[100, 300], &[110]), Ok(one));
        assert_eq!(total(&[100], &[]), Ok(Waited::default()));
        assert!(total(&[100, 200, 300], &[110, 310]).is_err());
    }
}
