//! What this process may do on this kernel, each probed by doing it.

pub mod name;
mod pages;
pub(crate) mod perf;
mod states;
pub mod taskstats;
mod uffd;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::machine::capability::name::{Capability, Probe};
use crate::sys::missing::Missing;

/// What every probe came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    probes: BTreeMap<Capability, Probe>,
}

impl Capabilities {
    /// Probes everything; takes some tens of milliseconds, most of it for the first opening of a tracepoint.
    ///
    /// Needs no privilege and leaves the machine as it was. Where the kernel has soft-dirty tracking, the calling
    /// process's soft-dirty bits are cleared.
    pub fn probe() -> Self {
        let mut probes = BTreeMap::new();
        pages::probe(&mut probes);
        perf::probe(&mut probes);
        uffd::probe(&mut probes);
        states::probe(&mut probes);
        probes.insert(Capability::CopyAccounting, taskstats::probe());
        Self { probes }
    }

    /// What the probe of `capability` came to: a short text of what was found, or what is missing.
    ///
    /// # Errors
    /// [`Missing`] when this process does not have it.
    pub fn state(&self, capability: Capability) -> Result<&str, &Missing> {
        self.probes
            .get(&capability)
            .map_or(Ok(""), |probe| probe.as_deref())
    }

    /// Whether this process has `capability`.
    ///
    /// # Errors
    /// [`Missing`] when it does not.
    pub fn need(&self, capability: Capability) -> Result<(), &Missing> {
        self.state(capability).map(|_| ())
    }

    /// Whether this process has all of `needs`.
    ///
    /// # Errors
    /// The first that is [`Missing`].
    pub fn need_all(&self, needs: &[Capability]) -> Result<(), &Missing> {
        needs
            .iter()
            .try_for_each(|&capability| self.need(capability))
    }

    /// Whether PFNs can be read, so that outcomes can be told for certain.
    ///
    /// # Errors
    /// [`Missing`] when they read 0.
    pub fn pfn(&self) -> Result<(), &Missing> {
        self.need(Capability::Pfn)
    }

    /// For tests elsewhere: a machine where nothing is missing but what `missing` lists.
    #[cfg(test)]
    pub(crate) fn all_but(missing: &[(Capability, Missing)]) -> Self {
        let mut probes: BTreeMap<Capability, Probe> = Capability::ALL
            .map(|capability| (capability, Ok("works".to_owned())))
            .into();
        probes.extend(
            missing
                .iter()
                .map(|(capability, why)| (*capability, Err(why.clone()))),
        );
        Self { probes }
    }
}

impl Serialize for Capabilities {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "lowercase")]
        enum ProbeState<'a> {
            Found(&'a str),
            Missing(&'a Missing),
        }
        serializer.collect_map(self.probes.iter().map(|(capability, probe)| {
            let state = match probe {
                Ok(found) => ProbeState::Found(found),
                Err(missing) => ProbeState::Missing(missing),
            };
            (capability, state)
        }))
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::capability::name::Capability;
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_capability_is_probed_and_every_reason_is_complete() {
        let capabilities = Capabilities::probe();
        for capability in Capability::ALL {
            let probe = capabilities.probes.get(&capability);
            match probe.unwrap_or_else(|| panic!("{} is not probed", capability.name())) {
                Ok(found) => println!("{}: {found}", capability.name()),
                Err(missing) => {
                    println!("{}: {missing}", capability.name());
                    assert!(
                        !missing.needed.is_empty() && !missing.found.is_empty(),
                        "{missing:?}"
                    );
                }
            }
        }
        assert_eq!(capabilities.probes.len(), Capability::ALL.len());
    }

    #[test]
    fn names_are_unique() {
        assert_eq!(
            Capability::ALL
                .map(Capability::name)
                .iter()
                .collect::<BTreeSet<_>>()
                .len(),
            24
        );
    }

    #[test]
    fn the_first_missing_need_is_named() {
        let reason = Missing::new("swap space", "none", "sudo swapon /swapfile");
        let capabilities = Capabilities::all_but(&[(Capability::Swap, reason.clone())]);
        assert_eq!(capabilities.pfn(), Ok(()));
        assert_eq!(
            capabilities.need_all(&[Capability::Pfn, Capability::Swap]),
            Err(&reason)
        );
    }

    #[test]
    fn json_tells_found_from_missing() {
        let reason = Missing::new("swap space", "none", "");
        let capabilities = Capabilities::all_but(&[(Capability::Swap, reason)]);
        let json = serde_json::to_value(&capabilities).unwrap();
        assert_eq!(json["uffd"]["found"], "works");
        assert_eq!(json["swap"]["missing"]["found"], "none");
    }
}
