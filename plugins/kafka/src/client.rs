//! The client of a Kafka cluster: made once, made anew after a fatal error and in a forked child.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::mpsc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use tracer_plugin_api::{BackendError, Host};

#[cfg(feature = "tls")]
use crate::handshake::look;
use crate::parts::Message;
use crate::reports::{Reports, mark};
use crate::settings::Settings;
use crate::tls;

/// A producer, and the process that made it: its threads are in no other one.
pub(crate) struct Client {
    producer: Option<BaseProducer<Reports>>,
    process: u32,
    /// What the files of its TLS said.
    files: u64,
}

/// What became of a message; no report is left out where librdkafka gave none.
pub(crate) type Report = Option<Result<(), RDKafkaErrorCode>>;

impl Client {
    /// Connects nowhere yet.
    pub(crate) fn new(settings: &Settings, host: Host) -> Result<Self, BackendError> {
        #[cfg(feature = "tls")]
        crate::openssl_start::start();
        let config = settings.client_config();
        // Before they are read: if they change meanwhile, that is seen.
        let files = tls::fingerprint(&config);
        settings.tls.as_ref().map_or(Ok(()), tls::check)?;
        let producer = config.create_with_context(Reports::new(host)).map_err(|error| settings.explain(&error))?;
        Ok(Client { producer: Some(producer), process: std::process::id(), files })
    }

    /// Whether this process may use it.
    pub(crate) fn is_usable(&self) -> bool {
        self.process == std::process::id()
            && self.producer.as_ref().is_some_and(|producer| producer.client().fatal_error().is_none())
    }

    /// Whether TLS fails, and the files of it say something else than when this client was made.
    pub(crate) fn is_outdated(&self, settings: &Settings) -> bool {
        self.reports().is_some_and(|reports| reports.trouble().is_of_tls())
            && self.files != tls::fingerprint(&settings.client_config())
    }

    /// Sends `messages` and returns when each is reported, or at `deadline`; what is not acknowledged then is taken back.
    pub(crate) fn send(
        &self,
        settings: &Settings,
        topic: &str,
        messages: &[Message<'_>],
        deadline: Instant,
    ) -> Vec<Report> {
        let Some(producer) = &self.producer else { return vec![None; messages.len()] };
        let reports = producer.context();
        let round = reports.begin(messages.len());
        for (position, message) in messages.iter().enumerate() {
            if let Err(code) = produce(producer, topic, message, mark(round, position), deadline) {
                reports.settle(position, Err(code));
            }
        }
        let mut pause = SHORTEST;
        while reports.open() > 0 && Instant::now() < deadline && !reports.trouble().is_locked_out {
            // It waits for all of its time, whatever comes meanwhile.
            producer.poll(deadline.saturating_duration_since(Instant::now()).min(pause));
            pause = (pause * 2).min(LONGEST);
            look_at_certificate(reports, settings, deadline);
        }
        if reports.open() > 0 {
            producer.purge(PurgeConfig::default().queue().inflight());
            let until = Instant::now() + GRACE;
            while reports.open() > 0 && Instant::now() < until {
                producer.poll(SHORTEST);
            }
        }
        reports.end()
    }

    pub(crate) fn is_locked_out(&self) -> bool {
        self.reports().is_some_and(|reports| reports.trouble().is_locked_out)
    }

    /// What is wrong with the connections, or with the client as a whole.
    pub(crate) fn trouble(&self, settings: &Settings) -> String {
        let fatal = self.producer.as_ref().and_then(|producer| producer.client().fatal_error());
        match (fatal, self.reports()) {
            (Some((_, reason)), _) => reason,
            (None, Some(reports)) => reports.trouble().words(settings.security()),
            (None, None) => String::new(),
        }
    }

    /// Ends its threads within `limit`. They are waited for on a thread of its own: one may look a name up just then.
    pub(crate) fn end(mut self, limit: Duration) -> Result<(), BackendError> {
        let Some(producer) = self.take() else { return Ok(()) };
        let (ended, end) = mpsc::sync_channel(1);
        let producer = Arc::new(Mutex::new(Some(producer)));
        let of_thread = Arc::clone(&producer);
        let drop_it = move || {
            drop(of_thread.lock().unwrap_or_else(PoisonError::into_inner).take());
            // Nobody may be waiting any more.
            let _ = ended.send(());
        };
        if std::thread::Builder::new().name("tr-kafka-end".to_owned()).spawn(drop_it).is_err() {
            drop(producer.lock().unwrap_or_else(PoisonError::into_inner).take());
            return Ok(());
        }
        end.recv_timeout(limit).map_err(|_| BackendError::timeout("the threads of the Kafka client still run"))
    }

    fn reports(&self) -> Option<&Arc<Reports>> {
        self.producer.as_ref().map(|producer| producer.context())
    }

    /// The producer, if it is this process's. Another one's has no threads here that could end it: it is left as it is.
    fn take(&mut self) -> Option<BaseProducer<Reports>> {
        let producer = self.producer.take()?;
        if self.process == std::process::id() {
            return Some(producer);
        }
        std::mem::forget(producer);
        None
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// Finds out once in a round what a certificate lacks that is not trusted.
fn look_at_certificate(reports: &Reports, settings: &Settings, deadline: Instant) {
    let Some(server) = reports.trouble().unseen().map(str::to_owned) else { return };
    let limit = deadline.saturating_duration_since(Instant::now()).min(LOOK);
    let config = settings.client_config();
    let ca_file = config.get("ssl.ca.location").map(Path::new).filter(|file| file.is_file());
    let found = look(&server, ca_file, limit);
    reports.trouble().seen(found);
}

/// Without TLS there are no certificates.
#[cfg(not(feature = "tls"))]
fn look(_: &str, _: Option<&Path>, _: Duration) -> Option<String> {
    None
}

fn produce(
    producer: &BaseProducer<Reports>,
    topic: &str,
    message: &Message<'_>,
    mark: usize,
    deadline: Instant,
) -> Result<(), RDKafkaErrorCode> {
    let mut record: BaseRecord<'_, str, [u8], usize> =
        BaseRecord::with_opaque_to(topic, mark).payload(message.body.as_ref());
    if let Some(key) = &message.key {
        record = record.key(key);
    }
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                record = back;
                producer.poll(LONGEST);
            }
            Err((error, _)) => return Err(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown)),
        }
    }
}

/// How long the waits for reports are: the longer nothing comes, the longer.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_millis(20);
/// How long what was taken back may take to be reported: a thread of librdkafka may be looking a name up.
const GRACE: Duration = Duration::from_millis(250);
/// How long a look at a certificate may take.
const LOOK: Duration = Duration::from_secs(2);
