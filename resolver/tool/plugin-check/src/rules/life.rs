//! One instance from `create` to `destroy`, and several.

#![forbid(unsafe_code)]

use std::thread;
use std::time::Duration;

use tracer_plugin_api::abi::{
    TRACER_ERR_UNSUPPORTED, TRACER_OK, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, tracer_stats,
};

use crate::case::{Case, ITEMS, TIMEOUT, code_name};
use crate::collector::Behaviour;
use crate::host::{HostKind, HostSide};
use crate::library::Lending;
use crate::rule::Rule;
use crate::rules::answers;
use crate::settings::Peer;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "life",
        sentence: "dlopen -> tracer_plugin_v1 -> validate -> create -> export_batch ... flush ... stats -> shutdown -> destroy",
        help: "give settings that make an instance with --config; every function returns, and touches only what is its own",
        is_gate: true,
        run: life,
    },
    Rule {
        name: "create",
        sentence: "`*out` is set if, and only if, it returns OK",
        help: "leave `*out` alone with every other code, and read empty text as \"{}\"",
        is_gate: false,
        run: create,
    },
    Rule {
        name: "create-waits",
        sentence: "Must not wait for the network: an unreachable backend is not an error here but of each export_batch.",
        help: "connect in export_batch, within its timeout_ms",
        is_gate: false,
        run: create_waits,
    },
    Rule {
        name: "taken",
        sentence: "Done. For export_batch: the backend has taken every item.",
        help: "return OK when the backend has answered that it took the batch, and not before. If the settings name a backend of \
               your own, start it: --config with {endpoint} or {address} in it names the check's",
        is_gate: false,
        run: taken,
    },
    Rule {
        name: "signals",
        sentence: "One of TRACER_SIGNAL_*, and one whose bit is in accepted_signals.",
        help: "look at batch->signal before the body is read, and set no bit in accepted_signals whose batches are not taken",
        is_gate: false,
        run: signals,
    },
    Rule {
        name: "instances",
        sentence: "Different instances of one plugin are used at the same time: keep no state that they share without a lock.",
        help: "put what changes into the instance",
        is_gate: false,
        run: instances,
    },
    Rule {
        name: "concurrent",
        sentence: "export_batch may be called up to `max_concurrency` times at once; flush may run beside it.",
        help: "guard what the calls share, or do not claim TRACER_CAP_CONCURRENT_EXPORT",
        is_gate: false,
        run: concurrent,
    },
    Rule {
        name: "export-threads",
        sentence: "Successive calls may come from different threads.",
        help: "keep nothing of an instance in thread-local storage",
        is_gate: false,
        run: export_threads,
    },
    Rule {
        name: "stats",
        sentence: "Must not block, not even on a lock that export_batch holds while it waits.",
        help: "keep the counters in atomics; count when export_batch returns",
        is_gate: false,
        run: stats,
    },
];

fn life(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    for id in 1..=2 {
        instance.export(&case.batch(id), case.limit(), Lending::Plain)?;
    }
    instance.flush(Duration::ZERO, Lending::Plain)?;
    instance.flush(TIMEOUT, Lending::Plain)?;
    instance.stats(size_of::<tracer_stats>());
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

fn create(case: &Case) -> Tried {
    let table = case.table()?;
    for text in [&b""[..], b"[1, 2", b"{\"checked\": 1}", b"\xff\xfe"] {
        let (instance, reply, is_wrong) = table.create(text, 1, HostSide::new(HostKind::Whole)?, Lending::Plain)?;
        if is_wrong {
            let set = if instance.is_none() && reply.code == TRACER_OK { "is not set" } else { "is set" };
            let shown = String::from_utf8_lossy(text);
            case.broken(format!("*out {set} although create of \"{shown}\" returns {}", code_name(reply.code)));
        }
        if ![0, 1, 7, 8, 9].contains(&reply.code) {
            case.broken(format!("create returns {}, which it may not", code_name(reply.code)));
        }
        if let Some(instance) = instance {
            instance.shutdown(TIMEOUT, Lending::Plain)?;
            instance.destroy()?;
        }
    }
    Ok(())
}

fn create_waits(case: &Case) -> Tried {
    let table = case.table()?;
    for (peer, who) in [(Peer::Silence, "never answers"), (Peer::Nobody, "is not there")] {
        let config = case.config(&table, peer);
        let host = HostSide::new(HostKind::Whole)?;
        let (instance, reply, _) = table.create(config.as_bytes(), 1, host, Lending::Plain)?;
        if reply.took > LONGEST_CREATE {
            case.broken(format!("create took {:.1} s when the backend {who}", reply.took.as_secs_f64()));
        }
        match instance {
            Some(instance) => drop(instance.destroy()?),
            None => case.broken(format!("create fails because the backend {who}: {}", reply.words())),
        }
    }
    Ok(())
}

fn taken(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    let reply = instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    let seen = case.seen();
    if reply.code != TRACER_OK {
        case.desk.not_taken(&reply.words());
    }
    if seen.is_foreign {
        return Err(Stop::Skipped(answers::FOREIGN.to_owned()));
    }
    let is_own = case.needs_network(&table).is_ok();
    if reply.code != TRACER_OK {
        let backend = if is_own { "a backend that takes them" } else { "the backend that the settings name" };
        return Err(Stop::Broken(format!("export_batch of {ITEMS} spans to {backend} returns {}", reply.words())));
    }
    if is_own && seen.requests == 0 && seen.connections > 0 {
        case.broken("export_batch returns OK, and nothing has arrived");
    }
    case.end(instance)
}

fn signals(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    case.needs_taken(&instance)?;
    for (signal, name) in [(TRACER_SIGNAL_TRACES, "traces"), (TRACER_SIGNAL_METRICS, "metrics")] {
        if !table.accepts(signal) {
            continue;
        }
        let reply = instance.export(&case.batch_of(signal, 10 + u64::from(signal)), case.limit(), Lending::Plain)?;
        if reply.code != TRACER_OK {
            case.broken(format!("it accepts {name}, and export_batch of them returns {}", reply.words()));
        }
    }
    case.end(instance)
}

fn instances(case: &Case) -> Tried {
    let table = case.table()?;
    let one = case.created(&table, Peer::Collector)?;
    case.needs_taken(&one)?;
    let other = case.created(&table, Peer::Collector)?;
    let failed = thread::scope(|scope| {
        let many = |instance: &'static str, it| {
            scope.spawn(move || {
                let it: &crate::library::Instance<'_> = it;
                (1..20).find_map(|id| {
                    let reply = it.export(&case.batch(id), case.limit(), Lending::Plain).ok()?;
                    (reply.code != TRACER_OK).then(|| format!("{instance}: {}", reply.words()))
                })
            })
        };
        let threads = [many("the first of two instances", &one), many("the second of two instances", &other)];
        threads.map(|thread| thread.join().ok().flatten())
    });
    failed
        .into_iter()
        .flatten()
        .for_each(|failed| case.broken(format!("export_batch, while both are used, of {failed}")));
    case.end(one)?;
    // The other lives on.
    case.expect_taken(&other, 99, Lending::Plain, "of an instance, after another was destroyed")?;
    case.end(other)
}

