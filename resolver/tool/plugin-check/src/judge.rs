//! The judge: starts a process for each rule, watches it, and says what came of it.

#![forbid(unsafe_code)]

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use serde_json::{Value as Json, json};

use crate::all_rules::rules;
use crate::collector::{Behaviour, Collector};
use crate::rule::Rule;
use crate::signals;

/// What is to be checked.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The plugin's file.
    pub file: PathBuf,
    /// Its settings; `{endpoint}`, `{address}` and `{folder}` in them are replaced. `None`: what its schema lets one guess.
    pub config: Option<Json>,
    /// The words with which the command's own program calls [`obey`](crate::obey).
    pub hidden_words: Vec<&'static str>,
    /// By name; empty: all.
    pub rules: Vec<String>,
}

/// What came of it.
#[derive(Debug)]
pub struct Checked {
    /// What the plugin says of itself: name, version, what the file needs. Empty where it does not come to that.
    pub about: Json,
    /// In the order in which they were tried.
    pub findings: Vec<Finding>,
}

/// How far a check has come.
#[derive(Clone, Copy, Debug)]
pub enum Step<'f> {
    /// This rule is being tried.
    Tries {
        /// Its name.
        rule: &'static str,
        /// From 1.
        number: usize,
        /// How many there are.
        of: usize,
    },
    /// What came of it.
    Found(&'f Finding),
}

/// What came of one rule.
#[derive(Debug)]
pub struct Finding {
    /// Its name.
    pub rule: &'static str,
    /// The header's sentence.
    pub sentence: &'static str,
    /// The way out.
    pub help: &'static str,
    /// How it is.
    pub outcome: Outcome,
}

/// How it is with one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The plugin keeps it, as far as it was tried.
    Kept,
    /// It does not: each way in which it does not.
    Broken(Vec<String>),
    /// It was not tried: why.
    Skipped(String),
}

/// Tries the rules. Takes some ten seconds for a plugin that keeps them all. `watch` hears each finding as it is made, and
/// before it which rule is tried, as a number from 1 and of how many.
///
/// # Errors
///
/// What this machine does not allow: no process, no socket.
pub fn check(wanted: &Wanted, watch: &mut dyn FnMut(Step<'_>)) -> io::Result<Checked> {
    let collector = Collector::open()?;
    let mut checked = Checked { about: json!({}), findings: Vec::new() };
    let mut barred: Option<&'static str> = None;
    let mut not_taken: Option<String> = None;
    let is_wanted = |rule: &Rule| wanted.rules.is_empty() || wanted.rules.iter().any(|name| name == rule.name);
    let rules: Vec<_> = rules().into_iter().filter(is_wanted).collect();
    for (index, rule) in rules.iter().enumerate() {
        watch(Step::Tries { rule: rule.name, number: index + 1, of: rules.len() });
        let outcome = match barred {
            Some(gate) => Outcome::Skipped(format!("means nothing before `{gate}` is kept")),
            None => {
                let what = json!({ "rule": rule.name, "not_taken": not_taken });
                let mut heard = tried(wanted, &collector, &what, Rule::PATIENCE, &mut |_| {})?;
                not_taken = heard.not_taken.take().or(not_taken);
                checked.about = merged(checked.about, &heard.about);
                heard.outcome()
            }
        };
        if rule.is_gate && matches!(outcome, Outcome::Broken(_)) {
            barred = Some(rule.name);
        }
        let finding = Finding { rule: rule.name, sentence: rule.sentence, help: rule.help, outcome };
        watch(Step::Found(&finding));
        checked.findings.push(finding);
    }
    Ok(checked)
}

/// What the process of one rule said, and how it ended.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    broken: Vec<String>,
    skipped: Option<String>,
    /// The backend takes no batch: why.
    not_taken: Option<String>,
    about: Json,
    /// The function of the plugin's that it was in last.
    within: Option<String>,
    is_done: bool,
    /// What came out of standard output.
    printed: Vec<u8>,
    /// The last line on standard error: a crash says there what it was.
    last_words: String,
    end: Option<ExitStatus>,
}

