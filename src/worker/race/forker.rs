//! A thread that forks at a rate while others of its process store.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::context::RaceContext;
use super::shared::{RaceShared, Watching};
use crate::measure::clock::{Cntvct, MonotonicRaw, Ticks, Tsc};
use crate::memory::spawn::fork_and_reap;
use crate::record::clock::ClockSource;
use crate::record::race::WaitedFor;
use crate::sys::affinity::pin_from_elsewhere;
use crate::worker::stack::{OF_A_THREAD, touch_stack};

/// Waits of one kind in one fork that a watch has room for: one for each VMA of a small process.
const WAITS: usize = 1 << 14;

/// The threads that are still at it.
pub(super) struct ThreadsLeft {
    left: Mutex<usize>,
    none: Condvar,
}

impl ThreadsLeft {
    pub fn new(threads: usize) -> Self {
        ThreadsLeft {
            left: Mutex::new(threads),
            none: Condvar::new(),
        }
    }

    /// Says that a thread is through.
    pub fn one_less(&self) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.none.notify_all();
        }
    }

    /// Sleeps for so long, or until none is left; whether none is.
    fn none_within(&self, time: Duration) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let slept = self
            .none
            .wait_timeout_while(left, time, |left| *left > 0)
            .unwrap_or_else(PoisonError::into_inner);
        *slept.0 == 0
    }
}

/// Forks as often as the race asks for until no thread is left. What counts for the rate is the time that threads store: it goes
/// on from trial to trial, since one alone may be shorter than from fork to fork.
pub(super) fn fork_at_rate(context: &RaceContext, left: &ThreadsLeft) -> Result<(), String> {
    match context.shared.source {
        ClockSource::Tsc => forks::<Tsc>(context, left),
        ClockSource::Cntvct => forks::<Cntvct>(context, left),
        ClockSource::MonotonicRaw => forks::<MonotonicRaw>(context, left),
    }
}

fn forks<T: Ticks>(context: &RaceContext, left: &ThreadsLeft) -> Result<(), String> {
    let shared = context.shared;
    pin_from_elsewhere(shared.placement.other_process).map_err(|e| e.to_string())?;
    touch_stack::<OF_A_THREAD>();
    let orders = shared.orders();
    let every = period(shared, context.tick_ns);
    let mut watches = match orders.watching {
        Watching::Locks => context.wait_watches(&WaitedFor::ALL, WAITS),
        _ => Vec::new(),
    };
    if !shared.gather(shared.parties()) {
        return Ok(());
    }
    let start = T::now();
    let mut due = next_due(orders.stored_for, every);
    loop {
        let now = orders.stored_for + T::now().saturating_sub(start);
        let to_go = due.saturating_sub(now) as f64 * context.tick_ns;
        if left.none_within(Duration::from_nanos(to_go as u64)) {
            break;
        }
        if orders.stored_for + T::now().saturating_sub(start) < due {
            continue;
        }
        for (_, watch) in &mut watches {
            watch
                .start()
                .map_err(|e| format!("starting the tracepoints: {e}"))?;
        }
        let forked = fork_and_reap(T::now).map_err(|why| why.to_string())?;
        if !shared.forked(forked) {
            return Err("more forks than there is room for: fewer --pages".into());
        }
        // A fork that took longer than from one to the next leaves those out that were due meanwhile.
        due = next_due(orders.stored_for + T::now().saturating_sub(start), every);
    }
    shared.records[shared.other_process()].note_waits(watches);
    Ok(())
}

/// Ticks from one fork to the next.
fn period(shared: &RaceShared, tick_ns: f64) -> u64 {
    let per_second = f64::from(shared.race.forks.unwrap_or(1).max(1));
    ((1e9 / per_second / tick_ns) as u64).max(1)
}

/// The first multiple of `every` behind `now`.
fn next_due(now: u64, every: u64) -> u64 {
    (now / every + 1) * every
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forks_are_due_at_the_rate_whatever_they_take() {
        assert_eq!(next_due(0, 100), 100);
        assert_eq!(next_due(99, 100), 100);
        assert_eq!(next_due(100, 100), 200);
        assert_eq!(next_due(350, 100), 400, "those at 200 and 300 are left out");
    }

    #[test]
    fn whoever_waits_for_threads_is_woken_by_the_last_of_them() {
        let left = ThreadsLeft::new(2);
        assert!(!left.none_within(Duration::ZERO));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                left.one_less();
                left.one_less();
            });
            assert!(left.none_within(Duration::from_secs(600)));
        });
    }
}
