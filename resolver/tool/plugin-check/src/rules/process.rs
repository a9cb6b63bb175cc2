//! What belongs to the process: threads, signals, environment, files.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::time::Duration;

use crate::case::{Case, TIMEOUT};
use crate::collector::Behaviour;
use crate::library::Lending;
use crate::process_view::{self, Belongings};
use crate::rule::Rule;
use crate::settings::Peer;
use crate::signals;
use crate::stop::Tried;

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "thread-signals",
        sentence: "Threads it starts block all signals.",
        help: "block all signals (pthread_sigmask) before a thread is started and restore them afterwards: a new thread has \
               the mask of the one that starts it",
        is_gate: false,
        run: thread_signals,
    },
    Rule {
        name: "threads-left",
        sentence: "When it returns no thread of the instance runs",
        help: "tell the threads to end and join them, in shutdown or destroy",
        is_gate: false,
        run: threads_left,
    },
    Rule {
        name: "signal-handlers",
        sentence: "It leaves alone what belongs to the process: environment, locale, working directory, signal handlers, stdin, \
                   stdout.",
        help: "no sigaction or signal; a write to a closed socket is made harmless by MSG_NOSIGNAL",
        is_gate: false,
        run: signal_handlers,
    },
    Rule {
        name: "belongings",
        sentence: "It leaves alone what belongs to the process: environment, locale, working directory, signal handlers, stdin, \
                   stdout.",
        help: "no setenv, setlocale, chdir, umask or setrlimit; newlocale and uselocale, openat and fchmod do the same for the \
               plugin alone",
        is_gate: false,
        run: belongings,
    },
    Rule {
        name: "descriptors",
        sentence: "Whoever allocates, frees.",
        help: "close in destroy what the instance opened",
        is_gate: false,
        run: descriptors,
    },
];

/// A life with good and bad answers, as far as until `shutdown`; `look` sees what is there then.
fn lived(case: &Case, look: impl FnOnce()) -> Tried {
    let table = case.table()?;
    let instance = case.created(&table, Peer::Collector)?;
    for (id, behaviour) in
        [(1, Behaviour::Takes), (2, Behaviour::IsBusy), (3, Behaviour::HangsUp), (4, Behaviour::Takes)]
    {
        case.collector(behaviour);
        instance.export(&case.batch(id), case.limit(), Lending::Plain)?;
    }
    case.collector(Behaviour::Stalls);
    instance.export(&case.batch(5), Duration::from_millis(200), Lending::Plain)?;
    case.collector(Behaviour::Takes);
    look();
    instance.flush(TIMEOUT, Lending::Plain)?;
    instance.shutdown(TIMEOUT, Lending::Plain)?;
    instance.destroy()?;
    Ok(())
}

fn thread_signals(case: &Case) -> Tried {
    let before = process_view::threads();
    lived(case, || {
        let new = process_view::threads().into_iter().filter(|(thread, _)| !before.contains_key(thread));
        let open: Vec<_> = new
            .map(|(thread, name)| (name, process_view::let_through(&thread)))
            .filter(|(_, open)| !open.is_empty())
            .collect();
        if let Some((name, signals)) = open.first() {
            let shown: Vec<_> = signals.iter().take(3).map(|signal| signals::name(*signal)).collect();
            let more = if open.len() > 1 { format!(" (and {} more threads)", open.len() - 1) } else { String::new() };
            case.broken(format!(
                "its thread \"{name}\"{more} does not block {}{}: the application's handlers may run on it",
                shown.join(", "),
                if signals.len() > 3 { format!(" and {} others", signals.len() - 3) } else { String::new() }
            ));
        }
    })
}

fn threads_left(case: &Case) -> Tried {
    grown(case, "threads", &|| process_view::threads().len(), &|| {
        let names: BTreeMap<_, _> = process_view::threads().into_values().map(|name| (name, ())).collect();
        names.into_keys().collect::<Vec<_>>().join(", ")
    })
}

fn descriptors(case: &Case) -> Tried {
    grown(case, "files or sockets", &|| process_view::descriptors().len(), &|| {
        let names: Vec<_> = process_view::descriptors().into_values().collect();
        names.into_iter().rev().take(3).collect::<Vec<_>>().join(", ")
    })
}

/// What a plugin keeps for the process is there after the first lives; what every further one leaves behind is forgotten.
fn grown(case: &Case, what: &str, count: &dyn Fn() -> usize, names: &dyn Fn() -> String) -> Tried {
    const LIVES: usize = 3;
    for _ in 0..2 {
        lived(case, || {})?;
    }
    // A thread is listed for a moment after it was joined.
    std::thread::sleep(Duration::from_millis(100));
    let before = count();
    for _ in 0..LIVES {
        lived(case, || {})?;
    }
    if !process_view::soon(|| count() < before + LIVES) {
        case.broken(format!(
            "{LIVES} instances were destroyed, and {} {what} are left of them: {}",
            count() - before,
            names()
        ));
    }
    Ok(())
}

fn signal_handlers(case: &Case) -> Tried {
    let before = signals::dispositions();
    case.table()?;
    let compare = |when: &str, before: &[(i32, usize, i32)]| {
        let now = signals::dispositions();
        let changed: Vec<_> =
            before.iter().zip(&now).filter(|(one, other)| one != other).map(|(one, _)| signals::name(one.0)).collect();
        if !changed.is_empty() {
            case.broken(format!("{when} the process has other handlers than before: {}", changed.join(", ")));
        }
        now
    };
    let now = compare("when it is loaded", &before);
    lived(case, || drop(compare("when batches were exported,", &now)))?;
    compare("when its instance was destroyed,", &now);
    Ok(())
}

fn belongings(case: &Case) -> Tried {
    let before = Belongings::now();
    lived(case, || {})?;
    before.changes(&Belongings::now()).into_iter().for_each(|change| case.broken(change));
    Ok(())
}
