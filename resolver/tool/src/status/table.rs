//! Columns for people.

#![forbid(unsafe_code)]

use crate::terminal;

/// A table with a head; empty columns are left out.
pub(super) struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(head: &[&'static str]) -> Self {
        Self { head: head.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| terminal::clean(&cell)).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Numbers stand at the right of their column, words at its left; the last column is as long as it is, and goes on below
    /// itself where a terminal is narrower.
    pub(super) fn text(&self, colors: bool, width: Option<usize>) -> String {
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let shown: Vec<usize> = (0..self.head.len())
            .filter(|column| self.rows.iter().any(|row| !matches!(cell(row, *column).as_str(), "" | "0")))
            .collect();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut lines = vec![String::new(); self.rows.len() + 1];
        // Where the last column begins.
        let mut hang = 0;
        for (place, column) in shown.iter().copied().enumerate() {
            let head = self.head.get(column).copied().unwrap_or_default().to_owned();
            let cells: Vec<_> = self.rows.iter().map(|row| cell(row, column)).collect();
            let wide = cells.iter().chain([&head]).map(|text| text.chars().count()).max().unwrap_or_default();
            let numbers = cells.iter().all(|text| is_number(text));
            for (line, text) in lines.iter_mut().zip([head].iter().chain(&cells)) {
                let gap = if place == 0 { "" } else { "  " };
                let is_last = place + 1 == shown.len();
                let padded = match (numbers, is_last) {
                    (true, _) => format!("{gap}{text:>wide$}"),
                    (false, true) => format!("{gap}{text}"),
                    (false, false) => format!("{gap}{text:<wide$}"),
                };
                let column = self.head.get(column).copied().unwrap_or_default();
                match color(column, text).filter(|_| colors) {
                    Some(color) => {
                        line.push_str(&padded.replace(text.as_str(), &format!("\x1b[{color}m{text}\x1b[0m")))
                    }
                    None => line.push_str(&padded),
                }
            }
            if place + 1 < shown.len() {
                hang += wide + 2;
            }
        }
        lines.iter().map(|line| format!("{}\n", terminal::folded(line.trim_end(), hang, width))).collect()
    }
}

/// What a reader looks for: words that say how it is.
fn color(column: &str, cell: &str) -> Option<u8> {
    match (column, cell) {
        ("STATE", "running" | "healthy") => Some(32),
        ("STATE", "refusing" | "retrying" | "stuck" | "out_of_service" | "gone" | "stale") => Some(31),
        ("SEVERITY", "error") => Some(31),
        ("SEVERITY", "warning") => Some(33),
        // Of a column that is shown, some cell is more than zero.
        ("LOST", lost) if !matches!(lost, "LOST" | "0") => Some(31),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_and_empty_ones_are_left_out() {
        let mut table = Table::new(&["TOPIC", "LOST", "SPANS", "WHY"]);
        for (topic, spans, why) in [("orders", "12", "it is"), ("a", "3", "")] {
            table.row([topic, "0", spans, why].map(str::to_owned));
        }
        assert_eq!(table.text(false, None), "TOPIC   SPANS  WHY\norders     12  it is\na           3\n");
    }

    #[test]
    fn a_long_last_column_goes_on_below_itself_and_states_have_their_colours() {
        let mut table = Table::new(&["STATE", "WHY"]);
        table.row(["gone", "it was killed or it crashed before it could say why"].map(str::to_owned));
        assert_eq!(
            table.text(false, Some(40)),
            "STATE  WHY\ngone   it was killed or it crashed\n       before it could say why\n"
        );
        assert!(table.text(true, None).contains("\x1b[31mgone\x1b[0m   it was"));
    }
}
