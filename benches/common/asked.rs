//! What this target was asked for on its command line, as far as it decides what is measured. Criterion reads the same
//! arguments for itself: baselines, plots and the rest are its own.

use regex::Regex;

/// The variable that asks for every case of the catalogue.
pub const ALL: &str = "COWPATH_BENCH";

/// Criterion's options that take a value, which is no filter.
const WITH_VALUE: [&str; 18] = [
    "-c",
    "--color",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--format",
    "--load-baseline",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--plotting-backend",
    "--output-format",
];

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Measure.
    Measure,
    /// Do everything once, to see that it works.
    Test,
    /// Show names, or a baseline that was saved: nothing is measured.
    Show,
}

/// What was asked for.
pub struct Asked {
    pub mode: Mode,
    filter: Option<Filter>,
    all: bool,
}

enum Filter {
    Matching(Regex),
    Exactly(String),
}

impl Asked {
    /// As the arguments and the environment say.
    ///
    /// # Errors
    /// A sentence about what cannot be done.
    pub fn read() -> Result<Asked, String> {
        let all = match std::env::var(ALL).as_deref() {
            Ok("all") => true,
            Ok("") | Err(_) => false,
            Ok(other) => {
                return Err(format!(
                    "{ALL}={other} is not known; {ALL}=all measures everything"
                ));
            }
        };
        let mut arguments = std::env::args().skip(1);
        let (mut mode, mut filter, mut exact) = (Mode::Measure, None, false);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--test" => mode = Mode::Test,
                "--list" | "--load-baseline" => mode = Mode::Show,
                "--exact" => exact = true,
                "--profile-time" => {
                    return Err(
                        "--profile-time would profile criterion and not the kernel; mend with: cowpath profile ID".into(),
                    );
                }
                _ => {}
            }
            if argument.starts_with("--load-baseline=") {
                mode = Mode::Show;
            }
            if WITH_VALUE.contains(&argument.as_str()) {
                arguments.next();
            } else if !argument.starts_with('-') {
                filter = Some(argument);
            }
        }
        let filter = match filter {
            None => None,
            Some(name) if exact => Some(Filter::Exactly(name)),
            Some(pattern) => {
                Some(Filter::Matching(Regex::new(&pattern).map_err(|e| {
                    format!("the filter {pattern} is no regular expression: {e}")
                })?))
            }
        };
        Ok(Asked { mode, filter, all })
    }

    /// Whether the benchmark `name`, with its group, is asked for: what a filter names, else everything if that was asked
    /// for, else what belongs to the first impression.
    pub fn wants(&self, name: &str, first: bool) -> bool {
        match &self.filter {
            Some(Filter::Matching(pattern)) => pattern.is_match(name),
            Some(Filter::Exactly(exact)) => exact == name,
            None => self.all || first,
        }
    }

    /// Whether neither a filter nor everything was asked for.
    pub fn is_first_impression(&self) -> bool {
        self.filter.is_none() && !self.all
    }
}
