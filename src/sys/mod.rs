//! The kernel's interfaces without policy: files of /proc and /sys, tracefs, userfaultfd, swap devices, and what is missing
//! where one cannot be had.

pub mod affinity;
pub(crate) mod privilege;
pub mod files;
pub mod kernelfs;
pub mod missing;
pub mod namespaces;
mod page;
pub(crate) mod process;
pub mod swap;
pub mod tracing;
pub mod uffd;
mod uname;
pub mod usage;
pub mod zero_page;

pub use page::page_size;
pub use uname::{Uname, uname};
