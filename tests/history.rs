//! The history of many kernels: what is called a step, how often that is wrong, and what its page shows.

#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use cowpath::compare::history::{self, History, StepKind};
use cowpath::compare::options::{Options, PathChange};
use cowpath::compare::side::Side;
use cowpath::record::clock::ClockSource;
use cowpath::record::outcome::Outcome;
use cowpath::record::schema::RunFile;
use cowpath::record::unit::Unit;
use cowpath::report::format::slug;
use cowpath::report::{Across, write_across};
use fixture::Fixture;

const KERNELS: usize = 12;
const CASES: [&str; 6] = [
    "control/no-fault",
    "touch/zero-fill",
    "reuse/child-exited",
    "reuse/last-mapper",
    "copy/child-alive",
    "copy/in-child",
];

fn release(kernel: usize) -> String {
    format!("6.{kernel}.1-test")
}

/// A run of a kernel whose cases all take `level`, in instructions or in ns.
fn run(kernel: usize, unit: Unit, level: f64) -> RunFile {
    let mut fixture = Fixture::new(&release(kernel));
    for (nth, case) in CASES.into_iter().enumerate() {
        let outcome = match case.split_once('/').unwrap().0 {
            "control" => Outcome::NoFault,
            "touch" => Outcome::Fill,
            "reuse" => Outcome::Reuse,
            _ => Outcome::Copy,
        };
        fixture.measure(case, outcome, level * (nth + 1) as f64, unit);
    }
    let mut run = fixture.run;
    if unit == Unit::Instructions {
        run.host.virtualization = "exact".into();
        run.clock.source = ClockSource::Tsc;
    }
    run.id = format!("{kernel}-{level}");
    run
}

/// The same run again: every case's repetitions by `factor` of their own, times what the boot has in common.
fn again(run: &RunFile, mut factor: impl FnMut(usize) -> f64) -> RunFile {
    let mut run = run.clone();
    for (nth, measured) in run.results.iter_mut().enumerate() {
        let by = factor(nth);
        for repetition in &mut measured.repetitions {
            for latency in repetition.by_outcome.values_mut() {
                latency.p50 = (latency.p50 as f64 * by).round() as u64;
            }
        }
    }
    run
}

fn side(runs: &[RunFile]) -> Side {
    let mut side = Side::default();
    runs.iter().for_each(|run| side.add(run));
    side
}

fn history(sides: &[Side]) -> History {
    history::history(&sides.iter().collect::<Vec<_>>(), &Options::default())
}

fn steps(history: &History) -> Vec<(String, usize, f64)> {
    let mut found = Vec::new();
    for line in &history.lines {
        for (at, point) in line.points.iter().enumerate() {
            let step = point.as_ref().and_then(|point| point.step.as_ref());
            if let Some(effect) = step.and_then(|step| step.moved()) {
                found.push((line.case.scenario.clone(), at, effect.change));
            }
        }
    }
    found
}

/// A normal number, as the sum of twelve uniform ones.
fn normal(random: &mut fastrand::Rng) -> f64 {
    (0..12).map(|_| random.f64()).sum::<f64>() - 6.0
}

#[test]
fn a_quiet_history_has_a_step_in_no_more_than_one_of_twenty() {
    const HISTORIES: usize = 100;
    const BOOTS: usize = 3;
    let mut random = fastrand::Rng::with_seed(20);
    let kernels: Vec<RunFile> = (0..KERNELS).map(|n| run(n, Unit::Ns, 4_000.0)).collect();
    let mut wrong = 0;
    for _ in 0..HISTORIES {
        let sides = kernels.iter().map(|kernel| {
            let boots = (0..BOOTS).map(|_| {
                let boot = 0.01 * normal(&mut random);
                again(kernel, |_| (boot + 0.02 * normal(&mut random)).exp())
            });
            side(&boots.collect::<Vec<_>>())
        });
        let sides: Vec<Side> = sides.collect();
        let history = history(&sides);
        assert_eq!(history.judged, CASES.len() * (KERNELS - 1));
        wrong += usize::from(!steps(&history).is_empty());
    }
    println!("{wrong} of {HISTORIES} quiet histories have a step");
    assert!(
        wrong <= HISTORIES / 20,
        "{wrong} of {HISTORIES} quiet histories have a step"
    );
}

