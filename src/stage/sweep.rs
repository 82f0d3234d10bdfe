//! Every interleaving of a race's moves with thread 1's store, as far as they differ.

use std::time::{Duration, Instant};

use super::channel::{Channel, ControllerRequest};
use super::staged_run::{Done, Failure, LATE, play};
use crate::record::moves::RaceVerdict;
use crate::record::progress::{Progress, interleavings};
use crate::record::staged::StagedResult;
use crate::record::sweep::{Interleaving, Pruned, Sweep, Why};
use crate::scenario::staged::Staged;

/// Where a sweep ends, finished or not.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// When.
    pub until: Instant,
    /// After so many interleavings were played.
    pub most: u32,
}

impl Bounds {
    /// So much time from now, and so many interleavings of a race.
    pub fn new(within: Duration, most: u32) -> Self {
        Bounds {
            until: Instant::now() + within,
            most,
        }
    }

    /// Which bound is met, if one is.
    fn met(self, played: usize) -> Option<String> {
        if played >= self.most as usize {
            Some(format!("{} were played; see --most", self.most))
        } else if Instant::now() >= self.until {
            Some("the time was up; see --time-limit".into())
        } else {
            None
        }
    }
}

/// Which interleavings are still to be played. What one turns out to be makes others needless.
struct Plan {
    all: u64,
    /// Latest places first, in reverse.
    left: Vec<Vec<Progress>>,
    pruned: Vec<Pruned>,
}

impl Plan {
    fn of(moves: usize) -> Self {
        let mut left = interleavings(moves);
        left.reverse();
        Plan {
            all: left.len() as u64,
            left,
            pruned: Vec::new(),
        }
    }

    /// The next one to be played; it stays the next until it is told of.
    fn next(&self) -> Option<&[Progress]> {
        self.left.last().map(Vec::as_slice)
    }

    /// The next was played; the move `blocked` had to wait for thread 1, if one had.
    fn played(&mut self, blocked: Option<usize>) {
        if let Some(places) = self.left.pop()
            && let Some(at) = blocked
        {
            let alike = places[..=at].to_vec();
            self.prune(&alike, Why::Blocked, |one| one.starts_with(&alike));
        }
    }

    /// In the next, thread 1 did not come to the place of the move `at`.
    fn missed(&mut self, at: usize) {
        let Some(places) = self.next() else {
            return;
        };
        let (alike, place) = (places[..=at].to_vec(), places[at]);
        match at {
            // Nobody had moved.
            0 => self.prune(&[place], Why::NoHoldPoint, |one| one.contains(&place)),
            _ => self.prune(&alike, Why::NotPassed, |one| one.starts_with(&alike)),
        }
    }

    fn prune(&mut self, places: &[Progress], why: Why, same: impl Fn(&[Progress]) -> bool) {
        let before = self.left.len();
        self.left.retain(|one| !same(one));
        let count = (before - self.left.len()) as u64;
        if count > 0 {
            let places = places.to_vec();
            self.pruned.push(Pruned { places, why, count });
        }
    }
}

/// Plays every interleaving of the race's moves with thread 1's way to each hold point and to its end,
/// within `bounds`. The result is that of the worst, with all others' verdicts.
///
/// # Errors
/// If it cannot be played here, the guest is of no more use, or thread 1 was late in all that were tried.
pub fn sweep(
    line: &Channel,
    staged: &'static Staged,
    bounds: Bounds,
) -> Result<StagedResult, Failure> {
    let note = |told| Ok(line.ask(ControllerRequest::Note(told)).map(drop)?);
    sweep_by(staged, bounds, note, |places| {
        play(line, staged, places, None)
    })
}

