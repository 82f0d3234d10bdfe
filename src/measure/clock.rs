//! The clock that times stores: which source can be trusted, how fast it ticks, what reading it costs.

use std::arch::asm;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::record::clock::ClockSource;

/// A source of timestamps, chosen at compile time so that the timed loop contains nothing else.
pub trait Ticks {
    /// The present tick. Everything before the call has executed.
    fn now() -> u64;
}

/// See [`ClockSource::Tsc`].
pub struct Tsc;

#[cfg(target_arch = "x86_64")]
impl Ticks for Tsc {
    #[inline(always)]
    fn now() -> u64 {
        let (low, high): (u32, u32);
        // SAFETY: rdtscp reads a counter and clobbers ecx; lfence orders it before what follows.
        // Without `nomem` the compiler moves no store across.
        unsafe {
            asm!("rdtscp", "lfence", out("eax") low, out("edx") high, out("ecx") _, options(nostack));
        }
        u64::from(high) << 32 | u64::from(low)
    }
}

#[cfg(not(target_arch = "x86_64"))]
impl Ticks for Tsc {
    fn now() -> u64 {
        MonotonicRaw::now()
    }
}

/// See [`ClockSource::Cntvct`].
pub struct Cntvct;

#[cfg(target_arch = "aarch64")]
impl Ticks for Cntvct {
    #[inline(always)]
    fn now() -> u64 {
        let ticks: u64;
        // SAFETY: reads the virtual counter, which Linux allows user space; isb orders it after what
        // went before. Without `nomem` the compiler moves no store across.
        unsafe { asm!("isb", "mrs {}, cntvct_el0", out(reg) ticks, options(nostack)) };
        ticks
    }
}

#[cfg(not(target_arch = "aarch64"))]
impl Ticks for Cntvct {
    fn now() -> u64 {
        MonotonicRaw::now()
    }
}

/// Ticks per second of aarch64's counter, which firmware states and Linux goes by too.
#[cfg(target_arch = "aarch64")]
fn cntfrq() -> f64 {
    let hz: u64;
    // SAFETY: reads a register that Linux allows user space.
    unsafe { asm!("mrs {}, cntfrq_el0", out(reg) hz, options(nomem, nostack)) };
    hz as f64
}

#[cfg(not(target_arch = "aarch64"))]
fn cntfrq() -> f64 {
    1e9
}

/// See [`ClockSource::MonotonicRaw`].
pub struct MonotonicRaw;

impl Ticks for MonotonicRaw {
    #[inline(always)]
    fn now() -> u64 {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the pointer is to a live timespec; this clock id exists on every Linux.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_RAW, &raw mut time) };
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }
}

/// A clock that was further before than it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the clock went back by {0} ticks between two readings of one thread: needs one that does not, such as a TSC that is the same on all CPUs; see /sys/devices/system/clocksource/clocksource0/current_clocksource"
)]
pub struct WentBack(u64);

/// The ticks from one reading to a later one.
///
/// # Errors
/// If the later one is less.
pub fn elapsed(from: u64, to: u64) -> Result<u64, WentBack> {
    to.checked_sub(from).ok_or_else(|| WentBack(from - to))
}

/// A calibrated clock.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clock {
    /// Where timestamps come from.
    pub source: ClockSource,
    /// Ticks per second.
    pub hz: f64,
    /// What an empty interval between two chained readings comes to, median, in ns.
    pub overhead_ns: f64,
    /// Why it is not the architecture's counter; empty if it is.
    pub note: String,
}

impl Clock {
    /// Chooses the best source that can be trusted here and calibrates it, which takes 50 ms.
    ///
    /// Where instructions are counted (`exact`) the TSC is the count: one tick for each, whatever
    /// CPUID says of it, and nothing to calibrate. aarch64's counter says its rate itself; there, too, a nanosecond is an
    /// instruction where these are counted, and a tick is several.
    pub fn detect(exact: bool) -> Self {
        let (source, note) = if exact && cfg!(target_arch = "x86_64") {
            (ClockSource::Tsc, String::new())
        } else {
            choose(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default())
        };
        let hz = match source {
            ClockSource::Tsc if exact => 1e9,
            ClockSource::Tsc => calibrate::<Tsc>(),
            ClockSource::Cntvct => cntfrq(),
            ClockSource::MonotonicRaw => 1e9,
        };
        let mut clock = Clock {
            source,
            hz,
            overhead_ns: 0.0,
            note,
        };
        clock.overhead_ns = match source {
            ClockSource::Tsc => overhead::<Tsc>(&clock),
            ClockSource::Cntvct => overhead::<Cntvct>(&clock),
            ClockSource::MonotonicRaw => overhead::<MonotonicRaw>(&clock),
        };
        clock
    }

