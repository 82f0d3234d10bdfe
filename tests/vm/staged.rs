//! `cowpath stage`: what a stock kernel makes of a staged race, and what becomes of a guest in which
//! something goes wrong.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cowpath::record::moves::{FaultOutcome, Lock, Party, RaceVerdict};
use cowpath::record::schema::RunFile;
use cowpath::record::staged::StagedResult;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bench::{Bench, gone, stderr, within};
use super::kernels::kernels;

/// `cowpath stage`, with races and their output folder.
pub fn stage(races: &[&str], kernel: &Path, output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowpath"));
    command
        .arg("stage")
        .args(races)
        .arg("--kernel")
        .arg(kernel)
        .arg("-o")
        .arg(output)
        .stdin(Stdio::null());
    command
}

/// The run file that a stage has left in a folder, if it has.
pub fn run_file(folder: &Path) -> Option<RunFile> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let path = files
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))?;
    Some(cowpath::record::io::read(&path).unwrap())
}

/// The oldest kernel there is.
fn oldest() -> Option<PathBuf> {
    kernels().into_iter().next()
}

/// What a stage of `races` with these further arguments comes to on the oldest kernel.
fn staged(races: &[&str], arguments: &[&str]) -> Option<(Output, Option<RunFile>)> {
    let kernel = oldest()?;
    let folder = tempfile::tempdir().unwrap();
    let output = stage(races, &kernel, folder.path())
        .args(arguments)
        .output()
        .unwrap();
    Some((output, run_file(folder.path())))
}

fn came(result: &StagedResult, party: Party) -> Option<FaultOutcome> {
    result.part(party).and_then(|part| part.came)
}

#[test]
fn every_kernel_keeps_the_data_when_thread_2_stores_in_the_window_and_blocks_mprotect() {
    for kernel in kernels() {
        let folder = tempfile::tempdir().unwrap();
        let output = stage(&["window/store", "window/mprotect"], &kernel, folder.path())
            .output()
            .unwrap();
        let run = run_file(folder.path()).unwrap_or_else(|| panic!("{}", stderr(&output)));
        let [store, mprotect] = &run.staged[..] else {
            panic!("{}", stderr(&output));
        };
        assert_eq!(store.verdict, RaceVerdict::Coherent, "{kernel:?}");
        assert_eq!(
            came(store, Party::One),
            Some(FaultOutcome::BackedOff),
            "{kernel:?}"
        );
        assert_eq!(
            came(store, Party::Two),
            Some(FaultOutcome::Copy),
            "{kernel:?}"
        );
        assert_eq!(mprotect.verdict, RaceVerdict::Blocked, "{kernel:?}");
        let wait = mprotect
            .part(Party::Two)
            .and_then(|part| part.waited.clone());
        let lock = wait.expect("thread 2 waits").lock;
        assert!(matches!(lock, Lock::Mmap | Lock::Vma), "{lock:?}");
        for result in &run.staged {
            let surprises = result.surprises();
            assert!(surprises.is_empty(), "{kernel:?}: {surprises:?}");
        }
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains("thread 1: backoff, thread 2: copy"), "{text}");
    }
}

#[test]
fn the_same_race_comes_to_the_same_each_time() {
    let Some((output, run)) = staged(&["window/store-uffd-wp"], &["--reps", "5"]) else {
        return;
    };
    let run = run.unwrap_or_else(|| panic!("{}", stderr(&output)));
    assert_eq!(run.staged.len(), 5);
    for result in &run.staged {
        assert_eq!(result.verdict, run.staged[0].verdict);
        assert_eq!(came(result, Party::One), came(&run.staged[0], Party::One));
    }
}

