//! scripts/bisect under a real `git bisect run`: with stand-ins for what it calls, and with two real kernels where there are
//! any.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::skip::{Need, skip};
use common::{Finished, PROGRAM, finish, is_installed, python};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bisect");
const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/bisect-example");

/// Stands for cowpath. A guest's run files hold the words that its image ends with; a guest that says `slow` in any of them is
/// beyond the gate, and one that says `unsure` only if there are four.
const COWPATH: &str = r#"#!/bin/bash
echo "$*" >>"$(dirname "$0")/called"
case $1 in
vm)
    words=$(tail -c +519 "$2" | tr -d '\0')
    while [[ $1 != -o ]]; do shift; done
    mkdir -p "$2"
    case $words in
    panics)
        echo 'Kernel panic - not syncing: no luck' >"$2/k.1.console.log"
        exit 4
        ;;
    refused)
        echo 'cowpath: no scenario matches'
        exit 2
        ;;
    esac
    echo "$words" >"$2/k.1.json"
    echo "$words" >"$2/k.2.json"
    echo '{}' >"$2/lab.json"
    ;;
compare)
    status=0
    change=1.0
    [[ "$*" != *--primary* || "$*" == *'--primary copy/*,reuse/'* ]] || exit 2
    while [[ $1 != --with ]]; do shift; done
    shift
    files=()
    while [[ ${1:-} == /* ]]; do files+=("$1") && shift; done
    ! grep -q other "${files[@]}" || { echo 'another machine' >&2; exit 2; }
    ! grep -q slow "${files[@]}" || { status=1; change=1.006; }
    if grep -q unsure "${files[@]}"; then
        status=5
        ((${#files[@]} < 4)) || { status=1; change=1.007; }
    fi
    ! grep -q never "${files[@]}" || status=5
    row='"scenario": "copy/child-alive", "primary": true'
    echo "{\"rows\": [{$row, \"effect\": {\"change\": $change, \"interval\": [$change, 1.008]}}]}"
    exit $status
    ;;
esac
"#;

/// Makes an image that ends with the words in the tree's file `words`, or does what else that says.
const BUILD: &str = r#"read -r words <words
[[ $words != broken ]] || { echo "words:1: error: it is broken" >&2; exit 2; }
[[ $words != full ]] || { echo "No space left on device" >&2; exit 2; }
[[ $words != gone ]] || exec ./no-such-file
{
    if [[ $words == zeros ]]; then head -c 600 /dev/zero; else head -c 514 /dev/zero; printf 'HdrS%s' "$words"; fi
} >"$BUILD_DIR/image"
echo made
echo "$BUILD_DIR/image"
"#;

/// A folder with a repository `tree`, of which each commit holds other words, and stand-ins in `bin`.
struct Bench(tempfile::TempDir);

impl Bench {
    /// The tree's commits with these words, the first with a baseline in `good`; `None` where what the script needs is missing.
    fn of(words: &[&str]) -> Option<Self> {
        if !is_installed("git") {
            skip(Need::Git, "git is not installed");
            return None;
        }
        python("json", "", &[])?;
        let bench = Bench(tempfile::tempdir().unwrap());
        bench.put("bin/qemu-system-x86_64", "#!/bin/sh\n");
        bench.put("bin/cowpath", COWPATH);
        bench.git(&["init", "-q", "-b", "main", "."]);
        for (at, words) in words.iter().enumerate() {
            fs::write(bench.path("tree/words"), format!("{words}\n")).unwrap();
            fs::write(bench.path("tree/at"), at.to_string()).unwrap();
            bench.git(&["add", "."]);
            bench.git(&["commit", "-q", "-m", &format!("commit {at}")]);
        }
        for boot in 1..=2 {
            bench.put(&format!("good/k.{boot}.json"), "good");
        }
        Some(bench)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes an executable file.
    fn put(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::create_dir_all(self.path("tree")).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A command in the tree, with the stand-ins first in its PATH.
    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap();
        command
            .args(arguments)
            .current_dir(self.path("tree"))
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("COWPATH", self.path("bin/cowpath"))
            .env("XDG_CACHE_HOME", self.path("cache"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "cowpath")
                .env(format!("GIT_{who}_EMAIL"), "cowpath@localhost");
        }
        command
    }

    fn git(&self, arguments: &[&str]) -> Finished {
        let finished = finish(self.command("git", arguments));
        assert_eq!(finished.code, Some(0), "{arguments:?}: {finished:?}");
        finished
    }

    /// The script with these arguments behind those that say where and how.
    fn judge(&self, arguments: &[&str]) -> Finished {
        let mut all = vec!["--build", BUILD, "-o", "../steps"];
        all.extend(arguments);
        finish(self.command(SCRIPT, &all))
    }

    /// `git bisect run` between the last commit and the first.
    fn bisect(&self, arguments: &[&str]) -> Finished {
        let first = self.git(&["rev-list", "--max-parents=0", "HEAD"]).out;
        self.git(&["bisect", "start", "HEAD", first.trim()]);
        let mut all = vec!["bisect", "run", SCRIPT, "-o", "../steps"];
        all.extend(arguments);
        finish(self.command("git", &all))
    }

    /// The columns of the log from the row's name on, without its first line.
    fn log(&self) -> Vec<Vec<String>> {
        let text = self.text("steps/log.tsv");
        let rows = text.lines().skip(1);
        rows.map(|row| row.split('\t').skip(4).map(str::to_owned).collect())
            .collect()
    }

    fn is_clean(&self) {
        assert_eq!(self.git(&["status", "--porcelain", "--ignored"]).out, "");
    }
}

#[test]
fn git_bisect_run_finds_the_commit_past_one_that_does_not_build() {
    let words = [
        "good", "good", "good", "good", "broken", "good", "slow", "slow", "slow",
    ];
    let Some(bench) = Bench::of(&words) else {
        return;
    };
    let finished = bench.bisect(&["--baseline", "../good", "--build", BUILD]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.tells("is the first bad commit");
    finished.tells("    commit 6\n");
    let verdicts: Vec<String> = bench.log().iter().map(|row| row[4].clone()).collect();
    assert_eq!(verdicts[0], "skip", "{verdicts:?}");
    assert!(verdicts.len() >= 3, "{verdicts:?}");
    finished.complains("(commit 4): built in");
    finished.complains("error: it is broken; see /");
    finished.complains("(commit 6): built in");
    finished.complains("s: copy/child-alive 1.0060 [1.0060, 1.0080]: bad");
    bench.git(&["bisect", "reset"]);
    bench.is_clean();
}

/// What a commit's words come to, and a part of what is said of it.
#[test]
fn each_trouble_has_its_status_and_says_why() {
    let cases = [
        ("good", 0, "1.0000 [1.0000, 1.0080]: good"),
        ("slow", 1, "1.0060 [1.0060, 1.0080]: bad"),
        ("unsure", 1, "2 boots do not tell; 2 more"),
        ("never", 125, "it cannot be told by 4 boots; see /"),
        ("broken", 125, "it does not build: words:1: error: it is"),
        ("zeros", 125, "/image is no kernel; see /"),
        ("panics", 125, "Kernel panic - not syncing: no luck; see /"),
        ("other", 128, "it does not compare: another machine"),
        ("full", 128, "for lack of space; see /"),
        ("gone", 128, "the build command could not be started"),
        ("refused", 128, "no scenario matches"),
    ];
    for (words, code, said) in cases {
        let Some(bench) = Bench::of(&[words]) else {
            return;
        };
        let finished = bench.judge(&["--baseline", "../good"]);
        assert_eq!(finished.code, Some(code), "{words}: {finished:?}");
        finished.complains(said);
        assert_eq!(finished.out, "", "{words}");
        bench.is_clean();
        // The log that is named is there.
        if let Some((_, log)) = finished.err.trim_end().rsplit_once("; see ") {
            assert!(Path::new(log).exists(), "{words}: {log}");
        }
    }
}

#[test]
fn what_is_wrong_with_every_commit_ends_the_bisection() {
    let Some(bench) = Bench::of(&["good"]) else {
        return;
    };
    bench.put("one/k.1.json", "good");
    bench.put("foreign/k.1.json", "good");
    bench.put("foreign/k.2.json", "good");
    bench.put("foreign/settings", "program of another build\n");
    bench.put("unlike/k.1.json", "other");
    bench.put("unlike/k.2.json", "other");
    let cases: [(&[&str], &str); 12] = [
        (&[], "--baseline DIR or --keep-baseline DIR is needed"),
        (&["--baseline"], "--baseline needs a value"),
        (
            &["--baseline", "../good", "--fast"],
            "unknown argument --fast",
        ),
        (&["--baseline", "../good", "copy/*"], "stands behind --"),
        (&["--baseline", "../good", "--gate", "x"], "got x"),
        (&["--baseline", "../good", "--boots", "1"], "got 1"),
        (
            &["--baseline", "../good", "--small"],
            "--build builds as it",
        ),
        (&["--baseline", "../none"], "/none holds 0 run files"),
        (&["--baseline", "../one"], "/one holds 1 run files"),
        (&["--baseline", "../foreign"], "another build of cowpath"),
        (
            &["--baseline", "../unlike"],
            "does not serve: another machine",
        ),
        (&["--baseline", "../good", "-o", "in"], "lies in the source"),
    ];
    for (arguments, said) in cases {
        let finished = bench.judge(arguments);
        assert_eq!(finished.code, Some(128), "{arguments:?}: {finished:?}");
        finished.complains(said);
    }
    let mut command = bench.command(SCRIPT, &["--baseline", "../good", "--build", BUILD]);
    command.env("COWPATH", "/nowhere/cowpath");
    let finished = finish(command);
    assert_eq!(finished.code, Some(128), "{finished:?}");
    finished.complains("/nowhere/cowpath is no program");
    // Without a compiler's help there is nothing to build in this tree.
    let finished = finish(bench.command(SCRIPT, &["--baseline", "../good"]));
    assert_eq!(finished.code, Some(128), "{finished:?}");
    assert!(!bench.text("bin/called").contains("vm"));
    bench.is_clean();
    for at in ["more", "still more"] {
        fs::write(bench.path("tree/at"), at).unwrap();
        bench.git(&["commit", "-q", "-a", "-m", at]);
    }
    let finished = bench.bisect(&["--baseline", "../none", "--build", BUILD]);
    assert_eq!(finished.code, Some(128), "{finished:?}");
}

#[test]
fn a_commit_is_measured_once_for_the_same_arguments() {
    let Some(bench) = Bench::of(&["slow"]) else {
        return;
    };
    let boots = || bench.text("bin/called").matches("vm ").count();
    let arguments = ["--baseline", "../good", "--", "copy/*", "reuse/exclusive"];
    assert_eq!(bench.judge(&arguments).code, Some(1));
    assert_eq!(boots(), 1);
    let called = bench.text("bin/called");
    let run = "--accel exact --reps 2";
    let suite = "-- copy/* reuse/exclusive --quick --reps 8 --pages 512";
    assert!(called.contains(run) && called.contains(suite), "{called}");

    let again = bench.judge(&arguments);
    assert_eq!((again.code, boots()), (Some(1), 1), "{again:?}");
    again.complains("judged from what is in /");
    // Another gate is judged by the same run files; other arguments and other sources are measured.
    let gate = ["--gate", "2", "--baseline", "../good", "--"];
    bench.judge(&[&gate[..], &["copy/*", "reuse/exclusive"]].concat());
    assert_eq!(boots(), 1);
    let other = bench.judge(&[&gate[..], &["copy/*", "reuse/exclusive", "--reps", "3"]].concat());
    other.complains("was measured with other arguments, and is again");
    assert_eq!(boots(), 2);
    fs::write(bench.path("tree/words"), "good\n").unwrap();
    assert_eq!(bench.judge(&arguments).code, Some(0));
    assert_eq!(boots(), 3);
    assert_eq!(bench.log().len(), 5);
}

#[test]
fn a_baseline_is_kept_once_and_says_what_measured_it() {
    let Some(bench) = Bench::of(&["good"]) else {
        return;
    };
    let finished = bench.judge(&["--keep-baseline", "../kept"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.complains("the baseline is in /");
    let again = bench.judge(&["--keep-baseline", "../kept"]);
    assert_eq!(again.code, Some(128), "{again:?}");
    again.complains("holds run files already");
    assert_eq!(bench.judge(&["--baseline", "../kept"]).code, Some(0));
    // Another build of the program.
    bench.put("bin/cowpath", &format!("{COWPATH}\n# changed\n"));
    let finished = bench.judge(&["--baseline", "../kept"]);
    assert_eq!(finished.code, Some(128), "{finished:?}");
    bench.is_clean();
}

/// The images of Debian's 6.1 and 6.12 in the cache of scripts/fetch-kernels, if guests can be had of them; says so if not.
fn kernels() -> Option<[PathBuf; 2]> {
    if !is_installed("qemu-system-x86_64") {
        skip(Need::Qemu, "qemu-system-x86_64 is not installed");
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/fetch-kernels");
    let found = Command::new(script)
        .args(["--cached", "6.1", "6.12"])
        .output()
        .unwrap();
    let images = String::from_utf8(found.stdout).unwrap();
    let images: Vec<PathBuf> = images.lines().map(PathBuf::from).collect();
    let images = <[PathBuf; 2]>::try_from(images).ok();
    if images.is_none() {
        skip(Need::Kernels, "scripts/fetch-kernels 6.1 6.12 gets them");
    }
    images
}

/// A copy takes a quarter more instructions on 6.12 than on 6.1.
#[test]
fn of_real_kernels_the_commit_that_brings_the_slower_one_is_found() {
    let Some([old, new]) = kernels() else {
        return;
    };
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let Some(bench) = Bench::of(&[old, old, old, new, new]) else {
        return;
    };
    fs::remove_file(bench.path("bin/qemu-system-x86_64")).unwrap();
    fs::remove_file(bench.path("bin/cowpath")).unwrap();
    std::os::unix::fs::symlink(PROGRAM, bench.path("bin/cowpath")).unwrap();
    let suite = [
        "--build",
        "cat words",
        "--",
        "copy/child-alive",
        "--pages",
        "64",
        "--trials",
        "1",
        "--reps",
        "2",
    ];
    let first = bench.git(&["rev-list", "--max-parents=0", "HEAD"]).out;
    bench.git(&["checkout", "-q", first.trim()]);
    let keep = [&["--keep-baseline", "../kept"], &suite[..]].concat();
    let kept = finish(bench.command(SCRIPT, &keep));
    assert_eq!(kept.code, Some(0), "{kept:?}");
    bench.git(&["checkout", "-q", "main"]);
    let finished = bench.bisect(&[&["--baseline", "../kept"], &suite[..]].concat());
    assert_eq!(finished.code, Some(0), "{finished:?}");
    finished.tells("is the first bad commit");
    finished.tells("    commit 3\n");
    let log = bench.log();
    let told: Vec<(&str, &str)> = log
        .iter()
        .map(|row| (row[0].as_str(), row[4].as_str()))
        .collect();
    let row = "copy/child-alive";
    assert_eq!(told, [(row, "good"), (row, "bad")], "{log:?}");
    bench.git(&["bisect", "reset"]);
    bench.is_clean();
}

/// A folder with an empty file for each that the example changes, and the function that gets slower.
fn source(folder: &Path) {
    let script = fs::read_to_string(EXAMPLE).unwrap();
    let (_, list) = script.split_once("FILES=(").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    for file in list.split_whitespace() {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let text =
        "static vm_fault_t wp_page_copy(struct vm_fault *vmf)\n{\n\tdelayacct_wpcopy_start();\n}\n";
    fs::write(folder.join("mm/memory.c"), text).unwrap();
}

#[test]
fn the_example_is_the_same_history_each_time_and_its_source_is_only_read() {
    let Some(bench) = Bench::of(&["good"]) else {
        return;
    };
    let folder = bench.path("source");
    source(&folder);
    let made = |arguments: &[&str]| {
        let mut command = Command::new(EXAMPLE);
        command
            .args(arguments)
            .args(["--source", "source"])
            .current_dir(bench.0.path());
        finish(command)
    };
    let first = made(&["one"]);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(made(&["two"]).out, first.out);
    let git = |arguments: &[&str]| {
        let all = [&["-C", "../one"], arguments].concat();
        bench.git(&all).out
    };
    assert_eq!(git(&["rev-list", "--count", "first..main"]), "40\n");
    assert_eq!(git(&["status", "--porcelain"]), "");
    let slow = first.out.lines().last().unwrap().replace("slow ", "");
    let diff = git(&["show", "--format=", &slow]);
    assert!(
        diff.contains("+\tasm volatile(\".rept 30; nop; .endr\");"),
        "{diff}"
    );
    assert_eq!(
        git(&["rev-list", "--count", &format!("first..{slow}")]),
        "27\n"
    );
    let broken = git(&["log", "--format=%s", "-S#error", "first..main"]);
    assert_eq!(broken.lines().count(), 2, "{broken}");
    // Another place for the same, on the first commit that is there already.
    let other = made(&["--at", "9", "--broken", "0", "one"]);
    assert_eq!(other.code, Some(0), "{other:?}");
    assert_eq!(other.out.lines().next(), first.out.lines().next());
    assert_eq!(git(&["log", "--format=%s", "-S#error", "first..main"]), "");
    assert_eq!(made(&["--at", "20", "one"]).code, Some(2));
    assert_eq!(made(&["source"]).code, Some(1));
    assert!(!folder.join(".git").exists());
    let unchanged = fs::read_to_string(folder.join("mm/memory.c")).unwrap();
    assert!(!unchanged.contains("nop"));
}
