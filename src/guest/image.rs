//! What a kernel image says about itself, and where its modules lie.

use std::fs::File;
use std::io::Read;
use std::iter;
use std::path::{Path, PathBuf};

use super::arch::Arch;
use crate::guest::error::{ImageError, VmError};

/// How much of a bzImage is read: the boot header and the version string behind it.
const HEAD: u64 = 64 * 1024;
/// What follows in an arm64 image, which has no pointer to it, is the kernel's version.
const BANNER: &[u8] = b"Linux version ";
/// Where the boot protocol's header keeps the offset of the version string, less 0x200.
const VERSION_POINTER: usize = 0x20e;

/// A kernel image that QEMU can boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The file.
    pub path: PathBuf,
    /// What it runs on.
    pub arch: Arch,
    /// As the kernel itself will say it (`uname -r`), read from the image.
    pub release: String,
}

impl Image {
    /// Reads the boot header of a bzImage, or of an arm64 image.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let mut file = File::open(path)?;
        let mut head = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut head)?;
        let (arch, release) = if head.get(0x202..0x206) == Some(b"HdrS") {
            (Arch::X86, version(&head))
        } else if head.get(0x38..0x3c) == Some(b"ARMd") {
            file.read_to_end(&mut head)?;
            (Arch::Aarch64, banner(&head))
        } else {
            return Err(ImageError::NotAnImage {
                found: looks_like(&head),
            });
        };
        Ok(Self {
            path: path.to_owned(),
            arch,
            release: release.unwrap_or_else(|| file_name(path)),
        })
    }

    /// As [`open`](Self::open), and refuses an image for another processor.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub fn open_for(path: &Path, wanted: Arch) -> Result<Self, ImageError> {
        let image = Self::open(path)?;
        match image.arch == wanted {
            true => Ok(image),
            false => Err(ImageError::OtherArch {
                wanted: wanted.name(),
                found: image.arch.name(),
            }),
        }
    }

    /// Opens every image, all for one processor: the one that is wanted, or the first image's.
    ///
    /// # Errors
    /// The first that cannot be booted.
    pub fn open_all(paths: &[PathBuf], wanted: Option<Arch>) -> Result<Vec<Self>, VmError> {
        let mut arch = wanted;
        let each = paths.iter().map(|path| {
            let image = match arch {
                None => Self::open(path),
                Some(arch) => Self::open_for(path, arch),
            };
            let image = image.map_err(|source| VmError::Image {
                path: path.clone(),
                source,
            })?;
            arch.get_or_insert(image.arch);
            Ok(image)
        });
        each.collect()
    }

    /// The kernel's configuration, if it lies where distributions put it: beside the image, or among its modules (Debian from
    /// 7.2 on).
    pub fn config(&self) -> Option<Vec<u8>> {
        let path = self.path.canonicalize().ok()?;
        let beside = path.with_file_name(format!("config-{}", self.release));
        let among_modules = self.modules().map(|folder| folder.join("config"));
        let mut places = iter::once(beside).chain(among_modules);
        places.find_map(|place| std::fs::read(place).ok())
    }

    /// The kernel's modules: its `kernel/` directory's parent, if they lie where packages put them.
    ///
    /// Looked for are, in this order: the image's own directory; `../lib/modules/RELEASE` and
    /// `../usr/lib/modules/RELEASE` from there. That covers /boot, Debian's packages unpacked
    /// anywhere, and images that lie among their modules.
    pub fn modules(&self) -> Option<PathBuf> {
        let directory = self.path.canonicalize().ok()?.parent()?.to_owned();
        let root = directory.parent().unwrap_or(&directory);
        [
            directory.clone(),
            root.join("lib/modules").join(&self.release),
            root.join("usr/lib/modules").join(&self.release),
        ]
        .into_iter()
        .find(|candidate| candidate.join("kernel").is_dir())
    }
}

/// The name by which to call an image that does not say its own.
fn file_name(path: &Path) -> String {
    let name = path
        .file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy();
    name.strip_prefix("vmlinuz-").unwrap_or(&name).to_owned()
}

fn version(head: &[u8]) -> Option<String> {
    let pointer = head.get(VERSION_POINTER..VERSION_POINTER + 2)?;
    let start = usize::from(u16::from_le_bytes([pointer[0], pointer[1]])) + 0x200;
    release(head.get(start..)?)
}

/// The version behind the first banner in an uncompressed kernel.
fn banner(image: &[u8]) -> Option<String> {
    let at = image.windows(BANNER.len()).position(|it| it == BANNER)?;
    release(&image[at + BANNER.len()..])
}

