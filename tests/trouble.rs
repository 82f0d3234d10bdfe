//! What goes wrong on real machines: each case ends in a clear message and nothing lost.

mod common;

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use common::{
    cowpath, finish, load, no_root, private_copy, processes_of, small_run, wait_for,
    wait_for_all_to_end,
};
use cowpath::record::rule::SmallRule;
use cowpath::record::schema::Counter;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A run that takes long enough to be disturbed.
fn long_run(folder: &Path) -> (PathBuf, PathBuf, Child) {
    start(folder, &["--trials", "20"])
}

/// A run of two scenarios by a program and into a file of its own.
fn start(folder: &Path, more: &[&str]) -> (PathBuf, PathBuf, Child) {
    let (program, path) = (private_copy(folder), folder.join("r.json"));
    let runner = Command::new(&program)
        .args(["run", "copy/child-alive", "reuse/child-exited"])
        .args(["--pages", "2048", "--reps", "4"])
        .args(more)
        .arg("-o")
        .arg(&path)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    (program, path, runner)
}

/// Workers that examine the kernel's strategy before any measures: the scenarios by which its rules are told.
const EXAMINING: usize = 6;

/// A worker of `runner` that measures, after so many others that do, and not one that examines the kernel's strategy beforehand.
fn a_worker(runner: &Child, program: &Path, after: usize) -> Pid {
    let mut seen: Vec<i32> = Vec::new();
    wait_for("a worker", || {
        for pid in processes_of(program) {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // The program's name, in brackets, may hold anything; the state and the parent follow it.
            let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
            let parent = after_name
                .split(' ')
                .nth(1)
                .and_then(|pid| pid.parse().ok());
            let child_of_runner = parent == Some(runner.id());
            if child_of_runner && !seen.contains(&pid) {
                seen.push(pid);
                if seen.len() > EXAMINING + after {
                    return Some(Pid::from_raw(pid));
                }
            }
        }
        None
    })
}

#[test]
fn an_interrupted_run_keeps_what_it_measured_leaves_nobody_behind_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let (program, path, runner) = long_run(folder.path());
    a_worker(&runner, &program, 1);
    kill(Pid::from_raw(runner.id() as i32), Signal::SIGINT).unwrap();
    let finished = common::Finished::from(runner.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(130), "{finished:?}");
    let partial = load(&path);
    assert!(!partial.complete);
    let made = |file: &cowpath::record::schema::RunFile| -> usize {
        file.results
            .iter()
            .map(|measured| measured.repetitions.len())
            .sum()
    };
    assert!((1..8).contains(&made(&partial)), "{}", made(&partial));
    wait_for_all_to_end(&program);

    let mut resume = Command::new(&program);
    resume
        .args(["run", "copy/child-alive", "reuse/child-exited"])
        .args([
            "--pages", "2048", "--trials", "20", "--reps", "4", "--resume", "-o",
        ])
        .arg(&path);
    let finished = finish(resume);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let whole = load(&path);
    assert!(whole.complete);
    assert_eq!((made(&whole), &whole.id), (8, &partial.id));
    let stores: u64 = whole
        .results
        .iter()
        .map(|measured| measured.outcomes.total())
        .sum();
    assert_eq!(stores, 8 * 20 * 2048);
}

#[test]
fn a_killed_worker_costs_one_repetition_and_is_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (program, path, runner) = long_run(folder.path());
    let worker = a_worker(&runner, &program, 0);
    kill(worker, Signal::SIGKILL).unwrap();
    let finished = common::Finished::from(runner.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.tells("SIGKILL");
    let file = load(&path);
    let lost: Vec<_> = file
        .results
        .iter()
        .flat_map(|measured| &measured.lost)
        .collect();
    assert_eq!(lost.len(), 1);
    let made: usize = file
        .results
        .iter()
        .map(|measured| measured.repetitions.len())
        .sum();
    assert_eq!(made, 7);
}

#[test]
fn a_repetition_that_is_lost_to_the_limit_is_told_by_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let (program, path, runner) = start(folder.path(), &["--limit", "10", "--trials", "8"]);
    let worker = a_worker(&runner, &program, 1);
    // Before that its parent waits for it without a limit, as for any process that is being started.
    wait_for("the worker to be started", || {
        let words = std::fs::read_to_string(format!("/proc/{worker}/cmdline")).ok()?;
        words.ends_with("\0worker\0").then_some(())
    });
    kill(worker, Signal::SIGSTOP).unwrap();
    let finished = common::Finished::from(runner.wait_with_output().unwrap());
    assert_eq!(finished.code, Some(5), "{finished:?}");
    finished.complains("a longer --limit");
    let file = load(&path);
    let lost: Vec<_> = file.results.iter().flat_map(|m| &m.lost).collect();
    let late = lost
        .iter()
        .filter(|lost| lost.reason.contains("within 10 s"));
    assert!(file.complete && late.count() > 0, "{lost:?}");
}

#[test]
fn a_killed_runner_leaves_no_child_alive() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _, mut runner) = long_run(folder.path());
    a_worker(&runner, &program, 0);
    runner.kill().unwrap();
    runner.wait().unwrap();
    wait_for_all_to_end(&program);
}

