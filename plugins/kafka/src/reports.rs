//! What librdkafka reports of the messages under way, and of its connections.

#![forbid(unsafe_code)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use tracer_plugin_api::{Host, LogLevel};

use crate::trouble::Trouble;

/// Asked, and told, on the export thread: librdkafka's own threads leave all that they say for whoever polls.
pub(crate) struct Reports {
    host: Host,
    round: Mutex<Round>,
    trouble: Mutex<Trouble>,
}

/// The messages that were produced together.
#[derive(Default)]
struct Round {
    /// Of this round; reports of an earlier one, which was given up, mean nothing any more.
    number: u32,
    /// By the position of a message: none yet, acknowledged, or why not.
    results: Vec<Option<Result<(), RDKafkaErrorCode>>>,
}

impl Reports {
    pub(crate) fn new(host: Host) -> Self {
        Reports { host, round: Mutex::default(), trouble: Mutex::default() }
    }

    /// Begins a round of `count` messages. What it returns marks them.
    pub(crate) fn begin(&self, count: usize) -> u32 {
        self.trouble().begin();
        let mut round = lock(&self.round);
        round.number = round.number.wrapping_add(1);
        round.results = vec![None; count];
        round.number
    }

    /// Says what became of a message that was never produced.
    pub(crate) fn settle(&self, position: usize, result: Result<(), RDKafkaErrorCode>) {
        if let Some(place) = lock(&self.round).results.get_mut(position) {
            *place = Some(result);
        }
    }

    /// How many messages of the round have no report.
    pub(crate) fn open(&self) -> usize {
        lock(&self.round).results.iter().filter(|result| result.is_none()).count()
    }

    /// Ends the round: what was reported of each message.
    pub(crate) fn end(&self) -> Vec<Option<Result<(), RDKafkaErrorCode>>> {
        let mut round = lock(&self.round);
        round.number = round.number.wrapping_add(1);
        std::mem::take(&mut round.results)
    }

    /// What is wrong with the connections, as far as it is known.
    pub(crate) fn trouble(&self) -> MutexGuard<'_, Trouble> {
        lock(&self.trouble)
    }

    fn report(&self, mark: usize, result: Result<(), RDKafkaErrorCode>) {
        if result.is_ok() {
            self.trouble().is_over();
        }
        let (number, position) = unmark(mark);
        let mut round = lock(&self.round);
        if round.number != number {
            return;
        }
        if let Some(place) = round.results.get_mut(position) {
            *place = Some(result);
        }
    }
}

impl ClientContext for Reports {
    /// That a broker is away is told by the error of the export; told again here, at every try, it would fill the application's
    /// log.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        if facility == "FAIL" {
            // `[thrd:host:port/bootstrap]: host:port/bootstrap: Disconnected …`
            self.trouble().hinted(message.split_once("]: ").map_or(message, |(_, message)| message));
        }
        let level = match level {
            _ if facility == "CONFWARN" => LogLevel::Warn,
            RDKafkaLogLevel::Debug => LogLevel::Trace,
            _ => LogLevel::Debug,
        };
        self.host.log(level, "kafka", message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let mut trouble = self.trouble();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                trouble.locked_out(reason);
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => trouble.hinted(reason),
            _ => trouble.failed(reason),
        }
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = usize;

    fn delivery(&self, report: &DeliveryResult<'_>, mark: usize) {
        self.report(
            mark,
            report.as_ref().map(|_| ()).map_err(|(error, _)| {
                // A report always has a code.
                error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)
            }),
        );
    }
}

/// The mark of a message: its round, and its position there.
pub(crate) fn mark(round: u32, position: usize) -> usize {
    (round as usize) << 32 | position & 0xffff_ffff
}

fn unmark(mark: usize) -> (u32, usize) {
    ((mark >> 32) as u32, mark & 0xffff_ffff)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_report_of_a_round_that_was_given_up_says_nothing_of_the_next_one() {
        let reports = Reports::new(Host::detached());
        let first = reports.begin(1);
        reports.end();
        let second = reports.begin(2);
        reports.report(mark(first, 0), Ok(()));
        assert_eq!(reports.open(), 2);
        reports.report(mark(second, 1), Ok(()));
        assert_eq!(reports.end(), [None, Some(Ok(()))]);
    }
}
