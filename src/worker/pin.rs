//! Pins the calling thread to one CPU and proves it.

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
    let found = nix::sched::sched_getcpu().unwrap_or(usize::MAX);
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
    match nix::sched::sched_getcpu().unwrap_or(usize::MAX) {
        found if set && found == id => Ok(()),
        found => Err(PinError::Elsewhere { cpu, found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_thread_stays_and_a_cpu_that_is_not_there_is_refused() {
        std::thread::spawn(|| {
            assert!(matches!(pin(1023), Err(PinError::NotAllowed { .. })));
            let here = nix::sched::sched_getcpu().unwrap() as u32;
            pin(here).unwrap();
            assert_eq!(core_affinity::get_core_ids().unwrap().len(), 1);
        })
        .join()
        .unwrap();
    }
}
