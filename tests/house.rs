//! Where everything lives and which way it looks: the order of the library's modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The order: a module uses those before it and nothing else.
const ORDER: [&str; 15] = [
    "stats", "record", "sys", "machine", "memory", "scenario", "measure", "worker", "suite",
    "compare", "report", "guest", "profile", "stage", "cli",
];

/// Every source file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => found.extend(sources(&path)),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    found
}

/// A file's module path below the crate, such as `["record", "bounds", "walk"]`.
fn module(file: &Path) -> Vec<String> {
    let inside = file.strip_prefix(root()).unwrap().with_extension("");
    let mut path: Vec<String> = inside
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    path.pop_if(|last| last == "mod");
    path
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The code of a file without its tests and comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let starts = ["mod ", "pub(super) mod ", "pub(crate) mod "]
        .map(|module| format!("#[cfg(test)]\n{module}"));
    let end = starts.iter().filter_map(|start| text.find(start)).min();
    let text = &text[..end.unwrap_or(text.len())];
    let lines = text.lines().map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The paths that a file names, from the crate's root: `crate::`, `super::` and what `use` lists in braces behind them.
fn named(file: &Path) -> BTreeSet<Vec<String>> {
    let own = module(file);
    let mut found = BTreeSet::new();
    let text = code(file);
    let mut rest = text.as_str();
    while let Some(at) = ["crate::", "super::"]
        .iter()
        .filter_map(|word| rest.find(word))
        .min()
    {
        let behind_a_name =
            rest[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
        let tail = &rest[at..];
        if !behind_a_name {
            let mut base = own.clone();
            let mut path = tail;
            match path.strip_prefix("crate::") {
                Some(behind) => (base, path) = (Vec::new(), behind),
                None => {
                    while let Some(behind) = path.strip_prefix("super::") {
                        base.pop();
                        path = behind;
                    }
                }
            }
            expand(&base, path, &mut found);
        }
        rest = &tail["crate::".len()..];
    }
    for child in declared(&text) {
        let word = format!("{child}::");
        for (at, _) in text.match_indices(&word) {
            let behind_a_name = text[..at]
                .ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$');
            if !behind_a_name {
                expand(&own, &text[at..], &mut found);
            }
        }
    }
    found
}

/// The modules that a file declares.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let (before, name) = line.trim().strip_suffix(';')?.rsplit_once("mod ")?;
        (before.is_empty() || before.starts_with("pub")).then_some(name)
    })
}

/// Adds the path that `text` begins with, or each of a list in braces.
fn expand(base: &[String], text: &str, found: &mut BTreeSet<Vec<String>>) {
    let mut path = base.to_vec();
    let mut rest = text;
    loop {
        if let Some(list) = rest.strip_prefix('{') {
            for item in items(list) {
                expand(&path, item.trim(), found);
            }
            return;
        }
        let end = rest
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        path.push(rest[..end].to_owned());
        match rest[end..].strip_prefix("::") {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    found.insert(path);
}

/// What stands between commas up to the brace that closes a list.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut from, mut found) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                found.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                found.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    found
}

/// Of each file, the other files of its own top module that it uses.
fn uses() -> BTreeMap<Vec<String>, BTreeSet<Vec<String>>> {
    let files: BTreeMap<_, _> = sources(&root())
        .into_iter()
        .map(|f| (module(&f), f))
        .collect();
    let holder = |path: &[String]| {
        let prefixes = (1..=path.len()).rev().map(|n| path[..n].to_vec());
        prefixes
            .into_iter()
            .find(|prefix| files.contains_key(prefix))
    };
    let used = |own: &Vec<String>, file: &PathBuf| -> BTreeSet<Vec<String>> {
        let paths = named(file);
        let holders = paths.iter().filter_map(|path| {
            let path: Vec<String> = path
                .iter()
                .filter(|part| *part != "self")
                .cloned()
                .collect();
            holder(&path)
        });
        holders
            .filter(|used| used != own && used[0] == own[0])
            .collect()
    };
    files
        .iter()
        .filter(|(own, _)| !own.is_empty())
        .map(|(own, file)| (own.clone(), used(own, file)))
        .collect()
}

fn place(module: &str) -> Option<usize> {
    ORDER.iter().position(|other| *other == module)
}

#[test]
fn the_library_declares_its_modules_in_their_order() {
    let text = fs::read_to_string(root().join("lib.rs")).unwrap();
    let declared = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    assert_eq!(declared.collect::<Vec<_>>(), ORDER);
}

#[test]
fn the_guide_for_contributors_has_the_same_order() {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("CONTRIBUTING.md");
    let text = fs::read_to_string(guide).unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    assert_eq!(rows.collect::<Vec<_>>(), ORDER);
}

#[test]
fn a_module_uses_those_before_it_and_nothing_else() {
    let mut backwards = Vec::new();
    for file in sources(&root()) {
        let own = module(&file);
        let Some(from) = place(&own[0]) else {
            continue;
        };
        for path in named(&file) {
            if place(&path[0]).is_some_and(|to| to > from) {
                backwards.push(format!("{} uses {}", own.join("::"), path.join("::")));
            }
        }
    }
    assert!(backwards.is_empty(), "{backwards:#?}");
}

#[test]
fn no_file_uses_one_that_uses_it_by_way_of_whatever_others() {
    let mut uses = uses();
    // Taking away, again and again, who uses nobody and whom nobody uses leaves the circles.
    loop {
        let used: BTreeSet<_> = uses.values().flatten().cloned().collect();
        let before = uses.len();
        uses.retain(|own, others| !others.is_empty() && used.contains(own));
        let left: BTreeSet<_> = uses.keys().cloned().collect();
        for others in uses.values_mut() {
            others.retain(|other| left.contains(other));
        }
        if uses.len() == before {
            break;
        }
    }
    let circles: Vec<String> = uses
        .iter()
        .map(|(own, others)| {
            let others: Vec<_> = others.iter().map(|other| other.join("::")).collect();
            format!("{} uses {}", own.join("::"), others.join(", "))
        })
        .collect();
    assert!(circles.is_empty(), "{circles:#?}");
}

/// The names of the types that a file declares, with those of its tests.
fn types(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap();
    let declared = text.lines().filter_map(|line| {
        let inside = line.starts_with(' ');
        let mut words = line.split_whitespace().peekable();
        words.next_if(|word| word.starts_with("pub"));
        let kind = words.next()?;
        let known = ["struct", "enum", "trait", "union"].contains(&kind)
            // Of a trait's types there are as many as implementations.
            || kind == "type" && !inside;
        let name = words.next().filter(|_| known)?;
        let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
        Some(name[..end.unwrap_or(name.len())].to_owned())
    });
    declared.collect()
}

#[test]
fn a_types_name_means_one_thing() {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in sources(&root()) {
        for name in types(&file) {
            places
                .entry(name)
                .or_default()
                .push(module(&file).join("::"));
        }
    }
    assert!(places.len() > 300, "{}", places.len());
    places.retain(|_, at| at.len() > 1);
    assert!(places.is_empty(), "{places:#?}");
}
