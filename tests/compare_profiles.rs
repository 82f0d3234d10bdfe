//! `cowpath compare` on profiles: on those that are published with the project.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use cowpath::profile::document::{PathSource, ProfileDocument};

use common::skip::{Need, skip};
use common::{Finished, cowpath, finish};

const COPY: &str = "reports/fault-path/copy-6.1-6.12/profile.json";
const REUSE: &str = "reports/fault-path/reuse-6.1-6.12/profile.json";

fn compare(base: &Path, new: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = cowpath(&["compare"]);
    command.arg(base).arg("--with").arg(new).args(more);
    let Finished { code, out, err } = finish(command);
    (code, out, err)
}

/// What `cowpath report` makes of a profile.
fn report(profile: &Path, out: &Path) -> Finished {
    let mut command = cowpath(&["report"]);
    command.arg(profile).arg("-o").arg(out);
    finish(command)
}

fn published(path: &str) -> ProfileDocument {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A file with what `change` makes of a published profile.
fn altered(path: &str, change: impl FnOnce(&mut ProfileDocument)) -> (tempfile::TempDir, PathBuf) {
    let mut document = published(path);
    change(&mut document);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("profile.json");
    std::fs::write(&file, serde_json::to_vec(&document).unwrap()).unwrap();
    (folder, file)
}

/// Each stack is written out with all names above it: a small file can ask for very much.
#[test]
fn stacks_that_would_fill_the_memory_are_refused() {
    let text = std::fs::read_to_string(COPY).unwrap();
    let mut tree: serde_json::Value = serde_json::from_str(&text).unwrap();
    let node = |children: Vec<serde_json::Value>| {
        serde_json::json!({
            "function": "f".repeat(8 << 10), "entered": "call", "at": 0, "own": 1, "total": 1, "phase": "",
            "children": children
        })
    };
    let mut leaf = node(Vec::new());
    leaf["function"] = "leaf".into();
    let deep = (0..40).fold(vec![leaf; 2_000], |children, _| vec![node(children)]);
    tree["profiles"][0]["paths"][0]["tree"] = deep.into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.json");
    std::fs::write(&path, tree.to_string()).unwrap();
    let out = folder.path().join("page");
    let done = report(&path, &out);
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("written out");
}

#[test]
fn a_profile_that_is_cut_short_is_called_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.json");
    let text = std::fs::read_to_string(COPY).unwrap();
    std::fs::write(&path, &text[..3_000]).unwrap();
    let out = folder.path().join("page");
    let done = report(&path, &out);
    assert_eq!(done.code, Some(2), "{done:?}");
    done.complains("not a profile that can be used");
    assert!(!out.exists());
}

#[test]
fn the_page_of_a_profile_is_made_anew_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page");
    let done = report(Path::new(COPY), &out);
    assert_eq!(done.code, Some(0), "{done:?}");
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    for part in [
        ": the path of a fault",
        "The usual path",
        "Call tree",
        "Functions, all their visits together",
        "By function, where figures differ",
        "data:image/svg+xml;base64,",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let written = published(out.join("profile.json").to_str().unwrap());
    assert_eq!(written.schema, cowpath::profile::document::SCHEMA);
    let text = std::fs::read_to_string(out.join("path.txt")).unwrap();
    assert!(text.contains("The usual path"), "{text}");
    let beside = finish(cowpath(&[
        "report",
        COPY,
        REUSE,
        "-o",
        out.to_str().unwrap(),
    ]));
    assert_eq!(beside.code, Some(2), "{beside:?}");
    beside.complains("a page of its own");
}

