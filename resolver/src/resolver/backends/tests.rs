//! Backends that come and go with reloads, and what they leave to each other.

use super::*;
use crate::config::{Source, load};
use crate::export::test_words::{batch_of, eventually};
use crate::plugin::{PATIENCE, child_is_well};

/// Of one backend, which reports into `folder`.
fn config(folder: &tempfile::TempDir, report: &str) -> Config {
    config_of("b", &format!("config = {{ report = {:?} }}", folder.path().join(report)))
}

/// Of one backend with a spool in `folder`.
fn spooled(folder: &tempfile::TempDir, name: &str, mode: &str, report: &str) -> Config {
    let (spool, report) = (folder.path().join("spool"), folder.path().join(report));
    config_of(
        name,
        &format!(
            "config = {{ mode = \"{mode}\", report = {report:?} }}\nspool = {spool:?}\n\
             retry = {{ initial = \"10ms\", max = \"20ms\", max_elapsed = \"50ms\" }}"
        ),
    )
}

fn config_of(name: &str, settings: &str) -> Config {
    let text = format!(
        "version = 1\n[services.s]\ntopics = [\"t\"]\nexport = [\"{name}\"]\n[backends.{name}]\n\
         plugin = \"misbehaving\"\n{settings}\n"
    );
    load(Source::Text { name: "t.toml".to_owned(), text }).config.unwrap()
}

fn prepared(backends: &Backends, config: &Config) -> Prepared {
    let mut report = Report::new(String::new(), String::new());
    let prepared = backends.prepare(config, false, Waits::ForAll(PATIENCE), &mut report);
    assert!(!report.has_errors(), "{}", report.render(false));
    prepared
}

#[test]
fn what_a_reload_brings_after_the_end_is_ended_and_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let backends = Backends::new(Arc::new(Ledger::new()));
    assert!(backends.take_over(prepared(&backends, &config(&folder, "first"))).is_some());
    let late = prepared(&backends, &config(&folder, "late"));
    backends.end();
    assert!(backends.take_over(late).is_none());
    assert!(backends.shutdown(Instant::now() + CLOSING));
    let path = folder.path().join("late");
    let started = Instant::now();
    while !std::fs::read_to_string(&path).is_ok_and(|report| report.contains("destroy")) {
        assert!(started.elapsed() < Duration::from_secs(40), "it is ended on a thread of its own");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(backends.table.load().all().count(), 1);
}

/// Between the moment in which the new ones are there and the one in which rules lead to them.
#[test]
fn a_child_that_is_forked_in_the_midst_of_a_reload_goes_on_with_the_backends_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let backends = Arc::new(Backends::new(Arc::new(Ledger::new())));
    let first = prepared(&backends, &config(&folder, "first"));
    let number = first.numbers[0];
    backends.take_over(first).unwrap();
    backends.take_over(prepared(&backends, &config(&folder, "second"))).unwrap();
    assert!(child_is_well(|| {
        let works = backends.table.load().open(number).is_some_and(|known| known.queue().is_some());
        // Its own next reload says that it is replaced.
        backends.are_replaced_after(0);
        backends.close_before(1);
        works && backends.table.load().leaving.is_empty()
    }));
    backends.are_replaced_after(0);
    backends.close_before(1);
    backends.end();
    assert!(backends.shutdown(Instant::now() + CLOSING));
}

/// A backend that fails, with ten spans in its spool.
fn with_ten_in_the_spool(folder: &tempfile::TempDir) -> Arc<Backends> {
    let backends = Arc::new(Backends::new(Arc::new(Ledger::new())));
    let first = prepared(&backends, &spooled(folder, "b", "fail", "first"));
    let number = first.numbers[0];
    backends.take_over(first).unwrap();
    backends.offer(&[number], batch_of(1, 100, &[(0, 10)]));
    let of = backends.accounts().counters(0).services[0];
    assert_eq!((of.offered, of.kept + of.spooled), (10, 10));
    backends
}

#[test]
fn what_a_backend_of_before_a_reload_left_in_the_spool_is_counted_by_its_heir_and_else_stays_in_the_spool() {
    for (heir, spans) in [("b", 0), ("c", 10)] {
        let folder = tempfile::tempdir().unwrap();
        let backends = with_ten_in_the_spool(&folder);
        backends.take_over(prepared(&backends, &spooled(&folder, heir, "ok", "second"))).unwrap();
        backends.are_replaced_after(0);
        backends.close_before(1);
        eventually("it is closed", || backends.table.load().closing.is_empty());
        let of = backends.accounts().counters(0).services[0];
        assert_eq!((of.offered, of.spooled, of.waiting, of.exported), (spans, spans, 0, 0), "{heir}");
        backends.end();
        assert!(backends.shutdown(Instant::now() + CLOSING));
    }
}

#[test]
fn a_reload_that_is_refused_sends_nothing_of_what_others_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let before = with_ten_in_the_spool(&folder);
    before.end();
    before.shutdown(Instant::now() + CLOSING);
    let reported = |report: &str, word: &str| {
        std::fs::read_to_string(folder.path().join(report)).is_ok_and(|lines| lines.contains(word))
    };
    let backends = Backends::new(Arc::new(Ledger::new()));
    let refused = prepared(&backends, &spooled(&folder, "b", "ok", "refused"));
    // Whoever flushes has looked at the spool before.
    assert!(refused.fresh[0].running().unwrap().flush(Instant::now() + PATIENCE));
    Backends::give_up(refused);
    eventually("it is ended", || reported("refused", "destroy"));
    assert!(!reported("refused", "export"));
    backends.take_over(prepared(&backends, &spooled(&folder, "b", "ok", "taken"))).unwrap();
    eventually("they are sent", || reported("taken", "export"));
    backends.end();
    assert!(backends.shutdown(Instant::now() + CLOSING));
}
