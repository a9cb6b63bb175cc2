//! Columns for people.

#![forbid(unsafe_code)]

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
        // What was another program's text must not move the cursor of a terminal.
        let clean = |cell: String| cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.rows.push(cells.into_iter().map(clean).collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Numbers stand at the right of their column, words at its left; the last column is as long as it is.
    pub(super) fn text(&self) -> String {
        let cell = |row: &Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
        let shown: Vec<usize> = (0..self.head.len())
            .filter(|column| self.rows.iter().any(|row| !matches!(cell(row, *column).as_str(), "" | "0")))
            .collect();
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let mut lines = vec![String::new(); self.rows.len() + 1];
        for (place, column) in shown.iter().copied().enumerate() {
            let head = self.head.get(column).copied().unwrap_or_default().to_owned();
            let cells: Vec<_> = self.rows.iter().map(|row| cell(row, column)).collect();
            let width = cells.iter().chain([&head]).map(|text| text.chars().count()).max().unwrap_or_default();
            let numbers = cells.iter().all(|text| is_number(text));
            for (line, text) in lines.iter_mut().zip([head].iter().chain(&cells)) {
                let gap = if place == 0 { "" } else { "  " };
                let is_last = place + 1 == shown.len();
                let padded = match (numbers, is_last) {
                    (true, _) => format!("{gap}{text:>width$}"),
                    (false, true) => format!("{gap}{text}"),
                    (false, false) => format!("{gap}{text:<width$}"),
                };
                line.push_str(&padded);
            }
        }
        lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
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
        assert_eq!(table.text(), "TOPIC   SPANS  WHY\norders     12  it is\na           3\n");
    }
}
