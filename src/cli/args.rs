//! The command line as clap sees it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::compare::options::Statistic;
use crate::memory::folio::Folio;
use crate::record::rule::Rule;
use crate::report::tested::TestForm;

/// Measures what a copy-on-write page fault costs on a real kernel.
#[derive(Debug, Parser)]
#[command(name = "cowpath", version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Show the catalogue: what each scenario does, its kernel path, and what is expected of which kernel, and on what ground.
    #[command(
        after_help = "Example:\n  cowpath list 'reuse/*'\n  cowpath list --json | jq '.[].id'\n  cowpath list copy/child-alive --c > copy.c && cc -O2 -o copy copy.c && ./copy"
    )]
    List(ListArgs),
    /// Show what works on this machine, what would spoil a measurement, and which reuse strategy the kernel follows.
    #[command(
        after_help = "Exit status 3 if nothing can be measured.\n\nExample:\n  sudo cowpath doctor"
    )]
    Doctor(DoctorArgs),
    /// Measure: print a table and write one run file.
    #[command(
        after_help = "Exit status: 0; 1 an integrity check failed; 2 wrong usage; 3 nothing could be measured;\n5 a repetition took longer than --limit and is missing; 130 interrupted, the partial file is kept.\n\nExample:\n  sudo cowpath run -o run.json\n  sudo cowpath run 'reuse/*' 'copy/*' --reps 20 -o run.json\n  sudo cowpath run race/store-store --skew 0,500,1000,2000,4000 -o window.json\n  sudo cowpath run contention/sweep --threads 1,2,4 -o scaling.json\n  sudo cowpath run --resume -o run.json"
    )]
    Run(RunArgs),
    /// Make a report from run files: index.html, plots (SVG and PNG), summary.md and .hgrm files.
    #[command(
        after_help = "Example:\n  cowpath report run.json -o report\n  cowpath report old-*.json --with new-*.json -o report"
    )]
    Report(ReportArgs),
    /// Compare run files of before with run files of after: how much slower or faster, how sure, and what was too small to see.
    #[command(
        after_help = "Exit status: 0; 1 the gate found a regression; 2 unreadable or not comparable; 5 the gate cannot tell: measure again.\n\nExample:\n  cowpath compare base.json --with new.json\n  cowpath compare base-*.json --with new-*.json --gate 3 --quantile p50,p99\n  cowpath compare base-*.json --with new-*.json --format benchstat | benchstat -col side -\n  cowpath compare before/profile.json --with after/profile.json --gate 1"
    )]
    Compare(CompareArgs),
    /// Write what a regression report needs: a mail's text, and a C file for each scenario that got slower.
    ///
    /// The mail has the figures with their intervals, what differs besides the kernel's version, the kernel configurations'
    /// difference, what was proven of the pages on both sides, the path's difference by function and the line that the bot
    /// which tracks regressions reads. Each C file brings a scenario's page state about and times it without this program.
    #[command(
        after_help = "Exit status: 0, or with --gate that of compare; 2 unreadable, not comparable, or nothing is slower for sure.\n\nExample:\n  cowpath dossier lab/6.1.*.json --with lab/6.12.*.json --paths paths/profile.json -o dossier\n  cc -O2 -o copy-child-alive dossier/copy-child-alive.c && ./copy-child-alive"
    )]
    Dossier(DossierArgs),
    /// How far runs of the same thing lie apart on this machine, from several of them.
    #[command(
        after_help = "Example:\n  for n in 1 2 3 4 5; do cowpath run 'reuse/*' 'copy/*' -o $n.json; done\n  cowpath noise [1-5].json -o noise.json\n  cowpath compare old.json --with new.json --noise noise.json"
    )]
    Noise(NoiseArgs),
    /// Judge run files by what this version expects of their kernels; figures stay as they were measured.
    #[command(
        after_help = "Example:\n  cowpath judge old/*.json\n  cowpath judge old/*.json -o judged && cowpath report judged/*.json -o report"
    )]
    Judge(JudgeArgs),
    Vm(crate::guest::args::VmArgs),
    Stage(crate::stage::args::StageArgs),
    Profile(crate::profile::args::ProfileArgs),
    /// Print the JSON Schema of the run file, or of a profile.
    #[command(
        after_help = "Example:\n  cowpath schema > run.schema.json\n  cowpath schema profile > profile.schema.json"
    )]
    Schema(SchemaArgs),
    #[command(name = crate::worker::runner::WORKER_COMMAND, hide = true)]
    Worker,
    #[command(name = crate::worker::subject::SUBJECT_COMMAND, hide = true)]
    Subject(SubjectArgs),
    #[command(name = crate::worker::sampled::SAMPLED_COMMAND, hide = true)]
    Sampled(SampledArgs),
    #[command(name = crate::stage::controller::CONTROLLER_COMMAND, hide = true)]
    Controller(crate::stage::args::ControllerArgs),
    #[command(name = crate::machine::tune::GUARDIAN_COMMAND, hide = true)]
    Guardian,
}

