//! Checks on what else happens on the machine, and on how much memory there is.

use std::time::{Duration, Instant};

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

use crate::machine::allowance::Left;
use crate::machine::topology::Topology;
use crate::machine::{allowance, settings};
use crate::record::audit::{Check, Severity};
use crate::sys::files::{names, read};
use crate::sys::namespaces::shows_kernel_threads;

/// How long the CPUs are watched. /proc/stat counts in steps of 10 ms.
const WATCHED: Duration = Duration::from_millis(200);
const MIB: u64 = 1 << 20;

pub(super) fn checks(before: CpuTimes, topology: &Topology) -> Vec<Check> {
    std::thread::sleep(WATCHED.saturating_sub(before.taken.elapsed()));
    let times = (before.times, CpuTimes::take().times);
    let nodes = topology.nodes();
    vec![
        steal(times),
        runnable(&read("/proc/loadavg").unwrap_or_default(), times),
        numa_balancing(settings::sysctl("kernel.numa_balancing").as_deref(), nodes),
        page_aging(&aging_threads(), shows_kernel_threads()),
        memory(allowance::left()),
        address_space(
            getrlimit(Resource::RLIMIT_AS)
                .ok()
                .map(|(current, _)| current)
                .filter(|&current| current != RLIM_INFINITY),
        ),
    ]
}

/// The CPUs' times at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct CpuTimes {
    taken: Instant,
    times: Option<Times>,
}

/// Ticks since boot, over all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Times {
    total: u64,
    idle: u64,
    steal: u64,
}

impl CpuTimes {
    pub(super) fn take() -> Self {
        Self {
            taken: Instant::now(),
            times: read("/proc/stat").and_then(|text| times(&text)),
        }
    }
}

/// The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal (proc_stat(5)).
fn times(stat: &str) -> Option<Times> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = line
        .split_whitespace()
        .map_while(|field| field.parse().ok())
        .collect();
    let total = fields
        .iter()
        .take(8)
        .fold(0u64, |sum, field| sum.saturating_add(*field));
    let idle = fields.get(3)?.saturating_add(*fields.get(4)?);
    Some(Times {
        total,
        idle,
        steal: *fields.get(7)?,
    })
}

/// `part` of `whole` in per cent; 0 of nothing is 0.
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

fn steal(times: (Option<Times>, Option<Times>)) -> Check {
    let why = "time that the host takes from a guest appears inside faults, as a long tail";
    let name = "steal-time";
    let (Some(before), Some(after)) = times else {
        return Check::new(name, Severity::Info, "/proc/stat can not be read", why, "");
    };
    let total = after.total.saturating_sub(before.total);
    let now = percent(after.steal.saturating_sub(before.steal), total);
    let ever = percent(after.steal, after.total);
    let state = format!(
        "{now:.1} % over {} ms, {ever:.1} % since boot",
        WATCHED.as_millis()
    );
    let severity = match () {
        () if now >= 1.0 => Severity::Warning,
        () if ever >= 1.0 => Severity::Info,
        () => Severity::Ok,
    };
    Check::new(name, severity, state, why, "")
}

/// Judges /proc/loadavg, whose fourth field counts runnable tasks, this one included.
fn runnable(loadavg: &str, times: (Option<Times>, Option<Times>)) -> Check {
    let why =
        "other tasks take the CPU away between stores, and their faults share locks and caches";
    let name = "runnable-tasks";
    let count = || {
        loadavg
            .split_whitespace()
            .nth(3)?
            .split_once('/')?
            .0
            .parse::<u64>()
            .ok()
    };
    let Some(count) = count() else {
        return Check::new(
            name,
            Severity::Info,
            "/proc/loadavg can not be read",
            why,
            "",
        );
    };
    let others = count.saturating_sub(1);
    let load = loadavg.split_whitespace().next().unwrap_or_default();
    let mut state = format!("{others} besides this one, load {load}");
    if let (Some(before), Some(after)) = times {
        let total = after.total.saturating_sub(before.total);
        let idle = after.idle.saturating_sub(before.idle);
        let busy = percent(total.saturating_sub(idle), total);
        state += &format!(", CPUs {busy:.0} % busy over {} ms", WATCHED.as_millis());
    }
    let (severity, advice) = match others {
        0 => (Severity::Ok, ""),
        _ => (
            Severity::Warning,
            "ps -eo pcpu,pid,args --sort=-pcpu | head",
        ),
    };
    Check::new(name, severity, state, why, advice)
}

