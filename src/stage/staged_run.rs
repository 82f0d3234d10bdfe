//! One race played in the guest: parties move at their places, thread 1 is held and goes on, and what came of
//! it is judged.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::channel::{Channel, ControllerRequest, OutOfStep, SchedulerReply};
use super::judge::{PlayedStep, RaceEvidence, When, held_store_came, judge, store_came};
use super::waiting::{self, Whereabouts};
use crate::memory::pagemap::Frames;
use crate::record::moves::{HoldPoint, Lock, Party};
use crate::record::progress::Progress;
use crate::record::staged::{Acted, HeldAt, Pte, StagedResult, Station, Witness};
use crate::scenario::staged::{Action, Staged};
use crate::worker::actors::Actors;

/// Turns of a waiting loop.
pub(super) const TURN: Duration = Duration::from_millis(2);
/// How long a party may take over a move that nothing hinders.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What is made to go wrong, so that tests see what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FaultInjection {
    /// The kernel panics while thread 1 is held.
    Panic,
    /// Thread 1 finds the page writable, and does not fault.
    NoFault,
    /// Process A is stopped while thread 1 is held: nobody comes back.
    NoReturn,
}

/// A race that was played to its end.
pub struct Done {
    /// What it came to.
    pub result: StagedResult,
    /// Which move had to wait until thread 1 went on, if one had to.
    pub blocked: Option<usize>,
}

/// Why a race has no result.
pub enum Failure {
    /// It cannot be played here.
    Skip(String),
    /// Thread 1 was not held where this move is to be made.
    Missed {
        /// The number of the move.
        at: usize,
        /// Why.
        why: String,
    },
    /// Thread 1 was neither held nor done in time: a guest that is too slow says nothing of its kernel. It goes on unheld.
    Late,
    /// A party or thread 1 did not come back; the guest is of no more use.
    Lost(Box<StagedResult>),
    /// The scheduler cannot be understood any more; the guest is of no more use.
    OutOfStep(OutOfStep),
}

impl From<OutOfStep> for Failure {
    fn from(why: OutOfStep) -> Self {
        Failure::OutOfStep(why)
    }
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Skip(why)
    }
}

/// Why a race has no result whose thread 1 was late.
pub(super) const LATE: &str = "thread 1 did not come to its hold point in time";

/// Lets thread 1 go when it is dropped: a process cannot be ended while one of its threads is held.
struct LetGo<'a>(&'a Channel);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        // The scheduler does nothing where nobody is held.
        let _ = self.0.ask(ControllerRequest::Release);
    }
}

/// How far thread 1 is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum One {
    NotBegun,
    Held(HoldPoint),
    Done,
}

/// A race that is being played.
pub(super) struct StagedRun<'a> {
    pub(super) line: &'a Channel,
    pub(super) actors: Actors,
    frames: Option<Frames>,
    one: One,
    held: Option<HeldAt>,
    /// A's entry before thread 1's store.
    first: Pte,
    pub(super) stations: Vec<Station>,
    pub(super) parts: Vec<Acted>,
    pub(super) played: Vec<PlayedStep>,
}

/// Plays a race with each of its moves at its place.
///
/// # Errors
/// If it has no result.
pub fn play(
    line: &Channel,
    staged: &'static Staged,
    places: &[Progress],
    fault_injection: Option<FaultInjection>,
) -> Result<Done, Failure> {
    if staged.has(Action::PageOut) {
        waiting::swap_on()?;
    }
    let actors =
        Actors::gather(line.trampolines(), staged).map_err(|e| Failure::Skip(e.to_string()))?;
    let mut play = StagedRun {
        line,
        actors,
        frames: Frames::open().ok(),
        one: One::NotBegun,
        held: None,
        first: Pte::of(0),
        stations: Vec::new(),
        parts: Vec::new(),
        played: Vec::new(),
    };
    // Dropped before the parties are, also where something fails.
    let _let_go = LetGo(line);
    play.station(None, "the page is shared by A and B".into())?;
    for &step in staged.before {
        if play.step(step)?.is_some() {
            return Err(Failure::Skip(format!("{} and had to wait", step.label())));
        }
    }
    if fault_injection == Some(FaultInjection::NoFault) {
        play.actors.order(Party::Two, Action::Store);
        play.finish(Party::Two)?;
    }
    let mut waiting = None;
    let mut moves = staged.steps.iter().copied().zip(places).enumerate();
    let mut finished = true;
    for (at, (step, &place)) in moves.by_ref() {
        if let Some(point) = place.hold()
            && let Err(why) = play.hold(point)?
        {
            return Err(Failure::Missed { at, why });
        }
        if place == Progress::AfterStore && !play.through()? {
            if play.waits_for_a_rival() {
                let why = "thread 1 waits for a later move".into();
                return Err(Failure::Missed { at, why });
            }
            finished = false;
        }
        if at == 0 {
            play.tamper(fault_injection)?;
        }
        if let Some(wait) = play.step(step)? {
            waiting = Some((at, step, wait));
            break;
        }
    }
    finished &= play.through()?;
    let blocked = waiting.as_ref().map(|&(at, ..)| at);
    if let Some((_, step, wait)) = waiting {
        finished &= play.go_on(step, wait)?;
    }
    if finished {
        for (_, (step, _)) in moves {
            finished &= play.step(step)?.is_none();
        }
    }
    let result = play.rule(staged, finished)?;
    if finished {
        Ok(Done { result, blocked })
    } else {
        // Nothing that needs A's address space can be relied on any more.
        std::mem::forget(play.actors);
        Err(Failure::Lost(Box::new(result)))
    }
}

