//! A report before it has a form: sections of blocks, which every export writes in its own way.

use serde::Serialize;

use crate::report::plot::Chart;
use crate::stats::interval::Interval;

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    /// What it is about, in one line.
    pub title: String,
    /// What stands below the title, a line each.
    pub lead: Vec<String>,
    /// Its parts, most wanted first.
    pub sections: Vec<Section>,
    /// What a reader finds at the end, a paragraph each.
    pub footer: Vec<String>,
}

/// A part of a report with a heading of its own.
#[derive(Clone, Debug, Serialize)]
pub struct Section {
    /// Unique among the sections; safe as an anchor and in a file name.
    pub id: String,
    /// The heading.
    pub title: String,
    /// What it says.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A part of these blocks.
    pub fn new(
        id: impl Into<String>,
        title: impl Into<String>,
        blocks: impl IntoIterator<Item = Block>,
    ) -> Section {
        Section {
            id: id.into(),
            title: title.into(),
            blocks: blocks.into_iter().collect(),
        }
    }
}

/// One thing that a section says.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// A paragraph.
    Text {
        /// The paragraph.
        text: String,
    },
    /// What came out, in a sentence: it stands out.
    Lead {
        /// The sentence.
        text: String,
    },
    /// A heading below the section's.
    Heading {
        /// The heading.
        text: String,
    },
    /// Sentences, a line each.
    List {
        /// The sentences.
        items: Vec<String>,
    },
    /// Something a reader must not miss.
    Notice {
        /// What.
        text: String,
    },
    /// Names and what stands behind them.
    Facts(Facts),
    /// A table.
    Table(Table),
    /// Outcomes at a glance.
    Matrix(Matrix),
    /// A plot.
    Figure(Chart),
    /// Ratios with their intervals.
    Forest(Forest),
    /// What happened on several CPUs, one thing after the other.
    Timeline(Timeline),
    /// A drawing of its own.
    Drawing(Drawing),
    /// Things that lead to others.
    Tree(Tree),
}

impl Block {
    /// A paragraph.
    pub fn text(text: impl Into<String>) -> Block {
        Block::Text { text: text.into() }
    }

    /// Something a reader must not miss.
    pub fn notice(text: impl Into<String>) -> Block {
        Block::Notice { text: text.into() }
    }
}

/// A drawing in a frame of its own, so that its script sees only itself.
#[derive(Clone, Debug, Serialize)]
pub struct Drawing {
    /// What it shows.
    pub caption: String,
    /// How high it is, in pixels.
    pub height: u32,
    /// The drawing: SVG in base64.
    pub data: String,
}

/// Things that lead to others, outermost first.
#[derive(Clone, Debug, Serialize)]
pub struct Tree {
    /// The outermost.
    pub roots: Vec<TreeNode>,
}

/// A thing and those that it leads to.
#[derive(Clone, Debug, Serialize)]
pub struct TreeNode {
    /// Its name.
    pub name: String,
    /// How one came to it; may be empty.
    pub entered: &'static str,
    /// Its figure.
    pub figure: String,
    /// What more there is to say.
    pub details: String,
    /// Whether what it leads to is shown at first.
    pub open: bool,
    /// What it leads to, in order.
    pub children: Vec<TreeNode>,
}

/// Ratios with their intervals, a row each, around a line at 1.
#[derive(Clone, Debug, Serialize)]
pub struct Forest {
    /// What it shows.
    pub caption: String,
    /// The ratio at the left end.
    pub low: String,
    /// The ratio at the right end.
    pub high: String,
    /// The rows.
    pub rows: Vec<ForestRow>,
    /// What to know about it.
    pub notes: Vec<String>,
}

/// One ratio. Places are in percent of the width, 50 being a ratio of 1.
#[derive(Clone, Debug, Serialize)]
pub struct ForestRow {
    /// What was compared.
    pub label: String,
    /// The base's value.
    pub base: String,
    /// The new side's value.
    pub new: String,
    /// Where the ratio stands.
    pub at: f64,
    /// Where its interval ends, if there is one.
    pub ends: Option<Interval>,
    /// The ratio in figures.
    pub ratio: String,
    /// p.
    pub p: String,
    /// The smallest change that would have been found.
    pub mde: String,
    /// What can be said.
    pub verdict: String,
    /// By which it is coloured.
    pub kind: &'static str,
}

