//! The embedded `default-config.toml`: the manual of every key, and what holds where a file says nothing.

#![forbid(unsafe_code)]

use super::keys;
use super::metrics;
use super::section::Section;
use super::sending;
use super::settings;
use super::upkeep;
use crate::config::draft::defaults::Defaults;
use crate::config::model::Reload;
use crate::config::reading::pattern::PlacedPattern;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::text::toml_parser;

/// The text of the manual, every key with its default, its unit and one line of why.
pub const DEFAULT_CONFIG: &str = include_str!("../../../default-config.toml");

/// Reads the defaults out of the manual.
///
/// Fails only if this library was built from a broken manual, which its tests exclude; said all the same.
pub(crate) fn defaults(findings: &mut Findings) -> Result<Defaults, Broken> {
    let mut own = Findings::new("default-config.toml", DEFAULT_CONFIG);
    let defaults = read(&mut own);
    if let (Some(defaults), false) = (defaults, own.is_distrusted()) {
        return Ok(defaults);
    }
    let message = format!("this library was built with a broken manual:\n{}", own.into_report().render(false));
    Err(findings.refuse(Problem::error(code::SYNTAX, message)))
}

fn read(findings: &mut Findings) -> Option<Defaults> {
    let table = toml_parser::parse(DEFAULT_CONFIG, findings)?;
    let top = Section::top(&table, findings);
    let defaults = Section::open(top.field("defaults")?, "[defaults]".into(), keys::DEFAULTS, findings).ok()?;
    let backends = Section::open_map(top.field("backends")?, "[backends]".into(), findings).ok()?;
    let backend = Section::open(backends.field(EXAMPLE)?, "[backends.NAME]".into(), keys::BACKEND, findings).ok()?;
    let batch = Section::open(top.field("batch")?, "[batch]".into(), keys::BATCH, findings).ok()?;
    let metrics = Section::open(top.field("metrics")?, "[metrics]".into(), keys::METRICS, findings).ok()?;
    let metrics = metrics::read(&metrics, &[EXAMPLE], findings);
    let mut layer = settings::read(&defaults, &[EXAMPLE], findings);
    if let Some(Ok(exclude)) = &mut layer.exclude {
        // Their places are in the manual, not in the text that problems will be about.
        *exclude = exclude.iter().map(|placed| PlacedPattern { span: 0..0, ..placed.clone() }).collect();
    }
    let sending = sending::read(&backend, findings);
    let batch = sending::read_batch(&batch, findings);
    let reload = upkeep::reload(&top, Reload::OFF, findings);
    Some(Defaults { layer, sending, batch, metrics, reload })
}

/// The name that stands for any in the manual.
const EXAMPLE: &str = "NAME";
