//! Copies that are made for certain: stores to pages that map the zero page.

use std::io;
use std::ptr;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
use rustix::param::page_size;

/// Reads so many fresh pages, which maps the zero page, and stores to each, which copies it.
///
/// # Errors
/// When the kernel has no memory for them.
pub fn copy_often(times: usize) -> io::Result<()> {
    let length = times * page_size();
    // SAFETY: a fresh mapping of the kernel's choice is in nobody's way.
    let base = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            length,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::PRIVATE,
        )?
    };
    // A kernel without transparent huge pages refuses, and needs no telling.
    // SAFETY: the mapping is this function's own.
    let _ = unsafe { madvise(base, length, Advice::LinuxNoHugepage) };
    let pages = (0..times).map(|page| base.wrapping_byte_add(page * page_size()).cast::<u8>());
    for page in pages.clone() {
        // SAFETY: the page is mapped for reading.
        unsafe { page.read_volatile() };
    }
    for page in pages {
        // SAFETY: the page is mapped for writing, and nobody else knows of it.
        unsafe { page.write_volatile(1) };
    }
    // SAFETY: the mapping is this function's own, and nothing points into it any more.
    unsafe { munmap(base, length)? };
    Ok(())
}
