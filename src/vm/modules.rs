//! Picks the kernel modules that scenarios need, in the order in which they can be loaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::VmError;

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
    let bytes = std::fs::read(path).map_err(|source| VmError::Io {
        what: "read",
        path: path.to_owned(),
        source,
    })?;
    match bytes.get(..4) {
        Some(b"\x7fELF") => Ok(bytes),
        Some(b"\xfd7zX") => {
            let mut plain = Vec::new();
            lzma_rs::xz_decompress(&mut bytes.as_slice(), &mut plain)
                .map_err(|error| damaged(format!("a damaged xz file ({error:?})")))?;
            Ok(plain)
        }
        Some(b"\x28\xb5\x2f\xfd") => Err(damaged("zstd; decompress it with `unzstd --rm`".into())),
        Some(b"\x1f\x8b\x08\x00" | b"\x1f\x8b\x08\x08") => {
            Err(damaged("gzip; decompress it with `gunzip`".into()))
        }
        _ => Err(damaged("something else".into())),
    }
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

    #[test]
    fn a_module_that_cannot_be_unpacked_says_how() {
        let dir = tree(&[], None);
        std::fs::write(
            dir.path().join("kernel/drivers/loop.ko.zst"),
            b"\x28\xb5\x2f\xfd",
        )
        .unwrap();
        let error = wanted(dir.path()).unwrap_err().to_string();
        assert!(
            error.contains("unzstd") && error.contains("loop.ko.zst"),
            "{error}"
        );
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
        fn any_text_is_parsed_without_a_panic(text in ".*") {
            parse_dep(&text);
        }
    }
}