#[test]
fn a_full_disk_is_found_out_beforehand_and_an_earlier_file_survives() {
    if no_root("a small file system is mounted") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=64k none \"$1\" && echo precious > \"$1/r.json\" \
        && { head -c 1000000 /dev/zero > \"$1/filler\" 2>/dev/null || true; } \
        && { \"$2\" run control/no-fault -o \"$1/r.json\"; code=$?; cat \"$1/r.json\"; exit $code; }";
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(common::PROGRAM);
    let finished = finish(command);
    assert_eq!(finished.code, Some(2), "{finished:?}");
    finished.complains("No space left");
    assert_eq!(finished.out, "precious\n");
}

#[test]
fn without_privilege_latency_is_measured_and_outcomes_are_called_unknown() {
    if no_root("the program is run as somebody else") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (program, path) = (private_copy(folder.path()), folder.path().join("r.json"));
    let mut command = Command::new(&program);
    command
        .args(small_run(&[], path.to_str().unwrap()))
        .uid(65534)
        .gid(65534);
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.tells("sudo");
    let file = load(&path);
    assert!(file.results.len() >= 5, "{finished:?}");
    let reuse = file
        .results
        .iter()
        .find(|m| m.scenario == "reuse/child-exited")
        .unwrap();
    assert_eq!(reuse.outcomes.unknown, reuse.outcomes.total());
    assert!(reuse.latency.values().all(|latency| latency.p50 > 0));
    assert!(!reuse.setup.unproven.is_empty());
    // A pipe that holds the page tells what became of it without any privilege.
    assert_ne!(
        file.strategy.small,
        SmallRule::Unknown,
        "{:?}",
        file.strategy.evidence
    );
    let refused = reuse
        .counters
        .values()
        .any(|c| matches!(c, Counter::Unavailable { .. }));
    assert!(refused, "{:?}", reuse.counters);
}

#[test]
fn one_cpu_and_little_address_space_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            "ulimit -v 262144; exec taskset -c 0 \"$@\"",
            "sh",
            common::PROGRAM,
        ])
        .args(small_run(
            &["reuse/child-exited", "copy/*"],
            path.to_str().unwrap(),
        ));
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let file = load(&path);
    assert_eq!(file.results.len(), 3);
    assert_eq!(file.config.cpus, [0]);
}

#[test]
fn too_little_address_space_is_said_and_nothing_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.json");
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -v 262144; exec \"$@\"", "sh", common::PROGRAM])
        .args([
            "run",
            "copy/child-alive",
            "--pages",
            "100000",
            "--reps",
            "1",
            "-o",
        ])
        .arg(&path);
    let finished = finish(command);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    finished.tells("address space");
}

#[test]
fn a_damaged_foreign_or_newer_run_file_is_refused_in_one_line_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.json");
    let args = small_run(&["control/no-fault"], good.to_str().unwrap());
    assert_eq!(finish(cowpath(&args)).code, Some(0));
    let text = std::fs::read_to_string(&good).unwrap();
    let cases = [
        (
            "truncated.json",
            text[..text.len() / 2].to_string(),
            "truncated",
        ),
        ("empty.json", String::new(), "ends"),
        ("binary.json", "\u{1}\u{2}PNG".into(), "not a run file"),
        (
            "foreign.json",
            "{\"schema\": \"other/1\"}".into(),
            "other/1",
        ),
        ("schemaless.json", "[1, 2]".into(), "missing"),
        (
            "newer.json",
            text.replace("cowpath.run/2", "cowpath.run/3"),
            "newer",
        ),
        (
            "extra.json",
            text.replacen("\"complete\"", "\"surprise\": 1, \"complete\"", 1),
            "surprise",
        ),
        (
            "negative.json",
            text.replacen("\"count\": ", "\"count\": -", 1),
            "damaged",
        ),
        (
            "histogram.json",
            text.replacen("\"hdr\": \"", "\"hdr\": \"AAAA", 1),
            "histogram",
        ),
    ];
    for (name, content, word) in cases {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        let output = folder.path().join("report");
        let args = [
            "report",
            path.to_str().unwrap(),
            "-o",
            output.to_str().unwrap(),
        ];
        let finished = finish(cowpath(&args));
        assert_eq!(finished.code, Some(2), "{name}: {finished:?}");
        assert_eq!(
            finished.err.trim_end().lines().count(),
            1,
            "{name}: {}",
            finished.err
        );
        finished.complains(name);
        finished.complains(word);
    }
}

#[test]
fn any_mutilation_of_a_run_file_is_read_or_refused() {
    use proptest::prelude::*;
    let folder = tempfile::tempdir().unwrap();
    let good = folder.path().join("good.json");
    let args = small_run(&["control/no-fault"], good.to_str().unwrap());
    assert_eq!(finish(cowpath(&args)).code, Some(0));
    let text = std::fs::read(&good).unwrap();
    let whole = cowpath::record::io::parse(&good, &text).unwrap();
    let at = 0..text.len();
    proptest!(|(start in at, length in 0usize..400, with in proptest::collection::vec(any::<u8>(), 0..40))| {
        let mut bytes = text.clone();
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, with);
        if let Ok(read) = cowpath::record::io::parse(&good, &bytes) {
            // What is accepted is whole: it can be written and read again.
            let again = serde_json::to_vec(&read).unwrap();
            prop_assert_eq!(cowpath::record::io::parse(&good, &again).unwrap(), read);
        }
    });
    assert_eq!(whole.results.len(), 1);
}
