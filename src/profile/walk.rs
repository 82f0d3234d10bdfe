//! The page table's entries for one address, so that a write to one of them is known for what it is.

use crate::guest::gdb::{Gdb, GdbError, Vcpu};
use crate::guest::registers::{Register, Registers};

/// The bits of an entry that hold an address (Intel SDM volume 3, 4.5).
const FRAME: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = 1;
/// Set in an entry above the last level that maps a page itself.
const LARGE: u64 = 1 << 7;
/// CR4.LA57: five levels.
const FIVE_LEVELS: u64 = 1 << 12;

/// Where the kernel maps all physical memory with four levels and with five, its layout not being
/// randomized (Documentation/arch/x86/x86_64/mm.rst).
const DIRECT_MAP: [u64; 2] = [0xffff_8880_0000_0000, 0xff11_0000_0000_0000];
/// The direct map ends before this much.
const MOST_MEMORY: u64 = 1 << 46;

/// A level of the page table, from the top.
const LEVELS: [(&str, u32); 5] = [
    ("PGD", 48),
    ("P4D", 39),
    ("PUD", 30),
    ("PMD", 21),
    ("PTE", 12),
];

/// One table on the way to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableLevel {
    /// The name of its entries: PGD, P4D, PUD, PMD or PTE.
    pub level: &'static str,
    /// The physical address of the page that it is.
    pub frame: u64,
    /// The entry for the address, as it was.
    pub entry: u64,
}

/// The tables on the way to a page, from the top.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageWalk {
    /// One for each level that is there.
    pub tables: Vec<TableLevel>,
    /// Where the kernel maps all physical memory.
    pub direct_map: u64,
}

impl PageWalk {
    /// Walks the page table that a CPU has loaded, as the CPU would.
    ///
    /// # Errors
    /// If physical memory cannot be read.
    pub fn of(
        gdb: &mut Gdb,
        vcpu: Vcpu,
        registers: &Registers,
        address: u64,
    ) -> Result<Self, GdbError> {
        let five = registers.get(Register::Cr4) & FIVE_LEVELS != 0;
        let mut levels = LEVELS.to_vec();
        if !five {
            // What is called PGD then has the second level's place.
            levels.remove(0);
            levels[0].0 = "PGD";
        }
        let mut frame = registers.get(Register::Cr3) & FRAME;
        let mut tables = Vec::new();
        for (level, shift) in levels {
            let at = frame + 8 * (address >> shift & 0x1ff);
            let bytes = gdb.read_physical(vcpu, at, 8)?;
            let entry = bytes
                .iter()
                .rev()
                .fold(0, |word, &byte| word << 8 | u64::from(byte));
            tables.push(TableLevel {
                level,
                frame,
                entry,
            });
            if entry & PRESENT == 0 || entry & LARGE != 0 {
                break;
            }
            frame = entry & FRAME;
        }
        Ok(Self {
            tables,
            direct_map: DIRECT_MAP[usize::from(five)],
        })
    }

    /// The level of the table that an address of the kernel lies in.
    pub fn level(&self, address: u64) -> Option<&'static str> {
        let physical = address.checked_sub(self.direct_map)?;
        let tables = self.tables.iter().filter(|_| physical < MOST_MEMORY);
        let mut tables = tables.filter(|table| table.frame == physical & FRAME);
        tables.next().map(|table| table.level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_through_the_direct_map_is_to_the_table_that_lies_there() {
        let table = |level, frame| TableLevel {
            level,
            frame,
            entry: PRESENT,
        };
        let walk = PageWalk {
            tables: vec![table("PMD", 0x5000), table("PTE", 0x7000)],
            direct_map: DIRECT_MAP[0],
        };
        assert_eq!(walk.level(0xffff_8880_0000_7ff8), Some("PTE"));
        assert_eq!(walk.level(0xffff_8880_0000_5000), Some("PMD"));
        assert_eq!(walk.level(0xffff_8880_0000_6000), None);
        assert_eq!(walk.level(0x7000), None, "a user address");
    }
}
