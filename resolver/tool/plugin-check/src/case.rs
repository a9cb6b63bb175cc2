//! `Case`: what a rule is tried with: the file, the settings, the collector, and whom to tell.

#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value as Json;
use tracer_plugin_api::abi::{self, TRACER_OK, TRACER_SIGNAL_TRACES};

use crate::body;
use crate::collector::{Behaviour, Seen};
use crate::desk::Desk;
use crate::host::{HostKind, HostSide};
use crate::library::{Batch, Instance, Lending, Plugin, Reply, Table};
use crate::settings::{self, Peer};
use crate::stop::{Stop, Tried};

pub(crate) struct Case {
    pub(crate) file: PathBuf,
    /// As it was given, `{endpoint}` and `{folder}` in it.
    config: Option<Json>,
    places: settings::Places,
    pub(crate) desk: Desk,
    /// What batches are of: known once the table is.
    signal: AtomicU32,
    /// An earlier rule found that the backend takes no batch: why.
    not_taken: Option<String>,
}

impl Case {
    pub(crate) fn of(job: &Json, desk: Desk) -> Self {
        let text = |key: &str| job.get(key).and_then(Json::as_str).unwrap_or_default().to_owned();
        let places = settings::Places {
            collector: text("collector"),
            silence: text("silence"),
            nobody: text("nobody"),
            folder: text("folder"),
        };
        Self {
            file: text("file").into(),
            config: job.get("config").filter(|it| !it.is_null()).cloned(),
            places,
            desk,
            signal: AtomicU32::new(TRACER_SIGNAL_TRACES),
            not_taken: job.get("not_taken").and_then(Json::as_str).map(str::to_owned),
        }
    }

    /// The same with other settings.
    pub(crate) fn with(&self, settings: Json) -> Self {
        Self {
            file: self.file.clone(),
            config: Some(settings),
            places: self.places.clone(),
            desk: self.desk.clone(),
            signal: AtomicU32::new(self.signal()),
            not_taken: self.not_taken.clone(),
        }
    }

    pub(crate) fn broken(&self, what: impl AsRef<str>) {
        self.desk.broken(what.as_ref());
    }

    pub(crate) fn plugin(&self) -> Result<Plugin, Stop> {
        Plugin::load(&self.file, &self.desk).map_err(Stop::Broken)
    }

    pub(crate) fn table(&self) -> Result<Table, Stop> {
        let plugin = self.plugin()?;
        let table = plugin.table(plugin.table_for(MINOR)).map_err(Stop::Broken)?;
        self.signal.store(table.signal(), Ordering::Relaxed);
        match table.missing() {
            missing if missing.is_empty() => Ok(table),
            missing => Err(Stop::Broken(format!("these functions are NULL: {}", missing.join(", ")))),
        }
    }

    /// The schema of the settings, if it is JSON.
    pub(crate) fn schema(&self, table: &Table) -> Json {
        serde_json::from_slice(&table.schema()).unwrap_or_default()
    }

    /// The settings: those that were given, else what can be told from the schema.
    pub(crate) fn settings(&self, table: &Table) -> Json {
        self.config.clone().unwrap_or_else(|| settings::guessed(&self.schema(table)))
    }

    /// The same as the plugin gets them.
    pub(crate) fn config(&self, table: &Table, peer: Peer) -> String {
        self.places.filled(&self.settings(table), peer).to_string()
    }

    /// Whether the settings name the collector: if not, nothing can be said of what goes over the network.
    pub(crate) fn needs_network(&self, table: &Table) -> Tried {
        if settings::names_the_collector(&self.settings(table)) {
            return Ok(());
        }
        Err(Stop::Skipped("the settings have no {endpoint} in them: --config".to_owned()))
    }

