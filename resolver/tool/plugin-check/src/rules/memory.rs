//! What a plugin reads and writes of what it was lent.

#![forbid(unsafe_code)]

use std::thread;
use std::time::Duration;

use tracer_plugin_api::abi::{TRACER_OK, tracer_error, tracer_stats};

use crate::case::{Case, MINOR, TIMEOUT};
use crate::collector::Behaviour;
use crate::host::{HostKind, HostSide, NEWER};
use crate::library::{Lending, Reply};
use crate::rule::Rule;
use crate::rules::table;
use crate::settings::Peer;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "borrowed",
        sentence: "Every pointer handed to a function is borrowed until that function returns, unless its own sentence says \
                   more. Copy what you keep.",
        help: "copy the batch, the settings and the names that are needed after the call; of what create was given, only `host` \
               stays",
        is_gate: false,
        run: borrowed,
    },
    Rule {
        name: "host-struct",
        sentence: "When it returns no thread of the instance runs, and tracer_host is not used any more.",
        help: "join the threads in shutdown or destroy; log nothing afterwards",
        is_gate: false,
        run: host_struct,
    },
    Rule {
        name: "body",
        sentence: "Never empty. Any alignment.",
        help: "read the body byte by byte or by memcpy, up to body.len and not beyond, and do not write to it",
        is_gate: false,
        run: body,
    },
    Rule {
        name: "error-size",
        sentence: "writes nothing at or beyond struct_size",
        help: "ask TRACER_HAS(error, tracer_error, message) before a field is written; do not zero the whole struct",
        is_gate: false,
        run: error_size,
    },
    Rule {
        name: "error-null",
        sentence: "The pointer may be NULL: then only the code returned counts.",
        help: "ask for NULL before anything is written to `error`",
        is_gate: false,
        run: error_null,
    },
    Rule {
        name: "stats-size",
        sentence: "Fills in *out, which is the caller's, up to its struct_size.",
        help: "ask TRACER_HAS(out, tracer_stats, ...) before each field; never assign the whole struct",
        is_gate: false,
        run: stats_size,
    },
    Rule {
        name: "newer-host",
        sentence: "A minor version only appends fields to structs, codes to lists and bits to sets.",
        help: "ask TRACER_HAS, which is `at least as long`; do not compare struct_size or abi_minor by ==",
        is_gate: false,
        run: newer_host,
    },
    Rule {
        name: "host-functions",
        sentence: "May be NULL. [any-thread & from the start of create to the return of destroy]",
        help: "ask whether host->log is NULL before each call",
        is_gate: false,
        run: host_functions,
    },
    Rule {
        name: "constant",
        sentence: "Static and constant: the same bytes for as long as the process lives.",
        help: "put what changes into the instance, and the table into constant data",
        is_gate: false,
        run: constant,
    },
];

