//! Which page states can be brought about: pins, huge folios, merged and swapped pages.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};

use nix::fcntl::{FallocateFlags, SpliceFFlags, fallocate, vmsplice};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::uio::{RemoteIoVec, process_vm_readv};

use crate::machine::capability::name::{Capability, Probe};
use crate::machine::folios::thp_allowed;
use crate::machine::settings;
use crate::sys::files::{names, read, selected};
use crate::sys::missing::{Missing, UNFILTERED, errno};

const THP: &str = "/sys/kernel/mm/transparent_hugepage";

pub(super) fn probe(probes: &mut BTreeMap<Capability, Probe>) {
    probes.insert(Capability::IoUring, io_uring());
    probes.insert(Capability::Vmsplice, vmspliced());
    probes.insert(Capability::ProcessVmReadv, vm_readv());
    probes.insert(
        Capability::Ksm,
        ksm(read("/sys/kernel/mm/ksm/run").as_deref()),
    );
    let enabled = read(format!("{THP}/enabled"));
    let sizes = mthp_sizes(enabled.as_deref().map_or("", selected));
    probes.insert(
        Capability::Thp,
        thp_allowed().and_then(|()| thp(enabled.as_deref())),
    );
    probes.insert(Capability::Mthp, thp_allowed().and_then(|()| mthp(&sizes)));
    probes.insert(
        Capability::Swap,
        swap(&read("/proc/swaps").unwrap_or_default()),
    );
    probes.insert(Capability::Hugetlb, hugetlb());
}

fn io_uring() -> Probe {
    match io_uring::IoUring::new(1) {
        Ok(_) => Ok("a ring can be set up".to_owned()),
        Err(error) => {
            let disabled = settings::sysctl("kernel.io_uring_disabled");
            Err(match (error.raw_os_error(), disabled.as_deref()) {
                (Some(libc::EPERM), Some(value @ ("1" | "2"))) => Missing::new(
                    "kernel.io_uring_disabled = 0",
                    format!("kernel.io_uring_disabled is {value}"),
                    "sudo sysctl kernel.io_uring_disabled=0",
                ),
                (Some(libc::ENOSYS), None) => {
                    Missing::new("CONFIG_IO_URING", errno(&error), String::new())
                }
                (Some(libc::ENOMEM), _) => Missing::new(
                    "memory for a ring within RLIMIT_AS and RLIMIT_MEMLOCK",
                    errno(&error),
                    "ulimit -l unlimited",
                ),
                _ => filtered("io_uring_setup(2)", &error),
            })
        }
    }
}

fn vmspliced() -> Probe {
    let spliced = || -> io::Result<usize> {
        let (_reader, writer) = io::pipe()?;
        Ok(vmsplice(
            writer,
            &[IoSlice::new(b"page")],
            SpliceFFlags::empty(),
        )?)
    };
    match spliced() {
        Ok(_) => Ok("own memory goes into a pipe".to_owned()),
        Err(error) => Err(filtered("vmsplice(2)", &error)),
    }
}

fn vm_readv() -> Probe {
    let source = *b"page";
    let mut target = [0; 4];
    let remote = RemoteIoVec {
        base: source.as_ptr() as usize,
        len: source.len(),
    };
    let read = process_vm_readv(
        nix::unistd::Pid::this(),
        &mut [IoSliceMut::new(&mut target)],
        &[remote],
    );
    match read {
        Ok(_) if target == source => Ok("own memory can be read".to_owned()),
        Ok(bytes) => Err(Missing::new(
            "process_vm_readv(2)",
            format!("only {bytes} bytes came"),
            "",
        )),
        Err(error) => Err(filtered("process_vm_readv(2)", &error.into())),
    }
}

fn ksm(run: Option<&str>) -> Probe {
    match run {
        Some("1") => Ok("run is 1".to_owned()),
        Some(value) => Err(Missing::new(
            "KSM merging",
            format!("/sys/kernel/mm/ksm/run is {value}"),
            "echo 1 | sudo tee /sys/kernel/mm/ksm/run",
        )),
        None => Err(Missing::new("CONFIG_KSM", "no /sys/kernel/mm/ksm/run", "")),
    }
}

fn thp(enabled: Option<&str>) -> Probe {
    match enabled.map(selected) {
        Some("never") => Err(Missing::new(
            "transparent huge pages on request",
            format!("{THP}/enabled is never"),
            format!("echo madvise | sudo tee {THP}/enabled"),
        )),
        Some(value) => Ok(format!("enabled is {value}")),
        None => Err(Missing::new(
            "CONFIG_TRANSPARENT_HUGEPAGE",
            format!("no {THP}/enabled"),
            "",
        )),
    }
}

/// Folio sizes smaller than a PMD in KiB, with their `enabled` choice, ascending. `inherited` is the choice for all.
fn mthp_sizes(inherited: &str) -> Vec<(u64, String)> {
    let pmd = read(format!("{THP}/hpage_pmd_size")).and_then(|size| size.parse::<u64>().ok());
    let size = |name: &String| -> Option<(u64, String)> {
        let kib: u64 = name
            .strip_prefix("hugepages-")?
            .strip_suffix("kB")?
            .parse()
            .ok()?;
        let enabled = read(format!("{THP}/{name}/enabled"))?;
        let enabled = match selected(&enabled) {
            "inherit" => inherited,
            own => own,
        };
        (Some(kib * 1024) != pmd).then(|| (kib, enabled.to_owned()))
    };
    let mut sizes: Vec<_> = names(THP).iter().filter_map(size).collect();
    sizes.sort();
    sizes
}

