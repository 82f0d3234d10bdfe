//! What the guests of one command have in common, and which kernels they boot.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::arch::Arch;
use super::engine::Engine;
use super::image::Image;
use super::initramfs;
use super::qemu::{Machine, Qemu};
use crate::guest::error::VmError;
use crate::guest::memory_file::MemoryFile;
use crate::guest::processors::Processors;

/// Characters of the words for a command line that a kernel's label, and so files' names, have room for.
const NAMED: usize = 80;

/// How guests are made, the same for every command that boots some.
#[derive(Clone, Debug, clap::Args)]
pub struct GuestArgs {
    /// More words for the kernels' command lines: once for all of them, or once for each, so that one image
    /// can be compared with itself.
    #[arg(long, value_name = "WORDS")]
    pub append: Vec<String>,
    /// A kernel's tree of modules, or a directory of such trees named by release.
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// Memory of a guest in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(64..))]
    pub memory: u32,
    /// QEMU's CPU model [default: what goes with how the processors are had].
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// The QEMU to use [default: the kernels' on PATH, such as qemu-system-x86_64].
    #[arg(long, value_name = "PROGRAM")]
    pub qemu: Option<PathBuf>,
}

/// What the guests of one command have in common.
#[derive(Clone, Debug)]
pub struct GuestSpec {
    /// The program that becomes QEMU's guard, and init if there is no other; its `main` calls
    /// [`branch`](super::branch).
    pub program: PathBuf,
    /// The same program built for the guests, where their processor is not this machine's.
    pub init: Option<PathBuf>,
    /// Words for the kernels' command lines: none, one text for all, or one for each.
    pub append: Vec<String>,
    /// A tree of modules, or a directory with one such tree for each release; by default those that
    /// [`Image::modules`] finds.
    pub modules: Option<PathBuf>,
    /// Memory of a guest in MiB.
    pub memory_mib: u32,
    /// QEMU's CPU model, if not the one that goes with the engine.
    pub cpu: Option<String>,
    /// QEMU, if not the one on PATH.
    pub qemu: Option<PathBuf>,
    /// Set it from elsewhere to stop.
    pub stop: Arc<AtomicBool>,
}

/// A kernel that is to be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestKernel {
    /// The image.
    pub image: Image,
    /// Words for its command line.
    pub append: String,
    /// What it is called: its release, the words where kernels differ in them, and a number where even that
    /// is not the first of its kind.
    pub label: String,
}

impl GuestArgs {
    /// Guests with `program` as init.
    pub fn spec(&self, program: PathBuf) -> GuestSpec {
        GuestSpec {
            program,
            init: None,
            append: self.append.clone(),
            modules: self.modules.clone(),
            memory_mib: self.memory,
            cpu: self.cpu.clone(),
            qemu: self.qemu.clone(),
            stop: Arc::default(),
        }
    }
}

impl GuestSpec {
    /// The kernels of these images, all for one processor: the one that is wanted, or the first image's.
    ///
    /// # Errors
    /// The first that cannot be booted, or that there are words for more or fewer kernels than there are.
    pub fn kernels(
        &self,
        images: &[PathBuf],
        wanted: Option<Arch>,
    ) -> Result<Vec<GuestKernel>, VmError> {
        let words = match self.append.as_slice() {
            [] => vec![String::new(); images.len()],
            [all] => vec![all.clone(); images.len()],
            each if each.len() == images.len() => each.to_vec(),
            each => {
                return Err(VmError::Words {
                    kernels: images.len(),
                    given: each.len(),
                });
            }
        };
        Ok(labelled(Image::open_all(images, wanted)?, words))
    }

    /// The QEMU for guests of an architecture.
    ///
    /// # Errors
    /// If there is none, or it does not run.
    pub fn qemu(&self, arch: Arch) -> Result<Qemu, VmError> {
        Qemu::find(self.qemu.as_deref(), arch)
    }

    /// The tree of modules that goes with an image.
    ///
    /// # Errors
    /// If the directory that was named has none for it.
    pub fn modules(&self, image: &Image) -> Result<Option<PathBuf>, VmError> {
        let Some(named) = &self.modules else {
            return Ok(image.modules());
        };
        [named.join(&image.release), named.clone()]
            .into_iter()
            .find(|tree| tree.join("kernel").is_dir())
            .map(Some)
            .ok_or_else(|| VmError::NoModules {
                path: named.clone(),
                release: image.release.clone(),
            })
    }

