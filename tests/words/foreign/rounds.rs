//! Many messages, a round at a time.

use std::collections::HashSet;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{LIMIT, Traced, run};

/// The file of a program of [`run_rounds`] that needs no services of its own.
pub const MANY: &str = r#"
    [services.many]
    topics = ["*"]
    [batch]
    delay = "100ms"
    [backends.otlp]
    # A round, in a debug build, where the collector of the tests may be slower than the program.
    queue_bytes = "64MiB"
"#;

/// What a program came to that sends and consumes messages in rounds.
pub struct Rounds {
    /// Spans of sent messages.
    pub sends: usize,
    /// Spans of consumed messages.
    pub receives: usize,
    /// Different ids among them all.
    pub ids: usize,
    /// Spans of consumed messages that are children of a sent message's span, each of another one's.
    pub connected: usize,
    /// KiB that were resident at the end of each round, when nothing was in hand.
    pub resident: Vec<i64>,
}

/// Runs a program that sends, consumes and has acknowledged `messages` messages a round, then waits for a file, `ROUND_DONE`
/// with the number of the round, from 0 on, behind it, and says its resident KiB in a line of stdout. The file comes once
/// all spans of the round have arrived, so that what is resident does not depend on the speed of a test's collector.
///
/// Panics when the program fails, or writes anything to stderr.
pub fn run_rounds(traced: &Traced, command: &mut Command, rounds: usize, messages: usize) -> Rounds {
    let folder = tempfile::tempdir().unwrap();
    let done = |round: usize| folder.path().join(round.to_string());
    command.env("ROUND_DONE", format!("{}/", folder.path().display()));
    let (mut sends, mut receives, mut ids, mut parents) = (HashSet::new(), 0, HashSet::new(), HashSet::new());
    let mut take = || {
        for span in traced.take_spans() {
            match span.kind.as_str() {
                "producer" => drop(sends.insert(span.span_id.clone())),
                "consumer" => {
                    receives += 1;
                    parents.insert(span.parent_span_id);
                }
                other => panic!("a span of kind {other:?}"),
            }
            ids.insert(span.span_id);
        }
        sends.len() + receives
    };
    let ended = std::thread::scope(|scope| {
        let program = scope.spawn(|| run(command));
        let mut until = Instant::now();
        for round in 0..rounds {
            // Once spans are missing they are not waited for again.
            if take() >= 2 * messages * round {
                until = Instant::now() + LIMIT;
            }
            while take() < 2 * messages * (round + 1) && Instant::now() < until && !program.is_finished() {
                std::thread::sleep(Duration::from_millis(20));
            }
            std::fs::write(done(round), "").unwrap();
        }
        program.join().unwrap()
    });
    take();
    ended.expect_success();
    assert_eq!(ended.stderr, "");
    let resident = ended.stdout.lines().map(|line| line.parse().unwrap()).collect();
    let connected = parents.intersection(&sends).count();
    Rounds { sends: sends.len(), receives, ids: ids.len(), connected, resident }
}

impl Rounds {
    /// Panics unless each of so many messages in all has a span of its sending and one of its receipt, with ids of their own.
    #[track_caller]
    pub fn expect_two_spans_each(&self, messages: usize) {
        assert_eq!((self.sends, self.receives, self.ids), (messages, messages, 2 * messages));
    }

    /// Panics when each message has left something behind. See tests/RATIONALE.md, "Why may resident memory grow by 24 MB in a
    /// test that nothing leaks?".
    #[track_caller]
    pub fn expect_nothing_left_behind(&self) {
        assert!(self.grown() < MOST_GROWTH_KIB, "{:?}", self.resident);
    }

    /// KiB that became resident after the second round, by which every buffer has its size.
    pub fn grown(&self) -> i64 {
        self.resident.last().unwrap() - self.resident.get(1).unwrap()
    }
}

/// 60,000 messages that each leave four hundred bytes behind, a message with its headers.
const MOST_GROWTH_KIB: i64 = 24_000;
