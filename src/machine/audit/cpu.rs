//! Checks on the processors: which, how fast, how shared, and how well they tell the time.

use crate::machine::topology::Topology;
use crate::machine::{cpulist, kernel, settings, virtualization};
use crate::record::audit::{Check, Severity};
use crate::sys::files::{names, read};

const CLOCKSOURCE: &str = "/sys/devices/system/clocksource/clocksource0";
const VULNERABILITIES: &str = "/sys/devices/system/cpu/vulnerabilities";

pub(super) fn checks(topology: &Topology) -> Vec<Check> {
    let flags = read("/proc/cpuinfo").unwrap_or_default();
    let current = read(format!("{CLOCKSOURCE}/current_clocksource"));
    let available = read(format!("{CLOCKSOURCE}/available_clocksource"));
    let vulnerabilities: Vec<(String, String)> = names(VULNERABILITIES)
        .into_iter()
        .filter_map(|name| read(format!("{VULNERABILITIES}/{name}")).map(|state| (name, state)))
        .collect();
    vec![
        oldest(kernel::version()),
        allowed(topology),
        isolated(topology),
        smt(topology),
        governor(&settings::governors()),
        boost(
            read("/sys/devices/system/cpu/cpufreq/boost").as_deref(),
            read("/sys/devices/system/cpu/intel_pstate/no_turbo").as_deref(),
        ),
        virtual_machine(&virtualization::detect()),
        mitigations(&vulnerabilities),
        counter(std::env::consts::ARCH, &flags),
        clocksource(current.as_deref(), available.as_deref().unwrap_or_default()),
    ]
}

/// The first version that was measured.
const OLDEST: (u32, u32) = (5, 4);

fn oldest(version: Option<(u32, u32)>) -> Check {
    let why =
        "what is expected of a kernel was read in sources of 5.4 and later, and tried on them";
    let (severity, state) = match version {
        None => (Severity::Info, "the release names no version".into()),
        Some(older @ (major, minor)) if older < OLDEST => {
            (Severity::Warning, format!("{major}.{minor}: untried"))
        }
        Some((major, minor)) => (Severity::Ok, format!("{major}.{minor}")),
    };
    Check::new("kernel", severity, state, why, "")
}

fn allowed(topology: &Topology) -> Check {
    let ids: Vec<u32> = topology.allowed.iter().map(|cpu| cpu.id).collect();
    let state = format!(
        "{} of {} online ({})",
        ids.len(),
        topology.online.len(),
        cpulist::format(&ids)
    );
    let why = "threads that share one CPU never meet in the copy window: races need two CPUs";
    let (severity, advice) = match (ids.len(), topology.online.len()) {
        (2.., _) => (Severity::Ok, String::new()),
        (_, 2..) => {
            let online = cpulist::format(&topology.online);
            (
                Severity::Warning,
                format!("taskset -c {online} cowpath run"),
            )
        }
        _ => (Severity::Warning, String::new()),
    };
    Check::new("allowed-cpus", severity, state, why, advice)
}

fn isolated(topology: &Topology) -> Check {
    let list = |of: fn(&crate::machine::topology::Cpu) -> bool| {
        let ids: Vec<u32> = topology
            .allowed
            .iter()
            .filter(|cpu| of(cpu))
            .map(|cpu| cpu.id)
            .collect();
        if ids.is_empty() {
            "none".to_owned()
        } else {
            cpulist::format(&ids)
        }
    };
    let (isolated, nohz_full) = (list(|cpu| cpu.isolated), list(|cpu| cpu.nohz_full));
    let severity = if isolated == "none" {
        Severity::Info
    } else {
        Severity::Ok
    };
    let why = "CPUs kept free by isolcpus= and nohz_full= on the kernel's command line have shorter tails";
    Check::new(
        "isolated-cpus",
        severity,
        format!("isolated: {isolated}; nohz_full: {nohz_full}"),
        why,
        "",
    )
}

fn smt(topology: &Topology) -> Check {
    let why =
        "hardware threads of one core share its caches and units: a busy sibling slows a fault";
    let shared = topology
        .allowed
        .iter()
        .filter(|cpu| cpu.siblings.len() > 1)
        .count();
    if shared == 0 {
        return Check::new(
            "smt-siblings",
            Severity::Ok,
            "no core has two threads online",
            why,
            "",
        );
    }
    let cores = topology.cores();
    let state = format!("{} allowed CPUs on {cores} cores", topology.allowed.len());
    // With one core, racing threads would sit on siblings; with more, each core is used once first.
    let severity = if cores == 1 {
        Severity::Warning
    } else {
        Severity::Info
    };
    let advice = "echo off | sudo tee /sys/devices/system/cpu/smt/control";
    Check::new("smt-siblings", severity, state, why, advice)
}

