//! What a figure of the page gives away: the data behind it, whole, without a script and without a network.

#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;

use std::collections::BTreeMap;

use cowpath::record::outcome::Outcome;
use cowpath::record::schema::RunFile;
use cowpath::record::unit::Unit;
use cowpath::report;
use fixture::Fixture;

/// The data of each figure by its file's name, as a browser would save it.
fn data(run: &RunFile) -> BTreeMap<String, String> {
    let folder = tempfile::tempdir().unwrap();
    report::write(std::slice::from_ref(run), folder.path()).unwrap();
    let page = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
    let figures = page.matches("<figure").count();
    let links = page.split("<a class=\"data\" download=\"").skip(1);
    let data: BTreeMap<String, String> = links
        .map(|link| {
            let mut attributes = link.split('"');
            let name = attributes.next().unwrap().to_string();
            let address = attributes.nth(1).unwrap();
            let content = address.strip_prefix("data:text/csv;charset=utf-8,");
            (name, decoded(content.unwrap()))
        })
        .collect();
    assert_eq!(data.len(), figures, "each figure has its own");
    data
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('%') {
        bytes.extend(plain.bytes());
        bytes.push(u8::from_str_radix(&escape[..2], 16).unwrap());
        rest = &escape[2..];
    }
    bytes.extend(rest.bytes());
    String::from_utf8(bytes).unwrap()
}

fn rows(csv: &str) -> Vec<Vec<&str>> {
    csv.lines().map(|line| line.split(',').collect()).collect()
}

#[test]
fn percentiles_are_those_of_the_run_file() {
    let run = Fixture::basics("6.18.0").run;
    let data = data(&run);
    let rows = rows(&data["group-copy-percentiles.csv"]);
    assert_eq!(
        rows[0],
        [
            "percentile (%)",
            "copy/child-alive (ns)",
            "copy/in-child (ns)"
        ]
    );
    let copies = run
        .results
        .iter()
        .filter(|m| m.scenario.starts_with("copy/"));
    for (n, measured) in copies.enumerate() {
        let l = &measured.latency[&Outcome::Copy];
        for (percent, value) in [
            ("50", l.p50),
            ("90", l.p90),
            ("99", l.p99),
            ("99.9", l.p999),
        ] {
            let row = rows.iter().find(|row| row[0] == percent).unwrap();
            assert_eq!(
                row[n + 1],
                value.to_string(),
                "{} at {percent}",
                measured.scenario
            );
        }
    }
}

#[test]
fn bins_hold_every_store() {
    let run = Fixture::basics("6.18.0").run;
    let data = data(&run);
    let rows = rows(&data["group-reuse-histogram.csv"]);
    assert_eq!(rows[0][..2], ["from (ns)", "to below (ns)"]);
    let reuses = run
        .results
        .iter()
        .filter(|m| m.scenario.starts_with("reuse/"));
    for (n, measured) in reuses.enumerate() {
        let counts = rows[1..]
            .iter()
            .map(|row| row[n + 2].parse::<u64>().unwrap());
        assert_eq!(counts.sum::<u64>(), measured.latency[&Outcome::Reuse].count);
    }
}

#[test]
fn foreign_names_stay_in_their_column() {
    let mut fixture = Fixture::new("6.18.0");
    let hostile = "reuse/\"><script>alert(1)</script>,\n=x";
    fixture.measure(hostile, Outcome::Reuse, 700.0, Unit::Ns);
    for csv in data(&fixture.run).values() {
        let heading = csv.lines().next().unwrap();
        assert!(
            heading.contains("\"\"><script>alert(1)</script>, =x"),
            "{heading}"
        );
    }
}
