//! Steps through single faults of a scenario in a guest.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::time::Duration;

use super::ProfileError;
use super::decode::Decodings;
use super::document::{Path, PathSource, Profile, ProfiledKernel, Stepped};
use super::path::{SymbolTable, path};
use super::trace::{Code, Trace, follow};
use crate::guest::boot::{Boot, BootOutcome};
use crate::guest::debugged::{Debugged, debug};
use crate::guest::engine::Engine;
use crate::guest::gdb::{Gdb, GdbError, Stop};
use crate::guest::processors::Processors;
use crate::guest::qemu::Qemu;
use crate::guest::rendezvous::{hear, leave, said, shown};
use crate::guest::spec::{GuestKernel, GuestSpec};
use crate::guest::symbols::Symbols;
use crate::memory::folio::Folio;
use crate::memory::trampoline::{STORE_LENGTH, Word, store_address};
use crate::worker::subject::{SUBJECT_COMMAND, Told};

/// Stores of the trial that are made before the first is followed.
const SKIPPED: u64 = 32;
/// Has a kernel with one CPU keep the lock prefixes that it would otherwise patch out: they are counted.
const UNPATCHED: &str = "noreplace-smp";
/// How long the guest may take from one store to the next while nobody steps it.
const STORE_PATIENCE: Duration = Duration::from_secs(60);

/// What to look at.
#[derive(Clone, Debug)]
pub struct ProfileRequest<'a> {
    /// The scenario's id.
    pub scenario: &'a str,
    /// The size of the folios under test.
    pub folio: Folio,
    /// Faults to step through.
    pub faults: u32,
    /// How guests are made.
    pub guest: GuestSpec,
    /// Wall-clock time after which a guest is given up.
    pub time_limit: Duration,
}

/// Boots one kernel and profiles the scenario in it.
///
/// The console's text is kept in `log`; `tell` gets lines for people.
///
/// # Errors
/// See [`ProfileError`]. No process is left in any case.
pub fn profile(
    request: &ProfileRequest<'_>,
    qemu: &Qemu,
    kernel: &GuestKernel,
    log: &FilePath,
    tell: &dyn Fn(String),
) -> Result<Profile, ProfileError> {
    let image = &kernel.image;
    let initramfs = request.guest.initramfs(image, &subject(request))?;
    let append = format!("{UNPATCHED} {}", kernel.append);
    let machine = request
        .guest
        .machine(Engine::Exact, Processors::Plain(1), &append);
    let guest = Debugged {
        spec: &request.guest,
        qemu,
        machine: machine.clone(),
        kernel,
        initramfs: &initramfs,
        log,
        time_limit: request.time_limit,
        tell,
    };
    let outcome = debug(&guest, |gdb| {
        let mut session = Session {
            gdb: gdb?,
            // The guest's own limit comes first: what it has to say then is the better reason.
            patience: request.time_limit + STORE_PATIENCE,
        };
        session.observe(u64::from(request.faults))
    })?;
    let seen = outcome
        .work
        .map_err(|error| explain(error, &outcome.boot, &kernel.label))?;
    Ok(Profile {
        kernel: ProfiledKernel {
            release: image.release.clone(),
            image: image
                .path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            label: kernel.label.clone(),
        },
        evidence: PathSource::Stepped(Stepped {
            faults: seen.faults,
            skipped: SKIPPED,
            qemu: qemu.version.clone(),
            cpu: machine
                .cpu
                .unwrap_or(image.arch.cpu(machine.engine))
                .to_owned(),
            timed: seen.told.timed,
            setup: seen.told.setup,
            undecoded: seen.undecoded,
        }),
        paths: seen.paths,
    })
}

/// The words that have the guest store as often as is asked for.
fn subject(request: &ProfileRequest<'_>) -> [String; 6] {
    let folios = SKIPPED + u64::from(request.faults) + SKIPPED;
    let pages = folios * (request.folio.bytes() as u64).div_ceil(4096);
    [
        SUBJECT_COMMAND,
        request.scenario,
        "--folio",
        &request.folio.to_string(),
        "--pages",
        &pages.to_string(),
    ]
    .map(str::to_owned)
}

