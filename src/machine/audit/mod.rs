//! What works on this machine and what would spoil a measurement: one [`Check`] for each.

mod cpu;
mod instruments;
mod noise;

use super::capability::Capabilities;
use super::topology::Topology;
use super::tune::left_behind;
use crate::record::audit::{Check, Severity};
use crate::sys::missing::addressed;

/// Looks at everything that limits or spoils a measurement here; instruments first, then the machine.
///
/// `topology` must have been read before anything was pinned. Takes about 0.2 s, most of it watching how busy the
/// CPUs are; needs no privilege and changes nothing. A file that this kernel does not have is a state, not a failure.
pub fn audit(capabilities: &Capabilities, topology: &Topology) -> Vec<Check> {
    let load = noise::CpuTimes::take();
    let mut checks = instruments::checks(capabilities);
    checks.extend(cpu::checks(topology));
    checks.extend(noise::checks(load, topology));
    checks.extend(left_behind().map(|what| {
        Check::new(
            "settings-left-behind",
            Severity::Warning,
            what,
            "a run that was killed has left settings of this machine changed",
            "cowpath doctor --restore",
        )
    }));
    for check in &mut checks {
        check.advice = addressed(&check.advice);
    }
    checks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn every_check_says_what_was_found_and_why_it_matters() {
        let capabilities = Capabilities::probe();
        let topology = Topology::read().unwrap();
        let started = Instant::now();
        let checks = audit(&capabilities, &topology);
        let took = started.elapsed();
        for check in &checks {
            println!(
                "{:?} {}: {} [{}]",
                check.severity, check.check, check.state, check.advice
            );
            assert!(
                !check.state.is_empty() && !check.why.is_empty(),
                "{check:?}"
            );
            assert!(
                !check.state.contains('\n') && !check.advice.contains('\n'),
                "{check:?}"
            );
        }
        let names: BTreeSet<&str> = checks.iter().map(|check| check.check.as_str()).collect();
        assert_eq!(names.len(), checks.len(), "no check is made twice");
        assert!(took < Duration::from_secs(1), "{took:?}");
    }

    #[test]
    fn severities_are_ordered_so_that_the_worst_is_the_largest() {
        assert!(Severity::Ok < Severity::Info);
        assert!(Severity::Info < Severity::Warning);
        assert!(Severity::Warning < Severity::Error);
    }
}
