//! What this machine is and may do.

pub mod audit;