/// Pages of the area where nothing else is asked for.
pub(super) const PAGES: u32 = 4096;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Which scenarios, as globs on their ids; all by default.
    #[arg(value_name = "ID-GLOB")]
    pub globs: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Print a C file that brings a scenario's page state about and times it, without this program.
    #[arg(long, conflicts_with = "json")]
    pub c: bool,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Of which file.
    #[arg(value_name = "FILE", value_enum, default_value = "run")]
    pub of: SchemaOf,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum SchemaOf {
    /// What `cowpath run` writes.
    Run,
    /// profile.json, which `cowpath profile` writes.
    Profile,
}

#[derive(Debug, Args)]
pub(super) struct SampledArgs {
    pub task: String,
}

#[derive(Debug, Args)]
pub(super) struct SubjectArgs {
    pub scenario: String,
    #[arg(long)]
    pub folio: Folio,
    #[arg(long)]
    pub pages: u32,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// Only put back what a run with --tune or --strategy has changed, where its guardian process was killed too.
    #[arg(long)]
    pub restore: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Most pages of an area.
pub(super) const MOST_PAGES: u32 = 1 << 22;
/// Most trials of a repetition, and most repetitions.
pub(super) const MOST_REPS: u32 = 100_000;
/// Most threads of a race.
pub(super) const MOST_THREADS: u32 = 256;
/// Most values of a list, each of which is measured by itself.
pub(super) const MOST_VALUES: usize = 64;

#[derive(Debug, Args)]
// What says to which rules the kernel is switched.
#[command(group(clap::ArgGroup::new("switching").args(["strategy", "resume"]).multiple(true)))]
pub(super) struct RunArgs {
    /// Which scenarios, as globs on their ids; by default all but those of which `list` says that they are run by name.
    #[arg(value_name = "ID-GLOB")]
    pub globs: Vec<String>,
    /// Where to write the run file; by default one named after kernel and time, here. A link is followed, a device or a
    /// pipe is written to once, at the end, and - is standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Print the results as tests in place of the table: each case passes or fails by its data and what is expected of it.
    #[arg(long, value_enum, value_name = "FORM")]
    pub format: Option<TestForm>,
    /// CPUs to run on, such as 2 or 0-3,8; by default all allowed ones, the best first.
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<String>,
    /// Pages in the area that one trial stores to [default: 4096].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_PAGES)))]
    pub pages: Option<u32>,
    /// Trials in one repetition [default: 6, races 2; with --quick 3 and 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPS)))]
    pub trials: Option<u32>,
    /// Threads of races, a list; more than CPUs need --oversubscribe [default: 2; contention/sweep 1, 2, 4 and so on].
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_THREADS)))]
    pub threads: Vec<u32>,
    /// Clock ticks from the first thread's deadline to the others', a list, each measured by itself; negative: the others come first [default: 0].
    #[arg(
        long,
        value_name = "CYCLES,..",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_parser = clap::value_parser!(i64).range(-(1 << 48)..=1 << 48)
    )]
    pub skew: Vec<i64>,
    /// Let threads share CPUs where there are too few; such results are marked.
    #[arg(long)]
    pub oversubscribe: bool,
    /// Repetitions, each in a process of its own [default: 15, races 4, what is dear to set up 5; with --quick 3, 1 and 1].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST_REPS)))]
    pub reps: Option<u32>,
    /// Fewer trials and repetitions: enough for outcomes, too few for close comparisons.
    #[arg(long)]
    pub quick: bool,
    /// Measure everything as two sides of the same, taking turns, and say how far they lie apart: the noise within a run.
    #[arg(long)]
    pub aa: bool,
    /// Repeat until the repetitions would show a change of so many percent in each median, such as 2%, within one run: what runs
    /// differ by comes on top (for 5 minutes at most, unless --budget says otherwise).
    #[arg(long, value_name = "PCT", value_parser = share, conflicts_with = "reps")]
    pub until_mde: Option<f64>,
    /// How far runs lie apart here, as `cowpath noise` has written it: --until-mde is then about another run, and ends at the time
    /// limit where runs alone lie further apart.
    #[arg(long, value_name = "FILE", requires = "until_mde")]
    pub noise: Option<PathBuf>,
    /// Repeat for so long, such as 90s, 5m or 1h.
    #[arg(long, value_name = "TIME", value_parser = seconds, conflicts_with = "reps")]
    pub budget: Option<u64>,
    /// Seed of the order of scenarios; drawn and recorded by default.
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Folio sizes, such as 4k,64k,2m,hugetlb-2m; by default all that are to be had.
    #[arg(long, value_name = "SIZE,..", value_delimiter = ',', value_parser = folio)]
    pub folio: Vec<Folio>,
    /// Change settings that page states need (THP sizes, hugetlb's pool, ksmd, a swap device in memory,
    /// and kernel.task_delayacct for a second count of discards) for the
    /// time of the run; everything is put back, also if the run is killed.
    #[arg(long)]
    pub tune: bool,
    /// Reuse rules to switch the kernel to, in turn: exclusive, refcount, mapcount, never (5.10: stock for exclusive).
    /// Needs a kernel of scripts/strategy-kernel. mapcount is UNSAFE: any process may then read what others store; outside a
    /// guest of `cowpath vm` it needs --i-know. The rule that was followed before is put back, also if the run is killed.
    #[arg(long, value_name = "RULE,..", value_delimiter = ',')]
    pub strategy: Vec<Rule>,
    /// This machine holds nothing of value: let --strategy mapcount (unsafe) be chosen on it.
    #[arg(long, requires = "switching")]
    pub i_know: bool,
    /// Go on with the interrupted run in the file given by -o, with what it asks for.
    #[arg(long, requires = "output")]
    pub resume: bool,
    /// Seconds that one repetition may take before it counts as lost [default: 60; `cowpath vm` asks an emulated guest for 300].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub limit: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Run files; or one profile.json, whose page is made anew.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// Run files of after: the page then sets them against RUN, the runs of before.
    #[arg(long = "with", value_name = "NEW", num_args = 1..)]
    pub new: Vec<PathBuf>,
    /// The folder to write into; made if it is missing.
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The packages that the kernels came from, as scripts/fetch-kernels --lock has written them, to be shown with the rest of
    /// what is needed to measure again.
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    pub packages: Option<PathBuf>,
    #[command(flatten)]
    pub how: HowArgs,
}

