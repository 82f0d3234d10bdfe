//! Whether the kernel shows which page frame a page lies on, and what it knows about that frame.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hint::black_box;
use std::io;
use std::os::unix::fs::FileExt;

use crate::machine::capability::name::{Capability, Probe};
use crate::sys::missing::{Missing, errno, is_denied};
use crate::sys::page_size;
use crate::sys::privilege::Privilege;

/// Bits of a pagemap entry: Documentation/admin-guide/mm/pagemap.rst.
const PFN: u64 = (1 << 55) - 1;
const SOFT_DIRTY: u64 = 1 << 55;
const PRESENT: u64 = 1 << 63;

pub(super) fn probe(probes: &mut BTreeMap<Capability, Probe>) {
    let page = OwnPage::new();
    let pfn = pfn(&page);
    for (capability, path) in [
        (Capability::PageCounts, "/proc/kpagecount"),
        (Capability::PageFlags, "/proc/kpageflags"),
    ] {
        let frame = match &pfn {
            Ok(pfn) => frame(path, *pfn),
            Err(missing) => Err(missing.clone()),
        };
        probes.insert(capability, frame);
    }
    probes.insert(
        Capability::Pfn,
        pfn.map(|_| "own page's frame number is shown".to_owned()),
    );
    probes.insert(Capability::SoftDirty, soft_dirty());
}

/// A page of this process that nothing else lies on.
struct OwnPage {
    buffer: Vec<u8>,
    offset: usize,
}

impl OwnPage {
    /// A page that has been stored to.
    fn new() -> Self {
        let size = page_size();
        let buffer = vec![0; 2 * size];
        let address = buffer.as_ptr() as usize;
        let mut page = Self {
            offset: address.next_multiple_of(size) - address,
            buffer,
        };
        page.store(1);
        page
    }

    fn store(&mut self, value: u8) {
        self.buffer[self.offset] = value;
        black_box(&mut self.buffer);
    }

    fn pagemap(&self) -> io::Result<u64> {
        let address = self.buffer.as_ptr() as usize + self.offset;
        let entry = address / page_size();
        word(&File::open("/proc/self/pagemap")?, entry as u64)
    }
}

fn pfn(page: &OwnPage) -> Result<u64, Missing> {
    let entry = page
        .pagemap()
        .map_err(|error| cannot("/proc/self/pagemap", &error))?;
    if entry & PRESENT == 0 {
        let found = "a page just stored to reads as not present in /proc/self/pagemap";
        return Err(Missing::new("pagemap entries", found, ""));
    }
    match entry & PFN {
        0 => Err(Missing::privilege(
            Privilege::SysAdmin,
            "/proc/self/pagemap shows frame number 0",
        )),
        pfn => Ok(pfn),
    }
}

fn frame(path: &str, pfn: u64) -> Probe {
    let value = File::open(path).and_then(|file| word(&file, pfn));
    let value = value.map_err(|error| cannot(path, &error))?;
    Ok(format!("own page reads {value:#x}"))
}

/// Stores, clears and stores again, looking each time.
fn soft_dirty() -> Probe {
    let mut page = OwnPage::new();
    let dirty = |page: &OwnPage| match page.pagemap() {
        Ok(entry) => Ok(entry & SOFT_DIRTY != 0),
        Err(error) => Err(cannot("/proc/self/pagemap", &error)),
    };
    let without = |found: &str| Err(Missing::new("CONFIG_MEM_SOFT_DIRTY", found, ""));
    // Kernels that have it call pages of new mappings dirty; asking first spares others the clearing.
    if !dirty(&page)? {
        return without("the bit stays clear after a store");
    }
    fs::write("/proc/self/clear_refs", "4")
        .map_err(|error| cannot("/proc/self/clear_refs", &error))?;
    if dirty(&page)? {
        return without("the bit can not be cleared");
    }
    page.store(2);
    if dirty(&page)? {
        Ok("a store sets the bit and clear_refs clears it".to_owned())
    } else {
        without("the bit stays clear after clearing and a store")
    }
}

/// The `index`th 8-byte word of a file.
fn word(file: &File, index: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, index.saturating_mul(8))?;
    Ok(u64::from_ne_bytes(bytes))
}

fn cannot(path: &str, error: &io::Error) -> Missing {
    let found = format!("{path}: {}", errno(error));
    if is_denied(error) {
        Missing::privilege(Privilege::SysAdmin, found)
    } else if error.kind() == io::ErrorKind::NotFound {
        Missing::new("CONFIG_PROC_PAGE_MONITOR and /proc mounted", found, "")
    } else {
        Missing::new(path, found, "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_just_stored_to_is_present() {
        assert_ne!(OwnPage::new().pagemap().unwrap() & PRESENT, 0);
    }

    #[test]
    fn frame_numbers_are_visible_exactly_with_the_capability() {
        let admin = crate::sys::privilege::holds(Privilege::SysAdmin);
        let pfn = pfn(&OwnPage::new());
        assert_eq!(pfn.is_ok(), admin, "{pfn:?}");
        if let Err(missing) = pfn {
            assert_eq!(missing.needed, "CAP_SYS_ADMIN");
            assert!(!missing.mend.is_empty());
        }
    }
}
