//! Where a program in a guest meets the debugger: the host's side of [`crate::memory::trampoline`].

use std::time::Duration;

use super::gdb::{Gdb, GdbError, Stop, Vcpu};
use super::registers::Register;
use crate::memory::trampoline::{Word, word_address};

/// No symbol table is longer, in bytes: a kernel's has some 10 MB.
const SYMBOLS: u64 = 1 << 26;
/// No other text that a guest says is longer: a sweep of some hundred interleavings has some 100 kB.
const TEXT: u64 = 1 << 22;
/// Bytes of a text that a person is shown.
const SHOWN: usize = 2_000;

/// What a guest says as a person is shown it: on one line, short, and moving no terminal's cursor.
pub fn shown(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(SHOWN)]);
    text.trim().replace(char::is_control, " ")
}

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
/// If registers or text cannot be read, or the text is too long.
pub fn said(gdb: &mut Gdb, stop: Stop) -> Result<Option<Said>, GdbError> {
    let registers = gdb.registers(stop.vcpu)?;
    let here = registers.user() && registers.rip() == word_address();
    let Some(word) = Word::of(registers.get(Register::Rdi)).filter(|_| here) else {
        return Ok(None);
    };
    let (at, length) = (registers.get(Register::Rsi), registers.get(Register::Rdx));
    let most = if word == Word::Ready { SYMBOLS } else { TEXT };
    if length > most {
        return Err(GdbError::TooLong { length, most });
    }
    Ok(Some(Said {
        vcpu: stop.vcpu,
        word,
        text: gdb.read(stop.vcpu, at, length as usize)?,
    }))
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::guest::registers::Registers;

    /// A guest whose CPU stands where words are said, with these in its registers.
    fn saying(word: Word, length: u64) -> Result<Option<Said>, GdbError> {
        let (client, mut stub) = UnixStream::pair().unwrap();
        let mut registers = Registers::from_packet(vec![0; 608]).unwrap();
        registers.set(Register::Cs, 0x33);
        registers.set(Register::Rip, word_address());
        registers.set(Register::Rdi, word as u64);
        registers.set(Register::Rdx, length);
        let hex = |byte: &u8| format!("{byte:02x}");
        let told: String = registers.packet().iter().map(hex).collect();
        let answering = std::thread::spawn(move || {
            let mut chunk = [0; 0x100];
            for answer in ["OK", &told] {
                let _ = stub.read(&mut chunk).unwrap();
                let sum = answer.bytes().fold(0u8, u8::wrapping_add);
                write!(stub, "+${answer}#{sum:02x}").unwrap();
            }
        });
        let vcpu = Vcpu(1);
        let said = said(&mut Gdb::over(client), Stop { signal: 5, vcpu });
        answering.join().unwrap();
        said
    }

    #[test]
    fn a_text_longer_than_any_is_not_read() {
        assert_eq!(saying(Word::Ask, 0).unwrap().unwrap().text, b"");
        for (word, most) in [
            (Word::Ask, TEXT),
            (Word::Done, TEXT),
            (Word::Ready, SYMBOLS),
        ] {
            let error = saying(word, most + 1).unwrap_err().to_string();
            assert!(
                error.contains(&format!("at most {most} are expected")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_text_is_shown_on_one_short_line_without_control_characters() {
        assert_eq!(shown(b"  no\x1b[2J\nway \n"), "no [2J way");
        assert_eq!(shown(&[b'x'; 2 * SHOWN]).len(), SHOWN);
    }
}