#[derive(Debug, Args)]
pub(super) struct NoiseArgs {
    /// Run files of the same thing on one machine, three or more.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The file to write, for --noise of `compare`, `report` and `run`.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct JudgeArgs {
    /// Run files, of this version or an earlier one.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// The folder to write them to as they are judged, in the present format and under their names.
    #[arg(short, long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct CompareArgs {
    /// Run files of before; three or more, measured in turns with those of after, tell most. Or profile.json
    /// of before: its first kernel is what every kernel in NEW is set against, path by path.
    #[arg(value_name = "BASE", required = true)]
    pub base: Vec<PathBuf>,
    /// Run files of after, or profiles of after.
    #[arg(long = "with", value_name = "NEW", num_args = 1.., required = true)]
    pub new: Vec<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = CompareFormat::Table)]
    pub format: CompareFormat,
    #[command(flatten)]
    pub how: HowArgs,
}

#[derive(Debug, Args)]
pub(super) struct DossierArgs {
    /// Run files of before.
    #[arg(value_name = "BASE", required = true)]
    pub base: Vec<PathBuf>,
    /// Run files of after.
    #[arg(long = "with", value_name = "NEW", num_args = 1.., required = true)]
    pub new: Vec<PathBuf>,
    /// Configurations of both kernels, such as /boot/config-*, to list all options that differ.
    #[arg(long, value_names = ["BASE", "NEW"], num_args = 2)]
    pub config: Vec<PathBuf>,
    /// The folder to write to.
    #[arg(short, long, value_name = "DIR", default_value = "dossier")]
    pub output: PathBuf,
    #[command(flatten)]
    pub how: HowArgs,
}

