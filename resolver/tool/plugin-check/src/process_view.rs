//! What a process is, as the kernel and the C library have it: to be compared before and after a plugin was at work.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::signals;

/// What belongs to the process, and a plugin leaves alone.
#[derive(PartialEq, Eq)]
pub(crate) struct Belongings {
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    locale: Vec<u8>,
    umask: String,
    /// What standard input, output and error are.
    streams: Vec<Option<PathBuf>>,
    nice: Vec<String>,
}

impl Belongings {
    pub(crate) fn now() -> Self {
        let mut environment: Vec<_> = env::vars_os().collect();
        environment.sort();
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self {
            environment,
            folder: env::current_dir().ok(),
            locale: signals::locale(),
            umask: status_line("/proc/self/status", "Umask:"),
            streams: (0..3).map(|number| fs::read_link(format!("/proc/self/fd/{number}")).ok()).collect(),
            nice: limits.lines().map(str::to_owned).collect(),
        }
    }

    /// What differs, in words.
    pub(crate) fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        let names = |list: &[(OsString, OsString)], other: &[(OsString, OsString)]| {
            let new = list.iter().filter(|variable| !other.contains(variable));
            new.map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let mut changed = names(&now.environment, &self.environment);
        changed.extend(names(&self.environment, &now.environment));
        changed.sort();
        changed.dedup();
        if !changed.is_empty() {
            changes.push(format!("the environment was changed: {}", changed.join(", ")));
        }
        if self.folder != now.folder {
            changes.push("the working directory was changed".to_owned());
        }
        if self.locale != now.locale {
            changes.push(format!("the locale was changed: {}", String::from_utf8_lossy(&now.locale)));
        }
        if self.umask != now.umask {
            changes.push(format!("the mask of new files was changed: {}", now.umask));
        }
        if self.nice != now.nice {
            changes.push("a limit of the process was changed (setrlimit)".to_owned());
        }
        for (number, (before, after)) in self.streams.iter().zip(&now.streams).enumerate() {
            if before != after {
                let name = ["standard input", "standard output", "standard error"].get(number).copied();
                changes.push(format!("{} was closed or replaced", name.unwrap_or_default()));
            }
        }
        changes
    }
}

/// The threads of this process by their number, each with its name.
pub(crate) fn threads() -> BTreeMap<String, String> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let numbers = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    numbers
        .filter_map(|number| {
            let name = fs::read_to_string(format!("/proc/self/task/{number}/comm")).ok()?;
            Some((number, name.trim_end().to_owned()))
        })
        .collect()
}

/// The signals that a thread lets through though it should block them.
pub(crate) fn let_through(thread: &str) -> Vec<i32> {
    let blocked = status_line(&format!("/proc/self/task/{thread}/status"), "SigBlk:");
    let blocked = u64::from_str_radix(&blocked, 16).unwrap_or(u64::MAX);
    // Without those that a fault of the thread itself raises, and those that Go's runtime lets through in all its threads,
    // whatever it was started with (`resolver/tool/RATIONALE.md`).
    let own = [
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGSEGV,
        libc::SIGBUS,
        libc::SIGFPE,
        libc::SIGILL,
        libc::SIGTRAP,
        libc::SIGSYS,
        libc::SIGABRT,
        libc::SIGPROF,
        libc::SIGSTKFLT,
        libc::SIGCHLD,
        libc::SIGURG,
        32,
        33,
    ];
    (1..=31).filter(|signal| !own.contains(signal) && blocked >> (signal - 1) & 1 == 0).collect()
}

/// The descriptors that are open, each with what it is.
pub(crate) fn descriptors() -> BTreeMap<u32, String> {
    let entries: Vec<_> = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten().collect();
    let of = |entry: &fs::DirEntry| {
        let number = entry.file_name().to_string_lossy().parse().ok()?;
        // That of the folder being read is closed by now.
        Some((number, fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned()))
    };
    entries.iter().filter_map(of).collect()
}

/// Waits until `is_so`, at most a second: a thread is listed for a moment after it was joined.
pub(crate) fn soon(is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(1);
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

fn status_line(file: &str, key: &str) -> String {
    let status = fs::read_to_string(file).unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default().trim().to_owned()
}
