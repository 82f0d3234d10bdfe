//! The report as its reader meets it: which files there are, what they say, and what they leave out.

#[allow(dead_code, reason = "another test program uses the rest")]
mod fixture;
mod report {
    pub mod kernels;
    pub mod page;
    pub mod races;
    pub mod told;
}

use std::collections::BTreeSet;
use std::fs;

use cowpath::record::schema::RunFile;
use cowpath::report::error::Written;
use cowpath::report::write;

/// A report in a directory of its own, which lives as long as this does.
struct Report {
    dir: tempfile::TempDir,
    written: Written,
}

impl Report {
    fn of(runs: &[RunFile]) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let written = write(runs, dir.path()).unwrap();
        Report { dir, written }
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap()
    }

    /// The page, with its slashes as a browser shows them.
    fn page(&self) -> String {
        self.text("index.html").replace("&#x2f;", "/")
    }

    fn names(&self) -> BTreeSet<String> {
        let names = self
            .written
            .files
            .iter()
            .map(|f| f.strip_prefix(self.dir.path()).unwrap());
        names.map(|n| n.to_str().unwrap().to_string()).collect()
    }

    fn count(&self, dir: &str) -> usize {
        self.names().iter().filter(|n| n.starts_with(dir)).count()
    }
}

/// The cells of the page's table row that names `scenario`.
fn cells(page: &str, table: &str, scenario: &str) -> Vec<String> {
    let table = page
        .split("<caption")
        .find(|t| t.contains(table))
        .expect("the table is there");
    let head = format!("<th scope=\"row\">{scenario}</th>");
    let row = table
        .split("<tr")
        .find(|r| r.contains(&head))
        .expect("the row is there");
    let row = row.split("</tr>").next().unwrap_or_default();
    let cells = row.split("</td>").filter_map(|c| c.rsplit_once('>'));
    cells
        .map(|(_, text)| text.to_string())
        .filter(|text| !text.is_empty())
        .collect()
}
