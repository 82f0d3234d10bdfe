//! A party's move in a race that is played: made, looked after where it takes long, and written down.

use std::time::{Duration, Instant};

use super::channel::{ControllerRequest, SchedulerReply};
use super::judge::{Pinned, PlayedStep, When, store_came};
use super::staged_run::{Failure, PATIENCE, StagedRun, TURN};
use super::waiting::{self, Whereabouts};
use crate::record::moves::{FaultOutcome, Lock, Party};
use crate::record::staged::{Pte, Wait};
use crate::scenario::staged::{Action, Move};

/// After this long a party that has not finished is looked after.
const PROMPT: Duration = Duration::from_millis(60);

impl StagedRun<'_> {
    /// Has a party make a move. What it waits for, if it cannot finish while thread 1 is held.
    pub(super) fn step(&mut self, step: Move) -> Result<Option<Wait>, Failure> {
        let before = self.entry()?;
        self.actors.order(step.party, step.action);
        let start = Instant::now();
        let mut last: Option<Wait> = None;
        loop {
            let done = match step.action {
                Action::Exit => waiting::is_gone(self.actors.task(step.party)),
                _ => self.actors.done(step.party)?,
            };
            if done {
                self.note(step, &before, None)?;
                let when = self.now();
                self.played.push(PlayedStep { step, when });
                return Ok(None);
            }
            if start.elapsed() > PROMPT {
                let now = self.look_after(step.party)?;
                // Twice in a row the same wait: it is no passing one.
                if let (Some(earlier), Some(wait)) = (&last, &now)
                    && earlier.lock == wait.lock
                    && earlier.asleep == wait.asleep
                {
                    let what = format!("{}: has to wait", step.label());
                    self.station(Some(step.party), what)?;
                    return Ok(now);
                }
                last = now;
            }
            if start.elapsed() > PATIENCE {
                self.played.push(PlayedStep {
                    step,
                    when: When::Never,
                });
                return Ok(Some(Wait {
                    lock: Lock::Other,
                    asleep: false,
                    stack: Vec::new(),
                }));
            }
            std::thread::sleep(if last.is_some() { PROMPT / 3 } else { TURN });
        }
    }

    /// What keeps a party from finishing, if anything does.
    fn look_after(&self, party: Party) -> Result<Option<Wait>, Failure> {
        match waiting::whereabouts(self.actors.a(), self.actors.task(party)) {
            Whereabouts::Asleep(stack) => {
                let Some(wait) = waiting::sleeps_on(stack) else {
                    return Ok(None);
                };
                let told = self.line.ask(ControllerRequest::Where(party.cpu()))?;
                Ok(Some(match told {
                    SchedulerReply::Functions(inner) => {
                        let whole = waiting::join(inner, &wait.stack);
                        waiting::sleeps_on(whole).unwrap_or(wait)
                    }
                    _ => wait,
                }))
            }
            Whereabouts::Running => match self.line.ask(ControllerRequest::Where(party.cpu()))? {
                SchedulerReply::Functions(stack) => Ok(waiting::spins_on(stack)),
                _ => Ok(None),
            },
            Whereabouts::Gone => Ok(None),
        }
    }

    /// Waits for a move that had to wait for thread 1; false if it is never made.
    pub(super) fn go_on(&mut self, step: Move, wait: Wait) -> Result<bool, Failure> {
        let before = self.entry()?;
        let finished = self.finish(step.party)?;
        let when = if finished {
            When::Released
        } else {
            When::Never
        };
        if self.played.last().is_none_or(|last| last.step != step) {
            self.played.push(PlayedStep { step, when });
        }
        self.note(step, &before, Some(wait))?;
        Ok(finished)
    }

    /// Writes down what a move came to.
    fn note(&mut self, step: Move, before: &Pte, waited: Option<Wait>) -> Result<(), Failure> {
        let after = if waited.is_some() {
            format!("{}: done", step.label())
        } else {
            step.label()
        };
        self.station(Some(step.party), after)?;
        let faults = self.actors.faults(step.party);
        let after = self.stations.last().and_then(|station| station.pte.clone());
        let after = after.unwrap_or_else(|| Pte::of(0));
        let came = match (step.action, step.party) {
            (_, _) if waited.is_some() => FaultOutcome::Done,
            (Action::Store, Party::Sharer) if faults > 0 => self.sharer_came(),
            (Action::Store, _) => store_came(before, &after, faults),
            (Action::Pin | Action::PinLong, _) => before.pinned(&after, faults),
            _ => FaultOutcome::Done,
        };
        if let Some(station) = self.stations.last_mut() {
            station.came = Some(came).filter(|&came| came != FaultOutcome::Done);
        }
        let part = self.part(step.party);
        part.did.push(step.action.label().into());
        if came != FaultOutcome::Done || part.came.is_none() {
            part.came = Some(came);
            part.faults = faults;
        }
        if waited.is_some() {
            part.waited = waited;
        }
        Ok(())
    }

    /// What B's store came to. B's entry is not looked at: whether it copied follows from whether it still
    /// maps the page that A has.
    fn sharer_came(&self) -> FaultOutcome {
        let mut mapped = self.stations.iter().rev().map(|station| station.mapcount);
        match (mapped.next().flatten(), mapped.next().flatten()) {
            (Some(now), Some(before)) if now == before => FaultOutcome::Reuse,
            _ => FaultOutcome::Copy,
        }
    }

    /// The frames of a pin that was taken while thread 1 was held, and ended with its call.
    pub(super) fn pinned(&self, end: &Pte) -> Option<Pinned> {
        let step = Move {
            party: Party::Two,
            action: Action::Pin,
        };
        let when = When::Held;
        self.played
            .iter()
            .find(|&&one| one == PlayedStep { step, when })?;
        let mut stations = self.stations.iter();
        let station = stations.find(|station| station.after == step.label())?;
        Some(Pinned {
            came: station.came?,
            then: station.pte.as_ref()?.pfn,
            now: end.pfn,
            kept: self.parts.first()?.came == Some(FaultOutcome::Copy),
        })
    }
}
