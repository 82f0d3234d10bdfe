//! The scripts with stand-ins for what they call: what they leave alone when something fails half way.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use common::skip::{Need, skip};
use common::{Finished, finish, python};

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
        // apt's user may look at what stands for a mirror.
        fs::set_permissions(copy.0.path(), fs::Permissions::from_mode(0o755)).unwrap();
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

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap_or_default()
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
    if python("json", "", &[]).is_none() {
        return;
    }
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
        finished.complains("interrupted");
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

/// Whether Debian's package tools can be had; says so if not.
fn has_apt() -> bool {
    let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
    let found = keyring.exists() && common::is_installed("apt-get");
    if !found {
        skip(Need::Apt, "apt or Debian's keyring is not installed");
    }
    found
}

fn shell(script: &str, folder: &Path) -> Finished {
    let mut command = Command::new("sh");
    command.args(["-ec", script]).current_dir(folder);
    finish(command)
}

#[test]
fn kernels_that_nobody_signed_are_refused_where_the_machines_apt_takes_them() {
    if !has_apt() {
        return;
    }
    let copy = Copy::of(&["fetch-kernels", "private-apt"]);
    let mirror = r#"
        package=linux-image-6.1.0-1-cloud-amd64
        mkdir -p part/DEBIAN part/boot mirror/pool
        printf '%s\n' "Package: $package" 'Version: 1' 'Architecture: amd64' \
            'Maintainer: Nobody' 'Description: none' >part/DEBIAN/control
        echo kernel >part/boot/vmlinuz-6.1.0-1-cloud-amd64
        dpkg-deb -b part mirror/pool/kernel.deb
        for suite in bookworm bookworm-security; do
            lists=mirror/dists/$suite/main/binary-amd64
            mkdir -p "$lists"
            { cat part/DEBIAN/control; echo Filename: pool/kernel.deb
              echo Size: "$(stat -c %s mirror/pool/kernel.deb)"
              echo SHA256: "$(sha256sum mirror/pool/kernel.deb | cut -d ' ' -f 1)"; } >"$lists/Packages"
            printf '%s\n' "Suite: $suite" "Codename: $suite" 'Architectures: amd64' 'Components: main' \
                "Date: $(date -Ru)" SHA256: >"mirror/dists/$suite/Release"
            echo " $(sha256sum "$lists/Packages" | cut -d ' ' -f 1)" \
                "$(stat -c %s "$lists/Packages") main/binary-amd64/Packages" >>"mirror/dists/$suite/Release"
        done
        printf '%s "true";\n' Acquire::AllowInsecureRepositories APT::Get::AllowUnauthenticated >apt.conf
    "#;
    let made = shell(mirror, copy.0.path());
    assert_eq!(made.code, Some(0), "{made:?}");
    let mirror = format!("file:{}/mirror", copy.0.path().display());
    let mut command = copy.command("fetch-kernels");
    command
        .args(["--cache", "kernels", "6.1"])
        .env("COWPATH_MIRROR", &mirror)
        .env("COWPATH_SECURITY_MIRROR", &mirror)
        .env("APT_CONFIG", copy.0.path().join("apt.conf"));
    let finished = finish(command);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    finished.complains("is not signed");
    assert!(!copy.0.path().join("kernels/6.1").exists());
}

