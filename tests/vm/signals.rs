//! A second signal ends a command that the first one could not reach.

use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bench::{Bench, within};

/// A QEMU that does not even say its version: nothing looks whether an interrupt has come.
const MUTE: &str = "#!/bin/sh\necho $$ >\"$(dirname \"$0\")/pid\"\nexec sleep 600\n";

fn second_signal_ends(words: &[&str]) {
    let bench = Bench::new("");
    let kernel = bench.kernel("6.1.0-a");
    std::fs::write(bench.path("qemu"), MUTE).unwrap();
    let mut cowpath = Command::new(env!("CARGO_BIN_EXE_cowpath"))
        .args(words)
        .arg(&kernel)
        .arg("-o")
        .arg(bench.path("out"))
        .arg("--qemu")
        .arg(bench.path("qemu"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = within(Duration::from_secs(10), || {
        bench.read("pid").ends_with('\n')
    });
    assert!(started, "{words:?}: the stand-in for QEMU never started");
    let signal = || kill(Pid::from_raw(cowpath.id().cast_signed()), Signal::SIGINT).unwrap();
    signal();
    std::thread::sleep(Duration::from_millis(300));
    signal();
    let mut status = None;
    within(Duration::from_secs(10), || {
        status = cowpath.try_wait().unwrap();
        status.is_some()
    });
    let mute = Pid::from_raw(bench.read("pid").trim().parse().unwrap());
    kill(mute, Signal::SIGKILL).unwrap();
    cowpath.wait().unwrap();
    let code = status.and_then(|status| status.code());
    assert_eq!(code, Some(130), "{words:?}");
}

#[test]
fn a_second_signal_ends_a_lab_a_stage_and_a_profile_at_once() {
    second_signal_ends(&["vm"]);
    second_signal_ends(&["stage", "window/store", "--kernel"]);
    second_signal_ends(&["profile", "reuse/child-exited", "--kernel"]);
}
