//! Whether a process that wrote a status file is still there.

#![forbid(unsafe_code)]

use std::fs;

use serde_json::Value as Json;

/// How it is with a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Liveness {
    Running,
    /// It said good-bye.
    Ended,
    /// It is not there any more, and said nothing: killed, or crashed.
    Gone,
    /// It is not seen from here, and has written nothing for long.
    Stale,
}

impl Liveness {
    /// `now` in seconds since 1970.
    pub(super) fn of(document: &Json, now: f64) -> Self {
        if document.get("ended").and_then(Json::as_bool) == Some(true) {
            return Self::Ended;
        }
        let process = |key: &str| document.pointer(&format!("/process/{key}"));
        if let (Some(pid), Some(ticks), true) =
            (process("pid").and_then(Json::as_u64), process("start_ticks").and_then(Json::as_u64), is_seen(document))
        {
            // A number is given to others later, but not with the same beginning.
            return if start_of(pid) == Some(ticks) { Self::Running } else { Self::Gone };
        }
        // A process of another container, of another machine, or of before this machine was started.
        let written = document.get("written_at").and_then(Json::as_f64).unwrap_or_default();
        let interval = document.get("interval_seconds").and_then(Json::as_f64).unwrap_or(2.0);
        if now - written <= interval * MISSED { Self::Running } else { Self::Stale }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Ended => "ended",
            Self::Gone => "gone",
            Self::Stale => "stale",
        }
    }
}

/// Whether the process's number means the same here as it does to itself. The first namespace has the same name on every
/// machine, so the machine counts too, since it was started last; a library that is older does not say it.
pub(super) fn is_seen(document: &Json) -> bool {
    let said = |pointer: &str| document.pointer(pointer).and_then(Json::as_str);
    let here = fs::read_link("/proc/self/ns/pid").ok().map(|namespace| namespace.display().to_string());
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    let is_other_machine =
        said("/process/boot_id").zip(boot.as_deref()).is_some_and(|(theirs, ours)| theirs != ours.trim());
    here.as_deref() == said("/process/pid_namespace") && !is_other_machine
}

/// When the process began, in the kernel's ticks; `None` if there is none, or only what its parent has not fetched yet.
fn start_of(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// So many intervals without a word.
const MISSED: f64 = 15.0;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn own() -> (u64, u64, String) {
        let pid = u64::from(std::process::id());
        (pid, start_of(pid).unwrap(), fs::read_link("/proc/self/ns/pid").unwrap().display().to_string())
    }

    #[test]
    fn a_process_is_known_by_its_number_and_its_beginning() {
        let (pid, ticks, namespace) = own();
        let of = |pid: u64, ticks: u64, ended: bool| {
            let process = json!({ "pid": pid, "start_ticks": ticks, "pid_namespace": namespace });
            Liveness::of(&json!({ "ended": ended, "process": process, "written_at": 0 }), 1e9)
        };
        assert_eq!(of(pid, ticks, false), Liveness::Running);
        assert_eq!(of(pid, ticks + 1, false), Liveness::Gone, "the number is another's now");
        assert_eq!(of(u64::from(u32::MAX), ticks, false), Liveness::Gone);
        assert_eq!(of(u64::from(u32::MAX), ticks, true), Liveness::Ended);
    }

    #[test]
    fn a_process_of_another_machine_is_judged_by_when_it_wrote_though_its_number_is_unknown_here() {
        let (_, _, namespace) = own();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
        let of = |boot: &str, now: f64| {
            let process = json!({ "pid": u32::MAX, "start_ticks": 1, "pid_namespace": namespace, "boot_id": boot });
            let document = json!({ "ended": false, "process": process, "written_at": 100.0, "interval_seconds": 2 });
            (Liveness::of(&document, now), is_seen(&document))
        };
        assert_eq!(of(boot.trim(), 110.0), (Liveness::Gone, true));
        assert_eq!(of("5a1f", 110.0), (Liveness::Running, false));
        assert_eq!(of("5a1f", 200.0), (Liveness::Stale, false));
    }

    #[test]
    fn a_process_of_another_container_is_judged_by_when_it_wrote() {
        let of = |now: f64| {
            let process = json!({ "pid": 1, "start_ticks": 1, "pid_namespace": "pid:[1]" });
            let document = json!({ "ended": false, "process": process, "written_at": 100.0, "interval_seconds": 2 });
            Liveness::of(&document, now)
        };
        assert_eq!((of(110.0), of(200.0)), (Liveness::Running, Liveness::Stale));
    }
}
