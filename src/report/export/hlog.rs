//! `data/latencies.hlog`: every histogram in HdrHistogram's interval log, which its log processor and others' tools read.

use std::time::{Duration, SystemTime};

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::record::schema::RunFile;
use crate::report::document::Document;
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::format;
use crate::report::view::View;

/// The unit of an interval's largest value is the recorded one.
const UNSCALED: f64 = 1.0;

/// The version of the format, as HdrHistogram's own writer says it: what reads several looks for it.
const VERSION: &str = "[Histogram log format version 1.3]";
/// The shortest interval that a log's times, of three digits, tell from none.
const SHORTEST: Duration = Duration::from_millis(1);

pub fn export(view: &View, _: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let failed = |reason: String| ReportError::Log(reason);
    {
        let mut builder = IntervalLogWriterBuilder::new();
        let began = view
            .runs
            .iter()
            .filter_map(|run| instant(&run.file.started));
        let began = began.min().unwrap_or(SystemTime::UNIX_EPOCH);
        builder
            .add_comment(VERSION)
            .with_start_time(began)
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
            let (start, length) = interval(series.row.file, began);
            writer
                .write_histogram(&series.histogram()?, start, length, Some(tag))
                .map_err(|e| failed(format!("{e:?}")))?;
        }
    }
    files.write("data", "latencies", "hlog", log)
}

/// When a run began, counted from `since`, and how long it took: every histogram is of all of it.
fn interval(run: &RunFile, since: SystemTime) -> (Duration, Duration) {
    let [began, ended] = [&run.started, &run.finished].map(|time| instant(time).unwrap_or(since));
    let length = ended.duration_since(began).unwrap_or_default();
    let start = began.duration_since(since).unwrap_or_default();
    (start, length.max(SHORTEST))
}

fn instant(time: &str) -> Option<SystemTime> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.into())
}
