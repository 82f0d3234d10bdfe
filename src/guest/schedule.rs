//! In which order guests run, and how many at a time.

use crate::guest::engine::Engine;

/// Never more guests than this at a time, since each takes memory.
const MOST: usize = 8;

/// Kernel and repetition (from 1) in the order of running: A B, B A, A B, ...
///
/// Turning each round around keeps a drift of the machine from always meeting the same kernel.
pub fn order(kernels: usize, reps: u32) -> Vec<(usize, u32)> {
    (1..=reps)
        .flat_map(|rep| {
            (0..kernels).map(move |at| (if rep % 2 == 1 { at } else { kernels - 1 - at }, rep))
        })
        .collect()
}

/// How many guests may run at a time without disturbing each other.
///
/// Under KVM times count: one. Otherwise as many as there are CPUs for their busy threads, with one
/// left for the rest of the machine.
pub fn jobs(engine: Engine, smp: u32, cpus: usize) -> usize {
    let busy = match engine {
        Engine::Kvm => return 1,
        Engine::Exact => 1,
        Engine::Tcg => smp.max(1) as usize,
    };
    (cpus.saturating_sub(1) / busy).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_alternate_their_direction() {
        let order: Vec<usize> = order(2, 3).into_iter().map(|(kernel, _)| kernel).collect();
        assert_eq!(order, [0, 1, 1, 0, 0, 1]);
    }

    #[test]
    fn each_kernel_has_each_repetition_once() {
        let mut order = order(3, 2);
        order.sort();
        assert_eq!(order, [(0, 1), (0, 2), (1, 1), (1, 2), (2, 1), (2, 2)]);
    }

    #[test]
    fn guests_run_alone_where_times_count_or_cpus_are_few() {
        assert_eq!(jobs(Engine::Kvm, 2, 64), 1);
        assert_eq!(jobs(Engine::Tcg, 2, 2), 1);
        assert_eq!(jobs(Engine::Tcg, 2, 9), 4);
        assert_eq!(jobs(Engine::Exact, 1, 4), 3);
        assert_eq!(jobs(Engine::Exact, 1, 256), MOST);
    }
}
