//! What is refused, and in which words; and what strangers' text is shown as.

use std::path::Path;
use std::process::Command;

use cowpath::record::io::{parse, read};
use serde_json::Value;

use super::samples::{Sample, sample};
use crate::common::{Finished, PROGRAM, cowpath, finish};

/// A change of a good file and the words of its refusal.
fn refused(name: &str, alter: impl Fn(&mut Value), word: &str) {
    let good = sample(name);
    let mut tree = good.tree();
    alter(&mut tree);
    let error = parse(&good.path, &serde_json::to_vec(&tree).unwrap()).unwrap_err();
    let error = error.to_string();
    assert!(error.contains(word), "{word}: {error}");
}

#[test]
fn a_rule_that_is_there_twice_is_refused() {
    refused(
        "held.json",
        |t| t["config"]["strategies"] = Value::from(vec!["never", "stock", "never"]),
        "config.strategies[2]: never is there twice",
    );
}

/// Runs the program with so many MiB of address space.
fn with_memory(mib: u32, args: &[&str]) -> Finished {
    let mut command = Command::new("sh");
    command
        .args([
            "-c",
            &format!("ulimit -v {}; exec \"$@\"", mib << 10),
            "sh",
            PROGRAM,
        ])
        .args(args);
    finish(command)
}

#[test]
fn threads_that_cannot_be_are_refused_in_a_line_and_in_little_memory() {
    let mut tree = sample("contention.json").tree();
    let last = tree["results"].as_array().unwrap().len() - 1;
    assert_eq!(tree["results"][last]["scenario"], "contention/sweep");
    tree["results"][last]["threads"] = u32::MAX.into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.json");
    std::fs::write(&path, serde_json::to_vec(&tree).unwrap()).unwrap();
    let out = folder.path().join("report");
    let done = with_memory(
        100,
        &[
            "report",
            path.to_str().unwrap(),
            "-o",
            out.to_str().unwrap(),
        ],
    );
    assert_eq!(done.code, Some(2), "{done:?}");
    let why = format!("results[{last}].threads: 4294967295 is more than 4096");
    assert!(
        done.err.contains(&why) && done.err.lines().count() == 1,
        "{done:?}"
    );
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn files_that_hold_too_much_together_are_refused() {
    let mut tree = sample("held.json").tree();
    tree["results"][0]["held"]["pages"] = (1u64 << 48).into();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    std::fs::write(&path, serde_json::to_vec(&tree).unwrap()).unwrap();
    let out = folder.path().join("report");
    let mut command = cowpath(&["report", "-o", out.to_str().unwrap()]);
    command.args([&path; 9]);
    let done = finish(command);
    assert_eq!(done.code, Some(2), "{done:?}");
    let why = "results[0].held.pages: 2533274790395904 is more than 281474976710656 of the runs";
    done.complains(why);
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
        "held.json",
        |t| t["results"][0]["held"]["pages"] = u64::MAX.into(),
        "results[0].held.pages: 18446744073709551615 is more than 281474976710656",
    );
    refused(
        "sweep.json",
        |t| t["staged"][0]["sweep"]["pruned"][0]["count"] = u64::MAX.into(),
        "staged[0].sweep.pruned[0].count: 18446744073709551615 is more than",
    );
    refused(
        "stores.json",
        |t| t["results"][1]["integrity"]["checked"] = u64::MAX.into(),
        "results[1].integrity.checked: 18446744073709551615 is more than 281474976710656",
    );
}

#[test]
fn nesting_that_would_exhaust_the_stack_is_refused() {
    for (open, why) in [("[", "missing"), ("{\"schema\":", "recursion limit")] {
        let text = open.repeat(200_000);
        let error = parse(Path::new("deep.json"), text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    let Sample { path, text } = sample("stores.json");
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
    let mut tree = sample("stores.json").tree();
    let script = "<script>alert(1)</script>{{ 7 * 7 }}\u{1b}[2J";
    for key in ["id", "started", "finished"] {
        tree[key] = script.into();
    }
    for key in ["cpu", "virtualization", "arch"] {
        tree["host"][key] = script.into();
    }
    tree["host"]["kernel"]["release"] = script.into();
    tree["results"][0]["scenario"] = format!("x/{script}").into();
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
