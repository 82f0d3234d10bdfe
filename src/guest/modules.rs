//! Picks the kernel modules that scenarios need, in the order in which they can be loaded.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::StreamingDecoder;

use crate::guest::error::VmError;

/// No module is larger, packed or unpacked, in bytes; those of graphics cards have some 20 MB.
const LARGEST: u64 = 64 << 20;
/// Memory that unpacking xz may take besides, in KiB; its strongest preset takes 65 MiB.
const MEMORY_KIB: u32 = 80 << 10;

/// What a guest needs: its way back to the host, then swap and block devices for scenarios.
///
/// Before 6.12 zram asks for its compressor by name, which no dependency tells; hence lzo.
const WANTED: [&str; 6] = [
    "virtio_pci",
    "virtio_console",
    "lzo_rle",
    "lzo",
    "zram",
    "loop",
];

/// A module ready to be loaded.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name as `lsmod` shows it.
    pub name: String,
    /// The ELF file, decompressed.
    pub bytes: Vec<u8>,
}

/// The modules wanted from a kernel's tree, dependencies first.
///
/// Dependencies come from `modules.dep` where depmod has left one, and otherwise from where depmod
/// has them: each module's own `.modinfo`. A wanted module that is not in the tree is left out: it
/// may be built in, and the scenario that needs it says so if it is not.
///
/// # Errors
/// If the tree or a module cannot be read or decompressed.
pub fn wanted(tree: &Path) -> Result<Vec<Module>, VmError> {
    let files = find(tree)?;
    let listed = match std::fs::read_to_string(tree.join("modules.dep")) {
        Ok(text) => parse_dep(&text),
        Err(_) => BTreeMap::new(),
    };
    let mut loaded: Vec<Module> = Vec::new();
    for name in WANTED {
        add(name, &files, &listed, &mut loaded, 0)?;
    }
    Ok(loaded)
}

/// Adds a module after what it depends on.
fn add(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    listed: &BTreeMap<String, Vec<String>>,
    loaded: &mut Vec<Module>,
    depth: usize,
) -> Result<(), VmError> {
    let Some(path) = files.get(name) else {
        return Ok(());
    };
    // Dependencies cannot be circular; a damaged modules.dep can.
    if depth > files.len() || loaded.iter().any(|module| module.name == name) {
        return Ok(());
    }
    let bytes = decompressed(path)?;
    let dependencies = listed.get(name).cloned().unwrap_or_else(|| depends(&bytes));
    for dependency in &dependencies {
        add(dependency, files, listed, loaded, depth + 1)?;
    }
    if !loaded.iter().any(|module| module.name == name) {
        loaded.push(Module {
            name: name.to_owned(),
            bytes,
        });
    }
    Ok(())
}

/// Module name to file, for each module of a tree.
fn find(tree: &Path) -> Result<BTreeMap<String, PathBuf>, VmError> {
    let mut files = BTreeMap::new();
    let mut left = vec![tree.join("kernel")];
    while let Some(directory) = left.pop() {
        let fail = |source| VmError::Io {
            what: "list",
            path: directory.clone(),
            source,
        };
        for entry in std::fs::read_dir(&directory).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let path = entry.path();
            if entry.file_type().map_err(fail)?.is_dir() {
                left.push(path);
            } else if let Some(name) = module_name(&path.to_string_lossy()) {
                files.insert(name, path);
            }
        }
    }
    Ok(files)
}

/// `zram` for `kernel/drivers/block/zram/zram.ko.xz`; nothing for what is no module.
fn module_name(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (name, rest) = file.split_once(".ko")?;
    matches!(rest, "" | ".xz" | ".zst" | ".gz").then(|| name.replace('-', "_"))
}

/// Module name to the names of what it depends on, nearest first, from a `modules.dep`.
///
/// Lines that are not `PATH.ko: PATH.ko ...` are passed over.
pub fn parse_dep(text: &str) -> BTreeMap<String, Vec<String>> {
    text.lines()
        .filter_map(|line| {
            let (module, needed) = line.split_once(':')?;
            Some((
                module_name(module.trim())?,
                needed.split_whitespace().filter_map(module_name).collect(),
            ))
        })
        .collect()
}

/// The names in the `depends=` entry of a module's `.modinfo`.
fn depends(module: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let Some(at) = module.windows(KEY.len()).position(|window| window == KEY) else {
        return Vec::new();
    };
    let value = module[at + KEY.len()..]
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    String::from_utf8_lossy(value)
        .split(',')
        .filter(|name| !name.is_empty())
        .map(|name| name.replace('-', "_"))
        .collect()
}

