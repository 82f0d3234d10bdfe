//! Gives each virtual CPU a CPU of its own, so that times inside a guest are not the scheduler's.

use crate::sys::affinity;

/// Pins the virtual CPUs of a QEMU that names its threads; `None` until all of them are there.
///
/// They go to the last CPUs that this process may use, one each. With fewer CPUs than virtual ones
/// they are left alone, which is an error too: the figures will be noisier.
pub fn vcpus(qemu: u32, count: u32) -> Option<Result<(), String>> {
    let mut threads = threads(qemu);
    if threads.len() < count as usize {
        return None;
    }
    threads.sort();
    Some(pin(&threads))
}

/// Virtual CPU number and thread id.
fn threads(process: u32) -> Vec<(u32, i32)> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    tasks
        .filter_map(|task| {
            let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
            let number = vcpu(name.trim())?;
            Some((number, task.file_name().to_str()?.parse().ok()?))
        })
        .collect()
}

/// 3 for `CPU 3/KVM`.
fn vcpu(name: &str) -> Option<u32> {
    name.strip_prefix("CPU ")?.split_once('/')?.0.parse().ok()
}

fn pin(threads: &[(u32, i32)]) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let cpus = affinity::allowed(0).map_err(told)?;
    let Some(spare) = cpus.len().checked_sub(threads.len()) else {
        return Err(format!(
            "{} virtual CPUs, {} CPUs",
            threads.len(),
            cpus.len()
        ));
    };
    for (&(_, thread), &cpu) in threads.iter().zip(&cpus[spare..]) {
        affinity::pin_thread(thread, cpu).map_err(told)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_threads_that_are_virtual_cpus_are_pinned() {
        assert_eq!(vcpu("CPU 11/TCG"), Some(11));
        for other in ["qemu-system-x86", "call_rcu", "CPU x/KVM"] {
            assert_eq!(vcpu(other), None);
        }
    }
}
