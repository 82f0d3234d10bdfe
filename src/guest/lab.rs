//! Runs the suite in each of several kernels and gathers what came back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arch::Arch;
use super::boot::{Boot, BootOutcome, BootWatch, boot};
use super::image::Image;
use super::inbox::Inbox;
use super::init::RUN_FILE;
use super::partial::Partial;
use super::patience::{Patience, Work};
use super::qemu::{Machine, Qemu};
use super::result::{GuestOutcome, GuestResult, Timing};
use super::{initramfs, schedule};
use crate::guest::engine::{Accel, Engine};
use crate::guest::error::VmError;
use crate::guest::memory_file::MemoryFile;

/// What to boot, how, and what to run inside.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Kernel images.
    pub kernels: Vec<PathBuf>,
    /// The program that becomes init and QEMU's guard; its `main` calls [`branch`](super::branch).
    pub program: PathBuf,
    /// The same program built for the guests, where their processor is not this machine's.
    pub init: Option<PathBuf>,
    /// The words after `run` inside the guest.
    pub arguments: Vec<String>,
    /// Where run files, console logs and `lab.json` go; made if it is missing.
    pub output: PathBuf,
    /// How processors are had.
    pub accel: Accel,
    /// QEMU, if not the one on PATH.
    pub qemu: Option<PathBuf>,
    /// QEMU's CPU model, if not the one that goes with `accel`.
    pub cpu: Option<String>,
    /// Virtual CPUs.
    pub smp: u32,
    /// Memory of a guest in MiB.
    pub memory_mib: u32,
    /// A tree of modules, or a directory with one such tree for each release; by default those that
    /// [`Image::modules`] finds.
    pub modules: Option<PathBuf>,
    /// Boots of each kernel, interleaved.
    pub reps: u32,
    /// What the arguments ask of a guest: how long it is waited for follows from it.
    pub work: Work,
    /// Wall-clock time after which a guest is given up, whatever it was asked for.
    pub time_limit: Option<Duration>,
    /// Guests at a time; by default as many as do not disturb each other.
    pub jobs: Option<usize>,
    /// More words for the kernel's command line.
    pub append: String,
    /// Set it from elsewhere to stop.
    pub stop: Arc<AtomicBool>,
}

/// `lab.json`: how the guests were made and what became of each.
#[derive(Serialize)]
struct LabFile<'a> {
    schema: &'static str,
    qemu: &'a Qemu,
    engine: Engine,
    smp: u32,
    memory_mib: u32,
    cpu: &'a str,
    arguments: &'a [String],
    guests: &'a [GuestResult],
}

/// A kernel ready to be booted, or why it is not.
struct PreparedKernel {
    path: PathBuf,
    release: String,
    label: String,
    initramfs: Result<MemoryFile, String>,
    pack: Duration,
}

/// Everything that boots have in common.
struct Bench<'a> {
    lab: &'a Lab,
    qemu: &'a Qemu,
    machine: Machine<'a>,
    kernels: &'a [PreparedKernel],
    patience: Patience,
}

impl Lab {
    /// A lab with two-CPU guests of 1 GiB and one boot a kernel.
    pub fn new(program: PathBuf, kernels: Vec<PathBuf>, output: PathBuf) -> Self {
        Self {
            kernels,
            program,
            init: None,
            arguments: Vec::new(),
            output,
            accel: Accel::Auto,
            qemu: None,
            cpu: None,
            smp: 2,
            memory_mib: 1024,
            modules: None,
            reps: 1,
            work: Work::default(),
            time_limit: None,
            jobs: None,
            append: String::new(),
            stop: Arc::default(),
        }
    }
}

