//! QEMU: where it is, how it accelerates, and the command line that boots a kernel under it.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arch::{Arch, ProbeGuest};
use super::guard;
use super::init::MARKER;
use super::transfer::PORT;
use crate::guest::engine::{Accel, Engine};
use crate::guest::error::VmError;
use crate::guest::memory_file::MemoryFile;
use crate::guest::processors::Processors;

/// How long the smallest possible guest may take under KVM.
const PROBE_PATIENCE: Duration = Duration::from_secs(5);

/// Keeps the kernel from waiting for entropy, and from work of its own beside the suite: the self-tests of its
/// cryptography, and DAMON's page aging, which clears Accessed bits.
const QUIET: &str = "random.trust_cpu=on cryptomgr.notests damon_stat.enabled=N";

/// A QEMU that a guest has taken over starts no program, gains no privilege and disturbs no other process's scheduling.
const SANDBOX: [&str; 2] = [
    "-sandbox",
    "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
];

/// A QEMU that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Qemu {
    /// What it emulates.
    pub arch: Arch,
    /// The program.
    pub path: PathBuf,
    /// The first line of its `--version`.
    pub version: String,
    /// Whether it filters its own system calls here.
    pub sandbox: bool,
}

/// The machine to be emulated.
#[derive(Clone, Debug)]
pub struct Machine<'a> {
    /// How processors are had.
    pub engine: Engine,
    /// CPU model, or the engine's own.
    pub cpu: Option<&'a str>,
    /// Virtual CPUs.
    pub smp: Processors,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// More words for the kernel's command line.
    pub append: &'a str,
    /// Have a gdb stub listen on this Unix socket, and hold the machine at its reset vector until a
    /// debugger lets it go. The kernel then lies where it was linked to.
    pub debugger: Option<&'a Path>,
}