fn mthp(sizes: &[(u64, String)]) -> Probe {
    if sizes.is_empty() {
        let found = format!("no {THP}/hugepages-*kB/enabled below the PMD's size");
        return Err(Missing::new(
            "Linux 6.8 with CONFIG_TRANSPARENT_HUGEPAGE",
            found,
            "",
        ));
    }
    let on = sizes.iter().filter(|(_, enabled)| enabled != "never");
    let on: Vec<String> = on
        .map(|(kib, enabled)| format!("{kib}k {enabled}"))
        .collect();
    if on.is_empty() {
        return Err(Missing::new(
            "a multi-size THP size on request",
            format!("all {} sizes are never", sizes.len()),
            format!("echo madvise | sudo tee {THP}/hugepages-64kB/enabled"),
        ));
    }
    Ok(on.join(", "))
}

/// Judges the text of /proc/swaps: a heading, then path, type, size, used and priority (KiB).
fn swap(swaps: &str) -> Probe {
    let free = |line: &str| -> Option<u64> {
        let mut fields = line.split_whitespace().skip(2).map(str::parse::<u64>);
        let (size, used) = (fields.next()?.ok()?, fields.next()?.ok()?);
        Some(size.saturating_sub(used))
    };
    let free: Vec<u64> = swaps.lines().skip(1).filter_map(free).collect();
    let kib: u64 = free.iter().sum();
    if kib > 0 {
        return Ok(format!("{} MiB free on {} devices", kib / 1024, free.len()));
    }
    let found = if free.is_empty() {
        "no swap space"
    } else {
        "swap space is full"
    };
    let make = "sudo sh -c 'fallocate -l 256M /swapfile && chmod 600 /swapfile && \
                mkswap /swapfile && swapon /swapfile'";
    Err(Missing::new("free swap space", found, make))
}

/// Takes one huge page of the default size from the pool and gives it back.
fn hugetlb() -> Probe {
    let size = crate::machine::host::meminfo("Hugepagesize");
    let Some(size) = size else {
        return Err(Missing::new(
            "CONFIG_HUGETLBFS",
            "no Hugepagesize in /proc/meminfo",
            "",
        ));
    };
    let taken = || -> nix::Result<()> {
        let flags = MFdFlags::MFD_HUGETLB | MFdFlags::MFD_CLOEXEC;
        let file = memfd_create("cowpath-probe", flags)?;
        fallocate(&file, FallocateFlags::empty(), 0, size as i64)
    };
    match taken() {
        Ok(()) => Ok(format!("a page of {} KiB could be taken", size / 1024)),
        Err(error) => Err(Missing::new(
            "a free huge page in the pool",
            format!("a page of {} KiB: {}", size / 1024, errno(&error.into())),
            "sudo sysctl vm.nr_hugepages=16",
        )),
    }
}

/// A system call that only a filter or the kernel's build refuses.
fn filtered(call: &str, error: &io::Error) -> Missing {
    let mend = match error.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => UNFILTERED,
        _ => "",
    };
    Missing::new(call, errno(error), mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::{Need, skip};

    #[test]
    fn ksm_that_is_stopped_is_told_how_to_start() {
        assert!(ksm(Some("1")).is_ok());
        let missing = ksm(Some("0")).unwrap_err();
        assert_eq!(missing.mend, "echo 1 | sudo tee /sys/kernel/mm/ksm/run");
        assert_eq!(ksm(None).unwrap_err().needed, "CONFIG_KSM");
    }

    #[test]
    fn thp_on_request_is_enough() {
        assert!(thp(Some("always [madvise] never")).is_ok());
        assert!(thp(Some("[always] madvise never")).is_ok());
        assert!(thp(Some("always madvise [never]")).is_err());
        assert_eq!(thp(None).unwrap_err().mend, "");
    }

    #[test]
    fn one_size_of_mthp_is_enough_and_named() {
        let never = (16, "never".to_owned());
        assert!(mthp(std::slice::from_ref(&never)).is_err());
        let found = mthp(&[never, (64, "madvise".to_owned())]).unwrap();
        assert_eq!(found, "64k madvise");
        assert!(mthp(&[]).unwrap_err().needed.contains("6.8"));
    }

    #[test]
    fn swap_counts_what_is_free() {
        let heading = "Filename Type Size Used Priority";
        assert_eq!(swap(heading).unwrap_err().found, "no swap space");
        let full = format!("{heading}\n/swapfile file 1024 1024 -2");
        assert_eq!(swap(&full).unwrap_err().found, "swap space is full");
        let some = format!("{full}\n/dev/zram0 partition 4096 1024 5");
        assert_eq!(swap(&some).unwrap(), "3 MiB free on 2 devices");
    }

    #[test]
    fn pins_that_need_no_privilege_work_or_say_why_not() {
        for (need, probe) in [
            (Need::Pins, vmspliced()),
            (Need::Pins, vm_readv()),
            (Need::IoUring, io_uring()),
        ] {
            if let Err(missing) = probe {
                skip(need, missing);
            }
        }
    }
}
