//! How a processors of a guest are had.

use serde::Serialize;

/// How a guest's processors are to be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Accel {
    /// KVM if it really runs a guest here, else TCG.
    Auto,
    /// The processor itself: times mean something.
    Kvm,
    /// Emulation: outcomes and discards count, times do not.
    Tcg,
    /// Emulation with a clock that counts instructions.
    Exact,
}

/// How a guest's processors are had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// The processor itself.
    Kvm,
    /// Emulation.
    Tcg,
    /// Emulation with a clock that counts instructions.
    Exact,
}

impl Engine {
    /// What the guest's run file says under `host.virtualization`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
            Self::Exact => "exact",
        }
    }

    pub(super) fn accelerator(self) -> &'static [&'static str] {
        match self {
            Self::Kvm => &["-accel", "kvm"],
            Self::Tcg => &["-accel", "tcg"],
            Self::Exact => &[
                "-accel",
                "tcg,thread=single",
                "-icount",
                "shift=0,sleep=off",
            ],
        }
    }
}
