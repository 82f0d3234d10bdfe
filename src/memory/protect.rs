//! Takes the write permission of a page's PTE away without touching who owns the page, so that the
//! next store faults on an exclusive page.

use std::{fs, io};

use super::MemoryError;
use super::area::Area;
use super::pagemap::Pagemap;
use super::smaps::huge_mapped;
use crate::sys::missing::{Missing, UFFD_FOR_ALL, addressed, errno, is_denied};
use crate::sys::uffd::{self, Uffd};

/// An area whose PTEs were write-protected. The protection ends on drop.
pub struct Protection {
    by: &'static str,
    // Held: closing the descriptor would lift the protection.
    _uffd: Option<Uffd>,
}

impl Protection {
    /// Write-protects every page of `area`: by userfaultfd's asynchronous write-protection (6.7 and
    /// later), else by clearing the soft-dirty bits. What PMDs map is protected by the soft-dirty bits alone.
    ///
    /// `wp_huge_pmd()` splits a PMD that userfaultfd protects asynchronously when it is stored to; `clear_soft_dirty_pmd()`
    /// leaves it whole.
    pub fn apply(area: &Area) -> Result<Self, MemoryError> {
        if huge_mapped(area, None)? > 0 {
            return Self::by_soft_dirty(area);
        }
        let no_uffd = match uffd_async(area) {
            Ok(uffd) => {
                return Ok(Protection {
                    by: "uffd-wp async",
                    _uffd: Some(uffd),
                });
            }
            Err(why) => why,
        };
        match soft_dirty(area) {
            Ok(()) => Ok(Protection {
                by: "soft-dirty",
                _uffd: None,
            }),
            Err(why) => Err(MemoryError::Unsupported(format!(
                "needs userfaultfd's asynchronous write-protection ({no_uffd}) or soft-dirty tracking ({why})"
            ))),
        }
    }

    /// Write-protects every page of `area` by userfaultfd's asynchronous write-protection alone.
    pub fn by_uffd(area: &Area) -> Result<Self, MemoryError> {
        let uffd = uffd_async(area).map_err(|why| {
            MemoryError::Unsupported(format!(
                "needs userfaultfd's asynchronous write-protection (Linux 6.7): {why}"
            ))
        })?;
        Ok(Protection {
            by: "uffd-wp async",
            _uffd: Some(uffd),
        })
    }

    /// Write-protects every page of `area` by clearing the soft-dirty bits alone.
    pub fn by_soft_dirty(area: &Area) -> Result<Self, MemoryError> {
        soft_dirty(area)
            .map_err(|why| MemoryError::Unsupported(format!("needs soft-dirty tracking: {why}")))?;
        Ok(Protection {
            by: "soft-dirty",
            _uffd: None,
        })
    }

    /// Write-protects every page of `area` through userfaultfd and lifts the protection again.
    pub fn set_and_lift(area: &Area) -> Result<Self, MemoryError> {
        let uffd = protector(area)?;
        for on in [true, false] {
            write_protect(&uffd, area, on)?;
        }
        Ok(Protection {
            by: "uffd-wp",
            _uffd: Some(uffd),
        })
    }

    /// Write-protects every page of `area` through a userfaultfd that is closed while it protects them.
    pub fn set_and_close(area: &Area) -> Result<Self, MemoryError> {
        let uffd = protector(area)?;
        write_protect(&uffd, area, true)?;
        drop(uffd);
        Ok(Protection {
            by: "uffd-wp, closed",
            _uffd: None,
        })
    }

    /// The means that worked.
    pub fn by(&self) -> &'static str {
        self.by
    }
}

/// A userfaultfd by which every page of `area` can be write-protected.
///
/// # Errors
/// Before Linux 5.7 and on architectures without it; where this process may have no userfaultfd.
pub fn protector(area: &Area) -> Result<Uffd, MemoryError> {
    let (start, length) = (area.base() as usize, area.len());
    let uffd = Uffd::open(uffd::FEATURE_WP).map_err(no_protector)?;
    uffd.register_wp(start, length).map_err(no_protector)?;
    Ok(uffd)
}

