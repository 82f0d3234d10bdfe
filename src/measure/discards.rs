//! Watches what one thread allocates and frees: how discarded copies are counted.
//!
//! On pages that are present and read-only (order 0, anonymous), the pages allocated by storing
//! threads are those that were kept, the copies thrown away (late) and the zeroed pages thrown away
//! (none). The tracepoint kmem:mm_page_alloc, counted per thread, tells movable order-0 allocations;
//! `__GFP_ZERO` tells zeroed ones; page frame numbers tell which one was kept. kmem:mm_page_free tells
//! that a copier freed the old page itself, so that nobody else had it any more: a futile copy.

use std::io;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use perf_event::events::{Software, Tracepoint};
use perf_event::{Builder, Counter, ReadFormat, SampleFlag, Sampler};
use serde::{Deserialize, Serialize};

use crate::memory::area::SharedWords;
use crate::sys::tracing::{self, Field};

/// `__GFP_ZERO`, alike on Linux 5.10 to 7.2.
const GFP_ZERO: u64 = 0x100;
/// Order 0 and `__GFP_MOVABLE` (0x8): pages for user space.
const ALLOCATIONS: &std::ffi::CStr = c"order==0 && gfp_flags&8";
const FREES: &std::ffi::CStr = c"order==0";
/// Bytes of the longer of the two records in the ring.
const RECORD: usize = 64;
/// The kernel had no room for a record (`PERF_RECORD_LOST`).
const LOST: u32 = 2;
/// `PERF_RECORD_SAMPLE`.
const SAMPLE: u32 = 9;

/// The tracepoints and where their fields lie on this kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tracepoints {
    alloc: u64,
    alloc_pfn: Field,
    alloc_flags: Field,
    free: u64,
    free_pfn: Field,
}

impl Tracepoints {
    /// Looks them up.
    ///
    /// # Errors
    /// What is missing and what mends it.
    pub fn find() -> Result<Self, String> {
        let id = |name| tracing::tracepoint_id("kmem", name).map_err(|e| e.to_string());
        let field = |name, field| tracing::field("kmem", name, field).map_err(|e| e.to_string());
        Ok(Tracepoints {
            alloc: id("mm_page_alloc")?,
            alloc_pfn: field("mm_page_alloc", "pfn")?,
            alloc_flags: field("mm_page_alloc", "gfp_flags")?,
            free: id("mm_page_free")?,
            free_pfn: field("mm_page_free", "pfn")?,
        })
    }
}

/// How long counters may take to begin: several ticks of the slowest clock (100 Hz).
const PATIENCE: Duration = Duration::from_millis(100);

/// A page that the thread allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocated {
    /// Its page frame number.
    pub pfn: u64,
    /// Zeroed, so not for a copy.
    pub zeroed: bool,
}

/// How far the counts were at some moment: events before it have smaller numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Page faults in user mode.
    pub faults: u64,
    /// Movable order-0 pages allocated.
    pub allocated: u64,
    /// Order-0 pages freed.
    pub freed: u64,
}

/// Words that a [`Mark`] takes in a buffer.
pub const MARK_WORDS: usize = 3;

/// The watch over the thread that opened it.
pub struct AllocationWatch {
    leader: Counter,
    allocations: Sampler,
    frees: Sampler,
    tracepoints: Tracepoints,
}

impl AllocationWatch {
    /// Watches the calling thread; has room for so many allocations and so many frees.
    ///
    /// # Errors
    /// What the kernel refused and what mends it.
    pub fn open(
        tracepoints: &Tracepoints,
        allocations: usize,
        frees: usize,
    ) -> Result<Self, String> {
        let refused = |e: io::Error| crate::measure::counters::reason(&e);
        let times = ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING;
        // The leader is opened stopped and its members running: the other way round they would not
        // count until the next context switch.
        let mut leader = Builder::new(Software::PAGE_FAULTS)
            .enabled(false)
            .include_kernel()
            .read_format(ReadFormat::GROUP | times)
            .build()
            .map_err(refused)?;
        let mut member = |id: u64, filter: &std::ffi::CStr, records: usize| {
            let counter = Builder::new(Tracepoint::with_id(id))
                .enabled(true)
                .include_kernel()
                .sample_period(1)
                .sample(SampleFlag::RAW)
                .read_format(ReadFormat::GROUP | times)
                .build_with_group(&mut leader)
                .map_err(refused)?;
            set_filter(&counter, filter).map_err(|e| format!("a filter on tracepoints: {e}"))?;
            counter
                .sampled((records * RECORD).max(4096))
                .map_err(|e| format!("a perf ring buffer: {e}; needs CAP_IPC_LOCK or a larger kernel.perf_event_mlock_kb"))
        };
        let allocations = member(tracepoints.alloc, ALLOCATIONS, allocations)?;
        let frees = member(tracepoints.free, FREES, frees)?;
        Ok(AllocationWatch {
            leader,
            allocations,
            frees,
            tracepoints: tracepoints.clone(),
        })
    }

    /// Starts counting from zero.
    ///
    /// # Errors
    /// When the counters do not count.
    pub fn start(&mut self) -> io::Result<()> {
        self.leader.reset_group()?;
        self.leader.enable_group()?;
        let began = Instant::now();
        while self.mark().is_none() {
            // Where the kernel's clock moves by ticks, they have counted for no time at first.
            if began.elapsed() > PATIENCE {
                return Err(io::Error::other("opened, but they do not count"));
            }
        }
        Ok(())
    }

