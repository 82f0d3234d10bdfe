//! Doing something on another CPU than the one this process is pinned to: LRU batches are per CPU.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::{Pid, getppid};

use super::MemoryError;

/// Runs `act` on another CPU and comes back. The CPUs to choose from are those of the parent process,
/// since this one is pinned.
pub fn on_another_cpu<T>(act: impl FnOnce() -> T) -> Result<T, MemoryError> {
    let refused = |e| MemoryError::refused("moving to another CPU and back", e);
    let this = Pid::from_raw(0);
    let here = sched_getcpu().map_err(refused)?;
    let pinned = sched_getaffinity(this).map_err(refused)?;
    let allowed = sched_getaffinity(getppid()).map_err(refused)?;
    let other = (0..CpuSet::count())
        .find(|&cpu| cpu != here && allowed.is_set(cpu).unwrap_or(false))
        .ok_or_else(|| MemoryError::Unsupported("needs a second CPU; found one".into()))?;
    let mut set = CpuSet::new();
    set.set(other).map_err(refused)?;
    sched_setaffinity(this, &set).map_err(refused)?;
    let result = act();
    sched_setaffinity(this, &pinned).map_err(refused)?;
    Ok(result)
}
