//! What the end-to-end tests share: starting the program and reading what it leaves behind.
#![allow(dead_code, reason = "each test program uses a part of this")]

pub mod skip;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cowpath::record::io::read;
use cowpath::record::schema::RunFile;

use skip::{Need, skip};

/// The program under test.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_cowpath");

/// The program with these arguments.
pub fn cowpath(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args);
    command
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Finished {
    let output = command.output().expect("the program starts");
    Finished::from(output)
}

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Finished {
    /// Asserts that it wrote `text` to standard output.
    #[track_caller]
    pub fn tells(&self, text: &str) {
        assert!(self.out.contains(text), "{text}: {self:?}");
    }

    /// Asserts that it wrote `text` to standard error.
    #[track_caller]
    pub fn complains(&self, text: &str) {
        assert!(self.err.contains(text), "{text}: {self:?}");
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        Finished {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Arguments of a run that takes well under a second a scenario.
pub fn small_run<'a>(globs: &[&'a str], output: &'a str) -> Vec<&'a str> {
    let mut args = vec!["run"];
    args.extend(globs);
    args.extend([
        "--pages", "256", "--trials", "2", "--reps", "2", "-o", output,
    ]);
    args
}

/// Reads a run file strictly.
pub fn load(path: &Path) -> RunFile {
    read(path).unwrap_or_else(|e| panic!("{e}"))
}

/// Whether this process may see page frame numbers and the like.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether this process is not root, for lack of which a test is skipped because of `what`.
pub fn no_root(what: &str) -> bool {
    let no = !is_root();
    if no {
        skip(Need::Root, what);
    }
    no
}

/// Whether a program can be started.
pub fn is_installed(program: &str) -> bool {
    let started = Command::new(program).arg("--version").output();
    started.is_ok()
}

/// What python3 prints when it runs `script` with these arguments; `None` where it or a module that it needs is missing.
pub fn python(module: &str, script: &str, arguments: &[&Path]) -> Option<String> {
    let run = |script: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", script]).args(arguments).output()
    };
    if !run(&format!("import {module}")).is_ok_and(|out| out.status.success()) {
        let mend = "mend with: pip install -r .ci/requirements.txt";
        skip(Need::Python, format!("python3 has no {module}; {mend}"));
        return None;
    }
    let Finished { code, out, err } = run(script).expect("it was run before").into();
    assert_eq!(code, Some(0), "{err}");
    Some(out.trim().to_string())
}

/// Asserts that a file is as a JSON Schema says, which has to be a valid schema itself.
pub fn assert_valid(file: &Path, schema: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("schema.json");
    std::fs::write(&path, schema).unwrap();
    let script = "import json, sys\n\
        from jsonschema import Draft202012Validator\n\
        file, schema = (json.load(open(path)) for path in sys.argv[1:])\n\
        Draft202012Validator.check_schema(schema)\n\
        for error in Draft202012Validator(schema).iter_errors(file):\n\
        \x20   print(error.json_path, error.message)";
    if let Some(errors) = python("jsonschema", script, &[file, &path]) {
        assert_eq!(errors, "", "{}", file.display());
    }
}

/// A copy of the program that anyone may execute, so that its processes can be told by their path.
pub fn private_copy(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let copy = folder.join("cowpath-copy");
    std::fs::copy(PROGRAM, &copy).expect("the program can be copied");
    for path in [folder, &copy] {
        let mode = std::fs::Permissions::from_mode(0o777);
        std::fs::set_permissions(path, mode).expect("own files can be opened up");
    }
    copy
}

/// The processes that execute `program`.
pub fn processes_of(program: &Path) -> Vec<i32> {
    let entries = std::fs::read_dir("/proc")
        .expect("/proc is there")
        .flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
        })
        .collect()
}

/// Waits until no process executes `program`.
pub fn wait_for_all_to_end(program: &Path) {
    wait_for("every process to end", || {
        processes_of(program).is_empty().then_some(())
    });
}

/// Waits until `done` gives something; at most 20 s.
pub fn wait_for<T>(what: &str, mut done: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = done() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
