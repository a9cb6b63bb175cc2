//! `run`: batches through a plugin without Kafka, each call a line, in a process of its own as every rule is.

#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tracer_plugin_api::abi::{
    TRACER_ERR_CREDENTIALS, TRACER_ERR_PARTIAL, TRACER_ERR_RETRYABLE, TRACER_ERR_TIMEOUT, TRACER_OK, tracer_stats,
};

use crate::body;
use crate::case::{Case, TIMEOUT, code_name};
use crate::collector::{Behaviour, Collector};
use crate::host::{HostKind, HostSide};
use crate::judge::{Outcome, Wanted, tried as watched};
use crate::library::{Batch, Instance, Lending, Reply, Table};
use crate::settings;
use crate::settings::Peer;
use crate::signals::{self, ChildEnd};
use crate::stop::Tried;

/// What goes wrong while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The backend answers 503 every other time; without the collector, every other batch comes twice.
    Retry,
    /// The backend is slow, and every other call has too little time.
    Slow,
    /// In the middle the process forks; the child exports a batch of its own.
    Fork,
}

impl Fault {
    /// As it is said.
    pub fn word(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Slow => "slow",
            Self::Fork => "fork",
        }
    }
}

/// What is to be run.
#[derive(Clone, Debug)]
pub struct RunWanted {
    /// File, settings and hidden words, as for a check.
    pub plugin: Wanted,
    /// How many spans, all together.
    pub spans: u32,
    /// Of how many services.
    pub services: u32,
    /// What goes wrong.
    pub faults: Vec<Fault>,
}

/// What came of it.
#[derive(Debug)]
pub struct Ran {
    /// Counts of spans, batches, tries and seconds; `null` if it did not come to the end.
    pub verdict: Json,
    /// What is wrong, a crash for example; empty if nothing is.
    pub faults: Vec<String>,
}

/// Runs it. `watch` gets every call as it returns.
///
/// # Errors
///
/// What this machine does not allow: no process, no socket.
pub fn run(wanted: &RunWanted, watch: &mut dyn FnMut(&Json)) -> io::Result<Ran> {
    let collector = Collector::open()?;
    let faults: Vec<_> = wanted.faults.iter().map(|fault| fault.word()).collect();
    let job = json!({ "spans": wanted.spans, "services": wanted.services, "faults": faults });
    let mut verdict = Json::Null;
    let mut keep = |line: &Json| match line.get("verdict") {
        Some(last) => verdict = last.clone(),
        None => watch(line),
    };
    let heard = watched(&wanted.plugin, &collector, &job, PATIENCE, &mut keep)?;
    let faults = match heard.outcome() {
        Outcome::Kept => Vec::new(),
        Outcome::Broken(broken) => broken,
        Outcome::Skipped(why) => vec![why],
    };
    Ok(Ran { verdict, faults })
}

/// Counts of what the host would count.
#[derive(Default)]
struct Tally {
    batches: u64,
    sent: u64,
    refused: u64,
    /// Calls beyond the first of a batch.
    retried: u64,
}

/// In the process of the run.
pub(crate) fn tried(case: &Case, job: &Json) -> Tried {
    let number = |key: &str| job.get(key).and_then(Json::as_u64).and_then(|it| u32::try_from(it).ok()).unwrap_or(1);
    let has = |fault: Fault| {
        job.get("faults").and_then(Json::as_array).is_some_and(|faults| faults.iter().any(|word| word == fault.word()))
    };
    let (spans, services) = (number("spans"), number("services"));
    let table = case.table()?;
    let config = case.config(&table, Peer::Collector);
    let begun = Instant::now();
    told(case, "validate", &table.validate(config.as_bytes(), Lending::Plain)?, json!({}));
    let (instance, reply, _) = table.create(config.as_bytes(), 1, HostSide::new(HostKind::Whole)?, Lending::Plain)?;
    told(case, "create", &reply, json!({}));
    let Some(instance) = instance else {
        case.broken(format!("there is no instance: {}", reply.words()));
        return Ok(());
    };
    let is_ours = settings::names_the_collector(&case.settings(&table));
    let mut tally = Tally::default();
    let batches = spans.div_ceil(PER_BATCH);
    for number in 0..batches {
        let items = PER_BATCH.min(spans - number * PER_BATCH);
        let first = u64::from(number) * u64::from(PER_BATCH);
        let batch = Batch {
            signal: case.signal(),
            body: body::items(case.signal(), items, services, first),
            items,
            attempt: 1,
            id: u64::from(number) + 1,
            cookie: 0,
            is_last: false,
        };
        // Every other batch; those of two faults are not the same ones.
        let is_retried = has(Fault::Retry) && number % 2 == 0;
        let is_slow = has(Fault::Slow) && number % 2 == u32::from(has(Fault::Retry));
        case.collector(match (is_retried, is_slow) {
            (_, true) => Behaviour::TakesSlowly,
            (true, false) => Behaviour::TakesEveryOther,
            (false, false) => Behaviour::Takes,
        });
        let again = is_retried && !is_ours;
        shipped(case, &instance, batch, if is_slow { SHORT } else { TIMEOUT }, again, &mut tally)?;
        if has(Fault::Fork) && number == batches / 2 {
            forked(case, &table, &config)?;
        }
    }
    told(case, "flush", &instance.flush(TIMEOUT, Lending::Plain)?, json!({}));
    let counted = instance.stats(size_of::<tracer_stats>());
    told(case, "shutdown", &instance.shutdown(TIMEOUT, Lending::Plain)?, json!({}));
    let host = instance.destroy()?;
    for (level, target, message) in host.log().lines().into_iter().take(20) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        case.desk.line(&json!({ "log": text(&message), "level": level, "target": text(&target) }));
    }
    let plugin =
        (counted.code == TRACER_OK).then(|| json!({ "sent": counted.items_sent, "batches": counted.batches_sent }));
    case.desk.line(&json!({ "verdict": {
        "spans": spans,
        "batches": tally.batches,
        "sent": tally.sent,
        "refused": tally.refused,
        "lost": u64::from(spans) - tally.sent - tally.refused,
        "retried": tally.retried,
        "seconds": begun.elapsed().as_secs_f64(),
        "counted_by_the_plugin": plugin,
    } }));
    Ok(())
}

