//! One fault, instruction by instruction: the registers before each of them.

use std::collections::HashMap;

use super::ProfileError;
use super::walk::PageWalk;
use crate::guest::gdb::{Gdb, GdbError, Vcpu};
use crate::guest::registers::{Register, Registers};
use crate::memory::trampoline::STORE_LENGTH;

/// No fault takes more instructions: a copy of 64 KiB takes some 20,000, the breaking up of a 2 MiB
/// folio some 100,000.
pub const MOST_STEPS: usize = 400_000;

/// The general registers in the order of their numbers in instructions' encodings.
const GENERAL: [Register; 16] = [
    Register::Rax,
    Register::Rcx,
    Register::Rdx,
    Register::Rbx,
    Register::Rsp,
    Register::Rbp,
    Register::Rsi,
    Register::Rdi,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R12,
    Register::R13,
    Register::R14,
    Register::R15,
];

/// The CPU before one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstructionStep {
    /// The instruction's address.
    pub rip: u64,
    /// RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15.
    pub general: [u64; 16],
    /// The base of FS.
    pub fs_base: u64,
    /// The base of GS.
    pub gs_base: u64,
    /// Whether it is in user mode.
    pub user: bool,
}

impl InstructionStep {
    /// What the stub says of a CPU that stands before an instruction.
    pub fn of(registers: &Registers) -> Self {
        Self {
            rip: registers.rip(),
            general: GENERAL.map(|register| registers.get(register)),
            fs_base: registers.get(Register::FsBase),
            gs_base: registers.get(Register::GsBase),
            user: registers.user(),
        }
    }

    /// The stack pointer.
    pub fn rsp(&self) -> u64 {
        self.general[4]
    }
}

/// A store and everything that the kernel did about it.
#[derive(Clone, Debug)]
pub struct Trace {
    /// In the order of execution; the first is the store, which faults, the last the store, which
    /// succeeds, unless it did not fault at all.
    pub steps: Vec<InstructionStep>,
    /// The page table's entries for the page stored to, as they were before.
    pub walk: PageWalk,
}

impl Trace {
    /// The steps that the kernel took.
    pub fn kernel(&self) -> &[InstructionStep] {
        let from = self.steps.iter().position(|step| !step.user);
        let to = self.steps.iter().rposition(|step| !step.user);
        match (from, to) {
            (Some(from), Some(to)) => &self.steps[from..=to],
            _ => &[],
        }
    }
}

/// Follows the store that a CPU stands before until it is made.
///
/// # Errors
/// If the CPU comes back to user mode elsewhere, or not at all.
pub fn follow(gdb: &mut Gdb, vcpu: Vcpu) -> Result<Trace, ProfileError> {
    let mut registers = gdb.registers(vcpu)?;
    let store = registers.rip();
    let walk = PageWalk::of(gdb, vcpu, &registers, registers.get(Register::Rdi))?;
    let mut steps = Vec::with_capacity(8192);
    loop {
        steps.push(InstructionStep::of(&registers));
        if steps.len() > MOST_STEPS {
            return Err(ProfileError::Endless { steps: MOST_STEPS });
        }
        let stepped = gdb.step(vcpu);
        if let Err(GdbError::Late { .. }) = stepped {
            return Err(ProfileError::Astray {
                steps: steps.len(),
                to: "an instruction that does not end (the CPU is idle)".into(),
                last: steps.last().map_or(0, |step| step.rip),
            });
        }
        stepped?;
        registers = gdb.registers(vcpu)?;
        match registers.rip() {
            rip if registers.user() && rip == store + STORE_LENGTH => {
                return Ok(Trace { steps, walk });
            }
            // The fault is resolved and the store made anew, or not resolved and taken anew.
            rip if registers.user() && rip != store => {
                return Err(ProfileError::Astray {
                    steps: steps.len(),
                    to: format!("{rip:#x} in user space"),
                    last: steps.last().map_or(0, |step| step.rip),
                });
            }
            _ => {}
        }
    }
}

/// The bytes of a guest's code, read page by page as they are needed.
#[derive(Default)]
pub struct Code {
    pages: HashMap<u64, Vec<u8>>,
}

/// Bytes of the pages in which code is read.
const PAGE: u64 = 4096;
/// No instruction is longer.
const LONGEST: usize = 15;

impl Code {
    /// Makes sure that the code of every step is there.
    ///
    /// # Errors
    /// If the memory cannot be read through the debugger.
    pub fn load(
        &mut self,
        gdb: &mut Gdb,
        vcpu: Vcpu,
        steps: &[InstructionStep],
    ) -> Result<(), GdbError> {
        for step in steps {
            for page in [
                step.rip & !(PAGE - 1),
                (step.rip + LONGEST as u64 - 1) & !(PAGE - 1),
            ] {
                if self.pages.contains_key(&page) {
                    continue;
                }
                match gdb.read(vcpu, page, PAGE as usize) {
                    Ok(bytes) => {
                        self.pages.insert(page, bytes);
                    }
                    // The page behind the last instruction need not be mapped.
                    Err(GdbError::Refused { .. }) if page > step.rip => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// The bytes from an address on, as many as an instruction can have and are known.
    pub fn at(&self, address: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LONGEST);
        for address in address..address + LONGEST as u64 {
            let page = self.pages.get(&(address & !(PAGE - 1)));
            match page.and_then(|page| page.get((address & (PAGE - 1)) as usize)) {
                Some(byte) => bytes.push(*byte),
                None => break,
            }
        }
        bytes
    }
}
