//! OTLP: the bytes of a batch as they are, and the answer understood.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracer_plugin_api::{BackendError, Batch, Host, LogLevel};
use tracer_plugin_kit::{Field, Refused, fields, take_apart};

use crate::HttpClient;
use crate::carrier::{Answer, Carrier, carry_in_parts};
use crate::failure::{Failure, printable};
use crate::parts::Posts;

/// Sends OTLP batches, undecoded unless they are too large for the server.
pub struct OtlpSender {
    carrier: Box<dyn Carrier>,
    host: Host,
    log_target: &'static str,
    last_warning: LastWarning,
}

impl OtlpSender {
    /// Sends by OTLP/HTTP; a server's warnings go to the log of `host`, under `log_target`.
    pub fn new(client: HttpClient, host: Host, log_target: &'static str) -> Self {
        Self::over(Box::new(Posts { client, content_type: CONTENT_TYPE }), host, log_target)
    }

    /// The same over another way to a server.
    pub fn over(carrier: Box<dyn Carrier>, host: Host, log_target: &'static str) -> Self {
        OtlpSender { carrier, host, log_target, last_warning: LastWarning::default() }
    }

    /// Sends the request of a batch, of whichever signal; in several requests if the server will not take it as one. What
    /// was taken of it on an earlier try, by this instance or another, is not sent again.
    ///
    /// # Errors
    ///
    /// Partial if the server says that it refused some of the items; else those of [`Carrier::carry`].
    pub fn send(&self, batch: &Batch<'_>, limit: Duration) -> Result<(), BackendError> {
        let started = Instant::now();
        let mut refused = Refused::default();
        let largest = self.carrier.largest();
        let before = Before::read(batch.retry_cookie);
        if before.done == 0 && batch.body.len() <= largest.bytes() {
            match self.carrier.carry(batch.body, limit) {
                Ok(answer) => {
                    self.read(&answer, &mut refused);
                    return refused.into_result(batch.item_count, 0);
                }
                Err(Failure::TooLarge(error)) if batch.item_count < 2 => return Err(error),
                Err(Failure::TooLarge(_)) => largest.less_than(batch.body.len()),
                Err(Failure::Other(error)) => return Err(error),
            }
        }
        let Some((frames, parts)) = take_apart(batch.signal, batch.body, batch.item_count) else {
            // Not what it seems: whatever the server says of it counts.
            let left = limit.saturating_sub(started.elapsed());
            return self.carrier.carry(batch.body, left).map(drop).map_err(BackendError::from);
        };
        let limit = limit.min(self.carrier.timeout()).saturating_sub(started.elapsed());
        let body_of = |part: &[_]| frames.put_together(part);
        // More than there are would be no word of ours: all of it goes then.
        let (before, open) = match parts.get(before.done..) {
            Some(open) if !open.is_empty() => (before, open),
            _ => (Before::default(), &parts[..]),
        };
        if before.refused > 0 {
            refused.add(before.refused, BackendError::partial(before.refused, "refused on an earlier try"));
        }
        let (answers, ended) = carry_in_parts(&*self.carrier, open, limit, body_of, &mut refused);
        answers.iter().for_each(|answer| self.read(answer, &mut refused));
        if let Err(stopped) = ended {
            let so_far = Before { done: before.done + stopped.done, refused: refused.items() };
            return Err(stopped.error.with_retry_cookie(so_far.cookie()));
        }
        refused.into_result(batch.item_count, 0)
    }

    fn read(&self, answer: &Answer, refused: &mut Refused) {
        if is_of_another_service(answer) {
            let (endpoint, said) = (self.carrier.who(), self.carrier.strike_out(printable(&answer.body)));
            let kind = &answer.content_type;
            let warning = format!(
                "{endpoint} took a batch with {kind} {said:?}, which is no answer of a backend for OTLP: is it one? see \
                 `endpoint`"
            );
            return self.warn_once(&warning, &warning);
        }
        let Some(partial) = PartialSuccess::read(&answer.body) else { return };
        if partial.rejected_items > 0 {
            refused.add(partial.rejected_items, BackendError::partial(partial.rejected_items, partial.message));
        } else {
            self.warn_once(&partial.message, &format!("the collector says: {}", partial.message));
        }
    }

    fn warn_once(&self, news: &str, warning: &str) {
        if self.last_warning.is_news(news) {
            self.host.log(LogLevel::Warn, self.log_target, warning);
        }
    }
}

/// What became of the first part of a batch on earlier tries, as the retry cookie says it. It counts spans or metrics, not
/// requests: how the batch is cut may be another thing by then, and in another instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Before {
    /// Spans or metrics from the first one that are done with.
    done: usize,
    /// Items of them that were refused.
    refused: u32,
}

