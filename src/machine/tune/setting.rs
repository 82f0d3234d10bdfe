//! The settings that this program changes: the file of each, and the values that it can hold.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::machine::folios::{POOLS, THP};
use crate::machine::knob;
use crate::record::rule::Rule;
use crate::sys::files::{self, selected};

/// How long a setting may take to hold what was written to it: a pool's page that a process still maps leaves it when
/// that process ends.
const PATIENCE: Duration = Duration::from_secs(5);

/// A setting of the running kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Setting {
    /// Whether the kernel counts finished copies, task by task.
    DelayAccounting,
    /// Memory that the kernel keeps free.
    MinFree,
    /// When transparent huge pages are used.
    Thp,
    /// When those of one size are used, in KiB.
    ThpSize(u64),
    /// How many pages hugetlb's pool of one size holds, in KiB.
    HugetlbPool(u64),
    /// Who decides how fast ksmd scans.
    KsmAdvisor,
    /// Whether ksmd passes over pages that it could not merge before.
    KsmSmartScan,
    /// Pages that ksmd scans before it sleeps.
    KsmPagesToScan,
    /// How long ksmd sleeps, in ms.
    KsmSleep,
    /// Whether ksmd runs.
    KsmRun,
    /// The strategy kernel's reuse rule.
    Reuse,
    /// Whether the strategy kernel looks again before it installs a copy.
    Recheck,
    /// How long the strategy kernel holds a copy, in µs.
    CopyDelay,
}

/// What became of a change that was to be taken back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Undone {
    /// There was nothing to do.
    AsBefore,
    /// It is as before now.
    PutBack(String),
    /// Somebody else has changed it since.
    LeftAlone(String),
}

impl Setting {
    /// Its file.
    pub fn path(self) -> String {
        match self {
            Setting::DelayAccounting => "/proc/sys/kernel/task_delayacct".into(),
            Setting::MinFree => "/proc/sys/vm/min_free_kbytes".into(),
            Setting::Thp => format!("{THP}/enabled"),
            Setting::ThpSize(kib) => format!("{THP}/hugepages-{kib}kB/enabled"),
            Setting::HugetlbPool(kib) => format!("{POOLS}/hugepages-{kib}kB/nr_hugepages"),
            Setting::KsmAdvisor => "/sys/kernel/mm/ksm/advisor_mode".into(),
            Setting::KsmSmartScan => "/sys/kernel/mm/ksm/smart_scan".into(),
            Setting::KsmPagesToScan => "/sys/kernel/mm/ksm/pages_to_scan".into(),
            Setting::KsmSleep => "/sys/kernel/mm/ksm/sleep_millisecs".into(),
            Setting::KsmRun => "/sys/kernel/mm/ksm/run".into(),
            Setting::Reuse => knob::REUSE.into(),
            Setting::Recheck => knob::RECHECK.into(),
            Setting::CopyDelay => knob::COPY_DELAY.into(),
        }
    }

    /// Whether it can hold `value`.
    pub fn can_hold(self, value: &str) -> bool {
        match self {
            Setting::DelayAccounting | Setting::KsmSmartScan | Setting::Recheck => {
                matches!(value, "0" | "1")
            }
            Setting::KsmRun => matches!(value, "0" | "1" | "2"),
            Setting::Thp => matches!(value, "always" | "madvise" | "never"),
            Setting::ThpSize(_) => matches!(value, "always" | "inherit" | "madvise" | "never"),
            Setting::KsmAdvisor => matches!(value, "none" | "scan-time"),
            Setting::Reuse => value.parse::<Rule>().is_ok(),
            Setting::MinFree
            | Setting::HugetlbPool(_)
            | Setting::KsmPagesToScan
            | Setting::KsmSleep
            | Setting::CopyDelay => {
                value.bytes().all(|digit| digit.is_ascii_digit()) && value.parse::<u64>().is_ok()
            }
        }
    }

    /// Its value; `None` where the kernel lacks it.
    pub fn read(self) -> Option<String> {
        files::read(self.path()).map(|text| selected(&text).to_string())
    }

    /// Gives it a value.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn write(self, value: &str) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(self.path())?;
        file.write_all(value.as_bytes())
    }

    /// Whether it stays changed to the run's end, although the next case may not need it: memory may not have as many
    /// huge pages in one piece a second time, and every case's copies are counted.
    pub(super) fn is_kept(self) -> bool {
        matches!(
            self,
            Setting::DelayAccounting | Setting::MinFree | Setting::HugetlbPool(_)
        )
    }

    /// Whether others than the runner change it while a run goes on: the kernel, which gives a pool what pages it
    /// finds, or a worker, which holds copies.
    pub(super) fn is_moved_by_others(self) -> bool {
        matches!(
            self,
            Setting::MinFree | Setting::HugetlbPool(_) | Setting::CopyDelay
        )
    }

    /// The setting that the kernel changes of its own accord when this one is changed.
    pub(super) fn moves(self) -> Option<Setting> {
        matches!(self, Setting::Thp | Setting::ThpSize(_)).then_some(Setting::MinFree)
    }

    /// Puts it back to what it was, if it has one of the values that it was `given` since.
    ///
    /// # Errors
    /// What could not be put back and why.
    pub(super) fn put_back(self, former: &str, given: &[String]) -> Result<Undone, String> {
        let path = self.path();
        if !self.can_hold(former) {
            return Err(format!("{path}: cannot hold {former:?}"));
        }
        let Some(now) = self.read() else {
            return Ok(Undone::LeftAlone(format!(
                "{path} is gone; it was {former}"
            )));
        };
        if now == former {
            return Ok(Undone::AsBefore);
        }
        if !given.contains(&now) && !self.is_moved_by_others() {
            return Ok(Undone::LeftAlone(format!(
                "{path} is {now}, which somebody else has set since; before the run it was {former}"
            )));
        }
        self.write(former)
            .map_err(|e| format!("{path} = {former}: {e}"))?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.read() {
                Some(now) if now == former => {
                    return Ok(Undone::PutBack(format!("{path} = {former}")));
                }
                now if Instant::now() > deadline => {
                    let now = now.unwrap_or_default();
                    return Err(format!("{path} = {former}: it stays {now}"));
                }
                _ => sleep(Duration::from_millis(10)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_holds_what_its_kind_can_hold_and_nothing_else() {
        assert!(Setting::Thp.can_hold("madvise"));
        assert!(!Setting::Thp.can_hold("inherit"));
        assert!(Setting::ThpSize(64).can_hold("inherit"));
        assert!(Setting::HugetlbPool(2048).can_hold("32"));
        for wrong in ["", "-1", "+1", "1 ", "1\n", "99999999999999999999", "0x1"] {
            assert!(!Setting::HugetlbPool(2048).can_hold(wrong), "{wrong:?}");
            assert!(!Setting::KsmRun.can_hold(wrong), "{wrong:?}");
        }
        assert!(Setting::Reuse.can_hold("mapcount"));
        assert!(!Setting::Reuse.can_hold("* * * * * root id"));
    }

    #[test]
    fn a_journal_cannot_name_a_path() {
        for text in [
            r#""/etc/passwd""#,
            r#"{"thp-size":"../../x"}"#,
            r#"{"thp-size":-1}"#,
        ] {
            assert!(serde_json::from_str::<Setting>(text).is_err(), "{text}");
        }
        let pool = serde_json::from_str::<Setting>(r#"{"hugetlb-pool":2048}"#).unwrap();
        assert_eq!(
            pool.path(),
            "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
        );
    }
}
