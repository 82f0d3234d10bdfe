//! Code at addresses that a debugger outside the guest knows before the guest boots.
//!
//! One page at a fixed address holds a function through which the program says something to the
//! debugger, and functions that store one word and return. A breakpoint at any of them is set before
//! the kernel runs its first instruction, so that guest and debugger meet at the same instruction in
//! every boot; nobody polls and nobody waits.

use std::num::NonZeroUsize;
use std::sync::atomic::AtomicU64;

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, mprotect};

use super::MemoryError;
use super::area::page_size;

/// The address of the page: far from where kernels put programs, libraries and stacks.
pub const PAGE: u64 = 0x2000_0000_0000;
/// Bytes from one function to the next.
const STRIDE: u64 = 16;
/// How many functions that store there are: one for each thread that a debugger tells apart.
pub const STORES: u32 = 8;
/// Bytes of a store's instruction: where a store has been made, its CPU is this much further.
pub const STORE_LENGTH: u64 = 3;

/// What a program says to the debugger. The CPU stands at [`word_address`] then, with the word in RDI,
/// the address of a text in RSI and its length in RDX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The text is the kernel's /proc/kallsyms; stores through the trampolines come next.
    Ready = 1,
    /// No store will come; the text says why.
    Refused = 2,
    /// The stores are made.
    Done = 3,
    /// The text is a request; the debugger answers in its place.
    Ask = 4,
}

impl Word {
    /// The word of this number.
    pub fn of(number: u64) -> Option<Self> {
        [Self::Ready, Self::Refused, Self::Done, Self::Ask]
            .into_iter()
            .find(|word| *word as u64 == number)
    }
}

/// Where a CPU stands that has something to say.
pub fn word_address() -> u64 {
    PAGE
}

/// Where a CPU stands that is about to store; `nth` is less than [`STORES`].
pub fn store_address(nth: u32) -> u64 {
    PAGE + STRIDE * (1 + u64::from(nth))
}

/// nop; ret
const SAY: [u8; 2] = [0x90, 0xc3];
/// mov [rdi], rsi; ret
const STORE: [u8; 4] = [0x48, 0x89, 0x37, 0xc3];

/// The page with the functions; it stays for the life of the process.
#[derive(Clone, Copy, Debug)]
pub struct Trampolines(());

impl Trampolines {
    /// Maps and fills the page. Forked children have it too.
    ///
    /// # Errors
    /// On another architecture than x86-64, if the address is taken, or if executable memory is not to
    /// be had.
    pub fn put_up() -> Result<Self, MemoryError> {
        if !cfg!(target_arch = "x86_64") {
            let why = "stores that a debugger can stop at are written for x86-64 alone";
            return Err(MemoryError::Unsupported(why.into()));
        }
        let refused = |e| MemoryError::refused("mapping code at a fixed address", e);
        let length = NonZeroUsize::new(page_size()).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: MAP_FIXED_NOREPLACE replaces no mapping; the page is filled before it becomes
        // executable, with position-independent functions that keep to the C calling convention, and
        // is never unmapped.
        unsafe {
            let page = mmap_anonymous(
                NonZeroUsize::new(PAGE as usize),
                length,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_FIXED_NOREPLACE,
            )
            .map_err(refused)?;
            let code = page.cast::<u8>().as_ptr();
            code.copy_from(SAY.as_ptr(), SAY.len());
            for nth in 1..=STORES as usize {
                code.add(nth * STRIDE as usize)
                    .copy_from(STORE.as_ptr(), STORE.len());
            }
            let run = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
            mprotect(page, length.get(), run).map_err(refused)?;
        }
        Ok(Self(()))
    }

    /// Says a word to the debugger, if there is one.
    pub fn say(self, word: Word, text: &[u8]) {
        // SAFETY: the page is mapped for the life of the process, and this is the function at its
        // start, which does nothing.
        unsafe {
            let say: extern "C" fn(u64, *const u8, usize) =
                std::mem::transmute(word_address() as *const ());
            say(word as u64, text.as_ptr(), text.len());
        }
    }

    /// Asks the debugger: `words` begin with a request of `length` bytes. The answer may be written into them at any time
    /// after this has returned, and without a debugger it never is.
    ///
    /// # Panics
    /// If the request is longer than the words.
    pub fn ask(self, words: &[AtomicU64], length: usize) {
        assert!(length <= size_of_val(words));
        // SAFETY: as in `say`; the debugger writes inside the words, which may change at any time.
        unsafe {
            let ask: extern "C" fn(u64, *const AtomicU64, usize) =
                std::mem::transmute(word_address() as *const ());
            ask(Word::Ask as u64, words.as_ptr(), length);
        }
    }

    /// Stores a word through a trampoline; panics if `nth` is not less than [`STORES`].
    ///
    /// # Safety
    /// `at` is valid for a write of 8 bytes.
    pub unsafe fn store(self, nth: u32, at: *mut u64, word: u64) {
        assert!(nth < STORES);
        // SAFETY: the page is mapped for the life of the process, and this is one of the functions that
        // store their second argument at their first; the caller vouches for the address.
        unsafe {
            let store: extern "C" fn(*mut u64, u64) =
                std::mem::transmute(store_address(nth) as *const ());
            store(at, word);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn a_store_through_any_trampoline_is_made_and_words_do_nothing() {
        let trampolines = Trampolines::put_up().unwrap();
        let mut words = [0; STORES as usize];
        for nth in 0..STORES {
            // SAFETY: the word is alive and as large as is written.
            unsafe { trampolines.store(nth, &raw mut words[nth as usize], 7 + u64::from(nth)) };
        }
        trampolines.say(Word::Done, b"nobody listens");
        assert_eq!(words, [7, 8, 9, 10, 11, 12, 13, 14]);
        assert!(
            Trampolines::put_up().is_err(),
            "a second page at the same address"
        );
    }

    #[test]
    fn a_word_has_a_number_of_its_own() {
        for word in [Word::Ready, Word::Refused, Word::Done] {
            assert_eq!(Word::of(word as u64), Some(word));
        }
        assert_eq!(Word::of(0), None);
    }
}
