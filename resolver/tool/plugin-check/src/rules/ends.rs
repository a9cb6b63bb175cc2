//! Ends: of an instance, of a process, of a forked child.

#![forbid(unsafe_code)]

use std::time::Duration;

use tracer_plugin_api::abi::{TRACER_ERR_PANIC, TRACER_ERR_TIMEOUT, TRACER_ERR_UNSUPPORTED, TRACER_OK};

use crate::case::{Case, TIMEOUT, code_name};
use crate::collector::Behaviour;
use crate::library::Lending;
use crate::process_view;
use crate::rule::Rule;
use crate::settings::Peer;
use crate::signals::{self, ChildEnd};
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "flush",
        sentence: "Pushes out what the plugin itself still holds back (a file buffer), within timeout_ms; 0: without waiting. Returns \
                   OK if there is nothing.",
        help: "return OK at once if every export_batch has sent what it was given",
        is_gate: false,
        run: flush,
    },
    Rule {
        name: "shutdown",
        sentence: "Ends the work, within timeout_ms: flushes, closes, joins threads.",
        help: "wake the threads and join them; do not wait for a backend that does not answer",
        is_gate: false,
        run: shutdown,
    },
    Rule {
        name: "destroy",
        sentence: "after shutdown returned anything but TIMEOUT, or when the instance is poisoned.",
        help: "free in destroy what is there, whether shutdown was called or not, and join the threads",
        is_gate: false,
        run: destroy,
    },
    Rule {
        name: "exit",
        sentence: "At the end of the process it calls `flush`, not `shutdown`: destructors of the application may still send.",
        help: "free nothing in destructors of static objects or atexit handlers that a thread or an instance still uses",
        is_gate: false,
        run: exit,
    },
    Rule {
        name: "fork",
        sentence: "After fork(), in the child, it never touches an instance that the parent made.",
        help: "hold no lock across fork() that a new instance needs, or forget it in the extension TRACER_EXT_AFTER_FORK; a \
               forked child makes instances of its own, exports, and exits. Who cannot says TRACER_CAP_NOT_IN_FORKED_CHILDREN",
        is_gate: false,
        run: fork,
    },
    Rule {
        name: "fork-exit",
        sentence: "a fault in a plugin ends the customer's process.",
        help: "in destructors of static objects and atexit handlers ask getpid() whether this is the process that made the \
               thread: in a forked child it is not there to be joined",
        is_gate: false,
        run: fork_exit,
    },
];

fn flush(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    for (timeout, when) in [
        (Duration::ZERO, "before anything was exported, with a timeout_ms of 0"),
        (TIMEOUT, "before anything was exported"),
    ] {
        let reply = instance.flush(timeout, Lending::Plain)?;
        if reply.code != TRACER_OK {
            case.broken(format!("flush returns {} {when}", reply.words()));
        }
    }
    case.needs_taken(&instance)?;
    let reply = instance.flush(TIMEOUT, Lending::Plain)?;
    if reply.code != TRACER_OK {
        case.broken(format!("flush returns {} after a batch was taken", reply.words()));
    }
    case.collector(Behaviour::Stalls);
    let reply = instance.flush(Duration::ZERO, Lending::Plain)?;
    if reply.took > Duration::from_secs(2) {
        case.broken(format!("flush took {:.1} s with a timeout_ms of 0", reply.took.as_secs_f64()));
    }
    if ![TRACER_OK, TRACER_ERR_TIMEOUT].contains(&reply.code) {
        case.broken(format!("flush returns {} with a timeout_ms of 0", code_name(reply.code)));
    }
    case.collector(Behaviour::Takes);
    case.expect_taken(&instance, 2, Lending::Plain, "after flush")?;
    case.end(instance)
}

fn shutdown(case: &Case) -> Tried {
    let table = case.table()?;
    let limit = Duration::from_millis(500);
    for (id, behaviour, when) in [
        (1, Behaviour::Takes, "after a batch was taken"),
        (2, Behaviour::Stalls, "after the backend did not answer"),
        (3, Behaviour::IsBusy, "after the backend was busy"),
    ] {
        let instance = case.created(&table, Peer::Collector)?;
        case.collector(behaviour);
        instance.export(&case.batch(id), limit, Lending::Plain)?;
        let reply = instance.shutdown(limit, Lending::Plain)?;
        if ![TRACER_OK, TRACER_ERR_TIMEOUT].contains(&reply.code) {
            case.broken(format!("shutdown returns {} {when}", reply.words()));
        }
        if reply.took > limit + Duration::from_secs(2) {
            case.broken(format!("shutdown took {:.1} s {when}, with a timeout_ms of 0.5 s", reply.took.as_secs_f64()));
        }
        // After TIMEOUT the host never calls it.
        if reply.code != TRACER_ERR_TIMEOUT {
            instance.destroy()?;
        }
    }
    let unused = case.created(&table, Peer::Collector)?;
    let reply = unused.shutdown(TIMEOUT, Lending::Plain)?;
    if reply.code != TRACER_OK {
        case.broken(format!("shutdown of an instance that was never used returns {}", reply.words()));
    }
    unused.destroy()?;
    Ok(())
}

