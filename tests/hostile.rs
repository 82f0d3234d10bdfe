//! Run files by strangers: whatever the bytes are, they are refused in one line or read, and what is read can be
//! compared and reported without harm.
//!
//! Mutates the files of `tests/corpus` for `COWPATH_FUZZ_SECONDS` (2 by default). A failure prints the seed that leads
//! to it; with `COWPATH_FUZZ_SEED` it is the first one tried.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{cowpath, finish};
use cowpath::report::{compare as shown, terminal};
use cowpath::run::io::{parse, read};
use cowpath::run::schema::RunFile;
use cowpath::stats::compare::side::Side;
use cowpath::stats::compare::table::{Options, Quantile, compare};
use cowpath::stats::ratio::SplitMix64;
use serde_json::Value;

fn corpus() -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Everything that can be done with a run file, except drawing it.
fn use_it(run: &RunFile, whole: &RunFile) {
    let again = serde_json::to_vec(run).unwrap();
    let back = parse(Path::new("again"), &again).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(&back, run, "what is accepted can be written and read again");
    let side = |run| {
        let mut side = Side::default();
        side.add(run);
        side
    };
    let (base, new) = (side(whole), side(run));
    let options = Options {
        quantiles: vec![Quantile::P50, Quantile::Mean],
        gate: Some(0.03),
        anyway: true,
        ..Options::default()
    };
    if let Ok(comparison) = compare(&base, &new, &options) {
        for text in [shown::text(&comparison), shown::markdown(&comparison)] {
            let control = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{text}");
        }
        let json: Value = serde_json::from_str(&shown::json(&comparison).unwrap()).unwrap();
        for row in json["rows"].as_array().unwrap() {
            assert!(row["effect"]["ratio"].is_number(), "{row}");
        }
        shown::benchstat(&base, &new, &options.quantiles);
    }
    terminal::run::text(run);
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
fn change(value: &mut Value, random: &mut SplitMix64) {
    let descend = random.below(12) > 0;
    match value {
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(random.below(map.len())).unwrap().clone();
            match random.below(40) {
                0 => {
                    map.remove(&key);
                }
                1 => {
                    map.insert(STRINGS[random.below(8)].into(), Value::Null);
                }
                2 => {
                    let taken = map.remove(&key).unwrap();
                    map.insert(STRINGS[random.below(8)].into(), taken);
                }
                _ => change(map.get_mut(&key).unwrap(), random),
            }
        }
        Value::Array(list) if !list.is_empty() && descend => {
            let at = random.below(list.len());
            change(&mut list[at], random);
        }
        Value::Array(list) => match random.below(3) {
            0 => list.clear(),
            1 => {
                let twice = list.clone();
                list.extend(twice);
            }
            _ => list.reverse(),
        },
        Value::String(text) => {
            *text = match random.below(3) {
                0 => STRINGS[random.below(8)].into(),
                1 => text.repeat(1 + random.below(30)),
                _ => text.chars().rev().collect(),
            }
        }
        Value::Bool(told) => *told = !*told,
        other => *other = serde_json::from_str(NUMBERS[random.below(12)]).unwrap(),
    }
}

fn mutated(text: &[u8], random: &mut SplitMix64) -> Vec<u8> {
    if random.below(4) == 0 {
        let mut bytes = text.to_vec();
        for _ in 0..=random.below(3) {
            let start = random.below(bytes.len());
            let end = (start + random.below(200)).min(bytes.len());
            let with: Vec<u8> = (0..random.below(30)).map(|_| random.bits() as u8).collect();
            bytes.splice(start..end, with);
        }
        return bytes;
    }
    let mut tree: Value = serde_json::from_slice(text).unwrap();
    for _ in 0..=random.below(3) {
        change(&mut tree, random);
    }
    serde_json::to_vec(&tree).unwrap()
}

#[test]
fn no_mutation_of_a_run_file_does_harm() {
    let corpus = corpus();
    assert!(corpus.len() >= 3);
    let time = Duration::from_secs(setting("COWPATH_FUZZ_SECONDS").unwrap_or(2));
    let first = setting("COWPATH_FUZZ_SEED").unwrap_or(1);
    let whole: Vec<RunFile> = corpus
        .iter()
        .map(|(path, text)| parse(path, text).unwrap_or_else(|e| panic!("{e}")))
        .collect();
    let (began, mut tried, mut accepted) = (Instant::now(), 0, 0);
    while began.elapsed() < time {
        let seed = first + tried;
        let mut random = SplitMix64::new(seed);
        let at = random.below(corpus.len());
        let bytes = mutated(&corpus[at].1, &mut random);
        let tried_here = std::panic::catch_unwind(|| match parse(Path::new("name.json"), &bytes) {
            Ok(run) => {
                use_it(&run, &whole[at]);
                true
            }
            Err(e) => {
                let text = e.to_string();
                assert!(text.starts_with("name.json: "), "{text}");
                assert!(!text.chars().any(char::is_control), "{text:?}");
                assert!(text.len() < 2_000, "{text}");
                false
            }
        });
        match tried_here {
            Ok(read) => accepted += u32::from(read),
            Err(_) => panic!("COWPATH_FUZZ_SEED={seed} leads here"),
        }
        tried += 1;
    }
    println!("{tried} mutations tried, {accepted} of them accepted");
    assert!(accepted > 0, "what is refused at once tests nothing");
}

