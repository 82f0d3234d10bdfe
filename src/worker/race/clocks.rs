//! Whether the CPUs of a race have the same clock: deadlines and stamps of one are compared with those of another.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Release};

use crate::measure::clock::{Cntvct, Ticks, Tsc};
use crate::memory::MemoryError;
use crate::record::clock::ClockSource;
use crate::sys::affinity::pin_from_elsewhere;

/// Readings that two CPUs exchange.
const ROUNDS: usize = 64;

/// Compares the clock of the first CPU with that of each other one.
///
/// # Errors
/// If two of them differ for certain, or a CPU is not to be had.
pub(super) fn compare(source: ClockSource, cpus: &[u32]) -> Result<(), MemoryError> {
    let (first, others) = cpus
        .split_first()
        .map_or((0, cpus), |(one, rest)| (*one, rest));
    let mut others = others.to_vec();
    others.sort_unstable();
    others.dedup();
    for other in others.into_iter().filter(|&other| other != first) {
        let pair = [first, other];
        let rounds = match source {
            ClockSource::Tsc => exchange::<Tsc>(pair),
            ClockSource::Cntvct => exchange::<Cntvct>(pair),
            // The kernel answers for this one.
            ClockSource::MonotonicRaw => continue,
        }?;
        if let Some(ticks) = certain_offset(&rounds) {
            return Err(MemoryError::Unsupported(format!(
                "needs the same clock on the CPUs that race; found: that of CPU {other} is {} ticks {} that of CPU {first}; mend with: --cpus with CPUs of one package",
                ticks.unsigned_abs(),
                if ticks > 0 { "ahead of" } else { "behind" }
            )));
        }
    }
    Ok(())
}

/// What the first CPU read, what the other one read after it had heard that, and what the first one read after it had heard
/// of that.
type Round = [u64; 3];

/// The least by which the other CPU's clock must be ahead (or, negative, behind) for these rounds to be as they are; `None`
/// where clocks that agree can give them.
fn certain_offset(rounds: &[Round]) -> Option<i64> {
    let ahead = |to: u64, from: u64| to.wrapping_sub(from).cast_signed();
    let least = rounds
        .iter()
        .map(|&[_, other, after]| ahead(other, after))
        .max()?;
    let most = rounds
        .iter()
        .map(|&[before, other, _]| ahead(other, before))
        .min()?;
    match (least > 0, most < 0) {
        (true, _) => Some(least),
        (_, true) => Some(most),
        _ => None,
    }
}

fn exchange<T: Ticks>(cpus: [u32; 2]) -> Result<Vec<Round>, MemoryError> {
    // 0: nobody's turn yet; a reading otherwise.
    let (asked, answered) = (AtomicU64::new(0), AtomicU64::new(0));
    let hear = |from: &AtomicU64| loop {
        match from.swap(0, Acquire) {
            0 => std::hint::spin_loop(),
            reading => break reading,
        }
    };
    let refused =
        |error| MemoryError::Unsupported(format!("comparing the clocks of CPUs: {error}"));
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let pinned = pin_from_elsewhere(cpus[1]);
            // Answered even where it is on another CPU: somebody waits.
            for _ in 0..ROUNDS {
                hear(&asked);
                answered.store(T::now().max(1), Release);
            }
            pinned
        });
        let first = scope.spawn(|| {
            let pinned = pin_from_elsewhere(cpus[0]);
            let mut rounds = Vec::with_capacity(ROUNDS);
            for _ in 0..ROUNDS {
                let before = T::now().max(1);
                asked.store(before, Release);
                let other = hear(&answered);
                rounds.push([before, other, T::now()]);
            }
            pinned.map(|()| rounds)
        });
        let gone = || MemoryError::Unsupported("a thread that compared clocks is gone".into());
        other.join().map_err(|_| gone())?.map_err(refused)?;
        first.join().map_err(|_| gone())?.map_err(refused)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_offset_that_no_delay_explains_is_certain() {
        assert_eq!(certain_offset(&[[10, 15, 20], [30, 60, 90]]), None);
        assert_eq!(certain_offset(&[[10, 15, 20], [30, 135, 90]]), Some(45));
        assert_eq!(
            certain_offset(&[[100, 15, 120], [130, 190, 190]]),
            Some(-85)
        );
        assert_eq!(certain_offset(&[]), None);
    }

    #[test]
    fn the_clocks_of_this_machine_agree_or_are_told_of() {
        let cpus = crate::sys::affinity::allowed(0).unwrap();
        for source in [
            ClockSource::Tsc,
            ClockSource::Cntvct,
            ClockSource::MonotonicRaw,
        ] {
            assert!(compare(source, &[cpus[0], cpus[0]]).is_ok());
            match compare(source, &cpus) {
                Ok(()) => {}
                Err(why) if source != ClockSource::MonotonicRaw => {
                    assert!(why.to_string().contains("ticks"), "{why}");
                }
                Err(why) => panic!("the kernel's own: {why}"),
            }
        }
    }
}
