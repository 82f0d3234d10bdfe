//! Laws: lines through scenarios that differ in one number alone, and the families of processes and VMAs that they count.

mod common;

use common::{cowpath, finish, load, no_root};

/// A run of `globs` on a few pages, six times over; its output and file.
fn run(
    globs: &[&str],
    folder: &tempfile::TempDir,
) -> (common::Finished, cowpath::record::schema::RunFile) {
    let path = folder.path().join("r.json");
    let mut run = cowpath(&["run"]);
    run.args(globs)
        .args(["--pages", "32", "--trials", "2", "--reps", "6", "-o"])
        .arg(&path);
    let run = finish(run);
    assert_eq!(run.code, Some(0), "{run:?}");
    let file = load(&path);
    (run, file)
}

#[test]
fn a_line_of_processes_gives_a_law_in_the_terminal_and_in_the_report() {
    if no_root("how often pages are mapped cannot be proven") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (run, file) = run(
        &[
            "rmap/copy-depth-1",
            "rmap/copy-depth-8",
            "rmap/copy-depth-32",
        ],
        &folder,
    );
    for measured in &file.results {
        assert_eq!(measured.agrees(), Some(true), "{}", measured.scenario);
    }
    let row = run
        .out
        .lines()
        .find(|line| line.starts_with("rmap/copy-depth "))
        .unwrap();
    assert!(row.contains("generation") && row.contains(" ns"), "{row}");
    let report = folder.path().join("report");
    let mut publish = cowpath(&["report"]);
    publish
        .arg(folder.path().join("r.json"))
        .arg("-o")
        .arg(&report);
    assert_eq!(finish(publish).code, Some(0));
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("What each further one adds") && page.contains("rmap/copy-depth"));
}

#[test]
fn the_youngest_of_a_family_forks_and_nobody_of_it_is_left() {
    if no_root("how often pages are mapped cannot be proven") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (run, file) = run(
        &[
            "rmap/fork-tree-4x4",
            "rmap/fork-vmas-1",
            "rmap/fork-vmas-64",
        ],
        &folder,
    );
    for measured in &file.results {
        let difference = measured.difference.as_ref().expect("it is a difference");
        assert_eq!(difference.count, 6, "{}", measured.scenario);
        assert_eq!(measured.integrity.violations, 0, "{}", measured.scenario);
    }
    run.tells("rmap/fork-vmas");
}

#[test]
fn what_is_long_is_run_by_name_alone() {
    let list = finish(cowpath(&["list", "rmap/copy-depth-8"]));
    list.tells("by name alone");
    list.tells("rmap/copy-depth, generation 8");
}
