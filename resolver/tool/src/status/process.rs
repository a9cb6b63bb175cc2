//! One process, as its status file has it, and several as tables.

#![forbid(unsafe_code)]

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::liveness::{self, Liveness};
use super::table::Table;
use crate::terminal;

/// See the module.
pub(super) struct Process {
    file: String,
    document: Json,
    liveness: Liveness,
    /// Seconds since it was written.
    age: f64,
    now: f64,
}

impl Process {
    pub(super) fn new(path: &Path, document: Json) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let written = document.get("written_at").and_then(Json::as_f64).unwrap_or_default();
        let liveness = Liveness::of(&document, now);
        Self { file: path.display().to_string(), liveness, age: (now - written).max(0.0), now, document }
    }

    /// Whether it traces, and a topic that it has met, by what its file says now; its end was seen if it has ended, and its
    /// backends take what it sends.
    pub(super) fn is_well(&self) -> bool {
        self.troubles().is_empty()
    }

    /// What is wrong with it, each in a few words.
    fn troubles(&self) -> Vec<String> {
        let mut troubles = Vec::new();
        match self.liveness {
            Liveness::Running | Liveness::Ended => {}
            Liveness::Gone => troubles.push("it is gone without an end: killed, or crashed".to_owned()),
            Liveness::Stale => troubles.push("it has written nothing for long".to_owned()),
        }
        let topics = self.list("/topics");
        if !self.is_tracing() {
            troubles.push("tracing is off".to_owned());
        } else if !topics.is_empty() && !topics.iter().any(|topic| is_true(topic, "/traced")) {
            let only = if topics.len() == 1 { "the topic that it met is" } else { "none of the topics that it met is" };
            let not = if topics.len() == 1 { " not" } else { "" };
            troubles.push(format!("{only}{not} traced"));
        }
        if let Some(why) = self.refused() {
            troubles.push(format!("what its file says now is not in effect: {why}"));
        }
        troubles.extend(self.list("/backends").iter().filter_map(trouble));
        troubles
    }

    /// What it wrote, and what is known beside.
    pub(super) fn json(&self) -> Json {
        let mut document = self.document.clone();
        if let Some(fields) = document.as_object_mut() {
            fields.insert("file".to_owned(), json!(self.file));
            fields.insert("state".to_owned(), json!(self.liveness.word()));
            fields.insert("not_well".to_owned(), json!(self.troubles()));
        }
        document
    }

    /// Its number, while it runs and is seen from here: in another container a number is another process's.
    pub(super) fn running(&self) -> Option<u32> {
        let runs = self.liveness == Liveness::Running && liveness::is_seen(&self.document);
        u32::try_from(number(&self.document, "/process/pid")).ok().filter(|_| runs)
    }

    fn pid(&self) -> String {
        number(&self.document, "/process/pid").to_string()
    }

    /// What runs: the script of an interpreter, else the program.
    fn program(&self) -> String {
        let script = word(&self.document, "/process/script");
        let program = word(&self.document, "/process/program");
        let program = program.rsplit('/').next().unwrap_or(program);
        if script.is_empty() { program.to_owned() } else { format!("{program} {script}") }
    }

    fn configuration(&self) -> String {
        let file = word(&self.document, "/configuration/file");
        let hash: String = word(&self.document, "/configuration/sha256").chars().take(8).collect();
        let off = if self.is_tracing() { "" } else { "OFF: " };
        match word(&self.document, "/configuration/from") {
            "environment" => "the environment".to_owned(),
            _ if hash.is_empty() => format!("{off}{file}"),
            _ => format!("{off}{file} (sha256 {hash}…)"),
        }
    }

    /// How often the configuration was read again while it ran; nothing if it never was.
    fn reloads(&self) -> String {
        match (number(&self.document, "/reloads/taken"), number(&self.document, "/reloads/refused")) {
            (0, 0) => String::new(),
            (taken, 0) => taken.to_string(),
            (taken, refused) => format!("{taken}, {refused} refused"),
        }
    }

    /// How many of its new traces begin; nothing while all do.
    fn new_traces(&self) -> String {
        let of = |pointer: &str| self.document.pointer(pointer);
        let threshold = of("/new_traces/threshold").and_then(Json::as_str);
        match (of("/new_traces/share").and_then(Json::as_f64).unwrap_or(1.0), threshold) {
            (share, _) if share >= 1.0 => String::new(),
            (share, Some(threshold)) => format!("{} begin, th:{threshold}", in_hundred(share)),
            (share, None) => format!("{} begin", in_hundred(share)),
        }
    }

    /// How many traces it has not begun because more came than its backends took.
    fn shed(&self) -> u64 {
        self.list("/services").iter().map(|service| number(service, "/shed")).sum()
    }

    /// Why what its file says now is not in effect: the first line that says so.
    fn refused(&self) -> Option<&str> {
        let message = self.document.pointer("/reloads/last_error/message").and_then(Json::as_str)?;
        message.lines().find(|line| line.starts_with("error")).or_else(|| message.lines().next())
    }

    fn is_tracing(&self) -> bool {
        is_true(&self.document, "/tracing")
    }

    fn list(&self, pointer: &str) -> &[Json] {
        self.document.pointer(pointer).and_then(Json::as_array).map_or(&[], Vec::as_slice)
    }
}

