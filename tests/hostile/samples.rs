//! Good files, and everything that can be done with one like them.

use std::path::{Path, PathBuf};

use cowpath::compare::options::{Options, Statistic};
use cowpath::compare::side::Side;
use cowpath::compare::table::compare;
use cowpath::profile::compare as profiles;
use cowpath::record::io::parse;
use cowpath::record::schema::RunFile;
use cowpath::report::{self, compare as shown, terminal, timeline};
use cowpath::suite::pool::Pool;
use serde_json::Value;

/// A good file.
pub struct Sample {
    pub path: PathBuf,
    pub text: Vec<u8>,
}

impl Sample {
    pub fn name(&self) -> &str {
        self.path.file_name().unwrap().to_str().unwrap()
    }

    pub fn tree(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap()
    }

    /// Reads a file like this one.
    pub fn read(&self, tree: &Value) -> Result<(), String> {
        let text = serde_json::to_vec(tree).unwrap();
        if self.name() != "profile.json" {
            let read = parse(&self.path, &text);
            return read.map(|_| ()).map_err(|e| e.to_string());
        }
        let folder = tempfile::tempdir().unwrap();
        let path = [folder.path().join("profile.json")];
        std::fs::write(&path[0], text).unwrap();
        let read = profiles::compare(&path, &path, None, true);
        read.map(|_| ()).map_err(|e| e.to_string())
    }

    /// Refuses `bytes` in one line, or does with them everything that can be done with such a file.
    /// Where a comparison is drawn too, it takes twice as long.
    pub fn endures(&self, bytes: &[u8], folder: &Path, compared: bool) -> Result<(), String> {
        let told = if self.name() == "profile.json" {
            self.as_profile(bytes, folder)
        } else {
            self.as_run(bytes, folder, compared)
        };
        if let Err(text) = &told {
            assert!(!text.chars().any(char::is_control), "{text:?}");
            assert!(text.len() < 2_000, "{text}");
        }
        told
    }

    fn as_run(&self, bytes: &[u8], folder: &Path, compared: bool) -> Result<(), String> {
        let run = parse(Path::new("name.json"), bytes).map_err(|e| {
            let text = e.to_string();
            assert!(text.starts_with("name.json: "), "{text}");
            text
        })?;
        let whole = parse(&self.path, &self.text).unwrap_or_else(|e| panic!("{e}"));
        use_it(&run, &whole, folder, compared);
        Ok(())
    }

    fn as_profile(&self, bytes: &[u8], folder: &Path) -> Result<(), String> {
        let name = folder.join("profile.json");
        std::fs::write(&name, bytes).unwrap();
        let (good, changed) = ([self.path.clone()], [name.clone()]);
        let told = |base: &[PathBuf], new: &[PathBuf], anyway| {
            profiles::compare(base, new, Some(0.01), anyway).map(|comparison| {
                let text = profiles::text(&comparison);
                let control = text.chars().find(|c| c.is_control() && *c != '\n');
                assert_eq!(control, None, "{text}");
                serde_json::to_string_pretty(&comparison).unwrap();
                comparison.passed()
            })
        };
        if let Ok(profile) = profiles::read(&name) {
            // Whatever may be read can be drawn, or is refused in a line.
            let drawn = folder.join("drawn");
            if cowpath::profile::output::write(&profile, &drawn).is_ok() {
                let text = std::fs::read_to_string(drawn.join("path.txt")).unwrap();
                assert!(
                    !text.contains(|c: char| c.is_control() && c != '\n'),
                    "{text}"
                );
            }
        }
        let _ = told(&changed, &good, false);
        let both = told(&good, &changed, true).and(told(&changed, &changed, false));
        both.map(|_| ()).map_err(|e| e.to_string())
    }
}

pub fn corpus() -> Vec<Sample> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| Sample {
            text: std::fs::read(&path).unwrap(),
            path,
        })
        .collect()
}

pub fn sample(name: &str) -> Sample {
    let mut corpus = corpus().into_iter();
    corpus.find(|sample| sample.name() == name).unwrap()
}

/// Everything that can be done with a run file.
fn use_it(run: &RunFile, whole: &RunFile, folder: &Path, compared: bool) {
    let again = serde_json::to_vec(run).unwrap();
    let back = parse(Path::new("again"), &again).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(&back, run, "what is accepted can be written and read again");
    let side = |run| {
        let mut side = Side::default();
        side.add(run);
        side
    };
    let (base, new) = (side(whole), side(run));
    let options = Options {
        quantiles: vec![Statistic::P50, Statistic::Mean],
        gate: Some(0.03),
        anyway: true,
        ..Options::default()
    };
    let comparison = compare(&base, &new, &options);
    if let Ok(comparison) = &comparison {
        for text in [shown::text(comparison), shown::markdown(comparison)] {
            let control = text.chars().find(|c| c.is_control() && *c != '\n');
            assert_eq!(control, None, "{text}");
        }
        let json: Value = serde_json::from_str(&shown::json(comparison).unwrap()).unwrap();
        for row in json["rows"].as_array().unwrap() {
            assert!(row["effect"]["change"].is_number(), "{row}");
        }
        shown::benchstat(&base, &new, &options.quantiles);
    }
    terminal::run::text(run);
    for staged in &run.staged {
        timeline::text(staged);
    }
    let mut pool = Pool::new(run.clone()).unwrap();
    pool.add(whole.clone()).unwrap();
    let pooled = pool.finish().unwrap_or_else(|_| whole.clone());
    // The page, plots, the summary and every export.
    report::write(std::slice::from_ref(run), folder).unwrap_or_else(|e| panic!("{e}"));
    if let Some(comparison) = comparison.ok().filter(|_| compared) {
        let sides = [whole.clone(), pooled];
        report::write_compared(&sides, comparison, folder).unwrap_or_else(|e| panic!("{e}"));
    }
}
