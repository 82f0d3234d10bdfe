//! The conductor inside the guest: has the parties play one staged race after the other, asks the
//! director to hold and release thread 1, and writes down what came of it.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use super::judge::{Evidence, Pinned, Played, When, held_store_came, judge, pin_came, store_came};
use super::talk::{ROOM, Reply, Request, parse};
use super::waiting::{self, Whereabouts};
use crate::engine::cast::Cast;
use crate::engine::pin::pin;
use crate::machine::kernel::version_in;
use crate::memory::pagemap::Frames;
use crate::memory::signpost::{Signposts, Word};
use crate::run::schema::{RunFile, Skipped};
use crate::run::staged::{Acted, Pte, StagedResult, Station, Wait, Witness, predicted};
use crate::scenario::staged::catalogue::choose;
use crate::scenario::staged::{Came, Deed, Ground, Party, Staged, Step};

/// The hidden subcommand under which the program conducts in a guest.
pub const CONDUCTOR_COMMAND: &str = "conductor";
/// A kernel command-line word that turns the recheck of the strategy kernel on.
const RECHECK: &str = "cow_recheck=1";

/// Turns of a waiting loop.
const TURN: Duration = Duration::from_millis(2);
/// After this long a party that has not finished is looked after.
const PROMPT: Duration = Duration::from_millis(60);
/// How long a party may take over a move that nothing hinders.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is made to go wrong, so that tests see what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Sabotage {
    /// The kernel panics while thread 1 is held.
    Panic,
    /// Thread 1 finds the page writable, and does not fault.
    NoFault,
    /// Process A is stopped while thread 1 is held: nobody comes back.
    NoReturn,
}

/// A conductor that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("conductor: {0}")]
pub struct ConductorError(String);

/// Why a race has no result.
enum Failure {
    /// It cannot be played here.
    Skip(String),
    /// A party or thread 1 did not come back; the guest is of no more use.
    Lost(Box<StagedResult>),
}

/// Plays the staged races that match `globs`, each so many times; `file` makes the run file that they belong to.
///
/// # Errors
/// If there is no director, or nothing can be set up.
pub fn conduct(
    globs: &[String],
    reps: u32,
    sabotage: Option<Sabotage>,
    file: impl FnOnce() -> Result<RunFile, String>,
) -> Result<(), ConductorError> {
    let failed = |error: &dyn std::fmt::Display| ConductorError(error.to_string());
    let posts = Signposts::put_up().map_err(|e| failed(&e))?;
    let conducted = try_it(posts, globs, reps, sabotage, file).map_err(ConductorError);
    match &conducted {
        Ok(()) => posts.say(Word::Done, b""),
        Err(ConductorError(why)) => posts.say(Word::Refused, why.as_bytes()),
    }
    conducted
}

fn try_it(
    posts: Signposts,
    globs: &[String],
    reps: u32,
    sabotage: Option<Sabotage>,
    file: impl FnOnce() -> Result<RunFile, String>,
) -> Result<(), String> {
    let chosen = choose(globs).map_err(|e| e.to_string())?;
    let symbols = waiting::symbols()?;
    posts.say(Word::Ready, &symbols);
    drop(symbols);
    let file = file()?;
    let ground = Ground {
        version: version_in(&file.host.kernel.release),
        recheck: file
            .host
            .kernel
            .cmdline
            .split_whitespace()
            .any(|word| word == RECHECK),
    };
    let rule = file.strategy.small;
    // B becomes this process's child when A is gone.
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| e.to_string())?;
    pin(Party::Sharer.cpu()).map_err(|e| e.to_string())?;
    let line = Line(posts);
    line.ask(&Request::Begin(Box::new(file)))?;
    let mut gone = None;
    let each = chosen
        .iter()
        .flat_map(|&staged| (0..reps).map(move |_| staged));
    for staged in each {
        if let Some(first) = &gone {
            let reason = format!("not played: the guest was lost in {first}");
            let lost = StagedResult::lost(staged.id, reason);
            line.ask(&Request::Played(Box::new(lost)))?;
            continue;
        }
        let (request, lost) = match play(&line, staged, sabotage) {
            Ok(result) => (result, false),
            Err(Failure::Lost(result)) => (*result, true),
            Err(Failure::Skip(reason)) => {
                let scenario = staged.id.to_owned();
                line.ask(&Request::Skipped(Skipped {
                    scenario,
                    strategy: None,
                    reason,
                }))?;
                continue;
            }
        };
        gone = lost.then_some(staged.id);
        line.ask(&Request::Played(Box::new(StagedResult {
            predicted: predicted(staged, rule, ground),
            ..request
        })))?;
    }
    Ok(())
}

