//! The run file and the report of all targets of one `cargo bench`.

use std::path::PathBuf;

use cowpath::cli::progress::Meter;
use cowpath::record::io::read;
use cowpath::record::keeper::Keeper;
use cowpath::record::output::Output;
use cowpath::record::schema::RunFile;
use cowpath::report;

use super::print;

/// Whether no target of this `cargo bench` has measured anything yet.
pub fn is_first_target() -> bool {
    !session_folder().exists()
}

/// The run file of all targets of one `cargo bench`.
pub struct Session {
    folder: PathBuf,
    earlier: Option<RunFile>,
    keeper: Keeper,
    whole: Option<RunFile>,
    told: bool,
}

impl Session {
    /// Goes on with what earlier targets have left.
    pub fn open() -> Result<Session, String> {
        let folder = session_folder();
        let path = folder.join("run.json");
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        Ok(Session {
            earlier: read(&path).ok(),
            keeper: Keeper::new(Output::open(&path).map_err(|e| e.to_string())?),
            whole: None,
            told: false,
            folder,
        })
    }

    /// With what earlier targets have measured.
    fn merged(&self, file: &RunFile) -> RunFile {
        let mut whole = self.earlier.clone();
        match &mut whole {
            Some(whole) => whole.merge(file.clone()),
            None => whole = Some(file.clone()),
        }
        whole.unwrap_or_else(|| file.clone())
    }

    /// Keeps what was measured so far.
    pub fn checkpoint(&mut self, file: &RunFile, meter: &Meter) {
        let whole = self.merged(file);
        let kept = self.keeper.checkpoint(&whole);
        if let (Err(e), false) = (&kept, self.told) {
            meter.note(&format!("what was measured so far is kept nowhere: {e}"));
            self.told = true;
        }
    }

    /// Keeps what this target has measured.
    pub fn keep(&mut self, file: &RunFile) -> Result<(), String> {
        let whole = self.whole.insert(self.merged(file));
        self.keeper.keep(whole).map_err(|e| e.to_string())
    }

    /// Makes the report, and says where both are.
    pub fn report(self) -> Result<(), String> {
        let whole: Vec<RunFile> = self.whole.into_iter().collect();
        let written = report::write(&whole, &self.folder.join("report"));
        print(&format!(
            "run file: {}",
            self.folder.join("run.json").display()
        ));
        let written = written.map_err(|e| format!("the report could not be written: {e}"))?;
        print(&format!("report:   {}", written.index.display()));
        Ok(())
    }
}

/// Where the targets of one `cargo bench` put their results: below the target folder (this program
/// lies in `target/PROFILE/deps`), named after the process that started them all.
fn session_folder() -> PathBuf {
    let program = std::env::current_exe().unwrap_or_default();
    let target = program
        .ancestors()
        .nth(3)
        .map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let parent = std::os::unix::process::parent_id();
    // The 22nd field of stat; the second may hold blanks, but ends in the last bracket.
    let stat = std::fs::read_to_string(format!("/proc/{parent}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let started = after_name.split(' ').nth(19).unwrap_or("0");
    target
        .join("cowpath")
        .join(format!("bench-{parent}-{started}"))
}
