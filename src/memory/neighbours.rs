//! Mappings beside an area: where an area lies among a process's mappings decides how long the kernel looks for it.

use std::num::NonZero;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};

use super::MemoryError;
use crate::memory::area::page_size;

/// Mappings of a group: a leaf of the kernel's tree of mappings holds up to 16 (include/linux/maple_tree.h, MAPLE_RANGE64_SLOTS), so
/// that some groups make it deeper.
const GROUP: u32 = 3;

/// Maps `groups` groups of single pages that nobody touches; they stay until the process ends. What is mapped later lies
/// below them.
///
/// # Errors
/// If the kernel refuses a mapping.
pub fn map(groups: u32) -> Result<(), MemoryError> {
    let length = NonZero::new(page_size()).unwrap_or(NonZero::<usize>::MIN);
    for n in 0..groups * GROUP {
        // Neighbours that may be merged would be one.
        let access = match n % 2 {
            0 => ProtFlags::PROT_NONE,
            _ => ProtFlags::PROT_READ,
        };
        // SAFETY: a new mapping at an address of the kernel's choice, which nobody refers to.
        unsafe { mmap_anonymous(None, length, access, MapFlags::MAP_PRIVATE) }
            .map_err(|e| MemoryError::refused("mapping neighbours of the area", e))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_group_is_so_many_mappings_of_its_own() {
        let maps = || std::fs::read_to_string("/proc/self/maps");
        let count = || maps().map(|text| text.lines().count()).unwrap_or_default();
        // Other tests map and unmap meanwhile: far fewer than these.
        let before = count();
        map(100).unwrap();
        assert!(count() > before + 200, "{before}: {}", count());
    }
}
