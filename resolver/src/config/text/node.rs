//! A parsed text before anything is known about its meaning: values with the bytes they stand in.
//!
//! TOML and JSON both become this, so that places, types and messages are the same for both.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::config::model::from_files::FromFiles;

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Text),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// TOML only; no key wants one.
    Datetime,
    /// JSON only; the same as an absent key.
    Null,
    Array(Vec<Node>),
    Table(Table),
}

/// A string, and whether it is what the file says or what a reference stands for.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    /// As written.
    Written(String),
    /// At least one reference was replaced: the value may be a secret and is never printed.
    Referenced {
        value: String,
        /// The string was one reference and nothing else, so the key's type decides how it is read.
        whole: bool,
        /// What it is put together of, if a file is among it: the file may say something else later.
        files: Option<FromFiles>,
    },
    /// A reference in it leads nowhere; that has been reported.
    Broken,
}

/// Keys and values in file order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) node: Node,
}

impl Node {
    /// What it is, for messages: `a string`.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Text(_) => "a string",
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a number",
            Value::Boolean(_) => "a boolean",
            Value::Datetime => "a date",
            Value::Null => "null",
            Value::Array(_) => "an array",
            Value::Table(_) => "a table",
        }
    }
}

impl Text {
    /// What it stands for; `None` where that could not be had.
    pub(crate) fn value(&self) -> Option<&str> {
        match self {
            Self::Written(value) | Self::Referenced { value, .. } => Some(value),
            Self::Broken => None,
        }
    }
}

impl Table {
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}
