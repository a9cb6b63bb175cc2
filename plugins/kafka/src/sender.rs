//! `Sender`: a batch as one or several messages, none of which is sent again once it was acknowledged.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::RDKafkaErrorCode;
use tracer_plugin_api::{BackendError, Batch, Host, LogLevel, Signal};
use tracer_plugin_kit::{Counters, Refused};

use crate::client::Client;
use crate::parts::{Message, Request};
use crate::settings::Settings;
use crate::verdict::{Verdict, verdict};

/// Sends batches to the topics of the settings.
pub(crate) struct Sender {
    settings: Settings,
    host: Host,
    /// Held for as long as one export: the host makes one at a time.
    state: Mutex<State>,
}

struct State {
    client: Option<Client>,
    traces: Topic,
    metrics: Topic,
}

/// What is known of a topic.
struct Topic {
    /// What it takes at once, as far as is known; the settings' limit at first. Only ever shrinks.
    most_bytes: usize,
}

/// A batch on its way: what has become of each of its parts.
struct Parts {
    /// On an earlier try too.
    acknowledged: Vec<bool>,
    /// On this try. Another one sends it again, for nothing but a sum would be known of it there.
    refused: Vec<bool>,
    /// Why.
    errors: Refused,
}

impl Sender {
    pub(crate) fn new(settings: Settings, host: Host) -> Result<Self, BackendError> {
        let client = Client::new(&settings, host.clone())?;
        let security = settings.security();
        if security.sends_password && !security.has_tls {
            let warning = "the password of `sasl` goes to Kafka as it is, without TLS, for everybody on the way to read: see `tls`";
            host.log(LogLevel::Warn, "kafka", warning);
        }
        let topic = || Topic { most_bytes: settings.most_bytes() };
        let state = Mutex::new(State { client: Some(client), traces: topic(), metrics: topic() });
        Ok(Sender { settings, host, state })
    }

    pub(crate) fn send(&self, batch: &Batch<'_>, limit: Duration, counters: &Counters) -> Result<(), BackendError> {
        let deadline = Instant::now() + limit.min(self.settings.timeout.duration());
        let (name, by_trace) = match batch.signal {
            Signal::Traces => (self.settings.traces_topic.as_str(), self.settings.partition_traces_by_id),
            Signal::Metrics => (self.settings.metrics_topic.as_str(), false),
            other => return Err(BackendError::unsupported(format!("{other:?} are not sent"))),
        };
        let mut state = self.state();
        let State { client, traces, metrics } = &mut *state;
        let client = self.usable(client)?;
        let topic = if batch.signal == Signal::Traces { traces } else { metrics };
        let round = Round { sender: self, client, name, deadline, counters };
        round.send(batch, by_trace, topic)
    }

    /// Ends the client. No export follows.
    pub(crate) fn end(&self, limit: Duration) -> Result<(), BackendError> {
        let client = self.state().client.take();
        client.map_or(Ok(()), |client| client.end(limit))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client of this process that is alive. One that a parent made before it forked is left alone.
    fn usable<'a>(&self, client: &'a mut Option<Client>) -> Result<&'a Client, BackendError> {
        if !client.as_ref().is_some_and(Client::is_usable) {
            if let Some(old) = client.take() {
                leave(old);
            }
        } else if client.as_ref().is_some_and(|client| client.is_outdated(&self.settings)) {
            // What the files say may be half written yet: the old one is kept until they are good.
            match Client::new(&self.settings, self.host.clone()) {
                Ok(new) => {
                    if let Some(old) = client.replace(new) {
                        leave(old);
                    }
                    self.host.log(LogLevel::Info, "kafka", "the files of its TLS have changed: a new client uses them");
                }
                Err(error) => self.host.log(LogLevel::Debug, "kafka", &error.to_string()),
            }
        }
        match client {
            Some(client) => Ok(client),
            none => Ok(none.insert(Client::new(&self.settings, self.host.clone())?)),
        }
    }
}

