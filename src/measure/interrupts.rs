//! How often CPUs were interrupted to give up what their TLBs hold, from /proc/interrupts: of the whole machine.

use std::fs;
use std::time::Instant;

use super::counters::{Count, Counted};

/// The name in run files.
pub const TLB: &str = "interrupts:tlb";

/// The row of x86 kernels; 64-bit Arm has its CPUs told by an instruction, and counts nothing.
const ROW: &str = "TLB:";

/// The count at one moment.
pub struct TlbInterrupts {
    count: Option<u64>,
    read: Instant,
}

impl TlbInterrupts {
    /// Reads it.
    pub fn now() -> Self {
        TlbInterrupts {
            count: counted(&fs::read_to_string("/proc/interrupts").unwrap_or_default()),
            read: Instant::now(),
        }
    }

    /// How many there were since `earlier`.
    ///
    /// # Errors
    /// That this kernel does not count them.
    pub fn since(&self, earlier: &TlbInterrupts) -> Count {
        let elapsed = self.read.duration_since(earlier.read).as_nanos() as u64;
        let counts = self.count.zip(earlier.count);
        let counted = counts.map(|(now, then)| Counted {
            value: now.saturating_sub(then),
            enabled_ns: elapsed,
            running_ns: elapsed,
        });
        counted.ok_or_else(|| {
            format!("/proc/interrupts has no row \"{ROW}\"; needs an x86 kernel for several CPUs")
        })
    }
}

/// The sum over all CPUs, whose counts precede the row's description.
fn counted(text: &str) -> Option<u64> {
    let mut rows = text.lines();
    let row = rows.find_map(|line| line.trim_start().strip_prefix(ROW))?;
    let counts = row
        .split_whitespace()
        .map_while(|word| word.parse::<u64>().ok());
    Some(counts.sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_of_all_cpus_are_added_up() {
        let text = "     CPU0  CPU1\n  0:  7  0  edge timer\nTLB:  3  40   TLB shootdowns\nTRM:  1  1  x\n";
        assert_eq!(counted(text), Some(43));
        assert_eq!(counted("  0: 7 0 edge timer\n"), None);
    }

    #[test]
    fn a_kernel_that_does_not_count_them_is_told_of() {
        let none = TlbInterrupts {
            count: None,
            read: Instant::now(),
        };
        assert!(none.since(&none).is_err_and(|why| why.contains("x86")));
    }
}
