//! Tables of two sides of which the truth is known.

/// Repetitions of a run.
const REPETITIONS: usize = 15;

/// How runs and repetitions vary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Normally, on a logarithmic scale.
    Normal,
    /// As Student's t with 3 degrees of freedom, of the same variance.
    HeavyTailed,
    /// Normally, and one run in ten is off by 20 %.
    OffRuns,
}

/// Whether rows of one run vary by themselves or all together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// Each row of a run by itself.
    RowByRow,
    /// All rows of a run alike.
    AsAWhole,
}

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Standard deviation between runs, as a share.
    pub between: f64,
    /// Standard deviation between repetitions of a run.
    pub within: f64,
    /// How they vary.
    pub shape: Shape,
    /// What varies from run to run.
    pub runs: Runs,
    /// Runs a side.
    pub a_side: usize,
    /// Rows of the table.
    pub rows: usize,
}

/// One row: both sides, run by run, and the true ratio.
pub struct Row {
    pub base: Vec<Vec<f64>>,
    pub new: Vec<Vec<f64>>,
    pub truth: f64,
}

/// A table. Every other row is not changed; the rest is by 10 %, up and down by turns.
pub struct Table {
    pub rows: Vec<Row>,
}

impl Table {
    pub fn draw(setting: &Setting, random: &mut fastrand::Rng) -> Table {
        let n = setting.a_side;
        let off: Vec<f64> = (0..2 * n).map(|_| run_off(setting, random)).collect();
        let shared: Vec<f64> = (0..2 * n)
            .map(|_| setting.between * vary(setting.shape, random))
            .collect();
        let rows = (0..setting.rows).map(|row| {
            let truth = match row % 4 {
                1 => 1.1,
                3 => 1.0 / 1.1,
                _ => 1.0,
            };
            let mut side = |runs: std::ops::Range<usize>, level: f64| -> Vec<Vec<f64>> {
                let each = runs.map(|run| {
                    let between = match setting.runs {
                        Runs::AsAWhole => shared[run],
                        Runs::RowByRow => setting.between * vary(setting.shape, random),
                    };
                    let level = level * (between + off[run]).exp();
                    let mut repetition =
                        |_| level * (setting.within * vary(setting.shape, random)).exp();
                    (0..REPETITIONS).map(&mut repetition).collect()
                });
                each.collect()
            };
            Row {
                base: side(0..n, 1_000.0),
                new: side(n..2 * n, 1_000.0 * truth),
                truth,
            }
        });
        Table {
            rows: rows.collect(),
        }
    }
}

fn run_off(setting: &Setting, random: &mut fastrand::Rng) -> f64 {
    match setting.shape {
        Shape::OffRuns if random.u8(..10) == 0 => 1.2f64.ln(),
        _ => 0.0,
    }
}

/// A value of mean 0 and variance 1.
fn vary(shape: Shape, random: &mut fastrand::Rng) -> f64 {
    let normal = |random: &mut fastrand::Rng| {
        // Box and Muller, A Note on the Generation of Random Normal Deviates, 1958.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        radius * (std::f64::consts::TAU * random.f64()).cos()
    };
    match shape {
        Shape::Normal | Shape::OffRuns => normal(random),
        Shape::HeavyTailed => {
            let chi: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
            // The variance of t with 3 degrees of freedom is 3.
            normal(random) / (chi / 3.0).sqrt() / 3f64.sqrt()
        }
    }
}
