//! Which kernel functions a CPU is in, by the words on its stack.

use crate::guest::symbols::Symbols;

/// Words of a kernel stack that are looked through for return addresses.
const WORDS: usize = 96;
/// Functions told of a stack.
const FUNCTIONS: usize = 12;
/// Bytes of a call instruction, `e8` and the distance, which lies before the address that it returns to.
pub(super) const CALL: u64 = 5;
/// The first of them.
pub(super) const CALL_OPCODE: u8 = 0xe8;

/// How much of a stack to read: not beyond the page, since what follows may be another mapping, or none.
pub(super) fn length(rsp: u64) -> usize {
    let room = (0x1000 - (rsp & 0xfff) as usize) / 8;
    8 * WORDS.min(room)
}

/// The functions, innermost first: the one that is executed, and those that calls on the stack will return to.
/// `is_call` tells whether the instruction before an address is a call.
pub(super) fn functions(
    rip: u64,
    stack: &[u8],
    symbols: &Symbols,
    mut is_call: impl FnMut(u64) -> bool,
) -> Vec<String> {
    let name = |address: u64| symbols.at(address).map(|symbol| symbol.name.clone());
    let mut found: Vec<String> = name(rip).into_iter().collect();
    for word in stack.chunks_exact(8) {
        let address = u64::from_le_bytes(word.try_into().unwrap_or_default());
        let (Some(function), true) = (name(address), found.len() < FUNCTIONS) else {
            continue;
        };
        if is_call(address) && found.last() != Some(&function) {
            found.push(function);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        let text = "ffffffff81000100 t inner\nffffffff81000200 t outer\nffffffff81000300 t end\n";
        Symbols::parse(text).unwrap()
    }

    const BASE: u64 = 0xffff_ffff_8100_0000;

    #[test]
    fn return_addresses_behind_calls_are_functions_and_other_words_are_not() {
        let words = [0, BASE + 0x250, 7, BASE + 0x150, BASE + 0x260];
        let stack: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let all = functions(BASE + 0x110, &stack, &symbols(), |_| true);
        assert_eq!(all, ["inner", "outer", "inner", "outer"]);
        let called = functions(BASE + 0x110, &stack, &symbols(), |at| at == BASE + 0x260);
        assert_eq!(called, ["inner", "outer"]);
    }

    #[test]
    fn a_stack_is_not_read_beyond_its_page() {
        assert_eq!(length(0x1000), 8 * WORDS);
        assert_eq!(length(0x1ff8), 8);
    }
}
