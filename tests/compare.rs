//! `cowpath compare` as its users and their scripts meet it: what it says, what it refuses, how it exits.

mod common;
#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::path::{Path, PathBuf};

use common::{Finished, cowpath, finish};
use cowpath::record::clock::ClockSource;
use cowpath::record::io::write;
use cowpath::record::outcome::{Outcome, Tally};
use cowpath::record::schema::RunFile;
use cowpath::record::unit::Unit;
use fixture::Fixture;

/// Run files in a folder that lives as long as this.
struct Files {
    folder: tempfile::TempDir,
    random: fastrand::Rng,
    next: u32,
}

impl Files {
    fn new() -> Files {
        Files {
            folder: tempfile::tempdir().unwrap(),
            random: fastrand::Rng::with_seed(3),
            next: 0,
        }
    }

    /// Writes `run` as it is.
    fn keep(&mut self, run: &RunFile) -> PathBuf {
        self.next += 1;
        let path = self.folder.path().join(format!("{}.json", self.next));
        write(&path, run).unwrap();
        path
    }

    /// Writes `run` with every repetition's figures as another measurement of the same would have them: within
    /// `spread` of those of the kind, times `factor`.
    fn measure(&mut self, run: &RunFile, factor: f64, spread: f64) -> PathBuf {
        let mut run = run.clone();
        for measured in &mut run.results {
            let level = 1.0 + spread * (self.random.f64() - 0.5);
            for repetition in &mut measured.repetitions {
                for latency in repetition.by_outcome.values_mut() {
                    let by = factor * level * (1.0 + spread * (self.random.f64() - 0.5));
                    let scaled = |v: u64| (v as f64 * by).round() as u64;
                    latency.p50 = scaled(latency.p50);
                    latency.p90 = scaled(latency.p90);
                    latency.p99 = scaled(latency.p99);
                    latency.mean *= by;
                }
            }
        }
        self.keep(&run)
    }

    fn several(&mut self, run: &RunFile, factor: f64, n: usize) -> Vec<PathBuf> {
        (0..n).map(|_| self.measure(run, factor, 0.02)).collect()
    }
}

fn compare<P: AsRef<Path>>(base: &[P], new: &[P], more: &[&str]) -> Finished {
    let mut command = cowpath(&["compare"]);
    command.args(base.iter().map(|p| p.as_ref()));
    command.arg("--with").args(new.iter().map(|p| p.as_ref()));
    command.args(more);
    finish(command)
}

/// The line of a table that speaks of `what`.
fn line<'a>(text: &'a str, what: &str) -> &'a str {
    let found = text.lines().find(|line| line.starts_with(what));
    found.unwrap_or_else(|| panic!("nothing on {what} in:\n{text}"))
}

/// The last column of the table's line on `scenario`.
fn verdict<'a>(found: &'a Finished, scenario: &str) -> &'a str {
    let cells = line(&found.out, scenario).trim_end();
    cells.rsplit("  ").next().unwrap_or_default()
}

/// Two situations and, if asked for, the control.
fn situations(control: bool) -> RunFile {
    let mut fixture = Fixture::new("6.18.0");
    fixture.measure("reuse/child-exited", Outcome::Reuse, 700.0, Unit::Ns);
    fixture.measure("copy/child-alive", Outcome::Copy, 1_700.0, Unit::Ns);
    if control {
        fixture.measure("control/no-fault", Outcome::NoFault, 300.0, Unit::Ns);
    }
    fixture.run
}

fn boots(instructions: u64) -> RunFile {
    let mut fixture = Fixture::new("6.12.0");
    let measured = fixture.measure(
        "reuse/child-exited",
        Outcome::Reuse,
        1_608.0,
        Unit::Instructions,
    );
    for repetition in &mut measured.repetitions {
        for latency in repetition.by_outcome.values_mut() {
            latency.p50 = instructions;
        }
    }
    fixture.run.host.virtualization = "exact".into();
    fixture.run
}

