//! What the doctor found, as text and as JSON.

use std::fmt::Write;

use super::strategy_text;
use crate::record::audit::{Check, Severity};
use crate::record::schema::Strategy;
use crate::suite::environment::Environment;

/// The machine, what works on it, what would spoil a measurement, and the kernel's strategy.
pub fn text(environment: &Environment, strategy: &Strategy) -> String {
    let host = &environment.host;
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} on {} ({} CPUs, {}), virtualization {}\nclock {} at {:.3} MHz; reading it costs {:.1} {} {}",
        host.kernel.release,
        host.cpu,
        host.cpus,
        host.arch,
        host.virtualization,
        environment.clock.source.label(),
        environment.clock.hz / 1e6,
        environment.clock.overhead_ns,
        environment.unit.label(),
        environment.clock.note,
    );
    let _ = writeln!(text, "\n{}", strategy_text(strategy));
    for severity in [
        Severity::Error,
        Severity::Warning,
        Severity::Info,
        Severity::Ok,
    ] {
        let checks: Vec<&Check> = environment
            .audit
            .iter()
            .filter(|check| check.severity == severity)
            .collect();
        if checks.is_empty() {
            continue;
        }
        let title = match severity {
            Severity::Error => "NOTHING CAN BE MEASURED WITHOUT",
            Severity::Warning => "WARNINGS: figures that are missing, or noisier than they need be",
            Severity::Info => "GOOD TO KNOW",
            Severity::Ok => "FINE",
        };
        let _ = writeln!(text, "{title}");
        for check in checks {
            let _ = writeln!(text, "  {:<22} {}", check.check, check.state);
            if severity != Severity::Ok {
                let _ = writeln!(text, "  {:<22}   why: {}", "", check.why);
                if !check.advice.is_empty() {
                    let _ = writeln!(text, "  {:<22}   mend: {}", "", check.advice);
                }
            }
        }
        text.push('\n');
    }
    text
}

/// The same as JSON.
///
/// # Errors
/// Those of the JSON writer.
pub fn json(environment: &Environment, strategy: &Strategy) -> serde_json::Result<String> {
    let clock = &environment.clock;
    serde_json::to_string_pretty(&serde_json::json!({
        "host": environment.host,
        "clock": clock,
        "strategy": strategy,
        "audit": environment.audit,
    }))
}
