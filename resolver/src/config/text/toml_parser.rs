//! TOML to nodes.

#![forbid(unsafe_code)]

use toml::Spanned;
use toml::de::{DeInteger, DeTable, DeValue};

use super::node::{Entry, Node, Table, Text, Value};
use super::syntax_errors::{other_formats, toml_mistakes};
use crate::config::report::code;
use crate::config::report::findings::Findings;
use crate::config::report::order::ordered;
use crate::config::report::problem::Problem;

/// The document's top table; `None` when the text is not TOML, with every syntax error reported.
pub(crate) fn parse(text: &str, findings: &mut Findings) -> Option<Table> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let errors: Vec<_> = errors
            .iter()
            .map(|error| (error.span().unwrap_or(text.len()..text.len()), error.message().to_owned()))
            .collect();
        let problems = other_formats::recognize(text)
            .map_or_else(|| toml_mistakes::explain(text, errors), |problem| vec![problem]);
        for problem in problems {
            findings.refuse(problem);
        }
        // What a recovering parser makes of a broken text would only add errors that nobody wrote.
        return None;
    }
    Some(table(document.get_ref(), findings))
}

fn table(source: &DeTable<'_>, findings: &mut Findings) -> Table {
    let entries: Vec<Entry> = source
        .iter()
        .map(|(key, value)| Entry { key: key.get_ref().to_string(), key_span: key.span(), node: node(value, findings) })
        .collect();
    // The parser sorts by name; rules are tried in the order of the file.
    Table { entries: ordered(entries, |entry| (false, entry.key_span.start, 0)) }
}

fn node(source: &Spanned<DeValue<'_>>, findings: &mut Findings) -> Node {
    let span = source.span();
    let value = match source.get_ref() {
        DeValue::String(text) => Value::Text(Text::Written(text.to_string())),
        DeValue::Integer(digits) => integer(digits).map(Value::Integer).unwrap_or_else(|| {
            let problem = Problem::error(code::OUT_OF_RANGE, "this integer is larger than any key takes");
            findings.refuse(problem.at(span.clone(), "does not fit 64 bits"));
            Value::Text(Text::Broken)
        }),
        DeValue::Float(digits) => Value::Float(digits.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Boolean(*value),
        DeValue::Datetime(_) => Value::Datetime,
        DeValue::Array(items) => Value::Array(items.iter().map(|item| node(item, findings)).collect()),
        DeValue::Table(inner) => Value::Table(table(inner, findings)),
    };
    Node { span, value }
}

fn integer(digits: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(digits.as_str(), digits.radix()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> (Option<Table>, Vec<Problem>) {
        let mut findings = Findings::new("t", text);
        let table = parse(text, &mut findings);
        (table, findings.into_report().problems)
    }

    #[test]
    fn tables_keep_the_order_of_the_file_and_not_of_the_alphabet() {
        let (table, problems) = parsed("[z]\na = 1\n[b]\n[a.c]\n");
        let names: Vec<String> = table.unwrap().entries.into_iter().map(|entry| entry.key).collect();
        assert_eq!(names, ["z", "b", "a"]);
        assert_eq!(problems, []);
    }

    #[test]
    fn every_syntax_error_is_reported_and_not_only_the_first() {
        let (table, problems) = parsed("a = \nb = 1\nc = [1,, 2]\nb = 3\n");
        assert!(table.is_none());
        assert!(problems.len() >= 3, "{problems:#?}");
    }

    #[test]
    fn numbers_are_read_in_every_notation_that_toml_has() {
        let (table, _) = parsed("a = 1_000\nb = 0x1F\nc = -3\nd = 2.5e1\n");
        let table = table.unwrap();
        let value = |key: &str| table.entry(key).map(|entry| entry.node.value.clone()).unwrap();
        assert!(matches!(value("a"), Value::Integer(1000)));
        assert!(matches!(value("b"), Value::Integer(31)));
        assert!(matches!(value("c"), Value::Integer(-3)));
        assert!(matches!(value("d"), Value::Float(v) if v == 25.0));
    }

    #[test]
    fn an_integer_beyond_64_bits_is_refused() {
        let (_, problems) = parsed("a = 99999999999999999999\n");
        assert_eq!(problems.first().map(|problem| problem.code), Some(code::OUT_OF_RANGE));
    }

    #[test]
    fn arrays_nested_without_end_are_a_syntax_error_and_no_stack_overflow() {
        let (table, problems) = parsed(&format!("a = {}", "[".repeat(100_000)));
        assert!(table.is_none() && !problems.is_empty());
    }
}
