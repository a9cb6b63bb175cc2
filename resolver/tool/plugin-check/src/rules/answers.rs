//! What a plugin makes of the answers of its backend: which code, in which time, with which words.

#![forbid(unsafe_code)]

use std::time::Duration;

use serde_json::Value as Json;
use tracer_plugin_api::abi::{
    TRACER_ERR_CONFIG, TRACER_ERR_CREDENTIALS, TRACER_ERR_PARTIAL, TRACER_ERR_PERMANENT, TRACER_ERR_RETRYABLE,
    TRACER_ERR_TIMEOUT, TRACER_OK,
};

use crate::case::{Case, ITEMS, TIMEOUT, code_name, not_taken};
use crate::collector::Behaviour;
use crate::host::{HostKind, HostSide};
use crate::library::{Instance, Lending, Reply, Table};
use crate::rule::Rule;
use crate::settings::Peer;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "unreachable",
        sentence: "Nothing was stored and trying again may help: unreachable, busy, throttled. Retried.",
        help: "return RETRYABLE for every way in which no connection comes about or one breaks before the answer",
        is_gate: false,
        run: unreachable,
    },
    Rule {
        name: "busy",
        sentence: "RETRYABLE, TIMEOUT: the earliest retry that the backend asked for; 0: none asked.",
        help: "return RETRYABLE for 429, 502, 503 and 504, and put Retry-After into retry_after_ms, in milliseconds",
        is_gate: false,
        run: busy,
    },
    Rule {
        name: "one-try",
        sentence: "Never retries by itself what the backend has answered.",
        help: "leave it to the host, which waits longer each time, and counts",
        is_gate: false,
        run: one_try,
    },
    Rule {
        name: "refused",
        sentence: "Trying again with these bytes cannot help: refused, malformed. The batch is dropped and counted.",
        help: "return PERMANENT for a 400 and its like: RETRYABLE would be tried again in vain",
        is_gate: false,
        run: refused,
    },
    Rule {
        name: "credentials",
        sentence: "The backend refuses the credentials (401, 403, UNAUTHENTICATED), and nothing was stored.",
        help: "return CREDENTIALS for a 401 or a 403: the host reads secrets from files anew, and tries the batch again; \
               PERMANENT loses what was sent before a token or a right came",
        is_gate: false,
        run: credentials,
    },
    Rule {
        name: "timeout",
        sentence: "It should return within timeout_ms (at least 1) and must give up then: TIMEOUT.",
        help: "one deadline for connecting, sending and the whole answer together, not one for each read",
        is_gate: false,
        run: timeout,
    },
    Rule {
        name: "after-failures",
        sentence: "with the same `batch_id`, the same body and a rising `attempt`",
        help: "open a new connection when the old one was closed, and take a batch that comes again as any other",
        is_gate: false,
        run: after_failures,
    },
    Rule {
        name: "codes",
        sentence: "The code returned, again. Where they differ, the one returned counts.",
        help: "set error->code to what is returned, wherever anything but OK is; return the codes of the header only, and count no more items than the batch has",
        is_gate: false,
        run: codes,
    },
    Rule {
        name: "messages",
        sentence: "One line for an operator: what failed and what to do. No secrets. Cut to size between characters; like field, \
                   UTF-8 and always NUL-terminated.",
        help: "snprintf into error->message, and no line ends; cut before a byte 10xxxxxx",
        is_gate: false,
        run: messages,
    },
    Rule {
        name: "told-secrets",
        sentence: "It never prints; it reports through `tracer_error` and `tracer_host.log`. Neither ever contains a secret.",
        help: "name the key, not its value; leave a peer's answer out where it may repeat what was sent",
        is_gate: false,
        run: told_secrets,
    },
    Rule {
        name: "log",
        sentence: "Writes one line to the application's log. `level` is one of TRACER_LOG_*; `target` names the part of the plugin \
                   that speaks",
        help: "give UTF-8 texts with their lengths, one line each, and a target",
        is_gate: false,
        run: log,
    },
];

/// In which a batch is not taken, each with something to tell of it.
const ANSWERS: [Behaviour; 5] =
    [Behaviour::Refuses, Behaviour::IsBusy, Behaviour::KnowsNobody, Behaviour::Forbids, Behaviour::HangsUp];

/// Why a rule about answers is not tried.
pub(crate) const FOREIGN: &str = "it does not speak HTTP/1.1, which is all that this check's collector understands";