/// What is counted of a topic.
const COUNTS: [&str; 4] = ["/spans", "/sampled_out", "/not_injected", "/without_span"];

/// Tables of all, and at last what is wrong with whom.
pub(super) fn text(processes: &[Process], colors: bool, width: Option<usize>) -> String {
    let mut head = Table::new(&[
        "PROCESS",
        "STATE",
        "WRITTEN",
        "LIBRARY",
        "PROGRAM",
        "CONFIGURATION",
        "RELOADS",
        "NEW TRACES",
        "SHED",
    ]);
    let mut problems = Table::new(&["PROCESS", "SEVERITY", "LINE", "CODE", "PROBLEM"]);
    let mut clients = Table::new(&["PROCESS", "CLIENT", "SIDE", "GROUP"]);
    let mut topics = Table::new(&[
        "PROCESS",
        "TOPIC",
        "SIDE",
        "SPANS",
        "SAMPLED OUT",
        "NO HEADER",
        "WITHOUT SPAN",
        "SERVICE",
        "WHY",
    ]);
    let mut backends = Table::new(&[
        "PROCESS",
        "BACKEND",
        "PLUGIN",
        "STATE",
        "EXPORTED",
        "LAST EXPORT",
        "WAITING",
        "LOST",
        "RETRIES",
        "QUEUE",
        "ITS PLUGIN COUNTS",
        "REASONS",
        "LAST ERROR",
    ]);
    for process in processes {
        let pid = process.pid();
        head.row([
            pid.clone(),
            process.liveness.word().to_owned(),
            ago(process.age),
            word(&process.document, "/library/version").to_owned(),
            process.program(),
            process.configuration(),
            process.reloads(),
            process.new_traces(),
            process.shed().to_string(),
        ]);
        for problem in process.list("/configuration/problems") {
            problems.row([
                pid.clone(),
                word(problem, "/severity").to_owned(),
                number_or_nothing(problem, "/line"),
                word(problem, "/code").to_owned(),
                word(problem, "/message").to_owned(),
            ]);
        }
        if let Some(refused) = process.refused() {
            let cells = ["error", "", "", &format!("not reloaded: {refused}")].map(str::to_owned);
            problems.row([pid.clone()].into_iter().chain(cells));
        }
        for client in process.list("/clients") {
            let cells = ["/client_id", "/side", "/group_id"].map(|key| word(client, key).to_owned());
            clients.row([pid.clone()].into_iter().chain(cells));
        }
        for topic in process.list("/topics") {
            topics.row(topic_row(&pid, word(topic, "/name"), topic));
        }
        if let Some(beyond) = process.document.get("topics_beyond").filter(|beyond| seen(beyond) > 0) {
            topics.row(topic_row(&pid, "(all further ones)", beyond));
        }
        for backend in process.list("/backends") {
            backends.row(backend_row(&pid, backend, process.now));
        }
    }
    let tables = [head, problems, clients, topics, backends];
    let tables = tables.iter().filter(|table| !table.is_empty()).map(|table| table.text(colors, width));
    let mut text = tables.collect::<Vec<_>>().join("\n");
    let ill = processes.iter().map(|process| (process.pid(), process.troubles()));
    let ill: Vec<_> = ill.filter(|(_, troubles)| !troubles.is_empty()).collect();
    if !ill.is_empty() {
        text.push_str("\nnot well:\n");
    }
    for (pid, troubles) in ill {
        let line = format!("{pid:>7}  {}", terminal::clean(&troubles.join("; ")));
        text.push_str(&terminal::folded(&line, 9, width));
        text.push('\n');
    }
    text
}