fn governor(governors: &[String]) -> Check {
    let why = "a governor that follows the load changes the clock rate within a run";
    let name = "cpu-governor";
    match governors {
        [] => Check::new(
            name,
            Severity::Info,
            "no frequency scaling visible",
            why,
            "",
        ),
        [one] if one == "performance" => Check::new(name, Severity::Ok, "performance", why, ""),
        other => {
            let advice = "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/scaling_governor";
            Check::new(name, Severity::Warning, other.join(", "), why, advice)
        }
    }
}

/// Judges `cpufreq/boost` (1 is on) and Intel's `no_turbo` (0 is on).
fn boost(boost: Option<&str>, no_turbo: Option<&str>) -> Check {
    let why = "boost clocks depend on temperature and on what other cores do";
    let name = "cpu-boost";
    match (boost, no_turbo) {
        (_, Some("0")) => {
            let advice = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo";
            Check::new(name, Severity::Warning, "on (no_turbo is 0)", why, advice)
        }
        (Some("1"), None) => {
            let advice = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost";
            Check::new(name, Severity::Warning, "on (boost is 1)", why, advice)
        }
        (None, None) => Check::new(name, Severity::Info, "no switch visible", why, ""),
        _ => Check::new(name, Severity::Ok, "off", why, ""),
    }
}

fn virtual_machine(name: &str) -> Check {
    let (severity, why) = match name {
        "none" => (Severity::Ok, "bare metal: times are the machine's own"),
        "tcg" => (
            Severity::Warning,
            "TCG decides as hardware does but times as it pleases: only outcomes compare with hardware",
        ),
        "exact" => (
            Severity::Info,
            "the clock counts instructions: work, not time",
        ),
        _ => (
            Severity::Info,
            "a guest pays for nested page tables, first touch of host memory and the host's scheduling",
        ),
    };
    Check::new("virtualization", severity, name, why, "")
}

/// Judges the files of /sys/devices/system/cpu/vulnerabilities: name and text.
fn mitigations(vulnerabilities: &[(String, String)]) -> Check {
    let why = "mitigations lengthen every entry to the kernel; compare only machines that have the same ones";
    let name = "mitigations";
    if vulnerabilities.is_empty() {
        return Check::new(name, Severity::Info, "the kernel does not tell", why, "");
    }
    let of = |mark: &str| {
        let matching = vulnerabilities
            .iter()
            .filter(|(_, state)| state.contains(mark));
        matching.map(|(name, _)| name.as_str()).collect::<Vec<_>>()
    };
    let (mitigated, vulnerable) = (of("Mitigation"), of("Vulnerable"));
    let page_tables = vulnerabilities
        .iter()
        .any(|(_, state)| state.contains("PTI"));
    let part = |label: &str, names: &[&str]| match names {
        [] => None,
        names => Some(format!("{label}: {}", names.join(", "))),
    };
    let parts: Vec<String> = [
        part("on against", &mitigated),
        part("vulnerable to", &vulnerable),
        page_tables.then(|| "page tables are switched on each entry".to_owned()),
    ]
    .into_iter()
    .flatten()
    .collect();
    if parts.is_empty() {
        return Check::new(name, Severity::Ok, "none needed", why, "");
    }
    Check::new(name, Severity::Info, parts.join("; "), why, "")
}

/// Judges the counter that times the stores by the flags in /proc/cpuinfo.
fn counter(arch: &str, cpuinfo: &str) -> Check {
    let why =
        "stores are timed with the CPU's counter; one that changes its rate or stops is refused";
    let name = "invariant-tsc";
    if !matches!(arch, "x86" | "x86_64") {
        return Check::new(
            name,
            Severity::Ok,
            "the generic timer has a constant rate",
            why,
            "",
        );
    }
    let flags = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags"))
        .unwrap_or_default();
    let lacking: Vec<&str> = ["constant_tsc", "nonstop_tsc"]
        .into_iter()
        .filter(|flag| !flags.split_whitespace().any(|has| has == *flag))
        .collect();
    if lacking.is_empty() {
        return Check::new(name, Severity::Ok, "constant_tsc and nonstop_tsc", why, "");
    }
    let state = format!("the CPU lacks {}", lacking.join(" and "));
    Check::new(name, Severity::Warning, state, why, "")
}