fn decompressed(path: &Path) -> Result<Vec<u8>, VmError> {
    let damaged = |found: String| VmError::Module {
        path: path.to_owned(),
        found,
    };
    let failed = |source| VmError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    let packed = bounded(file)
        .map_err(failed)?
        .ok_or_else(|| damaged(format!("larger than {LARGEST} bytes")))?;
    let (form, plain) = match packed.get(..4) {
        Some(b"\x7fELF") => return Ok(packed),
        Some(b"\xfd7zX") => (
            "xz",
            unpacked(XzReader::new_mem_limit(&packed[..], true, MEMORY_KIB)),
        ),
        Some(b"\x28\xb5\x2f\xfd") => (
            "zstd",
            StreamingDecoder::new_with_max_window_size(&packed[..], LARGEST)
                .map_err(|error| error.to_string())
                .and_then(unpacked),
        ),
        Some([0x1f, 0x8b, 8, _]) => ("gzip", unpacked(MultiGzDecoder::new(&packed[..]))),
        _ => return Err(damaged("something else".into())),
    };
    let plain = plain.map_err(|error| damaged(format!("a damaged {form} file ({error})")))?;
    match plain {
        Some(plain) if plain.starts_with(b"\x7fELF") => Ok(plain),
        Some(_) => Err(damaged(format!("a {form} file of something else"))),
        None => Err(damaged(format!(
            "a {form} file of more than {LARGEST} bytes"
        ))),
    }
}

fn unpacked(from: impl Read) -> Result<Option<Vec<u8>>, String> {
    bounded(from).map_err(|error| error.to_string())
}

