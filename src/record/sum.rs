//! How the entries of run files add up, count by count. Every type is taken apart whole, so that a count that is added to
//! it cannot be forgotten here.

use std::ops::AddAssign;

use super::counts::{Results, add_each};
use super::outcome::{Outcome, Tally};
use super::schema::{
    Counter, Discards, HeldCopy, Integrity, LockWait, Measured, Raced, SecondCount,
};

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, other: &Tally) {
        for outcome in Outcome::ALL {
            self.add(outcome, other.get(outcome));
        }
    }
}

impl AddAssign for Integrity {
    fn add_assign(&mut self, other: Self) {
        let Integrity {
            checked,
            violations,
        } = other;
        add_each!(self += { checked, violations });
    }
}

impl AddAssign<&HeldCopy> for HeldCopy {
    fn add_assign(&mut self, other: &HeldCopy) {
        let &HeldCopy {
            recheck,
            ref pinned_by,
            pages,
            missed,
            backed_off,
            rechecked,
            replaced,
            stale,
        } = other;
        self.recheck = recheck;
        self.pinned_by.clone_from(pinned_by);
        self.stale = match self.pages {
            0 => stale,
            _ => self.stale.zip(stale).map(|(a, b)| a.saturating_add(b)),
        };
        add_each!(self += { pages, missed, backed_off, rechecked, replaced });
    }
}

/// Where either side was not counted, the other is the sum: a rate over a part of the repetitions is still one.
impl AddAssign for Counter {
    fn add_assign(&mut self, other: Self) {
        match (&mut *self, other) {
            (
                Counter::Counted {
                    value,
                    per_fault,
                    enabled_ns,
                    running_ns,
                },
                Counter::Counted {
                    value: more,
                    per_fault: rate,
                    enabled_ns: enabled,
                    running_ns: running,
                },
            ) => {
                // Each run's rate counts by the time it was counted for.
                let whole = (*running_ns as f64 + running as f64).max(1.0);
                *per_fault = (*per_fault * *running_ns as f64 + rate * running as f64) / whole;
                *value = value.saturating_add(more);
                *enabled_ns = enabled_ns.saturating_add(enabled);
                *running_ns = running_ns.saturating_add(running);
            }
            (Counter::Unavailable { .. }, counted @ Counter::Counted { .. }) => *self = counted,
            (_, Counter::Unavailable { .. }) => {}
        }
    }
}

/// Where either side was not counted, the other is the sum: it says over how many pages.
impl AddAssign for Discards {
    fn add_assign(&mut self, other: Self) {
        match (&mut *self, other) {
            (
                Discards::Counted {
                    late,
                    none,
                    futile,
                    allocations,
                    committed,
                    pages,
                    method: _,
                    other_methods,
                },
                Discards::Counted {
                    late: more_late,
                    none: more_none,
                    futile: more_futile,
                    allocations: more_allocations,
                    committed: more_committed,
                    pages: more_pages,
                    method: _,
                    other_methods: more_methods,
                },
            ) => {
                for (sum, more) in [
                    (late, more_late),
                    (none, more_none),
                    (futile, more_futile),
                    (allocations, more_allocations),
                    (committed, more_committed),
                    (pages, more_pages),
                ] {
                    *sum = sum.saturating_add(more);
                }
                add_second_counts(other_methods, more_methods);
            }
            (Discards::Unavailable { .. }, counted @ Discards::Counted { .. }) => *self = counted,
            (_, Discards::Unavailable { .. }) => {}
        }
    }
}

/// Counts by the same method add up; one that is missing on either side is missing of the sum, which it would be compared
/// with.
fn add_second_counts(sums: &mut Vec<SecondCount>, more: Vec<SecondCount>) {
    let absent = |count: &SecondCount| SecondCount::Unavailable {
        method: count.method().into(),
        unavailable: "not every run has this count".into(),
    };
    for sum in &mut *sums {
        if !more.iter().any(|count| count.method() == sum.method()) {
            *sum = absent(sum);
        }
    }
    for count in more {
        match sums.iter_mut().find(|sum| sum.method() == count.method()) {
            Some(sum) => *sum += count,
            None => sums.push(absent(&count)),
        }
    }
}

impl SecondCount {
    /// How it was counted, or would have been.
    pub fn method(&self) -> &str {
        match self {
            SecondCount::Counted { method, .. } | SecondCount::Unavailable { method, .. } => method,
        }
    }
}

impl AddAssign for SecondCount {
    fn add_assign(&mut self, other: Self) {
        match (&mut *self, other) {
            (
                SecondCount::Counted {
                    method: _,
                    late,
                    difference,
                },
                SecondCount::Counted {
                    method: _,
                    late: more_late,
                    difference: more_difference,
                },
            ) => {
                *late = late.saturating_add(more_late);
                *difference = difference.saturating_add(more_difference);
            }
            (SecondCount::Counted { .. }, missing) => *self = missing,
            (SecondCount::Unavailable { .. }, _) => {}
        }
    }
}

