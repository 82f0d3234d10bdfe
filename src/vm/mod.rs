//! The same suite inside another kernel.
