//! The process that puts settings back when the run is over, however it ended.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::parent_id;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::folder::{Folder, FolderError, MachineLock};
use super::journal::{Restored, replay};

/// The hidden subcommand under which the program serves as a guardian.
pub const GUARDIAN_COMMAND: &str = "guardian";

/// What the guardian says when it watches.
const READY: &str = "ready";
/// What the runner says when it is done; a runner that was killed says nothing.
const DONE: &[u8] = b"done";
/// How long a killed runner may take to be gone, and how long its workers after it.
const LAST_BREATH: Duration = Duration::from_secs(1);
const WORKERS_END: Duration = Duration::from_millis(200);

/// A guardian, seen from the runner.
pub(super) struct Guardian {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Guardian {
    /// Starts `program` as the guardian, which inherits the lock, and waits until it watches.
    pub fn start(program: &Path, lock: &MachineLock) -> io::Result<Self> {
        let inherited = lock.inheritable()?;
        let mut child = Command::new(program)
            .arg(GUARDIAN_COMMAND)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        drop(inherited);
        let out = child.stdout.take().map(BufReader::new);
        let mut out = out.ok_or_else(|| io::Error::other("it has no standard output"))?;
        let mut said = String::new();
        out.read_line(&mut said)?;
        if said.trim_end() == READY {
            return Ok(Guardian { child, out });
        }
        let _ = child.kill();
        let status = child.wait()?;
        Err(io::Error::other(format!("{status} {}", said.trim_end())))
    }

    /// Has it put everything back, and tells what it says of that.
    ///
    /// # Errors
    /// That it ended otherwise than by saying so.
    pub fn finish(mut self) -> Result<Restored, String> {
        if let Some(mut pipe) = self.child.stdin.take() {
            // One that is gone cannot hear it; its exit status tells.
            let _ = pipe.write_all(DONE);
        }
        let mut said = String::new();
        let read = self.out.read_to_string(&mut said);
        let status = self.child.wait().map_err(|e| e.to_string())?;
        match (read, serde_json::from_str(&said)) {
            (Ok(_), Ok(restored)) if status.success() => Ok(restored),
            _ => Err(status.to_string()),
        }
    }
}

/// The guardian's life: says that it is ready, waits for the end of its input and takes back what the journal notes.
///
/// # Errors
/// When it is not the guardian of a run, and when something could not be put back; the journal stays then.
pub fn guard() -> io::Result<()> {
    let runner = parent_id();
    let folder = match watched(runner) {
        Ok(folder) => folder,
        Err(why) => {
            let _ = say(&why);
            return Err(io::Error::other(why));
        }
    };
    // Neither a terminal's interrupt nor its end may end this process before its work is done.
    nix::unistd::setsid()?;
    nix::sys::signal::SigSet::all().thread_block()?;
    say(READY)?;
    let mut heard = Vec::new();
    io::stdin().lock().read_to_end(&mut heard)?;
    if heard != DONE {
        outlive(runner);
    }
    let restored = replay(&folder);
    let text = serde_json::to_string(&restored).unwrap_or_default();
    // The runner may be gone; what could not be put back stays in the journal, where the next run finds it.
    let _ = say(&text);
    Ok(())
}

/// Waits until a runner that was killed is gone, and its workers: the kernel closes the runner's pipe before it kills
/// them, and one that holds copies may still write to the setting for that.
fn outlive(runner: u32) {
    let deadline = Instant::now() + LAST_BREATH;
    while parent_id() == runner && Instant::now() < deadline {
        sleep(Duration::from_millis(5));
    }
    sleep(WORKERS_END);
}

/// The folder of changes, if `runner` holds its lock.
fn watched(runner: u32) -> Result<Folder, String> {
    let opened = Folder::open().and_then(|folder| match folder {
        Some(folder) => Ok(folder.holder()?.map(|holder| (folder, holder))),
        None => Ok(None),
    });
    match opened.map_err(|e: FolderError| e.to_string())? {
        Some((folder, holder)) if holder.0 == Some(runner as i32) => Ok(folder),
        _ => Err(format!(
            "a guardian is started by a run that changes settings; found: process {runner} holds no lock; mend with: cowpath doctor --restore"
        )),
    }
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
