//! Under which hypervisor, if any, this kernel runs.

use std::path::Path;

use crate::sys::files;

/// The environment variable that overrides detection. A guest cannot see from inside whether its clock counts
/// instructions, so whoever boots it says so here (`exact`).
pub const OVERRIDE: &str = "COWPATH_VIRTUALIZATION";

/// `none`, `kvm`, `tcg`, or the hypervisor's name; what [`OVERRIDE`] says, if it is set.
///
/// Sources in this order: CPUID leaf 0x40000000 (x86-64), /sys/hypervisor/type, DMI, the device tree.
pub fn detect() -> String {
    detect_with(std::env::var(OVERRIDE).ok(), cpuid())
}

fn detect_with(overridden: Option<String>, cpuid: Option<String>) -> String {
    overridden
        .map(|name| name.trim().to_owned())
        .filter(|name| !name.is_empty())
        .or(cpuid)
        .or_else(|| files::read("/sys/hypervisor/type"))
        .or_else(|| from_firmware(Path::new("/sys")))
        .unwrap_or_else(|| "none".to_owned())
}

/// The hypervisor that CPUID names; `None` where the CPU does not say that there is one.
#[cfg(target_arch = "x86_64")]
fn cpuid() -> Option<String> {
    use raw_cpuid::{CpuId, Hypervisor};

    let cpuid = CpuId::new();
    if !cpuid
        .get_feature_info()
        .is_some_and(|features| features.has_hypervisor())
    {
        return None;
    }
    let Some(info) = cpuid.get_hypervisor_info() else {
        return Some("unknown".to_owned());
    };
    Some(match info.identify() {
        Hypervisor::KVM => "kvm".to_owned(),
        // The signature TCGTCGTCGTCG: QEMU without an accelerator.
        Hypervisor::QEMU => "tcg".to_owned(),
        Hypervisor::Xen => "xen".to_owned(),
        Hypervisor::VMware => "vmware".to_owned(),
        Hypervisor::HyperV => "hyper-v".to_owned(),
        Hypervisor::Bhyve => "bhyve".to_owned(),
        Hypervisor::QNX => "qnx".to_owned(),
        Hypervisor::ACRN => "acrn".to_owned(),
        Hypervisor::Unknown(ebx, ecx, edx) => signature([ebx, ecx, edx]),
    })
}

/// Other CPUs have no such leaf.
#[cfg(not(target_arch = "x86_64"))]
fn cpuid() -> Option<String> {
    None
}

/// The twelve characters of an unknown hypervisor's signature, as far as they can be printed.
#[cfg(target_arch = "x86_64")]
fn signature(registers: [u32; 3]) -> String {
    let bytes = registers.into_iter().flat_map(u32::to_le_bytes);
    let name: String = bytes.filter(u8::is_ascii_graphic).map(char::from).collect();
    if name.is_empty() {
        "unknown".to_owned()
    } else {
        name.to_lowercase()
    }
}

/// What DMI or the device tree below `sys` says. QEMU names itself there, but not its accelerator.
fn from_firmware(sys: &Path) -> Option<String> {
    let dmi = |name: &str| files::read(sys.join("class/dmi/id").join(name)).unwrap_or_default();
    let tree = |name: &str| files::read(sys.join("firmware/devicetree/base").join(name));
    let text = [
        dmi("sys_vendor"),
        dmi("product_name"),
        tree("hypervisor/compatible").unwrap_or_default(),
        tree("model").unwrap_or_default(),
        tree("compatible").unwrap_or_default(),
    ]
    .join(" ")
    .to_lowercase();
    let known = [
        ("kvm", "kvm"),
        ("amazon ec2", "kvm"),
        ("google compute engine", "kvm"),
        ("qemu", "qemu"),
        ("dummy-virt", "qemu"),
        ("vmware", "vmware"),
        ("virtualbox", "virtualbox"),
        ("microsoft corporation virtual machine", "hyper-v"),
        ("xen", "xen"),
    ];
    known
        .iter()
        .find(|(mark, _)| text.contains(mark))
        .map(|(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_override_wins_over_what_the_cpu_says() {
        assert_eq!(
            detect_with(Some("exact".into()), Some("tcg".into())),
            "exact"
        );
        assert_eq!(detect_with(Some(" ".into()), Some("tcg".into())), "tcg");
    }

    #[test]
    fn firmware_names_the_hypervisor_where_the_cpu_does_not() {
        let sys = tempfile::tempdir().unwrap();
        assert_eq!(from_firmware(sys.path()), None);
        let dmi = sys.path().join("class/dmi/id");
        fs::create_dir_all(&dmi).unwrap();
        fs::write(dmi.join("sys_vendor"), "QEMU\n").unwrap();
        assert_eq!(from_firmware(sys.path()).as_deref(), Some("qemu"));
        fs::write(dmi.join("product_name"), "KVM Virtual Machine\n").unwrap();
        assert_eq!(from_firmware(sys.path()).as_deref(), Some("kvm"));
        fs::write(dmi.join("sys_vendor"), "Dell Inc.\n").unwrap();
        fs::write(dmi.join("product_name"), "PowerEdge\n").unwrap();
        assert_eq!(from_firmware(sys.path()), None);
    }

    #[test]
    fn arm_guests_are_named_by_the_device_tree() {
        let sys = tempfile::tempdir().unwrap();
        let tree = sys.path().join("firmware/devicetree/base");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("compatible"), "linux,dummy-virt\0").unwrap();
        assert_eq!(from_firmware(sys.path()).as_deref(), Some("qemu"));
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn an_unknown_signature_is_spelled_out() {
        let register = |text: &[u8; 4]| u32::from_le_bytes(*text);
        let name = signature([register(b"SRES"), register(b"ESRE"), register(b"SRES")]);
        assert_eq!(name, "sresesresres");
        assert_eq!(signature([0; 3]), "unknown");
    }
}
