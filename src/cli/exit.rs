//! The exit codes that scripts rely on.

/// All is well.
pub const OK: u8 = 0;
/// An integrity check failed.
pub const INTEGRITY: u8 = 1;
/// A gated regression.
pub const REGRESSION: u8 = 1;
/// Wrong arguments, unreadable input or unwritable output.
pub const USAGE: u8 = 2;
/// Nothing can be measured here.
pub const NOTHING: u8 = 3;
/// A repetition was lost to the time that one may take.
pub const LATE: u8 = 5;
/// Interrupted by the user; the partial file was kept.
pub const INTERRUPTED: u8 = 130;
