//! What this machine is and may do.

pub mod allowance;
pub mod audit;
pub mod capability;
pub mod cpulist;
pub mod folios;
pub mod guest;
pub mod host;
pub mod kernel;
pub mod knob;
pub mod settings;
pub mod topology;
pub mod tune;
pub mod virtualization;
