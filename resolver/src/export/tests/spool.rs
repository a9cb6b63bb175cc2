//! A queue with a spool: what it may not lose, and what it sends when it can.

use std::collections::BTreeMap;
use std::path::Path;

use super::*;
use crate::config;

type Sent = Arc<Mutex<BTreeMap<u8, u32>>>;

/// A queue whose batches are each of one byte, by which they are known when they arrive.
struct Spooled {
    queue: Arc<BackendQueue>,
    /// How often each has arrived.
    sent: Sent,
    answers: Arc<Mutex<Outcome>>,
}

impl Spooled {
    fn start(folder: &Path, answer: Outcome) -> Self {
        Self::start_with(folder, answer, |_| {})
    }

    fn start_with(folder: &Path, answer: Outcome, change: impl FnOnce(&mut config::Backend)) -> Self {
        let spooled = Self::start_unused(folder, answer, change);
        spooled.queue.takes_over(true);
        spooled
    }

    fn start_unused(folder: &Path, answer: Outcome, change: impl FnOnce(&mut config::Backend)) -> Self {
        let mut settings = config::Backend {
            spool: Some(config::Spool { folder: folder.to_owned(), limit: 1 << 30 }),
            ..backend("collector")
        };
        settings.retry.max_elapsed = Duration::from_millis(40);
        change(&mut settings);
        let (sent, answers) = (Sent::default(), Arc::new(Mutex::new(answer)));
        let (list, says) = (Arc::clone(&sent), Arc::clone(&answers));
        let behave = move |batch: &FinishedBatch, _: u32| {
            let answer = says.lock().unwrap().clone();
            if answer == Outcome::Exported {
                *list.lock().unwrap().entry(batch.bytes()[0]).or_default() += 1;
            }
            answer
        };
        let fake = Fake { seen: Arc::default(), concurrency: 2, behave: Box::new(behave) };
        let queue = BackendQueue::start(&settings, Timing::default(), Duration::ZERO, || Ok(Box::new(fake)));
        assert!(queue.wait_for_start(within(60_000)));
        Self { queue, sent, answers }
    }

    fn offer(&self, ids: std::ops::Range<u8>) {
        for id in ids {
            let mut batch = Arc::into_inner(batch_of(id.into(), 1_000, &[(0, 10)])).unwrap();
            batch.body.fill(id);
            self.queue.offer(Arc::new(batch));
        }
    }

    fn says(&self, answer: Outcome) {
        *self.answers.lock().unwrap() = answer;
    }

    fn counts(&self) -> ServiceCounters {
        service(&self.queue)
    }

    fn each_has_arrived_once(&self, ids: std::ops::Range<u8>) {
        let all = ids.map(|id| (id, 1)).collect::<BTreeMap<_, _>>();
        eventually("all has arrived", || self.sent.lock().unwrap().len() == all.len());
        assert_eq!(*self.sent.lock().unwrap(), all);
    }
}

fn unanswered() -> Outcome {
    Outcome::Retry { after: None, cookie: 0, may_be_stored: true, message: "no answer".to_owned() }
}

fn away() -> Outcome {
    Outcome::Retry { after: None, cookie: 0, may_be_stored: false, message: "connection refused".to_owned() }
}

fn is_empty(folder: &Path) -> bool {
    let mut places =
        std::fs::read_dir(folder).unwrap().flatten().flat_map(|place| std::fs::read_dir(place.path()).unwrap());
    places.next().is_none()
}

#[test]
fn an_outage_longer_than_the_time_of_retry_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spooled = Spooled::start(folder.path(), away());
    spooled.offer(0..50);
    eventually("what is too old is on disk only", || {
        spooled.queue.tick(Instant::now());
        spooled.counts().spooled >= 450
    });
    let counts = spooled.counts();
    assert_eq!((counts.offered, counts.spooled + counts.waiting, counts.dropped_total()), (500, 500, 0));
    spooled.says(Outcome::Exported);
    spooled.each_has_arrived_once(0..50);
    eventually("it is counted", || spooled.counts().exported == 500);
    assert!(spooled.queue.shutdown(within(5_000)));
    assert!(is_empty(folder.path()), "nothing is left");
}

#[test]
fn what_finds_the_queue_full_waits_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let spooled = Spooled::start_with(folder.path(), away(), |settings| {
        settings.queue_bytes = config::QueueBytes::Fixed(5_000);
        settings.retry.max_elapsed = Duration::from_secs(60);
    });
    spooled.offer(0..50);
    assert!(spooled.counts().spooled >= 400 && spooled.counts().dropped_total() == 0, "{:?}", spooled.counts());
    spooled.says(Outcome::Exported);
    spooled.each_has_arrived_once(0..50);
}