/// A change of a good file and the words of its refusal.
fn refused(name: &str, alter: impl Fn(&mut Value), word: &str) {
    let (path, text) = corpus()
        .into_iter()
        .find(|(p, _)| p.ends_with(name))
        .unwrap();
    let mut tree: Value = serde_json::from_slice(&text).unwrap();
    alter(&mut tree);
    let error = parse(&path, &serde_json::to_vec(&tree).unwrap()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(word), "{word}: {error}");
}

#[test]
fn figures_that_cannot_be_are_refused_by_name() {
    let repetition = |tree: &mut Value, key: &str, value: Value| {
        let latency = &mut tree["results"][1]["repetitions"][0];
        latency[key] = value;
    };
    refused(
        "stores.json",
        |t| repetition(t, "mean", (-1.0).into()),
        "repetition 0",
    );
    refused(
        "stores.json",
        |t| repetition(t, "p50", (-5).into()),
        "results[1].repetitions[0].p50: invalid value: integer `-5`",
    );
    refused(
        "stores.json",
        |t| t["results"][1]["repetitions"][0]["outcomes"]["copy"] = u64::MAX.into(),
        "results[1].repetitions[0].outcomes.copy: 18446744073709551615 is more than 281474976710656",
    );
    refused(
        "stores.json",
        |t| t["results"][1]["outcomes"]["reuse"] = 1_000_000_000.into(),
        "for 1000000000 such outcomes",
    );
    refused(
        "stores.json",
        |t| t["results"][1]["integrity"]["checked"] = u64::MAX.into(),
        "results[1].integrity.checked: 18446744073709551615 is more than 281474976710656",
    );
}

#[test]
fn a_rule_that_is_there_twice_is_refused() {
    refused(
        "stores.json",
        |t| t["config"]["strategies"] = Value::from(vec!["never", "stock", "never"]),
        "config.strategies[2]: never is there twice",
    );
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_refused() {
    for (open, why) in [("[", "missing"), ("{\"schema\":", "recursion limit")] {
        let text = open.repeat(200_000);
        let error = parse(Path::new("deep.json"), text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let (path, text) = corpus().remove(0);
    let text = String::from_utf8(text).unwrap();
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let text = text.replacen(
        "\"complete\"",
        &format!("\"deep\": {deep}, \"complete\""),
        1,
    );
    assert!(parse(&path, text.as_bytes()).is_err());
}

#[test]
fn a_file_without_an_end_is_refused() {
    let error = read(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("larger than"), "{error}");
}

#[test]
fn hostile_text_is_escaped_wherever_it_is_shown() {
    let (_, text) = corpus()
        .into_iter()
        .find(|(p, _)| p.ends_with("stores.json"))
        .unwrap();
    let mut tree: Value = serde_json::from_slice(&text).unwrap();
    let script = "<script>alert(1)</script>{{ 7 * 7 }}\u{1b}[2J";
    for key in ["id", "started", "finished"] {
        tree[key] = script.into();
    }
    for key in ["cpu", "virtualization", "arch"] {
        tree["host"][key] = script.into();
    }
    tree["host"]["kernel"]["release"] = script.into();
    tree["results"][0]["scenario"] = format!("x/{script}").into();
    tree["results"][0]["folio"] = script.into();
    tree["results"][1]["setup"]["by"] = Value::from(vec![script]);
    tree["strategy"]["evidence"] = Value::from(vec![script]);
    tree["tool"]["command"] = Value::from(vec![script]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.json");
    std::fs::write(&path, serde_json::to_vec(&tree).unwrap()).unwrap();
    let (path, out) = (path.to_str().unwrap(), folder.path().join("report"));
    let done = finish(cowpath(&["report", path, "-o", out.to_str().unwrap()]));
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    assert!(
        !page.contains("<script>alert"),
        "markup of a run file is in the page"
    );
    assert!(page.contains("&lt;script&gt;"), "it is shown as text");
    let summary = std::fs::read_to_string(out.join("summary.md")).unwrap();
    assert!(
        !summary.replace("\\<", "").contains("<script>"),
        "{summary}"
    );
    for name in std::fs::read_dir(out.join("hgrm")).unwrap() {
        let name = name.unwrap().file_name().into_string().unwrap();
        assert!(
            name.chars()
                .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)),
            "{name}"
        );
    }
}
