//! `summary.md`: the report as plain text of at most 80 columns that pastes into a mail.

use std::fmt::Write as _;

use crate::report::document::{Block, Cell, Column, Document, Facts, Matrix, MatrixCell, Table};
use crate::report::error::ReportError;
use crate::report::files::Staging;
use crate::report::glance::Glance;
use crate::report::view::View;

/// Longest line.
const WIDTH: usize = 80;
/// Longest name of a row; what is longer loses its middle.
const NAME: usize = 34;

/// Writes `summary.md`.
///
/// # Errors
/// If it cannot be written.
pub fn export(view: &View, document: &Document, files: &mut Staging) -> Result<(), ReportError> {
    let glance = Glance::of(view);
    let mail = glance.map_or(Vec::new(), |glance| glance.mail());
    // An indent of four keeps the lines as they are.
    let head: String = mail
        .iter()
        .map(|line| format!("    {}\n", plain(line)))
        .collect();
    let gap = if head.is_empty() { "" } else { "\n" };
    files.write(
        "",
        "summary",
        "md",
        head + gap + &summary(document, view.runs.len()),
    )
}

/// Sections of which a summary of several runs has nothing: there are as many of each as there are runs.
const ONE_BY_ONE: [&str; 3] = ["audit", "setup", "provenance"];

fn summary(document: &Document, runs: usize) -> String {
    let mut out = format!("# {}\n", plain(&document.title));
    let is_left_out = |id: &str| runs > 2 && (id.starts_with("group-") || ONE_BY_ONE.contains(&id));
    let left_out: Vec<&str> = document
        .sections
        .iter()
        .filter(|section| is_left_out(&section.id))
        .map(|section| section.title.as_str())
        .collect();
    for section in document
        .sections
        .iter()
        .filter(|section| !is_left_out(&section.id))
    {
        let _ = write!(out, "\n## {}\n", plain(&section.title));
        for block in &section.blocks {
            match block {
                Block::Text { text } => paragraph(&mut out, "", text),
                // The summary begins with these.
                Block::Lead { .. } => {}
                Block::Table(_) | Block::Forest(_) if section.id == "glance" => {}
                Block::Heading { text } => paragraph(&mut out, "### ", text),
                Block::List { items } => {
                    out.push('\n');
                    items
                        .iter()
                        .for_each(|item| wrap(&mut out, "- ", "  ", item));
                }
                Block::Notice { text } => paragraph(&mut out, "> ", &format!("Mind: {text}")),
                Block::Facts(facts) => list(&mut out, facts),
                Block::Table(table) if table.prose => prose(&mut out, table),
                Block::Table(table) => figures(&mut out, table),
                Block::Matrix(matrix) if !matrix.brief.is_empty() => {
                    figures(&mut out, &table_of(matrix))
                }
                Block::Forest(forest) => figures(&mut out, &forest.table()),
                Block::Matrix(_)
                | Block::Figure(_)
                | Block::Timeline(_)
                | Block::Drawing(_)
                | Block::Tree(_) => {}
            }
        }
    }
    if !left_out.is_empty() {
        let list = left_out.join(", ");
        paragraph(&mut out, "", &format!("Run by run in index.html: {list}."));
    }
    out
}

/// A name and value a line, without the details of those that are not to be remembered.
fn list(out: &mut String, facts: &Facts) {
    if !facts.caption.is_empty() {
        paragraph(out, "", &format!("{}:", facts.caption));
    }
    out.push('\n');
    for fact in &facts.items {
        let detail = match facts.prominent && !fact.details.is_empty() {
            true => format!(" ({})", fact.details.join("; ")),
            false => String::new(),
        };
        wrap(
            out,
            "- ",
            "  ",
            &format!("{}: {}{detail}", fact.name, fact.value),
        );
    }
}