/// What a guest that went away had to say for itself is the better reason.
fn explain(error: ProfileError, boot: &Boot, label: &str) -> ProfileError {
    let lost = |reason: String| ProfileError::Lost {
        label: label.to_owned(),
        reason,
    };
    match (&error, &boot.verdict) {
        (_, BootOutcome::Panicked(reason)) => lost(reason.clone()),
        (
            ProfileError::Gdb(
                GdbError::Gone { .. } | GdbError::NoStub { .. } | GdbError::Socket(_),
            ),
            BootOutcome::Lost(reason),
        ) => lost(format!("{reason} ({error})")),
        _ => error,
    }
}

/// What was seen in a guest.
struct GuestProfile {
    faults: u64,
    paths: Vec<Path>,
    told: Told,
    undecoded: Vec<String>,
}

struct Session {
    gdb: Gdb,
    patience: Duration,
}

impl Session {
    fn observe(&mut self, faults: u64) -> Result<GuestProfile, ProfileError> {
        let ready = hear(&mut self.gdb, self.patience)?;
        if ready.word != Word::Ready {
            return Err(ProfileError::Refused(shown(&ready.text)));
        }
        let symbols = Symbols::parse(&String::from_utf8_lossy(&ready.text))?;
        leave(&mut self.gdb, ready.vcpu)?;
        self.gdb.hold_interrupts(true)?;
        let (store, made) = (store_address(0), store_address(0) + STORE_LENGTH);
        self.gdb.set_breakpoint(made)?;
        for _ in 0..SKIPPED {
            let stop = self.run_to(made)?;
            self.gdb.step(stop.vcpu)?;
        }
        self.gdb.clear_breakpoint(made)?;
        self.gdb.set_breakpoint(store)?;
        let mut code = Code::default();
        // The steps of the first fault of each path, and all faults that took it.
        let mut found: Vec<(Trace, Vec<u64>)> = Vec::new();
        let mut known: HashMap<Vec<u64>, usize> = HashMap::new();
        for fault in 0..faults {
            let stop = self.run_to(store)?;
            let trace = follow(&mut self.gdb, stop.vcpu)?;
            code.load(&mut self.gdb, stop.vcpu, trace.kernel())?;
            let key = trace.kernel().iter().map(|step| step.rip).collect();
            match known.get(&key) {
                Some(index) => found[*index].1.push(fault),
                None => {
                    known.insert(key, found.len());
                    found.push((trace, vec![fault]));
                }
            }
        }
        let told = self.finish()?;
        let mut symbol_table = SymbolTable {
            symbols: &symbols,
            code: &code,
            decodings: Decodings::default(),
        };
        let mut paths: Vec<Path> = found
            .iter()
            .map(|(trace, faults)| Path {
                outcome: told.outcomes.get((SKIPPED + faults[0]) as usize).copied(),
                faults: faults.clone(),
                ..path(trace, &mut symbol_table)
            })
            .collect();
        paths.sort_by_key(|path| (std::cmp::Reverse(path.faults.len()), path.faults[0]));
        let unknown = symbol_table.decodings.unknown();
        let undecoded = unknown.into_iter().map(|address| {
            let symbol = symbols.at(address).map_or("?", |symbol| &symbol.name);
            format!("{symbol} {address:#x}: {:02x?}", code.at(address))
        });
        Ok(GuestProfile {
            faults,
            paths,
            undecoded: undecoded.collect(),
            told,
        })
    }

    /// Lets the guest run to an address on its way from store to store.
    fn run_to(&mut self, address: u64) -> Result<Stop, ProfileError> {
        self.gdb.resume_all()?;
        let stop = self.gdb.wait(STORE_PATIENCE)?;
        let registers = self.gdb.registers(stop.vcpu)?;
        if registers.rip() == address {
            return Ok(stop);
        }
        let found = match said(&mut self.gdb, stop)? {
            Some(said) => format!("said {:?}: {}", said.word, shown(&said.text)),
            None => format!("stopped at {:#x}", registers.rip()),
        };
        Err(ProfileError::Unexpected {
            expected: "come to its next store",
            found,
        })
    }

    /// Lets the guest make the rest of its stores and say what became of all of them.
    fn finish(&mut self) -> Result<Told, ProfileError> {
        self.gdb.clear_breakpoint(store_address(0))?;
        let done = hear(&mut self.gdb, STORE_PATIENCE)?;
        serde_json::from_slice(&done.text).map_err(|error| ProfileError::Unexpected {
            expected: "say what became of its stores",
            found: format!("said {:?} ({error}): {}", done.word, shown(&done.text)),
        })
    }
}