    /// The file system of a guest whose init runs `words`.
    ///
    /// # Errors
    /// If the program or a module cannot be packed, or there is no memory for the file.
    pub fn initramfs(&self, image: &Image, words: &[String]) -> Result<MemoryFile, VmError> {
        let init = self.init.as_ref().unwrap_or(&self.program);
        let base = initramfs::base(init, image.arch, words)?;
        initramfs::complete(base, image, self.modules(image)?.as_deref())
    }

    /// A guest's machine.
    pub fn machine<'a>(&'a self, engine: Engine, smp: Processors, append: &'a str) -> Machine<'a> {
        Machine {
            engine,
            cpu: self.cpu.as_deref(),
            smp,
            memory_mib: self.memory_mib,
            append,
            debugger: None,
        }
    }

    /// Whether the user wants out.
    pub fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

impl GuestKernel {
    /// A file in `folder` that belongs to the kernel.
    pub fn file(&self, folder: &Path, suffix: &str) -> PathBuf {
        folder.join(format!("{}.{suffix}", safe(&self.label)))
    }
}

/// Makes the folder for what guests leave behind.
///
/// # Errors
/// As making a folder.
pub fn make_folder(folder: &Path) -> Result<(), VmError> {
    std::fs::create_dir_all(folder).map_err(|source| VmError::Io {
        what: "create",
        path: folder.to_owned(),
        source,
    })
}

/// The words, or what of them a label has room for.
fn shortened(words: &str) -> String {
    match words.char_indices().nth(NAMED) {
        None => words.to_owned(),
        Some((end, _)) => format!("{}...", &words[..end]),
    }
}

/// A label as part of a file's name.
fn safe(label: &str) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "._+~=-".contains(c);
    label.replace(|c| !is_safe(c), "-")
}

fn labelled(images: Vec<Image>, words: Vec<String>) -> Vec<GuestKernel> {
    let differ = words.windows(2).any(|pair| pair[0] != pair[1]);
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let each = images.into_iter().zip(words).map(|(image, append)| {
        let name = match differ {
            true => format!("{} {}", image.release, shortened(&append)),
            false => image.release.clone(),
        };
        let name = name.trim_end();
        // No two share a file, whatever of their labels a file's name cannot have.
        let numbered = (2..).map(|number| format!("{name}~{number}"));
        let label = std::iter::once(name.to_owned())
            .chain(numbered)
            .find(|label| taken.insert(safe(label)))
            .unwrap_or_default();
        GuestKernel {
            image,
            append,
            label,
        }
    });
    each.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(kernels: &[(&str, &str)]) -> Vec<String> {
        let image = |release: &str| Image {
            path: release.into(),
            arch: Arch::X86,
            release: release.into(),
        };
        let images = kernels.iter().map(|(release, _)| image(release)).collect();
        let words = kernels.iter().map(|(_, words)| (*words).into()).collect();
        let labelled = labelled(images, words).into_iter();
        labelled.map(|kernel| kernel.label).collect()
    }

    #[test]
    fn kernels_are_told_apart_by_release_words_and_number() {
        assert_eq!(labels(&[("6.1", "a"), ("6.12", "a")]), ["6.1", "6.12"]);
        assert_eq!(labels(&[("6.1", ""), ("6.1", "")]), ["6.1", "6.1~2"]);
        assert_eq!(
            labels(&[("6.1", ""), ("6.1", "x=1"), ("6.1", "x=1")]),
            ["6.1", "6.1 x=1", "6.1 x=1~2"]
        );
        let long = "x".repeat(NAMED + 1);
        let short = format!("6.1 {}...", "x".repeat(NAMED));
        assert_eq!(labels(&[("6.1", &long), ("6.1", "")]), [&short, "6.1"]);
        // Their files would have one name.
        assert_eq!(
            labels(&[("6.1", "cpus=1,2"), ("6.1", "cpus=1-2")]),
            ["6.1 cpus=1,2", "6.1 cpus=1-2~2"]
        );
        assert_eq!(
            labels(&[("6.1", ""), ("6.1", ""), ("6.1~2", "")]),
            ["6.1", "6.1~2", "6.1~2~2"]
        );
    }

    #[test]
    fn files_are_called_by_the_kernel_with_no_way_out_of_the_folder() {
        let kernel = |label: &str| GuestKernel {
            image: Image {
                path: "vmlinuz".into(),
                arch: Arch::X86,
                release: "6.1".into(),
            },
            append: String::new(),
            label: label.into(),
        };
        let file = |label| kernel(label).file(Path::new("lab"), "1.json");
        assert_eq!(
            file("6.12.9+deb13~2"),
            Path::new("lab/6.12.9+deb13~2.1.json")
        );
        assert_eq!(file("6.1 a=/../b"), Path::new("lab/6.1-a=-..-b.1.json"));
    }
}
