//! Kernel stacks of one process at regular moments.

use std::collections::HashMap;
use std::io;

use nix::unistd::Pid;
use perf_event::events::{Hardware, Software};
use perf_event::{Builder, SampleFlag};

use crate::machine::capability::perf;

/// Bytes of the buffer between kernel and program; a power of two.
const BUFFER: usize = 4 << 20;
/// Nanoseconds from one sample of cpu-clock to the next.
const CLOCK_PERIOD: u64 = 40_000;
/// Cycles from one sample to the next.
const CYCLES_PERIOD: u64 = 100_000;
/// Values from here on are marks in a call chain, not addresses (PERF_CONTEXT_MAX).
const MARKS: u64 = -4095_i64 as u64;
/// Kinds of records (perf_event_open(2)).
const LOST: u32 = 2;
const THROTTLE: u32 = 5;
const SAMPLE: u32 = 9;
const LOST_SAMPLES: u32 = 13;
/// The first address of the kernel's half, on x86-64 and aarch64 alike.
const KERNEL: u64 = 1 << 63;

/// Samples of stacks.
#[derive(Clone, Debug, Default)]
pub struct Stacks {
    /// How often each was seen; addresses of the kernel, innermost first.
    pub seen: HashMap<Vec<u64>, u64>,
    /// Samples in user space, which are not among them.
    pub user: u64,
    /// Samples that the kernel had no room for.
    pub lost: u64,
    /// How often the kernel paused because samples came too fast.
    pub throttled: u64,
}

impl Stacks {
    /// Adds a record of the kernel's, given what follows its header (perf_event_open(2)).
    ///
    /// The library's own parser refuses a sample whose call chain is empty, as those in user space are.
    fn take(&mut self, kind: u32, body: &[u8]) {
        let word = |at: usize| {
            let bytes = body.get(8 * at..8 * at + 8)?;
            Some(u64::from_ne_bytes(bytes.try_into().ok()?))
        };
        match kind {
            SAMPLE => match word(0) {
                Some(ip) if ip >= KERNEL => {
                    let length = word(1).unwrap_or_default() as usize;
                    let chain = (0..length).map_while(|index| word(2 + index));
                    let addresses = chain.filter(|it| (KERNEL..MARKS).contains(it));
                    *self.seen.entry(addresses.collect()).or_default() += 1;
                }
                _ => self.user += 1,
            },
            LOST => self.lost += word(1).unwrap_or_default(),
            LOST_SAMPLES => self.lost += word(0).unwrap_or_default(),
            THROTTLE => self.throttled += 1,
            _ => {}
        }
    }

    /// All samples.
    pub fn samples(&self) -> u64 {
        self.user + self.seen.values().sum::<u64>()
    }
}

/// Samples one process while it is started.
pub struct Sampler {
    inner: perf_event::Sampler,
    /// `cycles` or `cpu-clock`.
    pub event: &'static str,
    /// Cycles, or nanoseconds, from one sample to the next.
    pub period: u64,
}

impl Sampler {
    /// Opens a stopped sampler of this process or another: cycles where there is a PMU, else the clock.
    ///
    /// # Errors
    /// If the kernel refuses, with the remedy.
    pub fn open(pid: Option<Pid>) -> Result<Self, String> {
        open(Builder::new(Hardware::CPU_CYCLES), pid, CYCLES_PERIOD)
            .map(|inner| (inner, "cycles", CYCLES_PERIOD))
            .or_else(|_| {
                open(Builder::new(Software::CPU_CLOCK), pid, CLOCK_PERIOD)
                    .map(|inner| (inner, "cpu-clock", CLOCK_PERIOD))
            })
            .map(|(inner, event, period)| Self {
                inner,
                event,
                period,
            })
            .map_err(|error| perf::refused("sampled stacks of the kernel", &error).to_string())
    }

    /// Begins to sample.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn start(&mut self) -> io::Result<()> {
        self.inner.enable()
    }

    /// Stops and adds what was sampled.
    ///
    /// # Errors
    /// As ioctl(2).
    pub fn stop(&mut self, stacks: &mut Stacks) -> io::Result<()> {
        self.inner.disable()?;
        while let Some(record) = self.inner.next_record() {
            stacks.take(record.ty(), &record.to_contiguous());
        }
        Ok(())
    }
}

fn open(
    mut builder: Builder<'_>,
    pid: Option<Pid>,
    period: u64,
) -> io::Result<perf_event::Sampler> {
    match pid {
        Some(pid) => builder.observe_pid(pid.as_raw()),
        None => builder.observe_self(),
    };
    builder
        .enabled(false)
        .include_kernel()
        .exclude_callchain_user(true)
        .sample_period(period)
        .sample(SampleFlag::IP | SampleFlag::CALLCHAIN);
    builder.build()?.sampled(BUFFER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn samples_of_the_kernel_keep_their_stacks_and_those_of_user_space_are_counted() {
        let mut stacks = Stacks::default();
        let kernel = -128_i64 as u64;
        let (ip, caller) = (0xffff_ffff_8000_0010, 0xffff_ffff_8000_0500);
        stacks.take(SAMPLE, &body(&[ip, 3, kernel, ip, caller]));
        stacks.take(SAMPLE, &body(&[ip, 3, kernel, ip, caller]));
        stacks.take(SAMPLE, &body(&[0x5555_0000, 0]));
        stacks.take(LOST, &body(&[1, 40]));
        stacks.take(LOST_SAMPLES, &body(&[2]));
        stacks.take(THROTTLE, &body(&[0, 0, 0]));
        assert_eq!(stacks.seen, HashMap::from([(vec![ip, caller], 2)]));
        assert_eq!((stacks.samples(), stacks.user), (3, 1));
        assert_eq!((stacks.lost, stacks.throttled), (42, 1));
    }
}
