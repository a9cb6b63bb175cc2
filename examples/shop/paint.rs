//! Text for a terminal, and for what is none.

use std::io::IsTerminal as _;

/// Colours, on a terminal only; `NO_COLOR` turns them off.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For stdout.
    pub(crate) fn for_stdout() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { on: std::io::stdout().is_terminal() && !unwanted }
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.code(1, text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.code(2, text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.code(31, text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.code(32, text)
    }

    /// One of a few colours: the same for the same number.
    pub(crate) fn nth(self, number: usize, text: &str) -> String {
        let code = [36, 33, 35, 34].get(number % 4).copied().unwrap_or(36);
        self.code(code, text)
    }

    fn code(self, code: u8, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `text` in exactly `width` characters: blanks behind it, or cut, with a mark that it was.
pub(crate) fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return format!("{text:<width$}");
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}
