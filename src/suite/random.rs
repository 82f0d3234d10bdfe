//! Random numbers of a run.

/// A seed that no two runs share. 53 bits: every JSON reader keeps such a number whole.
pub fn random_seed() -> u64 {
    fastrand::u64(..1 << 53)
}