#[test]
fn what_the_end_of_a_process_leaves_is_sent_by_the_next_one_and_not_lost() {
    let folder = tempfile::tempdir().unwrap();
    let first = Spooled::start(folder.path(), away());
    first.offer(0..20);
    assert!(first.queue.shutdown(within(3_000)), "nothing is lost");
    assert_eq!((first.counts().spooled, first.counts().dropped_total(), first.counts().waiting), (200, 0, 0));
    drop(first);
    let second = Spooled::start(folder.path(), Outcome::Exported);
    second.each_has_arrived_once(0..20);
    eventually("it is counted", || {
        let spool = second.queue.counters().spool.unwrap();
        (spool.exported_of_others, spool.spans_of_others, spool.lost_of_others) == (200, 0, 0)
    });
    assert_eq!(second.queue.counters().spool.unwrap().maybe_twice, 0, "none of them was on its way");
    assert!(second.queue.counters().services.is_empty(), "they are nobody's here");
}

#[test]
fn what_the_backend_may_have_taken_without_an_answer_is_told_as_such_when_it_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let first = Spooled::start(folder.path(), unanswered());
    first.offer(0..1);
    assert!(first.queue.shutdown(within(3_000)), "nothing is lost");
    drop(first);
    let second = Spooled::start(folder.path(), Outcome::Exported);
    second.each_has_arrived_once(0..1);
    assert_eq!(second.queue.counters().spool.unwrap().maybe_twice, 10);
}

/// The one of a reload that is refused, for one: it never gets there.
#[test]
fn a_backend_that_nothing_leads_to_sends_nothing_of_what_others_have_left() {
    let folder = tempfile::tempdir().unwrap();
    let first = Spooled::start(folder.path(), away());
    first.offer(0..5);
    first.queue.shutdown(within(2_000));
    drop(first);
    // Its one thread looks for others before it sends its own.
    let next = Spooled::start_unused(folder.path(), Outcome::Exported, |settings| settings.concurrency = 1);
    next.offer(7..8);
    // The second one is of all that was there before the end of the first.
    assert!(next.queue.flush(within(5_000)) && next.queue.flush(within(5_000)));
    assert_eq!(*next.sent.lock().unwrap(), BTreeMap::from([(7, 1)]));
    next.queue.takes_over(true);
    eventually("they are sent", || next.sent.lock().unwrap().len() == 6);
}

#[test]
fn what_a_backend_refuses_is_lost_and_counted_and_does_not_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let refused = Outcome::Rejected { message: "too old".to_owned() };
    let spooled = Spooled::start(folder.path(), refused.clone());
    spooled.offer(0..5);
    assert!(spooled.queue.flush(within(5_000)));
    assert_eq!(spooled.counts().dropped_for(DropReason::Rejected), 50);
    assert!(spooled.queue.shutdown(within(5_000)));
    assert!(is_empty(folder.path()));

    let left = Spooled::start(folder.path(), away());
    left.offer(0..5);
    left.queue.shutdown(within(2_000));
    drop(left);
    let next = Spooled::start(folder.path(), refused);
    eventually("what was taken over is refused", || next.queue.counters().spool.unwrap().lost_of_others == 50);
    assert_eq!((next.queue.lost(), next.queue.counters().taken_over.dropped_for(DropReason::Rejected)), (50, 50));
}

#[test]
fn a_spool_that_cannot_be_used_costs_no_more_than_none() {
    let spooled = Spooled::start(Path::new("/proc/no/spool"), Outcome::Exported);
    spooled.offer(0..10);
    assert!(spooled.queue.flush(within(5_000)));
    spooled.each_has_arrived_once(0..10);
    assert_eq!(spooled.counts().exported, 100);
}

#[test]
fn a_file_that_cannot_be_read_for_a_while_is_looked_at_again_although_nothing_else_happens() {
    let folder = tempfile::tempdir().unwrap();
    let spooled = Spooled::start_with(folder.path(), away(), |settings| {
        settings.queue_bytes = config::QueueBytes::Fixed(5_000);
        settings.retry.max_elapsed = Duration::from_secs(60);
    });
    spooled.offer(0..50);
    // A link in its place is not followed, and is not the file.
    let inside = |of: &Path| std::fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    let of_process = inside(&inside(folder.path())[0]).remove(0);
    let file = of_process.join("0000000000.batches");
    let aside = folder.path().join("aside");
    std::fs::rename(&file, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &file).unwrap();
    spooled.says(Outcome::Exported);
    eventually("what is in memory has arrived", || spooled.counts().waiting == 0);
    let counts = spooled.counts();
    assert!(counts.spooled > 0 && counts.exported + counts.spooled == 500, "{counts:?}");
    std::fs::rename(&aside, &file).unwrap();
    eventually("the rest has arrived", || spooled.counts().exported == 500);
    spooled.each_has_arrived_once(0..50);
    assert_eq!(spooled.counts().dropped_total(), 0);
}