impl Before {
    fn read(cookie: u64) -> Self {
        let done = usize::try_from(cookie & u64::from(u32::MAX)).unwrap_or_default();
        Before { done, refused: u32::try_from(cookie >> 32).unwrap_or_default() }
    }

    /// 0, which is none, if nothing is done.
    fn cookie(self) -> u64 {
        u32::try_from(self.done).map_or(0, |done| u64::from(self.refused) << 32 | u64::from(done))
    }
}

/// Whether an answer with a good status shows that whoever gave it does not know OTLP: it is neither protobuf, nor what
/// OTLP answers in JSON. Spans may have arrived all the same, for not every backend keeps to that.
fn is_of_another_service(answer: &Answer) -> bool {
    let kind = answer.content_type.split(';').next().unwrap_or_default().trim();
    if answer.body.is_empty() || matches!(kind, "" | "application/octet-stream") || kind.ends_with("protobuf") {
        return false;
    }
    let text = String::from_utf8_lossy(&answer.body);
    let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    text != "{}" && !["\"partialSuccess\"", "\"partial_success\""].iter().any(|key| text.contains(key))
}

/// What a collector warned of last: it says so with every batch, the log says it once.
#[derive(Default)]
struct LastWarning(Mutex<String>);

impl LastWarning {
    fn is_news(&self, warning: &str) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_news = !warning.is_empty() && *last != warning;
        if is_news {
            warning.clone_into(&mut last);
        }
        is_news
    }
}

/// `ExportTracePartialSuccess` of `opentelemetry/proto/collector/trace/v1/trace_service.proto`; that of metrics, which
/// counts data points, has the same numbers.
#[derive(Debug, Default, PartialEq)]
struct PartialSuccess {
    rejected_items: u32,
    message: String,
}

impl PartialSuccess {
    /// Field 1 of an `Export…ServiceResponse`, if it is there.
    fn read(response: &[u8]) -> Option<Self> {
        let partial = fields(response).find_map(|(number, field)| match (number, field) {
            (1, Field::Bytes(partial)) => Some(partial),
            _ => None,
        })?;
        Some(fields(partial).fold(PartialSuccess::default(), |so_far, (number, field)| match (number, field) {
            // An int64: a negative number arrives as a huge one, and means nothing here.
            (1, Field::Varint(count)) => {
                let rejected_items = i64::try_from(count).map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX));
                PartialSuccess { rejected_items, ..so_far }
            }
            (2, Field::Bytes(message)) => PartialSuccess { message: printable(message), ..so_far },
            _ => so_far,
        }))
    }
}

const CONTENT_TYPE: &str = "application/x-protobuf";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_is_read() {
        let response = b"\x0a\x0b\x08\x03\x12\x07too old";
        assert_eq!(
            PartialSuccess::read(response),
            Some(PartialSuccess { rejected_items: 3, message: "too old".to_owned() })
        );
    }

    #[test]
    fn an_answer_of_another_service_is_told_from_those_of_otlp() {
        let is_strange = |kind: &str, body: &str| {
            is_of_another_service(&Answer { body: body.as_bytes().to_vec(), content_type: kind.to_owned() })
        };
        for (kind, body) in [
            ("application/x-protobuf", "\n\0"),
            ("application/json", ""),
            ("application/json; charset=utf-8", "{ }"),
            ("application/json", "{\"partialSuccess\": {}}"),
            ("", "anything"),
        ] {
            assert!(!is_strange(kind, body), "{kind} {body}");
        }
        for (kind, body) in
            [("application/json", "{\"status\":\"up\"}"), ("text/plain", "hello"), ("application/json", "[]")]
        {
            assert!(is_strange(kind, body), "{kind} {body}");
        }
    }

    #[test]
    fn what_was_done_comes_back_as_it_was_and_nothing_done_is_no_cookie() {
        for before in [(0, 0), (1, 0), (7, 3), (u32::MAX as usize, u32::MAX)] {
            let before = Before { done: before.0, refused: before.1 };
            assert_eq!(Before::read(before.cookie()), before);
        }
        assert_eq!(Before::default().cookie(), 0);
    }

    #[test]
    fn a_warning_is_news_once() {
        let last = LastWarning::default();
        assert_eq!(
            ["", "a", "a", "", "b", "a"].map(|warning| last.is_news(warning)),
            [false, true, false, false, true, true]
        );
    }

    #[test]
    fn an_empty_answer_is_a_full_success() {
        assert_eq!(PartialSuccess::read(b""), None);
        assert_eq!(PartialSuccess::read(b"\x0a\x00"), Some(PartialSuccess::default()));
    }

    #[test]
    fn a_negative_count_rejects_nothing() {
        let response = b"\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(PartialSuccess::read(response).unwrap().rejected_items, 0);
    }
}