impl Forest {
    /// The same in figures.
    pub fn table(&self) -> Table {
        let columns = vec![
            Column::words("scenario"),
            Column::numbers("ratio [decides]"),
            Column::numbers("MDE"),
            Column::words("verdict"),
            Column::numbers("base").full_only(),
            Column::numbers("new").full_only(),
        ];
        let rows = self.rows.iter().map(|row| {
            [
                &row.label,
                &row.ratio,
                &row.mde,
                &row.verdict,
                &row.base,
                &row.new,
            ]
            .map(|text| Cell::new(text.as_str()))
            .into()
        });
        Table {
            caption: self.caption.clone(),
            columns,
            rows: rows.collect(),
            notes: self.notes.clone(),
            prose: false,
        }
    }
}

/// What happened on several CPUs, one thing after the other.
#[derive(Clone, Debug, Serialize)]
pub struct Timeline {
    /// Unique in the report; safe as an anchor.
    pub anchor: String,
    /// What was played where, and what came of it.
    pub title: String,
    /// What it is about, in a sentence.
    pub summary: String,
    /// Whether it ended badly.
    pub harm: bool,
    /// A lane for each CPU.
    pub lanes: Vec<Lane>,
    /// What happened, in order.
    pub rows: Vec<TimelineRow>,
    /// What to know about it, a line each.
    pub notes: Vec<String>,
}

/// A CPU of a timeline.
#[derive(Clone, Debug, Serialize)]
pub struct Lane {
    /// Its number.
    pub cpu: u32,
    /// Who runs there.
    pub party: &'static str,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct TimelineRow {
    /// In which lane, counted from 0; `None` for all of them.
    pub lane: Option<usize>,
    /// What.
    pub what: String,
    /// The page afterwards.
    pub page: String,
    /// Whether the first lane is held at this moment.
    pub held: bool,
}

/// Names and what stands behind them.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// What they are about; empty where the section's heading says it.
    pub caption: String,
    /// Whether they are the figures to remember.
    pub prominent: bool,
    /// The facts.
    pub items: Vec<Fact>,
}

/// A name and what stands behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What stands behind it.
    pub value: String,
    /// What to know about it, a line each; may be empty.
    pub details: Vec<String>,
}

impl Fact {
    /// A fact without a detail.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Fact {
        Fact {
            name: name.into(),
            value: value.into(),
            details: Vec::new(),
        }
    }

    /// The fact with one more detail.
    pub fn detail(mut self, detail: impl Into<String>) -> Fact {
        self.details.push(detail.into());
        self
    }

    /// The fact with more details.
    pub fn details(mut self, details: impl IntoIterator<Item = String>) -> Fact {
        self.details.extend(details);
        self
    }
}

/// A table, whose first column names the rows.
#[derive(Clone, Debug, Serialize)]
pub struct Table {
    /// What it shows, and in which unit.
    pub caption: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
    /// What to know about it.
    pub notes: Vec<String>,
    /// Whether cells hold sentences, which plain text shows as a list.
    pub prose: bool,
}

impl Table {
    /// A table of figures without rows yet: `words` columns of words, then columns of numbers.
    pub fn of_figures<'a>(
        caption: impl Into<String>,
        words: impl IntoIterator<Item = &'a str>,
        numbers: impl IntoIterator<Item = &'a str>,
    ) -> Table {
        let words = words.into_iter().map(Column::words);
        let numbers = numbers.into_iter().map(Column::numbers);
        Table {
            caption: caption.into(),
            columns: words.chain(numbers).collect(),
            rows: Vec::new(),
            notes: Vec::new(),
            prose: false,
        }
    }

    /// A table whose cells hold sentences, without notes.
    pub fn of_sentences(
        caption: impl Into<String>,
        columns: impl IntoIterator<Item = Column>,
        rows: impl IntoIterator<Item = Vec<Cell>>,
    ) -> Table {
        Table {
            caption: caption.into(),
            columns: columns.into_iter().collect(),
            rows: rows.into_iter().collect(),
            notes: Vec::new(),
            prose: true,
        }
    }

    /// Adds a row of plain cells.
    pub fn add<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Cell::new).collect());
    }
}

