//! What the shop says while it works: one line that changes on a terminal, a line every second otherwise.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, LevelFilter, Log, Metadata, Record};
use tracer_resolver::Resolver;

use crate::board::Board;
use crate::kind::Kind;
use crate::order::Failure;
use crate::paint::{fit, thousands};
use crate::receivers::Receivers;

/// Speaks on stderr, and is the program's logger: the library's warnings stand above the line that changes.
pub(crate) struct Progress {
    screen: &'static Screen,
}

struct Screen {
    terminal: bool,
    /// The line that changes; empty when there is none.
    line: Mutex<String>,
}

impl Progress {
    /// Takes over stderr and the log. Once in a process.
    pub(crate) fn start() -> Self {
        let screen = Box::leak(Box::new(Screen { terminal: io::stderr().is_terminal(), line: Mutex::default() }));
        // It fails only if there is a logger already, which then says the same.
        if log::set_logger(screen).is_ok() {
            log::set_max_level(LevelFilter::Warn);
        }
        Progress { screen }
    }

    /// Says something above the line that changes.
    pub(crate) fn say(&self, text: &str) {
        self.screen.say(text);
    }

    /// Shows how far the shop is until it is done; stops the receiver of `kill` half-way.
    pub(crate) fn follow(&self, board: &Board, kill: Option<Kind>, receivers: &mut Receivers) -> Result<(), Failure> {
        let mut kill = kill;
        let (mut shown, mut moved, mut steps) = (Instant::now(), Instant::now(), 0);
        while !board.is_done() {
            std::thread::sleep(Duration::from_millis(50));
            receivers.collect();
            if let Some(kind) =
                kill.filter(|_| board.ordered.get() >= board.total.map_or(1_000, |total| total / 2).max(1))
            {
                receivers.kill(kind);
                kill = None;
                self.say(&format!("Killed the {} receiver after {} orders", kind.name(), board.ordered.get()));
            }
            if board.steps() != steps || !board.is_waited_for() {
                (moved, steps) = (Instant::now(), board.steps());
            } else if moved.elapsed() > PATIENCE {
                board.stop();
                return Err(Failure::new(format!("nothing has moved for {PATIENCE:?}: {}", state(board))));
            }
            if shown.elapsed() >= if self.screen.terminal { REDRAW } else { REPEAT } {
                shown = Instant::now();
                self.screen.show(&state(board));
            }
        }
        Ok(())
    }

    /// The last state, for good.
    pub(crate) fn end(&self, board: &Board) {
        self.screen.show(&state(board));
        self.screen.keep();
    }
}

/// Under 100 columns.
fn state(board: &Board) -> String {
    if board.ordered.get() == 0 {
        return "the consumers join their groups: Kafka waits 3 s for the members of a new one".to_owned();
    }
    let stats = Resolver::global().map(Resolver::stats).unwrap_or_default();
    let exported: u64 =
        stats.backends.iter().flat_map(|backend| &backend.services).map(|service| service.exported).sum();
    let bar = board.total.map_or_else(String::new, |total| {
        let done = (board.notified.get() * BAR as u64 / total.max(1)) as usize;
        format!("[{}] ", fit(&"=".repeat(done.min(BAR)), BAR))
    });
    let counts = [
        ("ordered", &board.ordered),
        ("paid", &board.accepted),
        ("declined", &board.declined),
        ("shipped", &board.shipped),
        ("notified", &board.notified),
    ];
    let counts = counts.map(|(name, counter)| format!("{name} {}", thousands(counter.get())));
    format!("{bar}{}, spans {}", counts.join(", "), thousands(exported))
}

impl Screen {
    fn say(&self, text: &str) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (clear, again) = if line.is_empty() { ("", "") } else { ("\r\x1b[K", line.as_str()) };
        write(&format!("{clear}{text}\n{again}"));
    }

    fn show(&self, text: &str) {
        if !self.terminal {
            return self.say(text);
        }
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that is broken cannot be drawn over: the terminal cuts what is too long.
        *line = format!("\x1b[?7l{text}\x1b[?7h");
        write(&format!("\r\x1b[K{line}"));
    }

    fn keep(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            write("\n");
            line.clear();
        }
    }
}

impl Log for Screen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.say(&format!("{}: {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

fn write(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

const BAR: usize = 8;
const REDRAW: Duration = Duration::from_millis(100);
const REPEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
