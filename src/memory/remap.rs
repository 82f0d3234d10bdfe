//! Folios of which a part is mapped elsewhere: mremap(2) of the second half of each.

use std::{io, ptr};

use super::MemoryError;
use super::area::Area;

/// The second halves of an area's folios, at another address. Unmapped on drop.
pub struct MovedHalves {
    each: Vec<*mut libc::c_void>,
    bytes: usize,
}

impl MovedHalves {
    /// Moves them; in the area nothing is mapped in their place.
    ///
    /// # Errors
    /// Before Linux 5.7, and what else the kernel refuses.
    pub fn of(area: &Area) -> Result<Self, MemoryError> {
        let bytes = area.folio_bytes() / 2;
        // The kernel reads this argument, and asks of it only that it be aligned.
        let anywhere = ptr::null_mut::<libc::c_void>();
        let mut moved = MovedHalves {
            each: Vec::with_capacity(area.pages()),
            bytes,
        };
        for folio in area.folios() {
            let from = area.base().wrapping_add(folio + bytes);
            // What is moved leaves its mapping behind, empty, so that the area stays one VMA.
            // SAFETY: the range lies inside the area, in which there are no Rust objects, and stays mapped; where it goes the kernel
            // chooses.
            let to = unsafe {
                libc::mremap(
                    from.cast(),
                    bytes,
                    bytes,
                    libc::MREMAP_MAYMOVE | libc::MREMAP_DONTUNMAP,
                    anywhere,
                )
            };
            if to == libc::MAP_FAILED {
                return Err(refused(io::Error::last_os_error()));
            }
            moved.each.push(to);
        }
        Ok(moved)
    }
}

fn refused(error: io::Error) -> MemoryError {
    match error.raw_os_error() {
        Some(libc::EINVAL) => MemoryError::Unsupported(
            "needs mremap(MREMAP_DONTUNMAP) (Linux 5.7); found: EINVAL: this kernel has none"
                .into(),
        ),
        _ => MemoryError::refused("mremap(MREMAP_DONTUNMAP)", error),
    }
}

impl Drop for MovedHalves {
    fn drop(&mut self) {
        for &half in &self.each {
            // SAFETY: mapped by `of`, and nobody else knows of it. Failure would only leak address space.
            unsafe { libc::munmap(half, self.bytes) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::mman::MmapAdvise;

    use crate::memory::advice::advise;
    use crate::memory::area::page_size;
    use crate::memory::backing::{self, Memory};
    use crate::memory::folio::Folio;
    use crate::memory::pagemap::Pagemap;

    #[test]
    fn half_of_each_folio_goes_elsewhere_and_leaves_the_area_whole() {
        let area = backing::map(Memory::Thp, Folio::Large(8), 2, 0).unwrap();
        advise(&area, MmapAdvise::MADV_DONTFORK, "MADV_DONTFORK").unwrap();
        area.fill(3);
        let moved = MovedHalves::of(&area).unwrap();
        let there = Pagemap::own().unwrap().read_all(&area).unwrap();
        let present: Vec<bool> = there.iter().map(|entry| entry.present()).collect();
        assert_eq!(present, [true, false, true, false]);
        assert_eq!(crate::memory::area::vma_count(&area).unwrap(), 1);
        assert_eq!(moved.bytes, page_size());
    }
}
