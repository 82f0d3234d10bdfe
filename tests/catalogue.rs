//! The whole catalogue: what it predicts comes about, and the machine is afterwards as it was before.

mod common;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard};

use common::skip::{Need, skip};
use common::{
    PROGRAM, cowpath, finish, is_root, load, no_root, processes_of, small_run, wait_for,
    wait_for_all_to_end,
};
use cowpath::record::rule::LargeRule;
use cowpath::record::schema::RunFile;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Tests that change settings, or watch that nobody does, take turns.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(|e| e.into_inner())
}

/// Everything that `--tune` may touch, file by file.
fn settings() -> Vec<(String, String)> {
    let mut paths: Vec<String> = vec![
        "/proc/swaps".into(),
        "/proc/mounts".into(),
        "/proc/sys/vm/nr_hugepages".into(),
        "/proc/sys/vm/swappiness".into(),
        "/sys/kernel/mm/transparent_hugepage/enabled".into(),
    ];
    for name in [
        "run",
        "pages_to_scan",
        "sleep_millisecs",
        "smart_scan",
        "advisor_mode",
    ] {
        paths.push(format!("/sys/kernel/mm/ksm/{name}"));
    }
    for (folder, file) in [
        ("/sys/kernel/mm/transparent_hugepage", "enabled"),
        ("/sys/kernel/mm/hugepages", "nr_hugepages"),
    ] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            paths.push(entry.path().join(file).display().to_string());
        }
    }
    paths.sort();
    let mut state: Vec<(String, String)> = paths
        .into_iter()
        .filter_map(|path| Some((path.clone(), fs::read_to_string(path).ok()?)))
        .collect();
    let mut devices: Vec<String> = fs::read_dir("/sys/block")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    devices.sort();
    state.push(("/sys/block".into(), devices.join(" ")));
    state
}

fn measure(globs: &[&str], more: &[&str]) -> (RunFile, common::Finished) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut args = vec!["run"];
    args.extend(globs);
    args.extend(["--pages", "512", "--trials", "2", "--reps", "1"]);
    args.extend(more);
    args.extend(["-o", path.to_str().unwrap()]);
    let finished = finish(cowpath(&args));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    (load(&path), finished)
}

fn assert_as_predicted(file: &RunFile) {
    for measured in &file.results {
        let name = (&measured.scenario, &measured.folio);
        assert_eq!(measured.integrity.violations, 0, "{name:?}");
        assert!(!measured.setup.proven.is_empty(), "{name:?}");
        // Any process on the other CPU may empty its batch before the store: some stores then reuse.
        let least = match measured.scenario.as_str() {
            "extra-ref/other-lru-batch" => 0.5,
            _ => 0.99,
        };
        // What a race comes to is a share, not a certainty.
        if measured.race.is_some() {
            continue;
        }
        if let Some((part, whole)) = measured.as_expected() {
            let share = part as f64 / whole as f64;
            assert!(
                share >= least,
                "{name:?}: {share} as expected: {:?}",
                measured.outcomes
            );
        }
    }
}

#[test]
fn there_are_sixty_scenarios_and_each_says_where_its_prediction_comes_from() {
    let json = finish(cowpath(&["list", "--json"]));
    let listed: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let listed = listed.as_array().unwrap();
    assert!(listed.len() >= 60, "{}", listed.len());
    for scenario in listed {
        for key in ["id", "summary", "path", "group"] {
            let text = scenario[key].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{key} of {scenario}");
        }
        let expected = scenario["expected"].as_array().unwrap();
        assert!(!expected.is_empty(), "{scenario}");
        for one in expected {
            let bases = one["basis"].as_object().unwrap().values();
            let named = bases.filter(|basis| !basis.as_str().unwrap().is_empty());
            assert_eq!(named.count(), 1, "{one}");
        }
    }
}

#[test]
fn without_tune_nothing_is_changed_and_what_is_missing_is_said_with_its_remedy() {
    if no_root("page states are proven through page frame numbers") {
        return;
    }
    let _alone = alone();
    let before = settings();
    let (file, _) = measure(&[], &[]);
    assert_eq!(settings(), before);
    assert_as_predicted(&file);
    assert!(file.results.len() >= 50, "{}", file.results.len());
    for skipped in &file.skipped {
        assert!(
            skipped.reason.contains("need") && skipped.reason.contains("found")
                || skipped.reason.contains("--tune")
                || skipped.reason.contains("not offered")
                || skipped.reason.contains("soft-dirty"),
            "{skipped:?}"
        );
    }
}

#[test]
fn a_child_that_stores_faults_on_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let done = finish(cowpath(&small_run(
        &["copy/in-child"],
        path.to_str().unwrap(),
    )));
    assert_eq!(done.code, Some(0), "{done:?}");
    let file = load(&path);
    let surplus = file.results[0]
        .repetitions
        .iter()
        .map(|one| one.surplus_faults);
    // Anything may take a page away for a moment, but not in every repetition.
    let surplus: Vec<_> = surplus.collect();
    assert!(surplus.contains(&Some(0)), "{surplus:?}");
}