fn concurrent(case: &Case) -> Tried {
    const AT_ONCE: u32 = 8;
    let table = case.table()?;
    if !table.exports_concurrently() {
        return Err(Stop::Skipped("it does not claim TRACER_CAP_CONCURRENT_EXPORT".to_owned()));
    }
    let instance = case.created_as(&table, Peer::Collector, AT_ONCE, HostKind::Whole, Lending::Plain)?;
    case.needs_taken(&instance)?;
    case.collector(Behaviour::TakesSlowly);
    let before = instance.stats(size_of::<tracer_stats>());
    let failed: Vec<String> = thread::scope(|scope| {
        let exporting: Vec<_> = (0..AT_ONCE)
            .map(|thread| {
                let instance = &instance;
                scope.spawn(move || {
                    (0..2).find_map(|turn| {
                        let id = 10 + u64::from(2 * thread + turn);
                        let reply = instance.export(&case.batch(id), case.limit(), Lending::Plain).ok()?;
                        (reply.code != TRACER_OK).then(|| reply.words())
                    })
                })
            })
            .collect();
        let flushed = instance.flush(Duration::from_millis(1), Lending::Plain);
        let failed = exporting.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect();
        flushed.map(|_| failed)
    })?;
    if let Some(first) = failed.first() {
        case.broken(format!(
            "{} of {AT_ONCE} calls of export_batch at once fail, the first with {first}",
            failed.len()
        ));
    }
    let after = instance.stats(size_of::<tracer_stats>());
    let expected = u64::from(2 * AT_ONCE * ITEMS);
    let counted = after.items_sent.wrapping_sub(before.items_sent);
    if failed.is_empty() && after.code == TRACER_OK && counted != expected {
        case.broken(format!("{expected} items were taken from {AT_ONCE} threads, and the plugin counts {counted}"));
    }
    case.end(instance)
}

fn export_threads(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    case.needs_taken(&instance)?;
    for id in 2..5 {
        thread::scope(|scope| {
            let exporting =
                scope.spawn(|| case.expect_taken(&instance, id, Lending::Plain, "from another thread than before"));
            exporting.join().unwrap_or(Ok(()))
        })?;
    }
    // The control thread need not be the one that created it.
    thread::scope(|scope| scope.spawn(|| case.end(instance)).join().unwrap_or(Ok(())))
}

fn stats(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    let whole = size_of::<tracer_stats>();
    let first = instance.stats(whole);
    if ![TRACER_OK, TRACER_ERR_UNSUPPORTED].contains(&first.code) {
        case.broken(format!("stats returns {}, which it may not", code_name(first.code)));
    }
    let reply = instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    let second = instance.stats(whole);
    if second.code == TRACER_OK && reply.code == TRACER_OK {
        // What a plugin does not count, it leaves at zero.
        let has_batches = [0, first.batches_sent + 1].contains(&second.batches_sent);
        if second.items_sent != first.items_sent + u64::from(ITEMS) || !has_batches {
            case.broken(format!(
                "a batch of {ITEMS} was taken, and the plugin counts {} items in {} batches",
                second.items_sent - first.items_sent.min(second.items_sent),
                second.batches_sent - first.batches_sent.min(second.batches_sent)
            ));
        }
        if second.in_flight != 0 {
            case.broken(format!("in_flight is {} when no call is under way", second.in_flight));
        }
    }
    case.collector(Behaviour::Stalls);
    let longest = thread::scope(|scope| {
        scope.spawn(|| instance.export(&case.batch(2), Duration::from_secs(3), Lending::Plain));
        // Long enough for the batch to be under way; if it is not, nothing is shown, and nothing wrongly told.
        (0..5)
            .map(|_| {
                thread::sleep(Duration::from_millis(100));
                instance.stats(whole).took
            })
            .max()
            .unwrap_or_default()
    });
    if longest > Duration::from_secs(2) {
        case.broken(format!("stats took {:.1} s while export_batch waited for the backend", longest.as_secs_f64()));
    }
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

/// Far beyond what a file or a thread takes, and short of every time-out of a network.
const LONGEST_CREATE: Duration = Duration::from_secs(2);
