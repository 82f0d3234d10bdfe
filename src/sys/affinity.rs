//! On which CPUs threads run: the one place that pins.

use std::io;

use nix::errno::Errno;
use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, getppid};

/// A CPU that cannot be pinned to.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// Not among those this process may use.
    #[error("CPU {cpu} is not among those this process may use ({})", list(.allowed))]
    NotAllowed {
        /// The CPU asked for.
        cpu: u32,
        /// The CPUs that may be used.
        allowed: Vec<u32>,
    },
    /// The kernel did not move the thread there.
    #[error("asked to run on CPU {cpu} and runs on CPU {found}")]
    Elsewhere {
        /// The CPU asked for.
        cpu: u32,
        /// The CPU the thread runs on.
        found: usize,
    },
}

fn list(cpus: &[u32]) -> String {
    let cpus: Vec<String> = cpus.iter().map(u32::to_string).collect();
    cpus.join(",")
}

/// The CPU that the calling thread runs on right now; 0 where the kernel does not tell.
pub fn current_cpu() -> u32 {
    let cpu = sched_getcpu().unwrap_or_default();
    u32::try_from(cpu).unwrap_or_default()
}

/// Pins the calling thread to `cpu`. Call it before any other affinity is set: afterwards no other
/// CPU is left to choose.
///
/// # Errors
/// When `cpu` is not allowed, or the thread runs elsewhere all the same.
pub fn pin(cpu: u32) -> Result<(), PinError> {
    let ids = core_affinity::get_core_ids().unwrap_or_default();
    let Some(id) = ids.iter().find(|id| id.id == cpu as usize) else {
        let allowed = ids.iter().map(|id| id.id as u32).collect();
        return Err(PinError::NotAllowed { cpu, allowed });
    };
    let set = core_affinity::set_for_current(*id);
    let found = sched_getcpu().unwrap_or(usize::MAX);
    if set && found == cpu as usize {
        Ok(())
    } else {
        Err(PinError::Elsewhere { cpu, found })
    }
}

/// Pins the calling thread to `cpu`, which this process may use even if the thread that started this
/// one is pinned elsewhere.
///
/// # Errors
/// When the thread runs elsewhere all the same.
pub fn pin_from_elsewhere(cpu: u32) -> Result<(), PinError> {
    let id = cpu as usize;
    // core_affinity aborts beyond the fixed-size set of the C library.
    let set = id < 1024 && core_affinity::set_for_current(core_affinity::CoreId { id });
    match sched_getcpu().unwrap_or(usize::MAX) {
        found if set && found == id => Ok(()),
        found => Err(PinError::Elsewhere { cpu, found }),
    }
}

/// The CPUs that a process or thread may use; the calling thread where `id` is 0.
///
/// # Errors
/// That there is none of that number, say.
pub fn allowed(id: i32) -> io::Result<Vec<u32>> {
    let set = sched_getaffinity(Pid::from_raw(id)).map_err(|errno| match errno {
        // The kernel's set is larger than the C library's.
        Errno::EINVAL => io::Error::other(format!(
            "needs a kernel that is built for {} CPUs at the most (CONFIG_NR_CPUS, or nr_cpus= on its command line); found: for more",
            CpuSet::count()
        )),
        other => other.into(),
    })?;
    let cpus = (0..CpuSet::count()).filter(|&cpu| set.is_set(cpu).unwrap_or(false));
    Ok(cpus.map(|cpu| cpu as u32).collect())
}

/// Has the calling thread, and whatever it starts, run on these CPUs only.
///
/// # Errors
/// That none of them may be used.
pub fn confine(cpus: &[u32]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu as usize)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}

/// Pins another thread to `cpu`.
///
/// # Errors
/// That there is none of that number, or that it may not be pinned there.
pub fn pin_thread(id: i32, cpu: u32) -> io::Result<()> {
    Ok(sched_setaffinity(Pid::from_raw(id), &only(cpu as usize)?)?)
}

fn only(cpu: usize) -> Result<CpuSet, Errno> {
    let mut set = CpuSet::new();
    set.set(cpu)?;
    Ok(set)
}

/// Runs `act` on another CPU than the one that the calling thread is pinned to, and comes back. The CPUs to choose from
/// are those of the parent process. `None` where there is no other; nothing was done then.
///
/// # Errors
/// When the thread cannot be moved.
pub fn on_another_cpu<T>(act: impl FnOnce() -> T) -> io::Result<Option<T>> {
    let this = Pid::from_raw(0);
    let (here, pinned) = (sched_getcpu()?, sched_getaffinity(this)?);
    let others = allowed(getppid().as_raw())?;
    let Some(other) = others.into_iter().find(|&cpu| cpu as usize != here) else {
        return Ok(None);
    };
    sched_setaffinity(this, &only(other as usize)?)?;
    let result = act();
    sched_setaffinity(this, &pinned)?;
    Ok(Some(result))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_stays_and_a_cpu_that_is_not_there_is_refused() {
        std::thread::spawn(|| {
            assert!(matches!(pin(1023), Err(PinError::NotAllowed { .. })));
            let here = sched_getcpu().unwrap() as u32;
            pin(here).unwrap();
            assert_eq!(allowed(0).unwrap(), [here]);
        })
        .join()
        .unwrap();
    }

    #[test]
    fn what_is_done_on_another_cpu_is_done_there_and_the_thread_comes_back() {
        std::thread::spawn(|| {
            let here = sched_getcpu().unwrap() as u32;
            pin(here).unwrap();
            if let Some(there) = on_another_cpu(|| sched_getcpu().unwrap() as u32).unwrap() {
                assert_ne!(there, here);
            }
            assert_eq!(allowed(0).unwrap(), [here]);
        })
        .join()
        .unwrap();
    }
}