fn write_protect(uffd: &Uffd, area: &Area, on: bool) -> Result<(), MemoryError> {
    uffd.writeprotect(area.base() as usize, area.len(), on)
        .map_err(|e| MemoryError::refused("UFFDIO_WRITEPROTECT", e))
}

/// Why there is none: only what was denied is a matter of privilege.
fn no_protector(error: io::Error) -> MemoryError {
    let needed = match error.raw_os_error() {
        Some(libc::EINVAL) => {
            "userfaultfd's write-protection (Linux 5.7, with CONFIG_HAVE_ARCH_USERFAULTFD_WP)"
        }
        Some(libc::ENOSYS) => "userfaultfd (CONFIG_USERFAULTFD)",
        _ => {
            return MemoryError::Refused {
                what: "userfaultfd's write-protection".into(),
                mend: match is_denied(&error) {
                    true => format!("mend with: {}", addressed(UFFD_FOR_ALL)),
                    false => String::new(),
                },
                source: error,
            };
        }
    };
    let found = format!("{}: this kernel has none", errno(&error));
    MemoryError::missing(Missing::new(needed, found, ""))
}

fn uffd_async(area: &Area) -> Result<Uffd, String> {
    let uffd = Uffd::open(uffd::FEATURE_WP_ASYNC | uffd::FEATURE_WP_UNPOPULATED)
        .map_err(|e| format!("not offered by this kernel: {e}"))?;
    let (start, length) = (area.base() as usize, area.len());
    uffd.register_wp(start, length)
        .and_then(|()| uffd.writeprotect(start, length, true))
        .map_err(|e| e.to_string())?;
    let protected = Pagemap::own()
        .and_then(|pagemap| pagemap.read(area))
        .map_err(|e| e.to_string())?
        .iter()
        .all(|entry| entry.uffd_wp());
    if protected {
        Ok(uffd)
    } else {
        Err("pages stayed unprotected".into())
    }
}

/// Every page of `area` was stored to since it was mapped, so each has its soft-dirty bit set if the
/// kernel tracks it; clearing the bits takes the PTEs' write permission away.
fn soft_dirty(area: &Area) -> Result<(), String> {
    let dirty = || -> Result<Vec<bool>, String> {
        let entries = Pagemap::own().and_then(|pagemap| pagemap.read(area));
        let entries = entries.map_err(|e| e.to_string())?;
        Ok(entries.iter().map(|entry| entry.soft_dirty()).collect())
    };
    if !dirty()?.iter().all(|&dirty| dirty) {
        return Err("the kernel does not track it (CONFIG_MEM_SOFT_DIRTY)".into());
    }
    fs::write("/proc/self/clear_refs", "4").map_err(|e| format!("/proc/self/clear_refs: {e}"))?;
    if dirty()?.iter().any(|&dirty| dirty) {
        return Err("bits stayed set after writing 4 to /proc/self/clear_refs".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::area::Content;
    use crate::memory::area::tests::unforked;
    use crate::skip::{Need, skip};

    #[test]
    fn only_what_was_denied_is_mended_by_a_setting() {
        let told = |errno| no_protector(io::Error::from_raw_os_error(errno)).to_string();
        assert!(
            told(libc::EPERM).contains("sysctl"),
            "{}",
            told(libc::EPERM)
        );
        for (errno, needed) in [
            (libc::EINVAL, "Linux 5.7"),
            (libc::ENOSYS, "CONFIG_USERFAULTFD"),
        ] {
            let told = told(errno);
            assert!(told.contains(needed) && !told.contains("mend"), "{told}");
        }
    }

    #[test]
    fn a_protected_area_takes_stores_in_place() {
        let area = unforked(16);
        area.fill(1);
        let protection = match Protection::apply(&area) {
            Ok(protection) => protection,
            Err(why) => {
                skip(Need::UffdWpAsync, why);
                return;
            }
        };
        let pagemap = Pagemap::own().unwrap();
        let before = pagemap.read(&area).unwrap();
        area.store(9);
        let after = pagemap.read(&area).unwrap();
        for (before, after) in before.iter().zip(&after) {
            assert_eq!(before.pfn(), after.pfn(), "by {}", protection.by());
            assert!(!after.uffd_wp());
        }
        assert_eq!(area.violations(Content::Filled(1), Some(9)), 0);
    }
}
