//! Seeks the edge at which another process's exit or unmapping turns a copy into a reuse.
//!
//! How long after its deadline the other process's page is gone from its page table depends on the
//! machine. So the first thread's deadline follows what it finds: after a copy it comes later, after
//! a reuse earlier, in steps that shrink while it goes back and forth. A jitter spreads the pages
//! over the window around the edge.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::memory::area::{Area, page_size};
use crate::memory::pagemap::Entry;

/// Where the edge is sought, in ticks after the other process's deadline.
pub struct ExitTracker {
    pagemap: File,
    base: u64,
    before: Option<u64>,
    at: i64,
    step: i64,
    smallest: i64,
    jitter: i64,
    last: Option<bool>,
}

impl ExitTracker {
    /// Begins at the other process's deadline; `tick_ns` is the length of a tick.
    ///
    /// # Errors
    /// When this process's pagemap can not be opened.
    pub fn new(area: &Area, tick_ns: f64) -> std::io::Result<Self> {
        let ticks = |ns: f64| (ns / tick_ns) as i64;
        Ok(ExitTracker {
            pagemap: File::open("/proc/self/pagemap")?,
            base: area.base() as u64 / page_size() as u64,
            before: None,
            at: 0,
            step: ticks(4000.0),
            smallest: ticks(60.0).max(1),
            jitter: ticks(1000.0).max(1),
            last: None,
        })
    }

    fn frame(&self, page: usize) -> Option<u64> {
        let mut entry = [0; 8];
        let offset = (self.base + page as u64) * 8;
        self.pagemap.read_exact_at(&mut entry, offset).ok()?;
        Entry(u64::from_ne_bytes(entry)).pfn()
    }

    /// How many ticks after the other process's deadline, less `shift`, the first thread is to act on
    /// `page`; remembers the page's frame. Not below 0.
    pub fn next(&mut self, page: usize, shift: u64) -> u64 {
        self.before = self.frame(page);
        // The golden ratio spreads consecutive pages evenly.
        let spread = (page as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let jitter = ((spread as i64 * 2 * self.jitter) >> 32) - self.jitter;
        (shift as i64 + self.at + jitter).max(0) as u64
    }

    /// Looks at what became of `page` and moves.
    pub fn learn(&mut self, page: usize) {
        let (Some(before), Some(after)) = (self.before, self.frame(page)) else {
            return;
        };
        let copied = before != after;
        if self.last.is_some_and(|last| last != copied) {
            self.step = (self.step / 2).max(self.smallest);
        }
        self.last = Some(copied);
        self.at += if copied { self.step } else { -self.step };
    }
}
