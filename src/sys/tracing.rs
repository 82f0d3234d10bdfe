//! Tracepoint ids, looked up in tracefs.

use serde::{Deserialize, Serialize};

use super::kernelfs::{FileSystem, KernelFs};
use super::missing::{Missing, errno, is_denied};
use crate::sys::privilege::Privilege;

/// The id by which `perf_event_open(2)` knows the tracepoint `category:name`, such as `kmem:mm_page_alloc`.
///
/// # Errors
/// [`Missing`] when tracefs cannot be read or the kernel has no such tracepoint.
pub fn tracepoint_id(category: &str, name: &str) -> Result<u64, Missing> {
    id_in(&KernelFs::open(FileSystem::Tracefs)?, category, name)
}

/// As [`tracepoint_id`], in a tracefs that is already open.
///
/// # Errors
/// [`Missing`] when the kernel has no such tracepoint or its id may not be read.
pub fn id_in(tracefs: &KernelFs, category: &str, name: &str) -> Result<u64, Missing> {
    let needed = format!("tracepoint {category}:{name}");
    let text = tracefs
        .read(&format!("events/{category}/{name}/id"))
        .map_err(|error| {
            if is_denied(&error) {
                Missing::privilege(Privilege::SysAdmin, format!("{needed}: {}", errno(&error)))
            } else {
                Missing::new(
                    &needed,
                    format!("not in this kernel's events ({})", errno(&error)),
                    "",
                )
            }
        })?;
    text.parse()
        .map_err(|_| Missing::new(&needed, format!("an id that reads {text:?}"), ""))
}

/// Where a field lies in a tracepoint's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// Bytes from the record's start.
    pub offset: usize,
    /// Its length in bytes: 1, 2, 4 or 8.
    pub size: usize,
}

impl Field {
    /// The field's value in `record`, if the record is long enough.
    pub fn read(self, record: &[u8]) -> Option<u64> {
        let bytes = record.get(self.offset..self.offset + self.size)?;
        let mut word = [0; 8];
        word.get_mut(..self.size)?.copy_from_slice(bytes);
        Some(u64::from_le_bytes(word))
    }
}

/// Where `field` lies in the record of tracepoint `category:name`.
///
/// # Errors
/// [`Missing`] when tracefs cannot be read or the record has no such field.
pub fn field(category: &str, name: &str, field: &str) -> Result<Field, Missing> {
    let needed = format!("field {field} of tracepoint {category}:{name}");
    let format = KernelFs::open(FileSystem::Tracefs)?
        .read(&format!("events/{category}/{name}/format"))
        .map_err(|error| Missing::new(&needed, errno(&error), ""))?;
    field_in(&format, field).ok_or_else(|| Missing::new(&needed, "no such field", ""))
}

/// Finds a line such as `field:unsigned long pfn; offset:8; size:8; signed:0;`.
fn field_in(format: &str, field: &str) -> Option<Field> {
    let line = format.lines().find(|line| {
        let declared = line.trim().strip_prefix("field:");
        let declared = declared.and_then(|line| line.split(';').next());
        declared.is_some_and(|d| d.split_whitespace().last() == Some(field))
    })?;
    let number = |key: &str| {
        let part = line
            .split(';')
            .find_map(|part| part.trim().strip_prefix(key));
        part?.parse().ok()
    };
    Some(Field {
        offset: number("offset:")?,
        size: number("size:")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn a_tracepoint_of_every_kernel_has_an_id() {
        match tracepoint_id("kmem", "mm_page_alloc") {
            Ok(id) => assert!(id > 0),
            Err(missing) => skip(Need::Tracefs, missing),
        }
    }

    #[test]
    fn a_field_is_found_by_its_name_and_read() {
        let format = "format:\n\tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\tfield:unsigned long pfn;\toffset:8;\tsize:8;\tsigned:0;\n";
        let pfn = field_in(format, "pfn").unwrap();
        assert_eq!((pfn.offset, pfn.size), (8, 8));
        assert_eq!(field_in(format, "gfp_flags"), None);
        let record = [0, 0, 0, 0, 0, 0, 0, 0, 7, 1, 0, 0, 0, 0, 0, 0];
        assert_eq!(pfn.read(&record), Some(0x107));
        assert_eq!(pfn.read(&record[..12]), None);
    }

    #[test]
    fn an_unknown_tracepoint_is_named() {
        if let Err(missing) = KernelFs::open(FileSystem::Tracefs) {
            skip(Need::Tracefs, missing);
            return;
        }
        let missing = tracepoint_id("kmem", "no_such_event").unwrap_err();
        assert_eq!(missing.needed, "tracepoint kmem:no_such_event");
        assert_eq!(missing.mend, "");
    }
}
