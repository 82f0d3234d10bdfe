//! The kernel's own counts of what copy-on-write faults came to, from /proc/vmstat: of the whole machine.
//!
//! Every kernel from 5.9 on counts reused pages (pgreuse). The strategy kernel (scripts/strategy-kernel) counts each
//! decision where it is taken (`cow_*`). The kernel adds its CPUs' counts up when the file is read, so that no event
//! that is over is missing.

use std::collections::BTreeMap;
use std::fs;
use std::time::Instant;

use super::counters::{Count, Counted};

/// Pages reused, where PTEs map them.
const REUSED: &str = "pgreuse";
/// Copies made and thrown away, whatever the reason.
pub const BACKOFF: &str = "cow_backoff";
/// Those of them that were thrown away because the page had become exclusive.
pub const BACKOFF_RECHECK: &str = "cow_backoff_recheck";
/// Copies that were installed although the page had become exclusive.
pub const REPLACED: &str = "cow_replaced_exclusive";

/// Pages that the kernel has moved to other frames since it was booted (compaction, NUMA balancing, hotplug or
/// move_pages(2)), and those that it has written to swap space, on the whole machine: either makes a page look copied.
/// `None` where it counts neither.
pub fn displaced() -> Option<u64> {
    displaced_by(&fs::read_to_string("/proc/vmstat").ok()?)
}

fn displaced_by(text: &str) -> Option<u64> {
    let counts = ["pgmigrate_success", "pswpout"].map(|event| counted(text, event));
    counts
        .into_iter()
        .flatten()
        .reduce(|sum, count| sum + count)
}

/// Page faults that have waited for a device since the kernel was booted, on the whole machine. A thread's own count of
/// major faults has also those that were merely tried again (`mm_account_fault()`).
pub fn device_waits() -> Option<u64> {
    counted(&fs::read_to_string("/proc/vmstat").ok()?, "pgmajfault")
}

/// PMDs that were split since the kernel was booted, on the whole machine; `None` where it has no huge pages.
pub fn split_pmds() -> Option<u64> {
    counted(&fs::read_to_string("/proc/vmstat").ok()?, "thp_split_pmd")
}

fn counted(text: &str, event: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.find_map(|(name, count)| (name == event).then(|| count.parse().ok())?)
}

/// The counts at one moment.
pub struct Vmstat {
    events: BTreeMap<String, u64>,
    read: Instant,
}

impl Vmstat {
    /// Reads them.
    pub fn now() -> Self {
        Self::parse(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
    }

    fn parse(text: &str) -> Self {
        let event = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            let ours = name == REUSED || name.starts_with("cow_");
            ours.then_some(())?;
            Some((name.to_string(), value.parse().ok()?))
        };
        Vmstat {
            events: text.lines().filter_map(event).collect(),
            read: Instant::now(),
        }
    }

    /// How many events of this name there were since `earlier`; `None` where the kernel does not count them.
    pub fn events_since(&self, earlier: &Vmstat, name: &str) -> Option<u64> {
        let [now, then] = [self, earlier].map(|vmstat| vmstat.events.get(name));
        Some(now?.saturating_sub(*then?))
    }

    /// Every count since `earlier`, by its name in run files.
    pub fn since(&self, earlier: &Vmstat) -> BTreeMap<String, Count> {
        let elapsed = self.read.duration_since(earlier.read).as_nanos() as u64;
        let reused = [REUSED.to_string()];
        let names = self.events.keys().chain(&reused);
        let count = |name: &String| {
            let counted = self.events_since(earlier, name).map(|value| Counted {
                value,
                enabled_ns: elapsed,
                running_ns: elapsed,
            });
            let count = counted
                .ok_or_else(|| format!("/proc/vmstat has no {name}: needs Linux 5.9 or later"));
            (format!("vmstat:{name}"), count)
        };
        names.map(count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_where_the_kernel_counts_it() {
        let text = "pgreuse 3\npgmajfault 41\n";
        assert_eq!(counted(text, "pgmajfault"), Some(41));
        assert_eq!(counted(text, "pgmajfault_s"), None);
        assert_eq!(displaced_by("pgmigrate_success 3\npswpout 4\n"), Some(7));
        assert_eq!(displaced_by("pswpout 4\n"), Some(4));
        assert_eq!(displaced_by(text), None);
    }

    #[test]
    fn events_between_two_readings_are_told_by_name() {
        let before = Vmstat::parse("nr_free_pages 9\npgreuse 3\ncow_backoff 5\n");
        let after = Vmstat::parse("nr_free_pages 1\npgreuse 4\ncow_backoff 12\n");
        assert_eq!(after.events_since(&before, BACKOFF), Some(7));
        assert_eq!(after.events_since(&before, REPLACED), None);
        let names: Vec<String> = after.since(&before).into_keys().collect();
        assert_eq!(names, ["vmstat:cow_backoff", "vmstat:pgreuse"]);
    }

    #[test]
    fn a_kernel_that_does_not_count_reuses_is_told_of() {
        let none = Vmstat::parse("nr_free_pages 9\n");
        let count = &none.since(&none)["vmstat:pgreuse"];
        assert!(count.as_ref().is_err_and(|why| why.contains("5.9")));
    }
}
