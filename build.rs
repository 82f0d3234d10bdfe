//! Tells the program which commit it is built from, for the run file's `tool.commit`.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/refs/heads");
    let git = Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output();
    if let Ok(output) = git
        && output.status.success()
    {
        println!(
            "cargo::rustc-env=COWPATH_COMMIT={}",
            String::from_utf8_lossy(&output.stdout).trim()
        );
    }
}