#[test]
fn two_files_differ_as_two_kernels_in_one_do() {
    let both = published(COPY);
    let (_old, base) = altered(COPY, |document| document.profiles.truncate(1));
    let (_new, new) = altered(COPY, |document| drop(document.profiles.remove(0)));
    let (code, out, err) = compare(&base, &new, &["--format", "json"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let found: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["pairs"].as_array().unwrap().len(), 1);
    assert_eq!(
        found["pairs"][0]["difference"],
        serde_json::to_value(&both.differences[0]).unwrap()
    );
    let (code, out, _) = compare(&base, &new, &[]);
    assert_eq!(code, Some(0));
    for function in ["__handle_mm_fault", "copy_mc_to_kernel"] {
        assert!(out.contains(function), "{out}");
    }
}

#[test]
fn the_gate_lets_the_same_path_pass_and_a_longer_one_not() {
    let (_old, base) = altered(COPY, |document| document.profiles.truncate(1));
    let (code, out, _) = compare(&base, &base, &["--gate", "0"]);
    assert_eq!(code, Some(0), "{out}");
    let (_new, longer) = altered(COPY, |document| {
        document.profiles.truncate(1);
        document.profiles[0].paths[0].counts.instructions += 20;
    });
    let (code, out, _) = compare(&base, &longer, &["--gate", "0.1"]);
    assert_eq!(code, Some(1), "{out}");
    assert!(
        out.contains("beyond the gate") && out.contains("FAILED"),
        "{out}"
    );
    let (code, ..) = compare(&base, &longer, &["--gate", "3"]);
    assert_eq!(code, Some(0));
}

#[test]
fn another_outcome_is_named_before_any_number() {
    let (_new, other) = altered(COPY, |document| {
        let reuse = published(REUSE).profiles.remove(0).paths[0].outcome;
        document.profiles[0].paths[0].outcome = reuse;
    });
    let (code, out, _) = compare(Path::new(COPY), &other, &[]);
    assert_eq!(code, Some(0));
    let changed = out
        .find("Changed: the usual path ends in reuse, not copy")
        .unwrap();
    assert!(changed < out.find(" instructions").unwrap(), "{out}");
}

#[test]
fn what_does_not_compare_is_refused_by_name() {
    let copy = Path::new(COPY);
    let refused = |new: &Path, reason: &str| {
        let (code, out, err) = compare(copy, new, &[]);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(reason), "{err}");
    };
    refused(Path::new(REUSE), "the scenario");
    refused(Path::new("Cargo.toml"), "not a profile");
    refused(Path::new("no-such-profile.json"), "No such file");
    let (_folder, other) = altered(COPY, |document| {
        for profile in &mut document.profiles {
            if let PathSource::Stepped(stepped) = &mut profile.evidence {
                stepped.cpu = "qemu64".into();
            }
        }
    });
    refused(&other, "--anyway");
    let (code, out, _) = compare(copy, &other, &["--anyway"]);
    assert_eq!(code, Some(0));
    assert!(out.contains("Does not compare"), "{out}");
    let (_folder, empty) = altered(COPY, |document| document.profiles.clear());
    refused(&empty, "no kernel");
    let (_folder, pathless) = altered(COPY, |document| document.profiles[0].paths.clear());
    refused(&pathless, "has no path");
    let whole = std::fs::read(COPY).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let cut = folder.path().join("cut.json");
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    refused(&cut, "EOF");
    let (code, _, err) = compare(copy, copy, &["--format", "benchstat"]);
    assert_eq!(code, Some(2), "{err}");
}

#[test]
fn a_number_that_cannot_be_is_refused_with_its_path() {
    let (_folder, beyond) = altered(COPY, |document| {
        document.profiles[1].paths[0].tree[0].children[0].own = u64::MAX;
    });
    let (code, out, err) = compare(Path::new(COPY), &beyond, &[]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    let why = "profiles[1].paths[0].tree[0].children[0].own: 18446744073709551615 is more than";
    assert!(err.contains(why) && err.lines().count() == 1, "{err}");
}

#[test]
fn a_refusal_moves_no_terminal_s_cursor() {
    let (_folder, other) = altered(COPY, |document| {
        document.scenario = "\u{1b}[2J\u{1b}]0;owned\u{7}".repeat(100);
    });
    let (code, _, err) = compare(Path::new(COPY), &other, &[]);
    assert_eq!(code, Some(2), "{err}");
    assert!(
        err.contains("the scenario") && err.contains(" [2J ]0;owned"),
        "{err:?}"
    );
    assert!(!err.trim_end().contains(char::is_control), "{err:?}");
    assert!(err.len() < 1_000, "{err}");
}

#[test]
fn a_profile_that_is_too_large_is_refused_as_such_and_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("profile.json");
    let head = br#"{"schema": "cowpath.profile/1", "version": ""#;
    std::fs::write(&path, head).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_len((256 << 20) + 1).unwrap();
    for base in [Path::new(COPY), &path] {
        let (code, _, err) = compare(base, &path, &[]);
        assert_eq!(code, Some(2), "{err}");
        let why = "not a profile that is read: it is larger than 268435456 bytes";
        assert!(err.contains(why), "{err}");
    }
}

/// A pipe can be read once: looking into it must not take the run file away.
#[test]
fn run_files_that_come_through_pipes_are_compared() {
    let script = r#""$0" compare <(cat "$1") --with <(cat "$1")"#;
    let run = "reports/kernels/6.1.0-56-cloud-amd64.1.json";
    let output = match Command::new("bash")
        .args(["-c", script, env!("CARGO_BIN_EXE_cowpath"), run])
        .output()
    {
        Ok(output) => output,
        Err(e) => {
            skip(Need::Bash, format!("bash: {e}"));
            return;
        }
    };
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
}
