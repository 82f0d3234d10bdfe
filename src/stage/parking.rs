//! Where a CPU is parked, and how its page table is read: what the scheduler knows of x86-64.

use crate::guest::gdb::{Gdb, GdbError, Vcpu};
use crate::guest::symbols::Symbols;

/// `pause; jmp .-2`: a CPU goes nowhere there, serves interrupts, and lets the others have their turns.
pub const LOOP: [u8; 4] = [0xf3, 0x90, 0xeb, 0xfc];

/// What compilers fill the space behind a function with, by its last bytes: int3, nops of one byte,
/// nops of several.
const FILLINGS: [&[u8]; 9] = [
    &[0xcc, 0xcc, 0xcc, 0xcc],
    &[0x90, 0x90, 0x90, 0x90],
    &[0x0f, 0x1f, 0x40, 0x00],
    &[0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
    &[0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
    &[0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    &[0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
];

/// Functions whose ends are looked at for a place.
const ENDS: usize = 400;

/// Whether code that ends with these bytes ends with filling that [`LOOP`] has room in.
fn is_filling(end: &[u8]) -> bool {
    FILLINGS.iter().any(|filling| end.ends_with(filling))
}

/// A place between two functions behind `near`, where nothing is ever executed.
///
/// # Errors
/// If memory cannot be read; `None` if there is no such place.
pub fn find(
    gdb: &mut Gdb,
    vcpu: Vcpu,
    symbols: &Symbols,
    near: u64,
) -> Result<Option<u64>, GdbError> {
    let mut at = near;
    for _ in 0..ENDS {
        let Some(end) = symbols.at(at).and_then(|symbol| symbols.end(symbol)) else {
            return Ok(None);
        };
        if is_filling(&gdb.read(vcpu, end - 9, 9)?) {
            return Ok(Some(end - LOOP.len() as u64));
        }
        at = end;
    }
    Ok(None)
}

/// The page table that a CPU uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTable {
    root: u64,
    levels: u32,
}

const FRAME: u64 = 0x000f_ffff_ffff_f000;

impl PageTable {
    /// As control registers 3 and 4 have it.
    pub fn of(cr3: u64, cr4: u64) -> Self {
        let five = cr4 >> 12 & 1 == 1;
        PageTable {
            root: cr3 & FRAME,
            levels: if five { 5 } else { 4 },
        }
    }

    /// The last entry on the way to an address, by `read` of physical memory, and its level: 0 is the lowest, and above it
    /// the entry is empty or maps more than a page.
    fn last<E>(
        self,
        address: u64,
        mut read: impl FnMut(u64) -> Result<u64, E>,
    ) -> Result<(u64, u32), E> {
        let mut table = self.root;
        let mut level = self.levels;
        loop {
            level -= 1;
            let index = address >> (12 + 9 * level) & 511;
            let entry = read(table + 8 * index)?;
            let (present, large) = (entry & 1 == 1, entry >> 7 & 1 == 1);
            if level == 0 || !present || large {
                return Ok((entry, level));
            }
            table = entry & FRAME;
        }
    }

    /// The lowest entry for an address, by `read` of physical memory; `None` where a level above it is
    /// empty or maps more than a page.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn entry<E>(
        self,
        address: u64,
        read: impl FnMut(u64) -> Result<u64, E>,
    ) -> Result<Option<u64>, E> {
        let (entry, level) = self.last(address, read)?;
        Ok((level == 0).then_some(entry))
    }

    /// The physical address that an address is mapped to, by `read` of physical memory; `None` where it is not mapped.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn physical<E>(
        self,
        address: u64,
        read: impl FnMut(u64) -> Result<u64, E>,
    ) -> Result<Option<u64>, E> {
        let (entry, level) = self.last(address, read)?;
        let within = (1 << (12 + 9 * level)) - 1;
        Ok((entry & 1 == 1).then_some(entry & FRAME & !within | address & within))
    }

    /// As [`PageTable::entry`], of a guest.
    ///
    /// # Errors
    /// If physical memory cannot be read.
    pub fn read(self, gdb: &mut Gdb, vcpu: Vcpu, address: u64) -> Result<Option<u64>, GdbError> {
        self.entry(address, |at| word(gdb, vcpu, at))
    }

    /// Writes to memory as this table maps it, whatever table the CPU uses by now; false where it does not map all of it.
    ///
    /// # Errors
    /// If physical memory cannot be read or written.
    pub fn write(
        self,
        gdb: &mut Gdb,
        vcpu: Vcpu,
        address: u64,
        what: &[u8],
    ) -> Result<bool, GdbError> {
        let (mut at, mut left) = (address, what);
        while !left.is_empty() {
            let to_the_end = 0x1000 - (at & 0xfff) as usize;
            let (part, rest) = left.split_at(to_the_end.min(left.len()));
            let Some(physical) = self.physical(at, |at| word(gdb, vcpu, at))? else {
                return Ok(false);
            };
            gdb.write_physical(vcpu, physical, part)?;
            at += part.len() as u64;
            left = rest;
        }
        Ok(true)
    }
}

fn word(gdb: &mut Gdb, vcpu: Vcpu, at: u64) -> Result<u64, GdbError> {
    let bytes = gdb.read_physical(vcpu, at, 8)?;
    Ok(bytes.try_into().map_or(0, u64::from_le_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::convert::Infallible;

    #[test]
    fn an_entry_is_found_through_four_levels_and_through_five() {
        let address = 0x0000_7f12_3456_7000_u64;
        for levels in [4, 5] {
            let mut memory = HashMap::new();
            for level in (0..levels).rev() {
                let index = address >> (12 + 9 * level) & 511;
                let table = 0x1000 * (levels - level) as u64;
                memory.insert(table + 8 * index, (table + 0x1000) | 0x67);
            }
            let table = PageTable::of(0x1000 | 0x18, if levels == 5 { 1 << 12 } else { 0 });
            let read = |at| Ok::<_, Infallible>(memory.get(&at).copied().unwrap_or(0));
            let expected = (0x1000 * (levels as u64 + 1)) | 0x67;
            assert_eq!(table.entry(address, read), Ok(Some(expected)));
            assert_eq!(table.entry(0x1000, read), Ok(None));
            let page = 0x1000 * (levels as u64 + 1);
            assert_eq!(
                table.physical(address + 0x123, read),
                Ok(Some(page + 0x123))
            );
            assert_eq!(table.physical(0x1000, read), Ok(None));
        }
    }

    #[test]
    fn an_address_in_a_large_page_has_no_lowest_entry_and_is_mapped_all_the_same() {
        let address = 0x0000_7f12_3456_7123_u64;
        let mut memory = HashMap::new();
        for level in (1..4).rev() {
            let index = address >> (12 + 9 * level) & 511;
            let table = 0x1000 * (4 - level) as u64;
            let next = match level {
                1 => 0x8000_0000_0060_10e7,
                _ => (table + 0x1000) | 0x67,
            };
            memory.insert(table + 8 * index, next);
        }
        let table = PageTable::of(0x1000, 0);
        let read = |at| Ok::<_, Infallible>(memory.get(&at).copied().unwrap_or(0));
        assert_eq!(table.entry(address, read), Ok(None));
        let expected = 0x60_0000 | address & 0x1f_ffff;
        assert_eq!(table.physical(address, read), Ok(Some(expected)));
    }

    #[test]
    fn filling_is_told_from_code() {
        assert!(is_filling(&[0xc3, 0xcc, 0xcc, 0xcc, 0xcc]));
        assert!(is_filling(&[0xc3, 0x0f, 0x1f, 0x40, 0x00]));
        assert!(!is_filling(&[0xcc, 0xcc, 0xcc, 0xc3]));
        assert!(!is_filling(&[0x48, 0x89, 0xe5, 0x5d, 0xc3]));
    }
}
