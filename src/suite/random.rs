//! Random numbers of a run.

use crate::stats::ratio::SplitMix64;

/// A seed that no two runs share, from the kernel's random numbers.
pub fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    match std::fs::File::open("/dev/urandom")
        .and_then(|mut f| std::io::Read::read_exact(&mut f, &mut bytes))
    {
        // 53 bits: every JSON reader keeps such a number whole.
        Ok(()) => u64::from_ne_bytes(bytes) >> 11,
        Err(_) => u64::from(std::process::id()),
    }
}

/// Fisher and Yates.
pub(super) fn shuffle(items: &mut [usize], random: &mut SplitMix64) {
    for last in (1..items.len()).rev() {
        items.swap(last, (random.bits() % (last as u64 + 1)) as usize);
    }
}
