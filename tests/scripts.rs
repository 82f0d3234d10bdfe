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
