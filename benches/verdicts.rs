//! May the verdicts of a comparison be trusted? Simulates tables of which the truth is known and counts how often a table has a
//! false verdict, how often all its intervals hold the truth together, and how often a change as large as the stated smallest
//! one is found. The procedure that cowpath had before is judged on some of the same tables.
//!
//! `cargo bench --bench verdicts -- --tables 1000` is what BENCHMARKS.md has. Without a number nothing is drawn: it measures no machine,
//! and `cargo bench` ends with where the run file and the report are.

#[path = "verdicts/former.rs"]
mod former;
#[path = "verdicts/simulated.rs"]
mod simulated;

use std::process::ExitCode;

use cowpath::stats::effect::{ALPHA, Effect, effects};
use cowpath::stats::interval::wilson;
use cowpath::stats::question::{ChangeKind, Question, ValueKind};
use simulated::{Runs, Setting, Shape, Table};

/// Of so many tables of a setting one is judged by the former procedure too, which takes a thousand times as long.
const FORMER_EVERY: u32 = 200;
const SEED: u64 = 20_261_127;

const A_SIDE: [usize; 4] = [2, 3, 5, 10];
const ROWS: [usize; 3] = [1, 10, 60];
const BETWEEN: [f64; 4] = [0.0, 0.01, 0.04, 0.08];
const WITHIN: [f64; 2] = [0.01, 0.05];
const KINDS: [(Shape, Runs, &str); 5] = [
    (Shape::Normal, Runs::RowByRow, "normal, row by row"),
    (Shape::Normal, Runs::AsAWhole, "normal, whole runs"),
    (
        Shape::HeavyTailed,
        Runs::RowByRow,
        "heavy tails, row by row",
    ),
    (
        Shape::HeavyTailed,
        Runs::AsAWhole,
        "heavy tails, whole runs",
    ),
    (Shape::OffRuns, Runs::RowByRow, "one run in ten off by 20 %"),
];

/// What came of some tables.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    tables: u64,
    with_false_verdict: u64,
    covered: u64,
    rows: u64,
    found: u64,
    /// Real changes by 10 %, and those that were told.
    changes: u64,
    told: u64,
}

impl Counted {
    fn add(&mut self, other: Counted) {
        self.tables += other.tables;
        self.with_false_verdict += other.with_false_verdict;
        self.covered += other.covered;
        self.rows += other.rows;
        self.found += other.found;
        self.changes += other.changes;
        self.told += other.told;
    }

