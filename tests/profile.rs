//! `cowpath profile` on the running kernel.

mod common;

use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use cowpath::profile::document::{PathSource, ProfileDocument};

use common::skip::{Need, skip};

fn profile(arguments: &[&str], folder: &std::path::Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cowpath"))
        .arg("profile")
        .args(arguments)
        .arg("-o")
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// What is sampled, or nothing where the kernel refuses, which is said with the remedy.
fn sampled(scenario: &str, samples: &str) -> Option<ProfileDocument> {
    let folder = tempfile::tempdir().unwrap();
    let output = profile(&[scenario, "--samples", samples], folder.path());
    if output.status.code() == Some(3) {
        assert!(stderr(&output).contains("mend with"), "{}", stderr(&output));
        skip(Need::Perf, stderr(&output).trim());
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    for name in ["index.html", "path.txt", "MANIFEST"] {
        assert!(folder.path().join(name).exists(), "{name}");
    }
    let json = std::fs::read(folder.path().join("profile.json")).unwrap();
    Some(serde_json::from_slice(&json).unwrap())
}

#[test]
fn samples_of_copies_are_in_the_kernel_and_name_its_functions() {
    let Some(document) = sampled("copy/child-alive", "1000") else {
        return;
    };
    let profile = &document.profiles[0];
    let PathSource::Sampled(evidence) = &profile.evidence else {
        panic!("stepped without a kernel image");
    };
    let path = profile.usual().unwrap();
    assert!(evidence.samples >= 1000, "{}", evidence.samples);
    assert!(evidence.stores > 0);
    assert_eq!(
        path.counts.instructions, evidence.samples,
        "each is in the tree"
    );
    assert!(evidence.user < evidence.samples / 2, "{}", evidence.user);
    let own: u64 = path.functions.iter().map(|it| it.own.instructions).sum();
    assert_eq!(own, evidence.samples);
    let handles = path
        .functions
        .iter()
        .find(|it| it.name == "handle_mm_fault");
    assert!(handles.is_some_and(|it| it.total > evidence.samples / 4));
}

#[test]
fn samples_of_stores_that_do_not_fault_are_in_user_space() {
    let Some(document) = sampled("control/no-fault", "100") else {
        return;
    };
    let PathSource::Sampled(evidence) = &document.profiles[0].evidence else {
        panic!("stepped without a kernel image");
    };
    assert!(evidence.user > evidence.samples / 2, "{}", evidence.user);
}

#[test]
fn a_race_has_no_single_store_to_sample() {
    let folder = tempfile::tempdir().unwrap();
    let output = profile(&["race/store-store"], folder.path());
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
}

#[test]
fn words_for_some_of_the_kernels_only_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "reuse/child-exited",
        "--kernel",
        "a",
        "b",
        "c",
        "--append",
        "x",
        "--append",
        "y",
    ];
    let output = profile(&arguments, folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("3 kernels"), "{}", stderr(&output));
}

#[test]
fn words_for_kernels_are_wrong_usage_without_one() {
    let folder = tempfile::tempdir().unwrap();
    let output = profile(&["copy/child-alive", "--append", "x"], folder.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("--kernel"));
}

#[test]
fn an_interrupted_sampling_ends_at_once_and_leaves_nobody_behind() {
    let folder = tempfile::tempdir().unwrap();
    let program = common::private_copy(folder.path());
    let mut child = Command::new(&program)
        .args(["profile", "copy/child-alive", "--samples", "100000000"])
        .arg("-o")
        .arg(folder.path().join("out"))
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let own = child.id().cast_signed();
    let begun = common::wait_for("the sampled process or a refusal", || {
        let sampled = |pid: &i32| {
            *pid != own
                && std::fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|words| words.windows(7).any(|at| at == b"sampled"))
        };
        match child.try_wait().unwrap() {
            Some(_) => Some(false),
            None => common::processes_of(&program)
                .iter()
                .any(sampled)
                .then_some(true),
        }
    });
    if begun {
        kill(Pid::from_raw(own), Signal::SIGINT).unwrap();
    }
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(3) {
        skip(Need::Perf, stderr(&output).trim());
        return;
    }
    assert_eq!(output.status.code(), Some(130), "{}", stderr(&output));
    assert!(stderr(&output).contains("interrupted"));
    assert_eq!(common::processes_of(&program), Vec::<i32>::new());
}
