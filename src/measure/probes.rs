//! Discarded copies by kprobes: a count that needs neither tracepoints nor page frame numbers. To check
//! the others by; never open while faults are timed, since a probe slows every fault on the machine.
//!
//! A copy that is kept ends in `ptep_clear_flush()`, one that is thrown away does not. Copies of other
//! pages than the raced ones (of stacks, after a fork, or by other processes) are kept, so they cancel
//! out. Whole CPUs are watched: a probe that children inherit is registered anew at every fork.

use std::io;

use perf_event::events::KProbe;
use perf_event::{Builder, Counter};

/// The name of the method in run files.
pub const METHOD: &str = "kprobes: copies begun less ptep_clear_flush() calls, on the racing CPUs";

/// Functions whose calls, those of the second less, are the copies begun, by how a kernel was compiled.
const BEGUN: [(&str, Option<&str>); 2] = [
    ("wp_page_copy", None),
    // Where wp_page_copy() is inlined: what it calls first, and the other fault that calls it.
    ("__vmf_anon_prepare", Some("do_anonymous_page")),
];
/// Called once for each copy that is kept.
const KEPT: &str = "ptep_clear_flush";

/// Probes that count calls on some CPUs.
pub struct Probes {
    begun: Vec<Counter>,
    others: Vec<Counter>,
    kept: Vec<Counter>,
}

impl Probes {
    /// Opens them on `cpus` and starts counting.
    ///
    /// # Errors
    /// Why the kernel offers none of them.
    pub fn open(cpus: &[u32]) -> Result<Self, String> {
        let mut cpus = cpus.to_vec();
        cpus.sort_unstable();
        cpus.dedup();
        let count = |function: &str| -> Result<Vec<Counter>, String> {
            cpus.iter().map(|&cpu| count(function, cpu)).collect()
        };
        let mut why = String::new();
        for (begun, others) in BEGUN {
            match count(begun) {
                Ok(begun) => {
                    return Ok(Probes {
                        begun,
                        others: others.map_or(Ok(Vec::new()), count)?,
                        kept: count(KEPT)?,
                    });
                }
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Copies begun and not kept so far.
    ///
    /// # Errors
    /// When a probe cannot be read.
    pub fn late(&mut self) -> Result<i64, String> {
        Ok(calls(&mut self.begun)? - calls(&mut self.others)? - calls(&mut self.kept)?)
    }
}

/// Calls on all CPUs.
fn calls(counters: &mut [Counter]) -> Result<i64, String> {
    let each = counters.iter_mut().map(|counter| {
        let calls = counter.read().map_err(|e| format!("reading a kprobe: {e}"));
        calls.map(|calls| calls as i64)
    });
    each.sum()
}

fn count(function: &str, cpu: u32) -> Result<Counter, String> {
    let refused = |e: io::Error| {
        format!(
            "no kprobe on {function}() ({}): needs CONFIG_KPROBE_EVENTS and root",
            crate::measure::counters::reason(&e)
        )
    };
    Builder::new(KProbe::probe(function, 0).map_err(refused)?)
        .include_kernel()
        .any_pid()
        .one_cpu(cpu as usize)
        .enabled(true)
        .build()
        .map_err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Area;
    use crate::memory::sharer::Sharer;

    #[test]
    fn copies_that_are_kept_are_not_late() {
        let cpus = std::thread::available_parallelism().unwrap().get() as u32;
        let cpus: Vec<u32> = (0..cpus).collect();
        let mut probes = match Probes::open(&cpus) {
            Ok(probes) => probes,
            Err(why) => {
                println!("\nskipped: {why}");
                return;
            }
        };
        let area = Area::map(16).unwrap();
        area.fill(1);
        let sharer = Sharer::fork(|_| 0).unwrap();
        area.fill(2);
        assert_eq!(probes.late().unwrap(), 0);
        assert!(calls(&mut probes.kept).unwrap() >= 16);
        sharer.exit().unwrap();
    }
}