fn numa_balancing(value: Option<&str>, nodes: usize) -> Check {
    let why =
        "NUMA balancing takes PTEs away to see who uses a page: faults that no store asked for";
    let name = "numa-balancing";
    match value {
        None => Check::new(name, Severity::Ok, "a kernel without it", why, ""),
        Some("0") => Check::new(name, Severity::Ok, "off", why, ""),
        Some(value) if nodes < 2 => {
            let state = format!("{value}, without effect on one node");
            Check::new(name, Severity::Ok, state, why, "")
        }
        Some(value) => {
            let state = format!("{value}, over {nodes} nodes");
            Check::new(
                name,
                Severity::Warning,
                state,
                why,
                "sudo sysctl kernel.numa_balancing=0",
            )
        }
    }
}

/// Names of running kernel threads that age pages on their own account: DAMON's.
fn aging_threads() -> Vec<String> {
    let processes = names("/proc").into_iter();
    let names = processes.filter_map(|process| read(format!("/proc/{process}/comm")));
    names.filter(|name| name.starts_with("kdamond")).collect()
}

/// Judges the DAMON threads that /proc shows, if it shows threads of the kernel at all (`visible`).
fn page_aging(threads: &[String], visible: bool) -> Check {
    let why = "DAMON clears Accessed bits; a read that sets one again inside the copy window makes a stray backoff";
    let name = "page-aging";
    if threads.is_empty() && !visible {
        let state =
            "unknown: /proc does not show the kernel's threads (a PID namespace, or hidepid)";
        return Check::new(name, Severity::Info, state, why, "");
    }
    if threads.is_empty() {
        return Check::new(name, Severity::Ok, "no DAMON thread runs", why, "");
    }
    let state = format!("{} runs", threads.join(", "));
    let advice = "grep . /sys/kernel/mm/damon/admin/kdamonds/*/state; echo off | sudo tee /sys/kernel/mm/damon/admin/kdamonds/0/state";
    Check::new(name, Severity::Info, state, why, advice)
}

fn memory(left: Option<Left>) -> Check {
    let why = "reclaim takes pages from under a measurement, and a copy waits for a free page";
    let name = "memory-available";
    let Some(left) = left else {
        return Check::new(name, Severity::Info, "/proc/meminfo does not tell", why, "");
    };
    let severity = match left.bytes / MIB {
        0..64 => Severity::Error,
        64..256 => Severity::Warning,
        _ => Severity::Ok,
    };
    let state = format!("{} MiB ({})", left.bytes / MIB, left.by());
    let advice = match &left.limit {
        Some((file, _)) => format!("echo 1G | sudo tee {}", file.display()),
        None => String::new(),
    };
    Check::new(name, severity, state, why, advice)
}

