//! A real kernel for 64-bit Arm, whose emulated PMU has some events and lacks others: a cowpath built for it is named
//! in COWPATH_AARCH64 (scripts/build-aarch64 makes one), kernels in COWPATH_KERNELS_AARCH64, separated by colons.

use std::collections::BTreeMap;
use std::path::PathBuf;

use cowpath::record::outcome::Outcome;
use cowpath::record::schema::{Counter, EventCount, RunFile};

use super::bench::{cowpath_vm, stderr};
use crate::common::is_installed;
use crate::common::skip::{Need, skip};

/// A kernel and the program that becomes its init; says so if there are none.
fn guest() -> Option<(PathBuf, PathBuf)> {
    if !is_installed("qemu-system-aarch64") {
        skip(Need::QemuAarch64, "qemu-system-aarch64 is not installed");
        return None;
    }
    let named = |name: &str| std::env::var_os(name);
    let Some(init) = named("COWPATH_AARCH64") else {
        skip(
            Need::Aarch64,
            "name a cowpath of scripts/build-aarch64 in COWPATH_AARCH64",
        );
        return None;
    };
    let kernels = named("COWPATH_KERNELS_AARCH64").unwrap_or_default();
    let Some(kernel) = std::env::split_paths(&kernels).next() else {
        skip(
            Need::Aarch64,
            "name a kernel of scripts/fetch-kernels --arch arm64 in COWPATH_KERNELS_AARCH64",
        );
        return None;
    };
    Some((kernel, init.into()))
}

fn boot(kernel: &PathBuf, init: &PathBuf, scenarios: &[&str]) -> RunFile {
    let folder = tempfile::tempdir().unwrap();
    let output = cowpath_vm(folder.path())
        .arg(kernel)
        .arg("--init")
        .arg(init)
        .args(["--accel", "exact", "--"])
        .args(scenarios)
        .args(["--pages", "256", "--trials", "1", "--reps", "3"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let files = std::fs::read_dir(folder.path()).unwrap().flatten();
    let mut files = files.map(|entry| entry.path());
    let file = files.find(|path| path.to_string_lossy().ends_with(".1.json"));
    serde_json::from_slice(&std::fs::read(file.expect("a run file")).unwrap()).unwrap()
}

fn counters(run: &RunFile, scenario: &str) -> BTreeMap<String, Counter> {
    let result = run.results.iter().find(|m| m.scenario == scenario);
    result.expect("a result").counters.clone()
}

#[test]
fn a_partial_pmu_gives_what_it_has_and_a_reason_for_each_event_that_it_lacks() {
    let Some((kernel, init)) = guest() else {
        return;
    };
    let scenarios = ["reuse/child-exited", "copy/child-alive"];
    let run = boot(&kernel, &init, &scenarios);
    assert_eq!(
        (&*run.host.arch, run.host.virtualization.name()),
        ("aarch64", "exact")
    );
    for (measured, outcome) in run.results.iter().zip([Outcome::Reuse, Outcome::Copy]) {
        let stores = measured.outcomes.total();
        assert_eq!(
            measured.outcomes.get(outcome),
            stores,
            "{}",
            measured.scenario
        );
    }
    let per_fault = |scenario: &str, name: &str| match counters(&run, scenario).get(name) {
        Some(&Counter::Counted(EventCount {
            per_fault,
            enabled_ns,
            running_ns,
            ..
        })) => {
            assert_eq!(enabled_ns, running_ns, "{name} has the PMU to itself");
            per_fault
        }
        other => panic!("{scenario}: {name}: {other:?}"),
    };
    for scenario in scenarios {
        // What the emulated PMU counts is what the clock saw of the paths, rare long ones in both.
        let instructions = per_fault(scenario, "instructions:k");
        let measured = run.results.iter().find(|m| m.scenario == scenario).unwrap();
        let timed = measured.latency.values().next().unwrap().mean;
        assert!(
            (0.9..1.1).contains(&(instructions / timed)),
            "{scenario}: {instructions} counted, {timed} timed"
        );
        assert!(per_fault(scenario, "cycles:k") > 0.0);
        for (name, counter) in counters(&run, scenario) {
            if let Counter::Unavailable { unavailable } = counter {
                assert!(!unavailable.is_empty(), "{name}");
            }
        }
        let missing = counters(&run, scenario);
        for name in ["dTLB-load-misses:k", "slots:k", "branch-misses:k"] {
            assert!(
                matches!(missing.get(name), Some(Counter::Unavailable { .. })),
                "{name}: {:?}",
                missing.get(name)
            );
        }
    }
    let (copy, reuse) = ("copy/child-alive", "reuse/child-exited");
    assert!(per_fault(copy, "instructions:k") > per_fault(reuse, "instructions:k"));
}

#[test]
fn a_program_for_another_processor_is_refused_by_name() {
    let Some((kernel, _)) = guest() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut command = cowpath_vm(folder.path());
    let output = command
        .arg(kernel)
        .args(["--accel", "tcg"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--init"), "{}", stderr(&output));
}