/// Stand-ins for a mirror's tools: some kernels, one of which was built twice and one of which is only listed.
fn mirror() -> Copy {
    let copy = Copy::of(&["fetch-kernels", "private-apt"]);
    let offered = [
        ("6.1.0-55-cloud-amd64", "6.1.192-1", "bookworm-security"),
        ("6.12.9+deb13-cloud-amd64", "6.12.9-1", "trixie"),
        (
            "6.12.10+deb12-cloud-amd64",
            "6.12.10-1~deb12u1",
            "bookworm-security",
        ),
        ("6.12.10+deb13-cloud-amd64", "6.12.10-1", "trixie"),
        ("6.12.11+deb13-cloud-amd64", "6.12.11-1", "trixie"),
        (
            "6.18.5+deb13-cloud-amd64",
            "6.18.5-1~bpo13+1",
            "trixie-backports",
        ),
        ("7.3-cloud-amd64", "7.3~rc7-1~exp1", "experimental"),
    ];
    let rows = offered.map(|(release, version, suite)| {
        format!(
            "linux-image-{release} | {version} | http://mirror/debian {suite}/main amd64 Packages\n"
        )
    });
    let names = offered.map(|(release, _, _)| format!("linux-image-{release} - Linux\n"));
    copy.put("madison", &rows.concat());
    copy.put(
        "names",
        &(names.concat() + "linux-image-6.1-cloud-amd64 - Linux for x86-64 cloud (meta-package)\n"),
    );
    copy.put(
        "bin/apt-cache",
        r#"#!/bin/sh
        here=$(dirname "$0")/..
        case $2 in
        search) cat "$here/names" ;;
        madison) grep -v -- "-6.1-cloud" "$here/madison" ;;
        dumpavail) printf 'Package: linux-image-6.18.5+deb13-cloud-amd64\nVersion: 1\nSize: 50331648\n' ;;
        depends) ;;
        esac
        "#,
    );
    // What is downloaded has its own name for its content.
    copy.put(
        "bin/apt-get",
        r#"#!/bin/sh
        [ "$2" = download ] || exit 0
        shift 3
        for what; do
            name=${what%%=*}_${what#*=}_amd64.deb
            case $name in *6.12.11*) echo "E: gone" >&2; exit 100 ;; esac
            echo "'http://mirror/$name' $name 1 SHA256:$(printf %s "$name" | sha256sum | cut -d ' ' -f 1)"
        done
        "#,
    );
    copy.put(
        "bin/apt-helper",
        "#!/bin/sh\necho fetched >>\"$(dirname \"$0\")/../fetched\"\nprintf %s \"$(basename \"$4\")\" >\"$4\"\n",
    );
    copy.put(
        "bin/apt-config",
        "#!/bin/sh\nif [ \"$2\" = shell ]; then echo \"helper='$(dirname \"$0\")/methods'\"; fi\n",
    );
    copy.put(
        "bin/dpkg-deb",
        r#"#!/bin/sh
        release=$(basename "$2" | sed 's/^linux-image-//; s/_.*//')
        mkdir -p "$3/boot" "$3/lib/modules/$release/kernel"
        cp "$2" "$3/boot/vmlinuz-$release"
        "#,
    );
    copy
}

/// The releases whose images `fetch-kernels` printed, and how it ended.
fn fetched(copy: &Copy, arguments: &[&str]) -> (Vec<String>, Finished) {
    let mut command = copy.command("fetch-kernels");
    command
        .args(["--cache", "kernels"])
        .args(arguments)
        .env("COWPATH_MIRROR", "http://mirror/debian");
    let finished = finish(command);
    let of = |path: &str| {
        path.rsplit_once("/vmlinuz-")
            .map(|(_, release)| release.to_string())
    };
    (finished.out.lines().filter_map(of).collect(), finished)
}

#[test]
fn a_kernel_is_named_by_line_point_release_range_or_release() {
    if !has_apt() {
        return;
    }
    let copy = mirror();
    let cases: [(&str, &[&str]); 7] = [
        ("6.18", &["6.18.5+deb13-cloud-amd64"]),
        ("6.12.10", &["6.12.10+deb13-cloud-amd64"]),
        ("6.12.10+deb12-cloud-amd64", &["6.12.10+deb12-cloud-amd64"]),
        (
            "6.12.9..6.12.10",
            &["6.12.9+deb13-cloud-amd64", "6.12.10+deb13-cloud-amd64"],
        ),
        // The newest of 6.12 is listed and cannot be had: the one before will do.
        (
            "6.1..6.17",
            &["6.1.0-55-cloud-amd64", "6.12.10+deb13-cloud-amd64"],
        ),
        ("7.3", &["7.3-cloud-amd64"]),
        (
            "all",
            &[
                "6.1.0-55-cloud-amd64",
                "6.12.10+deb13-cloud-amd64",
                "6.18.5+deb13-cloud-amd64",
                "7.3-cloud-amd64",
            ],
        ),
    ];
    for (name, releases) in cases {
        let (found, finished) = fetched(&copy, &[name]);
        assert_eq!(finished.code, Some(0), "{name}: {finished:?}");
        assert_eq!(found, releases, "{name}");
    }
    assert_eq!(fetched(&copy, &["all"]).0.len(), 4);
    let once = copy.text("fetched").lines().count();
    assert_eq!(once, 6, "what is in the cache is not fetched again");
    for (name, code) in [
        ("6.12.11", 1),
        ("9.9", 1),
        ("linux", 2),
        ("6.18..", 2),
        ("6", 2),
        ("--jobs", 2),
    ] {
        assert_eq!(fetched(&copy, &[name]).1.code, Some(code), "{name}");
    }
    let (found, finished) = fetched(&copy, &["--strict", "6.18", "9.9"]);
    assert_eq!((found.len(), finished.code), (1, Some(1)));
    finished.complains("could not be had: 9.9");
}

