//! What cannot be had is refused before anything is booted, with what was needed, what was found and what mends it.

use std::path::Path;
use std::process::{Command, Output};

use super::bench::{Bench, cowpath_vm, stderr};

/// The program with these words and the bench's stand-in for QEMU.
fn cowpath(bench: &Bench, words: &[&str], more: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowpath"));
    command.args(words).args(more);
    command.arg("-o").arg(bench.path("out"));
    command.arg("--qemu").arg(bench.path("qemu"));
    command.output().unwrap()
}

/// The output is a refusal with this code that says all of this, and nothing was booted.
fn refused(bench: &Bench, output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} in: {said}");
    }
    assert!(!said.contains("LOST"), "{said}");
    assert_eq!(bench.read("boots"), "");
}

#[test]
fn an_image_that_is_missing_or_none_is_wrong_usage_beside_good_ones() {
    let bench = Bench::new("exit 1");
    let (good, text) = (bench.kernel("6.1.0-a"), bench.path("text"));
    std::fs::write(&text, "not a kernel").unwrap();
    let missing = Path::new("/no/such/vmlinuz");
    let commands: [&[&str]; 3] = [
        &["vm"],
        &["stage", "window/store", "--kernel"],
        &["profile", "reuse/child-exited", "--kernel"],
    ];
    for words in commands {
        let output = cowpath(&bench, words, &[&good, missing]);
        let expected = [
            "/no/such/vmlinuz: a kernel image was needed",
            "No such file",
            "fetch-kernels",
        ];
        refused(&bench, &output, 2, &expected);
        let output = cowpath(&bench, words, &[&good, &text]);
        refused(
            &bench,
            &output,
            2,
            &["text: not a kernel image", "something else was found"],
        );
        assert!(!bench.path("out").exists(), "{words:?}: nothing is left");
    }
}

#[test]
fn kvm_that_runs_no_guest_is_wrong_usage_where_it_was_asked_for() {
    let bench = Bench::new("echo 'no KVM here' >&2; exit 1");
    let output = cowpath(
        &bench,
        &["vm", "--accel", "kvm"],
        &[&bench.kernel("6.1.0-a")],
    );
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in ["KVM was asked for", "no KVM here", "--accel tcg or exact"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn run_s_arguments_are_refused_by_run_s_own_parser_before_a_boot() {
    let bench = Bench::new("exit 1");
    let kernel = bench.kernel("6.1.0-a");
    let cases: [(&[&str], &str); 8] = [
        (&["no/such"], "no scenario matches `no/such`"),
        (&["reuse/["], "reuse/["),
        (&["--pages", "0"], "--pages"),
        (&["--frobnicate"], "--frobnicate"),
        (&["--threads", "3"], "2 CPUs may be used"),
        (&["--cpus", "7"], "CPU 7"),
        (&["-o", "elsewhere.json"], "-o was given"),
        (&["--resume", "-o", "elsewhere.json"], "was given"),
    ];
    for (arguments, word) in cases {
        let mut command = bench.command(&[&kernel], &[]);
        let output = command.arg("--").args(arguments).output().unwrap();
        refused(&bench, &output, 2, &[word]);
    }
}

#[test]
fn a_list_of_kernels_without_a_qemu_is_not_possible_here() {
    let bench = Bench::new("");
    for (program, words) in [
        ("vm", &[][..]),
        ("stage", &["window/store", "--kernel"]),
        ("profile", &["reuse/child-exited", "--kernel"]),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_cowpath"))
            .arg(program)
            .args(words)
            .arg(bench.kernel("6.1.0-a"))
            .arg("-o")
            .arg(bench.path("out"))
            .env("PATH", bench.path("nowhere"))
            .output()
            .unwrap();
        let expected = [
            "qemu-system-x86_64 was needed",
            "apt install qemu-system-x86",
        ];
        refused(&bench, &output, 3, &expected);
    }
}

#[test]
fn help_that_is_asked_for_behind_the_dashes_is_run_s_and_boots_nothing() {
    let bench = Bench::new("exit 1");
    let mut command = cowpath_vm(&bench.path("lab"));
    let output = command
        .arg(bench.kernel("6.1.0-a"))
        .args(["--", "--help"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("cowpath run"));
}