    /// The counts at this moment; allocates nothing. `None` when nothing counted.
    #[inline]
    pub fn mark(&self) -> Option<Mark> {
        // Number of counters, time enabled, time running, and each counter's value and id.
        let mut words = [0u64; 9];
        let length = size_of_val(&words);
        // SAFETY: the buffer is as long as the length says.
        let got = unsafe { libc::read(self.leader.as_raw_fd(), words.as_mut_ptr().cast(), length) };
        (got == length as isize && words[0] == 3 && words[2] > 0).then_some(Mark {
            faults: words[3],
            allocated: words[5],
            freed: words[7],
        })
    }

    /// Stops counting and writes every event to `events`, for [`events`] to read.
    ///
    /// # Errors
    /// When the kernel or `events` had no room for them all.
    pub fn finish(mut self, events: &SharedWords) -> Result<(), String> {
        self.leader
            .disable_group()
            .map_err(|e| format!("stopping the tracepoints: {e}"))?;
        let counted = self.mark();
        let mut at = 2;
        let spec = self.tracepoints.clone();
        let mut allocated = 0;
        drain(&mut self.allocations, |record| {
            let pfn = spec.alloc_pfn.read(record).ok_or("a short record")?;
            let flags = spec.alloc_flags.read(record).ok_or("a short record")?;
            put(events, &mut at, pfn << 1 | u64::from(flags & GFP_ZERO != 0))?;
            allocated += 1;
            Ok(())
        })?;
        let mut freed = 0;
        drain(&mut self.frees, |record| {
            let pfn = spec.free_pfn.read(record).ok_or("a short record")?;
            put(events, &mut at, pfn)?;
            freed += 1;
            Ok(())
        })?;
        // A ring that is full says so only with the next record that it has room for.
        if let Some(Mark {
            allocated: all,
            freed: given_back,
            ..
        }) = counted
            && (all, given_back) != (allocated, freed)
        {
            return Err(format!(
                "the kernel had room for {allocated} of {all} allocations and {freed} of {given_back} frees: fewer --pages"
            ));
        }
        events
            .atomic(0)
            .store(allocated, std::sync::atomic::Ordering::Relaxed);
        events
            .atomic(1)
            .store(freed, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}

fn put(events: &SharedWords, at: &mut usize, word: u64) -> Result<(), String> {
    if *at >= events.len() {
        return Err(format!("more than {} allocations and frees", events.len()));
    }
    events
        .atomic(*at)
        .store(word, std::sync::atomic::Ordering::Relaxed);
    *at += 1;
    Ok(())
}

/// What [`AllocationWatch::finish`] wrote: pages allocated and frames freed, each in order.
pub fn events(events: &SharedWords) -> (Vec<Allocated>, Vec<u64>) {
    let words = events.as_slice();
    let allocated = (words[0] as usize).min(words.len() - 2);
    let (allocations, rest) = words[2..].split_at(allocated);
    let freed = (words[1] as usize).min(rest.len());
    let allocations = allocations.iter().map(|word| Allocated {
        pfn: word >> 1,
        zeroed: word & 1 == 1,
    });
    (allocations.collect(), rest[..freed].to_vec())
}

fn drain(
    sampler: &mut Sampler,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    while let Some(record) = sampler.next_record() {
        match record.ty() {
            // A 32-bit length, then the tracepoint's record.
            SAMPLE => take(record.to_contiguous().get(4..).unwrap_or_default())?,
            LOST => return Err("the kernel had no room for every allocation: fewer --pages".into()),
            _ => {}
        }
    }
    Ok(())
}

mod abi {
    nix::ioctl_write_ptr!(set_filter, b'$', 6, *const libc::c_char);
}

fn set_filter(counter: &Counter, filter: &std::ffi::CStr) -> io::Result<()> {
    // SAFETY: the kernel reads a string from the pointer (the ioctl's number says "pointer to
    // pointer", its argument is the string itself), and the string outlives the call.
    unsafe { abi::set_filter(counter.as_raw_fd(), filter.as_ptr().cast()) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::tests::unforked;
    use crate::memory::pagemap::Pagemap;
    use crate::skip::{Need, skip};

    #[test]
    fn first_stores_are_zeroed_allocations_of_the_pages_that_are_there_afterwards() {
        let watch = Tracepoints::find().and_then(|found| AllocationWatch::open(&found, 256, 256));
        let mut watch = match watch {
            Ok(watch) => watch,
            Err(why) => {
                skip(Need::Tracefs, why);
                return;
            }
        };
        let (area, words) = (unforked(32), SharedWords::map(600).unwrap());
        watch.start().unwrap();
        let before = watch.mark().unwrap();
        area.fill(1);
        let after = watch.mark().unwrap();
        watch.finish(&words).unwrap();
        let (allocated, _) = events(&words);
        // Where another test has forked, the thread's stack copies a page in between: not a zeroed one.
        assert!(after.faults - before.faults >= 32);
        let allocated = &allocated[before.allocated as usize..after.allocated as usize];
        let zeroed: Vec<_> = allocated.iter().filter(|page| page.zeroed).collect();
        assert_eq!(zeroed.len(), 32);
        let there = Pagemap::own().unwrap().read(&area).unwrap();
        for (zeroed, there) in zeroed.iter().zip(there) {
            assert!(there.pfn().is_none_or(|pfn| pfn == zeroed.pfn));
        }
    }
}
