//! Runs the suite in each of several kernels and gathers what came back.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::arch::Arch;
use super::boot::{Boot, BootOutcome, BootWatch, boot};
use super::inbox::Inbox;
use super::init::RUN_FILE;
use super::partial::Partial;
use super::patience::{Patience, Work};
use super::qemu::Qemu;
use super::result::{GuestOutcome, GuestResult, Timing};
use super::{initramfs, schedule};
use crate::guest::engine::{Accel, Engine};
use crate::guest::error::VmError;
use crate::guest::memory_file::MemoryFile;
use crate::guest::processors::Processors;
use crate::guest::spec::{GuestKernel, GuestSpec, make_folder};

/// What to boot, how, and what to run inside.
#[derive(Clone, Debug)]
pub struct Lab {
    /// Kernel images.
    pub kernels: Vec<PathBuf>,
    /// How guests are made.
    pub guest: GuestSpec,
    /// The words after `run` inside the guest.
    pub arguments: Vec<String>,
    /// Where run files, console logs and `lab.json` go; made if it is missing.
    pub output: PathBuf,
    /// How processors are had.
    pub accel: Accel,
    /// Virtual CPUs.
    pub smp: Processors,
    /// Boots of each kernel, interleaved.
    pub reps: u32,
    /// What the arguments ask of a guest: how long it is waited for follows from it.
    pub work: Work,
    /// Wall-clock time after which a guest is given up, whatever it was asked for.
    pub time_limit: Option<Duration>,
    /// Guests at a time; by default as many as do not disturb each other.
    pub jobs: Option<usize>,
}

/// `lab.json`: how the guests were made and what became of each.
#[derive(Serialize)]
struct LabFile<'a> {
    schema: &'static str,
    qemu: &'a Qemu,
    engine: Engine,
    smp: u32,
    layout: String,
    memory_mib: u32,
    cpu: &'a str,
    arguments: &'a [String],
    guests: &'a [GuestResult],
}

/// A kernel ready to be booted, or why it is not.
struct PreparedKernel {
    kernel: GuestKernel,
    initramfs: Result<MemoryFile, String>,
    pack: Duration,
}

/// Everything that boots have in common.
struct Bench<'a> {
    lab: &'a Lab,
    qemu: &'a Qemu,
    engine: Engine,
    kernels: &'a [PreparedKernel],
    patience: Patience,
}

/// Boots each kernel `reps` times and gives one result for each boot, in the order of running.
///
/// `progress` gets lines for people. A guest that is lost costs its own result only.
///
/// # Errors
/// If no guest could be had at all, or [`GuestSpec::stop`] was set; see [`VmError`].
pub fn run(lab: &Lab, progress: &mut dyn FnMut(&str)) -> Result<Vec<GuestResult>, VmError> {
    let guest = &lab.guest;
    let kernels = guest.kernels(&lab.kernels, None)?;
    let first = kernels.first().map(|kernel| kernel.image.arch);
    let arch = first.or(Arch::here()).unwrap_or(Arch::X86);
    let qemu = guest.qemu(arch)?;
    let (engine, note) = qemu.engine(lab.accel, &guest.program)?;
    make_folder(&lab.output)?;
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
    let kernels = prepare(lab, kernels, arch, engine, progress)?;
    let bench = Bench {
        lab,
        qemu: &qemu,
        engine,
        kernels: &kernels,
        patience,
    };
    let guests = bench.run_all(progress);
    let file = LabFile {
        schema: "cowpath.lab/1",
        qemu: &qemu,
        engine,
        smp: lab.smp.count(),
        layout: lab.smp.arguments(guest.memory_mib).join(" "),
        memory_mib: guest.memory_mib,
        cpu: guest.cpu.as_deref().unwrap_or(arch.cpu(engine)),
        arguments: &lab.arguments,
        guests: &guests,
    };
    write(
        &lab.output.join("lab.json"),
        &serde_json::to_vec_pretty(&file).unwrap_or_default(),
    )?;
    if guest.stopped() {
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
    kernels: Vec<GuestKernel>,
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
    let init = lab.guest.init.as_ref().unwrap_or(&lab.guest.program);
    let base = initramfs::base(init, arch, &words.concat())?;
    let each = kernels.into_iter().map(|kernel| {
        let start = Instant::now();
        let tree = lab.guest.modules(&kernel.image)?;
        if tree.is_none() {
            progress(&format!(
                "{}: no modules beside the image; see --modules",
                kernel.label
            ));
        }
        let initramfs = initramfs::complete(base.clone(), &kernel.image, tree.as_deref())
            .map_err(|e| e.to_string());
        Ok(PreparedKernel {
            kernel,
            initramfs,
            pack: start.elapsed(),
        })
    });
    each.collect()
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
        let (engine, smp) = (self.engine, self.lab.smp.count());
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
        while !self.lab.guest.stopped() {
            let next = queue
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            let Some((at, (kernel, rep))) = next else {
                break;
            };
            let kernel = &self.kernels[kernel];
            let name = match self.lab.reps {
                1 => kernel.kernel.label.clone(),
                reps => format!("{} ({rep} of {reps})", kernel.kernel.label),
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
        prepared: &PreparedKernel,
        rep: u32,
        tell: &dyn Fn(String),
    ) -> Option<GuestResult> {
        let kernel = &prepared.kernel;
        let file = |suffix: &str| kernel.file(&self.lab.output, &format!("{rep}.{suffix}"));
        let (log, run_file) = (file("console.log"), file("json"));
        let partial = Partial::new(file("partial.json"), tell);
        let result = |outcome, retried, console, timing| GuestResult {
            kernel: kernel.image.path.clone(),
            release: kernel.image.release.clone(),
            label: kernel.label.clone(),
            append: kernel.append.clone(),
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
            let boot = match &prepared.initramfs {
                Ok(initramfs) => self.boot(kernel, initramfs, &log, tell, &partial),
                Err(reason) => {
                    let lost = lost(reason.clone(), Vec::new(), None);
                    return Some(result(lost, None, None, Timing::default()));
                }
            };
            let timing = Timing::new(prepared.pack, &boot);
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
                } => match received(&bytes, run_file, &partial) {
                    Ok(run_file) => GuestOutcome::Finished { run_file, status },
                    Err(error) => lost(error.to_string(), boot.tail, partial.path()),
                },
            };
            return Some(result(outcome, retried, Some(log), timing));
        }
    }

    fn boot(
        &self,
        kernel: &GuestKernel,
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
        let (guest, smp) = (&self.lab.guest, self.lab.smp);
        let machine = guest.machine(self.engine, smp, &kernel.append);
        let command = self.qemu.boot(
            &guest.program,
            &machine,
            &kernel.image.path,
            initramfs,
            inbox.file(),
        );
        let watch = BootWatch {
            log,
            patience: self.patience,
            stop: &|| self.lab.guest.stopped(),
            pin: (self.engine == Engine::Kvm).then_some(smp.count()),
            tell,
            keep: &|run_file| partial.keep(run_file),
        };
        boot(command, inbox, &watch)
    }
}

/// Keeps the run file that a guest sent, if it sent one, in place of the partial one.
fn received(
    bytes: &[u8],
    run_file: PathBuf,
    partial: &Partial<'_>,
) -> Result<Option<PathBuf>, VmError> {
    if bytes.is_empty() {
        return Ok(None);
    }
    write(&run_file, bytes)?;
    partial.remove();
    Ok(Some(run_file))
}

fn lost(reason: String, console_tail: Vec<String>, partial: Option<PathBuf>) -> GuestOutcome {
    GuestOutcome::Lost {
        reason,
        partial,
        console_tail,
    }
}