/// The matrix as a table, its marks as letters and signs.
fn table_of(matrix: &Matrix) -> Table {
    let sign = |m: &MatrixCell| {
        let flags = m.flags.iter().filter_map(|f| f.split(' ').next());
        let text = if m.letter.is_empty() {
            &m.text
        } else {
            m.letter
        };
        std::iter::once(text)
            .chain(flags)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let rows = matrix.groups.iter().flat_map(|g| &g.rows).map(|row| {
        let marks = row.marks.iter().map(|m| Cell::new(sign(m)));
        std::iter::once(Cell::new(row.label.clone()))
            .chain(marks)
            .collect()
    });
    let mut columns = vec![Column::words("scenario")];
    columns.extend(matrix.brief.iter().map(Column::words));
    let key = matrix
        .key
        .iter()
        .map(|m| format!("{} {}", m.letter, m.text));
    let key = key.collect::<Vec<_>>().join(", ");
    Table {
        caption: format!("{} ({key}; ≠ changed, ! not as predicted)", matrix.caption),
        columns,
        rows: rows.collect(),
        notes: Vec::new(),
        prose: false,
    }
}

/// A table whose cells hold sentences, as a list. Left out where a summary shows nothing but the names.
fn prose(out: &mut String, table: &Table) {
    if !table.columns.iter().skip(1).any(|c| c.brief) {
        return;
    }
    if table.columns[0].label == "run" && table.rows.len() > 1 {
        return figures(out, &turned(table));
    }
    paragraph(out, "", &format!("{}:", table.caption));
    out.push('\n');
    for row in &table.rows {
        let mut cells = row.iter().zip(&table.columns);
        let name = cells.next().map_or("", |(cell, _)| &cell.text);
        let rest = cells.filter(|(cell, column)| column.brief && !cell.text.is_empty());
        let rest: Vec<String> = rest
            .map(|(cell, column)| match column.label.as_str() {
                "reason" | "verdict" | "found" => cell.text.clone(),
                label => format!("{label}: {}", cell.text),
            })
            .collect();
        wrap(out, "- ", "  ", &format!("{name}: {}", rest.join(", ")));
    }
}

/// A table of facts about runs with a run a column, so that it stays a table: of each fact the first line.
fn turned(table: &Table) -> Table {
    let line = |cell: &Cell| cell.text.lines().next().unwrap_or_default().to_string();
    let mut columns = vec![Column::words("")];
    columns.extend(table.rows.iter().map(|row| Column::words(line(&row[0]))));
    let facts = (1..table.columns.len()).filter(|&c| table.columns[c].brief);
    let rows = facts.map(|fact| {
        let cells = table.rows.iter().map(|row| Cell::new(line(&row[fact])));
        std::iter::once(Cell::new(table.columns[fact].label.clone()))
            .chain(cells)
            .collect()
    });
    Table {
        caption: table.caption.clone(),
        columns,
        rows: rows.collect(),
        notes: table.notes.clone(),
        prose: false,
    }
}

/// A table with all of its columns, however wide, and what to know about it.
pub fn whole(out: &mut String, table: &Table) {
    let columns: Vec<usize> = (0..table.columns.len()).collect();
    lines(out, table, &columns, &widths(table, usize::MAX), usize::MAX);
    notes(out, table);
}

/// What to know about a table, behind it.
fn notes(out: &mut String, table: &Table) {
    table.notes.iter().for_each(|note| paragraph(out, "", note));
}

/// A table of figures, padded; where it is too wide, in several with the names repeated. Tables of which a summary shows
/// nothing are left out.
fn figures(out: &mut String, table: &Table) {
    let names = usize::from(!table.columns.is_empty())
        + usize::from(table.columns.get(1).is_some_and(|c| c.label == "run"));
    let shown: Vec<usize> = (names..table.columns.len())
        .filter(|&c| table.columns[c].brief)
        .collect();
    if shown.is_empty() || table.rows.is_empty() {
        return;
    }
    let names: Vec<usize> = (0..names).collect();
    let widths = widths(table, NAME);
    let width = |columns: &[usize]| 1 + columns.iter().map(|&c| widths[c] + 3).sum::<usize>();
    paragraph(out, "", &format!("{}:", table.caption));
    let mut part = names.clone();
    for column in shown {
        part.push(column);
        if width(&part) > WIDTH && part.len() > names.len() + 1 {
            part.pop();
            lines(out, table, &part, &widths, NAME);
            part = names.clone();
            part.push(column);
        }
    }
    lines(out, table, &part, &widths, NAME);
    notes(out, table);
}

/// How wide each column is.
fn widths(table: &Table, longest: usize) -> Vec<usize> {
    let width = |c: usize| {
        let cells = table
            .rows
            .iter()
            .map(|row| length(&text_of(&row[c], longest)));
        let heading = length(&plain(&table.columns[c].label));
        cells.chain([heading, 3]).max().unwrap_or(3)
    };
    (0..table.columns.len()).map(width).collect()
}

fn lines(out: &mut String, table: &Table, columns: &[usize], widths: &[usize], longest: usize) {
    out.push('\n');
    let mut line = |cell: &dyn Fn(usize) -> String| {
        for &c in columns {
            let text = cell(c);
            let gap = " ".repeat(widths[c].saturating_sub(length(&text)));
            let _ = match table.columns[c].numeric {
                true => write!(out, "| {gap}{text} "),
                false => write!(out, "| {text}{gap} "),
            };
        }
        out.push_str("|\n");
    };
    line(&|c| plain(&table.columns[c].label));
    line(&|c| match table.columns[c].numeric {
        true => format!("{}:", "-".repeat(widths[c] - 1)),
        false => "-".repeat(widths[c]),
    });
    for row in &table.rows {
        line(&|c| text_of(&row[c], longest));
    }
}

fn text_of(cell: &Cell, longest: usize) -> String {
    crate::report::format::shorten(&plain(&cell.text), longest)
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Text that begins no markup and ends no cell.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .fold(String::new(), |mut text, c| {
            if matches!(c, '|' | '<' | '`' | '\\') {
                text.push('\\');
            }
            text.push(c);
            text
        })
}

fn paragraph(out: &mut String, prefix: &str, text: &str) {
    out.push('\n');
    wrap(out, prefix, prefix, text);
}

/// Words in lines of at most [`WIDTH`]; a word that is longer gets a line of its own.
fn wrap(out: &mut String, first: &str, next: &str, text: &str) {
    wrap_at(WIDTH, out, first, next, text);
}

/// Adds `text` in lines of at most `width` columns, the first of which begins with `first` and all others with `next`. A
/// longer word stays whole.
pub fn wrap_at(width: usize, out: &mut String, first: &str, next: &str, text: &str) {
    let mut line = String::from(first);
    let mut empty = true;
    for word in plain(text).split_whitespace() {
        if !empty && length(&line) + 1 + length(word) > width {
            out.push_str(&line);
            out.push('\n');
            line = String::from(next);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: Vec<Column>, rows: &[&[&str]]) -> Table {
        let rows = rows
            .iter()
            .map(|r| r.iter().map(|t| Cell::new(*t)).collect())
            .collect();
        Table {
            caption: "latency in ns".into(),
            columns,
            rows,
            notes: vec![],
            prose: false,
        }
    }

    #[test]
    fn tables_are_padded_and_numbers_aligned_right() {
        let columns = vec![Column::words("scenario"), Column::numbers("p50")];
        let mut out = String::new();
        figures(
            &mut out,
            &table(columns, &[&["a", "1,712"], &["longer/name", "9"]]),
        );
        assert_eq!(
            out,
            "\nlatency in ns:\n\n\
             | scenario    |   p50 |\n\
             | ----------- | ----: |\n\
             | a           | 1,712 |\n\
             | longer/name |     9 |\n"
        );
    }

    #[test]
    fn a_wide_table_goes_on_below_with_its_names() {
        let mut columns = vec![Column::words("scenario")];
        columns.extend((0..9).map(|n| Column::numbers(format!("column {n}"))));
        let mut out = String::new();
        figures(&mut out, &table(columns, &[&["name"; 10]]));
        assert!(out.lines().all(|l| length(l) <= WIDTH), "{out}");
        assert_eq!(out.matches("| scenario").count(), 2, "{out}");
        assert_eq!(out.matches("column").count(), 9, "{out}");
    }

    #[test]
    fn hostile_text_stays_in_its_cell() {
        assert_eq!(plain("a|b<script>\n`x`"), "a\\|b\\<script> \\`x\\`");
    }

    #[test]
    fn long_paragraphs_are_wrapped() {
        let mut out = String::new();
        wrap(&mut out, "- ", "  ", &"word ".repeat(40));
        assert!(out.lines().count() == 3 && out.lines().all(|l| length(l) <= WIDTH));
        assert!(out.lines().skip(1).all(|l| l.starts_with("  word")));
    }
}
