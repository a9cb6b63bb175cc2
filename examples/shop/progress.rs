//! What the shop says while it works: one line that changes on a terminal, a line every second otherwise.

use std::time::{Duration, Instant};

use log::LevelFilter;
use tracer_resolver::Resolver;

use crate::board::Board;
use crate::kind::Kind;
use crate::order::Failure;
use crate::paint::{fit, thousands};
use crate::receivers::Receivers;
use crate::screen::Screen;

/// Speaks on stderr, and is the program's logger: the library's warnings stand above the line that changes.
pub(crate) struct Progress {
    screen: &'static Screen,
}

impl Progress {
    /// Takes over stderr and the log. Once in a process.
    pub(crate) fn start() -> Self {
        let screen = Box::leak(Box::new(Screen::stderr()));
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
            if shown.elapsed() >= if self.screen.is_terminal() { REDRAW } else { REPEAT } {
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

const BAR: usize = 8;

const REDRAW: Duration = Duration::from_millis(100);
const REPEAT: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(30);
