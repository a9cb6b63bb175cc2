//! No file named: one service for every topic, as the `OTEL_*` variables say.

#![forbid(unsafe_code)]

mod exporters;
mod names;
mod read;
mod resolve;
mod settings;

pub(crate) use names::note_ignored;
pub(crate) use read::Reader;
pub(crate) use resolve::resolve;