/// How two sides are compared, the same for the terminal and the page.
#[derive(Debug, Args)]
pub(super) struct HowArgs {
    /// A gate for CI: exit with 1 where a primary row is slower by more than so many percent for sure, and with 5 where that
    /// cannot be told and is to be measured again.
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub gate: Option<f64>,
    /// Within how many percent two sides count as the same.
    #[arg(long, value_name = "PCT", value_parser = percent, default_value = "3")]
    pub same: f64,
    /// The scenarios that the comparison is made for, as globs: their rows are corrected among themselves, all others are
    /// exploratory. By default those that the runs were asked for; of whole catalogues control, touch, reuse and copy.
    #[arg(long, value_name = "GLOB,..", value_delimiter = ',')]
    pub primary: Vec<String>,
    /// Figures to compare: p50, p90, p99, mean.
    #[arg(
        long,
        value_name = "FIGURE,..",
        value_delimiter = ',',
        default_value = "p50"
    )]
    pub quantile: Vec<Statistic>,
    /// Compare what does not compare (another machine, clock or area), and mark it.
    #[arg(long)]
    pub anyway: bool,
    /// By how many percent runs of the same thing vary (standard deviation), as measured on this machine: with it, one run a
    /// side can have a verdict.
    #[arg(long, value_name = "PCT", value_parser = percent, conflicts_with = "noise")]
    pub between_runs: Option<f64>,
    /// How far runs lie apart on this machine, as `cowpath noise` has written it.
    #[arg(long, value_name = "FILE")]
    pub noise: Option<PathBuf>,
    /// Profiles of both kernels, as `cowpath profile` has written them: where a difference of instructions lies, by phase.
    #[arg(long, value_name = "PROFILE", num_args = 1..)]
    pub paths: Vec<PathBuf>,
}

/// How a comparison is printed.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum CompareFormat {
    /// For a terminal.
    Table,
    /// For a mail or a comment.
    Markdown,
    /// The first twelve lines of a mail, of 72 columns at most: machine, kernels, what differs, what was too small to see.
    Lkml,
    /// For a program.
    Json,
    /// Go's benchmark format, every repetition a line, for benchstat -col side.
    Benchstat,
    /// Each row a test of the kernel's own form (KTAP 1), which fails where the new side takes longer; with --gate, where it
    /// takes longer by more than that.
    Ktap,
    /// The same as JUnit's XML.
    Junit,
}

/// A share from a number of percent above zero, the sign being optional.
fn share(text: &str) -> Result<f64, String> {
    let value = percent(text.trim_end_matches('%'))?;
    match value > 0.0 {
        true => Ok(value / 100.0),
        false => Err("more than 0 percent".into()),
    }
}

/// Seconds from a number with a unit.
fn seconds(text: &str) -> Result<u64, String> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "s" | "" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err("known units are s, m and h".into()),
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "a time, such as 90s, 5m or 1h".to_string())?;
    number
        .checked_mul(scale)
        .filter(|s| (1..=7 * 86_400).contains(s))
        .ok_or_else(|| "from 1 s to a week".into())
}

/// A folio size, refused with those of this machine.
fn folio(text: &str) -> Result<Folio, String> {
    let sizes = crate::suite::sizes::of_this_machine;
    text.parse()
        .map_err(|why| format!("{why}; this machine has {}", sizes()))
}

fn percent(text: &str) -> Result<f64, String> {
    let value: f64 = text
        .parse()
        .map_err(|_| "a number of percent, such as 3".to_string())?;
    match (0.0..=1_000.0).contains(&value) {
        true => Ok(value),
        false => Err("from 0 to 1000 percent".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_shares_are_read_with_their_units() {
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("5m"), Ok(300));
        assert_eq!(seconds("2h"), Ok(7_200));
        for wrong in ["", "m", "-5m", "5d", "0s", "99999999999999999999h"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(share("2%"), Ok(0.02));
        assert_eq!(share("2"), Ok(0.02));
        assert!(share("0").is_err() && share("%").is_err() && share("nan").is_err());
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