/// One batch, tried as often as the host would try it at least. `again`: once more, as after an answer that was lost.
fn shipped(
    case: &Case,
    instance: &Instance<'_>,
    mut batch: Batch,
    mut timeout: Duration,
    again: bool,
    tally: &mut Tally,
) -> Tried {
    tally.batches += 1;
    loop {
        let reply = instance.export(&batch, timeout, Lending::Plain)?;
        let facts =
            json!({ "batch": batch.id, "attempt": batch.attempt, "spans": batch.items, "bytes": batch.body.len() });
        told(case, "export_batch", &reply, facts);
        let items = u64::from(batch.items);
        let may_try_again = [TRACER_ERR_RETRYABLE, TRACER_ERR_TIMEOUT, TRACER_ERR_CREDENTIALS].contains(&reply.code);
        if (may_try_again || again) && batch.attempt < if again { 2 } else { MOST_TRIES } {
            batch.attempt += 1;
            batch.cookie = reply.told.cookie;
            tally.retried += 1;
            timeout = TIMEOUT;
            continue;
        }
        match reply.code {
            TRACER_OK => tally.sent += items,
            TRACER_ERR_PARTIAL => {
                let refused = u64::from(reply.told.rejected).min(items);
                tally.refused += refused;
                tally.sent += items - refused;
            }
            _ if may_try_again => {}
            _ => tally.refused += items,
        }
        return Ok(());
    }
}

fn forked(case: &Case, table: &Table, config: &str) -> Tried {
    if table.stays_behind() {
        let what = "it says TRACER_CAP_NOT_IN_FORKED_CHILDREN: a child does not use it";
        case.desk.line(&json!({ "call": "fork", "ms": 0.0, "said": what }));
        return Ok(());
    }
    case.collector(Behaviour::Takes);
    let begun = Instant::now();
    let end = signals::in_forked_child(TIMEOUT, || {
        let table = table.quiet();
        table.wake();
        let Ok(host) = HostSide::new(HostKind::Whole) else { return 10 };
        let Ok((Some(own), _, _)) = table.create(config.as_bytes(), 1, host, Lending::Plain) else { return 12 };
        let exported = own.export(&case.batch(u64::from(u32::MAX)), TIMEOUT, Lending::Plain);
        let ended = own.shutdown(TIMEOUT, Lending::Plain);
        let is_taken = exported.is_ok_and(|reply| reply.code == TRACER_OK);
        if own.destroy().is_ok() && ended.is_ok() && is_taken { 0 } else { 13 }
    })?;
    let what = match end {
        ChildEnd::Exit(0) => "the child exported a batch of its own, and ended".to_owned(),
        ChildEnd::Exit(12) => "the child got no instance of its own".to_owned(),
        ChildEnd::Exit(13) => "the child's batch was not taken".to_owned(),
        ChildEnd::Exit(status) => format!("the child ended with status {status}"),
        ChildEnd::Signal(signal) => format!("the child was ended by {}", signals::name(signal)),
        ChildEnd::Hung => "the child hung".to_owned(),
    };
    if !matches!(end, ChildEnd::Exit(0)) {
        case.broken(format!("after a fork, {what}"));
    }
    case.desk.line(&json!({ "call": "fork", "ms": begun.elapsed().as_secs_f64() * 1e3, "said": what }));
    Ok(())
}

fn told(case: &Case, call: &str, reply: &Reply, mut facts: Json) {
    if let Some(facts) = facts.as_object_mut() {
        facts.insert("call".to_owned(), call.into());
        facts.insert("code".to_owned(), code_name(reply.code).into());
        facts.insert("ms".to_owned(), (reply.took.as_secs_f64() * 1e3).into());
        if reply.code != TRACER_OK {
            facts.insert("said".to_owned(), reply.told.message().into());
            facts.insert("retry_after_ms".to_owned(), reply.told.retry_after_ms.into());
        }
    }
    case.desk.line(&facts);
}

/// Spans of a batch.
const PER_BATCH: u32 = 100;
/// Of one batch. The host tries longer, and waits between two tries; here nobody waits.
const MOST_TRIES: u32 = 5;
/// Less than the slow backend takes.
const SHORT: Duration = Duration::from_millis(100);
/// For all of it.
const PATIENCE: Duration = Duration::from_secs(300);
