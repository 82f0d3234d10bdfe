//! Races as users meet them: what must and what must not come about. Nothing here asserts a time.

mod common;

use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard};

use common::skip::{Need, skip};
use common::{Finished, cowpath, finish, is_root, load, wait_for};
use cowpath::machine::topology::Topology;
use cowpath::record::known::Known;
use cowpath::record::method::LateCount;
use cowpath::record::method::Method;
use cowpath::record::race::FrameChange;
use cowpath::record::schema::{DiscardCounts, Discards, Measured, RunFile};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Races spin on their CPUs: two at a time would mostly wait for each other.
fn alone() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    ONE_AT_A_TIME.lock().unwrap_or_else(|e| e.into_inner())
}

/// Why races can not be judged here, if they can not.
fn unfit() -> bool {
    let cpus = Topology::read().map_or(0, |topology| topology.allowed.len());
    match (is_root(), cpus) {
        (false, _) => skip(Need::Root, "page frame numbers and tracepoints are read"),
        (_, 0 | 1) => skip(Need::TwoCpus, "two threads race"),
        _ => return false,
    }
    true
}

/// Runs races on few pages.
fn race(globs: &[&str], more: &[&str]) -> (RunFile, Finished) {
    race_on("1024", globs, more)
}

fn race_on(pages: &str, globs: &[&str], more: &[&str]) -> (RunFile, Finished) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut args = vec!["run"];
    args.extend(globs);
    args.extend(["--pages", pages, "--trials", "2", "--reps", "2"]);
    args.extend(more);
    args.extend(["-o", path.to_str().unwrap()]);
    let finished = finish(cowpath(&args));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    (load(&path), finished)
}

fn counts(measured: &Measured) -> DiscardCounts {
    match &measured.discards {
        Discards::Counted(counts) => counts.clone(),
        Discards::Unavailable { unavailable } => panic!("{}: {unavailable}", measured.scenario),
    }
}

fn result<'a>(file: &'a RunFile, id: &str) -> &'a Measured {
    let measured = file.results.iter().find(|m| m.scenario == id);
    measured.unwrap_or_else(|| panic!("{id}: {:?}", file.skipped))
}

#[test]
fn every_race_keeps_its_data_and_comes_to_what_the_strategy_allows() {
    let _alone = alone();
    if unfit() {
        return;
    }
    let (file, finished) = race(&["race/*", "contention/*"], &[]);
    for measured in &file.results {
        let id = &measured.scenario;
        let race = measured.race.as_ref().unwrap();
        assert!(measured.integrity.checked > 0, "{id}");
        assert_eq!(measured.integrity.violations, 0, "{id}");
        assert_eq!(
            race.rehearsal_allocations, 0,
            "{id}: the race itself allocates"
        );
        assert!(race.rehearsal_pages > 0, "{id}");
        // The kernel may move a page at any time.
        let pages: u64 = race.results.iter().map(|result| result.pages).sum();
        assert!(race.not_allowed * 1000 <= pages, "{id}: {:?}", race.results);
        assert!(finished.out.contains(id.as_str()));
        if let Discards::Counted(_) = measured.discards {
            let counts = counts(measured);
            assert_eq!(
                counts.allocations + race.unexplained,
                counts.committed + counts.late + counts.none,
                "{id}"
            );
            assert_eq!(counts.pages, pages, "{id}");
        }
    }

    let stores = counts(result(&file, "race/store-store"));
    assert!(
        stores.late + stores.none > stores.pages / 2,
        "{}",
        stores.late
    );
    assert_eq!(stores.futile, 0, "the child has the old page");
    let control = counts(result(&file, "race/child-exited"));
    assert_eq!(control.allocations, 0);
    let mprotect = counts(result(&file, "race/mprotect"));
    assert!(mprotect.late * 1000 <= mprotect.pages, "{}", mprotect.late);
    let old = counts(result(&file, "race/accessed"));
    let young = counts(result(&file, "race/accessed-young"));
    assert!(old.late * 20 > old.pages, "{}", old.late);
    assert!(young.late * 1000 <= young.pages, "{}", young.late);
    let in_place = |id| {
        let results = &result(&file, id).race.as_ref().unwrap().results;
        let in_place = results
            .iter()
            .filter(|r| r.frame == FrameChange::Same && r.late > 0);
        in_place.map(|r| r.pages).sum::<u64>()
    };
    assert!(in_place("race/ref-drop") > 0, "backed off, then reused");
    assert_eq!(in_place("race/store-store"), 0);
    let exit = counts(result(&file, "race/exit"));
    assert!(
        exit.committed < exit.pages,
        "some exits come before the copy"
    );
}

#[test]
fn threads_that_share_a_cpu_are_marked_and_hardly_ever_discard() {
    let _alone = alone();
    if unfit() {
        return;
    }
    let cpu = Topology::read().unwrap().order()[0].to_string();
    let (file, _) = race(
        &["race/store-store"],
        &["--cpus", &cpu, "--threads", "2", "--oversubscribe"],
    );
    let measured = result(&file, "race/store-store");
    assert!(measured.oversubscribed);
    assert_eq!(measured.cpus[0], measured.cpus[1]);
    let counts = counts(measured);
    assert!(
        (counts.late + counts.none) * 100 <= counts.pages,
        "{}",
        counts.late
    );
}