fn topic_row(pid: &str, name: &str, topic: &Json) -> Vec<String> {
    let counts = COUNTS.map(|key| number(topic, key).to_string());
    let words = [pid, name, word(topic, "/side")].map(str::to_owned);
    let service = match word(topic, "/service") {
        "" => "-",
        service => service,
    };
    let rest = [service, word(topic, "/why")].map(str::to_owned);
    words.into_iter().chain(counts).chain(rest).collect()
}

fn backend_row(pid: &str, backend: &Json, now: f64) -> Vec<String> {
    let held = number(backend, "/queue/held_bytes");
    let most = number(backend, "/queue/most_bytes").max(1);
    let reasons = backend.get("dropped").and_then(Json::as_object);
    let reasons = reasons.into_iter().flatten().map(|(reason, spans)| format!("{spans} {reason}"));
    let refused = number(backend, "/rejected");
    let refused = (refused > 0).then(|| format!("{refused} refused in batches that were taken"));
    let error = match word(backend, "/last_error/message") {
        "" => String::new(),
        message => {
            let at = backend.pointer("/last_error/at").and_then(Json::as_f64).unwrap_or(now);
            format!("{}: {message}", ago((now - at).max(0.0)))
        }
    };
    let words = [pid, word(backend, "/name"), word(backend, "/plugin"), word(backend, "/state")].map(str::to_owned);
    let exported = backend.get("last_export_at").and_then(Json::as_f64);
    let exported = exported.map_or_else(String::new, |at| ago((now - at).max(0.0)));
    let counts = [number(backend, "/waiting"), lost(backend), number(backend, "/retries")];
    let fill = if held == 0 { "0".to_owned() } else { format!("{} %", (held * 100).div_ceil(most)) };
    let spooled = number(backend, "/spool/spans") + number(backend, "/spool/spans_of_others");
    let fill = if spooled == 0 { fill } else { format!("{fill}, {spooled} in the spool") };
    let share = backend.get("share_of_traces").and_then(Json::as_f64).unwrap_or(1.0);
    let fill = if share < 1.0 { format!("{fill}: room for {} traces", in_hundred(share)) } else { fill };
    let reasons: Vec<_> = reasons.chain(refused).collect();
    let taken = [number(backend, "/exported").to_string(), exported];
    let counts = counts.map(|count| count.to_string());
    let own = plugin_counts(backend);
    words.into_iter().chain(taken).chain(counts).chain([fill, own, reasons.join(", "), error]).collect()
}

/// What only the plugin knows: what went over the wire, and how often in vain. Empty if it has counted nothing.
fn plugin_counts(backend: &Json) -> String {
    let Some(own) = backend.get("counted_by_the_plugin").filter(|own| own.is_object()) else { return String::new() };
    let some = |key: &str, what: &str| {
        let count = number(own, key);
        (count > 0).then(|| format!("{count} {what}"))
    };
    let items = number(own, "/items_sent");
    let items = (items > 0).then(|| tracer_resolver::counted(items, "item"));
    let rest = [
        some("/bytes_sent", "bytes"),
        some("/items_rejected", "refused"),
        some("/batches_failed", "calls failed"),
        some("/reconnects", "reconnects"),
        some("/in_flight", "under way"),
    ];
    items.into_iter().chain(rest.into_iter().flatten()).collect::<Vec<_>>().join(", ")
}