/// A column of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Column {
    /// Its heading.
    pub label: String,
    /// Whether it holds numbers, which are aligned to the right.
    pub numeric: bool,
    /// Whether a summary shows it.
    pub brief: bool,
}

impl Column {
    /// A column of words, shown in a summary.
    pub fn words(label: impl Into<String>) -> Column {
        Column {
            label: label.into(),
            numeric: false,
            brief: true,
        }
    }

    /// A column of numbers, shown in a summary.
    pub fn numbers(label: impl Into<String>) -> Column {
        Column {
            numeric: true,
            ..Column::words(label)
        }
    }

    /// The column, left out of a summary.
    pub fn full_only(self) -> Column {
        Column {
            brief: false,
            ..self
        }
    }
}

/// A cell of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// What it says.
    pub text: String,
    /// How it is set.
    pub tone: Tone,
    /// How strongly it is coloured as more (up to 100) or less (down to -100) than what it is compared with.
    pub heat: Option<f64>,
    /// The anchor that tells more; may be empty.
    pub link: String,
}

/// How a cell is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tone {
    /// As any other.
    Plain,
    /// Of less weight: not to be had, or as before.
    Muted,
    /// Not as it should be. The text says so too.
    Warn,
}

impl Cell {
    /// A cell like any other.
    pub fn new(text: impl Into<String>) -> Cell {
        Cell {
            text: text.into(),
            tone: Tone::Plain,
            heat: None,
            link: String::new(),
        }
    }

    /// A cell of less weight.
    pub fn muted(text: impl Into<String>) -> Cell {
        Cell {
            tone: Tone::Muted,
            ..Cell::new(text)
        }
    }

    /// The cell, coloured by how many times something else it is: fully from twice or half on.
    pub fn heated(self, ratio: f64) -> Cell {
        let heat = (100.0 * ratio.log2()).clamp(-100.0, 100.0);
        Cell {
            heat: heat.is_finite().then_some(heat),
            ..self
        }
    }

    /// A cell whose content is not as it should be.
    pub fn warn(text: impl Into<String>) -> Cell {
        Cell {
            tone: Tone::Warn,
            ..Cell::new(text)
        }
    }

    /// The cell, leading to an anchor.
    pub fn linked(self, anchor: String) -> Cell {
        Cell {
            link: anchor,
            ..self
        }
    }
}

/// Outcomes at a glance: a situation a row, grouped.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// What it shows.
    pub caption: String,
    /// The columns behind the situation's.
    pub columns: Vec<String>,
    /// The same as a summary has them; empty where a summary does not show the matrix.
    pub brief: Vec<String>,
    /// The rows.
    pub groups: Vec<MatrixGroup>,
    /// The marks that occur, explained.
    pub key: Vec<MatrixCell>,
    /// What to know about it.
    pub notes: Vec<String>,
}

/// The situations of one group.
#[derive(Clone, Debug, Serialize)]
pub struct MatrixGroup {
    /// Its name.
    pub name: String,
    /// Id of the section that tells more; empty where there is none.
    pub anchor: String,
    /// Its rows.
    pub rows: Vec<MarkRow>,
}

/// One situation.
#[derive(Clone, Debug, Serialize)]
pub struct MarkRow {
    /// The situation.
    pub label: String,
    /// As many as the matrix has columns.
    pub marks: Vec<MatrixCell>,
}

/// A cell of a matrix.
#[derive(Clone, Debug, Default, Serialize)]
pub struct MatrixCell {
    /// By which it is coloured: an outcome's key, or `skipped`; may be empty.
    pub kind: &'static str,
    /// The letter that stands for it in plain text; may be empty.
    pub letter: &'static str,
    /// What it says.
    pub text: String,
    /// What more there is to say; may be empty.
    pub title: String,
    /// How much of the cell a bar fills, in percent; all of it is coloured where this is `None`.
    pub bar: Option<f64>,
    /// What is remarkable about it, in words that begin with a sign.
    pub flags: Vec<&'static str>,
}

impl MatrixCell {
    /// A mark without anything remarkable.
    pub fn new(kind: &'static str, letter: &'static str, text: impl Into<String>) -> MatrixCell {
        MatrixCell {
            kind,
            letter,
            text: text.into(),
            ..MatrixCell::default()
        }
    }
}