fn address_space(limit: Option<u64>) -> Check {
    let why = "buffers and areas must fit into the limit; what does not is skipped";
    let name = "address-space";
    let Some(bytes) = limit else {
        return Check::new(name, Severity::Ok, "unlimited", why, "");
    };
    let severity = if bytes / MIB < 192 {
        Severity::Warning
    } else {
        Severity::Info
    };
    Check::new(
        name,
        severity,
        format!("{} MiB", bytes / MIB),
        why,
        "ulimit -v unlimited",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(total: u64, idle: u64, steal: u64) -> Option<Times> {
        Some(Times { total, idle, steal })
    }

    #[test]
    fn guests_time_is_not_counted_twice() {
        let text = "cpu  10 1 2 100 5 3 4 6 9 9\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(times(text), at(131, 105, 6));
        assert_eq!(times("intr 1 2 3"), None);
    }

    #[test]
    fn steal_is_a_share_of_the_time_watched() {
        let check = steal((at(1000, 900, 0), at(1040, 930, 1)));
        assert_eq!(check.state, "2.5 % over 200 ms, 0.1 % since boot");
        assert_eq!(check.severity, Severity::Warning);
        assert_eq!(
            steal((at(1000, 900, 0), at(1000, 900, 0))).severity,
            Severity::Ok
        );
        assert_eq!(steal((None, None)).severity, Severity::Info);
    }

    #[test]
    fn the_asking_task_does_not_count_as_noise() {
        let quiet = runnable(
            "0.20 0.10 0.05 1/85 13539",
            (at(1000, 900, 0), at(1040, 930, 0)),
        );
        assert_eq!(
            quiet.state,
            "0 besides this one, load 0.20, CPUs 25 % busy over 200 ms"
        );
        assert_eq!(quiet.severity, Severity::Ok);
        let busy = runnable("1.20 1.18 0.63 3/85 13539", (None, None));
        assert_eq!(
            (busy.severity, busy.state.as_str()),
            (Severity::Warning, "2 besides this one, load 1.20")
        );
        assert_eq!(runnable("", (None, None)).severity, Severity::Info);
    }

    #[test]
    fn numa_balancing_matters_only_with_several_nodes() {
        assert_eq!(numa_balancing(Some("1"), 1).severity, Severity::Ok);
        assert_eq!(
            numa_balancing(Some("1"), 2).advice,
            "sudo sysctl kernel.numa_balancing=0"
        );
        assert_eq!(numa_balancing(Some("0"), 2).severity, Severity::Ok);
        assert_eq!(numa_balancing(None, 2).severity, Severity::Ok);
    }

    #[test]
    fn a_thread_that_ages_pages_is_named() {
        assert_eq!(page_aging(&[], true).severity, Severity::Ok);
        let aging = page_aging(&["kdamond.0".into()], true);
        assert_eq!(
            (aging.severity, aging.state.as_str()),
            (Severity::Info, "kdamond.0 runs")
        );
    }

    #[test]
    fn threads_that_cannot_be_seen_are_not_called_absent() {
        let hidden = page_aging(&[], false);
        assert_eq!(hidden.severity, Severity::Info);
        assert!(hidden.state.starts_with("unknown"), "{}", hidden.state);
    }

    #[test]
    fn too_little_memory_stops_everything() {
        let left = |mib| {
            Some(Left {
                bytes: mib * MIB,
                limit: None,
            })
        };
        assert_eq!(memory(left(32)).severity, Severity::Error);
        assert_eq!(memory(left(128)).severity, Severity::Warning);
        assert_eq!(memory(left(1024)).severity, Severity::Ok);
    }

    #[test]
    fn a_cgroups_limit_is_named_with_its_file() {
        let check = memory(Some(Left {
            bytes: 40 * MIB,
            limit: Some(("/sys/fs/cgroup/a/memory.max".into(), 64 * MIB)),
        }));
        assert_eq!(
            check.state,
            "40 MiB (/sys/fs/cgroup/a/memory.max is 64 MiB)"
        );
        assert!(check.advice.contains("memory.max"), "{}", check.advice);
    }

    #[test]
    fn a_limit_on_the_address_space_is_told() {
        assert_eq!(address_space(None).severity, Severity::Ok);
        let limited = address_space(Some(256 * MIB));
        assert_eq!(
            (limited.severity, limited.state.as_str()),
            (Severity::Info, "256 MiB")
        );
        assert_eq!(address_space(Some(128 * MIB)).severity, Severity::Warning);
    }

    proptest! {
        #[test]
        fn no_text_panics(stat in "cpu [0-9 ]{0,80}", load in "[0-9./ ]{0,40}") {
            let sample = (times(&stat), times(&stat));
            runnable(&load, sample);
            steal(sample);
        }
    }
}