/// Starts the process, and answers it until it ends.
pub(crate) fn tried(
    wanted: &Wanted,
    collector: &Collector,
    what: &Json,
    patience: Duration,
    watch: &mut dyn FnMut(&Json),
) -> io::Result<Heard> {
    collector.behave(Behaviour::Takes);
    let folder = Folder::new()?;
    let job = json!({
        "file": fs::canonicalize(&wanted.file)?,
        "config": wanted.config,
        "collector": collector.address().to_string(),
        "silence": collector.silent()?.to_string(),
        "nobody": collector.closed().to_string(),
        "folder": folder.path,
    });
    let (ours, theirs) = UnixStream::pair()?;
    let mut command = Command::new(env::current_exe()?);
    command.args(&wanted.hidden_words).process_group(0).current_dir(&folder.path);
    // What traces this very process is not to trace that of a plugin; the runtime of a sanitizer has to be there.
    match env::var_os("LD_PRELOAD").map(|preloaded| without_ours(&preloaded.to_string_lossy())) {
        Some(others) if !others.is_empty() => command.env("LD_PRELOAD", others),
        _ => command.env_remove("LD_PRELOAD"),
    };
    command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    drop(command);
    let (printed, said) = (collected(child.stdout.take()), collected(child.stderr.take()));
    let heard = listened(&ours, &mut child, collector, &merged(job, what), patience, watch);
    // Whoever was forked may still hold what we read.
    let deadline = Instant::now() + Duration::from_millis(500);
    while !(printed.is_at_end() && said.is_at_end()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    let mut heard = heard?;
    heard.printed = printed.bytes();
    let said = said.bytes();
    let lines = String::from_utf8_lossy(&said).trim().to_owned();
    heard.last_words = lines.lines().last().unwrap_or_default().chars().take(200).collect();
    Ok(heard)
}

/// What is preloaded besides the library of ours.
fn without_ours(preloaded: &str) -> String {
    let libraries = preloaded.split([':', ' ']).filter(|library| !library.is_empty());
    let others = libraries.filter(|library| !library.ends_with("libtracer_interceptors.so"));
    others.collect::<Vec<_>>().join(":")
}

fn merged(mut job: Json, more: &Json) -> Json {
    if let (Some(job), Some(more)) = (job.as_object_mut(), more.as_object()) {
        job.extend(more.clone());
    }
    job
}

fn listened(
    socket: &UnixStream,
    child: &mut Child,
    collector: &Collector,
    job: &Json,
    patience: Duration,
    watch: &mut dyn FnMut(&Json),
) -> io::Result<Heard> {
    let mut heard = Heard::default();
    let deadline = Instant::now() + patience;
    // A process that is gone before it heard is found below.
    let _ = (&*socket).write_all(format!("{job}\n").as_bytes());
    let mut lines = BufReader::new(socket);
    let mut line = String::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left))?;
        match lines.read_line(&mut line) {
            // Closed, by the end of the process or by a plugin that closes what is not its own.
            Ok(0) => break,
            Ok(_) => {
                let said: Json = serde_json::from_str(&line).unwrap_or_default();
                line.clear();
                if let Some(answer) = heard.take(&said, collector, watch) {
                    let _ = (&*socket).write_all(format!("{answer}\n").as_bytes());
                }
                // What it forked may keep the socket open.
                if heard.is_done {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error),
        }
    }
    loop {
        if let Some(end) = child.try_wait()? {
            heard.end = Some(end);
            return Ok(heard);
        }
        if Instant::now() > deadline {
            signals::end_group(child.id());
            child.wait()?;
            return Ok(heard);
        }
        thread::sleep(Duration::from_millis(1));
    }
}

impl Heard {
    /// One line of the process's; what is to be answered.
    fn take(&mut self, said: &Json, collector: &Collector, watch: &mut dyn FnMut(&Json)) -> Option<Json> {
        let text = |key: &str| said.get(key).and_then(Json::as_str).map(str::to_owned);
        if let Some(within) = said.get("in") {
            self.within = within.as_str().map(str::to_owned);
        }
        self.broken.extend(text("broken"));
        self.skipped = text("skipped").or(self.skipped.take());
        self.not_taken = text("not_taken").or(self.not_taken.take());
        if let Some(line) = said.get("line") {
            watch(line);
        }
        if let Some(about) = said.get("about") {
            self.about = about.clone();
        }
        self.is_done |= said.get("done").is_some();
        if let Some(behaviour) = text("collector").as_deref().and_then(Behaviour::of) {
            collector.behave(behaviour);
            return Some(json!({}));
        }
        said.get("seen").map(|_| {
            let seen = collector.seen();
            json!({ "connections": seen.connections, "requests": seen.requests, "foreign": seen.is_foreign })
        })
    }

