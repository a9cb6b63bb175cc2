//! The terminal that is written to: how wide it is, and lines that fit into it.

#![forbid(unsafe_code)]

use std::io;

/// Its columns; `None` where lines may be as long as they are, because no terminal breaks them.
pub(crate) fn width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns >= NARROWEST)
}

/// A line whose words go on below each other, from column `hang` on, where it is longer than `width`.
pub(crate) fn folded(line: &str, hang: usize, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| columns(line) > *width) else { return line.to_owned() };
    // Where little room is left, what goes on is shown to belong here, and no more.
    let hang = if hang + LEAST_ROOM <= width { hang } else { LITTLE };
    let (mut out, mut column) = (String::with_capacity(line.len() + 64), 0);
    for (at, word) in line.split(' ').enumerate() {
        let long = columns(word);
        if at > 0 && column > hang && column + 1 + long > width {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', hang));
            column = hang;
        } else if at > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
    }
    out
}

/// What was another program's text must not move the cursor of a terminal.
pub(crate) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The columns that a text takes: what sets colours takes none.
fn columns(text: &str) -> usize {
    let mut parts = text.split("\x1b[");
    let first = parts.next().map_or(0, |part| part.chars().count());
    first + parts.map(|part| part.split_once('m').map_or(0, |(_, shown)| shown.chars().count())).sum::<usize>()
}

/// Of a terminal that says less than this, nothing is believed.
const NARROWEST: usize = 40;
/// Columns that words need to be read.
const LEAST_ROOM: usize = 24;
/// How far in a line goes on that leaves no room for more.
const LITTLE: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_goes_on_below_itself_and_colours_take_no_room() {
        let line = "  failed  port  127.0.0.1:9: nobody listens there at all, as it seems";
        assert_eq!(folded(line, 16, None), line);
        assert_eq!(
            folded(line, 16, Some(44)),
            "  failed  port  127.0.0.1:9: nobody listens\n                there at all, as it seems"
        );
        let painted = line.replace("failed", "\x1b[31mfailed\x1b[0m");
        assert_eq!(columns(&painted), columns(line));
        assert_eq!(folded(&painted, 16, Some(69)), painted, "it fits as it is");
        let narrow = folded(line, 40, Some(44));
        assert!(
            narrow.lines().skip(1).all(|line| line.starts_with("      "))
                && narrow.lines().all(|line| line.len() <= 44)
        );
        let word = "x".repeat(60);
        assert_eq!(folded(&word, 4, Some(44)), word, "a word is not broken: it may be a path");
    }
}
