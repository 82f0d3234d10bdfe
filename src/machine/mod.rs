//! What this machine is and may do.

pub mod allowance;
pub mod audit;
pub mod capability;
pub mod cpulist;
pub(crate) mod files;
pub mod folios;
pub mod guest;
pub mod host;
pub mod kernel;
pub mod kernelfs;
pub mod knob;
pub mod missing;
pub(crate) mod namespaces;
pub mod settings;
pub mod topology;
pub mod tracing;
pub mod tune;
pub mod virtualization;
