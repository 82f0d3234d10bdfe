//! Under what a kernel runs.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::Unit;

/// The hypervisor that a kernel runs under, if any.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Virtualization {
    /// On the machine itself.
    None,
    /// On KVM.
    Kvm,
    /// In QEMU's emulation.
    Tcg,
    /// In QEMU's emulation, with a clock that counts instructions.
    Exact,
    /// Under another hypervisor, by its name.
    Other(String),
}

impl Virtualization {
    /// What latencies are measured in there.
    pub fn unit(&self) -> Unit {
        match self {
            Virtualization::Exact => Unit::Instructions,
            _ => Unit::Ns,
        }
    }

    /// In words.
    pub fn label(&self) -> &str {
        match self {
            Virtualization::None => "bare metal",
            other => other.name(),
        }
    }

    /// As run files name it.
    pub fn name(&self) -> &str {
        match self {
            Virtualization::None => "none",
            Virtualization::Kvm => "kvm",
            Virtualization::Tcg => "tcg",
            Virtualization::Exact => "exact",
            Virtualization::Other(name) => name,
        }
    }
}

impl From<String> for Virtualization {
    fn from(name: String) -> Self {
        match name.as_str() {
            "" | "none" => Virtualization::None,
            "kvm" => Virtualization::Kvm,
            "tcg" => Virtualization::Tcg,
            "exact" => Virtualization::Exact,
            _ => Virtualization::Other(name),
        }
    }
}

impl From<&str> for Virtualization {
    fn from(name: &str) -> Self {
        name.to_owned().into()
    }
}

impl From<Virtualization> for String {
    fn from(virtualization: Virtualization) -> Self {
        virtualization.name().into()
    }
}

impl fmt::Display for Virtualization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
