//! `capture_headers`, `redact_headers`, `redact_values`: lists of header names, and of globs.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;

/// Names of headers, as the messages have them.
pub(super) fn read(field: Field<'_>, findings: &mut Findings) -> Result<Arc<[String]>, Broken> {
    list(field, "a list of names of message headers", MOST_NAMES, findings, |name| match name {
        _ if name.contains(['*', '?']) => {
            Some("a glob, and headers are named one by one, so that none comes by chance")
        }
        _ if name.len() > LONGEST => Some("too long: a name has at most 128 bytes"),
        _ => None,
    })
}

/// Globs, in any case.
pub(super) fn redactions(field: Field<'_>, findings: &mut Findings) -> Result<Arc<[String]>, Broken> {
    list(field, "a list of globs with * and ?", MOST_GLOBS, findings, |glob| {
        (glob.len() > LONGEST).then_some("too long: a glob has at most 128 bytes")
    })
}

fn list(
    field: Field<'_>,
    wants: &str,
    most: usize,
    findings: &mut Findings,
    flaw: impl Fn(&str) -> Option<&'static str>,
) -> Result<Arc<[String]>, Broken> {
    let items = field.items(wants, findings)?;
    if items.len() > most {
        let message = format!("`{}` takes {most} entries at most", field.key);
        let problem = Problem::error(code::OUT_OF_RANGE, message).at(field.span(), format!("{} of them", items.len()));
        return Err(findings.refuse(problem.help("each is looked for in every message")));
    }
    let mut texts: Vec<String> = Vec::new();
    let mut outcome = Ok(());
    for item in items {
        let Ok(text) = item.name("this name", wants, findings) else {
            outcome = Err(Broken);
            continue;
        };
        let flaw = if text.is_empty() { Some("empty") } else { flaw(text) };
        match flaw {
            Some(flaw) => {
                let message = format!("an entry of `{}` is {flaw}", field.key);
                let problem = Problem::error(code::BAD_PATTERN, message).at(item.span(), "");
                outcome = Err(item.unacceptable(problem, wants, findings));
            }
            None if texts.iter().any(|known| known == text) => item.mention_repeated(findings),
            None => texts.push(text.to_owned()),
        }
    }
    outcome.map(|()| texts.into())
}

/// Headers that one span may tell.
const MOST_NAMES: usize = 16;
const MOST_GLOBS: usize = 32;
/// Bytes of a name or a glob.
const LONGEST: usize = 128;