fn clocksource(current: Option<&str>, available: &str) -> Check {
    let why =
        "a kernel that has turned away from the TSC found it unstable, and its own clock is slow";
    let name = "clocksource";
    let Some(current) = current else {
        return Check::new(name, Severity::Info, "the kernel does not tell", why, "");
    };
    let offers = available.split_whitespace().any(|source| source == "tsc");
    let advice = if offers {
        format!("echo tsc | sudo tee {CLOCKSOURCE}/current_clocksource")
    } else {
        String::new()
    };
    match current {
        "tsc" | "arch_sys_counter" => Check::new(name, Severity::Ok, current, why, ""),
        // A paravirtual clock reads the TSC and scales it.
        "kvm-clock" | "hyperv_clocksource_tsc_page" => {
            Check::new(name, Severity::Info, current, why, advice)
        }
        other => Check::new(name, Severity::Warning, other, why, advice),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::topology::Cpu;

    /// `allowed` CPUs of `online`, in cores of `threads`.
    fn topology(online: u32, allowed: u32, threads: u32) -> Topology {
        let cpu = |id: u32| {
            let first = id / threads * threads;
            let siblings = (first..first + threads).collect();
            Cpu {
                id,
                siblings,
                package: Some(0),
                node: Some(0),
                isolated: false,
                nohz_full: false,
            }
        };
        Topology {
            online: (0..online).collect(),
            allowed: (0..allowed).map(cpu).collect(),
        }
    }

    #[test]
    fn a_kernel_that_nobody_has_tried_is_called_so() {
        assert_eq!(oldest(Some((4, 19))).severity, Severity::Warning);
        assert_eq!(oldest(Some((5, 4))).severity, Severity::Ok);
        assert_eq!(oldest(None).severity, Severity::Info);
    }

    #[test]
    fn one_allowed_cpu_of_several_is_mended_by_taskset() {
        let check = allowed(&topology(4, 1, 1));
        assert_eq!(check.state, "1 of 4 online (0)");
        assert_eq!(check.advice, "taskset -c 0-3 cowpath run");
        assert_eq!(check.severity, Severity::Warning);
        assert_eq!(allowed(&topology(1, 1, 1)).advice, "");
        assert_eq!(allowed(&topology(4, 2, 1)).severity, Severity::Ok);
    }

    #[test]
    fn siblings_matter_most_when_there_is_only_one_core() {
        assert_eq!(smt(&topology(4, 4, 1)).severity, Severity::Ok);
        assert_eq!(smt(&topology(4, 4, 2)).severity, Severity::Info);
        assert_eq!(smt(&topology(4, 2, 2)).severity, Severity::Warning);
    }

    #[test]
    fn isolated_cpus_are_named() {
        let mut topology = topology(4, 4, 1);
        assert_eq!(isolated(&topology).severity, Severity::Info);
        topology.allowed[2].isolated = true;
        topology.allowed[3].isolated = true;
        assert_eq!(isolated(&topology).state, "isolated: 2-3; nohz_full: none");
        assert_eq!(isolated(&topology).severity, Severity::Ok);
    }

    #[test]
    fn only_the_performance_governor_is_steady() {
        assert_eq!(governor(&["performance".into()]).severity, Severity::Ok);
        let mixed = governor(&["performance".into(), "schedutil".into()]);
        assert_eq!(
            (mixed.severity, mixed.state.as_str()),
            (Severity::Warning, "performance, schedutil")
        );
        assert_eq!(governor(&[]).severity, Severity::Info);
    }

    #[test]
    fn boost_is_read_from_either_driver() {
        assert_eq!(boost(Some("1"), None).severity, Severity::Warning);
        assert_eq!(boost(None, Some("0")).severity, Severity::Warning);
        assert_eq!(boost(Some("0"), None).severity, Severity::Ok);
        assert_eq!(boost(None, Some("1")).severity, Severity::Ok);
        assert_eq!(boost(None, None).severity, Severity::Info);
    }

    #[test]
    fn mitigations_are_named() {
        let files = [
            ("meltdown", "Mitigation: PTI"),
            ("l1tf", "Not affected"),
            ("mds", "Vulnerable: no microcode"),
        ];
        let files = files.map(|(name, state)| (name.to_owned(), state.to_owned()));
        let check = mitigations(&files);
        let expected =
            "on against: meltdown; vulnerable to: mds; page tables are switched on each entry";
        assert_eq!(check.state, expected);
        assert_eq!(mitigations(&files[1..2]).severity, Severity::Ok);
    }

    #[test]
    fn a_tsc_must_be_constant_and_never_stop() {
        let good = "flags\t\t: fpu constant_tsc nonstop_tsc\n";
        assert_eq!(counter("x86_64", good).severity, Severity::Ok);
        let stops = counter("x86_64", "flags\t\t: fpu constant_tsc\n");
        assert_eq!(stops.state, "the CPU lacks nonstop_tsc");
        assert_eq!(counter("aarch64", "").severity, Severity::Ok);
    }

    #[test]
    fn a_kernel_that_left_the_tsc_is_told_how_to_return() {
        assert_eq!(clocksource(Some("tsc"), "tsc hpet").severity, Severity::Ok);
        let left = clocksource(Some("hpet"), "hpet acpi_pm tsc");
        assert_eq!(left.severity, Severity::Warning);
        assert!(
            left.advice.starts_with("echo tsc | sudo tee"),
            "{}",
            left.advice
        );
        assert_eq!(clocksource(Some("hpet"), "hpet acpi_pm").advice, "");
    }

    #[test]
    fn emulated_time_is_warned_about() {
        assert_eq!(virtual_machine("none").severity, Severity::Ok);
        assert_eq!(virtual_machine("kvm").severity, Severity::Info);
        assert_eq!(virtual_machine("tcg").severity, Severity::Warning);
    }
}
