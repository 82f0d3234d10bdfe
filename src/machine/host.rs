//! The machine's description in the run file.

use super::{kernel, settings, topology, virtualization};
use crate::record::schema::Host;
use crate::sys::{files, uname};

/// Describes this machine as it is now. What cannot be read is empty or 0, never a failure.
pub fn read() -> Host {
    let arch = uname().machine;
    let cpuinfo = files::read("/proc/cpuinfo").unwrap_or_default();
    let cpus = topology::Topology::read().map_or(0, |topology| topology.online.len());
    Host {
        cpu: cpu_model(&cpuinfo).unwrap_or_else(|| arch.clone()),
        arch,
        cpus: u32::try_from(cpus).unwrap_or(u32::MAX),
        memory_bytes: meminfo("MemTotal").unwrap_or(0),
        virtualization: virtualization::detect().into(),
        kernel: kernel::read(),
        settings: settings::read(),
    }
}

/// A field of /proc/meminfo, such as `MemAvailable`, in bytes.
pub(crate) fn meminfo(field: &str) -> Option<u64> {
    meminfo_field(&files::read("/proc/meminfo")?, field)
}

fn meminfo_field(text: &str, field: &str) -> Option<u64> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// The CPU's name in the text of /proc/cpuinfo: on x86-64 its brand and, since a hypervisor may give CPUs of several
/// generations one brand, its family, model and stepping; implementer and part on arm64.
fn cpu_model(cpuinfo: &str) -> Option<String> {
    let field = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    let brand = field("model name").map(|brand| {
        match (field("cpu family"), field("model"), field("stepping")) {
            (Some(family), Some(model), Some(stepping)) => {
                format!("{brand}, family {family} model {model} stepping {stepping}")
            }
            _ => brand,
        }
    });
    brand.or_else(|| {
        let (implementer, part) = (field("CPU implementer")?, field("CPU part")?);
        Some(format!("implementer {implementer} part {part}"))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cpu_is_named_on_both_architectures() {
        let x86 = "processor\t: 0\nmodel\t\t: 1\nmodel name\t: AMD EPYC 7B13\nflags\t: fpu\n";
        assert_eq!(cpu_model(x86).as_deref(), Some("AMD EPYC 7B13"));
        let x86 = format!("cpu family\t: 25\nstepping\t: 1\n{x86}");
        assert_eq!(
            cpu_model(&x86).as_deref(),
            Some("AMD EPYC 7B13, family 25 model 1 stepping 1")
        );
        let arm = "processor\t: 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd07\n";
        assert_eq!(
            cpu_model(arm).as_deref(),
            Some("implementer 0x41 part 0xd07")
        );
        assert_eq!(cpu_model(""), None);
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let text = "MemTotal:        4096 kB\nMemAvailable:       1 kB\n";
        assert_eq!(meminfo_field(text, "MemTotal"), Some(4_194_304));
        assert_eq!(meminfo_field(text, "MemAvailable"), Some(1024));
        assert_eq!(meminfo_field(text, "Mem"), None);
    }

    #[test]
    fn this_machine_is_described() {
        let host = read();
        assert!(!host.cpu.is_empty());
        assert!(host.cpus >= 1);
        assert!(host.memory_bytes > 1 << 20);
        assert!(host.settings.contains_key("vm.swappiness"));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[A-Za-z :0-9kB\n]{0,64}") {
            cpu_model(&text);
            meminfo_field(&text, "A");
        }
    }
}
