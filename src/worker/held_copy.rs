//! A race played out by hand: a copier is held in the copy window by the kernel's delay (cow_copy_delay_us) while the
//! other user of the page leaves and another thread pins the page for reading.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering::SeqCst};
use std::time::{Duration, Instant};

use super::fixture::Fixture;
use super::protocol::{Findings, Job};
use super::trial::Prepared;
use crate::machine::knob;
use crate::measure::vmstat::{BACKOFF, BACKOFF_RECHECK, REPLACED, Vmstat};
use crate::memory::MemoryError;
use crate::memory::area::stored_word;
use crate::memory::folio::Folio;
use crate::memory::gup::{LongPin, Pinner};
use crate::memory::pagemap::Entry;
use crate::memory::pin::read_pinned;
use crate::record::outcome::Outcome;
use crate::record::schema::HeldCopy;
use crate::scenario::Scenario;

/// How long a copier is held. What is to happen meanwhile takes a few ms, more in a guest on a busy machine.
const HOLD: Duration = Duration::from_millis(300);
/// How often a page is tried again when the pin came too late.
const TRIES: u32 = 5;

/// Makes the repetition that `job` asks for.
///
/// # Errors
/// Why the race cannot be played here.
pub fn repeat(job: &Job, scenario: &Scenario) -> Result<Findings, MemoryError> {
    let fixture = Fixture::new(scenario, 1, Folio::Page, job.clock.source)?;
    let delay = Delay::open()?;
    let mut held = HeldCopy {
        recheck: fs::read_to_string(knob::RECHECK).is_ok_and(|text| text.trim() == "1"),
        pinned_by: match Pinner::open() {
            Ok(_) => "gup_test, a long-term pin".into(),
            Err(why) => format!("process_vm_readv, which lets go at once ({why})"),
        },
        stale: Pinner::open().is_ok().then_some(0),
        ..HeldCopy::default()
    };
    let mut repetition = Findings::default();
    let (mut number, mut tries) = (0, 0);
    while held.pages < u64::from(job.pages) {
        number += 1;
        let prepared = Prepared::reach(&fixture, number)?;
        repetition.setup = prepared.setup.clone();
        let before = Vmstat::now();
        let played = play(prepared, &delay)?;
        let after = Vmstat::now();
        if !played.inside {
            held.missed += 1;
            tries += 1;
            if tries == TRIES {
                return Err(MemoryError::Unsupported(format!(
                    "the page was pinned too late {TRIES} times: needs a copier to be held {HOLD:?} by {}",
                    knob::COPY_DELAY
                )));
            }
            continue;
        }
        tries = 0;
        held.pages += 1;
        let events = |name| after.events_since(&before, name).unwrap_or(0);
        held.backed_off += events(BACKOFF);
        held.rechecked += events(BACKOFF_RECHECK);
        held.replaced += events(REPLACED);
        held.stale = held
            .stale
            .zip(played.stale)
            .map(|(sum, stale)| sum + u64::from(stale));
        repetition.tally.add(played.outcome, 1);
        repetition.integrity.checked += 1;
        repetition.integrity.violations += u64::from(played.lost);
    }
    repetition.held = Some(held);
    Ok(repetition)
}

/// What one page came to.
struct HeldPage {
    /// Whether it was pinned while the copier was held.
    inside: bool,
    outcome: Outcome,
    /// Whether whoever holds the pin misses a later store; `None` where nobody holds one.
    stale: Option<bool>,
    /// Whether the copier's store is not there.
    lost: bool,
}

fn play(mut prepared: Prepared, delay: &Delay) -> Result<HeldPage, MemoryError> {
    let address = prepared.state.area.base() as usize;
    let word = stored_word(prepared.tag, 0);
    let (tid, go, done) = (
        AtomicI32::new(0),
        AtomicBool::new(false),
        AtomicBool::new(false),
    );
    let area = &prepared.state.area;
    let sharer = prepared.state.sharer.take();
    let (pin, inside) = std::thread::scope(|scope| {
        scope.spawn(|| {
            tid.store(nix::unistd::gettid().as_raw(), SeqCst);
            while !go.load(SeqCst) {
                std::thread::yield_now();
            }
            // SAFETY: the first word of the area, which nobody else stores to while this thread lives.
            unsafe { (address as *mut u64).write_volatile(word) };
            done.store(true, SeqCst);
        });
        let copier = loop {
            match tid.load(SeqCst) {
                0 => std::thread::yield_now(),
                tid => break tid,
            }
        };
        let pinned = while_held(delay, copier, &go, &done, || {
            sharer.map_or(Ok(()), |sharer| sharer.exit())?;
            pin(area)
        });
        // However it ended, the copier must be let go before the scope waits for it.
        go.store(true, SeqCst);
        let inside = !done.load(SeqCst);
        pinned.map(|(pin, seen_held)| (pin, seen_held && inside))
    })?;
    let after = prepared.stored_to(&prepared.pagemap()?);
    // SAFETY: the first word of the area; no other thread lives.
    let found = unsafe { (address as *const u64).read_volatile() };
    let later = !word;
    // SAFETY: as above.
    unsafe { (address as *mut u64).write_volatile(later) };
    let stale = match &pin {
        Some(pin) => {
            let seen = pin.first_word();
            let seen = seen.map_err(|e| MemoryError::refused("reading through the pin", e))?;
            Some(seen != later)
        }
        None => None,
    };
    Ok(HeldPage {
        inside,
        outcome: outcome(prepared.before[0], after[0], stale),
        stale,
        lost: found != word,
    })
}