#[test]
fn what_can_be_had_is_listed_without_fetching_it() {
    if !has_apt() {
        return;
    }
    let copy = mirror();
    fetched(&copy, &["6.18"]);
    let finished = fetched(&copy, &["--list", "6.12..7.3"]).1;
    let rows: Vec<Vec<&str>> = finished
        .out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[1],
        ["6.12.9", "6.12.9+deb13-cloud-amd64", "trixie", "-"]
    );
    let cached = [
        "6.18.5",
        "6.18.5+deb13-cloud-amd64",
        "trixie-backports",
        "48",
        "in",
        "the",
        "cache",
    ];
    assert_eq!(rows[5], cached);
    assert_eq!(rows[6][..2], ["7.3~rc7", "7.3-cloud-amd64"]);
    assert_eq!(rows.len(), 7, "{}", finished.out);
    assert_eq!(copy.text("fetched").lines().count(), 1);
}

#[test]
fn what_a_lock_file_names_is_fetched_and_nothing_else() {
    if !has_apt() {
        return;
    }
    let copy = mirror();
    let (_, finished) = fetched(&copy, &["6.12.9", "6.18", "--lock", "kernels.lock"]);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let lock = copy.text("kernels.lock");
    assert!(
        lock.contains("linux-image-6.12.9+deb13-cloud-amd64 6.12.9-1 "),
        "{lock}"
    );
    let again = ["--cache", "others", "--locked", "kernels.lock"];
    let (found, finished) = fetched(&copy, &again);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(
        found,
        ["6.12.9+deb13-cloud-amd64", "6.18.5+deb13-cloud-amd64"]
    );
    // All of the file is each of its kernels, those of one line too.
    fetched(&copy, &["6.12.9..6.12.10", "--lock", "line.lock"]);
    let (found, _) = fetched(&copy, &["--cache", "second", "--locked", "line.lock"]);
    assert_eq!(
        found,
        ["6.12.9+deb13-cloud-amd64", "6.12.10+deb13-cloud-amd64"]
    );
    // A mirror that has something else under the same name and version.
    let hash = lock.lines().nth(1).unwrap().rsplit_once(' ').unwrap().1;
    copy.put("kernels.lock", &lock.replace(hash, &"0".repeat(64)));
    for cache in ["others", "third"] {
        let (found, finished) = fetched(&copy, &["--cache", cache, "--locked", "kernels.lock"]);
        assert_eq!((finished.code, found.len()), (Some(1), 1), "{finished:?}");
        finished.complains("is not what kernels.lock names");
    }
}

/// Stand-ins for what `build-aarch64` calls where the toolchain lacks the target; the compiler is had from "Debian".
fn compiler() -> Copy {
    let copy = Copy::of(&["build-aarch64", "private-apt"]);
    for name in ["apt-config", "aarch64-linux-gnu-gcc", "chown"] {
        copy.put(&format!("bin/{name}"), "#!/bin/sh\n");
    }
    copy.put("bin/uname", "#!/bin/sh\necho x86_64\n");
    copy.put("bin/rustc", "#!/bin/sh\nexit 1\n");
    copy.put(
        "bin/apt-get",
        "#!/bin/sh\ncase \"$*\" in *download*) : >some.deb ;; esac\n",
    );
    copy.put("bin/apt-cache", "#!/bin/sh\necho libllvm16\n");
    let unpacked =
        "#!/bin/sh\nmkdir -p \"$3/usr/bin\"\ncp \"$(dirname \"$0\")/real\" \"$3/usr/bin/rustc\"\n";
    copy.put("bin/dpkg-deb", unpacked);
    copy.put(
        "bin/real",
        "#!/bin/sh\necho \"rustc 1.90 $LD_LIBRARY_PATH\"\n",
    );
    copy.put("bin/cargo", "#!/bin/sh\n\"$RUSTC\" --version >called\n");
    copy
}

fn build(copy: &Copy) -> Finished {
    let mut command = copy.command("build-aarch64");
    command
        .args(["--cache", "a $(cache) of \"mine\""])
        .env("COWPATH_MIRROR", "file:/none")
        .env("COWPATH_SECURITY_MIRROR", "file:/none");
    finish(command)
}

#[test]
fn a_fetched_compiler_runs_from_any_folder() {
    if !has_apt() {
        return;
    }
    let copy = compiler();
    build(&copy);
    let called = copy.text("called");
    assert!(called.contains("rustc 1.90"), "{called}");
    assert!(called.contains("of \"mine\"/rust/usr/lib"), "{called}");
}

#[test]
fn a_compiler_of_which_parts_cannot_be_named_is_not_had() {
    if !has_apt() {
        return;
    }
    let copy = compiler();
    copy.put("bin/apt-cache", "#!/bin/sh\necho libllvm16\nexit 100\n");
    let finished = build(&copy);
    assert_eq!(finished.code, Some(3), "{finished:?}");
    assert_eq!(copy.text("called"), "");
}
