//! How the entries of run files add up, count by count. Every type is taken apart whole, so that a count that is added to
//! it cannot be forgotten here.

use std::ops::AddAssign;

use super::counts::{Results, add_each};
use super::known::{add_under_each_name, add_where_asked};
use super::method::LateCount;
use super::outcome::{Outcome, Tally};
use super::schema::{
    DiscardCounts, EventCount, Forks, HeldCopy, Integrity, LockWait, Measured, Raced,
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

/// Each part's rate counts by the time it was counted for.
impl AddAssign for EventCount {
    fn add_assign(&mut self, other: Self) {
        let EventCount {
            value,
            per_fault,
            stores,
            processes,
            enabled_ns,
            running_ns,
        } = other;
        let both = |one: Option<u64>, other| one.zip(other).map(|(a, b)| a.saturating_add(b));
        self.stores = both(self.stores, stores);
        self.processes = both(self.processes, processes);
        let whole = (self.running_ns as f64 + running_ns as f64).max(1.0);
        self.per_fault =
            (self.per_fault * self.running_ns as f64 + per_fault * running_ns as f64) / whole;
        add_each!(self += { value, enabled_ns, running_ns });
    }
}

impl AddAssign for DiscardCounts {
    fn add_assign(&mut self, other: Self) {
        let DiscardCounts {
            late,
            none,
            futile,
            allocations,
            committed,
            pages,
            method: _,
            other_methods,
        } = other;
        add_each!(self += { late, none, futile, allocations, committed, pages });
        add_under_each_name(&mut self.other_methods, other_methods);
    }
}

impl AddAssign for LateCount {
    fn add_assign(&mut self, other: Self) {
        let LateCount { late, difference } = other;
        add_each!(self += { late, difference });
    }
}

impl AddAssign for LockWait {
    fn add_assign(&mut self, other: Self) {
        let LockWait {
            waited_ns,
            waits,
            of_ns,
        } = other;
        add_each!(self += { waited_ns, waits, of_ns });
    }
}

/// Histograms are left as they are, as in [`Raced`].
impl AddAssign for Forks {
    fn add_assign(&mut self, other: Self) {
        let Forks {
            per_second: _,
            window_ns,
            took: _,
            beside: _,
            store_waits,
            fork_waits,
        } = other;
        add_each!(self += { window_ns });
        add_under_each_name(&mut self.store_waits, store_waits);
        add_under_each_name(&mut self.fork_waits, fork_waits);
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
            forks,
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
        add_where_asked(&mut self.lock_wait, lock_wait);
        match (&mut self.forks, forks) {
            (Some(forks), Some(more)) => *forks += more,
            (forks, more) => *forks = forks.take().or(more),
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
            basis: _,
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
        self.discards.add_to_known(discards);
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
                Some(counted) => counted.add_to_known(counter),
                None => {
                    self.counters.insert(name, counter);
                }
            }
        }
        self.integrity += integrity;
    }
}