impl Qemu {
    /// Finds the QEMU of an architecture on PATH, or takes the one named, and asks its version.
    ///
    /// # Errors
    /// If there is none, or it does not run.
    pub fn find(named: Option<&Path>, arch: Arch) -> Result<Self, VmError> {
        let program = format!("qemu-system-{}", arch.name());
        let path = match named {
            Some(path) => path.to_owned(),
            None => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
                .map(|directory| directory.join(&program))
                .find(|path| path.is_file())
                .ok_or(VmError::QemuMissing {
                    looked_for: program,
                    package: arch.package(),
                })?,
        };
        let unusable = |found: String| VmError::QemuUnusable {
            path: path.clone(),
            found,
        };
        let output = Command::new(&path)
            .arg("--version")
            .stdin(Stdio::null())
            .output()
            .map_err(|error| unusable(error.to_string()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match text.lines().next() {
            Some(line) if output.status.success() && line.contains("QEMU") => Ok(Self {
                arch,
                sandbox: has_sandbox(&path),
                path,
                version: line.to_owned(),
            }),
            _ => Err(unusable(format!(
                "`--version` gave {} and {text:?}",
                output.status
            ))),
        }
    }

    /// Decides how guests are run, and why if that was not what was asked for.
    ///
    /// # Errors
    /// If KVM is asked for and does not run a guest.
    pub fn engine(&self, accel: Accel, program: &Path) -> Result<(Engine, String), VmError> {
        let kvm = match accel {
            Accel::Tcg => return Ok((Engine::Tcg, String::new())),
            Accel::Exact => return Ok((Engine::Exact, String::new())),
            Accel::Auto | Accel::Kvm if Arch::here() != Some(self.arch) => Err(format!(
                "{} is not this machine's architecture",
                self.arch.name()
            )),
            Accel::Auto | Accel::Kvm => self.probe(&["-accel", "kvm", "-cpu", "host"], program),
        };
        match (kvm, accel) {
            (Ok(()), _) => Ok((Engine::Kvm, String::new())),
            (Err(reason), Accel::Kvm) => Err(VmError::KvmUnusable { reason }),
            (Err(reason), _) => Ok((Engine::Tcg, format!("KVM is of no use here: {reason}"))),
        }
    }

    /// Runs the smallest possible guest.
    fn probe(&self, accelerator: &[&str], program: &Path) -> Result<(), String> {
        let ProbeGuest {
            arguments,
            firmware,
            status: ended,
        } = self.arch.probe();
        let file = MemoryFile::with("probe", &firmware).map_err(|error| error.to_string())?;
        let mut child = guard::command(program, &self.path)
            .args([
                "-nodefaults",
                "-no-user-config",
                "-display",
                "none",
                "-machine",
                self.arch.machine(),
            ])
            .args(accelerator)
            .args(arguments)
            .arg("-bios")
            .arg(file.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("QEMU does not start: {error}"))?;
        let deadline = Instant::now() + PROBE_PATIENCE;
        loop {
            match child.try_wait() {
                Ok(Some(status)) if status.code() == Some(ended) => return Ok(()),
                Ok(Some(status)) => {
                    let said = child.stderr.take().map(std::io::read_to_string);
                    let said = said.and_then(Result::ok).unwrap_or_default();
                    let line = said.lines().next().unwrap_or_default();
                    return Err(format!("{line} (QEMU: {status})"));
                }
                Ok(None) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(format!(
                        "a guest of one instruction hangs ({PROBE_PATIENCE:?})"
                    ));
                }
            }
        }
    }

    /// The command that boots a kernel; console on standard output, the result into `result`.
    pub fn boot(
        &self,
        program: &Path,
        machine: &Machine<'_>,
        kernel: &Path,
        initramfs: &MemoryFile,
        result: &MemoryFile,
    ) -> Command {
        let engine = machine.engine;
        let words = format!(
            "{} panic=-1 oops=panic {QUIET} {MARKER}=1 COWPATH_VIRTUALIZATION={}{} {}",
            self.arch.words(engine),
            engine.name(),
            machine.debugger.map_or("", |_| " nokaslr"),
            machine.append,
        );
        let mut command = guard::command(program, &self.path);
        command
            .args(SANDBOX.into_iter().filter(|_| self.sandbox))
            .args(["-name", "cowpath,debug-threads=on"])
            .args([
                "-nodefaults",
                "-no-user-config",
                "-no-reboot",
                "-display",
                "none",
            ])
            .args(["-machine", self.arch.machine(), "-serial", "stdio"])
            .args(match (engine, machine.debugger) {
                // One thread for all CPUs: while one stands, none is in the middle of something.
                (Engine::Tcg, Some(_)) => &["-accel", "tcg,thread=single"],
                _ => engine.accelerator(),
            })
            .args(["-cpu", machine.cpu.unwrap_or(self.arch.cpu(engine))])
            .args(machine.smp.arguments(machine.memory_mib))
            .args(["-m", &format!("{}M", machine.memory_mib)])
            // With ioeventfd every queue's file descriptors are made anew each time that the guest stops:
            // at every step of a debugger.
            .args(["-device", "virtio-serial-pci,ioeventfd=off", "-chardev"])
            .arg(option("file,id=result,path=", &result.path(), ""))
            .args([
                "-device",
                &format!("virtserialport,chardev=result,name={PORT}"),
            ])
            .args(self.arch.second_serial().into_iter().flat_map(|device| {
                // For kernels without virtio's drivers; only one of the two ports is ever written to.
                let file = option("file,id=serial,append=on,path=", &result.path(), "");
                ["-chardev".into(), file, "-device".into(), device.into()]
            }))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs.path())
            .args(["-append", words.trim_end()])
            .args(machine.debugger.map(stub).into_iter().flatten())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

/// Whether a QEMU was built with its sandbox and the kernel here lets it set that up, which it has done by the time that it
/// lists its machines.
fn has_sandbox(qemu: &Path) -> bool {
    let listed = Command::new(qemu)
        .args(SANDBOX)
        .args(["-machine", "help"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    listed.is_ok_and(|status| status.success())
}

/// What makes QEMU wait for a debugger on a Unix socket.
fn stub(socket: &Path) -> [OsString; 3] {
    let device = option("unix:", socket, ",server=on,wait=off");
    ["-S".into(), "-gdb".into(), device]
}

/// A path in an option of several parts, which commas part: one of the path's own is written twice.
fn option(before: &str, path: &Path, behind: &str) -> OsString {
    let path = path.as_os_str().as_bytes();
    let mut option = before.as_bytes().to_vec();
    for &byte in path {
        option.extend_from_slice(if byte == b',' {
            b",,"
        } else {
            std::slice::from_ref(&byte)
        });
    }
    option.extend_from_slice(behind.as_bytes());
    OsString::from_vec(option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comma_of_a_path_ends_no_part_of_an_option() {
        let [_, _, device] = stub(Path::new("/tmp/a,b,/gdb"));
        assert_eq!(device, "unix:/tmp/a,,b,,/gdb,server=on,wait=off");
    }
}
