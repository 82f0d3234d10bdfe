//! What disturbed a repetition from outside: the host, other processes, interrupts, the CPU's frequency.

use std::time::Instant;

use crate::record::repetition::Interference;
use crate::record::unit::Unit;
use crate::sys::files;

/// Length of a tick of /proc/stat, in ms (USER_HZ is 100 everywhere that Linux runs).
const TICK_MS: u64 = 10;
/// The share of its time that a host may take from the CPUs before a repetition counts as disturbed.
const STOLEN: f64 = 0.05;
/// Involuntary switches a second of stores from which on a repetition counts as disturbed.
const SWITCHES: f64 = 100.0;

/// The timed stores of a repetition.
#[derive(Clone, Copy, Debug, Default)]
pub struct TimeStored {
    /// How long they took, in µs.
    pub us: u64,
    /// Times that another thread took the CPU meanwhile; `None` where it may be one of the program's own.
    pub switches: Option<u64>,
}

/// The counts at one moment.
pub struct Before {
    at: Instant,
    cpus: Vec<u32>,
    steal: Option<u64>,
    interrupts: Option<u64>,
    migrations: Option<u64>,
}

impl Before {
    /// Looks at this process and at `cpus`, on which it runs.
    pub fn start(cpus: &[u32]) -> Before {
        let mut cpus = cpus.to_vec();
        cpus.sort_unstable();
        cpus.dedup();
        Before {
            steal: files::read("/proc/stat").and_then(|text| steal(&text, &cpus)),
            interrupts: files::read("/proc/interrupts").and_then(|text| interrupts(&text, &cpus)),
            migrations: files::read("/proc/self/sched").and_then(|text| migrations(&text)),
            at: Instant::now(),
            cpus,
        }
    }

    /// What happened since, and during the stores; looks again.
    pub fn since(&self, stored: &TimeStored, unit: Unit) -> Interference {
        let elapsed = self.at.elapsed();
        let now = Before::start(&self.cpus);
        let grown = |now: Option<u64>, then: Option<u64>| Some(now?.saturating_sub(then?));
        let khz = self.cpus.first().and_then(|cpu| {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq");
            files::read(path)?.parse::<u64>().ok()
        });
        let mut interference = Interference {
            elapsed_ms: elapsed.as_millis() as u64,
            cpus: self.cpus.len() as u32,
            steal_ms: grown(now.steal, self.steal).map(|ticks| ticks * TICK_MS),
            stored_us: Some(stored.us),
            involuntary_switches: stored.switches,
            migrations: grown(now.migrations, self.migrations),
            interrupts: grown(now.interrupts, self.interrupts),
            mhz: khz.map(|khz| khz / 1_000),
            disturbed: Vec::new(),
        };
        interference.disturbed = match unit {
            Unit::Ns => disturbed(&interference),
            // Whatever takes the CPU of such a guest stops its clock too.
            Unit::Instructions => Vec::new(),
        };
        interference
    }
}

/// By what a repetition was disturbed; what it measured plays no part in it.
fn disturbed(found: &Interference) -> Vec<String> {
    let mut reasons = Vec::new();
    let ms = found.elapsed_ms.max(1) as f64;
    if let Some(steal) = found.steal_ms {
        // One tick is within the count's resolution.
        if steal > TICK_MS && steal as f64 > STOLEN * ms * f64::from(found.cpus) {
            reasons.push(format!("the host took {steal} ms of {ms:.0}"));
        }
    }
    if let (Some(us), Some(switches)) = (found.stored_us, found.involuntary_switches) {
        let ms = us.max(1) as f64 / 1e3;
        if switches > 2 && switches as f64 / ms * 1e3 > SWITCHES {
            reasons.push(format!(
                "other processes took the CPU {switches} times in {ms:.1} ms of stores"
            ));
        }
    }
    reasons
}

