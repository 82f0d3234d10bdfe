//! Worker processes, pinning and the timed loop.
