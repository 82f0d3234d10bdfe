//! `data/latencies.hlog`: every histogram in HdrHistogram's interval log, which its log processor and others' tools read.

use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::format;
use crate::report::view::View;

/// The unit of an interval's largest value is the recorded one.
const UNSCALED: f64 = 1.0;

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |reason: String| ReportError::Log(reason);
    {
        let mut builder = IntervalLogWriterBuilder::new();
        builder
            .add_comment("latencies of stores, in ns or, of a guest that counts them, in instructions; a tag is run, scenario and outcome")
            .with_max_value_divisor(UNSCALED);
        let mut writer = builder
            .begin_log_with(&mut log, &mut serializer)
            .map_err(|e| failed(e.to_string()))?;
        for series in view.series() {
            // Nothing that a run file says may end a tag.
            let tag = [
                format::slug(&view.runs[series.row.run].label),
                format::slug(&series.row.label),
                series.outcome.key().into(),
            ]
            .join(":");
            let tag = Tag::new(&tag).ok_or_else(|| failed(format!("no tag: {tag}")))?;
            writer
                .write_histogram(
                    &series.histogram()?,
                    Duration::ZERO,
                    Duration::ZERO,
                    Some(tag),
                )
                .map_err(|e| failed(format!("{e:?}")))?;
        }
    }
    files.write("data", "latencies", "hlog", log)
}
