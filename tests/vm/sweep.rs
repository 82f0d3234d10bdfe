//! `cowpath stage --sweep`: every interleaving of a race with a real kernel's fault, and its verdict.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cowpath::record::moves::{FaultOutcome, RaceVerdict};
use cowpath::record::progress::Progress;
use cowpath::record::schema::RunFile;
use cowpath::record::sweep::Sweep;

use super::bench::stderr;
use super::kernels::{has_qemu, kernels};
use super::staged::{run_file, stage};
use crate::common::skip::{Need, skip};

/// What a sweep of one race comes to.
fn swept(race: &str, kernel: &Path, arguments: &[&str]) -> (Output, RunFile) {
    let folder = tempfile::tempdir().unwrap();
    let output = stage(&[race, "--sweep"], kernel, folder.path())
        .args(arguments)
        .output()
        .unwrap();
    let run = run_file(folder.path()).unwrap_or_else(|| panic!("{}", stderr(&output)));
    (output, run)
}

fn sweep(run: &RunFile) -> &Sweep {
    run.staged[0].sweep.as_ref().expect("it was swept")
}

/// Each interleaving is played, pruned or left out, and none is twice.
fn whole(sweep: &Sweep) {
    let pruned: u64 = sweep.pruned.iter().map(|pruned| pruned.count).sum();
    let played = sweep.played.len() as u64;
    assert_eq!(played + pruned + sweep.left_out, sweep.interleavings);
    let different: BTreeSet<&Vec<Progress>> = sweep.played.iter().map(|one| &one.places).collect();
    assert_eq!(different.len(), sweep.played.len());
}

/// The strategy kernel's image in its cache; says so if there is none.
fn strategy_kernel() -> Option<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/strategy-kernel/build");
    let found = Command::new(script).arg("--cached").output().ok();
    let found = found.filter(|found| found.status.success());
    let Some(found) = found else {
        skip(
            Need::StrategyKernel,
            "scripts/strategy-kernel/build makes one",
        );
        return None;
    };
    let path = String::from_utf8(found.stdout).unwrap();
    has_qemu().then(|| path.trim().into())
}

#[test]
fn a_stock_kernel_keeps_the_data_in_interleavings_of_a_store_and_a_bounded_sweep_says_what_it_left_out()
 {
    let found = kernels();
    let Some(kernel) = found
        .iter()
        .find(|path| path.to_string_lossy().contains("6.12"))
    else {
        skip(Need::Kernels, "no kernel 6.12");
        return;
    };
    let (output, run) = swept("window/store", kernel, &["--most", "9"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let sweep = sweep(&run);
    whole(sweep);
    assert_eq!(sweep.interleavings, 28);
    assert_eq!((sweep.played.len(), sweep.left_out), (9, 19));
    let verdicts: Vec<RaceVerdict> = sweep.verdicts().into_keys().collect();
    assert_eq!(verdicts, [RaceVerdict::Coherent, RaceVerdict::Blocked]);
    let came = |places: [Progress; 2]| {
        let found = sweep.played.iter().find(|one| one.places == places);
        found.and_then(|one| one.one)
    };
    assert_eq!(came([Progress::AfterStore; 2]), Some(FaultOutcome::Copy));
    assert_eq!(came([Progress::Copied; 2]), Some(FaultOutcome::BackedOff));
    assert_eq!(
        came([Progress::BeforeCopy, Progress::Copied]),
        Some(FaultOutcome::BackedOff),
        "held twice in one fault"
    );
    assert!(run.staged[0].surprises().is_empty());
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("19 LEFT OUT (9 were played"), "{text}");
}

#[test]
fn under_the_mapcount_rule_exactly_what_falls_into_the_copy_is_stale() {
    let Some(kernel) = strategy_kernel() else {
        return;
    };
    let arguments = ["--append", "cow_reuse=mapcount"];
    let (output, run) = swept("window/pin", &kernel, &arguments);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let sweep = sweep(&run);
    whole(sweep);
    let copying = Progress::Decided..=Progress::Copied;
    for one in &sweep.played {
        let inside = one.places.iter().all(|place| copying.contains(place));
        let stale = one.verdict == RaceVerdict::StalePin;
        assert_eq!(stale, inside, "{}", sweep.order(&one.places));
    }
    assert_eq!(sweep.verdicts()[&RaceVerdict::StalePin], 6);
    assert_eq!(run.staged[0].verdict, RaceVerdict::StalePin);
    assert!(run.staged[0].surprises().is_empty());
}