#[test]
fn with_tune_the_rest_comes_out_as_predicted_and_everything_is_put_back() {
    if no_root("settings are changed") {
        return;
    }
    let _alone = alone();
    let before = settings();
    let globs = ["swap/*", "ksm/*", "thp/*", "mthp/*", "hugetlb/*", "cost/*"];
    let (file, finished) = measure(&globs, &["--tune"]);
    assert_eq!(settings(), before, "{finished:?}");
    assert_as_predicted(&file);
    assert!(!file.results.is_empty(), "{finished:?}");
    assert!(file.config.tune);
    // From 5.8 on a store to a shared huge page copies one page of it; to one of the pool, all of it.
    for (id, bytes) in [
        ("thp/zero-fill", 2 << 20),
        ("thp/child-alive", 4096),
        ("thp/every-page-child-alive", 4096),
        ("thp/child-exited", 0),
        ("hugetlb/child-alive", 2 << 20),
    ] {
        for measured in file.results.iter().filter(|one| one.scenario == id) {
            let taken = measured.sum(|one| one.taken).unwrap();
            assert_eq!(taken.bytes, taken.stores * bytes, "{id}");
        }
    }
    if !file
        .skipped
        .iter()
        .any(|skipped| skipped.scenario.starts_with("thp/"))
    {
        assert_ne!(
            file.strategy.large,
            LargeRule::Unknown,
            "{:?}",
            file.strategy.evidence
        );
    }
}

#[test]
fn a_folio_size_chooses() {
    if no_root("settings are changed") {
        return;
    }
    if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage/hugepages-64kB/enabled").exists()
    {
        skip(Need::Mthp, "this kernel has no folios of 64 KiB");
        return;
    }
    let _alone = alone();
    let before = settings();
    let (file, _) = measure(
        &["mthp/child-alive", "mthp/child-exited", "cost/unmap-last"],
        &["--tune", "--folio", "4k,64k"],
    );
    assert_eq!(settings(), before);
    let mut seen: Vec<_> = file
        .results
        .iter()
        .map(|measured| (measured.scenario.as_str(), measured.folio.to_string()))
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            ("cost/unmap-last", "4k".into()),
            ("cost/unmap-last", "64k".into()),
            ("mthp/child-alive", "64k".into()),
            ("mthp/child-exited", "64k".into()),
        ]
    );
    let refused = finish(cowpath(&["run", "--folio", "huge"]));
    assert_eq!(refused.code, Some(2));
    refused.complains("hugetlb-2m");
}

#[test]
fn a_pool_of_huge_pages_that_is_too_small_is_refused_with_what_the_scenario_takes() {
    let _alone = alone();
    let pool = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages";
    let before = fs::read_to_string(pool).unwrap_or_default();
    if !is_root() || before.trim() != "0" || fs::write(pool, "1").is_err() {
        skip(Need::HugePool, "no empty pool of 2 MiB pages");
        return;
    }
    let had = fs::read_to_string(pool).unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let args = ["hugetlb/zero-fill", "hugetlb/child-alive"];
    let run = finish(cowpath(&common::small_run(&args, path.to_str().unwrap())));
    fs::write(pool, before).unwrap();
    if had.trim() != "1" {
        skip(Need::HugePool, "no memory for a huge page");
        return;
    }
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    assert_eq!(file.results[0].scenario, "hugetlb/zero-fill");
    let why = &file.skipped[0].reason;
    let needed =
        "needs 2 pages of the pool of hugetlb-2m (1 of the area, 1 for copies); found: 1 free";
    assert!(why.starts_with(needed), "{why}");
}

/// A run that has changed settings and goes on for a while.
fn tuned_run(program: &str, before: &[(String, String)], folder: &std::path::Path) -> Child {
    let runner = Command::new(program)
        .args([
            "run", "ksm/*", "swap/*", "mthp/*", "--tune", "--reps", "5", "-o",
        ])
        .arg(folder.join("r.json"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    wait_for("a changed setting", || (settings() != before).then_some(()));
    runner
}

#[test]
fn a_killed_runner_has_its_settings_put_back_by_the_guardian() {
    if no_root("settings are changed") {
        return;
    }
    let _alone = alone();
    let before = settings();
    let folder = tempfile::tempdir().unwrap();
    let mut runner = tuned_run(PROGRAM, &before, folder.path());
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for("the settings of before", || {
        (settings() == before).then_some(())
    });
}

#[test]
fn a_killed_guardian_is_made_up_for_by_the_doctor() {
    if no_root("settings are changed") {
        return;
    }
    let _alone = alone();
    let before = settings();
    let folder = tempfile::tempdir().unwrap();
    let program = common::private_copy(folder.path());
    let mut runner = tuned_run(program.to_str().unwrap(), &before, folder.path());
    // The guardian first: it would put everything back at once.
    for pid in processes_of(&program) {
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        if line.contains("guardian") {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
    }
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for_all_to_end(&program);
    assert_ne!(settings(), before, "nobody is left to put it back");
    let doctor = finish(cowpath(&["doctor", "--restore"]));
    assert_eq!(doctor.code, Some(0), "{doctor:?}");
    doctor.tells("put back");
    assert_eq!(settings(), before);
}

#[test]
fn every_scenario_that_stands_beside_a_case_of_the_kernel_s_test_is_there() {
    let page = include_str!("../docs/kernel-cow-test.md");
    let quoted = page.split('`').skip(1).step_by(2);
    let of_catalogue = |name: &&str| {
        let group = name.split_once('/').map(|(group, _)| group);
        !name.contains([' ', '.'])
            && group.is_some_and(|group| group != "tools" && group != "tests")
    };
    let named: Vec<&str> = quoted.filter(of_catalogue).collect();
    assert!(named.len() > 50, "{named:?}");
    for id in named {
        assert!(cowpath::scenario::catalogue::find(id).is_some(), "{id}");
    }
}