/// Lets the copier go, and once it is held does `act`; tells whether it was seen held before.
fn while_held<T>(
    delay: &Delay,
    copier: i32,
    go: &AtomicBool,
    done: &AtomicBool,
    act: impl FnOnce() -> Result<T, MemoryError>,
) -> Result<(T, bool), MemoryError> {
    // This process shares its memory with the sharer, so that its own stores copy pages, and wait as the copier does.
    // What is used below is used once before, so that it is this process's own.
    delay.set(Duration::ZERO)?;
    let _ = sleeps(copier);
    delay.set(HOLD)?;
    go.store(true, SeqCst);
    let seen_held = is_held(copier, done, HOLD);
    // A copy for the pin shall not wait.
    delay.set(Duration::ZERO)?;
    Ok((act()?, seen_held))
}

/// Waits until the copier sleeps in its copy. False if it was done before it was seen to sleep, or did not get there
/// within `patience`: a copier that has not had a CPU yet is not in the copy window, and copies after the pin.
fn is_held(copier: i32, done: &AtomicBool, patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while !done.load(SeqCst) && Instant::now() < end {
        if sleeps(copier) {
            return true;
        }
        std::thread::yield_now();
    }
    false
}

/// Whether a thread of this process sleeps where no signal wakes it, as a held copier does.
fn sleeps(tid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/self/task/{tid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| rest.starts_with('D'))
}

/// Pins the page for reading: for good where the kernel can, else for a moment.
fn pin(area: &crate::memory::area::Area) -> Result<Option<LongPin>, MemoryError> {
    match Pinner::open() {
        Ok(pinner) => pinner.pin(area).map(Some),
        Err(_) if read_pinned(area.base()).is_ok() => Ok(None),
        Err(_) => Err(MemoryError::Unsupported(
            "needs process_vm_readv (CONFIG_CROSS_MEMORY_ATTACH) of this process's own memory; found: it fails".into(),
        )),
    }
}

/// A page that was copied twice can be back on its first frame, which was freed in between: a pin that does not see the
/// page's stores any more tells.
fn outcome(before: Entry, after: Entry, stale: Option<bool>) -> Outcome {
    match (before.pfn(), after.pfn()) {
        (Some(before), Some(after)) if before == after && stale != Some(true) => Outcome::Reuse,
        (Some(_), Some(_)) => Outcome::Copy,
        _ => Outcome::Unknown,
    }
}

/// The kernel's parameter that holds copiers. The runner has noted what it was, and puts it back.
struct Delay(File);

impl Delay {
    fn open() -> Result<Self, MemoryError> {
        let opened = File::options().write(true).open(knob::COPY_DELAY);
        opened.map(Delay).map_err(|source| MemoryError::Refused {
            what: format!("opening {}", knob::COPY_DELAY),
            source,
            mend: "it is there, for root, on a kernel of scripts/strategy-kernel".into(),
        })
    }

    fn set(&self, delay: Duration) -> Result<(), MemoryError> {
        let text = delay.as_micros().to_string();
        let refused = |e| MemoryError::refused(format!("writing {}", knob::COPY_DELAY), e);
        self.0.write_all_at(text.as_bytes(), 0).map_err(refused)
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        // A worker that fails half-way must not leave copies waiting.
        let _ = self.set(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copier_that_has_no_cpu_yet_is_not_held() {
        let patience = Duration::from_millis(20);
        let runs = nix::unistd::gettid().as_raw();
        assert!(!is_held(runs, &AtomicBool::new(false), patience));
        assert!(!is_held(runs, &AtomicBool::new(true), HOLD));
    }

    #[test]
    fn a_thread_that_sleeps_where_no_signal_wakes_it_is_held() {
        let (tid, done) = (AtomicI32::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| {
                tid.store(nix::unistd::gettid().as_raw(), SeqCst);
                vfork_and_wait(Duration::from_millis(300));
            });
            while tid.load(SeqCst) == 0 {
                std::thread::yield_now();
            }
            assert!(is_held(tid.load(SeqCst), &done, Duration::from_secs(10)));
            sleeper.join().unwrap();
        });
    }

    /// The parent of a child made with CLONE_VFORK sleeps so until the child has ended.
    fn vfork_and_wait(time: Duration) {
        let flags = libc::CLONE_VFORK | libc::SIGCHLD;
        // SAFETY: without CLONE_VM this is a fork; the child calls nothing but usleep and _exit.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        if child == 0 {
            // SAFETY: neither allocates nor locks.
            unsafe {
                libc::usleep(time.as_micros() as u32);
                libc::_exit(0)
            }
        }
        let child = nix::unistd::Pid::from_raw(child as i32);
        nix::sys::wait::waitpid(child, None).unwrap();
    }
}
