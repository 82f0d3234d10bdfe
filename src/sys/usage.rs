//! What the kernel counts of one thread.

use std::ops::AddAssign;

use nix::sys::resource::{UsageWho, getrusage};

/// Counts of one thread: so far, or over a stretch of its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThreadUsage {
    /// Page faults that read no device.
    pub minor_faults: u64,
    /// Page faults that waited for a device: a swapped page, or one of a file.
    pub major_faults: u64,
    /// Times that the scheduler gave the CPU to another thread though this one could have gone on. One that yields is
    /// among these.
    pub switches: u64,
}

impl ThreadUsage {
    /// The calling thread's so far.
    pub fn now() -> Self {
        getrusage(UsageWho::RUSAGE_THREAD).map_or_else(
            |_| ThreadUsage::default(),
            |usage| ThreadUsage {
                minor_faults: usage.minor_page_faults() as u64,
                major_faults: usage.major_page_faults() as u64,
                switches: usage.involuntary_context_switches() as u64,
            },
        )
    }

    /// The calling thread's since it was this.
    pub fn until_now(self) -> Self {
        let now = ThreadUsage::now();
        ThreadUsage {
            minor_faults: now.minor_faults.saturating_sub(self.minor_faults),
            major_faults: now.major_faults.saturating_sub(self.major_faults),
            switches: now.switches.saturating_sub(self.switches),
        }
    }

    /// In one word, as a process that was forked tells it: 32, 16 and 16 bits, each as much as fits.
    pub fn packed(self) -> u64 {
        let fit = |count: u64, bits: u32| count.min((1 << bits) - 1);
        fit(self.minor_faults, 32) | fit(self.major_faults, 16) << 32 | fit(self.switches, 16) << 48
    }

    /// What [`ThreadUsage::packed`] gave.
    pub fn unpacked(word: u64) -> Self {
        ThreadUsage {
            minor_faults: word & 0xffff_ffff,
            major_faults: word >> 32 & 0xffff,
            switches: word >> 48,
        }
    }
}

impl AddAssign for ThreadUsage {
    fn add_assign(&mut self, other: Self) {
        self.minor_faults += other.minor_faults;
        self.major_faults += other.major_faults;
        self.switches += other.switches;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_what_fits() {
        let some = ThreadUsage {
            minor_faults: 1 << 20,
            major_faults: 7,
            switches: 65_535,
        };
        assert_eq!(ThreadUsage::unpacked(some.packed()), some);
        let much = ThreadUsage {
            minor_faults: u64::MAX,
            major_faults: 0,
            switches: 1 << 20,
        };
        let told = ThreadUsage::unpacked(much.packed());
        assert_eq!((told.minor_faults, told.major_faults), (0xffff_ffff, 0));
        assert_eq!(told.switches, 0xffff);
    }

    #[test]
    fn a_threads_faults_are_counted() {
        std::thread::spawn(|| {
            let before = ThreadUsage::now();
            let mut pages = vec![0u8; 256 * crate::sys::page_size()];
            pages.fill(1);
            assert!(before.until_now().minor_faults > 0);
        })
        .join()
        .unwrap();
    }
}
