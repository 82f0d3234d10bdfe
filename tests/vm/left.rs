//! What a lab leaves behind can be used as it lies there.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use cowpath::guest::transfer::Ending;

use super::bench::{Bench, stderr};

/// A run file of the corpus.
pub fn corpus(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// Every JSON file in the bench's lab, as `lab/*.json` gives them.
fn json_files(bench: &Bench) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bench.path("lab")).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|end| end == "json"))
        .collect();
    paths.sort();
    paths
}

fn cowpath(words: &[&str], paths: &[PathBuf], more: &[&Path]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cowpath"));
    command.args(words).args(paths).args(more);
    command.output().unwrap()
}

#[test]
fn a_report_and_a_comparison_take_every_json_file_of_a_lab() {
    let bench = Bench::new("cat good >$result");
    bench.message("good", Ending::Exit(0), &corpus("stores.json"));
    let output = bench.run(&[&bench.kernel("6.1.0-a"), &bench.kernel("6.1.0-b")], &[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let next = format!(
        "next: cowpath report {}/*.json",
        bench.path("lab").display()
    );
    assert!(stderr(&output).contains(&next), "{}", stderr(&output));
    let files = json_files(&bench);
    assert_eq!(files.len(), 3, "{files:?}");
    let report = cowpath(
        &["report"],
        &files,
        &[Path::new("-o"), &bench.path("report")],
    );
    assert_eq!(report.status.code(), Some(0), "{}", stderr(&report));
    assert!(
        stderr(&report).contains("lab.json: left out"),
        "{}",
        stderr(&report)
    );
    assert!(bench.path("report/index.html").exists());
    let compared = cowpath(&["compare"], &files, &[Path::new("--with"), &files[0]]);
    assert_eq!(compared.status.code(), Some(0), "{}", stderr(&compared));
}

#[test]
fn a_list_of_guests_alone_is_no_run_file() {
    let bench = Bench::new("exit 1");
    bench.run(&[&bench.kernel("6.1.0-a")], &[]);
    let files = json_files(&bench);
    let report = cowpath(
        &["report"],
        &files,
        &[Path::new("-o"), &bench.path("report")],
    );
    assert_eq!(report.status.code(), Some(2), "{}", stderr(&report));
    assert!(
        stderr(&report).contains("run files were needed"),
        "{}",
        stderr(&report)
    );
}
