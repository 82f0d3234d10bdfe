//! The kernel's interfaces without policy: files of /proc and /sys, tracefs, userfaultfd, swap devices, and what is missing
//! where one cannot be had.

pub mod affinity;
pub mod files;
pub mod kernelfs;
pub mod missing;
pub mod namespaces;
pub(crate) mod process;
pub mod swap;
pub mod tracing;
pub mod uffd;
pub mod zero_page;