#[test]
fn a_reader_under_a_lock_sees_what_was_stored_last() {
    let _alone = alone();
    if unfit() {
        return;
    }
    // Where there are two CPUs, the reader shares the first thread's.
    let (file, _) = race(&["race/reader"], &["--threads", "3", "--oversubscribe"]);
    let measured = result(&file, "race/reader");
    assert_eq!(measured.threads, 3);
    assert_eq!(measured.integrity.violations, 0);
    assert!(measured.integrity.checked > 0);
    assert_eq!(measured.outcomes.copy, 2 * 2 * 1024, "thread 1's stores");

    let (file, _) = race(&["race/reader", "race/child-exited"], &["--threads", "2"]);
    let skipped = file.skipped.iter().find(|s| s.scenario == "race/reader ×2");
    assert_eq!(skipped.unwrap().reason, "needs 3 threads, asked for 2");
}

#[test]
fn each_skew_and_each_number_of_threads_is_a_result() {
    let _alone = alone();
    if unfit() {
        return;
    }
    let (file, _) = race(&["race/child-exited"], &["--skew", "-700,0,1000000"]);
    let skews: Vec<i64> = file.results.iter().map(|measured| measured.skew).collect();
    assert_eq!(skews, [-700, 0, 1_000_000]);
    let (file, _) = race(&["contention/sweep"], &["--threads", "1,2"]);
    let threads: Vec<u32> = file
        .results
        .iter()
        .map(|measured| measured.threads)
        .collect();
    assert_eq!(threads, [1, 2]);
    assert_eq!(counts(&file.results[0]).late, 0, "one thread meets nobody");
}

#[test]
fn too_few_cpus_are_a_reason_to_skip_and_too_many_threads_are_refused() {
    let _alone = alone();
    let cpu = Topology::read().unwrap().order()[0].to_string();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let args = |more: &[&'static str]| {
        let mut args = vec![
            "run",
            "race/exit",
            "--quick",
            "--pages",
            "16",
            "--cpus",
            &cpu,
        ];
        args.extend(more);
        args.extend(["-o", path.to_str().unwrap()]);
        finish(cowpath(&args))
    };
    let skipped = args(&[]);
    assert_eq!(skipped.code, Some(3), "{skipped:?}");
    skipped.tells("needs 2 CPUs, found 1");
    let refused = args(&["--threads", "2"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    refused.complains("--oversubscribe");
}

#[test]
fn protecting_and_unprotecting_never_hangs() {
    let _alone = alone();
    if unfit() {
        return;
    }
    for _ in 0..20 {
        let (file, _) = race_on("128", &["race/uffd-wp"], &["--limit", "20"]);
        if let [skipped] = &file.skipped[..] {
            skip(Need::UffdWp, &skipped.reason);
            return;
        }
        assert_eq!(result(&file, "race/uffd-wp").lost, []);
    }
}

fn delayacct() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/task_delayacct").ok()?;
    Some(text.trim().to_string())
}

/// One test, since the setting is the machine's.
#[test]
fn tuning_gives_a_second_count_and_is_undone_even_after_sigkill() {
    let _alone = alone();
    if unfit() {
        return;
    }
    if delayacct().as_deref() != Some("0") {
        let why = format!("kernel.task_delayacct is {:?}, not 0", delayacct());
        skip(Need::Delayacct, why);
        return;
    }
    let (file, _) = race(&["race/store-store"], &["--tune"]);
    assert_eq!(delayacct().as_deref(), Some("0"));
    let first = counts(result(&file, "race/store-store"));
    match first.other_methods.get(&Method::Taskstats) {
        Some(Known::Counted(LateCount { difference, .. })) => {
            assert!(
                difference.unsigned_abs() * 1000 <= first.pages,
                "{difference}"
            );
        }
        other => skip(Need::Taskstats, format!("the second count: {other:?}")),
    }

    let folder = tempfile::tempdir().unwrap();
    let mut long = cowpath(&["run", "race/*", "--tune", "--reps", "50", "-o"]);
    long.arg(folder.path().join("r.json"));
    let mut long = long
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for("the setting", || (delayacct()? == "1").then_some(()));
    std::thread::sleep(std::time::Duration::from_millis(500));
    kill(Pid::from_raw(long.id() as i32), Signal::SIGKILL).unwrap();
    long.wait().unwrap();
    wait_for("the setting to be put back", || {
        (delayacct()? == "0").then_some(())
    });
}

#[test]
fn a_race_without_privilege_says_why_discards_are_not_counted() {
    let _alone = alone();
    use std::os::unix::process::CommandExt;
    if unfit() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = common::private_copy(folder.path());
    let path = folder.path().join("r.json");
    let mut command = std::process::Command::new(&program);
    command
        .args(["run", "race/store-store", "--quick", "--pages", "256", "-o"])
        .arg(&path)
        .current_dir(Path::new("/"))
        .uid(65534)
        .gid(65534);
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let file = load(&path);
    match &result(&file, "race/store-store").discards {
        Discards::Unavailable { unavailable } => assert!(!unavailable.is_empty()),
        counted => panic!("{counted:?}"),
    }
}