    pub(crate) fn outcome(self) -> Outcome {
        let mut broken = self.broken.clone();
        broken.extend(self.way_of_its_end());
        if !self.printed.is_empty() {
            let first: String =
                String::from_utf8_lossy(&self.printed).lines().next().unwrap_or_default().chars().take(80).collect();
            broken.push(format!("it printed on standard output, which is the application's: \"{first}\""));
        }
        match (broken.is_empty(), self.skipped) {
            (false, _) => Outcome::Broken(broken),
            (true, Some(why)) => Outcome::Skipped(why),
            (true, None) => Outcome::Kept,
        }
    }

    /// How the process ended, where it did not end by itself.
    fn way_of_its_end(&self) -> Option<String> {
        let place = match &self.within {
            Some(within) => format!("in {within}"),
            None => "outside of its functions, in a thread of its own or at the end of the process".to_owned(),
        };
        let said =
            if self.last_words.is_empty() { String::new() } else { format!("; last words: {}", self.last_words) };
        match self.end {
            None => Some(format!("it hangs {place}: the process had to be ended{said}")),
            Some(end) if end.signal().is_some() => {
                let signal = signals::name(end.signal().unwrap_or_default());
                Some(format!("the process was ended by {signal} {place}{said}"))
            }
            Some(end) if !self.is_done => {
                let status = end.code().unwrap_or_default();
                Some(format!("the plugin ended the process, with status {status}, {place}{said}"))
            }
            Some(end) if end.code() != Some(0) => {
                Some(format!("the process ended with status {}{said}", end.code().unwrap_or_default()))
            }
            Some(_) => None,
        }
    }
}

/// Reads a pipe to its end, or as far as it has come when it is asked.
fn collected(pipe: Option<impl Read + Send + 'static>) -> Pipe {
    let collected = Pipe::default();
    let theirs = collected.clone();
    if let Some(mut pipe) = pipe {
        // Without a thread what was printed is not known; the check goes on.
        let _ = thread::Builder::new().spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut bytes) {
                let mut all = theirs.bytes.lock().unwrap_or_else(PoisonError::into_inner);
                if all.len() < MOST_BYTES {
                    all.extend(bytes.get(..length).unwrap_or_default());
                }
            }
        });
    }
    collected
}

#[derive(Clone, Default)]
struct Pipe {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Pipe {
    fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The thread that reads is gone.
    fn is_at_end(&self) -> bool {
        Arc::strong_count(&self.bytes) == 1
    }
}

/// A folder for the files of one process, which is removed when this is dropped.
struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Of a check that was killed one may be left, and its number be this process's by now.
    fn new() -> io::Result<Self> {
        loop {
            let number = LAST.fetch_add(1, Ordering::Relaxed);
            let path = env::temp_dir().join(format!("tracer-plugin-check-{}-{number}", process::id()));
            match fs::create_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                made => return made.map(|()| Self { path }),
            }
        }
    }
}

/// The number of the next folder.
static LAST: AtomicU32 = AtomicU32::new(1);

impl Drop for Folder {
    fn drop(&mut self) {
        // Files of a process that was just ended: what cannot be removed is left to whoever cleans the folder.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Of one stream of a process.
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_another_check_has_left_is_in_nobody_s_way() {
        let left = Folder::new().unwrap();
        LAST.fetch_sub(1, Ordering::Relaxed);
        let own = Folder::new().unwrap();
        assert!(own.path != left.path && own.path.is_dir());
    }

    #[test]
    fn what_is_preloaded_stays_but_for_the_library_of_ours() {
        for (preloaded, others) in [
            ("/usr/lib/libtracer_interceptors.so", ""),
            ("/lib/libasan.so.8 /usr/lib/libtracer_interceptors.so", "/lib/libasan.so.8"),
            ("/usr/lib/libtracer_interceptors.so:libasan.so.8: /lib/b.so", "libasan.so.8:/lib/b.so"),
        ] {
            assert_eq!(without_ours(preloaded), others);
        }
    }
}