#[test]
fn a_step_of_one_per_cent_is_found_in_instructions_where_it_is_and_nowhere_else() {
    const AT: usize = 7;
    let sides: Vec<Side> = (0..KERNELS)
        .map(|kernel| {
            let one = run(0, Unit::Instructions, 4_000.0);
            let mut one = again(
                &one,
                |nth| {
                    if kernel >= AT && nth == 4 { 1.01 } else { 1.0 }
                },
            );
            one.host.kernel.release = release(kernel);
            side(&[one.clone(), one])
        })
        .collect();
    let found = steps(&history(&sides));
    assert_eq!(found.len(), 1, "{found:?}");
    let (scenario, at, change) = &found[0];
    assert_eq!((scenario.as_str(), *at), ("copy/child-alive", AT));
    assert!((change - 1.01).abs() < 0.001, "{change}");
}

#[test]
fn what_came_to_something_else_or_was_measured_elsewhere_is_no_step() {
    let mut runs: Vec<RunFile> = (0..4)
        .map(|n| run(n, Unit::Instructions, 4_000.0))
        .collect();
    // From the third kernel on a reuse is a copy; the second lacks a case; the fourth was measured elsewhere.
    for late in &mut runs[2..] {
        let copied = late.results[4].clone();
        let reuse = &mut late.results[2];
        let (scenario, expected) = (reuse.scenario.clone(), reuse.expected.clone());
        *reuse = copied;
        (reuse.scenario, reuse.expected) = (scenario, expected);
    }
    runs[1].results.remove(1);
    runs[3].host.cpu = "Another CPU".into();
    let sides: Vec<Side> = runs
        .iter()
        .map(|run| side(&[run.clone(), run.clone()]))
        .collect();
    let history = history(&sides);
    let of = |scenario: &str| {
        let mut lines = history.lines.iter();
        lines.find(|line| line.case.scenario == scenario).unwrap()
    };
    let change = |scenario: &str, at: usize| {
        let point = of(scenario).points[at].as_ref().unwrap();
        point.step.clone().map(|step| (step.from, step.change))
    };
    assert_eq!(
        change("reuse/child-exited", 2),
        Some((1, StepKind::OtherOutcome))
    );
    assert!(of("touch/zero-fill").points[1].is_none());
    assert_eq!(change("touch/zero-fill", 2).unwrap().0, 0);
    assert_eq!(change("copy/child-alive", 3), Some((2, StepKind::Unlike)));
    assert!(!history.kernels[3].mismatches.is_empty());
    assert_eq!(change("copy/child-alive", 0), None);
}

#[test]
fn the_page_shows_the_steps_and_what_each_kernel_brought() {
    let mut runs: Vec<RunFile> = (0..5)
        .map(|n| run(0, Unit::Instructions, 4_000.0 + 40.0 * n as f64))
        .collect();
    for (kernel, run) in runs.iter_mut().enumerate() {
        run.host.kernel.release = release(kernel);
    }
    runs[3].host.kernel.compiler = "gcc (Debian 16.2.0-4) 16.2.0".into();
    let sides: Vec<Side> = runs
        .iter()
        .map(|run| side(&[run.clone(), run.clone()]))
        .collect();
    let across = Across {
        packages: Vec::new(),
        ends: None,
        history: Some(history(&sides)),
        paths: vec![PathChange {
            scenario: "copy/child-alive".into(),
            folio: "4k".parse().unwrap(),
            kernels: [release(2), release(3)],
            phases: Vec::new(),
            functions: vec![("wp_page_copy".into(), 90), ("memcpy".into(), -50)],
            whole: 40,
        }],
    };
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("report");
    write_across(&runs, across, &out).unwrap();
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    let slug = slug(&release(3));
    for told in [
        "From kernel to kernel",
        "▲ +1.0 %",
        &format!("href=\"#step-{slug}\""),
        &format!("id=\"step-{slug}\""),
        "gcc (Debian 16.2.0-4) 16.2.0",
        "copy/child-alive +40: wp_page_copy +90, memcpy -50",
    ] {
        let escaped = told.replace('/', "&#x2f;");
        assert!(page.contains(told) || page.contains(&escaped), "{told}");
    }
    assert!(out.join("plots").read_dir().unwrap().flatten().any(|file| {
        file.file_name()
            .to_string_lossy()
            .starts_with("history-copy")
    }));
}