/// The first word of a text that ends with a NUL byte.
fn release(text: &[u8]) -> Option<String> {
    let text = text.split(|&byte| byte == 0 || byte == b' ').next()?;
    let release = std::str::from_utf8(text).ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "._+-~".contains(c);
    (!release.is_empty() && release.chars().all(plain)).then(|| release.to_owned())
}

fn looks_like(head: &[u8]) -> &'static str {
    match head {
        [] => "an empty file",
        [0x7f, b'E', b'L', b'F', ..] => "an ELF file (a vmlinux or a program)",
        [0x1f, 0x8b, ..] => "a gzip file",
        _ => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(version: &[u8]) -> Vec<u8> {
        let mut head = vec![0; 0x1000];
        head[0x202..0x206].copy_from_slice(b"HdrS");
        head[VERSION_POINTER..VERSION_POINTER + 2].copy_from_slice(&0x600u16.to_le_bytes());
        head[0x800..0x800 + version.len()].copy_from_slice(version);
        head
    }

    #[test]
    fn the_release_is_what_uname_will_say() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bzImage");
        std::fs::write(&path, image(b"6.12.9+deb13-cloud-amd64 (a@b) #1 SMP\0")).unwrap();
        assert_eq!(
            Image::open(&path).unwrap().release,
            "6.12.9+deb13-cloud-amd64"
        );
    }

    #[test]
    fn an_image_without_a_usable_version_goes_by_its_file_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinuz-mine");
        std::fs::write(&path, image(b"../../etc #1\0")).unwrap();
        assert_eq!(Image::open(&path).unwrap().release, "mine");
    }

    #[test]
    fn an_arm64_image_says_its_release_in_its_banner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vmlinuz-mine");
        let mut bytes = vec![0; 2 * HEAD as usize];
        bytes[0x38..0x3c].copy_from_slice(b"ARMd");
        std::fs::write(&path, &bytes).unwrap();
        let nameless = Image::open(&path).unwrap();
        assert_eq!((nameless.arch, &*nameless.release), (Arch::Aarch64, "mine"));
        bytes.extend(b"Linux version 6.1.0-9-cloud-arm64 (a@b) #1 SMP\0");
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Image::open(&path).unwrap().release, "6.1.0-9-cloud-arm64");
        let refused = Image::open_for(&path, Arch::X86).unwrap_err().to_string();
        assert_eq!(
            refused,
            "an image for x86_64 was needed, this one is for aarch64"
        );
    }

    #[test]
    fn modules_are_found_beside_the_image_and_in_the_same_tree() {
        for place in [
            "boot/kernel",
            "lib/modules/6.1.0-1/kernel",
            "usr/lib/modules/6.1.0-1/kernel",
        ] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(dir.path().join("boot")).unwrap();
            let path = dir.path().join("boot/vmlinuz-6.1.0-1");
            std::fs::write(&path, image(b"6.1.0-1 (a@b)\0")).unwrap();
            let image = Image::open(&path).unwrap();
            assert_eq!(image.modules(), None);
            std::fs::create_dir_all(dir.path().join(place)).unwrap();
            let found = image.modules().unwrap();
            assert_eq!(
                found.join("kernel"),
                dir.path().canonicalize().unwrap().join(place)
            );
        }
    }

    #[test]
    fn the_configuration_lies_beside_the_image_or_among_its_modules() {
        let dir = tempfile::tempdir().unwrap();
        let (boot, modules) = ("boot", "usr/lib/modules/7.3.4-1");
        for folder in [boot, "usr/lib/modules/7.3.4-1/kernel"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let path = dir.path().join(boot).join("vmlinuz-7.3.4-1");
        std::fs::write(&path, image(b"7.3.4-1 (a@b)\0")).unwrap();
        let image = Image::open(&path).unwrap();
        assert_eq!(image.config(), None);
        std::fs::write(dir.path().join(modules).join("config"), "modules").unwrap();
        assert_eq!(image.config().as_deref(), Some(&b"modules"[..]));
        std::fs::write(path.with_file_name("config-7.3.4-1"), "boot").unwrap();
        assert_eq!(image.config().as_deref(), Some(&b"boot"[..]));
    }

    #[test]
    fn what_is_no_kernel_is_refused_with_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        for (contents, found) in [
            (&b""[..], "an empty file"),
            (b"\x7fELF\x02", "an ELF file"),
            (b"hello", "something else"),
        ] {
            std::fs::write(&path, contents).unwrap();
            let error = Image::open(&path).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
