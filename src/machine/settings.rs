//! Settings of the running kernel that bear on CoW faults, as read.

use std::collections::BTreeMap;

use crate::sys::files;
use crate::sys::kernelfs::{FileSystem, KernelFs};

/// Sysctls by the name that sysctl(8) uses.
const SYSCTLS: &[&str] = &[
    "vm.swappiness",
    "vm.overcommit_memory",
    "vm.overcommit_ratio",
    "vm.nr_hugepages",
    "vm.nr_overcommit_hugepages",
    "vm.unprivileged_userfaultfd",
    "vm.compaction_proactiveness",
    "vm.page-cluster",
    "vm.zone_reclaim_mode",
    "vm.watermark_scale_factor",
    "vm.min_free_kbytes",
    "vm.stat_interval",
    "kernel.numa_balancing",
    "kernel.perf_event_paranoid",
    "kernel.kptr_restrict",
    "kernel.task_delayacct",
    "kernel.randomize_va_space",
    "kernel.sched_autogroup_enabled",
    "kernel.nmi_watchdog",
    "kernel.io_uring_disabled",
    "kernel.yama.ptrace_scope",
];

/// Files of sysfs by their path.
const FILES: &[&str] = &[
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/kernel/mm/transparent_hugepage/use_zero_page",
    "/sys/kernel/mm/transparent_hugepage/hpage_pmd_size",
    "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
    "/sys/kernel/mm/ksm/run",
    "/sys/kernel/mm/ksm/pages_to_scan",
    "/sys/kernel/mm/ksm/sleep_millisecs",
    "/sys/kernel/mm/ksm/use_zero_pages",
    "/sys/kernel/mm/lru_gen/enabled",
    "/sys/kernel/mm/numa/demotion_enabled",
    "/sys/module/zswap/parameters/enabled",
    "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    "/sys/devices/system/cpu/cpufreq/boost",
    "/sys/devices/system/cpu/intel_pstate/no_turbo",
    "/sys/devices/system/cpu/intel_pstate/status",
    "/sys/devices/system/cpu/amd_pstate/status",
    "/sys/devices/system/cpu/smt/control",
    "/sys/devices/system/cpu/cpuidle/current_driver",
    "/sys/devices/system/cpu/isolated",
    "/sys/devices/system/cpu/nohz_full",
    super::knob::REUSE,
    super::knob::RECHECK,
    super::knob::COPY_DELAY,
];

/// Every setting that this kernel has and this process may read: sysctl name or path, and value as read.
pub fn read() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for name in SYSCTLS {
        note(&mut settings, name, files::read(sysctl_path(name)));
    }
    for path in FILES {
        note(&mut settings, path, files::read(path));
    }
    for path in per_item_files() {
        note(&mut settings, &path, files::read(&path));
    }
    let preempt = KernelFs::open(FileSystem::Debugfs)
        .ok()
        .and_then(|fs| fs.read("sched/preempt").ok());
    note(&mut settings, "/sys/kernel/debug/sched/preempt", preempt);
    settings
}

/// The value of a sysctl; `None` when the kernel has none of this name or it may not be read.
pub(crate) fn sysctl(name: &str) -> Option<String> {
    files::read(sysctl_path(name))
}

/// Governors in use, by name, each once, sorted; empty where there is no frequency scaling.
pub(crate) fn governors() -> Vec<String> {
    let cpus = files::names("/sys/devices/system/cpu/cpufreq");
    let path = |policy| format!("/sys/devices/system/cpu/cpufreq/{policy}/scaling_governor");
    let mut governors: Vec<String> = cpus
        .iter()
        .filter_map(|policy| files::read(path(policy)))
        .collect();
    governors.sort();
    governors.dedup();
    governors
}

/// Files of which there is one for each folio size, vulnerability or frequency policy.
fn per_item_files() -> Vec<String> {
    let each = |directory: &str, prefix: &str, file: &str| {
        let names = files::names(directory).into_iter();
        let names = names.filter(|name| name.starts_with(prefix));
        names
            .map(|name| format!("{directory}/{name}{file}"))
            .collect::<Vec<_>>()
    };
    [
        each(
            "/sys/kernel/mm/transparent_hugepage",
            "hugepages-",
            "/enabled",
        ),
        each("/sys/kernel/mm/hugepages", "hugepages-", "/nr_hugepages"),
        each(
            "/sys/devices/system/cpu/cpufreq",
            "policy",
            "/scaling_governor",
        ),
        each("/sys/devices/system/cpu/vulnerabilities", "", ""),
    ]
    .concat()
}

pub(super) fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

fn note(settings: &mut BTreeMap<String, String>, name: &str, value: Option<String>) {
    if let Some(value) = value.filter(|value| !value.is_empty()) {
        settings.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_is_read_by_its_name() {
        let settings = read();
        let file = std::fs::read_to_string("/proc/sys/vm/swappiness").unwrap();
        assert_eq!(settings["vm.swappiness"], file.trim());
        assert_eq!(sysctl("vm.swappiness").as_deref(), Some(file.trim()));
    }

    #[test]
    fn what_this_kernel_does_not_have_is_left_out() {
        let absent = |value: &str| value.is_empty() || value == "(null)";
        assert!(!read().values().any(|value| absent(value)));
        assert_eq!(sysctl("vm.no_such_sysctl"), None);
    }
}
