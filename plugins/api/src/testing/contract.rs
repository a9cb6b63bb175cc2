//! One life of a backend by the contract, through the table that a host would call.

use std::ptr;
use std::thread;

use super::sample::{SampleBatch, metrics, spans};
use super::test_host::TestHost;
use crate::abi::{
    TRACER_BATCH_LAST_TRY, TRACER_BATCH_SHUTTING_DOWN, TRACER_ERR_CONFIG, TRACER_ERR_PANIC, TRACER_ERR_PARTIAL,
    TRACER_ERR_SHUTDOWN, TRACER_ERR_TIMEOUT, TRACER_ERR_UNSUPPORTED, TRACER_OK, tracer_batch, tracer_call, tracer_code,
    tracer_create_args, tracer_error, tracer_instance, tracer_plugin, tracer_stats, tracer_str, tracer_validate_args,
};
use crate::{Backend, Signal, plugin_table};

/// Leads a backend through a life as a host would, with settings that make an instance, and looks at what it answers: its
/// table; `validate`, also of what is no JSON, and from several threads; instances that are destroyed unused, or used side by
/// side; batches of each of its signals, retried, as a last try, and of bytes that are no OTLP; counters; the end.
///
/// Nothing need listen where the settings point: what an export comes to is the backend's to say, as long as it says so in
/// the contract's way. Takes as long as six exports that time out after two seconds each.
///
/// # Panics
///
/// With all that is broken, a line each.
pub fn assert_contract<B: Backend>(config_json: &str) {
    let table = plugin_table::<B>();
    let mut trial = Trial { table: &table, config_json, broken: Vec::new() };
    trial.names::<B>();
    trial.validate();
    trial.unused();
    trial.life(B::SIGNALS);
    let broken = trial.broken;
    assert!(broken.is_empty(), "the contract is broken:\n  {}", broken.join("\n  "));
}

struct Trial<'a> {
    table: &'a tracer_plugin,
    config_json: &'a str,
    broken: Vec<String>,
}

/// An instance with the host that it talks to.
struct Life {
    raw: *mut tracer_instance,
    host: TestHost,
}

