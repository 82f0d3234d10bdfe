//! The names of a kernel's addresses, from its own /proc/kallsyms.

use std::collections::HashMap;

use crate::sys::missing::addressed;

/// No function is longer than this: an address further behind the last symbol belongs to none.
const LONGEST: u64 = 1 << 20;

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The address of its first byte.
    pub address: u64,
    /// The letter of nm(1): `t` and `T` are code, upper case is global.
    pub kind: char,
    /// As the kernel has it.
    pub name: String,
    /// The module it belongs to, if any.
    pub module: Option<String>,
}

/// Why a text is no symbol table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SymbolsError {
    /// There are none.
    #[error(
        "the kernel's /proc/kallsyms was needed and names no function; a kernel with CONFIG_KALLSYMS=y has it"
    )]
    None,
    /// Addresses are hidden.
    #[error(
        "addresses in /proc/kallsyms were needed and all are 0; mend with: {}",
        addressed("sudo sysctl kernel.kptr_restrict=0 kernel.perf_event_paranoid=1")
    )]
    Hidden,
    /// A line is not one of kallsyms.
    #[error("/proc/kallsyms has a line that means nothing: {0:?}")]
    Line(String),
}

/// A kernel's symbol table.
#[derive(Clone, Debug)]
pub struct Symbols {
    /// Code, one symbol for each address, by address.
    code: Vec<Symbol>,
    /// Everything, first comers first.
    by_name: HashMap<String, Vec<u64>>,
}

impl Symbols {
    /// Reads the text of /proc/kallsyms.
    ///
    /// # Errors
    /// If it has no code, hides its addresses, or is something else.
    pub fn parse(text: &str) -> Result<Self, SymbolsError> {
        let mut code = Vec::new();
        let mut by_name: HashMap<String, Vec<u64>> = HashMap::new();
        for line in text.lines() {
            let symbol = line_of(line).ok_or_else(|| SymbolsError::Line(line.to_owned()))?;
            by_name
                .entry(symbol.name.clone())
                .or_default()
                .push(symbol.address);
            if matches!(symbol.kind, 't' | 'T' | 'w' | 'W') {
                code.push(symbol);
            }
        }
        if code.is_empty() {
            return Err(SymbolsError::None);
        }
        if code.iter().all(|symbol| symbol.address == 0) {
            return Err(SymbolsError::Hidden);
        }
        code.sort_by(|a, b| a.address.cmp(&b.address).then(rank(a).cmp(&rank(b))));
        code.dedup_by_key(|symbol| symbol.address);
        Ok(Self { code, by_name })
    }

    /// The address of a name; of several, the first in the kernel's own order.
    pub fn address(&self, name: &str) -> Option<u64> {
        self.by_name.get(name)?.first().copied()
    }

    /// Every address that goes by this name.
    pub fn addresses(&self, name: &str) -> &[u64] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The function that an address lies in.
    pub fn at(&self, address: u64) -> Option<&Symbol> {
        let next = self
            .code
            .partition_point(|symbol| symbol.address <= address);
        let symbol = self.code.get(next.checked_sub(1)?)?;
        (address - symbol.address < LONGEST).then_some(symbol)
    }

    /// The address of the first function behind this one: where it ends, padding included.
    pub fn end(&self, symbol: &Symbol) -> Option<u64> {
        let next = self
            .code
            .partition_point(|other| other.address <= symbol.address);
        self.code.get(next).map(|next| next.address)
    }
}

/// Of several names of one address the lowest is kept: those that C source has before the rest, global
/// ones before local ones, the longest, which says most; then by the alphabet, for no other reason
/// than to be the same each time.
fn rank(symbol: &Symbol) -> (bool, bool, std::cmp::Reverse<usize>, &str) {
    let odd = symbol.name.contains('.') || symbol.name.starts_with("__pfx_");
    let local = symbol.kind.is_ascii_lowercase();
    let length = std::cmp::Reverse(symbol.name.len());
    (odd, local, length, &symbol.name)
}

/// `ADDRESS KIND NAME`, a tab and `[MODULE]` for a module's.
fn line_of(line: &str) -> Option<Symbol> {
    let mut words = line.split_whitespace();
    let address = u64::from_str_radix(words.next()?, 16).ok()?;
    let mut kind = words.next()?.chars();
    let symbol = Symbol {
        address,
        kind: kind.next()?,
        name: words.next()?.to_owned(),
        module: words
            .next()
            .map(|module| module.trim_matches(['[', ']']).to_owned()),
    };
    kind.next().is_none().then_some(symbol)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
0000000000000000 A fixed_percpu_data
ffffffff81000000 T _stext
ffffffff81001000 t local_twin
ffffffff81001000 T do_wp_page
ffffffff81002000 t wp_page_copy
ffffffff82000000 D init_task
ffffffffc0000000 t zram_open\t[zram]
";

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let symbols = Symbols::parse(TEXT).unwrap();
        let name = |address| symbols.at(address).map(|symbol| symbol.name.as_str());
        assert_eq!(name(0xffff_ffff_8100_1000), Some("do_wp_page"));
        assert_eq!(name(0xffff_ffff_8100_1fff), Some("do_wp_page"));
        assert_eq!(name(0xffff_ffff_8100_2000), Some("wp_page_copy"));
        assert_eq!(name(0x1000), None);
        assert_eq!(name(0xffff_ffff_f000_0000), None);
    }

    #[test]
    fn a_name_has_its_address_and_a_function_its_end() {
        let symbols = Symbols::parse(TEXT).unwrap();
        assert_eq!(symbols.address("init_task"), Some(0xffff_ffff_8200_0000));
        assert_eq!(symbols.address("nobody"), None);
        let symbol = symbols.at(0xffff_ffff_8100_1004).unwrap();
        assert_eq!(symbols.end(symbol), Some(0xffff_ffff_8100_2000));
        let module = symbols.at(0xffff_ffff_c000_0010).unwrap();
        assert_eq!(module.module.as_deref(), Some("zram"));
    }

    #[test]
    fn a_table_that_tells_nothing_is_refused_with_the_reason() {
        assert_eq!(Symbols::parse("").unwrap_err(), SymbolsError::None);
        let hidden = "0000000000000000 T _stext\n";
        assert_eq!(Symbols::parse(hidden).unwrap_err(), SymbolsError::Hidden);
        let other = Symbols::parse("<html>").unwrap_err();
        assert_eq!(other, SymbolsError::Line("<html>".into()));
    }
}