    /// An instance of a plain host's.
    pub(crate) fn created<'a>(&self, table: &'a Table, peer: Peer) -> Result<Instance<'a>, Stop> {
        self.created_as(table, peer, 1, HostKind::Whole, Lending::Plain)
    }

    pub(crate) fn created_as<'a>(
        &self,
        table: &'a Table,
        peer: Peer,
        concurrency: u32,
        host: HostKind,
        lending: Lending,
    ) -> Result<Instance<'a>, Stop> {
        let config = self.config(table, peer);
        let host = HostSide::new(host)?;
        let (instance, reply, _) = table.create(config.as_bytes(), concurrency, host, lending)?;
        instance.ok_or_else(|| {
            Stop::Broken(format!("create does not make an instance with {}: {}", self.settings(table), reply.words()))
        })
    }

    pub(crate) fn signal(&self) -> u32 {
        self.signal.load(Ordering::Relaxed)
    }

    /// The batch of this number.
    pub(crate) fn batch(&self, id: u64) -> Batch {
        self.batch_of(self.signal(), id)
    }

    pub(crate) fn batch_of(&self, signal: u32, id: u64) -> Batch {
        Batch {
            signal,
            body: body::items(signal, ITEMS, 2, id * u64::from(ITEMS)),
            items: ITEMS,
            attempt: 1,
            id,
            cookie: 0,
            is_last: false,
        }
    }

    pub(crate) fn collector(&self, behaviour: Behaviour) {
        self.desk.collector(behaviour);
    }

    pub(crate) fn seen(&self) -> Seen {
        self.desk.seen()
    }

    /// How long a call may take that is expected to go well; less where it is known that it does not.
    pub(crate) fn limit(&self) -> Duration {
        if self.not_taken.is_some() { LIMIT_WHERE_NOTHING_IS_TAKEN } else { TIMEOUT }
    }

    /// Whatever is to be taken twice must be taken once.
    pub(crate) fn needs_taken(&self, instance: &Instance<'_>) -> Tried {
        self.needs_a_backend_that_takes()?;
        let reply = instance.export(&self.batch(1), TIMEOUT, Lending::Plain)?;
        if reply.code == TRACER_OK { Ok(()) } else { Err(not_taken(&reply.words())) }
    }

    pub(crate) fn needs_a_backend_that_takes(&self) -> Tried {
        self.not_taken.as_ref().map_or(Ok(()), |why| Err(not_taken(why)))
    }

    /// Exports a batch, and says what is wrong if it is not taken.
    pub(crate) fn expect_taken(&self, instance: &Instance<'_>, id: u64, lending: Lending, when: &str) -> Tried {
        let reply = instance.export(&self.batch(id), self.limit(), lending)?;
        if reply.code != TRACER_OK {
            self.broken(format!("export_batch {when}: {}", reply.words()));
        }
        Ok(())
    }

    /// The plain end of an instance.
    pub(crate) fn end(&self, instance: Instance<'_>) -> Tried {
        let reply = instance.shutdown(TIMEOUT, Lending::Plain)?;
        if reply.code != TRACER_OK {
            self.broken(format!("shutdown: {}", reply.words()));
        }
        instance.destroy()?;
        Ok(())
    }
}

pub(crate) fn not_taken(why: &str) -> Stop {
    Stop::Skipped(format!("means nothing while a plain batch is not taken: {why}"))
}

impl Reply {
    /// The code by its name, and what was said with it.
    pub(crate) fn words(&self) -> String {
        let message = self.told.message();
        let said = if message.is_empty() { String::new() } else { format!(" (\"{message}\")") };
        format!("{}{said}", code_name(self.code))
    }
}

impl From<io::Error> for Stop {
    /// What this process cannot do is not the plugin's fault.
    fn from(error: io::Error) -> Self {
        Self::Skipped(format!("this machine does not let it be tried: {error}"))
    }
}

/// The code's name in the header, without what all have; or the number.
pub(crate) fn code_name(code: i32) -> String {
    abi::code_name(code).map_or_else(|| format!("{code}, which is no code of the header's"), str::to_owned)
}

/// For calls that are expected to go well.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// A backend that takes nothing is not waited for again with every rule.
const LIMIT_WHERE_NOTHING_IS_TAKEN: Duration = Duration::from_millis(500);
/// This host's minor version.
pub(crate) const MINOR: u32 = abi::TRACER_ABI_MINOR as u32;
/// Of a sample batch: a number that is no multiple of eight, so that bodies lie at any address.
pub(crate) const ITEMS: u32 = 3;