/// The line to the director.
struct Line(Signposts);

impl Line {
    fn ask(&self, request: &Request) -> Result<Reply, String> {
        let mut text = serde_json::to_vec(request).map_err(|e| e.to_string())?;
        let length = text.len();
        text.resize(length.max(ROOM) + 1, 0);
        self.0.ask(&mut text, length);
        parse(&text).map_err(|e| format!("the director's answer means nothing: {e}"))
    }
}

/// Lets thread 1 go when it is dropped: a process cannot be ended while one of its threads is held.
struct LetGo<'a>(&'a Line);

impl Drop for LetGo<'_> {
    fn drop(&mut self) {
        // The director does nothing where nobody is held.
        let _ = self.0.ask(&Request::Release);
    }
}

/// A race that is being played.
struct Play<'a> {
    line: &'a Line,
    cast: Cast,
    frames: Option<Frames>,
    held: bool,
    released: bool,
    stations: Vec<Station>,
    parts: Vec<Acted>,
    played: Vec<Played>,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Failure::Skip(why)
    }
}

fn play(
    line: &Line,
    staged: &'static Staged,
    sabotage: Option<Sabotage>,
) -> Result<StagedResult, Failure> {
    let cast = Cast::gather(line.0, staged).map_err(|e| Failure::Skip(e.to_string()))?;
    if staged.has(Deed::PageOut) {
        waiting::swap_on().map_err(Failure::Skip)?;
    }
    let mut play = Play {
        line,
        cast,
        frames: Frames::open().ok(),
        held: false,
        released: false,
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
    if sabotage == Some(Sabotage::NoFault) {
        play.cast.order(Party::Two, Deed::Store);
        play.finish(Party::Two)?;
    }
    let page = play.cast.page();
    let point = staged.hold;
    if let Reply::Impossible(why) = line.ask(&Request::Hold { point, page })? {
        return Err(Failure::Skip(why));
    }
    let first = play.entry()?;
    play.cast.order(Party::One, Deed::Store);
    let held = match play.until_held()? {
        Ok(held) => held,
        Err(why) => {
            line.ask(&Request::Release)?;
            return Err(Failure::Skip(format!(
                "thread 1 was to be held {}: {why}",
                point.label()
            )));
        }
    };
    play.held = true;
    play.station(
        Some(Party::One),
        format!("thread 1 stores and is held {}", point.label()),
    )?;
    match sabotage {
        Some(Sabotage::Panic) => {
            std::fs::write("/proc/sysrq-trigger", "c").map_err(|e| e.to_string())?;
        }
        Some(Sabotage::NoReturn) => {
            kill(play.cast.a(), Signal::SIGSTOP).map_err(|e| e.to_string())?;
        }
        Some(Sabotage::NoFault) | None => {}
    }
    let mut waiting = None;
    let mut left = staged.steps.iter().copied();
    for step in left.by_ref() {
        if let Some(wait) = play.step(step)? {
            waiting = Some((step, wait));
            break;
        }
    }
    let released = play.entry()?;
    line.ask(&Request::Release)?;
    play.held = false;
    play.released = true;
    let result = StagedResult {
        held: Some(held),
        ..StagedResult::lost(staged.id, String::new())
    };
    let one_finished = play.finish(Party::One)?;
    let kept = match line.ask(&Request::Kept)? {
        Reply::Kept(kept) => kept,
        _ => None,
    };
    let mut finished = one_finished;
    if let Some((step, wait)) = waiting {
        finished &= play.go_on(step, wait)?;
    }
    if finished {
        for step in left {
            finished &= play.step(step)?.is_none();
        }
    }
    let end = play.entry()?;
    play.station(Some(Party::One), "thread 1 goes on".into())?;
    let faults = play.cast.faults(Party::One);
    let came = held_store_came(point, kept, [&first, &released, &end], faults);
    if let Some(station) = play.stations.last_mut() {
        station.came = one_finished.then_some(came);
    }
    play.parts.insert(
        0,
        Acted {
            party: Party::One,
            cpu: Party::One.cpu(),
            did: vec!["stores".into()],
            came: one_finished.then_some(came),
            faults,
            waited: None,
        },
    );
    let mut seen = Vec::new();
    if finished {
        let mut look = |party, through| -> Result<(), Failure> {
            play.cast.look(party, through);
            if play.finish(party)? {
                seen.push(play.cast.seen(party, through));
            }
            Ok(())
        };
        look(Party::One, Witness::Mapping)?;
        if !staged.has(Deed::Exit) && !staged.has(Deed::Unmap) {
            look(Party::Sharer, Witness::Sharer)?;
        }
        if staged.has(Deed::PinLong) {
            look(Party::Two, Witness::Pin)?;
        }
        if staged.has(Deed::Vmsplice) {
            look(Party::Two, Witness::Pipe)?;
        }
    }
    let pin = staged.has(Deed::Pin).then(|| play.pinned(&end)).flatten();
    let ruling = judge(&Evidence {
        steps: &play.played,
        one_finished,
        seen: &seen,
        pin,
    });
    let result = StagedResult {
        verdict: ruling.verdict,
        reason: ruling.reason,
        parts: play.parts,
        stations: play.stations,
        seen,
        ..result
    };
    if finished {
        Ok(result)
    } else {
        // Nothing that needs A's address space can be relied on any more.
        std::mem::forget(play.cast);
        Err(Failure::Lost(Box::new(result)))
    }
}

impl Play<'_> {
    /// A's page table entry for the page.
    fn entry(&self) -> Result<Pte, Failure> {
        match self.line.ask(&Request::Look(self.cast.page()))? {
            Reply::Entry(Some(pte)) => Ok(pte),
            Reply::Entry(None) => Ok(Pte::of(0)),
            other => Err(Failure::Skip(format!(
                "the director was asked for a page table entry and said {other:?}"
            ))),
        }
    }

    fn station(&mut self, party: Option<Party>, after: String) -> Result<(), Failure> {
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
            held: self.held,
            pte: Some(pte),
            mapcount,
        });
        Ok(())
    }

    /// Waits until thread 1 is held; the reason if it is not.
    fn until_held(&self) -> Result<Result<crate::run::staged::HeldAt, String>, Failure> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.line.ask(&Request::IsHeld)? {
                Reply::Held(held) => return Ok(Ok(held)),
                Reply::Impossible(why) => return Ok(Err(why)),
                _ if self.cast.done(Party::One)? => {
                    return Ok(Err("its store was done without coming by".into()));
                }
                _ if Instant::now() > until => return Ok(Err("it did not come by".into())),
                _ => std::thread::sleep(TURN),
            }
        }
    }

    /// Waits until a party has done what it was told; false if it never does.
    fn finish(&self, party: Party) -> Result<bool, Failure> {
        let until = Instant::now() + PATIENCE;
        while !self.cast.done(party)? {
            if Instant::now() > until {
                return Ok(false);
            }
            std::thread::sleep(TURN);
        }
        Ok(true)
    }

    /// Has a party make a move. What it waits for, if it cannot finish while thread 1 is held.
    fn step(&mut self, step: Step) -> Result<Option<Wait>, Failure> {
        let before = self.entry()?;
        self.cast.order(step.party, step.deed);
        let start = Instant::now();
        let mut last: Option<Wait> = None;
        loop {
            let done = match step.deed {
                Deed::Exit => waiting::is_gone(self.cast.task(step.party)),
                _ => self.cast.done(step.party)?,
            };
            if done {
                self.note(step, &before, None)?;
                let when = if self.released {
                    When::Released
                } else {
                    When::Held
                };
                self.played.push(Played { step, when });
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
                self.played.push(Played {
                    step,
                    when: When::Never,
                });
                return Ok(Some(Wait {
                    lock: crate::scenario::staged::Lock::Other,
                    asleep: false,
                    stack: Vec::new(),
                }));
            }
            std::thread::sleep(if last.is_some() { PROMPT / 3 } else { TURN });
        }
    }

    /// What keeps a party from finishing, if anything does.
    fn look_after(&self, party: Party) -> Result<Option<Wait>, Failure> {
        match waiting::whereabouts(self.cast.a(), self.cast.task(party)) {
            Whereabouts::Asleep(stack) => {
                let Some(wait) = waiting::sleeps_on(stack) else {
                    return Ok(None);
                };
                let told = self.line.ask(&Request::Where(party.cpu()))?;
                Ok(Some(match told {
                    Reply::Functions(inner) => {
                        let whole = waiting::join(inner, &wait.stack);
                        waiting::sleeps_on(whole).unwrap_or(wait)
                    }
                    _ => wait,
                }))
            }
            Whereabouts::Running => match self.line.ask(&Request::Where(party.cpu()))? {
                Reply::Functions(stack) => Ok(waiting::spins_on(stack)),
                _ => Ok(None),
            },
            Whereabouts::Gone => Ok(None),
        }
    }

    /// Waits for a move that had to wait for thread 1; false if it is never made.
    fn go_on(&mut self, step: Step, wait: Wait) -> Result<bool, Failure> {
        let before = self.entry()?;
        let finished = self.finish(step.party)?;
        let when = if finished {
            When::Released
        } else {
            When::Never
        };
        if self.played.last().is_none_or(|last| last.step != step) {
            self.played.push(Played { step, when });
        }
        self.note(step, &before, Some(wait))?;
        Ok(finished)
    }

    /// Writes down what a move came to.
    fn note(&mut self, step: Step, before: &Pte, waited: Option<Wait>) -> Result<(), Failure> {
        let after = if waited.is_some() {
            format!("{}: done", step.label())
        } else {
            step.label()
        };
        self.station(Some(step.party), after)?;
        let faults = self.cast.faults(step.party);
        let after = self.stations.last().and_then(|station| station.pte.clone());
        let after = after.unwrap_or_else(|| Pte::of(0));
        // B's entry is not looked at: that it copies follows from A's mapping staying as it was.
        let came = match (step.deed, step.party) {
            (_, _) if waited.is_some() => Came::Done,
            (Deed::Store, Party::Sharer) if faults > 0 && before.pfn == after.pfn => Came::Copy,
            (Deed::Store, _) => store_came(before, &after, faults),
            (Deed::Pin | Deed::PinLong, _) => pin_came(before, &after, faults),
            _ => Came::Done,
        };
        if let Some(station) = self.stations.last_mut() {
            station.came = Some(came).filter(|&came| came != Came::Done);
        }
        let part = match self.parts.iter_mut().find(|part| part.party == step.party) {
            Some(part) => part,
            None => {
                self.parts.push(Acted {
                    party: step.party,
                    cpu: step.party.cpu(),
                    did: Vec::new(),
                    came: None,
                    faults: 0,
                    waited: None,
                });
                let last = self.parts.len() - 1;
                &mut self.parts[last]
            }
        };
        part.did.push(step.deed.label().into());
        if came != Came::Done || part.came.is_none() {
            part.came = Some(came);
            part.faults = faults;
        }
        if waited.is_some() {
            part.waited = waited;
        }
        Ok(())
    }

    /// The frames of a pin that ended with its call.
    fn pinned(&self, end: &Pte) -> Option<Pinned> {
        let station = self
            .stations
            .iter()
            .find(|station| station.after == step_label(Party::Two, Deed::Pin))?;
        let part = self.parts.iter().find(|part| part.party == Party::Two)?;
        Some(Pinned {
            came: part.came?,
            then: station.pte.as_ref()?.pfn,
            now: end.pfn,
            kept: self.parts.first()?.came == Some(Came::Copy),
        })
    }
}

fn step_label(party: Party, deed: Deed) -> String {
    Step { party, deed }.label()
}
