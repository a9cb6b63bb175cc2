//! Promise: a traced program takes little more than its untraced twin: memory with one client, with many, and in every
//! forked worker, and processor time until its first client is there. The figures are in the documentation, with what they
//! may be at most.
//!
//! ```sh
//! WRITE_COSTS=1 cargo test --release --test costs
//! ```
//!
//! writes the figures. What is promised is promised of a release build; another one has more code, and is allowed that.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use words::foreign::c_program;
use words::{Traced, WayIn, run};

const CONFIGURATION: &str = "[services.shop]\ntopics = [\"*\"]\n[batch]\ndelay = \"100ms\"\n";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/resolver/librdkafka/docs/process.md");

/// A row of the table.
struct Cost {
    /// Its first cell.
    what: &'static str,
    /// Arguments of `tests/c/costs.c`.
    arguments: &'static [&'static str],
    /// Messages that it sends.
    messages: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Memory that is resident: code too.
    Resident,
    /// Memory that no other process shares.
    Private,
    /// Of a processor.
    Time,
}

const COSTS: [Cost; 6] = [
    Cost {
        what: "memory: one producer, one message",
        arguments: &["producers", "1"],
        messages: 1,
        kind: Kind::Resident,
    },
    Cost {
        what: "memory: one producer that goes on sending",
        arguments: &["steady", "20"],
        messages: 20,
        kind: Kind::Resident,
    },
    Cost {
        what: "memory: 200 producers, a message each",
        arguments: &["producers", "200"],
        messages: 200,
        kind: Kind::Resident,
    },
    Cost {
        what: "private memory of each of 8 forked workers",
        arguments: &["workers", "8"],
        messages: 8,
        kind: Kind::Private,
    },
    Cost {
        what: "the same, forked by a process that has a producer",
        arguments: &["prefork", "8"],
        messages: 9,
        kind: Kind::Private,
    },
    Cost {
        what: "processor time until the first client is there",
        arguments: &["first"],
        messages: 0,
        kind: Kind::Time,
    },
];

#[test]
fn tracing_costs_no_more_than_the_documentation_says() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "c/costs.c", &[]) else { return };
    let mut page = std::fs::read_to_string(PAGE).unwrap();
    for cost in &COSTS {
        let untraced = cost.of(WayIn::None, &program);
        let added = WayIn::EACH.map(|way| cost.of(way, &program) - untraced);
        let added = added.into_iter().max().unwrap();
        let row = page.lines().find(|line| line.starts_with(&format!("| {} |", cost.what)));
        let row = row.unwrap_or_else(|| panic!("the documentation has no row for: {}", cost.what)).to_owned();
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let (at_most, documented) = (cost.kind.read(cells[2]), cost.kind.read(cells[3]));
        println!("{}: {} ({untraced} untraced)", cost.what, cost.kind.said(added));
        assert!(documented <= at_most, "the documentation breaks its own promise: {row}");
        assert!(added <= cost.kind.allowed(at_most), "{} is not kept: {}", row, cost.kind.said(added));
        if std::env::var_os("WRITE_COSTS").is_some() {
            let fresh = format!("| {} | {} | {} |", cost.what, cells[2], cost.kind.said(added));
            page = page.replace(&row, &fresh);
            std::fs::write(PAGE, &page).unwrap();
        }
    }
}

impl Cost {
    /// What the program says of itself, in KiB or microseconds: the least of several runs, since whatever else the
    /// machine does only adds to it.
    fn of(&self, way: WayIn, program: &Path) -> i64 {
        let runs = match self.kind {
            Kind::Resident => 1,
            Kind::Private => 3,
            Kind::Time => 10,
        };
        (0..runs).map(|_| self.run(way, program)).min().unwrap()
    }

    fn run(&self, way: WayIn, program: &Path) -> i64 {
        let traced = Traced::start(&["orders"], CONFIGURATION);
        let folder = tempfile::tempdir().unwrap();
        let done = folder.path().join("done");
        let mut command: Command = traced.command(way, program);
        command.args(self.arguments).env("DONE", &done);
        let spans = if way == WayIn::None { 0 } else { self.messages };
        let ended = std::thread::scope(|scope| {
            let program = scope.spawn(|| run(&mut command));
            let until = Instant::now() + Duration::from_secs(30);
            while traced.collector.spans().len() < spans && Instant::now() < until && !program.is_finished() {
                std::thread::sleep(Duration::from_millis(10));
            }
            std::fs::write(&done, "").unwrap();
            program.join().unwrap()
        });
        ended.expect_success();
        assert_eq!(ended.stderr, "", "{way:?}");
        assert_eq!(traced.spans().len(), spans, "{way:?}");
        ended.stdout.trim().parse().unwrap()
    }
}

impl Kind {
    fn read(self, cell: &str) -> i64 {
        let (number, unit) = cell.split_once(' ').unwrap();
        assert_eq!(unit, self.unit());
        (number.parse::<f64>().unwrap() * self.parts()).round() as i64
    }

    fn said(self, parts: i64) -> String {
        format!("{:.1} {}", parts as f64 / self.parts(), self.unit())
    }

    fn unit(self) -> &'static str {
        if self == Kind::Time { "ms" } else { "MiB" }
    }

    /// KiB, or microseconds, in a unit.
    fn parts(self) -> f64 {
        if self == Kind::Time { 1000.0 } else { 1024.0 }
    }

    /// What this build may take where so much is promised. Without optimisation there is some 10 MiB more of code, and it
    /// takes its time; a busy machine takes processor time too.
    fn allowed(self, promised: i64) -> i64 {
        match (self, cfg!(debug_assertions)) {
            (Kind::Resident | Kind::Private, false) => promised,
            (Kind::Resident, true) => promised + 16 * 1024,
            (Kind::Private, true) => 2 * promised,
            (Kind::Time, false) => 3 * promised,
            (Kind::Time, true) => 20 * promised,
        }
    }
}
