//! Every number of every good file is bounded, and whatever is within its bound can be drawn.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::samples::{Sample, corpus};

/// Every number of a tree, by the keys that lead to it.
fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Number(_) => found.push(path.into()),
        Value::Object(map) => {
            for (key, value) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                numbers(value, &format!("{path}/{key}"), found);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                numbers(value, &format!("{path}/{at}"), found);
            }
        }
        _ => {}
    }
}

/// The same numbers of other entries of the same list are one.
fn kind(path: &str) -> String {
    let keys = path.split('/');
    let kinds = keys.map(|key| {
        if key.parse::<usize>().is_ok() {
            "0"
        } else {
            key
        }
    });
    kinds.collect::<Vec<_>>().join("/")
}

/// `results[3].threads` of `/results/3/threads`.
fn as_told(path: &str) -> String {
    let mut told = String::new();
    for key in path.split('/').skip(1) {
        match key.parse::<usize>() {
            Ok(at) => told += &format!("[{at}]"),
            Err(_) if told.is_empty() => told += key,
            Err(_) => told += &format!(".{}", key.replace("~1", "/").replace("~0", "~")),
        }
    }
    told
}

/// The numbers of a sample, one of each kind.
fn kinds_of_numbers(sample: &Sample) -> Vec<String> {
    let mut paths = Vec::new();
    numbers(&sample.tree(), "", &mut paths);
    let mut kinds = BTreeSet::new();
    paths.retain(|path| kinds.insert(kind(path)));
    paths
}

/// A sample with a number in another's place.
fn with(tree: &Value, path: &str, number: &str) -> Value {
    let mut tree = tree.clone();
    *tree.pointer_mut(path).unwrap() = serde_json::from_str(number).unwrap();
    tree
}

#[test]
fn no_number_but_a_seed_is_without_a_bound_and_its_refusal_has_its_path() {
    for sample in corpus() {
        let good = sample.tree();
        for path in kinds_of_numbers(&sample) {
            for huge in ["18446744073709551615", "1e308", "-1e308"] {
                let told = sample.read(&with(&good, &path, huge));
                let what = format!("{}{path}: {huge}", sample.name());
                match told {
                    Ok(()) => assert_eq!(
                        (path.as_str(), huge),
                        ("/config/seed", "18446744073709551615")
                    ),
                    // Of what is one of several kinds only the key of all is told.
                    Err(why) => assert!(is_told(&why, &path, 4), "{what}: {why}"),
                }
            }
        }
    }
}

#[test]
fn every_number_that_may_be_negative_or_zero_or_as_large_as_can_be_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    for sample in corpus() {
        for number in ["-1", "0", "281474976710656"] {
            let mut all = sample.tree();
            for path in kinds_of_numbers(&sample) {
                let more = with(&all, &path, number);
                match sample.read(&more) {
                    Ok(()) => all = more,
                    Err(why) => assert!(is_told(&why, &path, 9), "{path}: {number}: {why}"),
                }
            }
            let text = serde_json::to_vec(&all).unwrap();
            sample.endures(&text, folder.path(), number == "0").unwrap();
        }
    }
}

/// The keys of numbers in a JSON Schema.
fn keys_of_numbers(schema: &Value, found: &mut BTreeSet<String>) {
    fn is_number(schema: &Value) -> bool {
        let kind = &schema["type"];
        let is =
            |name: &str| kind == name || kind.as_array().is_some_and(|l| l.contains(&name.into()));
        let mut parts = schema["prefixItems"].as_array().into_iter().flatten();
        is("integer")
            || is("number")
            || is("array") && (is_number(&schema["items"]) || parts.any(is_number))
    }
    match schema {
        Value::Object(map) => {
            for (key, value) in map
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                if is_number(value) {
                    found.insert(key.clone());
                }
            }
            map.values().for_each(|value| keys_of_numbers(value, found));
        }
        Value::Array(list) => list.iter().for_each(|value| keys_of_numbers(value, found)),
        _ => {}
    }
}

#[test]
fn the_corpus_has_every_number_that_a_run_file_or_a_stepped_profile_can_have() {
    let mut there = BTreeSet::new();
    for sample in corpus() {
        for path in kinds_of_numbers(&sample) {
            let mut keys = path.rsplit('/');
            there.extend(
                keys.find(|key| key.parse::<usize>().is_err())
                    .map(str::to_string),
            );
        }
    }
    // No profile of the corpus is sampled.
    there.extend(["samples", "user", "lost", "period", "stores"].map(str::to_string));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for schema in ["run.schema.json", "profile.schema.json"] {
        let text = std::fs::read(folder.join(schema)).unwrap();
        let mut possible = BTreeSet::new();
        keys_of_numbers(&serde_json::from_slice(&text).unwrap(), &mut possible);
        assert!(possible.len() > 20, "{possible:?}");
        let missing: Vec<&String> = possible.difference(&there).collect();
        assert!(missing.is_empty(), "{schema}: {missing:?}");
    }
}

/// Whether a refusal names the number, or one of so many that hold it.
fn is_told(why: &str, path: &str, holders: usize) -> bool {
    let ends = path.char_indices().rev().filter(|(_, c)| *c == '/');
    let names = ends
        .map(|(end, _)| &path[..end])
        .filter(|name| !name.is_empty());
    let mut names = std::iter::once(path).chain(names).take(1 + holders);
    names.any(|name| why.contains(&as_told(name)))
}