impl StagedRun<'_> {
    /// Has everybody look at the data where all have finished, and judges it.
    fn rule(&mut self, staged: &'static Staged, finished: bool) -> Result<StagedResult, Failure> {
        let mut through = Vec::new();
        if finished {
            through.push((Party::One, Witness::Mapping));
            if !staged.has(Action::Exit) && !staged.has(Action::Unmap) {
                through.push((Party::Sharer, Witness::Sharer));
            }
            if staged.has(Action::PinLong) {
                through.push((Party::Two, Witness::Pin));
            }
            if staged.has(Action::Vmsplice) {
                through.push((Party::Two, Witness::Pipe));
            }
        }
        let end = self.entry()?;
        let mut seen = Vec::new();
        for (party, witness) in through {
            self.actors.observe(party, witness);
            if self.finish(party)? {
                seen.push(self.actors.seen(party, witness));
            }
        }
        let one_finished = self.part(Party::One).came.is_some();
        let ruling = judge(&RaceEvidence {
            steps: &self.played,
            one_finished,
            seen: &seen,
            pin: self.pinned(&end),
        });
        Ok(StagedResult {
            verdict: ruling.verdict,
            reason: ruling.reason,
            held: self.held.clone(),
            parts: std::mem::take(&mut self.parts),
            stations: std::mem::take(&mut self.stations),
            seen,
            ..StagedResult::lost(staged.id, String::new())
        })
    }

    /// Has thread 1 held at a point, unless it is; the reason if it does not come by.
    fn hold(&mut self, point: HoldPoint) -> Result<Result<(), String>, Failure> {
        if self.one == One::Held(point) {
            return Ok(Ok(()));
        }
        let page = self.actors.page();
        if let SchedulerReply::Impossible(why) =
            self.line.ask(ControllerRequest::Hold { point, page })?
        {
            return Ok(Err(why));
        }
        let begins = self.one == One::NotBegun;
        if begins {
            self.first = self.entry()?;
            self.actors.order(Party::One, Action::Store);
        }
        match self.until_held()? {
            Ok(held) => self.held = Some(held),
            Err(why) => {
                let point = point.label();
                return Ok(Err(format!("thread 1 was to be held {point}: {why}")));
            }
        }
        self.one = One::Held(point);
        let how = if begins { "stores" } else { "goes on" };
        let what = format!("thread 1 {how} and is held {}", point.label());
        self.station(Some(Party::One), what)?;
        Ok(Ok(()))
    }

    /// Lets thread 1 make its store to the end, unless it has; false if it never does.
    fn through(&mut self) -> Result<bool, Failure> {
        let (hold, released) = match self.one {
            One::Done => return Ok(self.part(Party::One).came.is_some()),
            One::Held(point) => {
                let released = self.entry()?;
                self.line.ask(ControllerRequest::Release)?;
                (Some(point), released)
            }
            One::NotBegun => {
                self.first = self.entry()?;
                self.actors.order(Party::One, Action::Store);
                (None, self.first.clone())
            }
        };
        self.one = One::Done;
        let finished = self.finish(Party::One)?;
        let kept = match self.line.ask(ControllerRequest::Kept)? {
            SchedulerReply::Kept(kept) => kept,
            _ => None,
        };
        let end = self.entry()?;
        let faults = self.actors.faults(Party::One);
        let came = match hold {
            Some(hold) => held_store_came(hold, kept, [&self.first, &released, &end], faults),
            None => store_came(&self.first, &end, faults),
        };
        let came = finished.then_some(came);
        let how = if hold.is_some() { "goes on" } else { "stores" };
        self.station(Some(Party::One), format!("thread 1 {how}"))?;
        if let Some(station) = self.stations.last_mut() {
            station.came = came;
        }
        let part = self.part(Party::One);
        part.did.push(Action::Store.label().into());
        part.came = came;
        part.faults = faults;
        Ok(finished)
    }

    /// Has something go wrong.
    fn tamper(&self, fault_injection: Option<FaultInjection>) -> Result<(), Failure> {
        match fault_injection {
            Some(FaultInjection::Panic) => {
                std::fs::write("/proc/sysrq-trigger", "c").map_err(|e| e.to_string())?;
            }
            Some(FaultInjection::NoReturn) => {
                kill(self.actors.a(), Signal::SIGSTOP).map_err(|e| e.to_string())?;
            }
            Some(FaultInjection::NoFault) | None => {}
        }
        Ok(())
    }

    /// The part of a party; thread 1's comes first.
    pub(super) fn part(&mut self, party: Party) -> &mut Acted {
        let known = self.parts.iter().position(|part| part.party == party);
        let at = known.unwrap_or_else(|| {
            let at = if party == Party::One {
                0
            } else {
                self.parts.len()
            };
            let part = Acted {
                party,
                cpu: party.cpu(),
                did: Vec::new(),
                came: None,
                faults: 0,
                waited: None,
            };
            self.parts.insert(at, part);
            at
        });
        &mut self.parts[at]
    }

    /// When a step is made that is made now.
    pub(super) fn now(&self) -> When {
        match self.one {
            One::NotBegun => When::Before,
            One::Held(_) => When::Held,
            One::Done => When::After,
        }
    }

    /// A's page table entry for the page.
    pub(super) fn entry(&self) -> Result<Pte, Failure> {
        match self.line.ask(ControllerRequest::Look(self.actors.page()))? {
            SchedulerReply::Entry(Some(pte)) => Ok(pte),
            SchedulerReply::Entry(None) => Ok(Pte::of(0)),
            other => Err(Failure::Skip(format!(
                "the scheduler was asked for a page table entry and said {other:?}"
            ))),
        }
    }

    pub(super) fn station(&mut self, party: Option<Party>, after: String) -> Result<(), Failure> {
        let pte = self.entry()?;
        let mapcount = self
            .frames
            .as_ref()
            .filter(|_| pte.present)
            .and_then(|frames| frames.read(&[pte.pfn]).ok())
            .and_then(|found| found.first().map(|&(count, _)| count));
        self.stations.push(Station {
            party,
            after,
            came: None,
            held: matches!(self.one, One::Held(_)),
            pte: Some(pte),
            mapcount,
        });
        Ok(())
    }

    /// Waits until thread 1 is held; the reason if it is not.
    fn until_held(&self) -> Result<Result<HeldAt, String>, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.line.ask(ControllerRequest::IsHeld)? {
                SchedulerReply::Held(held) => return Ok(Ok(held)),
                SchedulerReply::Impossible(why) => return Ok(Err(why)),
                SchedulerReply::Late => return Err(Failure::Late),
                _ if self.actors.done(Party::One)? => {
                    return Ok(Err("its store was done without coming by".into()));
                }
                _ if self.waits_for_a_rival() => {
                    return Ok(Err("it waits for a later move".into()));
                }
                _ if Instant::now() > until => return Err(Failure::Late),
                _ => std::thread::sleep(TURN),
            }
        }
    }

    /// Whether thread 1 waits until a rival lifts userfaultfd's protection.
    fn waits_for_a_rival(&self) -> bool {
        match waiting::whereabouts(self.actors.a(), self.actors.task(Party::One)) {
            Whereabouts::Asleep(stack) => {
                waiting::sleeps_on(stack).is_some_and(|wait| wait.lock == Lock::Userfaultfd)
            }
            Whereabouts::Running | Whereabouts::Gone => false,
        }
    }

    /// Waits until a party has done what it was told; false if it never does, or is thread 1 and waits for
    /// a rival.
    pub(super) fn finish(&self, party: Party) -> Result<bool, Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.actors.done(party)? {
            if Instant::now() > until || party == Party::One && self.waits_for_a_rival() {
                return Ok(false);
            }
            std::thread::sleep(TURN);
        }
        Ok(true)
    }
}
