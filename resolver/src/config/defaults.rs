//! The embedded `default-config.toml`: the manual of every key, and the lowest rung of the ladder.

#![forbid(unsafe_code)]

use super::code;
use super::findings::{Broken, Findings};
use super::host_section::{BatchLayer, HostLayer};
use super::keys;
use super::layer::Layer;
use super::layer_section;
use super::report::Problem;
use super::section::Section;
use super::toml_text;

/// The text of the manual, every key with its default, its unit and one line of why.
pub const DEFAULT_CONFIG: &str = include_str!("../../default-config.toml");

/// What counts where no file says anything.
pub(crate) struct Base {
    pub(crate) layer: Layer,
    pub(crate) host: HostLayer,
    pub(crate) batch: BatchLayer,
}

/// Reads the defaults out of the manual.
///
/// Fails only if this library was built from a broken manual, which its tests exclude; said all the same.
pub(crate) fn base(findings: &mut Findings) -> Result<Base, Broken> {
    let mut own = Findings::new("default-config.toml", DEFAULT_CONFIG);
    let base = read(&mut own);
    if let (Some(base), false) = (base, own.is_distrusted()) {
        return Ok(base);
    }
    let message = format!("this library was built with a broken manual:\n{}", own.into_parts().0.render(false));
    Err(findings.refuse(Problem::error(code::SYNTAX, message)))
}

fn read(findings: &mut Findings) -> Option<Base> {
    let table = toml_text::parse(DEFAULT_CONFIG, findings)?;
    let top = Section::top(&table, findings);
    let defaults = Section::open(top.field("defaults")?, "[defaults]".into(), keys::DEFAULTS, findings).ok()?;
    let backends = Section::open_map(top.field("backends")?, "[backends]".into(), findings).ok()?;
    let backend = Section::open(backends.field(EXAMPLE)?, "[backends.NAME]".into(), keys::BACKEND, findings).ok()?;
    let batch = Section::open(top.field("batch")?, "[batch]".into(), keys::BATCH, findings).ok()?;
    let mut layer = layer_section::read(&defaults, &[EXAMPLE], findings);
    for spotted in layer.exclude.iter_mut().flatten().flatten() {
        // Its place is in the manual, not in the text that problems will be about.
        spotted.span = 0..0;
    }
    Some(Base { layer, host: HostLayer::read(&backend, findings), batch: BatchLayer::read(&batch, findings) })
}

/// The name that stands for any in the manual.
const EXAMPLE: &str = "NAME";