/// All that there is to read; nothing if that is more than any module has.
fn bounded(from: impl Read) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    from.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= LARGEST).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tree(modules: &[(&str, &str)], dep: Option<&str>) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("kernel/drivers")).unwrap();
        for (file, depends) in modules {
            let elf = format!("\x7fELF..\0depends={depends}\0name=x\0");
            std::fs::write(dir.path().join("kernel/drivers").join(file), elf).unwrap();
        }
        if let Some(dep) = dep {
            std::fs::write(dir.path().join("modules.dep"), dep).unwrap();
        }
        dir
    }

    fn names(tree: &tempfile::TempDir) -> Vec<String> {
        wanted(tree.path())
            .unwrap()
            .into_iter()
            .map(|module| module.name)
            .collect()
    }

    #[test]
    fn dependencies_come_first_and_once() {
        let modules = [
            ("virtio_pci.ko", "virtio,virtio_ring"),
            ("virtio_console.ko", "virtio_ring,virtio"),
            ("virtio_ring.ko", "virtio"),
            ("virtio.ko", ""),
            ("unrelated.ko", "virtio"),
        ];
        let expected = ["virtio", "virtio_ring", "virtio_pci", "virtio_console"];
        assert_eq!(names(&tree(&modules, None)), expected);
    }

    #[test]
    fn modules_dep_is_believed_where_there_is_one() {
        let modules = [("zram.ko", ""), ("zsmalloc.ko", "")];
        let dep =
            "kernel/drivers/zram.ko: kernel/drivers/zsmalloc.ko\nkernel/drivers/zsmalloc.ko:\n";
        assert_eq!(names(&tree(&modules, Some(dep))), ["zsmalloc", "zram"]);
    }

    #[test]
    fn a_circle_in_modules_dep_ends() {
        let modules = [("zram.ko", ""), ("loop.ko", "")];
        let dep = "kernel/zram.ko: kernel/loop.ko\nkernel/loop.ko: kernel/zram.ko\n";
        let mut found = names(&tree(&modules, Some(dep)));
        found.sort();
        assert_eq!(found, ["loop", "zram"]);
    }

    #[test]
    fn a_dash_in_a_file_name_is_an_underscore_in_the_module_s() {
        assert_eq!(names(&tree(&[("lzo-rle.ko", "")], None)), ["lzo_rle"]);
    }

    const PLAIN: &[u8] = b"\x7fELF..\0depends=\0name=loop\0";

    /// A tree whose one module has this content.
    fn with(file: &str, content: &[u8]) -> tempfile::TempDir {
        let dir = tree(&[], None);
        std::fs::write(dir.path().join("kernel/drivers").join(file), content).unwrap();
        dir
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packer.write_all(plain).unwrap();
        packer.finish().unwrap()
    }

    /// A zstd frame without a checksum whose one block is stored or repeats a byte (RFC 8878, 3.1.1).
    fn zstd(blocks: &[(bool, &[u8], u32)]) -> Vec<u8> {
        // Magic number; no content size, a window of 128 KiB.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 7 << 3];
        for (at, (repeated, bytes, size)) in blocks.iter().enumerate() {
            let last = u32::from(at + 1 == blocks.len());
            let header = size << 3 | u32::from(*repeated) << 1 | last;
            frame.extend_from_slice(&header.to_le_bytes()[..3]);
            frame.extend_from_slice(bytes);
        }
        frame
    }

    /// PLAIN by `xz --check=crc32 -0`, as the kernel has its modules packed.
    const XZ: &str = "fd377a585a0000016922de36020021010c0000008f98419c0100197f454c462e2e00646570656e64\
        733d006e616d653d6c6f6f700000000079e0c1b800012e1a7d45e3d69042990d010000000001595a";

    fn xz() -> Vec<u8> {
        let digits = XZ.as_bytes().chunks(2);
        let byte =
            |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    }

    #[test]
    fn modules_are_read_however_they_are_packed() {
        let stored = zstd(&[(false, PLAIN, PLAIN.len() as u32)]);
        for (file, content) in [
            ("loop.ko", PLAIN.to_vec()),
            ("loop.ko.gz", gzip(PLAIN)),
            ("loop.ko.zst", stored),
            ("loop.ko.xz", xz()),
        ] {
            let modules = wanted(with(file, &content).path()).unwrap();
            assert_eq!(modules[0].bytes, PLAIN, "{file}");
        }
    }

    #[test]
    fn a_module_that_unpacks_without_end_or_not_at_all_is_refused_by_name() {
        let huge = vec![0; LARGEST as usize + 1];
        let repeated = vec![(true, &b"\0"[..], 1 << 17); (LARGEST >> 17) as usize + 1];
        for (file, content, why) in [
            (
                "loop.ko.gz",
                gzip(&huge),
                "gzip file of more than 67108864 bytes",
            ),
            (
                "loop.ko.zst",
                zstd(&repeated),
                "zstd file of more than 67108864 bytes",
            ),
            ("loop.ko", huge, "larger than 67108864 bytes"),
            (
                "loop.ko.gz",
                gzip(PLAIN)[..20].to_vec(),
                "a damaged gzip file",
            ),
            (
                "loop.ko.zst",
                b"\x28\xb5\x2f\xfd".to_vec(),
                "a damaged zstd file",
            ),
            ("loop.ko.xz", xz()[..40].to_vec(), "a damaged xz file"),
            ("loop.ko.gz", gzip(b"text"), "a gzip file of something else"),
            ("loop.ko", b"text".to_vec(), "something else"),
        ] {
            let error = wanted(with(file, &content).path()).unwrap_err().to_string();
            assert!(
                error.contains(why) && error.contains(file),
                "{why}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn modules_dep_gives_back_what_was_written(
            graph in proptest::collection::btree_map(
                "[a-z][a-z0-9_]{0,12}",
                proptest::collection::vec("[a-z][a-z0-9_]{0,12}", 0..5),
                0..20,
            ),
            suffix in proptest::sample::select(vec!["", ".xz", ".zst"]),
        ) {
            let path = |name: &String| format!("kernel/some/where/{name}.ko{suffix}");
            let text: String = graph
                .iter()
                .map(|(name, needed)| {
                    let needed: Vec<String> = needed.iter().map(path).collect();
                    format!("{}: {}\n", path(name), needed.join(" "))
                })
                .collect();
            prop_assert_eq!(parse_dep(&text), graph);
        }

        #[test]
        fn a_damaged_module_is_refused_or_read_without_a_panic(
            which in 0..3usize, at in any::<proptest::sample::Index>(), byte in any::<u8>(), cut in any::<bool>(),
        ) {
            let stored = zstd(&[(false, PLAIN, PLAIN.len() as u32)]);
            let (file, mut content) = [("loop.ko.gz", gzip(PLAIN)), ("loop.ko.zst", stored), ("loop.ko.xz", xz())][which].clone();
            let at = at.index(content.len());
            content[at] = byte;
            if cut {
                content.truncate(at);
            }
            let _ = wanted(with(file, &content).path());
        }

        #[test]
        fn any_text_is_parsed_without_a_panic(text in ".*") {
            parse_dep(&text);
        }
    }
}