#[test]
fn a_guest_that_panics_is_lost_and_what_was_played_before_is_kept() {
    let Some((output, run)) = staged(&["window/store"], &["--fault-injection", "panic"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let run = run.unwrap();
    assert!(!run.complete);
    assert_eq!(run.staged[0].verdict, RaceVerdict::Lost);
    let reason = &run.staged[0].reason;
    assert!(reason.contains("Kernel panic"), "{reason}");
}

#[test]
fn a_hold_point_that_is_never_reached_is_a_skip_with_its_reason() {
    let Some((output, run)) = staged(&["window/store"], &["--fault-injection", "no-fault"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    let run = run.unwrap();
    assert!(run.staged.is_empty());
    let reason = &run.skipped[0].reason;
    assert!(reason.contains("was to be held after the copy"), "{reason}");
    assert!(reason.contains("without coming by"), "{reason}");
    let at_once = format!("skipped: {reason}");
    assert!(stderr(&output).contains(&at_once), "{}", stderr(&output));
}

#[test]
fn parties_that_never_come_back_are_lost_in_bounded_time_and_so_is_the_rest() {
    let start = Instant::now();
    let races = ["window/dontneed", "window/fork"];
    let Some((output, run)) = staged(&races, &["--fault-injection", "no-return"]) else {
        return;
    };
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(start.elapsed() < Duration::from_secs(200));
    let run = run.unwrap();
    let verdicts: Vec<RaceVerdict> = run.staged.iter().map(|result| result.verdict).collect();
    assert_eq!(verdicts, [RaceVerdict::Lost, RaceVerdict::Lost]);
    let reason = &run.staged[1].reason;
    assert!(reason.contains("lost in window/dontneed"), "{reason}");
}

/// A stage that plays on the oldest kernel, and its QEMU.
fn playing(folder: &Path) -> Option<(Child, u32)> {
    let cowpath = stage(&["window/store"], &oldest()?, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut qemu = None;
    within(Duration::from_secs(20), || {
        qemu = child_of(cowpath.id());
        qemu.is_some()
    });
    std::thread::sleep(Duration::from_secs(1));
    Some((cowpath, qemu.expect("QEMU was started")))
}

#[test]
fn a_killed_qemu_is_a_lost_guest_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let Some((cowpath, qemu)) = playing(folder.path()) else {
        return;
    };
    kill(Pid::from_raw(qemu.cast_signed()), Signal::SIGKILL).unwrap();
    let output = cowpath.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(gone(qemu), "process {qemu} lives on");
    assert!(run_file(folder.path()).is_none(), "nothing had been played");
}

#[test]
fn an_interrupt_ends_the_guest() {
    let folder = tempfile::tempdir().unwrap();
    let Some((cowpath, qemu)) = playing(folder.path()) else {
        return;
    };
    kill(Pid::from_raw(cowpath.id().cast_signed()), Signal::SIGINT).unwrap();
    let output = cowpath.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(gone(qemu), "process {qemu} lives on");
}

/// A process that `parent` has started.
fn child_of(parent: u32) -> Option<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).ok()?;
    tasks.flatten().find_map(|task| {
        let children = std::fs::read_to_string(task.path().join("children")).ok()?;
        let mut running = children.split_whitespace().filter_map(|id| id.parse().ok());
        // Not the one that is asked for its version.
        running.find(|child| {
            let words = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            words.windows(4).any(|word| word == b"-gdb")
        })
    })
}

#[test]
fn a_guest_that_dies_before_a_debugger_meets_it_is_lost_with_its_last_words() {
    let bench = Bench::new("echo '[    1.5] Kernel panic - not syncing: no luck'");
    let output = stage(
        &["window/store"],
        &bench.kernel("6.1.0-a"),
        &bench.path("out"),
    )
    .arg("--qemu")
    .arg(bench.path("qemu"))
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("LOST: Kernel panic - not syncing: no luck"),
        "{text}"
    );
}

#[test]
fn a_race_that_is_none_is_wrong_usage() {
    let bench = Bench::new("exit 1");
    let output = stage(
        &["window/nothing"],
        &bench.kernel("6.1.0-a"),
        &bench.path("out"),
    )
    .arg("--qemu")
    .arg(bench.path("qemu"))
    .output()
    .unwrap();
    assert_eq!(bench.read("boots"), "");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("window/store-uffd-wp"),
        "{}",
        stderr(&output)
    );
}
