//! Real kernels under a real QEMU. They are those named in COWPATH_KERNELS (separated by colons), or
//! those that scripts/fetch-kernels has left in its cache.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use cowpath::guest::image::Image;
use cowpath::guest::pin;
use cowpath::record::schema::RunFile;
use cowpath::record::virtualization::Virtualization;

use super::bench::{cowpath_vm, stderr, within};
use crate::common::is_installed;
use crate::common::skip::{Need, skip};

/// The smallest suite that measures something.
const SUITE: [&str; 8] = [
    "--",
    "reuse/child-exited",
    "--pages",
    "64",
    "--trials",
    "1",
    "--reps",
    "1",
];

/// Whether a real guest can be had; says so if not.
pub fn has_qemu() -> bool {
    let found = is_installed("qemu-system-x86_64");
    if !found {
        skip(Need::Qemu, "qemu-system-x86_64 is not installed");
    }
    found
}

/// The kernels there are, oldest first; says so and gives none if a real guest cannot be had.
pub fn kernels() -> Vec<PathBuf> {
    if !has_qemu() {
        return Vec::new();
    }
    let found: Vec<PathBuf> = match std::env::var_os("COWPATH_KERNELS") {
        Some(paths) => std::env::split_paths(&paths).collect(),
        None => cached(),
    };
    if found.is_empty() {
        skip(
            Need::Kernels,
            "scripts/fetch-kernels gets some, or name them in COWPATH_KERNELS",
        );
    }
    found
}

/// Those of the script's cache, oldest first.
fn cached() -> Vec<PathBuf> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-kernels");
    let mut command = std::process::Command::new(script);
    command.args(["--cached", "5.10", "6.1", "6.12", "7.2"]);
    let found = command.output().unwrap();
    let images = String::from_utf8(found.stdout).unwrap();
    images.lines().map(PathBuf::from).collect()
}

fn boot(kernel: &PathBuf, arguments: &[&str]) -> (Output, Option<RunFile>) {
    let folder = tempfile::tempdir().unwrap();
    let output = cowpath_vm(folder.path())
        .arg(kernel)
        .args(arguments)
        .args(SUITE)
        .output()
        .unwrap();
    let files = std::fs::read_dir(folder.path())
        .unwrap()
        .flatten()
        .map(|entry| entry.path());
    let run_file = files
        .filter(|path| path.to_string_lossy().ends_with(".1.json"))
        .map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
        .next();
    (output, run_file)
}

/// Debian builds virtio as modules up to 6.18; without them the run file comes over the second serial port.
#[test]
fn a_kernel_without_modules_sends_its_run_file_over_a_serial_port() {
    let all = kernels();
    let Some(kernel) = all
        .iter()
        .find(|path| path.to_string_lossy().contains("-6.12"))
    else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join(kernel.file_name().unwrap());
    std::fs::copy(kernel, &alone).unwrap();
    let (output, run_file) = boot(&alone, &["--accel", "tcg"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let run_file = run_file.expect("a run file");
    assert!(run_file.complete, "{said}");
    assert!(said.contains("without zram and loop"), "{said}");
}

#[test]
fn the_suite_runs_in_the_newest_kernel_under_emulation() {
    let Some(kernel) = kernels().pop() else {
        return;
    };
    let (output, run_file) = boot(&kernel, &["--accel", "tcg"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    // What is nowhere but in the guest is not named.
    assert!(!said.contains("/tmp/run.json"), "{said}");
    assert_eq!(said.matches("next: ").count(), 1, "{said}");
    let host = run_file.expect("a run file").host;
    assert_eq!(host.virtualization, Virtualization::Tcg);
    assert_eq!(host.cpus, 2);
    assert_eq!(host.kernel.release, Image::open(&kernel).unwrap().release);
}

#[test]
fn the_oldest_kernel_counts_instructions() {
    let Some(kernel) = kernels().into_iter().next() else {
        return;
    };
    let (output, run_file) = boot(&kernel, &["--accel", "exact"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let run_file = run_file.expect("a run file");
    assert_eq!(run_file.host.virtualization, Virtualization::Exact);
    assert_eq!(run_file.host.cpus, 1);
    let latency = run_file.results[0]
        .latency
        .values()
        .next()
        .expect("a latency");
    assert_eq!(serde_json::to_value(latency.unit).unwrap(), "instructions");
}

#[test]
fn a_guest_that_is_given_up_in_mid_run_leaves_what_it_had_measured() {
    let Some(kernel) = kernels().pop() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let output = cowpath_vm(folder.path())
        .arg(&kernel)
        .args(["--accel", "tcg", "--time-limit", "60", "--"])
        .args(["reuse/child-exited", "--pages", "64", "--trials", "1"])
        .args(["--reps", "100000"])
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("no result within 60 s"), "{said}");
    let files = std::fs::read_dir(folder.path()).unwrap().flatten();
    let partial = files
        .map(|entry| entry.path())
        .find(|path| path.to_string_lossy().ends_with(".1.partial.json"))
        .expect("a partial file");
    assert!(said.contains(partial.to_str().unwrap()), "{said}");
    let run = cowpath::record::io::read(&partial).unwrap();
    assert!(!run.complete);
    assert!(!run.results[0].repetitions.is_empty());
}

#[test]
fn a_kernel_without_an_init_panics_twice_and_is_lost() {
    let Some(kernel) = kernels().into_iter().next() else {
        return;
    };
    let (output, run_file) = boot(&kernel, &["--accel", "tcg", "--append", "rdinit=/none"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("LOST: Kernel panic - not syncing"),
        "{}",
        stderr(&output)
    );
    assert!(run_file.is_none());
}

#[test]
fn a_kernel_that_does_not_come_up_in_time_is_lost_while_booting() {
    let Some(kernel) = kernels().into_iter().next() else {
        return;
    };
    let (output, _) = boot(&kernel, &["--accel", "tcg", "--time-limit", "1"]);
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("the guest was booting"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn each_virtual_cpu_gets_a_cpu_of_its_own() {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    if cpus < 2 {
        skip(Need::TwoCpus, "two virtual CPUs get a CPU each");
        return;
    }
    let Ok(mut qemu) = Command::new("qemu-system-x86_64")
        .args([
            "-S",
            "-nodefaults",
            "-display",
            "none",
            "-accel",
            "tcg",
            "-smp",
            "2",
        ])
        .args(["-name", "cowpath,debug-threads=on"])
        .stdin(Stdio::null())
        .spawn()
    else {
        skip(Need::Qemu, "qemu-system-x86_64 is not installed");
        return;
    };
    let mut pinned = None;
    within(Duration::from_secs(10), || {
        pinned = pin::vcpus(qemu.id(), 2);
        pinned.is_some()
    });
    let allowed = allowed_cpus(qemu.id());
    qemu.kill().unwrap();
    qemu.wait().unwrap();
    assert_eq!(pinned, Some(Ok(())));
    assert_eq!(allowed.len(), 2);
    assert!(
        allowed.iter().all(|list| list.parse::<usize>().is_ok()),
        "{allowed:?}"
    );
    assert_ne!(allowed[0], allowed[1]);
}

/// The CPUs that each virtual CPU's thread may use.
fn allowed_cpus(qemu: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{qemu}/task"))
        .unwrap()
        .flatten();
    tasks
        .filter_map(|task| {
            let status = std::fs::read_to_string(task.path().join("status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name));
            let is_vcpu = field("Name:")?.trim().starts_with("CPU ");
            is_vcpu.then(|| {
                field("Cpus_allowed_list:")
                    .unwrap_or_default()
                    .trim()
                    .to_owned()
            })
        })
        .collect()
}
