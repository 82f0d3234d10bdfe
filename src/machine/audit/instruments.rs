//! Checks on what this process may see and bring about.

use crate::machine::capability::name::Capability;
use crate::machine::capability::{Capabilities, perf};
use crate::machine::knob::{self, Knob};
use crate::machine::settings;
use crate::record::audit::{Check, Severity};
use crate::record::rule::Rule;
use crate::sys::files;
use crate::sys::kernelfs::{FileSystem, KernelFs};

/// One check for each capability, and those on the settings behind them.
pub(super) fn checks(capabilities: &Capabilities) -> Vec<Check> {
    let mut checks: Vec<Check> = Capability::ALL
        .iter()
        .map(|&capability| check(capabilities, capability))
        .collect();
    let level = settings::sysctl("kernel.perf_event_paranoid");
    checks.push(paranoid(level.as_deref(), perf::privileged()));
    let lockdown = files::read("/sys/kernel/security/lockdown").or_else(|| {
        KernelFs::open(FileSystem::Securityfs)
            .ok()
            .and_then(|fs| fs.read("lockdown").ok())
    });
    checks.extend(lockdown.and_then(|text| locked_down(&text)));
    checks.extend(Knob::read().map(|knob| reuse_rule(&knob)));
    checks
}

/// The rule by which a strategy kernel reuses pages at present.
fn reuse_rule(knob: &Knob) -> Check {
    let why = "--strategy switches the rule by which pages are reused";
    let title = |name: &String| {
        name.parse()
            .map_or(name.clone(), |rule: Rule| rule.title().into())
    };
    let rules: Vec<String> = knob.rules.iter().map(title).collect();
    let state = format!(
        "{} is followed, of: {}",
        title(&knob.chosen),
        rules.join(", ")
    );
    match (knob.chosen.parse(), knob.rules.first()) {
        (Ok(Rule::Mapcount), Some(own)) => Check::new(
            "reuse-rule",
            Severity::Warning,
            state,
            "under mapcount any process may read what others store (CVE-2020-29374)",
            format!("echo {own} > {}", knob::REUSE),
        ),
        _ => Check::new("reuse-rule", Severity::Info, state, why, ""),
    }
}

fn check(capabilities: &Capabilities, capability: Capability) -> Check {
    let (why, when_missing) = matters(capability);
    match capabilities.state(capability) {
        Ok(found) => Check::new(capability.name(), Severity::Ok, found, why, ""),
        Err(missing) => {
            let state = format!("{} (needs {})", missing.found, missing.needed);
            Check::new(capability.name(), when_missing, state, why, &missing.mend)
        }
    }
}

/// Why a capability matters, and how much its absence does.
fn matters(capability: Capability) -> (&'static str, Severity) {
    use Severity::{Info, Warning};
    match capability {
        Capability::Pfn => (
            "a fault is a reuse or a copy by its PFN; without it outcomes are unknown",
            Warning,
        ),
        Capability::PageCounts => ("proves before timing how many map a page", Warning),
        Capability::PageFlags => (
            "proves before timing that a page is on the LRU, merged, huge or swapped",
            Warning,
        ),
        Capability::SoftwareEvents => (
            "counts page faults, context switches and migrations of the stores",
            Warning,
        ),
        Capability::Pmu => (
            "counts cycles, instructions, cache and TLB misses per fault",
            Warning,
        ),
        Capability::Tracefs => ("tells the ids of tracepoints", Warning),
        Capability::TracepointPageAlloc => (
            "counts allocated pages, and so copies that were thrown away",
            Warning,
        ),
        Capability::TracepointPageFree => ("cross-checks allocations on a quiet machine", Info),
        Capability::TracepointPageFault => ("counts page faults from user mode (x86-64)", Info),
        Capability::Kprobes => ("confirms discarded copies; never used while timing", Info),
        Capability::Uffd => ("opens the way to write-protecting single pages", Warning),
        Capability::UffdKernelFaults => (
            "system calls may then store to protected pages; stores by threads need it not",
            Info,
        ),
        Capability::UffdWp => ("a rival that changes a PTE within the copy window", Info),
        Capability::UffdWpAsync => (
            "makes an exclusive page read-only again without a fork (reuse/exclusive)",
            Info,
        ),
        Capability::SoftDirty => (
            "makes an exclusive page read-only again where uffd-wp async is absent",
            Info,
        ),
        Capability::IoUring => ("registered buffers pin pages", Info),
        Capability::Vmsplice => (
            "a page in a pipe has a reference beside its mapping: tells the reuse rules apart",
            Warning,
        ),
        Capability::ProcessVmReadv => ("a read from outside triggers an unshare fault", Info),
        Capability::Ksm => ("scenarios with merged pages are skipped without it", Info),
        Capability::Thp => (
            "scenarios with PMD-mapped huge pages are skipped without it",
            Info,
        ),
        Capability::Mthp => (
            "scenarios with folios between 4 KiB and a PMD are skipped without it",
            Info,
        ),
        Capability::Swap => ("scenarios with swapped pages are skipped without it", Info),
        Capability::Hugetlb => ("scenarios with hugetlb pages are skipped without it", Info),
        Capability::CopyAccounting => (
            "counts every finished copy of a thread, thrown away or not, without tracing",
            Info,
        ),
    }
}

