//! `Desk`: how the process of one rule and the judge talk: lines of JSON over the socket that is the process's stdin.

#![forbid(unsafe_code)]

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value as Json, json};

use crate::collector::{Behaviour, Seen};

/// The child's end. Any thread; a line at a time.
#[derive(Clone)]
pub(crate) struct Desk {
    socket: Arc<Mutex<BufReader<UnixStream>>>,
    /// A forked child's: the judge is its parent's, and it tells nothing.
    is_mute: bool,
}

impl Desk {
    pub(crate) fn new(socket: UnixStream) -> Self {
        Self { socket: Arc::new(Mutex::new(BufReader::new(socket))), is_mute: false }
    }

    /// The same for a forked child: another thread of the parent's may have held the lock.
    pub(crate) fn mute(&self) -> Self {
        Self { is_mute: true, ..self.clone() }
    }

    /// The judge's first line: what is to be tried.
    pub(crate) fn job(&self) -> io::Result<Json> {
        let mut line = String::new();
        self.socket.lock().unwrap_or_else(PoisonError::into_inner).read_line(&mut line)?;
        serde_json::from_str(&line).map_err(io::Error::other)
    }

    /// The plugin is about to be entered: were this the last thing heard, the judge knows where it was.
    pub(crate) fn enters(&self, what: &str) {
        self.tell(&json!({ "in": what }));
    }

    /// The plugin has returned.
    pub(crate) fn leaves(&self) {
        self.tell(&json!({ "in": Json::Null }));
    }

    pub(crate) fn broken(&self, what: &str) {
        self.tell(&json!({ "broken": what }));
    }

    pub(crate) fn skipped(&self, why: &str) {
        self.tell(&json!({ "skipped": why }));
    }

    /// The backend takes no batch: why.
    pub(crate) fn not_taken(&self, why: &str) {
        self.tell(&json!({ "not_taken": why }));
    }

    /// A line for who watches.
    pub(crate) fn line(&self, line: &Json) {
        self.tell(&json!({ "line": line }));
    }

    /// What the file says of itself.
    pub(crate) fn about(&self, about: &Json) {
        self.tell(&json!({ "about": about }));
    }

    /// What comes of the process after this is not the plugin's doing any more.
    pub(crate) fn done(&self) {
        self.tell(&json!({ "done": true }));
    }

    /// From now on the collector does this. It has heard it when this returns.
    pub(crate) fn collector(&self, behaviour: Behaviour) {
        self.asked(&json!({ "collector": behaviour.word() }));
    }

    pub(crate) fn seen(&self) -> Seen {
        let seen = self.asked(&json!({ "seen": true }));
        Seen {
            connections: seen.get("connections").and_then(Json::as_u64).unwrap_or_default(),
            requests: seen.get("requests").and_then(Json::as_u64).unwrap_or_default(),
            is_foreign: seen.get("foreign").and_then(Json::as_bool).unwrap_or_default(),
        }
    }

    /// Without a judge there is nobody to tell, and soon no process either: an error here needs no handling.
    fn tell(&self, line: &Json) {
        if self.is_mute {
            return;
        }
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = socket.get_mut().write_all(format!("{line}\n").as_bytes());
    }

    fn asked(&self, question: &Json) -> Json {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = String::new();
        let said = socket.get_mut().write_all(format!("{question}\n").as_bytes());
        match said.and_then(|()| socket.read_line(&mut answer)) {
            Ok(_) => serde_json::from_str(&answer).unwrap_or_default(),
            Err(_) => Json::Null,
        }
    }
}