/// Boots each kernel `reps` times and gives one result for each boot, in the order of running.
///
/// `progress` gets lines for people. A guest that is lost costs its own result only.
///
/// # Errors
/// If no guest could be had at all, or [`Lab::stop`] was set; see [`VmError`].
pub fn run(lab: &Lab, progress: &mut dyn FnMut(&str)) -> Result<Vec<GuestResult>, VmError> {
    let images = Image::open_all(&lab.kernels, None)?;
    let first = images.first().map(|image| image.arch);
    let arch = first.or(Arch::here()).unwrap_or(Arch::X86);
    let qemu = Qemu::find(lab.qemu.as_deref(), arch)?;
    let (engine, note) = qemu.engine(lab.accel, &lab.program)?;
    std::fs::create_dir_all(&lab.output).map_err(|source| VmError::Io {
        what: "create",
        path: lab.output.clone(),
        source,
    })?;
    progress(&format!("{}; {}", qemu.version, engine.name()));
    if !note.is_empty() {
        progress(&note);
    }
    let patience = match lab.time_limit {
        Some(limit) => Patience::of(limit),
        None => Patience::for_work(&lab.work, engine),
    };
    let limit = lab.work.limit(engine).as_secs();
    progress(&format!(
        "a repetition may take {limit} s (-- --limit); a guest is given up after {patience} (--time-limit)"
    ));
    let kernels = prepare(lab, &images, arch, engine, progress)?;
    let smp = lab.smp;
    let cpu = lab.cpu.as_deref();
    let memory_mib = lab.memory_mib;
    let machine = Machine {
        engine,
        cpu,
        smp,
        memory_mib,
        append: &lab.append,
        debugger: None,
    };
    let bench = Bench {
        lab,
        qemu: &qemu,
        machine,
        kernels: &kernels,
        patience,
    };
    let guests = bench.run_all(progress);
    let file = LabFile {
        schema: "cowpath.lab/1",
        qemu: &qemu,
        engine,
        smp,
        memory_mib,
        cpu: cpu.unwrap_or(arch.cpu(engine)),
        arguments: &lab.arguments,
        guests: &guests,
    };
    write(
        &lab.output.join("lab.json"),
        &serde_json::to_vec_pretty(&file).unwrap_or_default(),
    )?;
    if lab.stop.load(Ordering::Relaxed) {
        Err(VmError::Interrupted)
    } else {
        Ok(guests)
    }
}

fn write(path: &Path, contents: &[u8]) -> Result<(), VmError> {
    std::fs::write(path, contents).map_err(|source| VmError::Io {
        what: "write",
        path: path.to_owned(),
        source,
    })
}

/// Packs each image's initramfs.
fn prepare(
    lab: &Lab,
    images: &[Image],
    arch: Arch,
    engine: Engine,
    progress: &mut dyn FnMut(&str),
) -> Result<Vec<PreparedKernel>, VmError> {
    let limit = match lab.work.limit {
        Some(_) => Vec::new(),
        None => vec![format!("--limit={}", lab.work.limit(engine).as_secs())],
    };
    let words = [
        &["run".to_owned()],
        &lab.arguments[..],
        &limit,
        &["-o".to_owned(), RUN_FILE.to_owned()],
    ];
    let init = lab.init.as_ref().unwrap_or(&lab.program);
    let base = initramfs::base(init, arch, &words.concat())?;
    let mut kernels: Vec<PreparedKernel> = Vec::new();
    for image in images {
        let start = Instant::now();
        let release = image.release.clone();
        let tree = modules(lab, image)?;
        if tree.is_none() {
            progress(&format!(
                "{release}: no modules beside the image; see --modules"
            ));
        }
        let initramfs =
            initramfs::complete(base.clone(), tree.as_deref()).map_err(|e| e.to_string());
        let twins = kernels
            .iter()
            .filter(|kernel| kernel.release == release)
            .count();
        let label = if twins == 0 {
            release.clone()
        } else {
            format!("{release}~{}", twins + 1)
        };
        kernels.push(PreparedKernel {
            path: image.path.clone(),
            release,
            label,
            initramfs,
            pack: start.elapsed(),
        });
    }
    Ok(kernels)
}

/// The tree of modules that goes with an image.
fn modules(lab: &Lab, image: &Image) -> Result<Option<PathBuf>, VmError> {
    let Some(named) = &lab.modules else {
        return Ok(image.modules());
    };
    [named.join(&image.release), named.clone()]
        .into_iter()
        .find(|tree| tree.join("kernel").is_dir())
        .map(Some)
        .ok_or_else(|| VmError::NoModules {
            path: named.clone(),
            release: image.release.clone(),
        })
}

/// What a booting thread has to say.
enum BootEvent {
    Said(String),
    Done(usize, Box<GuestResult>),
}

