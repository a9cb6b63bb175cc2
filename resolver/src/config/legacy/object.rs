//! A JSON object whose keys are known. The original ignored unknown ones; here they are warnings.

#![forbid(unsafe_code)]

use crate::config::reading::field::Field;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::report::suggestion::{did_you_mean, listed};
use crate::config::text::node::{Node, Table, Value};

/// An object, opened.
#[derive(Clone, Copy)]
pub(super) struct Object<'n> {
    pub(super) node: &'n Node,
    table: &'n Table,
}

impl<'n> Object<'n> {
    /// The object at `node`, called `title` in messages, which takes the `known` keys.
    pub(super) fn open(node: &'n Node, title: &str, known: &[&str], findings: &mut Findings) -> Result<Self, Broken> {
        let Value::Table(table) = &node.value else {
            let problem = Problem::error(code::WRONG_TYPE, format!("{title} is an object"));
            return Err(findings.refuse(problem.at(node.span.clone(), format!("this is {}", node.kind()))));
        };
        for (index, entry) in table.entries.iter().enumerate() {
            let key = entry.key.as_str();
            if !known.contains(&key) {
                let problem = Problem::warning(code::OLD_UNKNOWN_KEY, format!("unknown key `{key}` in {title}"));
                let problem = problem.at(entry.key_span.clone(), did_you_mean(key, known));
                findings.mention(problem.help(format!("known here: {}", listed(known))));
            }
            if let Some(first) = table.entries.iter().take(index).find(|other| other.key == entry.key) {
                let problem = Problem::warning(code::OLD_REPEATED_KEY, format!("`{key}` stands here twice"));
                let problem = problem.at(entry.key_span.clone(), "this one counts");
                findings.mention(problem.also(first.key_span.clone(), "this one does not"));
            }
        }
        Ok(Self { node, table })
    }

    /// The key's value; `null` is the same as none, and of several the last counts.
    pub(super) fn field(self, key: &str) -> Option<Field<'n>> {
        let entry = self.table.entries.iter().rev().find(|entry| entry.key == key)?;
        (!matches!(entry.node.value, Value::Null)).then(|| Field::of(entry))
    }

    /// The object at `key`, if there is one.
    pub(super) fn object(
        self,
        key: &str,
        title: &str,
        known: &[&str],
        findings: &mut Findings,
    ) -> Result<Option<Self>, Broken> {
        self.field(key).map(|field| Self::open(field.node, title, known, findings)).transpose()
    }
}
