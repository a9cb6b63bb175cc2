//! Which brackets are open at a place of a TOML text, and whether the place is inside a string or a comment.

/// Goes through a text once, from place to place.
pub(super) struct Scanner<'t> {
    text: &'t str,
    at: usize,
    /// The brackets that are open, as bytes of the text. A heading's are too.
    open: Vec<usize>,
    state: State,
    /// Where the last string began.
    text_began: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Plain,
    Comment,
    /// A string that ends with this; three of them if it may have several lines.
    Text {
        quote: char,
        lines: bool,
    },
}

impl<'t> Scanner<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, open: Vec::new(), state: State::Plain, text_began: 0 }
    }

    /// Goes on to `place`. Never back.
    pub(super) fn go_to(&mut self, place: usize) {
        while self.at < place {
            let Some(rest) = self.text.get(self.at..) else { return };
            let Some(c) = rest.chars().next() else { return };
            let length = self.step(c, rest);
            self.at += length;
        }
    }

    /// The innermost bracket that is open.
    pub(super) fn innermost(&self) -> Option<usize> {
        self.open.last().copied()
    }

    /// The outermost bracket that is open.
    pub(super) fn outermost(&self) -> Option<usize> {
        self.open.first().copied()
    }

    /// Where the string began that is not at its end yet.
    pub(super) fn text(&self) -> Option<usize> {
        matches!(self.state, State::Text { .. }).then_some(self.text_began)
    }

    pub(super) fn is_plain(&self) -> bool {
        self.state == State::Plain
    }

    /// Takes `c`, with which `rest` begins; how many bytes were used.
    fn step(&mut self, c: char, rest: &str) -> usize {
        match (self.state, c) {
            (State::Plain, '#') => self.state = State::Comment,
            (State::Plain, '"' | '\'') => {
                let lines = rest.starts_with("\"\"\"") || rest.starts_with("'''");
                self.state = State::Text { quote: c, lines };
                self.text_began = self.at;
                return if lines { 3 } else { 1 };
            }
            (State::Plain, '[' | '{') => self.open.push(self.at),
            (State::Plain, ']' | '}') => drop(self.open.pop()),
            (State::Comment, '\n') => self.state = State::Plain,
            // A string of one line that is not closed ends with it.
            (State::Text { lines: false, .. }, '\n') => self.state = State::Plain,
            (State::Text { quote: '"', .. }, '\\') => {
                return 1 + rest.chars().nth(1).filter(|c| *c != '\n').map_or(0, char::len_utf8);
            }
            (State::Text { quote, lines }, c) if c == quote => {
                let triple = rest.starts_with("\"\"\"") || rest.starts_with("'''");
                if !lines || triple {
                    self.state = State::Plain;
                    return if lines { 3 } else { 1 };
                }
            }
            _ => {}
        }
        c.len_utf8()
    }
}