    /// Counts a table: each row's truth, its interval, and whether it gives a verdict.
    fn table(&mut self, rows: impl Iterator<Item = (f64, (f64, f64), bool)>) {
        let (mut wrong, mut outside) = (false, false);
        for (truth, (low, high), told) in rows {
            let right = if truth > 1.0 {
                low > 1.0
            } else {
                truth < 1.0 && high < 1.0
            };
            wrong |= told && !right;
            outside |= truth < low || truth > high;
            self.changes += u64::from(truth != 1.0);
            self.told += u64::from(truth != 1.0 && told && right);
        }
        self.tables += 1;
        self.with_false_verdict += u64::from(wrong);
        self.covered += u64::from(!outside);
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).filter(|word| word != "--bench");
    let asked = match (words.next().as_deref(), words.next()) {
        (Some("--tables"), Some(n)) => n.parse().ok().filter(|&n| n > 0),
        _ => None,
    };
    let Some(tables) = asked else {
        eprintln!("give --tables N, a number above 0");
        return ExitCode::from(2);
    };
    let settings = BETWEEN.len() * WITHIN.len();
    println!(
        "Simulated tables, {settings} settings of {tables} for each line: between runs 0, 1, 4, 8 %, within 1 and 5 %, 15 repetitions a run; \
         every other row is changed by 10 %. Seed {SEED}.\n\
         false: tables with a false verdict (promised: at most 5 %), with the 95 % interval of that share, and in the worst setting\n\
         held: tables of which every interval holds the truth (95 %)   MDE found: changes as large as the stated MDE that are told (80 %)\n\
         told: changes by 10 % that are told   formerly: the same by the procedure before this one"
    );
    for (shape, runs, name) in KINDS {
        println!(
            "\n{name}\n{:>4} {:>4}   {:>7} {:>12} {:>7} {:>7} {:>9} {:>7}   formerly: {:>7} {:>7} {:>7}",
            "runs",
            "rows",
            "false",
            "",
            "worst",
            "held",
            "MDE found",
            "told",
            "false",
            "held",
            "told"
        );
        for (a_side, rows) in A_SIDE.iter().flat_map(|&n| ROWS.map(|rows| (n, rows))) {
            let (mut all, mut former) = (Counted::default(), Counted::default());
            let mut worst: f64 = 0.0;
            for (between, within) in BETWEEN.iter().flat_map(|&b| WITHIN.map(|w| (b, w))) {
                let (now, before) = simulate(
                    &Setting {
                        between,
                        within,
                        shape,
                        runs,
                        a_side,
                        rows,
                    },
                    tables,
                );
                worst = worst.max(now.with_false_verdict as f64 / now.tables as f64);
                all.add(now);
                former.add(before);
            }
            let error = wilson(all.with_false_verdict, all.tables).unwrap_or_default();
            println!(
                "{a_side:>4} {rows:>4}   {} {:>12} {:>7} {} {:>9} {}             {} {} {}",
                percent(all.with_false_verdict, all.tables),
                format!("{:.1}", error.map(|end| 100.0 * end)),
                worst_of(worst, tables),
                percent(all.covered, all.tables),
                percent(all.found, all.rows),
                percent(all.told, all.changes),
                percent(former.with_false_verdict, former.tables),
                percent(former.covered, former.tables),
                percent(former.told, former.changes),
            );
        }
    }
    ExitCode::SUCCESS
}

/// The worst setting's share, where there are enough tables of each for one.
fn worst_of(share: f64, tables: u32) -> String {
    match tables {
        0..100 => "-".into(),
        _ => format!("{:.1} %", 100.0 * share),
    }
}

/// A share in seven columns; a dash for none of nothing.
fn percent(part: u64, whole: u64) -> String {
    match whole {
        0 => format!("{:>7}", "-"),
        _ => format!(
            "{:>7}",
            format!("{:.1} %", 100.0 * part as f64 / whole as f64)
        ),
    }
}

fn simulate(setting: &Setting, tables: u32) -> (Counted, Counted) {
    let spread = 1_000.0 * (10.0 * setting.between + setting.within);
    let mut random = fastrand::Rng::with_seed(SEED + spread as u64);
    let (mut now, mut former) = (Counted::default(), Counted::default());
    for n in 0..tables {
        let table = Table::draw(setting, &mut random);
        let answers = judge(&table);
        let ends = |e: &Effect| e.interval.map_or((0.0, f64::INFINITY), |i| (i.low, i.high));
        let answered = table.rows.iter().zip(&answers);
        now.table(
            answered
                .clone()
                .map(|(row, e)| (row.truth, ends(e), e.above() || e.below())),
        );
        now.rows += answers.len() as u64;
        // Data that are changed by a factor give an interval that is changed by it.
        let found = answered.filter(|(row, e)| {
            let low = ends(e).0 / row.truth;
            e.mde.is_some_and(|mde| low * (1.0 + mde) > 1.0)
        });
        now.found += found.count() as u64;
        if n % FORMER_EVERY == FORMER_EVERY - 1 {
            let judged = former::judge(&table, u64::from(n)).into_iter();
            former.table(
                table
                    .rows
                    .iter()
                    .zip(judged)
                    .map(|(row, (ends, told))| (row.truth, ends, told)),
            );
        }
    }
    (now, former)
}

fn judge(table: &Table) -> Vec<Effect> {
    let questions: Vec<Question> = table
        .rows
        .iter()
        .map(|row| Question {
            kind: ValueKind::PerRun,
            scale: ChangeKind::Ratio,
            base: row.base.clone(),
            new: row.new.clone(),
            paired: false,
            step: 0.0,
            chance: ALPHA / table.rows.len() as f64,
            measured: None,
        })
        .collect();
    effects(&questions).into_iter().flatten().collect()
}
