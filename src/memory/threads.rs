//! Threads of this process on other CPUs, which have its address space there: running, or asleep since they ran.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::thread::{JoinHandle, park, sleep};
use std::time::{Duration, Instant};

use nix::unistd::{getppid, gettid};

use super::MemoryError;
use crate::sys::affinity::{allowed, current_cpu, pin_from_elsewhere};
use crate::sys::files;

/// How long a thread may take to be where it must be.
const PATIENCE: Duration = Duration::from_secs(2);

/// As many as there are other CPUs.
pub const ALL: u32 = u32::MAX;

/// What such threads do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// They run in user space and touch nothing but a counter.
    Run,
    /// They have run and wait: where nobody else wants the CPU, it keeps the address space meanwhile (lazy TLB).
    Sleep,
}

/// Threads of this process, each on a CPU of its own and none on that of the calling thread. They end when this is dropped.
pub struct OtherThreads {
    doing: Doing,
    threads: Vec<(Arc<Shared>, JoinHandle<()>)>,
}

/// What one of them and its owner see of each other; in cache lines of its own.
#[repr(align(128))]
struct Shared {
    cpu: u32,
    /// Its thread id, once it is on its CPU; negative if it cannot be.
    id: AtomicI32,
    rounds: AtomicU64,
    end: AtomicBool,
}

impl OtherThreads {
    /// Starts `count` of them ([`ALL`]: one on every other CPU, and one at least).
    ///
    /// # Errors
    /// If there are too few CPUs, or a thread does not come to be on its own.
    pub fn start(doing: Doing, count: u32) -> Result<Self, MemoryError> {
        let here = current_cpu();
        let cpus = allowed(getppid().as_raw())
            .map_err(|e| MemoryError::refused("reading which CPUs may be used", e))?;
        let others: Vec<u32> = cpus.into_iter().filter(|&cpu| cpu != here).collect();
        let count = match count {
            ALL => others.len().max(1),
            count => count as usize,
        };
        if others.len() < count {
            return Err(MemoryError::Unsupported(format!(
                "needs {} CPUs, one for each thread of the process; found {}",
                count + 1,
                others.len() + 1
            )));
        }
        let mut threads = OtherThreads {
            doing,
            threads: Vec::new(),
        };
        for &cpu in &others[..count] {
            let shared = Arc::new(Shared {
                cpu,
                id: AtomicI32::new(0),
                rounds: AtomicU64::new(0),
                end: AtomicBool::new(false),
            });
            let own = shared.clone();
            let thread = std::thread::spawn(move || live(&own, doing));
            threads.threads.push((shared, thread));
        }
        threads.wait_until_there()?;
        Ok(threads)
    }

    fn wait_until_there(&self) -> Result<(), MemoryError> {
        let deadline = Instant::now() + PATIENCE;
        for (shared, _) in &self.threads {
            while !self.is_there(shared) {
                if shared.id.load(Ordering::Acquire) < 0 || Instant::now() > deadline {
                    return Err(self.not_there(shared));
                }
                sleep(Duration::from_micros(50));
            }
        }
        Ok(())
    }

    fn is_there(&self, shared: &Shared) -> bool {
        match self.doing {
            Doing::Run => shared.rounds.load(Ordering::Relaxed) > 0,
            Doing::Sleep => state(shared.id.load(Ordering::Acquire)) == Some(('S', shared.cpu)),
        }
    }

    fn not_there(&self, shared: &Shared) -> MemoryError {
        MemoryError::NotReached {
            page: 0,
            expected: self.label(),
            found: match state(shared.id.load(Ordering::Acquire)) {
                Some((state, cpu)) => {
                    format!(
                        "of the thread for CPU {}: state {state} on CPU {cpu}",
                        shared.cpu
                    )
                }
                None => format!("no thread on CPU {}", shared.cpu),
            },
        }
    }

    /// How far each has come, for [`OtherThreads::prove_since`].
    pub fn rounds(&self) -> Vec<u64> {
        let rounds = |(shared, _): &(Arc<Shared>, _)| shared.rounds.load(Ordering::Relaxed);
        self.threads.iter().map(rounds).collect()
    }

    /// Proves that since [`OtherThreads::rounds`] was `before` each has run, or that each sleeps on its CPU and has not.
    ///
    /// # Errors
    /// The first that has not.
    pub fn prove_since(&self, before: &[u64]) -> Result<(), MemoryError> {
        for ((shared, _), &before) in self.threads.iter().zip(before) {
            let ran = shared.rounds.load(Ordering::Relaxed) != before;
            let right = match self.doing {
                Doing::Run => ran,
                Doing::Sleep => !ran && self.is_there(shared),
            };
            if !right {
                return Err(self.not_there(shared));
            }
        }
        Ok(())
    }

    /// What they do, in words.
    pub fn label(&self) -> String {
        let does = match self.doing {
            Doing::Run => "running",
            Doing::Sleep => "asleep",
        };
        match self.threads.len() {
            1 => format!("one thread of the process {does} on another CPU"),
            count => format!("{count} threads of the process {does} on as many other CPUs"),
        }
    }
}

fn live(shared: &Shared, doing: Doing) {
    if pin_from_elsewhere(shared.cpu).is_err() {
        shared.id.store(-1, Ordering::Release);
        return;
    }
    shared.id.store(gettid().as_raw(), Ordering::Release);
    while !shared.end.load(Ordering::Relaxed) {
        match doing {
            Doing::Run => {
                for _ in 0..64 {
                    std::hint::spin_loop();
                }
                let rounds = shared.rounds.load(Ordering::Relaxed);
                shared
                    .rounds
                    .store(rounds.wrapping_add(1), Ordering::Relaxed);
            }
            Doing::Sleep => park(),
        }
    }
}

/// The state of this process's thread `id`, as a letter, and the CPU that it ran on last.
fn state(id: i32) -> Option<(char, u32)> {
    let stat = files::read(format!("/proc/self/task/{id}/stat"))?;
    // The name in parentheses may hold anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((
        fields.first()?.chars().next()?,
        fields.get(36)?.parse().ok()?,
    ))
}

impl Drop for OtherThreads {
    fn drop(&mut self) {
        for (shared, thread) in self.threads.drain(..) {
            shared.end.store(true, Ordering::Relaxed);
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    fn start(doing: Doing) -> Option<OtherThreads> {
        let started = OtherThreads::start(doing, 1);
        started.inspect_err(|why| skip(Need::TwoCpus, why)).ok()
    }

    #[test]
    fn one_that_runs_is_seen_to_run_and_one_that_sleeps_to_sleep() {
        let (Some(runs), Some(sleeps)) = (start(Doing::Run), start(Doing::Sleep)) else {
            return;
        };
        let before = [runs.rounds(), sleeps.rounds()];
        sleep(Duration::from_millis(50));
        runs.prove_since(&before[0]).unwrap();
        sleeps.prove_since(&before[1]).unwrap();
        assert!(
            sleeps.prove_since(&[1]).is_err(),
            "what has run meanwhile did not sleep"
        );
    }
}
