//! A lab on a desk: kernel images that are none, and a stand-in for QEMU that is a shell script.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use cowpath::guest::transfer::{Ending, Message};

const STAND_IN: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo "QEMU emulator version 0 (stand-in)"; exit 0; }
case $* in *"-machine help") exit 0 ;; esac
for word; do
    case $word in file,id=result,path=*) result=${word#*path=} ;; esac
    [ "$last" = -kernel ] && kernel=$(basename "$word")
    last=$word
done
cd "$(dirname "$0")"
echo "$kernel" >>boots
"#;

/// The folder that everything lies in.
pub struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    /// A bench whose QEMU does what `script` says; `$kernel` and `$result` are set, and it runs in
    /// the bench's folder.
    pub fn new(script: &str) -> Self {
        let bench = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::write(bench.path("qemu"), format!("{STAND_IN}{script}\n")).unwrap();
        fs::set_permissions(bench.path("qemu"), fs::Permissions::from_mode(0o755)).unwrap();
        bench.message("good", Ending::Exit(0), "{}");
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Leaves what a guest would send in a file, for the script to `cat`.
    pub fn message(&self, name: &str, ending: Ending, run_file: &str) {
        let run_file = run_file.as_bytes().to_vec();
        fs::write(self.path(name), Message { ending, run_file }.encode()).unwrap();
    }

    /// A file that passes for a kernel image of this release.
    pub fn kernel(&self, release: &str) -> PathBuf {
        let mut image = vec![0; 0x1000];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x20e..0x210].copy_from_slice(&0x600u16.to_le_bytes());
        image[0x800..0x800 + release.len()].copy_from_slice(release.as_bytes());
        let path = self.path(release);
        fs::write(&path, image).unwrap();
        path
    }

    /// `cowpath vm` on this bench.
    pub fn command(&self, kernels: &[&Path], arguments: &[&str]) -> Command {
        let mut command = cowpath_vm(&self.path("lab"));
        command.arg("--qemu").arg(self.path("qemu"));
        command
            .args(["--accel", "tcg"])
            .args(arguments)
            .args(kernels);
        command
    }

    pub fn run(&self, kernels: &[&Path], arguments: &[&str]) -> Output {
        self.command(kernels, arguments).output().unwrap()
    }

    /// What `lab.json` says of the guests.
    pub fn guests(&self) -> Vec<serde_json::Value> {
        let file: serde_json::Value = serde_json::from_str(&self.read("lab/lab.json")).unwrap();
        file["guests"].as_array().unwrap().clone()
    }

    /// Starts in the background and waits until the stand-in has left its process id in `pid`.
    pub fn start(&self, kernels: &[&Path], arguments: &[&str]) -> (Child, u32) {
        let child = self
            .command(kernels, arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let found = within(Duration::from_secs(10), || self.read("pid").ends_with('\n'));
        assert!(found, "the stand-in for QEMU never started");
        (child, self.read("pid").trim().parse().unwrap())
    }
}

/// `cowpath vm -o FOLDER`.
pub fn cowpath_vm(output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowpath"));
    command.arg("vm").arg("-o").arg(output).stdin(Stdio::null());
    command
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// True as soon as `what` is; false if it is not in time.
pub fn within(limit: Duration, mut what: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if what() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// True once a process is gone or only waits to be reaped.
pub fn gone(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}
