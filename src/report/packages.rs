//! The packages that kernels came from, as `scripts/fetch-kernels --lock` names them: with them figures can be had again.

use crate::record::schema::Kernel;

/// One package of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelPackage {
    /// The kernel, as `uname -r` says it.
    pub release: String,
    /// The package's name.
    pub name: String,
    /// The package's version.
    pub version: String,
    /// SHA-256 of the package, in hexadecimal.
    pub sha256: String,
}

/// The packages that the text of a lock file names: on each line architecture, kernel, package, version and SHA-256; what
/// begins with `#` is a comment.
///
/// # Errors
/// The first line that is otherwise.
pub fn packages(text: &str) -> Result<Vec<KernelPackage>, String> {
    let lines = text.lines().zip(1..);
    let lines = lines.filter(|(line, _)| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|(line, number)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let hex = |text: &str| text.len() == 64 && text.bytes().all(|c| c.is_ascii_hexdigit());
            match words[..] {
                [_, release, name, version, sha256] if hex(sha256) => Ok(KernelPackage {
                    release: release.into(),
                    name: name.into(),
                    version: version.into(),
                    sha256: sha256.into(),
                }),
                _ => Err(format!(
                    "line {number}: architecture, kernel, package, version and SHA-256 were needed"
                )),
            }
        })
        .collect()
}

/// What is known of the packages of `kernel`, a line each. A package of another version than the kernel names is not the one
/// that was measured, and is said to be another.
pub fn of_kernel(kernel: &Kernel, packages: &[KernelPackage]) -> Vec<String> {
    let of = packages.iter().filter(|one| one.release == kernel.release);
    of.map(|one| {
        let built = kernel
            .version
            .split_whitespace()
            .any(|word| word == one.version);
        match built {
            true => format!("{} {}, SHA-256 {}", one.name, one.version, one.sha256),
            false => format!(
                "not known: {} {} is named, and the kernel is another: {}",
                one.name, one.version, kernel.version
            ),
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_where_the_kernel_is_of_its_version() {
        let hash = "a".repeat(64);
        let text = format!("# a comment\namd64 6.1.0-56 linux-image-6.1.0-56 6.1.192-2 {hash}\n");
        let known = packages(&text).unwrap();
        let kernel = |version: &str| Kernel {
            release: "6.1.0-56".into(),
            version: version.into(),
            compiler: String::new(),
            cmdline: String::new(),
            config: Default::default(),
        };
        let told = of_kernel(&kernel("#1 SMP Debian 6.1.192-2 (2026-11-16)"), &known);
        assert_eq!(
            told,
            [format!("linux-image-6.1.0-56 6.1.192-2, SHA-256 {hash}")]
        );
        let told = of_kernel(&kernel("#1 SMP Debian 6.1.192-20 (2026-11-16)"), &known);
        assert!(told[0].starts_with("not known: "), "{told:?}");
        assert!(
            packages("amd64 6.1.0-56 linux-image 6.1\n")
                .unwrap_err()
                .starts_with("line 1: ")
        );
    }
}
