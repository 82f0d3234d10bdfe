//! A virtual CPU's registers as the gdb stub of QEMU's x86-64 hands them over.
//!
//! The order and the sizes are those of QEMU's gdb-xml/i386-64bit.xml: general registers, RIP, flags,
//! segments, bases, control registers, then what a debugger of page faults has no use for.

/// A register that can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as the architecture names it")]
pub enum Register {
    Rax,
    Rbx,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    Rbp,
    Rsp,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    Rip,
    Eflags,
    Cs,
    FsBase,
    GsBase,
    KernelGsBase,
    Cr0,
    Cr2,
    Cr3,
    Cr4,
    Efer,
}

impl Register {
    /// Where it lies in the packet, in bytes, and how many it has.
    fn place(self) -> (usize, usize) {
        match self {
            Self::Eflags => (136, 4),
            Self::Cs => (140, 4),
            Self::FsBase => (164, 8),
            Self::GsBase => (172, 8),
            Self::KernelGsBase => (180, 8),
            Self::Cr0 => (188, 8),
            Self::Cr2 => (196, 8),
            Self::Cr3 => (204, 8),
            Self::Cr4 => (212, 8),
            Self::Efer => (228, 8),
            general => (8 * general as usize, 8),
        }
    }
}

/// The shortest packet that has all of [`Register`].
const LEAST: usize = 236;

/// All registers of one CPU at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registers(Vec<u8>);

impl Registers {
    /// Takes what the stub sent; `None` if that is too short for a 64-bit x86 CPU.
    pub fn from_packet(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() >= LEAST).then_some(Self(bytes))
    }

    /// What the stub is sent.
    pub fn packet(&self) -> &[u8] {
        &self.0
    }

    /// A register's value.
    pub fn get(&self, register: Register) -> u64 {
        let (at, size) = register.place();
        let mut value = [0; 8];
        value[..size].copy_from_slice(&self.0[at..at + size]);
        u64::from_le_bytes(value)
    }

    /// Changes a register's value; the upper half of a value for a 4-byte register is dropped.
    pub fn set(&mut self, register: Register, value: u64) {
        let (at, size) = register.place();
        self.0[at..at + size].copy_from_slice(&value.to_le_bytes()[..size]);
    }

    /// Where the CPU goes on.
    pub fn rip(&self) -> u64 {
        self.get(Register::Rip)
    }

    /// Whether it is in user mode.
    pub fn user(&self) -> bool {
        self.get(Register::Cs) & 3 == 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_that_is_set_leaves_the_others_alone() {
        let mut registers = Registers::from_packet(vec![0xff; 608]).unwrap();
        registers.set(Register::Cs, 0x33);
        registers.set(Register::Rip, 0x1234);
        assert_eq!(registers.rip(), 0x1234);
        assert!(registers.user());
        assert_eq!(registers.get(Register::Eflags), 0xffff_ffff);
        assert_eq!(registers.get(Register::FsBase), u64::MAX);
        assert_eq!(registers.get(Register::R15), u64::MAX);
    }

    #[test]
    fn what_a_32_bit_stub_sends_is_refused() {
        assert_eq!(Registers::from_packet(vec![0; 160]), None);
    }
}
