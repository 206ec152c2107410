//! Figures as people and as programs read them: medians with their spread, tables, JSON.

use serde_json::{Value, json};
use std::fmt;

/// Several measurements of one thing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// What is no number was not measured.
    pub(crate) fn push(&mut self, value: f64) {
        self.0.extend(value.is_finite().then_some(value));
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; of two in the middle the smaller one.
    pub(crate) fn median(&self) -> f64 {
        self.0.get(self.0.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn min(&self) -> f64 {
        self.0.first().copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn max(&self) -> f64 {
        self.0.last().copied().unwrap_or(f64::NAN)
    }

    /// Median, least and most, in another unit.
    pub(crate) fn spread(&self, unit: f64) -> String {
        if self.0.is_empty() {
            return "-".to_owned();
        }
        let [median, min, max] = [self.median(), self.min(), self.max()].map(|v| short(v / unit));
        format!("{median} ({min}-{max})")
    }

    pub(crate) fn json(&self) -> Value {
        json!({ "median": self.median(), "min": self.min(), "max": self.max(), "n": self.0.len() })
    }
}

/// A number with no more digits than mean anything.
pub(crate) fn short(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.digits$}");
    let Some((start, end)) = text.split_once('.') else { return grouped(&text) };
    format!("{}.{end}", grouped(start))
}

fn grouped(digits: &str) -> String {
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What a part has to say: a table, what its numbers include, and all of them once more.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) title: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) notes: Vec<String>,
    pub(crate) figures: Vec<Value>,
    pub(crate) goals: Vec<Goal>,
}

/// What a figure is to reach.
#[derive(Debug)]
pub(crate) struct Goal {
    figure: String,
    /// At most, or else at least.
    at_most: bool,
    bound: f64,
    measured: f64,
}

impl Goal {
    pub(crate) fn at_most(figure: &str, bound: f64, measured: f64) -> Self {
        Self { figure: figure.to_owned(), at_most: true, bound, measured }
    }

    pub(crate) fn at_least(figure: &str, bound: f64, measured: f64) -> Self {
        Self { figure: figure.to_owned(), at_most: false, bound, measured }
    }

    /// Whether it is reached; nobody can say without a measurement.
    fn is_met(&self) -> Option<bool> {
        let met =
            if self.at_most { self.measured <= self.bound } else { self.measured >= self.bound };
        self.measured.is_finite().then_some(met)
    }

    fn json(&self) -> Value {
        let sense = if self.at_most { "at most" } else { "at least" };
        json!({
            "figure": self.figure,
            "target": format!("{sense} {}", self.bound),
            "measured": self.measured,
            "met": self.is_met(),
        })
    }
}

/// What all parts are to reach, as a table of its own.
pub(crate) fn goals(reports: &[Report]) -> Report {
    let goals = || reports.iter().flat_map(|report| &report.goals);
    let row = |goal: &Goal| {
        let sense = if goal.at_most { "<=" } else { ">=" };
        let met = match goal.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "not measured",
        };
        let target = format!("{sense} {}", short(goal.bound));
        vec![goal.figure.clone(), target, short(goal.measured), met.to_owned()]
    };
    Report {
        title: "What is to be reached".to_owned(),
        columns: ["figure", "target", "measured", "met"].map(String::from).to_vec(),
        rows: goals().map(row).collect(),
        figures: goals().map(Goal::json).collect(),
        ..Report::default()
    }
}

impl Report {
    pub(crate) fn json(&self) -> Value {
        json!({ "title": self.title, "figures": self.figures })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).chain(self.columns.get(at));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |f: &mut fmt::Formatter<'_>, cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "| {} |", padded.collect::<Vec<_>>().join(" | "))
        };
        writeln!(f, "{}\n", self.title)?;
        line(f, &self.columns)?;
        line(f, &widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>())?;
        self.rows.iter().try_for_each(|row| line(f, row))?;
        writeln!(f)?;
        self.notes.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}