/// Judges the paranoid level for a process to which it applies, or does not (`privileged`).
fn paranoid(level: Option<&str>, privileged: bool) -> Check {
    let why = "above 1 only CAP_PERFMON counts what the kernel does, and a fault is all kernel";
    let name = "perf-event-paranoid";
    match (level, level.and_then(|level| level.parse::<i32>().ok())) {
        (None, _) => Check::new(
            name,
            Severity::Warning,
            "a kernel without perf events",
            why,
            "",
        ),
        (Some(text), Some(level)) if level <= perf::PARANOID_KERNEL => {
            Check::new(name, Severity::Ok, text, why, "")
        }
        (Some(text), _) if privileged => {
            let state = format!("{text}, and this process has CAP_PERFMON or CAP_SYS_ADMIN");
            Check::new(name, Severity::Ok, state, why, "")
        }
        (Some(text), _) => {
            let state = format!("{text} (needs <= 1 or CAP_PERFMON)");
            let advice = "sudo sysctl kernel.perf_event_paranoid=1";
            Check::new(name, Severity::Warning, state, why, advice)
        }
    }
}

/// Judges securityfs's `lockdown`; `None` where it is off.
fn locked_down(text: &str) -> Option<Check> {
    let (severity, why) = match files::selected(text) {
        "none" => return None,
        "integrity" => (
            Severity::Info,
            "refuses writing to the kernel, some debugging files too",
        ),
        _ => (
            Severity::Warning,
            "refuses kprobes, tracefs and reading the kernel",
        ),
    };
    let state = format!("{}, chosen at boot", files::selected(text));
    Some(Check::new("lockdown", severity, state, why, ""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::missing::Missing;

    #[test]
    fn what_is_missing_is_stated_with_its_need_and_command() {
        let reason = Missing::new("CAP_SYS_ADMIN", "frame number 0", "sudo cowpath run");
        let capabilities = Capabilities::all_but(&[(Capability::Pfn, reason)]);
        let found = check(&capabilities, Capability::Pfn);
        assert_eq!(found.check, "pfn-visibility");
        assert_eq!(found.state, "frame number 0 (needs CAP_SYS_ADMIN)");
        assert_eq!(found.advice, "sudo cowpath run");
        assert_eq!(found.severity, Severity::Warning);
    }

    #[test]
    fn what_works_needs_no_advice() {
        let capabilities = Capabilities::all_but(&[]);
        for capability in Capability::ALL {
            let found = check(&capabilities, capability);
            assert_eq!((found.severity, found.advice.as_str()), (Severity::Ok, ""));
        }
    }

    #[test]
    fn a_paranoid_level_matters_only_to_those_without_the_capability() {
        let refused = paranoid(Some("2"), false);
        assert_eq!(refused.state, "2 (needs <= 1 or CAP_PERFMON)");
        assert_eq!(refused.advice, "sudo sysctl kernel.perf_event_paranoid=1");
        assert_eq!(paranoid(Some("3"), true).severity, Severity::Ok);
        assert_eq!(paranoid(Some("-1"), false).severity, Severity::Ok);
        assert_eq!(paranoid(None, false).severity, Severity::Warning);
    }

    #[test]
    fn lockdown_is_a_check_only_where_it_is_on() {
        assert_eq!(locked_down("[none] integrity confidentiality"), None);
        let on = locked_down("none integrity [confidentiality]").unwrap();
        assert_eq!(on.severity, Severity::Warning);
    }
}
