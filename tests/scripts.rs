//! The scripts with stand-ins for what they call: what they leave alone when something fails half way.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::finish;

/// A folder with some of the real scripts in scripts/ and stand-ins in bin/, which come first in PATH.
struct Copy(tempfile::TempDir);

impl Copy {
    fn of(scripts: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let copy = Copy(folder);
        for script in scripts {
            let real = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("scripts")
                .join(script);
            copy.put(
                &format!("scripts/{script}"),
                &fs::read_to_string(real).unwrap(),
            );
        }
        copy
    }

    /// Writes an executable file.
    fn put(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new(self.0.path().join("scripts").join(script));
        let path = std::env::var("PATH").unwrap();
        command
            .current_dir(self.0.path())
            .env("PATH", format!("{}/bin:{path}", self.0.path().display()))
            .env("COWPATH", self.0.path().join("bin/cowpath"));
        command
    }

    /// What lies in reports/, by name.
    fn published(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        for part in fs::read_dir(self.0.path().join("reports")).unwrap() {
            let part = part.unwrap();
            for file in fs::read_dir(part.path()).unwrap() {
                let file = file.unwrap();
                let name = format!(
                    "{}/{}",
                    part.file_name().display(),
                    file.file_name().display()
                );
                found.insert(name, fs::read_to_string(file.path()).unwrap());
            }
        }
        found
    }
}

/// Published runs of four kernels and of a machine, and stand-ins that measure two kernels.
fn published() -> Copy {
    let copy = Copy::of(&["regenerate"]);
    for kernel in ["5.10", "6.1", "6.12", "7.2"] {
        copy.put(&format!("reports/kernels/{kernel}.1.json"), "old");
    }
    copy.put("reports/kernels/index.html", "old");
    copy.put("reports/machine/run.json", "old");
    copy.put("reports/machine/index.html", "old");
    copy.put(
        "scripts/fetch-kernels",
        "#!/bin/sh\necho vmlinuz-6.1\necho vmlinuz-6.12\n",
    );
    copy.put("bin/cargo", "#!/bin/sh\n");
    let run = r#"{"host":{"kernel":{"cmdline":"root=UUID=1"}},"tool":{"command":["/home/me/cowpath","touch/*"]},"p50":7}"#;
    let cowpath = format!(
        r#"#!/bin/sh
command=$1
while [ "$1" != -o ]; do shift; done
case $command in
run) echo '{run}' >"$2" ;;
vm) mkdir "$2" && echo new >"$2/6.1.1.json" && echo new >"$2/6.12.1.json" ;;
report) mkdir "$2" && echo new >"$2/index.html" ;;
esac
test "$command" != "$FAILS" || exit 4
"#
    );
    copy.put("bin/cowpath", &cowpath);
    copy
}

#[test]
fn with_half_of_the_kernels_nothing_is_replaced() {
    let copy = published();
    copy.put(
        "scripts/fetch-kernels",
        "#!/bin/sh\necho vmlinuz-6.1\nexit 1\n",
    );
    let before = copy.published();
    let mut command = copy.command("regenerate");
    command.arg("kernels");
    assert_eq!(finish(command).code, Some(1));
    assert_eq!(copy.published(), before);
}

#[test]
fn what_fails_at_any_step_replaces_nothing() {
    for step in ["run", "vm", "report"] {
        let copy = published();
        let before = copy.published();
        let mut command = copy.command("regenerate");
        command.args(["machine", "kernels"]).env("FAILS", step);
        assert_eq!(finish(command).code, Some(1), "{step}");
        assert_eq!(copy.published(), before, "{step}");
    }
}

#[test]
fn what_is_measured_anew_takes_the_place_of_the_old_without_what_tells_where() {
    let copy = published();
    let mut command = copy.command("regenerate");
    command.args(["machine", "kernels"]);
    let finished = finish(command);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let mut published = copy.published();
    let run = published.remove("machine/run.json").unwrap();
    let run: serde_json::Value = serde_json::from_str(&run).unwrap();
    let expected = serde_json::json!({
        "host": {"kernel": {"cmdline": "left out"}},
        "tool": {"command": ["cowpath", "touch/*"]},
        "p50": 7
    });
    assert_eq!(run, expected);
    let names: Vec<&str> = published.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "kernels/6.1.1.json",
            "kernels/6.12.1.json",
            "kernels/index.html",
            "machine/index.html"
        ]
    );
    assert!(
        published.values().all(|text| text == "new\n"),
        "{published:?}"
    );
}

/// A partial run file must not be taken for a whole one the next time.
#[test]
fn a_run_that_is_cut_short_is_shown_and_not_kept() {
    let stops = ["true", "true"];
    for (script, arguments) in [("power", &stops[..]), ("trust", &[]), ("spread", &[])] {
        let copy = Copy::of(&[script]);
        let cowpath = "#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\necho {} >\"$1\"\necho interrupted >&2\nexit 130\n";
        copy.put("bin/cowpath", cowpath);
        let mut command = copy.command(script);
        command.args(arguments).arg("1");
        if script != "spread" {
            command.args(["1", "runs"]);
        }
        let finished = finish(command);
        assert_eq!(finished.code, Some(1), "{script}: {finished:?}");
        assert!(
            finished.err.contains("interrupted"),
            "{script}: {finished:?}"
        );
        let kept = fs::read_dir(copy.0.path().join("runs"))
            .into_iter()
            .flatten();
        let kept = kept.filter(|file| {
            let path = file.as_ref().unwrap().path();
            path.extension()
                .is_some_and(|extension| extension == "json")
        });
        assert_eq!(kept.count(), 0, "{script}");
    }
}