/// Ticks that the host took from `cpus`, of /proc/stat.
fn steal(text: &str, cpus: &[u32]) -> Option<u64> {
    let of = |cpu: &u32| {
        let name = format!("cpu{cpu} ");
        let line = text.lines().find(|line| line.starts_with(&name))?;
        line.split_whitespace().nth(8)?.parse::<u64>().ok()
    };
    cpus.iter().map(of).sum()
}

/// Interrupts that `cpus` have taken, of /proc/interrupts.
fn interrupts(text: &str, cpus: &[u32]) -> Option<u64> {
    let mut lines = text.lines();
    let names: Vec<String> = cpus.iter().map(|cpu| format!("CPU{cpu}")).collect();
    let header: Vec<&str> = lines.next()?.split_whitespace().collect();
    let columns: Vec<usize> = names
        .iter()
        .map(|name| header.iter().position(|word| word == name))
        .collect::<Option<_>>()?;
    let mut sum = 0;
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().skip(1).take(header.len()).collect();
        // Lines such as ERR have one count for all CPUs.
        if words.len() == header.len() {
            let counts = columns
                .iter()
                .filter_map(|&at| words[at].parse::<u64>().ok());
            sum += counts.sum::<u64>();
        }
    }
    Some(sum)
}

/// Moves of this process between CPUs, of /proc/self/sched.
fn migrations(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find(|line| line.starts_with("se.nr_migrations"))?;
    line.rsplit(':').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_those_of_the_cpus_asked_for() {
        let stat =
            "cpu  1 2 3 4 5 6 7 90 0 0\ncpu0 1 2 3 4 5 6 7 40 0 0\ncpu1 1 2 3 4 5 6 7 50 0 0\n";
        assert_eq!(steal(stat, &[1]), Some(50));
        assert_eq!(steal(stat, &[0, 1]), Some(90));
        assert_eq!(steal(stat, &[2]), None);
        let text =
            "      CPU0   CPU1\n 0:   10    20  IO-APIC timer\nLOC:  1  2  Local timer\nERR:   7\n";
        assert_eq!(interrupts(text, &[1]), Some(22));
        assert_eq!(interrupts(text, &[0, 1]), Some(33));
        assert_eq!(interrupts(text, &[3]), None);
        assert_eq!(migrations("se.nr_migrations   :    17\n"), Some(17));
    }

    #[test]
    fn a_repetition_is_disturbed_by_what_was_taken_from_it_and_by_nothing_else() {
        let quiet = Interference {
            elapsed_ms: 100,
            cpus: 1,
            steal_ms: Some(10),
            stored_us: Some(20_000),
            involuntary_switches: Some(2),
            migrations: Some(1),
            interrupts: Some(40),
            mhz: None,
            disturbed: Vec::new(),
        };
        assert!(disturbed(&quiet).is_empty());
        let taken = |change: fn(&mut Interference)| {
            let mut found = quiet.clone();
            change(&mut found);
            disturbed(&found).len()
        };
        assert_eq!(taken(|i| i.steal_ms = Some(20)), 1);
        assert_eq!(taken(|i| i.involuntary_switches = Some(3)), 1);
        assert_eq!(
            taken(|i| i.migrations = Some(90)),
            0,
            "a worker moves itself to fill pages on another CPU"
        );
        assert_eq!(
            taken(|i| i.steal_ms = None),
            0,
            "what is not counted is no reason"
        );
    }

    #[test]
    fn this_process_can_be_looked_at() {
        let stored = TimeStored {
            us: 1_000,
            switches: Some(30),
        };
        let before = Before::start(&[0]);
        let found = before.since(&stored, Unit::Ns);
        assert_eq!(found.disturbed.len(), 1, "{found:?}");
        let exact = before.since(&stored, Unit::Instructions);
        assert!(exact.disturbed.is_empty(), "{exact:?}");
        assert_eq!(found.cpus, 1);
        assert!(
            found.interrupts.is_some() && found.steal_ms.is_some(),
            "{found:?}"
        );
    }
}
