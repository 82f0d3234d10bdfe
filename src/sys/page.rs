//! The size of a page.

use std::sync::OnceLock;

use nix::unistd::{SysconfVar, sysconf};

/// The page size in bytes, 4096 where the C library does not tell it.
pub fn page_size() -> usize {
    static SIZE: OnceLock<usize> = OnceLock::new();
    *SIZE.get_or_init(|| {
        let told = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        told.and_then(|size| usize::try_from(size).ok())
            .unwrap_or(4096)
    })
}
