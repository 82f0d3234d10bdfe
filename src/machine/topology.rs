//! The CPUs that workers may be pinned to, and in which order.

use std::io;
use std::path::Path;

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;
use serde::Serialize;

use super::cpulist;
use crate::sys::files;

/// A CPU that this process may run on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Cpu {
    /// Logical id, as `sched_setaffinity(2)` takes it.
    pub id: u32,
    /// Hardware threads of its core, itself included, ascending.
    pub siblings: Vec<u32>,
    /// Physical package; `None` where sysfs does not say.
    pub package: Option<u32>,
    /// NUMA node; `None` where sysfs does not say.
    pub node: Option<u32>,
    /// Taken out of the scheduler's balancing by `isolcpus=` or a cpuset partition.
    pub isolated: bool,
    /// Runs without the timer tick while one task runs (`nohz_full=`).
    pub nohz_full: bool,
}

/// What sysfs says about the CPUs. Read it before pinning anything: a pinned thread sees only its own CPU allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Topology {
    /// Every CPU online, ascending.
    pub online: Vec<u32>,
    /// The CPUs online that the calling thread may run on, ascending by id; never empty.
    pub allowed: Vec<Cpu>,
}

impl Topology {
    /// Reads sysfs and the calling thread's affinity.
    ///
    /// # Errors
    /// When the affinity can be read neither by `sched_getaffinity(2)` nor from /proc/thread-self/status.
    pub fn read() -> io::Result<Self> {
        Ok(Self::from_sysfs(
            Path::new("/sys/devices/system"),
            &affinity()?,
        ))
    }

    /// Reads the tree `system`, laid out as /sys/devices/system, for the CPUs in `affinity`. What is absent there
    /// leaves a CPU a core of its own.
    fn from_sysfs(system: &Path, affinity: &[u32]) -> Self {
        let list = |path: &str| {
            let text = files::read(system.join(path)).unwrap_or_default();
            cpulist::parse(&text).unwrap_or_default()
        };
        let mut online = list("cpu/online");
        if online.is_empty() {
            online = affinity.to_vec();
        }
        let (isolated, nohz_full) = (list("cpu/isolated"), list("cpu/nohz_full"));
        let nodes: Vec<(u32, Vec<u32>)> = list("node/online")
            .into_iter()
            .map(|node| (node, list(&format!("node/node{node}/cpulist"))))
            .collect();

        let cpu = |id: u32| {
            let mut siblings = list(&format!("cpu/cpu{id}/topology/thread_siblings_list"));
            if !siblings.contains(&id) {
                siblings = vec![id];
            }
            let package =
                files::read(system.join(format!("cpu/cpu{id}/topology/physical_package_id")));
            Cpu {
                id,
                siblings,
                package: package.and_then(|text| text.parse().ok()),
                node: nodes
                    .iter()
                    .find(|(_, cpus)| cpus.contains(&id))
                    .map(|(node, _)| *node),
                isolated: isolated.contains(&id),
                nohz_full: nohz_full.contains(&id),
            }
        };
        let allowed = affinity
            .iter()
            .filter(|id| online.contains(id))
            .map(|&id| cpu(id))
            .collect();
        Self { online, allowed }
    }

    /// The order in which to use the allowed CPUs: one of each core before any core's second thread; among those
    /// isolated CPUs first; then by node and package, so that neighbours in the list are near each other.
    pub fn order(&self) -> Vec<u32> {
        let mut cpus: Vec<&Cpu> = self.allowed.iter().collect();
        cpus.sort_by_key(|cpu| (self.rank(cpu), !cpu.isolated, cpu.node, cpu.package, cpu.id));
        cpus.into_iter().map(|cpu| cpu.id).collect()
    }

    /// How many allowed threads of the same core come before this one.
    fn rank(&self, cpu: &Cpu) -> usize {
        let before = |other: &&Cpu| {
            cpu.siblings.contains(&other.id)
                && (!other.isolated, other.id) < (!cpu.isolated, cpu.id)
        };
        self.allowed.iter().filter(before).count()
    }

