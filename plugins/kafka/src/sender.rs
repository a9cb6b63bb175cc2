//! `Sender`: a batch as one or several messages, none of which is sent again once it was acknowledged.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
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
    /// Batches that were taken in part, and come again. The oldest first.
    begun: VecDeque<Begun>,
}

/// A batch on its way.
#[derive(Default)]
struct Begun {
    batch_id: u64,
    /// By part: whether it is done with, acknowledged or refused.
    done: Vec<bool>,
    /// What was refused for good, so far.
    refused: Vec<(u32, BackendError)>,
}

impl Sender {
    pub(crate) fn new(settings: Settings, host: Host) -> Result<Self, BackendError> {
        let client = Client::new(&settings, host.clone())?;
        let topic = || Topic { most_bytes: settings.most_bytes(), begun: VecDeque::new() };
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
            *client = None;
        }
        match client {
            Some(client) => Ok(client),
            none => Ok(none.insert(Client::new(&self.settings, self.host.clone())?)),
        }
    }
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
        let begun = topic.take(batch.batch_id);
        if begun.is_none() && !by_trace && batch.body.len() <= topic.most_bytes {
            let whole = Message { key: None, body: batch.body.to_vec(), parts: Vec::new() };
            match self.send_message(&whole) {
                Err((Verdict::TooLarge, error)) if batch.item_count < 2 => return Err(self.too_large(&error)),
                Err((Verdict::TooLarge, _)) => topic.too_large(batch.body.len()),
                Err((_, error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        let Some(request) = Request::take_apart(batch.signal, batch.body, batch.item_count) else {
            return Err(BackendError::permanent("the batch is not an OTLP request of as many items as it says"));
        };
        let mut begun = begun.unwrap_or_default();
        begun.batch_id = batch.batch_id;
        begun.done.resize(request.len(), false);
        match self.send_parts(&request, by_trace, topic, &mut begun) {
            Ok(()) => {
                let mut refused = Refused::default();
                begun.refused.into_iter().for_each(|(items, error)| refused.add(items, error));
                refused.into_result(batch.item_count, 0)
            }
            Err(error) => {
                topic.remember(begun);
                Err(error)
            }
        }
    }

    /// Sends what is not done yet, in as many messages and rounds as it takes.
    fn send_parts(
        &self,
        request: &Request<'_>,
        by_trace: bool,
        topic: &mut Topic,
        begun: &mut Begun,
    ) -> Result<(), BackendError> {
        loop {
            let open: Vec<usize> = (0..).zip(&begun.done).filter(|(_, done)| !**done).map(|(part, _)| part).collect();
            let messages = request.messages(&open, topic.most_bytes, by_trace);
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
                for (message, report) in now.iter().zip(self.client.send(self.name, now, self.deadline)) {
                    let Err((verdict, error)) = self.judge(message, report) else {
                        begun.is_done(message);
                        continue;
                    };
                    let items = message.parts.iter().map(|part| request.items(*part)).sum();
                    match verdict {
                        Verdict::TooLarge if message.parts.len() == 1 && (now.len() == 1 || self.is_ours(message)) => {
                            begun.is_done(message);
                            begun.refused.push((items, self.too_large(&error)));
                        }
                        Verdict::TooLarge => is_too_large = true,
                        Verdict::Never => {
                            begun.is_done(message);
                            begun.refused.push((items, error));
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

    fn send_message(&self, message: &Message) -> Result<(), (Verdict, BackendError)> {
        let report = self.client.send(self.name, std::slice::from_ref(message), self.deadline);
        self.judge(message, report.into_iter().next().flatten())
    }

    /// Counts what was acknowledged; else what it means, and in words.
    fn judge(
        &self,
        message: &Message,
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
        let trouble = self.client.trouble();
        let trouble = if trouble.is_empty() { "no broker has answered".to_owned() } else { trouble };
        if self.client.is_locked_out() {
            let message = format!("Kafka at {servers} does not let us in: {trouble}; see `properties`");
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
    fn is_ours(&self, message: &Message) -> bool {
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

    fn take(&mut self, batch_id: u64) -> Option<Begun> {
        let position = self.begun.iter().position(|begun| begun.batch_id == batch_id)?;
        self.begun.remove(position)
    }

    fn remember(&mut self, begun: Begun) {
        if !begun.done.contains(&true) {
            return;
        }
        if self.begun.len() == MOST_BEGUN {
            // It is sent as a whole again, if it comes.
            self.begun.pop_front();
        }
        self.begun.push_back(begun);
    }
}

impl Begun {
    fn is_done(&mut self, message: &Message) {
        for part in &message.parts {
            if let Some(done) = self.done.get_mut(*part) {
                *done = true;
            }
        }
    }
}

/// How many of the first messages are no more than `bytes` together; one at least.
fn fitting(messages: &[Message], bytes: usize) -> usize {
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

/// Batches of which it is remembered what was acknowledged. The host tries a batch again before it sends many others.
const MOST_BEGUN: usize = 64;
/// Kafka's key, lengths and offsets of one message.
const AROUND_A_MESSAGE: usize = 100;