/// Has a client end on a thread of its own, while another one does its work.
fn leave(client: Client) {
    // That it takes longer than no time at all is no fault.
    drop(client.end(Duration::ZERO));
}

/// One export.
struct Round<'a> {
    sender: &'a Sender,
    client: &'a Client,
    /// Of the topic.
    name: &'a str,
    deadline: Instant,
    counters: &'a Counters,
}

impl Round<'_> {
    fn send(&self, batch: &Batch<'_>, by_trace: bool, topic: &mut Topic) -> Result<(), BackendError> {
        if batch.retry_cookie == 0 && !by_trace && batch.body.len() <= topic.most_bytes {
            let whole = Message { key: None, body: Cow::Borrowed(batch.body), parts: Vec::new() };
            match self.send_message(&whole) {
                Err((Verdict::TooLarge, error)) if batch.item_count < 2 => return Err(self.too_large(&error)),
                Err((Verdict::TooLarge, _)) => topic.too_large(batch.body.len()),
                Err((_, error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        let Some(request) = Request::take_apart(batch.signal, batch.body, batch.item_count, by_trace) else {
            return Err(BackendError::permanent("the batch is not an OTLP request of as many items as it says"));
        };
        let acknowledged = request.numbers().read(batch.retry_cookie);
        let mut parts = Parts { refused: vec![false; acknowledged.len()], acknowledged, errors: Refused::default() };
        match self.send_parts(&request, topic, &mut parts) {
            Ok(()) => parts.errors.into_result(batch.item_count, 0),
            Err(error) => Err(error.with_retry_cookie(request.numbers().cookie(&parts.acknowledged))),
        }
    }

    /// Sends what is not done yet, in as many messages and rounds as it takes.
    fn send_parts(&self, request: &Request<'_>, topic: &mut Topic, parts: &mut Parts) -> Result<(), BackendError> {
        loop {
            let messages = request.messages(&parts.open(), topic.most_bytes);
            // librdkafka puts messages together, and a broker refuses them together: once it has, no more go out at once
            // than it takes. (RATIONALE: "How is a batch made small enough for a topic?")
            let at_once =
                if topic.most_bytes < self.sender.settings.most_bytes() { topic.most_bytes } else { usize::MAX };
            let mut rest = messages.as_slice();
            if rest.is_empty() {
                return Ok(());
            }
            let mut worst = None;
            while !rest.is_empty() && worst.is_none() {
                let (now, later) = rest.split_at(fitting(rest, at_once));
                rest = later;
                let bytes = now.iter().map(|message| message.body.len()).sum();
                let mut is_too_large = false;
                for (message, report) in
                    now.iter().zip(self.client.send(&self.sender.settings, self.name, now, self.deadline))
                {
                    let Err((verdict, error)) = self.judge(message, report) else {
                        mark(&mut parts.acknowledged, message);
                        continue;
                    };
                    let items = message.parts.iter().map(|part| request.items(*part)).sum();
                    match verdict {
                        Verdict::TooLarge if message.parts.len() == 1 && (now.len() == 1 || self.is_ours(message)) => {
                            mark(&mut parts.refused, message);
                            parts.errors.add(items, self.too_large(&error));
                        }
                        Verdict::TooLarge => is_too_large = true,
                        Verdict::Never => {
                            mark(&mut parts.refused, message);
                            parts.errors.add(items, error);
                        }
                        _ => worst = Some(error),
                    }
                }
                if is_too_large {
                    topic.too_large(bytes);
                    break;
                }
            }
            if let Some(error) = worst {
                return Err(error);
            }
        }
    }

    fn send_message(&self, message: &Message<'_>) -> Result<(), (Verdict, BackendError)> {
        let report = self.client.send(&self.sender.settings, self.name, std::slice::from_ref(message), self.deadline);
        self.judge(message, report.into_iter().next().flatten())
    }

    /// Counts what was acknowledged; else what it means, and in words.
    fn judge(
        &self,
        message: &Message<'_>,
        report: Option<Result<(), RDKafkaErrorCode>>,
    ) -> Result<(), (Verdict, BackendError)> {
        let (verdict, code) = match report {
            Some(Ok(())) => {
                self.counters.bytes_sent(message.body.len() + message.key.as_ref().map_or(0, String::len));
                return Ok(());
            }
            Some(Err(code)) => (verdict(code), Some(code)),
            None => (Verdict::Unknown, None),
        };
        let (servers, topic) = (&self.sender.settings.bootstrap_servers, self.name);
        let trouble = self.client.trouble(&self.sender.settings);
        let trouble = if trouble.is_empty() { "no broker has answered".to_owned() } else { trouble };
        if self.client.is_locked_out() {
            let message = format!("Kafka at {servers} does not let us in: {trouble}");
            return Err((Verdict::NotAllowed, BackendError::credentials(message)));
        }
        let what = match code {
            Some(code) if is_of_the_wait(code) => format!("not acknowledged in time; {trouble}"),
            Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
                "there is no such topic, and none is made by itself: make it, or see `traces_topic`, `metrics_topic`"
                    .into()
            }
            Some(code) => in_words(code),
            None => format!("not acknowledged in time; {trouble}"),
        };
        let message = format!("Kafka at {servers}, topic {topic}: {what}");
        let error = match verdict {
            Verdict::Again => BackendError::retryable(message),
            Verdict::Unknown => BackendError::timeout(message),
            Verdict::NotAllowed => BackendError::credentials(message),
            Verdict::Never | Verdict::TooLarge => BackendError::permanent(message),
        };
        Err((verdict, error))
    }

    /// Whether it is our own limit that the message is beyond: nothing else has to do with it then.
    fn is_ours(&self, message: &Message<'_>) -> bool {
        message.body.len() > self.sender.settings.most_bytes()
    }

    /// One span, or one metric, that is too much by itself. Told here too: a partial success has one message for all.
    fn too_large(&self, error: &BackendError) -> BackendError {
        let message = format!(
            "{}: a span or metric is too large by itself and is lost; see `max_message_bytes`, and the topic's \
             max.message.bytes",
            error.message()
        );
        self.sender.host.log(LogLevel::Warn, "kafka", &message);
        BackendError::permanent(message)
    }
}

impl Topic {
    /// So many bytes were too much.
    fn too_large(&mut self, bytes: usize) {
        self.most_bytes = self.most_bytes.min(bytes / 2).max(1);
    }
}

impl Parts {
    /// Those of which nothing is known yet.
    fn open(&self) -> Vec<usize> {
        let done = self.acknowledged.iter().zip(&self.refused).map(|(acknowledged, refused)| *acknowledged || *refused);
        done.enumerate().filter(|(_, is_done)| !is_done).map(|(part, _)| part).collect()
    }
}

fn mark(parts: &mut [bool], message: &Message<'_>) {
    for part in &message.parts {
        if let Some(part) = parts.get_mut(*part) {
            *part = true;
        }
    }
}

/// How many of the first messages are no more than `bytes` together; one at least.
fn fitting(messages: &[Message<'_>], bytes: usize) -> usize {
    let mut sum = 0_usize;
    let fit = messages.iter().take_while(|message| {
        sum = sum.saturating_add(message.body.len() + AROUND_A_MESSAGE);
        sum <= bytes
    });
    fit.count().max(1)
}

/// Whether a code says only that time was up.
fn is_of_the_wait(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{Fatal, MessageTimedOut, PurgeInflight, PurgeQueue};
    matches!(code, MessageTimedOut | PurgeQueue | PurgeInflight | Fatal)
}

/// librdkafka's words, without the name that its Rust crate has for them.
fn in_words(code: RDKafkaErrorCode) -> String {
    let text = code.to_string();
    let words = text.split_once('(').and_then(|(_, words)| words.strip_suffix(')'));
    words.unwrap_or(&text).to_owned()
}

/// Kafka's key, lengths and offsets of one message.
const AROUND_A_MESSAGE: usize = 100;
