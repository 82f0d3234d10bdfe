//! Where a program in a guest meets the debugger: the host's side of [`crate::memory::signpost`].

use std::time::Duration;

use super::gdb::{Gdb, GdbError, Stop, Vcpu};
use super::registers::Register;
use crate::memory::signpost::{Word, word_address};

/// No text that a guest says is longer: a kernel's symbol table has some 10 MB.
const LONGEST: u64 = 1 << 26;

/// What a program in the guest said.
#[derive(Clone, Debug)]
pub struct Said {
    /// The CPU that it runs on; it stands before it goes on.
    pub vcpu: Vcpu,
    /// The word.
    pub word: Word,
    /// The text that goes with it.
    pub text: Vec<u8>,
}

/// Lets a guest that stands run until a program in it says something.
///
/// A breakpoint is left at the word's address; a CPU that stands there goes on past it when
/// [`leave`] is called for it.
///
/// # Errors
/// If nothing is said in time, the guest goes away, or it stops for another reason.
pub fn hear(gdb: &mut Gdb, within: Duration) -> Result<Said, GdbError> {
    gdb.set_breakpoint(word_address())?;
    gdb.resume_all()?;
    let stop = gdb.wait(within)?;
    match said(gdb, stop)? {
        Some(said) => Ok(said),
        None => Err(GdbError::Garbled {
            what: "a guest on its way to say something".into(),
            answer: format!("{stop:?}"),
        }),
    }
}

/// What a CPU that has stopped says, if it stands where words are said.
///
/// # Errors
/// If registers or text cannot be read.
pub fn said(gdb: &mut Gdb, stop: Stop) -> Result<Option<Said>, GdbError> {
    let registers = gdb.registers(stop.vcpu)?;
    let word = Word::of(registers.get(Register::Rdi));
    let (at, length) = (
        registers.get(Register::Rsi),
        registers.get(Register::Rdx).min(LONGEST),
    );
    match word {
        Some(word) if registers.user() && registers.rip() == word_address() => Ok(Some(Said {
            vcpu: stop.vcpu,
            word,
            text: gdb.read(stop.vcpu, at, length as usize)?,
        })),
        _ => Ok(None),
    }
}

/// Has a CPU that has said something take the step past the breakpoint there.
///
/// # Errors
/// As [`GdbError`] says.
pub fn leave(gdb: &mut Gdb, vcpu: Vcpu) -> Result<(), GdbError> {
    gdb.clear_breakpoint(word_address())?;
    gdb.step(vcpu)?;
    gdb.set_breakpoint(word_address())
}