/// What is wrong with a backend. One that starts, and one to which nothing was sent, is not known to be ill, and one that a
/// reload has taken away is not to take anything.
fn trouble(backend: &Json) -> Option<String> {
    let (name, state, lost) = (word(backend, "/name"), word(backend, "/state"), lost(backend));
    let is_ill = !matches!(state, "healthy" | "starting" | "untried" | "removed");
    let lost = (lost > 0).then(|| format!("{} lost", tracer_resolver::counted(lost, "span")));
    match (is_ill, lost) {
        (false, None) => None,
        (false, Some(lost)) => Some(format!("backend `{name}`: {lost}")),
        (true, None) => Some(format!("backend `{name}` is {state}")),
        (true, Some(lost)) => Some(format!("backend `{name}` is {state}: {lost}")),
    }
}

/// A share that is less than one, and is not to be taken for none.
fn in_hundred(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0 in 100".to_owned(),
        share if share < 1.0 => "fewer than 1 in 100".to_owned(),
        share => format!("{share:.0} in 100"),
    }
}

fn lost(backend: &Json) -> u64 {
    let dropped = backend.get("dropped").and_then(Json::as_object);
    let dropped: u64 = dropped.into_iter().flatten().filter_map(|(_, spans)| spans.as_u64()).sum();
    dropped + number(backend, "/rejected")
}

fn seen(topic: &Json) -> u64 {
    COUNTS.iter().map(|key| number(topic, key)).sum()
}

fn is_true(value: &Json, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Json::as_bool) == Some(true)
}

fn word<'a>(value: &'a Json, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
}

fn number(value: &Json, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Json::as_u64).unwrap_or_default()
}

fn number_or_nothing(value: &Json, pointer: &str) -> String {
    value.pointer(pointer).and_then(Json::as_u64).map(|number| number.to_string()).unwrap_or_default()
}

fn ago(seconds: f64) -> String {
    match seconds as u64 {
        seconds @ 0..120 => format!("{seconds} s ago"),
        seconds @ 120..7200 => format!("{} min ago", seconds / 60),
        seconds => format!("{} h ago", seconds / 3600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_many_traces_begin_and_how_many_were_shed_is_told_of_a_process() {
        let of = |new_traces: Json, shed: [u64; 2]| {
            let document = json!({"new_traces": new_traces, "services": shed.map(|shed| json!({"shed": shed}))});
            let process = Process::new(Path::new("a.json"), document);
            (process.new_traces(), process.shed())
        };
        assert_eq!(of(json!({"share": 0.1, "threshold": "e666"}), [3, 4]), ("10 in 100 begin, th:e666".to_owned(), 7));
        assert_eq!(of(json!({"share": 1.0, "threshold": null}), [3, 0]), (String::new(), 3));
        assert_eq!(of(json!({"share": 0.0, "threshold": null}), [0, 0]).0, "0 in 100 begin");
        assert_eq!(
            of(json!({"share": 0.001, "threshold": "ffbe77"}), [0, 0]).0,
            "fewer than 1 in 100 begin, th:ffbe77"
        );
        assert_eq!(of(Json::Null, [0, 0]), (String::new(), 0), "one of before that was told");
    }

    #[test]
    fn a_backend_that_starts_or_that_a_reload_took_away_is_not_ill_and_what_it_lost_is_told_all_the_same() {
        let trouble_of = |state: &str, lost: u64| trouble(&json!({"name": "b", "state": state, "rejected": lost}));
        for state in ["healthy", "starting", "untried", "removed"] {
            assert_eq!(trouble_of(state, 0), None, "{state}");
            assert_eq!(trouble_of(state, 2).as_deref(), Some("backend `b`: 2 spans lost"), "{state}");
        }
        for state in ["refusing", "retrying", "stuck", "out_of_service"] {
            assert_eq!(trouble_of(state, 0).unwrap(), format!("backend `b` is {state}"));
        }
    }
}