/// An instance whose backend is the collector, which understands it.
fn online<'a>(case: &Case, table: &'a Table) -> Result<Instance<'a>, Stop> {
    case.needs_network(table)?;
    case.needs_a_backend_that_takes()?;
    let instance = case.created(table, Peer::Collector)?;
    let reply = instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    let seen = case.seen();
    if seen.is_foreign {
        return Err(Stop::Skipped(FOREIGN.to_owned()));
    }
    if seen.connections == 0 {
        return Err(Stop::Skipped("nothing came to the collector over TCP".to_owned()));
    }
    if reply.code != TRACER_OK {
        return Err(not_taken(&reply.words()));
    }
    Ok(instance)
}

fn close(instance: Instance<'_>) -> Tried {
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

fn unreachable(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    case.collector(Behaviour::HangsUp);
    let reply = instance.export(&case.batch(2), case.limit(), Lending::Plain)?;
    if ![TRACER_ERR_RETRYABLE, TRACER_ERR_TIMEOUT].contains(&reply.code) {
        case.broken(format!("export_batch returns {} when the backend hangs up instead of answering", reply.words()));
    }
    close(instance)?;
    let instance = case.created(&table, Peer::Nobody)?;
    let reply = instance.export(&case.batch(3), case.limit(), Lending::Plain)?;
    if reply.code != TRACER_ERR_RETRYABLE {
        case.broken(format!("export_batch returns {} when nobody listens at the backend's port", reply.words()));
    }
    in_time(case, &reply, TIMEOUT, "when nobody listens at the backend's port");
    close(instance)
}

fn busy(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    case.collector(Behaviour::IsBusy);
    let reply = instance.export(&case.batch(2), case.limit(), Lending::Plain)?;
    if reply.code != TRACER_ERR_RETRYABLE {
        case.broken(format!("export_batch returns {} when the backend answers 503", reply.words()));
    } else if reply.told.retry_after_ms != 7000 {
        case.broken(format!(
            "the backend asks for 7 s (Retry-After), and retry_after_ms is {}",
            reply.told.retry_after_ms
        ));
    }
    close(instance)
}

fn one_try(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    for (id, behaviour, answer) in
        [(2, Behaviour::IsBusy, "503"), (3, Behaviour::Refuses, "400"), (4, Behaviour::KnowsNobody, "401")]
    {
        case.collector(behaviour);
        instance.export(&case.batch(id), case.limit(), Lending::Plain)?;
        let requests = case.seen().requests;
        if requests > 1 {
            case.broken(format!(
                "one call of export_batch made {requests} requests, although each was answered with {answer}"
            ));
        }
    }
    close(instance)
}

fn refused(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    case.collector(Behaviour::Refuses);
    let reply = instance.export(&case.batch(2), case.limit(), Lending::Plain)?;
    let is_partial = reply.code == TRACER_ERR_PARTIAL && reply.told.rejected == ITEMS;
    if reply.code != TRACER_ERR_PERMANENT && !is_partial {
        case.broken(format!("export_batch returns {} when the backend answers 400", reply.words()));
    }
    close(instance)
}

fn credentials(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    // Who has no secrets may take a refusal for final: it has no credentials that could be others.
    let has_secrets = case.schema(&table).to_string().contains("\"x-secret\":true");
    for (id, behaviour) in [(2, Behaviour::KnowsNobody), (3, Behaviour::Forbids)] {
        case.collector(behaviour);
        let reply = instance.export(&case.batch(id), case.limit(), Lending::Plain)?;
        if reply.code != TRACER_ERR_CREDENTIALS && (has_secrets || reply.code != TRACER_ERR_PERMANENT) {
            case.broken(format!("export_batch returns {} when the backend {}", reply.words(), behaviour.told()));
        }
    }
    case.collector(Behaviour::Takes);
    case.expect_taken(&instance, 4, Lending::Plain, "after the credentials were refused")?;
    close(instance)
}

fn timeout(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    let limit = Duration::from_millis(600);
    for (id, behaviour, when) in [
        (2, Behaviour::Stalls, "when the backend does not answer"),
        (3, Behaviour::Drips, "when the backend's answer has no end"),
    ] {
        case.collector(behaviour);
        let reply = instance.export(&case.batch(id), limit, Lending::Plain)?;
        if reply.code != TRACER_ERR_TIMEOUT {
            case.broken(format!("export_batch returns {} {when}", reply.words()));
        }
        in_time(case, &reply, limit, when);
    }
    close(instance)?;
    let instance = case.created(&table, Peer::Silence)?;
    let reply = instance.export(&case.batch(4), limit, Lending::Plain)?;
    in_time(case, &reply, limit, "when the backend takes the connection and nothing else");
    if reply.code == TRACER_OK {
        case.broken("export_batch returns OK although the backend has answered nothing");
    }
    close(instance)
}

/// The host's grace is five seconds; a machine under load gets two.
fn in_time(case: &Case, reply: &Reply, limit: Duration, when: &str) {
    if reply.took > limit + Duration::from_secs(2) {
        let (took, limit) = (reply.took.as_secs_f64(), limit.as_secs_f64());
        case.broken(format!("export_batch took {took:.1} s {when}, with a timeout_ms of {limit:.1} s"));
    }
}

fn after_failures(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = online(case, &table)?;
    for (id, behaviour) in [(2, Behaviour::IsBusy), (3, Behaviour::HangsUp), (4, Behaviour::Stalls)] {
        case.collector(behaviour);
        let mut batch = case.batch(id);
        instance.export(&batch, Duration::from_millis(300), Lending::Plain)?;
        case.collector(Behaviour::Takes);
        batch.attempt = 2;
        let reply = instance.export(&batch, case.limit(), Lending::Plain)?;
        if reply.code != TRACER_OK {
            case.broken(format!(
                "a batch that is tried again after the backend was better is not taken: {}",
                reply.words()
            ));
        }
    }
    close(instance)
}

/// Replies of every kind that this check can bring about: each with what was asked.
fn replies(case: &Case, table: &Table) -> Result<Vec<(String, Reply)>, Stop> {
    let mut replies = Vec::new();
    for text in ["[1, 2", "{\"checked\": 1}", "{\"endpoint\": 7}", "{\"\u{e4}\u{20ac}\u{1f600}\": \"\\n\"}"] {
        replies.push((format!("validate of {text}"), table.validate(text.as_bytes(), Lending::Plain)?));
    }
    let long = format!("{{\"{}\": 1}}", "\u{e4}".repeat(700));
    replies.push(("validate of a long key".to_owned(), table.validate(long.as_bytes(), Lending::Plain)?));
    let host = HostSide::new(HostKind::Whole)?;
    replies.push(("create of [1, 2".to_owned(), table.create(b"[1, 2", 1, host, Lending::Plain)?.1));
    let instance = case.created(table, Peer::Collector)?;
    for (id, behaviour) in ANSWERS.into_iter().enumerate() {
        case.collector(behaviour);
        let what = format!("export_batch to a backend that {}", behaviour.told());
        replies.push((what, instance.export(&case.batch(id as u64 + 10), case.limit(), Lending::Plain)?));
    }
    case.collector(Behaviour::Takes);
    let mut garbage = case.batch(4);
    garbage.body = vec![0xff; 77];
    replies
        .push(("export_batch of what is no OTLP".to_owned(), instance.export(&garbage, case.limit(), Lending::Plain)?));
    replies.push(("flush".to_owned(), instance.flush(TIMEOUT, Lending::Plain)?));
    replies.push(("shutdown".to_owned(), instance.shutdown(TIMEOUT, Lending::Plain)?));
    instance.destroy()?;
    Ok(replies)
}

fn codes(case: &Case) -> Tried {
    let table = case.table()?;
    for (what, reply) in replies(case, &table)? {
        if !(TRACER_OK..=TRACER_ERR_CREDENTIALS).contains(&reply.code) {
            case.broken(format!("{what} returns {}", code_name(reply.code)));
        } else if reply.code != TRACER_OK && reply.told.code != reply.code {
            case.broken(format!(
                "{what} returns {}, and error->code is {}",
                code_name(reply.code),
                code_name(reply.told.code)
            ));
        }
        let is_of_settings = what.starts_with("validate") || what.starts_with("create");
        if reply.code == TRACER_ERR_CONFIG && !is_of_settings {
            case.broken(format!("{what} returns CONFIG, which only validate and create may"));
        }
        if reply.told.rejected > ITEMS {
            case.broken(format!("{what} of {ITEMS} items: rejected_items is {}", reply.told.rejected));
        }
    }
    Ok(())
}

fn messages(case: &Case) -> Tried {
    let table = case.table()?;
    for (what, reply) in replies(case, &table)? {
        if reply.code == TRACER_OK {
            continue;
        }
        for (name, bytes) in [("field", &reply.told.field), ("message", &reply.told.message)] {
            match bytes.iter().position(|byte| *byte == 0) {
                None => case.broken(format!("{what}: error->{name} has no NUL at its end")),
                Some(end) if std::str::from_utf8(bytes.get(..end).unwrap_or_default()).is_err() => {
                    case.broken(format!("{what}: error->{name} is not UTF-8"));
                }
                Some(_) => {}
            }
        }
        let message = reply.told.message();
        if message.trim().is_empty() {
            case.broken(format!("{what} returns {} and no message: nobody will know why", code_name(reply.code)));
        }
        if message.trim_end().contains(['\n', '\r']) {
            case.broken(format!("{what}: error->message has more than one line"));
        }
    }
    Ok(())
}

fn told_secrets(case: &Case) -> Tried {
    let table = case.table()?;
    let schema = case.schema(&table);
    let mut settings = case.settings(&table);
    let Some(key) = secret_key(&schema) else {
        return Err(Stop::Skipped("its schema has no text with x-secret at the top".to_owned()));
    };
    if let Some(members) = settings.as_object_mut() {
        members.insert(key.0.clone(), if key.1 { serde_json::json!({ "checked": SECRET }) } else { SECRET.into() });
    }
    let case = case.with(settings);
    let config = case.config(&table, Peer::Collector);
    let mut told = Vec::new();
    // Settings that are wrong in another place, so that the secret is in what is refused.
    let wrong = config.replacen('{', "{\"checked\": 1, ", 1);
    for text in [config.as_str(), wrong.as_str(), config.trim_end_matches('}')] {
        told.push(table.validate(text.as_bytes(), Lending::Plain)?);
        let (instance, reply, _) = table.create(text.as_bytes(), 1, HostSide::new(HostKind::Whole)?, Lending::Plain)?;
        told.push(reply);
        let Some(instance) = instance else { continue };
        for (id, behaviour) in [Behaviour::Takes].into_iter().chain(ANSWERS).enumerate() {
            case.collector(behaviour);
            told.push(instance.export(&case.batch(id as u64 + 1), case.limit(), Lending::Plain)?);
        }
        instance.shutdown(TIMEOUT, Lending::Plain)?;
        let lines = instance.host.log().lines();
        instance.destroy()?;
        if lines.iter().any(|(_, _, message)| String::from_utf8_lossy(message).contains(SECRET)) {
            case.broken(format!("the value of `{}`, which is a secret, is in a line of its log", key.0));
        }
    }
    if told.iter().any(|reply| format!("{} {}", reply.told.message(), reply.told.field()).contains(SECRET)) {
        case.broken(format!("the value of `{}`, which is a secret, is in a tracer_error", key.0));
    }
    Ok(())
}

/// A key of the settings that holds a secret, and whether as values of a map.
fn secret_key(schema: &Json) -> Option<(String, bool)> {
    let is_secret = |schema: &Json| schema.get("x-secret") == Some(&Json::Bool(true));
    let properties = schema.get("properties").and_then(Json::as_object)?;
    let of = |(key, property): (&String, &Json)| {
        let values = property.get("additionalProperties").unwrap_or(&Json::Null);
        let is_text = property.get("type") == Some(&Json::from("string"));
        match (is_secret(property) && is_text, is_secret(values) || (is_secret(property) && !values.is_null())) {
            (true, _) => Some((key.clone(), false)),
            (false, true) => Some((key.clone(), true)),
            _ => None,
        }
    };
    properties.iter().find_map(of)
}

fn log(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    for (id, behaviour) in [Behaviour::Takes].into_iter().chain(ANSWERS).enumerate() {
        case.collector(behaviour);
        instance.export(&case.batch(id as u64 + 1), case.limit(), Lending::Plain)?;
    }
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    let host = instance.destroy()?;
    let lines = host.log().lines();
    for (level, target, message) in &lines {
        if !(1..=5).contains(level) {
            case.broken(format!("a line is logged at level {level}"));
        }
        match (std::str::from_utf8(target), std::str::from_utf8(message)) {
            (Ok(""), _) => case.broken("a line is logged without a target"),
            (Ok(_), Ok(message)) if message.trim_end().contains('\n') => {
                case.broken("a line of the log is several lines")
            }
            (Ok(_), Ok(message)) if message.contains('\0') => {
                case.broken("a line of the log has a NUL in it: its length counts one too many")
            }
            (Ok(_), Ok(_)) => {}
            _ => case.broken("a line of the log is not UTF-8"),
        }
    }
    if lines.len() > 100 {
        case.broken(format!("{} lines are logged for {} batches", lines.len(), ANSWERS.len() + 1));
    }
    Ok(())
}

/// No word of any language, and valid in a header of HTTP.
const SECRET: &str = "s3cr3t-0f-th3-ch3ck";