impl Trial<'_> {
    fn names<B: Backend>(&mut self) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if !B::TYPE_NAME.starts_with(|c: char| c.is_ascii_lowercase()) || !B::TYPE_NAME.chars().all(plain) {
            self.broken.push(format!("TYPE_NAME {:?} is not [a-z][a-z0-9_-]*", B::TYPE_NAME));
        }
        if B::VERSION.is_empty() {
            self.broken.push("VERSION is empty".to_owned());
        }
        if B::SIGNALS.is_empty() {
            self.broken.push("SIGNALS is empty: no batch would ever come".to_owned());
        }
        let schema = B::CONFIG_SCHEMA.trim();
        if !schema.starts_with('{') || !schema.ends_with('}') {
            self.broken.push("CONFIG_SCHEMA is no JSON object".to_owned());
        } else if !schema.contains("\"additionalProperties\"") {
            self.broken.push("CONFIG_SCHEMA has no additionalProperties: a misspelt key would be no error".to_owned());
        }
    }

    fn validate(&mut self) {
        let (code, message) = asked(self.table, self.config_json);
        if code != TRACER_OK {
            self.broken.push(format!("validate refuses the settings: code {code}, {message:?}"));
        }
        for wrong in ["[1, 2", "{\"no such key of this backend\": 1", ""] {
            let (code, message) = asked(self.table, wrong);
            // Empty text is an empty object, which may do.
            if ![TRACER_ERR_CONFIG, TRACER_OK].contains(&code) {
                self.broken.push(format!("validate of {wrong:?} returns code {code}, {message:?}"));
            }
            if code != TRACER_OK && message.trim().is_empty() {
                self.broken.push(format!("validate refuses {wrong:?} and does not say why"));
            }
        }
        let (table, config) = (self.table, self.config_json);
        let all_at_once = thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(move || asked(table, config).0)).collect();
            threads.into_iter().all(|thread| thread.join().is_ok_and(|again| again == code))
        });
        if !all_at_once {
            self.broken.push("validate answers another thing when several threads ask at once".to_owned());
        }
    }

    fn unused(&mut self) {
        for _ in 0..2 {
            if let Some(life) = self.created() {
                self.destroy(life);
            }
        }
    }

    fn life(&mut self, signals: &[Signal]) {
        let (Some(life), Some(other)) = (self.created(), self.created()) else { return };
        let before = self.counted(&life);
        let mut taken = 0;
        for (id, signal) in (1..).zip(signals) {
            let sample = match signal {
                Signal::Traces => spans(5, &["orders", "mail"]),
                Signal::Metrics => metrics(5, &["orders", "mail"]),
            };
            let first = as_lent(&sample, signal.number(), id);
            let cookie = self.exported(&life, &first, "a batch", &mut taken);
            let flags = TRACER_BATCH_LAST_TRY | TRACER_BATCH_SHUTTING_DOWN;
            let again = tracer_batch { attempt: 2, flags, retry_cookie: cookie, ..first };
            self.exported(&life, &again, "a batch that comes again, for the last time", &mut taken);
            self.exported(&other, &first, "a batch beside another instance", &mut 0);
            let garbage = tracer_batch::first_try(signal.number(), &[0xff; 77], 5, id + 100);
            self.exported(&life, &garbage, "bytes that are no OTLP", &mut taken);
        }
        if let (Some(before), Some(after)) = (before, self.counted(&life)) {
            let counted = after.items_sent.wrapping_sub(before.items_sent);
            if counted != u64::from(taken) {
                self.broken.push(format!("{taken} items were taken, and {counted} are counted"));
            }
            if after.in_flight != 0 {
                self.broken.push(format!("in_flight is {} when nothing is exported", after.in_flight));
            }
        }
        self.destroy(other);
        self.ended(life);
    }

    fn ended(&mut self, life: Life) {
        let functions = (self.table.flush, self.table.shutdown);
        let (Some(flush), Some(shutdown)) = functions else { return };
        for timeout_ms in [0, PATIENCE_MS] {
            let (code, message) = told(|error| {
                // SAFETY: the instance is alive, and both structs outlive the call.
                unsafe { flush(life.raw, &tracer_call::within(timeout_ms), error) }
            });
            if ![TRACER_OK, TRACER_ERR_TIMEOUT].contains(&code) {
                self.broken.push(format!("flush within {timeout_ms} ms returns code {code}, {message:?}"));
            }
        }
        let (code, message) = told(|error| {
            // SAFETY: as above; once.
            unsafe { shutdown(life.raw, &tracer_call::within(PATIENCE_MS), error) }
        });
        if code == TRACER_ERR_TIMEOUT {
            // Threads of it still run: a host leaves it alone for ever, and so do we.
            self.broken.push(format!("shutdown does not end within {PATIENCE_MS} ms: {message}"));
            std::mem::forget(life);
            return;
        }
        if code != TRACER_OK {
            self.broken.push(format!("shutdown returns code {code}, {message:?}"));
        }
        let late = spans(1, &["late"]);
        let code = self.export(&life, &as_lent(&late, Signal::Traces.number(), 999)).0;
        if code != TRACER_ERR_SHUTDOWN {
            self.broken.push(format!("an export after shutdown returns code {code}"));
        }
        self.destroy(life);
    }

    fn created(&mut self) -> Option<Life> {
        let (host, mut raw) = (TestHost::new(), ptr::null_mut());
        let args = tracer_create_args {
            struct_size: size_of::<tracer_create_args>() as u32,
            max_concurrency: 1,
            host: host.table(),
            backend_name: tracer_str::new("tested"),
            config_json: tracer_str::new(self.config_json),
            timeout_ms: PATIENCE_MS,
            reserved: 0,
        };
        let create = self.table.create?;
        // SAFETY: `args` and `raw` outlive the call, and the host the instance.
        let (code, message) = told(|error| unsafe { create(&args, &mut raw, error) });
        if code != TRACER_OK || raw.is_null() {
            self.broken.push(format!("create makes no instance: code {code}, {message:?}"));
            return None;
        }
        Some(Life { raw, host })
    }

    /// Exports, and says what is wrong with the answer; what the next try of the batch is to bring along.
    fn exported(&mut self, life: &Life, batch: &tracer_batch, what: &str, taken: &mut u32) -> u64 {
        let (code, message, error) = self.export(life, batch);
        match code {
            TRACER_OK => *taken += batch.item_count,
            TRACER_ERR_PARTIAL if error.rejected_items <= batch.item_count => {
                *taken += batch.item_count - error.rejected_items;
            }
            TRACER_ERR_PARTIAL => self.broken.push(format!(
                "of {what} of {} items {} are said to be rejected",
                batch.item_count, error.rejected_items
            )),
            TRACER_ERR_PANIC | TRACER_ERR_CONFIG | TRACER_ERR_SHUTDOWN | TRACER_ERR_UNSUPPORTED => {
                self.broken.push(format!("export of {what} returns code {code}, {message:?}"));
            }
            _ => {}
        }
        if code != TRACER_OK && message.trim().is_empty() {
            self.broken.push(format!("export of {what} fails with code {code}, and does not say why"));
        }
        error.retry_cookie
    }

    fn export(&self, life: &Life, batch: &tracer_batch) -> (tracer_code, String, tracer_error) {
        let mut whole = tracer_error::new();
        let Some(export) = self.table.export_batch else { return (TRACER_OK, String::new(), whole) };
        // SAFETY: the instance is alive; batch, body and error outlive the call.
        let code = unsafe { export(life.raw, batch, PATIENCE_MS, &mut whole) };
        (code, text(&whole.message), whole)
    }

    /// `None`: it does not count.
    fn counted(&mut self, life: &Life) -> Option<tracer_stats> {
        let mut stats = tracer_stats::new();
        // SAFETY: the instance is alive; the counters outlive the call.
        let code = unsafe { self.table.stats?(life.raw, &mut stats) };
        if ![TRACER_OK, TRACER_ERR_UNSUPPORTED].contains(&code) {
            self.broken.push(format!("stats returns code {code}"));
        }
        (code == TRACER_OK).then_some(stats)
    }

    fn destroy(&mut self, life: Life) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the last call of it.
            unsafe { destroy(life.raw) };
        }
        let lines = life.host.lines();
        for line in &lines {
            if line.target.is_empty() || line.message.trim_end().contains('\n') {
                self.broken.push(format!("a line of the log has no target, or is several lines: {line:?}"));
            }
        }
        if let Some(line) = lines.iter().find(|line| line.message.starts_with("the plugin panicked while")) {
            self.broken.push(line.message.clone());
        }
    }
}

/// As a host lends it. The bytes are the sample's.
fn as_lent(sample: &SampleBatch, signal: u32, id: u64) -> tracer_batch {
    tracer_batch::first_try(signal, sample.body(), sample.batch().item_count, id)
}

fn asked(table: &tracer_plugin, config_json: &str) -> (tracer_code, String) {
    let Some(validate) = table.validate else { return (TRACER_OK, String::new()) };
    let args = tracer_validate_args::new(tracer_str::new(config_json), PATIENCE_MS);
    // SAFETY: both outlive the call.
    told(|error| unsafe { validate(&args, error) })
}

/// The code of a call, and what it said.
fn told(call: impl FnOnce(*mut tracer_error) -> tracer_code) -> (tracer_code, String) {
    let mut error = tracer_error::new();
    let code = call(&mut error);
    (code, text(&error.message))
}

fn text(fixed: &[u8]) -> String {
    String::from_utf8_lossy(fixed.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

const PATIENCE_MS: u32 = 2000;