fn destroy(case: &Case) -> Tried {
    let table = case.table()?;
    let before = process_view::threads().len();
    for _ in 0..3 {
        let instance = case.created(&table, Peer::Collector)?;
        instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
        instance.destroy()?;
        case.created(&table, Peer::Collector)?.destroy()?;
    }
    // What it keeps for the process may stay: fewer than one for each instance.
    if !process_view::soon(|| process_view::threads().len() < before + 6) {
        let names: Vec<_> = process_view::threads().into_values().collect();
        case.broken(format!(
            "instances were destroyed without shutdown, and their threads still run: {}",
            names.join(", ")
        ));
    }
    Ok(())
}

fn exit(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    instance.flush(TIMEOUT, Lending::Plain)?;
    // The instance is never destroyed, as at the end of a program.
    std::mem::forget(instance);
    case.desk.enters("the end of the process, in a destructor or an atexit handler of its own");
    case.desk.done();
    std::process::exit(0)
}

fn fork(case: &Case) -> Tried {
    let table = case.table()?;
    if table.stays_behind() {
        let why = "it says TRACER_CAP_NOT_IN_FORKED_CHILDREN: what forked workers send is not exported";
        return Err(Stop::Skipped(why.to_owned()));
    }
    let instance = case.created(&table, Peer::Collector)?;
    case.needs_taken(&instance)?;
    // Whether a lock is held at that moment is a matter of luck: it is tried more than once.
    for round in 0..4 {
        let config = case.config(&table, Peer::Collector);
        let end = signals::in_forked_child(CHILDS_PATIENCE, || {
            // The desk is the parent's: the child says by its status what came of it.
            let table = table.quiet();
            table.wake();
            let Ok(host) = crate::host::HostSide::new(crate::host::HostKind::Whole) else { return 10 };
            match table.validate(config.as_bytes(), Lending::Plain) {
                Ok(reply) if reply.code == TRACER_OK => {}
                _ => return 11,
            }
            let own = match table.create(config.as_bytes(), 1, host, Lending::Plain) {
                Ok((Some(own), _, _)) => own,
                Ok((None, reply, _)) if reply.code == TRACER_ERR_UNSUPPORTED => return 15,
                _ => return 12,
            };
            match own.export(&case.batch(100 + round), case.limit(), Lending::Plain) {
                Ok(reply) if reply.code == TRACER_OK => {}
                _ => return 13,
            }
            let ended = own.flush(TIMEOUT, Lending::Plain).and_then(|_| own.shutdown(TIMEOUT, Lending::Plain));
            if ended.is_err() || own.destroy().is_err() {
                return 14;
            }
            0
        })?;
        let what = match end {
            ChildEnd::Exit(0) => None,
            ChildEnd::Exit(15) => {
                let why = "in a forked child its create returns UNSUPPORTED: what forked workers send is not exported";
                return Err(Stop::Skipped(why.to_owned()));
            }
            ChildEnd::Exit(11) => Some("validate fails there".to_owned()),
            ChildEnd::Exit(12) => Some("create makes no instance there".to_owned()),
            ChildEnd::Exit(13) => Some("export_batch of a new instance fails there".to_owned()),
            ChildEnd::Exit(status) => Some(format!("it ends with status {status}")),
            ChildEnd::Signal(signal) => Some(format!("it is ended by {}", signals::name(signal))),
            ChildEnd::Hung => Some("it hangs".to_owned()),
        };
        if let Some(what) = what {
            return Err(Stop::Broken(format!("a forked child that makes an instance of its own: {what}")));
        }
        case.expect_taken(&instance, 2 + round, Lending::Plain, "in the parent after a fork")?;
    }
    case.end(instance)
}

fn fork_exit(case: &Case) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    instance.export(&case.batch(1), case.limit(), Lending::Plain)?;
    for _ in 0..3 {
        // It ends by `exit`, with all destructors, and leaves the parent's instance alone.
        match signals::in_forked_child(CHILDS_PATIENCE, || 0)? {
            ChildEnd::Exit(0) => {}
            ChildEnd::Exit(status) => {
                return Err(Stop::Broken(format!(
                    "a forked child that does nothing but exit ends with status {status}"
                )));
            }
            ChildEnd::Signal(signal) => {
                return Err(Stop::Broken(format!(
                    "a forked child that does nothing but exit is ended by {}",
                    signals::name(signal)
                )));
            }
            ChildEnd::Hung => return Err(Stop::Broken("a forked child that does nothing but exit hangs".to_owned())),
        }
    }
    let reply = instance.export(&case.batch(2), case.limit(), Lending::Plain)?;
    if reply.code == TRACER_ERR_PANIC {
        case.broken(format!("export_batch in the parent after a fork: {}", reply.words()));
    }
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

const CHILDS_PATIENCE: Duration = Duration::from_secs(4);
