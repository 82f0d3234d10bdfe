//! The exit codes that scripts rely on: the one table of them.

/// All is well.
pub const OK: u8 = 0;
/// An integrity check failed: data was lost, stale or leaked.
pub const INTEGRITY: u8 = 1;
/// A gated regression.
pub const REGRESSION: u8 = 1;
/// Wrong arguments, unreadable input or unwritable output.
pub const USAGE: u8 = 2;
/// Not possible here: nothing can be measured, there is no QEMU, or the kernel lacks what is needed.
pub const IMPOSSIBLE: u8 = 3;
/// A guest was lost.
pub const LOST: u8 = 4;
/// A repetition was lost to the time that one may take.
pub const LATE: u8 = 5;
/// The gate cannot tell: measure again.
pub const MEASURE_AGAIN: u8 = 5;
/// Interrupted by the user; the partial file was kept.
pub const INTERRUPTED: u8 = 130;
