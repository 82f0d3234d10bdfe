//! How far from zero numbers may be, how long lists and texts.

/// No number is further from zero, where nothing else is said: so many nanoseconds are three days, so many bytes 256 TiB.
pub(super) const MOST: u64 = 1 << 48;

/// All numbers of a file add up to no more, so that no sum over some of them overflows, nor over those of 255 files.
pub(super) const ALL: u64 = 1 << 56;

/// No list or map is longer, where nothing else is said.
pub(super) const LONGEST: usize = 1 << 14;

/// No text is longer, in bytes, but for histograms.
pub(super) const TEXT: usize = 1 << 14;

/// The furthest from zero that a number of that struct and key may be.
pub(super) fn most(holder: &str, key: &str) -> u64 {
    match (holder, key) {
        // It is never counted with.
        (_, "seed") => u64::MAX,
        (_, "threads") => 1 << 12,
        (_, "cpu" | "cpus") => 1 << 16,
        ("Config" | "Measured", "pages") => 1 << 24,
        ("Config", "trials" | "race_trials" | "reps" | "race_reps" | "slow_reps") => 1 << 20,
        ("Measured", "trials") | (_, "index") => 1 << 31,
        // Copies thrown away on one page.
        ("PageTally", "late" | "none") => 1 << 12,
        _ => MOST,
    }
}

/// The most entries that a list or map of that struct and key may have.
pub(super) fn longest(holder: &str, key: &str) -> usize {
    match (holder, key) {
        ("Measured", "repetitions" | "lost") => 1 << 20,
        // Of a profile: each fault that was followed, and each visit of a function.
        (_, "faults" | "children" | "tree" | "page_table_writes") => 1 << 20,
        // Each is drawn.
        ("ProfileDocument", "profiles" | "differences") => 64,
        ("Profile", "paths") => 1 << 10,
        _ => LONGEST,
    }
}
