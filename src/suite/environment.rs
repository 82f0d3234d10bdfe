//! What surrounds every measurement of a run.

use std::collections::BTreeMap;

use crate::machine::audit::audit;
use crate::machine::capability::Capabilities;
use crate::machine::topology::Topology;
use crate::measure::clock::Clock;
use crate::measure::counters::{self, TracepointIds};
use crate::measure::discards;
use crate::measure::locks::{self, WaitWatches};
use crate::record::audit::Check;
use crate::record::schema::Host;
use crate::record::unit::Unit;

/// What surrounds every measurement of a run.
pub struct Environment {
    /// The machine.
    pub host: Host,
    /// What would spoil or limit a measurement.
    pub audit: Vec<Check>,
    /// The calibrated clock.
    pub clock: Clock,
    /// The tracepoints that can be counted.
    pub tracepoints: TracepointIds,
    /// How allocations of racing threads are watched, or why they can not be.
    pub watch: Result<discards::Tracepoints, String>,
    /// How their waits are watched, or why they can not be.
    pub locks: WaitWatches,
    /// The unit of a latency.
    pub unit: Unit,
    /// The command line.
    pub command: Vec<String>,
}

impl Environment {
    /// Looks at this machine; takes about 100 ms.
    pub fn observe(command: Vec<String>) -> Self {
        let host = crate::machine::host::read();
        let topology = Topology::read().unwrap_or_default();
        let unit = host.virtualization.unit();
        Environment {
            audit: audit(&Capabilities::probe(), &topology),
            clock: Clock::detect(unit == Unit::Instructions),
            tracepoints: tracepoint_ids(),
            watch: discards::Tracepoints::find(),
            locks: locks::watches(),
            unit,
            command,
            host,
        }
    }
}

/// Looks up every tracepoint that is counted.
pub fn tracepoint_ids() -> TracepointIds {
    let mut ids = BTreeMap::new();
    for (category, name) in counters::TRACEPOINTS {
        let id = crate::sys::tracing::tracepoint_id(category, name).map_err(|e| e.to_string());
        ids.insert(format!("{category}:{name}"), id);
    }
    ids
}
