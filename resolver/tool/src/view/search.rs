//! What somebody looks for among the traces.

use tracer_trace_tree::{ReceivedSpan, text};

use super::options::Only;
use super::store::Trace;

/// A trace is found if it has all of this.
#[derive(Default)]
pub(super) struct Search {
    /// In lower case. Each stands somewhere in one of its spans: in a name, a service, an id, a value, or, with a `=`, in a
    /// pair of key and value.
    words: Vec<String>,
    only: Only,
}

impl Search {
    /// Reads a query: `text=…&service=…&topic=…&errors=1`. What else there is counts for nothing.
    pub(super) fn parse(query: &str) -> Self {
        let mut search = Self::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            match key.as_ref() {
                "text" => search.words = value.split_whitespace().map(str::to_lowercase).collect(),
                "service" => search.only.service = Some(value.into_owned()).filter(|service| !service.is_empty()),
                "topic" => search.only.topic = Some(value.into_owned()).filter(|topic| !topic.is_empty()),
                "errors" => search.only.errors = value == "1",
                _ => {}
            }
        }
        search
    }

    pub(super) fn finds(&self, trace: &Trace) -> bool {
        self.only.wants(&trace.spans) && self.words.iter().all(|word| trace.spans.iter().any(|span| holds(span, word)))
    }
}

fn holds(span: &ReceivedSpan, word: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(word);
    let texts: [&str; 6] = [&span.service, &span.name, &span.trace_id, &span.span_id, &span.status_message, &span.kind];
    texts.into_iter().any(has)
        || span.attributes.iter().chain(span.resource.iter()).any(|(key, value)| {
            let value = text(value);
            has(&value) || word.contains('=') && has(&format!("{key}={value}"))
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_word_stands_somewhere_in_the_trace() {
        let mut failed = ReceivedSpan { service: "Shop".into(), status_code: "error".into(), ..Default::default() };
        failed.attributes.insert("messaging.kafka.offset".into(), json!(42));
        let mut sent = ReceivedSpan { service: "payments".into(), name: "send orders".into(), ..Default::default() };
        sent.attributes.insert("messaging.destination.name".into(), json!("orders"));
        let mut trace = Trace::default();
        trace.spans.extend([failed, sent]);
        for (query, found) in [
            ("", true),
            ("text=SHOP+send", true),
            ("text=shop+nothing", false),
            ("text=messaging.kafka.offset%3D42", true),
            ("text=messaging.kafka.offset%3D7", false),
            ("text=messaging.kafka", false),
            ("errors=1&service=payments&topic=orders", true),
            ("service=pay", false),
            ("topic=order", false),
            ("errors=0&else=%ff%zz&&=", true),
        ] {
            assert_eq!(Search::parse(query).finds(&trace), found, "{query}");
        }
    }
}
