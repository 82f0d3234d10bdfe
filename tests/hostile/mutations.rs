//! Mutates good files for `COWPATH_FUZZ_SECONDS` (2 by default), and does with what is still read everything that can be
//! done with it, within [`MEMORY`].
//!
//! A failure prints the seed that leads to it; with `COWPATH_FUZZ_SEED` it is the first one tried.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use super::samples::corpus;
use crate::common::finish;

/// All that reading, comparing and drawing a small file may take, in bytes of address space.
const MEMORY: u64 = 1 << 30;
/// Where a process that tries mutations notes the seed of the one at hand; set, it makes a test that process.
const SEED_FILE: &str = "COWPATH_FUZZ_SEED_FILE";

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

const STRINGS: [&str; 8] = [
    "",
    "<script>alert(1)</script>",
    "\u{1b}[2J\u{1b}]0;owned\u{7}",
    "../../../etc/passwd",
    "| a | b |\n# c",
    "{{ 7 * 7 }}{% include 'x' %}",
    "\u{202e}gnp.exe\u{0}",
    "unknown",
];
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "1000000000",
    "4294967295",
    "4294967296",
    "9223372036854775807",
    "18446744073709551615",
    "1e308",
    "-1e308",
    "1e-320",
    "0.5",
];

/// One change somewhere in the tree.
fn change(value: &mut Value, random: &mut fastrand::Rng) {
    let descend = random.usize(..12) > 0;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(random.usize(..map.len())).unwrap().clone();
            match random.usize(..40) {
                0 => {
                    map.remove(&key);
                }
                1 => {
                    map.insert(STRINGS[random.usize(..8)].into(), Value::Null);
                }
                2 => {
                    let taken = map.remove(&key).unwrap();
                    map.insert(STRINGS[random.usize(..8)].into(), taken);
                }
                _ => change(map.get_mut(&key).unwrap(), random),
            }
        }
        Value::Array(list) if !list.is_empty() && descend => {
            let at = random.usize(..list.len());
            change(&mut list[at], random);
        }
        Value::Array(list) => match random.usize(..3) {
            0 => list.clear(),
            1 => {
                let twice = list.clone();
                list.extend(twice);
            }
            _ => list.reverse(),
        },
        Value::String(text) => {
            *text = match random.usize(..3) {
                0 => STRINGS[random.usize(..8)].into(),
                1 => text.repeat(1 + random.usize(..30)),
                _ => text.chars().rev().collect(),
            }
        }
        Value::Bool(told) => *told = !*told,
        other => *other = serde_json::from_str(NUMBERS[random.usize(..12)]).unwrap(),
    }
}

fn mutated(text: &[u8], random: &mut fastrand::Rng) -> Vec<u8> {
    if random.usize(..4) == 0 {
        let mut bytes = text.to_vec();
        for _ in 0..=random.usize(..3) {
            let start = random.usize(..bytes.len());
            let end = (start + random.usize(..200)).min(bytes.len());
            let with: Vec<u8> = (0..random.usize(..30))
                .map(|_| random.u64(..) as u8)
                .collect();
            bytes.splice(start..end, with);
        }
        return bytes;
    }
    let mut tree: Value = serde_json::from_slice(text).unwrap();
    for _ in 0..=random.usize(..3) {
        change(&mut tree, random);
    }
    serde_json::to_vec(&tree).unwrap()
}

/// Mutates files for as long as was asked for, in a process that may take so much memory and no more.
fn mutate(seed_file: &Path) {
    setrlimit(Resource::RLIMIT_AS, MEMORY, MEMORY).unwrap();
    let corpus = corpus();
    let folder = tempfile::tempdir().unwrap();
    let time = Duration::from_secs(setting("COWPATH_FUZZ_SECONDS").unwrap_or(2));
    let first = setting("COWPATH_FUZZ_SEED").unwrap_or(1);
    let (began, mut tried, mut accepted) = (Instant::now(), 0, 0);
    while began.elapsed() < time || accepted == 0 {
        let seed = first + tried;
        std::fs::write(seed_file, seed.to_string()).unwrap();
        let mut random = fastrand::Rng::with_seed(seed);
        let sample = &corpus[random.usize(..corpus.len())];
        let bytes = mutated(&sample.text, &mut random);
        accepted += u32::from(
            sample
                .endures(&bytes, folder.path(), seed.is_multiple_of(4))
                .is_ok(),
        );
        tried += 1;
    }
    println!("{tried} mutations tried, {accepted} of them accepted");
}

#[test]
fn no_mutation_of_a_file_does_harm() {
    const SELF: &str = "hostile::mutations::no_mutation_of_a_file_does_harm";
    if let Some(seed_file) = std::env::var_os(SEED_FILE) {
        return mutate(Path::new(&seed_file));
    }
    // An allocation that fails ends a process: it is one of its own.
    let seed_file = tempfile::NamedTempFile::new().unwrap();
    let done = finish({
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", SELF, "--nocapture"]);
        command.env(SEED_FILE, seed_file.path());
        command
    });
    let seed = std::fs::read_to_string(seed_file.path()).unwrap();
    assert_eq!(
        done.code,
        Some(0),
        "COWPATH_FUZZ_SEED={seed} leads here: {done:?}"
    );
    println!("{}", done.out);
}