fn borrowed(case: &Case) -> Tried {
    let table = case.table()?;
    let config = case.config(&table, Peer::Collector);
    table.validate(config.as_bytes(), Lending::TakenAway)?;
    let instance = case.created_as(&table, Peer::Collector, 1, HostKind::Whole, Lending::TakenAway)?;
    for id in 1..=3 {
        instance.export(&case.batch(id), case.limit(), Lending::TakenAway)?;
    }
    case.collector(Behaviour::Stalls);
    instance.export(&case.batch(4), Duration::from_millis(300), Lending::TakenAway)?;
    case.collector(Behaviour::Takes);
    instance.export(&case.batch(5), case.limit(), Lending::TakenAway)?;
    instance.flush(TIMEOUT, Lending::Plain)?;
    // A thread of the plugin's that still reads gets the time to do so.
    thread::sleep(Duration::from_millis(200));
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

fn host_struct(case: &Case) -> Tried {
    let table = case.table()?;
    for _ in 0..3 {
        let instance = case.created(&table, Peer::Collector)?;
        instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
        instance.shutdown(TIMEOUT, Lending::Plain)?;
        // The struct is taken away in there.
        instance.destroy()?;
    }
    case.desk.enters("a thread that it left behind");
    thread::sleep(Duration::from_millis(300));
    case.desk.leaves();
    Ok(())
}

fn body(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    case.needs_taken(&instance)?;
    // Lent so that they end where a page ends, bodies of different lengths begin at addresses of every kind.
    for extra in 0..8 {
        let mut batch = case.batch(10 + extra);
        // An unknown field of OTLP, as a later version may have: number 100, so many bytes.
        if extra > 0 {
            batch.body.extend([0xa2, 0x06, extra as u8]);
            batch.body.extend(vec![0; extra as usize]);
        }
        let reply = instance.export(&batch, case.limit(), Lending::Plain)?;
        if reply.code != TRACER_OK {
            case.broken(format!(
                "a body at another address, with a field that is not known, is not taken: {}",
                reply.words()
            ));
        }
    }
    let mut garbage = case.batch(30);
    garbage.body = vec![0xff; 77];
    instance.export(&garbage, case.limit(), Lending::Plain)?;
    case.expect_taken(&instance, 31, Lending::Plain, "after a body that is no OTLP")?;
    case.end(instance)
}

/// What can be made to fail: settings that are none, and a backend that refuses. Each call with this lending.
fn failures(case: &Case, lending: Lending) -> Result<Vec<(&'static str, Reply)>, Stop> {
    let table = case.table()?;
    let mut replies = vec![
        ("validate", table.validate(b"[1, 2", lending)?),
        ("validate", table.validate(b"{\"checked\": 1}", lending)?),
        ("create", table.create(b"[1, 2", 1, HostSide::new(HostKind::Whole)?, lending)?.1),
    ];
    let instance = case.created(&table, Peer::Collector)?;
    for (id, behaviour) in
        [(1, Behaviour::Takes), (2, Behaviour::IsBusy), (3, Behaviour::Refuses), (4, Behaviour::HangsUp)]
    {
        case.collector(behaviour);
        replies.push(("export_batch", instance.export(&case.batch(id), case.limit(), lending)?));
    }
    let mut garbage = case.batch(5);
    garbage.body = vec![0xff; 77];
    replies.push(("export_batch", instance.export(&garbage, case.limit(), lending)?));
    replies.push(("flush", instance.flush(TIMEOUT, lending)?));
    replies.push(("shutdown", instance.shutdown(TIMEOUT, lending)?));
    instance.destroy()?;
    Ok(replies)
}

fn error_size(case: &Case) -> Tried {
    for size in [8, 16, 144, size_of::<tracer_error>()] {
        for (call, reply) in failures(case, Lending::ErrorOf(size))? {
            if reply.told.is_overrun {
                case.broken(format!("{call} writes beyond a tracer_error of {size} bytes"));
                break;
            }
        }
    }
    Ok(())
}

fn error_null(case: &Case) -> Tried {
    let with = failures(case, Lending::Plain)?;
    let without = failures(case, Lending::WithoutError)?;
    for ((call, with), (_, without)) in with.iter().zip(&without) {
        if with.code != without.code {
            case.broken(format!(
                "{call} returns {} without a tracer_error, {} with one",
                without.words(),
                with.words()
            ));
        }
    }
    Ok(())
}

fn stats_size(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    for size in [8, 24, 48, size_of::<tracer_stats>()] {
        if instance.stats(size).is_overrun {
            case.broken(format!("stats writes beyond a tracer_stats of {size} bytes"));
        }
    }
    case.end(instance)
}

fn newer_host(case: &Case) -> Tried {
    let plain = {
        let table = case.table()?;
        let instance = case.created(&table, Peer::Collector)?;
        let reply = instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
        instance.shutdown(TIMEOUT, Lending::Plain)?;
        instance.destroy()?;
        reply
    };
    let plugin = case.plugin()?;
    let at = plugin.table_for(MINOR + 1);
    if at.is_null() {
        return Err(Stop::Broken("it refuses a host of a later minor version".to_owned()));
    }
    let table = plugin.table(at).map_err(Stop::Broken)?;
    let config = case.config(&table, Peer::Collector);
    let reply = table.validate(config.as_bytes(), Lending::Newer)?;
    if reply.code != TRACER_OK {
        case.broken(format!("validate returns {} to a host of a later minor version", reply.words()));
    }
    let (instance, reply, _) = table.create(config.as_bytes(), 1, HostSide::new(HostKind::Newer)?, Lending::Newer)?;
    let Some(instance) = instance else {
        return Err(Stop::Broken(format!("create refuses a host of a later minor version: {}", reply.words())));
    };
    let reply = instance.export(&case.batch(2), case.limit(), Lending::Newer)?;
    if reply.code != plain.code {
        case.broken(format!(
            "export_batch returns {} to a host of a later minor version, {} to this",
            reply.words(),
            plain.words()
        ));
    }
    if instance.stats(size_of::<tracer_stats>() + NEWER / 2).is_overrun {
        case.broken("stats writes beyond a longer tracer_stats");
    }
    let reply = instance.flush(TIMEOUT, Lending::Newer)?;
    if reply.code != TRACER_OK {
        case.broken(format!("flush returns {} to a host of a later minor version", reply.words()));
    }
    let reply = instance.shutdown(TIMEOUT, Lending::Newer)?;
    if reply.told.is_overrun {
        case.broken("shutdown writes beyond a longer tracer_error");
    }
    instance.destroy()?;
    Ok(())
}

fn host_functions(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created_as(&table, Peer::Collector, 1, HostKind::WithoutFunctions, Lending::Plain)?;
    instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    // What a plugin warns of, it warns of now.
    for behaviour in [Behaviour::IsBusy, Behaviour::Refuses, Behaviour::HangsUp] {
        case.collector(behaviour);
        instance.export(&case.batch(2), case.limit(), Lending::Plain)?;
    }
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

fn constant(case: &Case) -> Tried {
    let plugin = case.plugin()?;
    let at = plugin.table_for(MINOR);
    let table = plugin.table(at).map_err(Stop::Broken)?;
    let before = table.bytes();
    let instance = case.created(&table, Peer::Collector)?;
    instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    table::same_bytes(case, &plugin, at, &before, "used")?;
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    table::same_bytes(case, &plugin, at, &before, "done with an instance")
}