    /// Cores with at least one allowed CPU.
    pub fn cores(&self) -> usize {
        self.allowed
            .iter()
            .filter(|cpu| self.rank(cpu) == 0)
            .count()
    }

    /// NUMA nodes with at least one allowed CPU; at least 1.
    pub fn nodes(&self) -> usize {
        let mut nodes: Vec<_> = self.allowed.iter().map(|cpu| cpu.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        nodes.len().max(1)
    }
}

/// The CPUs that the calling thread may run on, ascending.
fn affinity() -> io::Result<Vec<u32>> {
    // The fixed-size mask of the system call's wrapper holds 1024 CPUs; the status file has no limit.
    match sched_getaffinity(Pid::from_raw(0)) {
        Ok(set) => Ok((0..CpuSet::count())
            .filter(|&id| set.is_set(id).unwrap_or(false))
            .filter_map(|id| u32::try_from(id).ok())
            .collect()),
        Err(error) => {
            let status = files::read("/proc/thread-self/status").unwrap_or_default();
            let list = status
                .lines()
                .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            list.and_then(|list| cpulist::parse(list).ok())
                .ok_or_else(|| error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two packages of two cores of two threads: core n holds CPUs n and n + 4, package and node n / 2.
    fn two_packages(isolated: &str) -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        let write = |path: String, text: String| {
            let path = tree.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("cpu/online".into(), "0-7\n".into());
        write("cpu/isolated".into(), format!("{isolated}\n"));
        write("cpu/nohz_full".into(), "  (null)\n".into());
        write("node/online".into(), "0-1\n".into());
        for node in 0..2 {
            let first = node * 2;
            let cpus = format!("{first}-{},{}-{}\n", first + 1, first + 4, first + 5);
            write(format!("node/node{node}/cpulist"), cpus);
        }
        for id in 0..8 {
            let core = id % 4;
            let topology = format!("cpu/cpu{id}/topology");
            write(
                format!("{topology}/thread_siblings_list"),
                format!("{core},{}\n", core + 4),
            );
            write(
                format!("{topology}/physical_package_id"),
                format!("{}\n", core / 2),
            );
        }
        tree
    }

    #[test]
    fn each_core_is_used_once_before_any_second_thread() {
        let tree = two_packages("");
        let topology = Topology::from_sysfs(tree.path(), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(topology.order(), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!((topology.cores(), topology.nodes()), (4, 2));
    }

    #[test]
    fn a_second_thread_whose_sibling_is_not_allowed_counts_as_a_core() {
        let tree = two_packages("");
        let topology = Topology::from_sysfs(tree.path(), &[0, 4, 5]);
        assert_eq!(topology.order(), [0, 5, 4]);
        assert_eq!((topology.cores(), topology.nodes()), (2, 1));
    }

    #[test]
    fn isolated_cpus_come_first_and_stand_for_their_core() {
        let tree = two_packages("3,6-7");
        let topology = Topology::from_sysfs(tree.path(), &[0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(topology.order(), [3, 6, 0, 1, 7, 4, 5, 2]);
    }

    #[test]
    fn a_cpu_that_is_offline_is_not_used() {
        let tree = two_packages("");
        let topology = Topology::from_sysfs(tree.path(), &[1, 9]);
        assert_eq!(topology.order(), [1]);
        assert_eq!(topology.allowed[0].node, Some(0));
        assert!(!topology.allowed[0].nohz_full, "(null) is an empty list");
    }

    #[test]
    fn without_sysfs_every_allowed_cpu_is_a_core_of_its_own() {
        let topology = Topology::from_sysfs(Path::new("/proc/no/such"), &[0, 1]);
        assert_eq!(topology.order(), [0, 1]);
        assert_eq!((topology.cores(), topology.nodes()), (2, 1));
    }

    #[test]
    fn this_machine_has_a_cpu_to_run_on() {
        let topology = Topology::read().unwrap();
        assert!(!topology.allowed.is_empty());
        assert_eq!(topology.order().len(), topology.allowed.len());
    }
}