    /// An interval of `ticks` in nanoseconds.
    pub fn ns(&self, ticks: u64) -> f64 {
        ticks as f64 * 1e9 / self.hz
    }
}

/// On x86-64 the TSC counts at one rate in every power state only if `constant_tsc` (CPUID
/// 0x80000007 EDX bit 8, with `nonstop_tsc`) says so. aarch64's counter always does.
fn choose(cpuinfo: &str) -> (ClockSource, String) {
    if cfg!(target_arch = "aarch64") {
        return (ClockSource::Cntvct, String::new());
    }
    if !cfg!(target_arch = "x86_64") {
        return (
            ClockSource::MonotonicRaw,
            "no counter is known for this architecture".into(),
        );
    }
    let has = |flag: &str| {
        cpuinfo
            .lines()
            .find(|line| line.starts_with("flags"))
            .is_some_and(|line| line.split_whitespace().any(|word| word == flag))
    };
    let missing: Vec<&str> = ["rdtscp", "constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !has(flag))
        .collect();
    if missing.is_empty() {
        (ClockSource::Tsc, String::new())
    } else {
        let note = format!(
            "the TSC is not used: an invariant one is needed and /proc/cpuinfo lacks {}",
            missing.join(", ")
        );
        (ClockSource::MonotonicRaw, note)
    }
}

/// Ticks per second against CLOCK_MONOTONIC_RAW over 50 ms; each end is the closest of several
/// brackets, so that an interrupt between the two readings does not count.
fn calibrate<T: Ticks>() -> f64 {
    let bracket = || {
        (0..16)
            .map(|_| {
                let before = T::now();
                let raw = MonotonicRaw::now();
                let after = T::now();
                (after - before, before + (after - before) / 2, raw)
            })
            .min()
            .unwrap_or_default()
    };
    let (_, ticks, raw) = bracket();
    std::thread::sleep(Duration::from_millis(50));
    let (_, ticks_end, raw_end) = bracket();
    (ticks_end - ticks) as f64 * 1e9 / (raw_end - raw) as f64
}

fn overhead<T: Ticks>(clock: &Clock) -> f64 {
    let mut stamps = [0; 1001];
    for _ in 0..2 {
        for stamp in &mut stamps {
            *stamp = T::now();
        }
    }
    let mut gaps: Vec<u64> = stamps.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    clock.ns(gaps[gaps.len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_goes_back_is_no_long_time() {
        assert_eq!(elapsed(5, 7), Ok(2));
        assert_eq!(elapsed(7, 5), Err(WentBack(2)));
    }

    #[test]
    fn the_clock_agrees_with_the_kernels() {
        let clock = Clock::detect(false);
        let now = || match clock.source {
            ClockSource::Tsc => Tsc::now(),
            ClockSource::Cntvct => Cntvct::now(),
            ClockSource::MonotonicRaw => MonotonicRaw::now(),
        };
        let (start, raw) = (now(), MonotonicRaw::now());
        std::thread::sleep(Duration::from_millis(20));
        let (end, raw_end) = (now(), MonotonicRaw::now());
        let ratio = clock.ns(end - start) / (raw_end - raw) as f64;
        assert!((0.99..1.01).contains(&ratio), "{clock:?}: off by {ratio}");
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_tsc_that_is_not_invariant_is_refused_with_the_reason() {
        let (source, note) = choose("flags\t\t: fpu tsc rdtscp constant_tsc\n");
        assert_eq!(source, ClockSource::MonotonicRaw);
        assert!(note.contains("nonstop_tsc"), "{note}");
        let (source, note) = choose("flags\t\t: fpu rdtscp constant_tsc nonstop_tsc\n");
        assert_eq!((source, note.as_str()), (ClockSource::Tsc, ""));
    }
}