impl Bench<'_> {
    fn run_all(&self, progress: &mut dyn FnMut(&str)) -> Vec<GuestResult> {
        let order = schedule::order(self.kernels.len(), self.lab.reps);
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let (engine, smp) = (self.machine.engine, self.machine.smp);
        let jobs = self
            .lab
            .jobs
            .unwrap_or_else(|| schedule::jobs(engine, smp, cpus));
        let queue = Mutex::new(order.iter().copied().enumerate().collect::<VecDeque<_>>());
        let mut results: Vec<Option<GuestResult>> = order.iter().map(|_| None).collect();
        std::thread::scope(|scope| {
            let (sender, receiver) = channel();
            for _ in 0..jobs.clamp(1, order.len().max(1)) {
                let (sender, queue) = (sender.clone(), &queue);
                scope.spawn(move || self.work(queue, &sender));
            }
            drop(sender);
            for news in receiver {
                match news {
                    BootEvent::Said(line) => progress(&line),
                    BootEvent::Done(at, result) => results[at] = Some(*result),
                }
            }
        });
        results.into_iter().flatten().collect()
    }

    fn work(&self, queue: &Mutex<VecDeque<(usize, (usize, u32))>>, news: &Sender<BootEvent>) {
        while !self.lab.stop.load(Ordering::Relaxed) {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some((at, (kernel, rep))) = next else {
                break;
            };
            let kernel = &self.kernels[kernel];
            let name = match self.lab.reps {
                1 => kernel.label.clone(),
                reps => format!("{} ({rep} of {reps})", kernel.label),
            };
            let tell = |line: String| {
                // The receiver outlives the threads.
                let _ = news.send(BootEvent::Said(format!("{name}: {line}")));
            };
            if let Some(result) = self.guest(kernel, rep, &tell) {
                tell(result.to_string());
                let _ = news.send(BootEvent::Done(at, Box::new(result)));
            }
        }
    }

    /// One guest, booted again if its kernel panics; `None` if the user stops it.
    fn guest(
        &self,
        kernel: &PreparedKernel,
        rep: u32,
        tell: &dyn Fn(String),
    ) -> Option<GuestResult> {
        let file = |suffix: &str| {
            self.lab
                .output
                .join(format!("{}.{rep}.{suffix}", kernel.label))
        };
        let (log, run_file) = (file("console.log"), file("json"));
        let partial = Partial::new(file("partial.json"), tell);
        let result = |outcome, retried, console, timing| GuestResult {
            kernel: kernel.path.clone(),
            release: kernel.release.clone(),
            rep,
            outcome,
            retried,
            console,
            timing,
        };
        // An older lab's file must not stand where this one's guest is lost.
        let _ = std::fs::remove_file(&run_file);
        let mut retried = None;
        loop {
            let boot = match &kernel.initramfs {
                Ok(initramfs) => self.boot(kernel, initramfs, &log, tell, &partial),
                Err(reason) => {
                    let lost = lost(reason.clone(), Vec::new(), None);
                    return Some(result(lost, None, None, Timing::default()));
                }
            };
            let timing = Timing::new(kernel.pack, &boot);
            let outcome = match boot.verdict {
                BootOutcome::Interrupted => {
                    let kept = partial.path().map_or(String::new(), |path| {
                        format!("; what it had measured is in {}", path.display())
                    });
                    tell(format!("interrupted{kept}"));
                    return None;
                }
                BootOutcome::Panicked(panic) if retried.is_none() => {
                    tell(format!("{panic}; once more"));
                    let _ = std::fs::rename(&log, file("panicked.console.log"));
                    retried = Some(panic);
                    continue;
                }
                BootOutcome::Panicked(reason) | BootOutcome::Lost(reason) => {
                    lost(reason, boot.tail, partial.path())
                }
                BootOutcome::Finished {
                    status,
                    run_file: bytes,
                } if bytes.is_empty() => GuestOutcome::Finished {
                    run_file: None,
                    status,
                },
                BootOutcome::Finished {
                    status,
                    run_file: bytes,
                } => match write(&run_file, &bytes) {
                    Ok(()) => {
                        partial.remove();
                        GuestOutcome::Finished {
                            run_file: Some(run_file),
                            status,
                        }
                    }
                    Err(error) => lost(error.to_string(), boot.tail, partial.path()),
                },
            };
            return Some(result(outcome, retried, Some(log), timing));
        }
    }

    fn boot(
        &self,
        kernel: &PreparedKernel,
        initramfs: &MemoryFile,
        log: &Path,
        tell: &dyn Fn(String),
        partial: &Partial<'_>,
    ) -> Boot {
        let inbox = match Inbox::new() {
            Ok(inbox) => inbox,
            Err(error) => {
                return Boot::never(format!("no memory for a result: {error}"));
            }
        };
        let machine = &self.machine;
        let (program, result) = (&self.lab.program, inbox.file());
        let command = self
            .qemu
            .boot(program, machine, &kernel.path, initramfs, result);
        let watch = BootWatch {
            log,
            patience: self.patience,
            stop: &|| self.lab.stop.load(Ordering::Relaxed),
            pin: (machine.engine == Engine::Kvm).then_some(machine.smp),
            tell,
            keep: &|run_file| partial.keep(run_file),
        };
        boot(command, inbox, &watch)
    }
}

fn lost(reason: String, console_tail: Vec<String>, partial: Option<PathBuf>) -> GuestOutcome {
    GuestOutcome::Lost {
        reason,
        partial,
        console_tail,
    }
}
