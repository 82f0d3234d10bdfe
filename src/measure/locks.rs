//! How long a thread waits for locks in the kernel: the tracepoints lock:contention_begin and
//! lock:contention_end (Linux 5.19), which stand in the slow paths alone and cost nothing where nobody
//! waits.
//!
//! A spin lock's first waiter on bare metal spins without passing them, so with two threads the share
//! is a lower bound there; under a hypervisor with paravirtual locks every waiter passes them.

use std::io;

use perf_event::events::Tracepoint;
use perf_event::{Builder, SampleFlag, Sampler};
use serde::{Deserialize, Serialize};

use crate::machine::tracing;

/// `PERF_RECORD_SAMPLE`, of which only the time is asked for.
const SAMPLE: u32 = 9;
/// Bytes of a record.
const RECORD: usize = 16;

/// The ids of both tracepoints.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Contention {
    begin: u64,
    end: u64,
}

impl Contention {
    /// Looks them up.
    ///
    /// # Errors
    /// What is missing and what mends it.
    pub fn find() -> Result<Self, String> {
        let id = |name| {
            tracing::tracepoint_id("lock", name).map_err(|e| format!("{e}; Linux 5.19 has it"))
        };
        Ok(Contention {
            begin: id("contention_begin")?,
            end: id("contention_end")?,
        })
    }
}

/// What a thread waited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Watches the calling thread from now on; has room for so many waits.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn open(contention: &Contention, waits: usize) -> Result<Self, String> {
        let sampler = |id| {
            let refused = |e: io::Error| crate::measure::counters::reason(&e);
            let mut counter = Builder::new(Tracepoint::with_id(id))
                .include_kernel()
                .sample_period(1)
                .sample(SampleFlag::TIME)
                .build()
                .map_err(refused)?;
            counter.enable().map_err(refused)?;
            counter
                .sampled((waits * RECORD).max(4096))
                .map_err(|e| format!("a perf ring buffer: {e}"))
        };
        Ok(LockWatch {
            begins: sampler(contention.begin)?,
            ends: sampler(contention.end)?,
        })
    }

    /// Stops watching. Every wait begins and ends on this thread, so the sum of the ends less that of
    /// the beginnings is the time waited, however waits lie within each other.
    ///
    /// # Errors
    /// When the kernel had no room for every wait.
    pub fn finish(mut self) -> Result<Waited, String> {
        let (begun, from) = sum(&mut self.begins);
        let (ended, to) = sum(&mut self.ends);
        if begun != ended {
            return Err(format!("{begun} waits for locks began and {ended} ended"));
        }
        Ok(Waited {
            ns: to.wrapping_sub(from),
            times: begun,
        })
    }
}

/// How many samples there are, and the sum of their times in ns.
fn sum(sampler: &mut Sampler) -> (u64, u64) {
    let (mut samples, mut sum) = (0, 0u64);
    while let Some(record) = sampler.next_record() {
        let time = record.to_contiguous();
        if let (SAMPLE, Some(time)) = (record.ty(), time.first_chunk::<8>()) {
            samples += 1;
            sum = sum.wrapping_add(u64::from_ne_bytes(*time));
        }
    }
    (samples, sum)
}