/// Sweeps a race whose interleavings `play` plays; `note` is told how far it is.
fn sweep_by(
    staged: &'static Staged,
    bounds: Bounds,
    note: impl Fn(String) -> Result<(), Failure>,
    play: impl Fn(&[Progress]) -> Result<Done, Failure>,
) -> Result<StagedResult, Failure> {
    let start = Instant::now();
    let mut plan = Plan::of(staged.steps.len());
    let mut played: Vec<Interleaving> = Vec::new();
    let mut worst: Option<StagedResult> = None;
    let mut why_left_out = None;
    let mut lost = false;
    let mut late = 0;
    while let Some(places) = plan.next().map(<[Progress]>::to_vec) {
        why_left_out = bounds.met(played.len());
        if why_left_out.is_some() {
            break;
        }
        let (result, blocked) = match play(&places) {
            Ok(done) => (done.result, done.blocked),
            Err(Failure::Missed { at, .. }) => {
                plan.missed(at);
                continue;
            }
            Err(Failure::Late) => {
                late += u64::from(plan.left.pop().is_some());
                continue;
            }
            Err(Failure::Lost(result)) => {
                lost = true;
                (*result, None)
            }
            Err(skip) => return Err(skip),
        };
        plan.played(blocked);
        played.push(result.interleaving(&places));
        let own = places.iter().all(|&place| place == staged.hold.into());
        if worst.as_ref().is_none_or(|worst| {
            rank(result.verdict) < rank(worst.verdict)
                || own && rank(result.verdict) == rank(worst.verdict)
        }) {
            worst = Some(result);
        }
        if lost {
            why_left_out = Some("the guest was lost".into());
            break;
        }
        let told = format!(
            "{}: {} played, {} left",
            staged.id,
            played.len(),
            plan.left.len()
        );
        note(told)?;
    }
    let Some(worst) = worst else {
        if late > 0 {
            return Err(Failure::Late);
        }
        let why = why_left_out.unwrap_or_else(|| "no interleaving can be played".into());
        return Err(Failure::Skip(why));
    };
    let left_out = plan.left.len() as u64 + late;
    if late > 0 {
        why_left_out.get_or_insert_with(|| format!("{late} times {LATE}"));
    }
    let result = StagedResult {
        sweep: Some(Sweep {
            moves: staged.steps.iter().map(|step| step.label()).collect(),
            interleavings: plan.all,
            played,
            pruned: plan.pruned,
            left_out,
            why_left_out: why_left_out.filter(|_| left_out > 0),
            seconds: start.elapsed().as_secs(),
        }),
        ..worst
    };
    if lost {
        Err(Failure::Lost(Box::new(result)))
    } else {
        Ok(result)
    }
}

