//! Copies that are made for certain: stores to pages that map the zero page.

use std::io;
use std::num::NonZeroUsize;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::page_size;

/// Reads so many fresh pages, which maps the zero page, and stores to each, which copies it.
///
/// # Errors
/// When the kernel has no memory for them.
pub fn copy_often(times: usize) -> io::Result<()> {
    let Some(length) = NonZeroUsize::new(times * page_size()) else {
        return Ok(());
    };
    // SAFETY: a fresh mapping of the kernel's choice is in nobody's way.
    let base = unsafe {
        mmap_anonymous(
            None,
            length,
            ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
            MapFlags::MAP_PRIVATE,
        )?
    };
    // A kernel without transparent huge pages refuses, and needs no telling.
    // SAFETY: the mapping is this function's own.
    let _ = unsafe { madvise(base, length.get(), MmapAdvise::MADV_NOHUGEPAGE) };
    let pages = (0..times).map(|page| {
        base.as_ptr()
            .wrapping_byte_add(page * page_size())
            .cast::<u8>()
    });
    for page in pages.clone() {
        // SAFETY: the page is mapped for reading.
        unsafe { page.read_volatile() };
    }
    for page in pages {
        // SAFETY: the page is mapped for writing, and nobody else knows of it.
        unsafe { page.write_volatile(1) };
    }
    // SAFETY: the mapping is this function's own, and nothing points into it any more.
    unsafe { munmap(base, length.get())? };
    Ok(())
}
