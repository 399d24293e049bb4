//! Figures in columns.

/// Cells in rows; the first row is the heads of the columns.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// How many columns, from the left, are words; the others are figures.
    words: usize,
}

impl Table {
    pub(crate) fn new(head: Vec<String>, words: usize) -> Self {
        Self { rows: vec![head], words }
    }

    pub(crate) fn push(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// With spaces, for a terminal.
    pub(crate) fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width_of = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width_of).collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut cells = Vec::with_capacity(columns);
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                let words = column < self.words;
                cells.push(if words { format!("{cell:<width$}") } else { format!("{cell:>width$}") });
            }
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
        text
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (number, row) in self.rows.iter().enumerate() {
            text.push_str(&format!("| {} |\n", row.join(" | ")));
            if number == 0 {
                for column in 0..row.len() {
                    text.push_str(if column < self.words { "|---" } else { "|--:" });
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

/// A figure with at least three digits that count, as people write it.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 1_000.0 {
        grouped(value)
    } else if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 0.01 {
        format!("{value:.2}")
    } else if size >= 0.000_05 {
        format!("{value:.4}")
    } else {
        "< 0.0001".to_owned()
    }
}

/// A whole number with its thousands apart.
fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    if value < 0.0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