/// The worse the verdict, the lower.
fn rank(verdict: RaceVerdict) -> u8 {
    match verdict {
        RaceVerdict::Lost => 0,
        RaceVerdict::LostStore => 1,
        RaceVerdict::StalePin => 2,
        RaceVerdict::Leak => 3,
        RaceVerdict::Coherent | RaceVerdict::Blocked => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::staged::catalogue::STAGED;
    use Progress::{AfterStore, BeforeStore, Copied, Decided, Flushed, Undecided};
    use std::cell::Cell;

    /// Plays a plan to its end as `kernel` says: `Ok` with who had to wait, `Err` with which move thread 1
    /// did not come to. How many were played and pruned.
    fn play_all(
        moves: usize,
        kernel: impl Fn(&[Progress]) -> Result<Option<usize>, usize>,
    ) -> [u64; 3] {
        let mut plan = Plan::of(moves);
        let mut played = 0;
        while let Some(places) = plan.next().map(<[Progress]>::to_vec) {
            match kernel(&places) {
                Ok(blocked) => {
                    played += 1;
                    plan.played(blocked);
                }
                Err(at) => plan.missed(at),
            }
        }
        let pruned = plan.pruned.iter().map(|pruned| pruned.count).sum();
        [plan.all, played, pruned]
    }

    #[test]
    fn where_nothing_is_blocked_every_interleaving_is_played() {
        assert_eq!(play_all(1, |_| Ok(None)), [7, 7, 0]);
        assert_eq!(play_all(2, |_| Ok(None)), [28, 28, 0]);
        assert_eq!(play_all(3, |_| Ok(None)), [84, 84, 0]);
    }

    #[test]
    fn of_those_that_begin_with_a_blocked_move_one_is_played() {
        // The first move waits wherever thread 1 holds the PTL: 6 and 2 begin so.
        let first =
            |places: &[Progress]| Ok([Undecided, Flushed].contains(&places[0]).then_some(0));
        assert_eq!(play_all(2, first), [28, 22, 6]);
        // The second: what begins alike are those alone.
        let second =
            |places: &[Progress]| Ok([Undecided, Flushed].contains(&places[1]).then_some(1));
        assert_eq!(play_all(2, second), [28, 28, 0]);
    }

    #[test]
    fn where_thread_1_no_longer_comes_by_a_move_is_as_if_it_were_done() {
        // After a first move before the decision, thread 1 does not copy.
        let kernel = |places: &[Progress]| {
            let held = (Decided..=Flushed).contains(&places[1]);
            if places[0] <= Undecided && held {
                Err(1)
            } else {
                Ok(None)
            }
        };
        assert_eq!(play_all(2, kernel), [28, 20, 8]);
    }

    #[test]
    fn a_hold_point_that_a_kernel_does_not_have_is_left_out_wherever_it_comes() {
        let kernel = |places: &[Progress]| match places.iter().position(|&place| place == Copied) {
            Some(at) => Err(at),
            None => Ok(None),
        };
        // 6 places in place of 7.
        assert_eq!(play_all(2, kernel), [28, 21, 7]);
        let mut plan = Plan::of(1);
        assert_eq!(plan.next(), Some(&[AfterStore][..]));
        plan.played(None);
        plan.missed(0);
        assert_eq!(plan.pruned[0].why, Why::NoHoldPoint);
        assert_eq!(plan.left.first(), Some(&vec![BeforeStore]));
    }

    /// What a sweep of the first race ends with, each of whose interleavings fails; `fail` is told how many have.
    fn sweep_all(within: Duration, fail: impl Fn(usize) -> Failure) -> Option<Failure> {
        let failed = Cell::new(0);
        let bounds = Bounds::new(within, 100);
        let play = |_: &[Progress]| Err(fail(failed.replace(failed.get() + 1)));
        sweep_by(&STAGED[0], bounds, |_| Ok(()), play).err()
    }

    fn missed() -> Failure {
        let why = String::new();
        Failure::Missed { at: 0, why }
    }

    #[test]
    fn a_sweep_of_which_nothing_but_late_interleavings_came_is_late() {
        let hour = Duration::from_secs(3600);
        let late = sweep_all(hour, |_| Failure::Late);
        assert!(matches!(late, Some(Failure::Late)));
        let late_once = sweep_all(hour, |failed| match failed {
            0 => Failure::Late,
            _ => missed(),
        });
        assert!(matches!(late_once, Some(Failure::Late)));
    }

    #[test]
    fn a_sweep_that_has_nowhere_to_begin_or_no_time_is_a_skip() {
        let hour = Duration::from_secs(3600);
        let nowhere = sweep_all(hour, |_| missed());
        assert!(matches!(nowhere, Some(Failure::Skip(_))));
        let no_time = sweep_all(Duration::ZERO, |_| Failure::Late);
        assert!(matches!(no_time, Some(Failure::Skip(_))));
    }

    #[test]
    fn a_sweep_ends_at_its_bounds() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Bounds::new(hour, 2).met(1), None);
        assert!(
            Bounds::new(hour, 2)
                .met(2)
                .is_some_and(|why| why.contains("--most"))
        );
        let over = Bounds::new(Duration::ZERO, 2).met(0);
        assert!(over.is_some_and(|why| why.contains("--time-limit")));
    }
}
