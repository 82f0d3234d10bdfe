//! Discarded copies by kprobes: a count that needs neither tracepoints nor page frame numbers. To check
//! the others by; never open while faults are timed, since a probe slows every fault on the machine.
//!
//! A copy that is kept ends in `ptep_clear_flush()`, one that is thrown away does not. Copies of other
//! pages than the raced ones (of stacks, after a fork) are kept, so they cancel out. Each thread watches
//! itself: a probe that children inherit is registered anew at every fork.

use std::io;

use perf_event::events::KProbe;
use perf_event::{Builder, Counter};

/// Functions whose calls, those of the second less, are the copies begun, by how a kernel was compiled.
const BEGUN: [(&str, Option<&str>); 3] = [
    ("wp_page_copy", None),
    // Where wp_page_copy() is inlined: what it copies by on x86; not called for the zero page.
    ("copy_mc_to_kernel", None),
    // Elsewhere: what it calls first, and the other fault that calls that. A load from a new page, which
    // only the latter counts, makes this one less.
    ("__vmf_anon_prepare", Some("do_anonymous_page")),
];
/// Called once for each copy that is kept.
const KEPT: &str = "ptep_clear_flush";

/// Whether this kernel takes kprobes from perf at all.
///
/// # Errors
/// What is missing.
pub fn offered() -> Result<(), String> {
    KProbe::probe(KEPT, 0)
        .map(drop)
        .map_err(|e| refused(KEPT, &e))
}

/// Probes that count calls by the thread that opened them.
pub struct Probes {
    // Of the calls before start().
    before: i64,
    begun: Counter,
    others: Option<Counter>,
    kept: Counter,
}

impl Probes {
    /// Opens them on the calling thread and starts counting.
    ///
    /// # Errors
    /// Why the kernel offers none of them.
    pub fn open() -> Result<Self, String> {
        let mut why = String::new();
        for (begun, others) in BEGUN {
            match count(begun) {
                Ok(begun) => {
                    return Ok(Probes {
                        before: 0,
                        begun,
                        others: others.map(count).transpose()?,
                        kept: count(KEPT)?,
                    });
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Counts from here on: what a thread does to get ready may put pages in place of the zero page,
    /// which looks like a copy kept that was never begun.
    ///
    /// # Errors
    /// When a probe cannot be read.
    pub fn start(&mut self) -> Result<(), String> {
        self.before = self.sum()?;
        Ok(())
    }

    /// Copies begun and not kept since the start.
    ///
    /// # Errors
    /// When a probe cannot be read.
    pub fn late(&mut self) -> Result<i64, String> {
        Ok(self.sum()? - self.before)
    }

    fn sum(&mut self) -> Result<i64, String> {
        let others = self.others.as_mut().map_or(Ok(0), calls)?;
        Ok(calls(&mut self.begun)? - others - calls(&mut self.kept)?)
    }
}

fn calls(counter: &mut Counter) -> Result<i64, String> {
    let calls = counter
        .read()
        .map_err(|e| format!("reading a kprobe: {e}"))?;
    Ok(calls as i64)
}

fn count(function: &str) -> Result<Counter, String> {
    KProbe::probe(function, 0)
        .and_then(|probe| Builder::new(probe).include_kernel().enabled(true).build())
        .map_err(|e| refused(function, &e))
}

fn refused(function: &str, error: &io::Error) -> String {
    format!(
        "no kprobe on {function}() ({}): needs CONFIG_KPROBE_EVENTS and root",
        crate::measure::counters::reason(error)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Area;
    use crate::memory::sharer::Sharer;
    use crate::skip::{Need, skip};

    #[test]
    fn copies_that_are_kept_are_not_late() {
        let mut probes = match Probes::open() {
            Ok(probes) => probes,
            Err(why) => {
                skip(Need::Kprobes, why);
                return;
            }
        };
        let area = Area::map(16).unwrap();
        area.fill(1);
        // SAFETY: the order neither allocates nor locks.
        let sharer = unsafe { Sharer::fork(|_| 0) }.unwrap();
        area.fill(2);
        assert_eq!(probes.late().unwrap(), 0);
        assert!(calls(&mut probes.kept).unwrap() >= 16);
        sharer.exit().unwrap();
    }
}
