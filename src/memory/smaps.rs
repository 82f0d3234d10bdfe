//! What /proc/PID/smaps says of the area: how much of it is mapped by PMDs.

use super::MemoryError;
use super::area::Area;
use crate::sys::process::folder_of;

/// KiB of the area that PMDs map, in process `pid` or in this one.
pub fn huge_mapped(area: &Area, pid: Option<nix::unistd::Pid>) -> Result<u64, MemoryError> {
    let path = match pid {
        Some(pid) => folder_of(pid.as_raw())
            .map_err(MemoryError::missing)?
            .join("smaps"),
        None => "/proc/self/smaps".into(),
    };
    let text = std::fs::read_to_string(&path)
        .map_err(|e| MemoryError::refused(format!("reading {}", path.display()), e))?;
    Ok(of_mapping(&text, area.base() as usize))
}

fn of_mapping(smaps: &str, start: usize) -> u64 {
    let heading = format!("{start:x}-");
    let after = smaps
        .lines()
        .skip_while(|line| !line.starts_with(&heading))
        .find_map(|line| line.strip_prefix("AnonHugePages:"));
    after
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figure_is_that_of_the_mapping_asked_for() {
        let text = "1000-2000 rw-p\nSize: 4 kB\nAnonHugePages:  0 kB\n\
                    200000-400000 rw-p\nAnonHugePages:      2048 kB\n";
        assert_eq!(of_mapping(text, 0x20_0000), 2048);
        assert_eq!(of_mapping(text, 0x1000), 0);
        assert_eq!(of_mapping(text, 0x9000), 0);
    }
}
