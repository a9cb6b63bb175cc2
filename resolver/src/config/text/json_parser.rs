//! JSON to nodes: RFC 8259 as it stands, with places.
//!
//! The libraries read JSON without places, and this format's errors must point at a line.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::node::{Entry, Node, Table, Text, Value};
use super::syntax_errors::{other_formats, typographic};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::problem::Problem;

/// The document; `None` when the text is not JSON, with the first syntax error reported.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut parser = Parser { text, at: 0, depth: 0 };
    let parsed = parser.value().and_then(|node| {
        parser.skip_blanks();
        if parser.at == text.len() { Ok(node) } else { Err(parser.unexpected("the end of the text")) }
    });
    let explained = |problem: Box<Problem>| {
        let strange = || typographic::strange_character(text, problem.span.as_ref()?);
        let first_line = text
            .lines()
            .next()
            .filter(|line| line.trim_start().starts_with("{{") || line.trim_start().starts_with("{%"));
        let template = || other_formats::template(first_line?, 0);
        other_formats::damage(text).or_else(template).or_else(strange).unwrap_or(*problem)
    };
    parsed.map_err(|problem| findings.refuse(explained(problem))).ok()
}

type Parsed<T> = Result<T, Box<Problem>>;

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn value(&mut self) -> Parsed<Node> {
        self.skip_blanks();
        let start = self.at;
        let value = match self.peek() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::array)?,
            Some('"') => Value::Text(Text::Written(self.string()?)),
            Some('-' | '0'..='9') => self.number()?,
            Some(c) if c.is_ascii_alphabetic() => self.word()?,
            Some(']' | '}') => {
                let after_comma = self.text.get(..start).unwrap_or_default().trim_end().ends_with(',');
                let what = if after_comma {
                    "there is a comma too many before this"
                } else {
                    "a value is missing before this"
                };
                return Err(self.error(start..start + 1, what));
            }
            _ => return Err(self.unexpected("a value")),
        };
        Ok(Node { span: start..self.at, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == MAX_DEPTH {
            let help = "this format needs six levels: look for brackets that are not closed";
            return Err(Box::new(self.error(self.at..self.at + 1, "nested too deeply").help(help)));
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Parsed<Value> {
        let mut table = Table::default();
        self.at += 1;
        self.skip_blanks();
        if self.take('}') {
            return Ok(Value::Table(table));
        }
        loop {
            self.skip_blanks();
            let start = self.at;
            if self.peek() != Some('"') {
                return Err(self.unexpected("a name in double quotes"));
            }
            let key = self.string()?;
            let key_span = start..self.at;
            self.skip_blanks();
            if !self.take(':') {
                return Err(self.unexpected("`:`"));
            }
            let node = self.value()?;
            table.entries.push(Entry { key, key_span, node });
            self.skip_blanks();
            if self.take('}') {
                return Ok(Value::Table(table));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `}`"));
            }
        }
    }

    fn array(&mut self) -> Parsed<Value> {
        let mut items = Vec::new();
        self.at += 1;
        self.skip_blanks();
        if self.take(']') {
            return Ok(Value::Array(items));
        }
        loop {
            items.push(self.value()?);
            self.skip_blanks();
            if self.take(']') {
                return Ok(Value::Array(items));
            }
            if !self.take(',') {
                return Err(self.unexpected("`,` or `]`"));
            }
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let start = self.at;
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek() else { return Err(self.error(start..self.at, "this string does not end")) };
            let here = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(out),
                '\\' => out.push(self.escape(here)?),
                c if (c as u32) < 0x20 => {
                    return Err(self.error(here..self.at, "a control character must be written as an escape"));
                }
                c => out.push(c),
            }
        }
    }

    fn escape(&mut self, start: usize) -> Parsed<char> {
        let letter = self.peek();
        self.at += letter.map_or(0, char::len_utf8);
        let c = match letter {
            Some(c @ ('"' | '\\' | '/')) => Some(c),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('u') => self.unicode_escape(),
            _ => None,
        };
        c.ok_or_else(|| self.error(start..self.at, "JSON has no such escape"))
    }

    /// What follows `\u`; a pair of surrogates is one character, half a pair is none.
    fn unicode_escape(&mut self) -> Option<char> {
        let high = self.four_hex()?;
        if !(0xd800..0xdc00).contains(&high) {
            return char::from_u32(high);
        }
        if !(self.take('\\') && self.take('u')) {
            return None;
        }
        let low = self.four_hex()?;
        (0xdc00..0xe000).contains(&low).then(|| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)))?
    }

    fn four_hex(&mut self) -> Option<u32> {
        let digits =
            self.text.get(self.at..self.at + 4).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.take('-');
        let integer = self.digits();
        let well_formed = !integer.is_empty() && (integer == "0" || !integer.starts_with('0'));
        let mut is_float = false;
        let mut complete = well_formed;
        if self.take('.') {
            is_float = true;
            complete &= !self.digits().is_empty();
        }
        if self.take('e') || self.take('E') {
            is_float = true;
            let _ = self.take('+') || self.take('-');
            complete &= !self.digits().is_empty();
        }
        let digits = self.text.get(start..self.at).unwrap_or_default();
        if !complete {
            return Err(self.error(start..self.at, "not a number as JSON writes them"));
        }
        if let (false, Ok(value)) = (is_float, digits.parse()) {
            return Ok(Value::Integer(value));
        }
        digits.parse().map(Value::Float).map_err(|_| self.error(start..self.at, "not a number"))
    }

    fn digits(&mut self) -> &str {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn word(&mut self) -> Parsed<Value> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            self.at += self.peek().map_or(0, char::len_utf8);
        }
        match self.text.get(start..self.at) {
            Some("true") => Ok(Value::Boolean(true)),
            Some("false") => Ok(Value::Boolean(false)),
            Some("null") => Ok(Value::Null),
            _ => Err(Box::new(self.error(start..self.at, "a word without quotes").help(LENIENCY))),
        }
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    fn take(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn unexpected(&self, expected: &str) -> Box<Problem> {
        let Some(c) = self.peek() else {
            return self.error(self.at..self.at, &format!("the text ends where {expected} should stand"));
        };
        let problem = self.error(self.at..self.at + c.len_utf8(), &format!("expected {expected}"));
        if matches!(c, '/' | '#' | '\'') || c.is_alphabetic() { Box::new(problem.help(LENIENCY)) } else { problem }
    }

    fn error(&self, span: Range<usize>, what: &str) -> Box<Problem> {
        Box::new(Problem::error(code::SYNTAX, format!("not JSON: {what}")).at(span, ""))
    }
}

/// Deeper than any configuration; keeps a hostile file from using up the stack.
const MAX_DEPTH: usize = 64;

/// The first reader of this format was more generous than JSON.
const LENIENCY: &str = "comments, single quotes and words without quotes, which the reader of 2019 let pass, are not JSON: \
     remove the comment, or write the text in double quotes";