/// A wait that was not counted on either side is missing of the sum, which is a share of all the time.
impl AddAssign for LockWait {
    fn add_assign(&mut self, other: Self) {
        match (&mut *self, other) {
            (
                LockWait::Counted {
                    waited_ns,
                    waits,
                    of_ns,
                },
                LockWait::Counted {
                    waited_ns: more_waited_ns,
                    waits: more_waits,
                    of_ns: more_of_ns,
                },
            ) => {
                *waited_ns = waited_ns.saturating_add(more_waited_ns);
                *waits = waits.saturating_add(more_waits);
                *of_ns = of_ns.saturating_add(more_of_ns);
            }
            (LockWait::Counted { .. }, missing) => *self = missing,
            (LockWait::Unavailable { .. }, _) => {}
        }
    }
}

/// Histograms of `parts` that both sides have are left as they are: whoever adds many of them decodes each once.
impl AddAssign for Raced {
    fn add_assign(&mut self, other: Self) {
        let Raced {
            results,
            not_allowed,
            unexplained,
            unrelated_allocations,
            parts,
            events,
            lock_wait,
            replaced,
            rehearsal_pages,
            rehearsal_allocations,
        } = other;
        let counted = |results: &[_]| !results.is_empty();
        self.replaced = match (counted(&self.results), counted(&results)) {
            (true, true) => self
                .replaced
                .zip(replaced)
                .map(|(a, b)| a.saturating_add(b)),
            (false, _) => replaced,
            (true, false) => self.replaced,
        };
        let mut all = Results::from(std::mem::take(&mut self.results));
        all.extend(results);
        self.results = all.into();
        add_each!(self += { not_allowed, unexplained, unrelated_allocations, events, rehearsal_pages, rehearsal_allocations });
        for (part, latency) in parts {
            self.parts.entry(part).or_insert(latency);
        }
        match (&mut self.lock_wait, lock_wait) {
            (Some(sum), Some(more)) => *sum += more,
            (sum, more) => *sum = sum.take().or(more),
        }
    }
}

/// Another part of the same case's measurement. Histograms that both sides have are left as they are, as in [`Raced`];
/// repetitions keep their numbers.
impl AddAssign for Measured {
    fn add_assign(&mut self, other: Self) {
        let Measured {
            scenario: _,
            strategy: _,
            folio: _,
            threads: _,
            cpus: _,
            skew: _,
            oversubscribed: _,
            pages: _,
            trials,
            expected: _,
            outcomes,
            latency,
            repetitions,
            lost,
            setup: _,
            discards,
            rendezvous,
            race,
            held,
            difference,
            counters,
            integrity,
        } = other;
        add_each!(self += { trials });
        self.outcomes += &outcomes;
        for (outcome, latency) in latency {
            self.latency.entry(outcome).or_insert(latency);
        }
        self.repetitions.extend(repetitions);
        self.lost.extend(lost);
        self.discards += discards;
        match (&mut self.rendezvous, rendezvous) {
            (Some(met), Some(more)) => met.missed = met.missed.saturating_add(more.missed),
            (met, more) => *met = met.take().or(more),
        }
        match (&mut self.race, race) {
            (Some(race), Some(more)) => *race += more,
            (race, more) => *race = race.take().or(more),
        }
        match (&mut self.held, held) {
            (Some(held), Some(more)) => *held += &more,
            (held, more) => *held = held.take().or(more),
        }
        self.difference = self.difference.take().or(difference);
        for (name, counter) in counters {
            match self.counters.get_mut(&name) {
                Some(counted) => *counted += counter,
                None => {
                    self.counters.insert(name, counter);
                }
            }
        }
        self.integrity += integrity;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(method: &str, late: Option<i64>) -> SecondCount {
        let method = method.into();
        match late {
            Some(late) => SecondCount::Counted {
                method,
                late,
                difference: late - 7,
            },
            None => SecondCount::Unavailable {
                method,
                unavailable: "no".into(),
            },
        }
    }

    #[test]
    fn second_counts_add_up_by_method_and_one_that_is_missing_anywhere_is_missing() {
        let mut sums = vec![
            second("a", Some(1)),
            second("b", Some(2)),
            second("c", Some(3)),
        ];
        add_second_counts(
            &mut sums,
            vec![
                second("b", None),
                second("a", Some(10)),
                second("d", Some(1)),
            ],
        );
        let late = |count: &SecondCount| match count {
            SecondCount::Counted {
                late, difference, ..
            } => Some((*late, *difference)),
            SecondCount::Unavailable { .. } => None,
        };
        let found: Vec<_> = sums
            .iter()
            .map(|count| (count.method(), late(count)))
            .collect();
        let expected = [("a", Some((11, -3))), ("b", None), ("c", None), ("d", None)];
        assert_eq!(found, expected);
    }

    #[test]
    fn waits_of_a_part_are_no_share_of_the_whole() {
        let counted = LockWait::Counted {
            waited_ns: 1,
            waits: 2,
            of_ns: 3,
        };
        let missing = LockWait::Unavailable {
            unavailable: "no".into(),
        };
        for (mut sum, more) in [
            (counted.clone(), missing.clone()),
            (missing.clone(), counted),
        ] {
            sum += more;
            assert_eq!(sum, missing);
        }
    }
}
