//! Promise: what a process has put into its backend's spool arrives, once, whatever ends the process and for however long the
//! backend is away.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use words::foreign::{c_program, library};
use words::{LIMIT, Traced, WayIn};

/// Of one service, whose backend has a spool in `folder`.
fn traced(folder: &Path, more: &str) -> Traced {
    let spool = folder.join("spool");
    let configuration = format!(
        "[services.shop]\nproduces = [\"*\"]\n[batch]\ndelay = \"20ms\"\n[backends.otlp]\nspool = {spool:?}\n{more}"
    );
    Traced::start(&["orders"], &configuration)
}

/// Programs that send, and that nobody ends but by a kill.
struct Killed {
    child: Child,
    status: std::path::PathBuf,
}

impl Killed {
    fn start(traced: &Traced, program: &Path, folder: &Path, orders: usize, processes: usize) -> Self {
        let status = folder.join("status");
        std::fs::create_dir_all(&status).unwrap();
        let mut command = traced.command(WayIn::Preload, program);
        command.args([orders.to_string(), processes.to_string()]);
        command.env("INTERCEPTORS_STATUS", status.join("{pid}.json"));
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self { child: command.spawn().unwrap(), status }
    }

    /// The sum of a count of the backend over all processes.
    fn count(&self, name: &str) -> usize {
        let files = std::fs::read_dir(&self.status).unwrap().flatten();
        let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        let values = texts.filter_map(|text| serde_json::from_str::<serde_json::Value>(&text).ok());
        let of = |value: serde_json::Value| {
            value.pointer(&format!("/backends/0/{name}")).and_then(|count| count.as_u64()).unwrap_or(0) as usize
        };
        values.map(of).sum()
    }

    /// Waits until all are in the queue, and so in the spool, and kills them.
    fn kill_when_offered(mut self, spans: usize) {
        let until = Instant::now() + LIMIT;
        while self.count("offered") < spans {
            assert!(Instant::now() < until, "{} of {spans} offered", self.count("offered"));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill();
    }

    fn kill(&mut self) {
        // SAFETY: the group of our own child.
        unsafe { libc::kill(-i32::try_from(self.child.id()).unwrap(), libc::SIGKILL) };
        self.child.wait().unwrap();
    }
}

/// How often each span has arrived.
fn arrived(traced: &Traced) -> BTreeMap<String, usize> {
    let mut all = BTreeMap::new();
    for span in traced.collector.spans() {
        *all.entry(format!("{}/{}", span.trace_id, span.span_id)).or_default() += 1;
    }
    all
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let until = Instant::now() + LIMIT;
    while !is_so() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next process with this configuration.
fn next_process(traced: &Traced) -> Resolver {
    Resolver::load(Source::File(traced.file().to_owned())).unwrap()
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

#[test]
fn a_c_program_that_is_killed_while_its_collector_is_away_loses_no_span_and_doubles_none() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "c/killed.c", &[]) else { return };
    assert!(library().exists());
    for processes in [1, 3] {
        let work = tempfile::tempdir().unwrap();
        let traced = traced(work.path(), "retry = { initial = \"10ms\", max = \"50ms\", max_elapsed = \"300ms\" }");
        traced.collector.fail_with(503);
        let killed = Killed::start(&traced, &program, work.path(), 500, processes);
        killed.kill_when_offered(500 * processes);
        assert_eq!(traced.collector.spans().len(), 0);

        traced.collector.fail_with(200);
        let next = next_process(&traced);
        eventually("all arrive", || arrived(&traced).len() == 500 * processes);
        eventually("all is counted", || {
            next.stats().backends[0].spool.unwrap().exported_of_others as usize == 500 * processes
        });
        let spool = next.stats().backends[0].spool.unwrap();
        let twice: usize = arrived(&traced).values().map(|times| times - 1).sum();
        assert!(twice as u64 <= spool.maybe_twice, "{twice} arrived twice, {} told", spool.maybe_twice);
        assert_eq!((spool.damaged, spool.lost_of_others, spool.spans_of_others), (0, 0, 0));
        assert!(next.shutdown(Duration::from_secs(10)));
        assert_eq!(files_below(&work.path().join("spool")), 0, "nothing is left");
    }
}

#[test]
fn a_kill_in_the_midst_of_exports_loses_nothing_that_was_in_the_spool_and_tells_what_may_be_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "c/killed.c", &[]) else { return };
    let work = tempfile::tempdir().unwrap();
    let traced = traced(work.path(), "");
    // So slow that most are in hand or on their way.
    traced.collector.respond_after(Duration::from_millis(300));
    let killed = Killed::start(&traced, &program, work.path(), 500, 1);
    killed.kill_when_offered(500);
    traced.collector.respond_after(Duration::ZERO);
    let next = next_process(&traced);
    eventually("all arrive", || arrived(&traced).len() == 500);
    eventually("all is settled", || next.stats().backends[0].spool.unwrap().spans_of_others == 0);
    let spool = next.stats().backends[0].spool.unwrap();
    let twice: usize = arrived(&traced).values().map(|times| times - 1).sum();
    assert!(twice as u64 <= spool.maybe_twice, "{twice} arrived twice, {} told", spool.maybe_twice);
    assert!(next.shutdown(Duration::from_secs(10)));
}

#[test]
fn the_end_of_a_process_says_how_many_spans_are_in_the_spool_and_a_sum_adds_up() {
    let work = tempfile::tempdir().unwrap();
    let traced = traced(work.path(), "retry = { initial = \"10ms\", max = \"20ms\", max_elapsed = \"100ms\" }");
    traced.collector.fail_with(503);
    let log = words::LogLines::start();
    let producer = traced.producer();
    for _ in 0..40 {
        words::send(&producer, rdkafka::producer::BaseRecord::<str, str>::to("orders").payload("p"));
    }
    rdkafka::producer::Producer::flush(&producer, LIMIT).unwrap();
    eventually("they are in the spool", || {
        let stats = traced.resolver().stats();
        stats.backends[0].services.first().is_some_and(|of| of.spooled + of.waiting == 40 && of.spooled > 0)
    });
    traced.resolver().shutdown(Duration::from_secs(5));
    let stats = traced.resolver().stats();
    let of = &stats.backends[0].services[0];
    assert_eq!((of.offered, of.spooled, of.waiting, of.dropped_total(), of.exported), (40, 40, 0, 0, 0));
    let said = log.with(log::Level::Warn, "spans are in the spool");
    assert!(said.iter().any(|line| line.contains("40 spans are in the spool, and the next process")), "{said:?}");
    traced.collector.fail_with(200);
    let _next = next_process(&traced);
    eventually("they arrive", || arrived(&traced).len() == 40);
}