#[test]
fn a_slow_down_is_found_and_a_gate_stops_it() {
    let mut files = Files::new();
    let run = situations(false);
    let (base, new) = (files.several(&run, 1.0, 3), files.several(&run, 1.2, 3));
    let found = compare(&base, &new, &[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    for scenario in ["reuse/child-exited", "copy/child-alive"] {
        assert_eq!(verdict(&found, scenario), "slower", "{}", found.out);
    }
    let gated = compare(&base, &new, &["--gate", "3"]);
    assert_eq!(gated.code, Some(1), "{gated:?}");
    gated.tells("gate: FAILED: 2 of the primary rows");
    gated.tells("no control scenario");
    let back = compare(&new, &base, &["--gate", "3"]);
    assert_eq!(
        back.code,
        Some(0),
        "getting faster is no regression: {back:?}"
    );
    assert_eq!(verdict(&back, "copy/child-alive"), "faster", "{}", back.out);
    let allowed = compare(&base, &new, &["--gate", "25"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
}

#[test]
fn a_case_whose_page_state_is_another_one_on_either_side_has_no_row() {
    let mut files = Files::new();
    let mut run = situations(false);
    let on = |run: &mut RunFile, state: &str| {
        run.results[0].setup.state = vec![state.to_owned()];
    };
    on(&mut run, "swap in a file");
    let base = files.several(&run, 1.0, 3);
    on(&mut run, "swap on zram");
    let new = files.several(&run, 2.0, 3);
    let found = compare(&base, &new, &["--gate", "3"]);
    let words = "not compared: reuse/child-exited: base has swap in a file, new swap on zram";
    found.tells(words);
    found.tells("gate: FAILED: 1 of the primary rows");
    let anyway = compare(&base, &new, &["--anyway"]);
    assert_eq!(
        verdict(&anyway, "reuse/child-exited"),
        "slower",
        "{}",
        anyway.out
    );
}

/// A reuse that has become a copy has no row of its own, and is not let pass for that.
#[test]
fn a_gate_does_not_pass_what_it_cannot_judge() {
    let mut files = Files::new();
    let before = with_control(30.0, 700.0, 2_520.0);
    let mut fixture = Fixture::new("6.18.0");
    fixture.measure("reuse/child-exited", Outcome::Copy, 2_500.0, Unit::Ns);
    fixture.measure("copy/child-alive", Outcome::Copy, 2_520.0, Unit::Ns);
    fixture.measure("control/no-fault", Outcome::NoFault, 30.0, Unit::Ns);
    let (base, new) = (
        files.several(&before, 1.0, 5),
        files.several(&fixture.run, 1.0, 5),
    );
    let found = compare(&base, &new, &["--gate", "10"]);
    assert_eq!(found.code, Some(5), "{found:?}");
    found.tells("undecided: reuse/child-exited: no row");
}

#[test]
fn the_same_kernel_passes_the_gate_and_is_called_the_same() {
    let mut files = Files::new();
    let run = situations(true);
    let (base, new) = (files.several(&run, 1.0, 5), files.several(&run, 1.0, 5));
    let found = compare(&base, &new, &["--gate", "5"]);
    assert_eq!(found.code, Some(0), "{found:?}");
    found.tells("0 slower, 0 faster");
    assert_eq!(verdict(&found, "copy/child-alive"), "same", "{}", found.out);
    found.tells("gate: passed");
}

/// A store that does not fault and two that do, in ns.
fn with_control(control: f64, reuse: f64, copy: f64) -> RunFile {
    let mut fixture = Fixture::new("6.18.0");
    fixture.measure("reuse/child-exited", Outcome::Reuse, reuse, Unit::Ns);
    fixture.measure("copy/child-alive", Outcome::Copy, copy, Unit::Ns);
    fixture.measure("control/no-fault", Outcome::NoFault, control, Unit::Ns);
    fixture.run
}

#[test]
fn a_control_that_moved_excuses_no_regression() {
    let mut files = Files::new();
    let (before, after) = (
        with_control(30.0, 700.0, 2_520.0),
        with_control(45.0, 1_050.0, 3_780.0),
    );
    let (base, new) = (
        files.several(&before, 1.0, 4),
        files.several(&after, 1.0, 4),
    );
    let found = compare(&base, &new, &["--gate", "3"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    found.tells("gate: FAILED: 2 of the primary rows");
    found.tells("the control scenario moved by");
}

#[test]
fn what_is_slower_by_what_the_control_moved_is_to_be_measured_again() {
    let mut files = Files::new();
    let (before, after) = (
        with_control(30.0, 700.0, 2_520.0),
        with_control(90.0, 760.0, 2_580.0),
    );
    let (base, new) = (
        files.several(&before, 1.0, 5),
        files.several(&after, 1.0, 5),
    );
    let found = compare(&base, &new, &["--gate", "5"]);
    assert_eq!(found.code, Some(5), "{found:?}");
    found.tells("gate: MEASURE AGAIN: 1 of the primary rows");
    found.tells("undecided: reuse/child-exited");
}

/// A machine whose tail has grown longer has the same median: a figure is looked at with the control's own.
#[test]
fn each_figure_is_looked_at_with_what_the_control_moved_by_in_it() {
    let mut files = Files::new();
    let mut longer = with_control(300.0, 700.0, 2_520.0);
    let mut usual = longer.clone();
    for (run, more) in [(&mut usual, 0), (&mut longer, 400)] {
        for repetition in run.results.iter_mut().flat_map(|m| &mut m.repetitions) {
            for latency in repetition.by_outcome.values_mut() {
                latency.p99 = 2 * latency.p50 + more;
            }
        }
    }
    let (base, new) = (
        files.several(&usual, 1.0, 5),
        files.several(&longer, 1.0, 5),
    );
    let found = compare(&base, &new, &["--quantile", "p50,p99", "--gate", "5"]);
    assert_eq!(found.code, Some(5), "{found:?}");
    found.tells("undecided: reuse/child-exited, reuse, p99");
}

#[test]
fn one_run_a_side_has_no_verdict_unless_it_is_known_how_far_runs_lie_apart() {
    let mut files = Files::new();
    let run = situations(false);
    let base = files.several(&run, 1.0, 1);
    let much = files.several(&run, 1.4, 1);
    let found = compare(&base, &much, &["--gate", "3"]);
    assert_eq!(found.code, Some(5), "{found:?}");
    assert_eq!(
        verdict(&found, "copy/child-alive"),
        "can't tell",
        "{}",
        found.out
    );
    found.tells("a side has one run");
    let found = compare(&base, &much, &["--between-runs", "2"]);
    assert_eq!(
        verdict(&found, "copy/child-alive"),
        "slower",
        "{}",
        found.out
    );
    let found = compare(&base, &much, &["--between-runs", "30"]);
    assert_eq!(
        verdict(&found, "copy/child-alive"),
        "can't tell",
        "{}",
        found.out
    );
    // The same from several runs of this machine.
    let profile = files.folder.path().join("noise.json");
    let mut command = cowpath(&["noise", "-o", profile.to_str().unwrap()]);
    command.args(files.several(&run, 1.0, 5));
    let made = finish(command);
    assert_eq!(made.code, Some(0), "{made:?}");
    made.tells("How far 5 runs of the same lie apart");
    let found = compare(&base, &much, &["--noise", profile.to_str().unwrap()]);
    assert_eq!(
        verdict(&found, "copy/child-alive"),
        "slower",
        "{}",
        found.out
    );
    let mut other = run.clone();
    other.host.cpu = "Another CPU".into();
    let elsewhere = files.several(&other, 1.0, 1);
    let found = compare(
        &elsewhere,
        &elsewhere,
        &["--noise", profile.to_str().unwrap()],
    );
    assert_eq!(found.code, Some(2), "{found:?}");
    found.complains("CPU model of the noise profile");
}

#[test]
fn one_run_makes_no_noise_profile_and_no_other_file_is_one() {
    let mut files = Files::new();
    let run = situations(false);
    let path = files.keep(&run);
    let found = finish({
        let mut command = cowpath(&["noise"]);
        command.arg(&path);
        command
    });
    assert_eq!(found.code, Some(2), "{found:?}");
    found.complains("one run cannot tell");
    let found = compare(&[&path], &[&path], &["--noise", path.to_str().unwrap()]);
    assert_eq!(found.code, Some(2), "{found:?}");
    found.complains("no file of `cowpath noise`");
}

/// Runs of a catalogue are about a few rows; the rest is marked, and no gate looks at it.
#[test]
fn rows_that_nobody_asked_for_are_exploratory() {
    let mut files = Files::new();
    let measured = |reuse: f64| {
        let mut fixture = Fixture::new("6.18.0");
        fixture.measure("copy/child-alive", Outcome::Copy, 1_700.0, Unit::Ns);
        fixture.measure("ksm/two-mappers", Outcome::Copy, reuse, Unit::Ns);
        fixture.run
    };
    let (base, new) = (
        files.several(&measured(700.0), 1.0, 4),
        files.several(&measured(1_400.0), 1.0, 4),
    );
    let found = compare(&base, &new, &["--gate", "8"]);
    assert_eq!(found.code, Some(0), "{found:?}");
    assert_eq!(
        verdict(&found, "ksm/two-mappers"),
        "~ slower",
        "{}",
        found.out
    );
    found.tells("1 rows are exploratory");
    let mail = compare(&base, &new, &["--format", "lkml"]);
    assert!(
        line(&mail.out, "ksm/two-mappers").ends_with(" ~slower"),
        "{}",
        mail.out
    );
    mail.tells("~: exploratory");
    let found = compare(&base, &new, &["--gate", "8", "--primary", "ksm/*,copy/*"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert_eq!(
        verdict(&found, "ksm/two-mappers"),
        "slower",
        "{}",
        found.out
    );
    for (glob, why) in [
        ("ksm/[", "--primary ksm/["),
        ("swap/*", "no row of both sides"),
    ] {
        let wrong = compare(&base, &new, &["--primary", glob]);
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        wrong.complains(why);
    }
}

#[test]
fn runs_that_took_turns_are_compared_pair_by_pair() {
    let mut files = Files::new();
    let run = situations(false);
    let mut sides = [Vec::new(), Vec::new()];
    for n in 0..8 {
        // A B B A, and a machine that becomes slower all the time.
        let new = usize::from(matches!(n % 4, 1 | 2));
        let mut run = run.clone();
        run.started = format!("2026-11-27T10:{n:02}:00Z");
        let factor = (1.0 + 0.1 * f64::from(n)) * [1.0, 1.3][new];
        sides[new].push(files.measure(&run, factor, 0.001));
    }
    let [base, new] = sides;
    let found = compare(&base, &new, &[]);
    found.tells("runs took turns: compared pair by pair");
    assert_eq!(
        verdict(&found, "copy/child-alive"),
        "slower",
        "{}",
        found.out
    );
}

/// One table, whoever prints it.
#[test]
fn the_page_and_the_terminal_say_the_same_under_the_same_options() {
    let mut files = Files::new();
    let run = situations(true);
    let (base, new) = (files.several(&run, 1.0, 3), files.several(&run, 1.04, 3));
    let options = [
        "--same",
        "20",
        "--quantile",
        "p99",
        "--primary",
        "copy/*",
        "--gate",
        "50",
    ];
    let terminal = compare(&base, &new, &[&["--format", "json"], &options[..]].concat());
    let rows: serde_json::Value = serde_json::from_str(&terminal.out).unwrap();
    let folder = files.folder.path().join("page");
    let mut command = cowpath(&["report"]);
    command.args(&base).arg("--with").args(&new).args(options);
    command.arg("-o").arg(&folder);
    let made = finish(command);
    assert_eq!(made.code, terminal.code, "{made:?}");
    let page = std::fs::read_to_string(folder.join("index.html")).unwrap();
    let summary = std::fs::read_to_string(folder.join("summary.md")).unwrap();
    for row in rows["rows"].as_array().unwrap() {
        let ratio = format!("{:.3}", row["effect"]["change"].as_f64().unwrap());
        assert!(
            page.contains(&ratio) && summary.contains(&ratio),
            "{ratio}: {row}"
        );
        let label = format!(
            "{}, {}, p99",
            row["scenario"].as_str().unwrap(),
            row["outcome"].as_str().unwrap().replace('_', " ")
        );
        assert!(page.replace("&#x2f;", "/").contains(&label), "{label}");
    }
    assert!(page.contains("within 20.0 %") && page.contains("gate: passed"));
}

#[test]
fn twenty_instructions_are_found_with_two_boots_a_side() {
    let mut files = Files::new();
    let side = |files: &mut Files, counts: [u64; 2]| counts.map(|n| files.keep(&boots(n)));
    let (base, new) = (
        side(&mut files, [1_608, 1_608]),
        side(&mut files, [1_628, 1_628]),
    );
    let found = compare(&base, &new, &["--gate", "1"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    found.tells("executed instructions");
    assert_eq!(
        verdict(&found, "reuse/child-exited"),
        "slower",
        "{}",
        found.out
    );
    let boots_apart = side(&mut files, [1_605, 1_612]);
    let found = compare(&base, &boots_apart, &[]);
    assert_eq!(
        verdict(&found, "reuse/child-exited"),
        "same",
        "{}",
        found.out
    );
    found.tells("WARNING: boots of one side, which should say the same, differ");
    // One boot says nothing about boots: a few instructions may be its own.
    let found = compare(&base[..1], &[files.keep(&boots(1_713))], &[]);
    assert_eq!(
        verdict(&found, "reuse/child-exited"),
        "can't tell",
        "{}",
        found.out
    );
}

/// Of published boots and a published profile of the same kernels.
#[test]
fn a_difference_of_instructions_is_told_by_phase_where_a_profile_has_both_paths() {
    let published = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports");
    let boots = |version: &str| -> Vec<PathBuf> {
        let files = std::fs::read_dir(published.join("kernels")).unwrap();
        let paths = files.flatten().map(|entry| entry.path());
        let is = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with(version) && name.ends_with(".json")
        };
        paths.filter(is).collect()
    };
    let profile = published.join("fault-path/reuse-6.1-6.12/profile.json");
    let paths = ["--paths", profile.to_str().unwrap()];
    let found = compare(&boots("6.1."), &boots("6.12."), &paths);
    assert_eq!(found.code, Some(0), "{found:?}");
    found.tells(
        "path of reuse/child-exited, reuse, by phase: exception entry +2, VMA lookup and locks -55",
    );
    found.tells("+113 in all (measured: +");
    let other = compare(&boots("6.12."), &boots("7.2."), &paths);
    assert!(!other.out.contains("by phase"), "{}", other.out);
    let run = compare(&boots("6.1."), &boots("6.12."), &["--paths", "/dev/null"]);
    assert_eq!(run.code, Some(2), "{run:?}");
}

#[test]
fn what_does_not_compare_is_refused_by_name_and_marked_where_it_is_compared_anyway() {
    let mut files = Files::new();
    let run = situations(false);
    let base = files.several(&run, 1.0, 1);
    let alter = |change: fn(&mut RunFile)| {
        let mut run = run.clone();
        change(&mut run);
        run
    };
    let cases: [(&str, RunFile); 5] = [
        (
            "CPU model",
            alter(|run| run.host.cpu = "Another CPU".into()),
        ),
        (
            "virtualization",
            alter(|run| run.host.virtualization = "none".into()),
        ),
        (
            "clock",
            alter(|run| run.clock.source = ClockSource::MonotonicRaw),
        ),
        (
            "pages of reuse/child-exited",
            alter(|run| run.results[0].pages = 64),
        ),
        ("unit", boots(1_608)),
    ];
    for (name, other) in cases {
        let new = [files.keep(&other)];
        let found = compare(&base, &new, &[]);
        assert_eq!(found.code, Some(2), "{name}: {found:?}");
        assert!(
            found.err.contains(name) && found.err.contains("--anyway"),
            "{name}: {}",
            found.err
        );
        assert_eq!(found.err.trim_end().lines().count(), 1, "{}", found.err);
        let found = compare(&base, &new, &["--anyway"]);
        assert_eq!(found.code, Some(0), "{name}: {found:?}");
        found.tells("DOES NOT COMPARE");
        let mail = compare(&base, &new, &["--anyway", "--format", "lkml"]);
        assert!(
            mail.out.contains("DOES NOT COMPARE") || mail.out.contains("Nothing compares"),
            "{}",
            mail.out
        );
    }
    // Instructions are never set beside nanoseconds, asked for or not.
    let found = compare(&base, &[files.keep(&boots(1_608))], &["--anyway"]);
    assert!(!found.out.contains("ratio"), "{}", found.out);
}

#[test]
fn a_side_of_two_kernels_is_refused() {
    let mut files = Files::new();
    let run = situations(false);
    let mut other = run.clone();
    other.host.kernel.release = "6.1.0".into();
    let (one, two) = (files.keep(&run), files.keep(&other));
    let found = compare(&[one.clone(), two], &[one.clone(), one], &[]);
    assert_eq!(found.code, Some(2), "{found:?}");
    found.complains("kernel within the base side");
}

#[test]
fn what_changed_is_said_before_any_number() {
    let mut files = Files::new();
    let run = situations(false);
    let mut other = run.clone();
    other.host.kernel.release = "6.19.0".into();
    other.results[0].setup.by = vec!["uffd-wp async".into()];
    other.results[1].outcomes = Tally {
        copy: 32_000,
        reuse: 32_000,
        ..Tally::default()
    };
    let copies = other.results[1].latency[&Outcome::Copy].clone();
    let halved = cowpath::record::latency::decode(&copies).unwrap();
    let mut half = cowpath::record::latency::histogram();
    half.record_n(halved.value_at_quantile(0.5), 32_000)
        .unwrap();
    let half = cowpath::record::latency::latency_of(&half, Unit::Ns);
    other.results[1].latency = [(Outcome::Copy, half.clone()), (Outcome::Reuse, half)].into();
    for repetition in &mut other.results[1].repetitions {
        repetition.outcomes = Tally {
            copy: 4_000,
            reuse: 4_000,
            ..Tally::default()
        };
    }
    let (base, new) = (files.keep(&run), files.keep(&other));
    let found = compare(&[base], &[new], &[]);
    assert_eq!(found.code, Some(0), "{found:?}");
    let table = found.out.find("ratio [decides]").unwrap();
    for change in [
        "changed: kernel: 6.18.0 -> 6.19.0",
        "changed: set-up of reuse/child-exited: means: fork -> uffd-wp async",
        "changed: outcome of copy/child-alive: copy: 100 % -> 50.00 %",
    ] {
        let at = found.out.find(change);
        assert!(at.is_some_and(|at| at < table), "{change}: {}", found.out);
    }
}

#[test]
fn sides_without_a_common_scenario_and_files_that_cannot_be_read_exit_with_2() {
    let mut files = Files::new();
    let mut other = Fixture::new("6.18.0");
    other.measure("touch/zero-fill", Outcome::Fill, 900.0, Unit::Ns);
    let (base, new) = (files.keep(&situations(false)), files.keep(&other.run));
    let found = compare(&[&base], &[&new], &[]);
    assert_eq!(found.code, Some(2), "{found:?}");
    found.complains("no scenario");
    let found = compare(&[base.as_path()], &[Path::new("/nowhere.json")], &[]);
    assert_eq!(found.code, Some(2));
    found.complains("/nowhere.json");
}

#[test]
fn the_same_files_give_the_same_figures_and_json_holds_them() {
    let mut files = Files::new();
    let run = situations(false);
    let (base, new) = (files.several(&run, 1.0, 2), files.several(&run, 1.1, 2));
    let json = |more: &[&str]| compare(&base, &new, &[&["--format", "json"], more].concat()).out;
    assert_eq!(json(&[]), json(&[]));
    let read: serde_json::Value =
        serde_json::from_str(&json(&["--quantile", "p50,p90,p99,mean"])).unwrap();
    assert_eq!(read["schema"], "cowpath.compare/2");
    let rows = read["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    for row in rows {
        let [low, high] = [0, 1].map(|end| row["effect"]["interval"][end].as_f64().unwrap());
        let plain = [0, 1].map(|end| row["effect"]["plain"][end].as_f64().unwrap());
        let ratio = row["effect"]["change"].as_f64().unwrap();
        assert!(low <= ratio && ratio <= high, "{row}");
        assert!(low <= plain[0] && plain[1] <= high, "{row}");
    }
}

/// The format: https://go.dev/design/14313-benchmark-format.
#[test]
fn the_benchmark_format_is_gos() {
    let mut files = Files::new();
    let run = situations(false);
    let (base, new) = (files.several(&run, 1.0, 2), files.several(&run, 1.1, 1));
    let text = compare(
        &base,
        &new,
        &["--format", "benchstat", "--quantile", "p50,p99"],
    )
    .out;
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("Benchmark"))
        .collect();
    assert_eq!(lines.len(), 3 * 2 * 8, "a line a repetition");
    for line in &lines {
        let words: Vec<&str> = line.split(' ').collect();
        assert_eq!(
            (words.len(), words[3], words[5]),
            (6, "p50-ns", "p99-ns"),
            "{line}"
        );
        assert!(
            words[1].parse::<u64>().is_ok() && words[2].parse::<f64>().is_ok(),
            "{line}"
        );
    }
    let sides: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("side: "))
        .collect();
    assert_eq!(sides, ["side: base", "side: new"]);
}

#[test]
fn hostile_names_neither_move_the_cursor_nor_break_the_table() {
    let mut files = Files::new();
    let mut run = situations(false);
    run.results[0].scenario = "reuse/\u{1b}[2J|<script>alert(1)</script>".into();
    run.host.kernel.release = "6.18\u{7}\n| x |".into();
    let path = files.keep(&run);
    for format in ["table", "markdown", "benchstat"] {
        let found = compare(&[&path], &[&path], &["--format", format]);
        assert_eq!(found.code, Some(0), "{found:?}");
        let control = found.out.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{format}: {}", found.out);
    }
    let found = compare(&[&path], &[&path], &["--format", "markdown"]).out;
    let rows = found
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains("reuse"));
    for row in rows {
        assert_eq!(row.replace("\\|", "").matches('|').count(), 11, "{row}");
        assert!(!row.replace("\\<", "").contains('<'), "{row}");
    }
}
