//! A thousand reloads: no span is lost by them, none comes twice, and nothing of them stays.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tracer_resolver::interceptor::Integration;

use super::fake_kafka::{FakeClient, FakeMessage};
use super::{OUT, Site, Written, send, threads, wait_for};

const RELOADS: usize = 1_000;

/// Variants that differ in all that can: names, topics, formats, batches; and with every fourth a backend is another.
fn variant(number: usize) -> String {
    let name = ["shop", "store", "kiosk"][number % 3];
    let inject = ["tracecontext", "b3", "jaeger", "b3multi"][number / 3 % 4];
    let extra = if number % 5 == 0 { "[services.extra]\ntopics = [\"extra\"]\nexport = [\"out\"]\n" } else { "" };
    format!(
        "version = 1\n{extra}[batch]\ndelay = \"{}ms\"\n[services.{name}]\ntopics = [\"orders\"]\nexport = [\"out\", \"other\"]\n\
         propagators = {{ inject = [\"{inject}\"] }}\n[services.rest]\ntopics = [\"*\"]\nexport = [\"other\", \"out\"]\n{OUT}\
         [backends.other]\nplugin = \"file\"\nconfig = {{ path = \"OUT/other-{}\" }}\n",
        10 + number % 7,
        number / 4 % 4
    )
}

#[test]
fn a_thousand_reloads_under_load_lose_no_span_and_double_none() {
    let site = Site::new(&variant(0));
    let (over, reloads, expected) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let (resolver, over, reloads, expected) = (&site.resolver, &over, &reloads, &expected);
            scope.spawn(move || {
                let producer = FakeClient::producer(resolver);
                let consumer = FakeClient::consumer(resolver, Integration::Plugin);
                // Half of them stay in flight for a while, over several reloads.
                let mut waiting = std::collections::VecDeque::new();
                let mut offset = 0;
                while !over.load(Ordering::Relaxed) {
                    for topic in ["orders", "extra", "orders", "letters"] {
                        let mut sent = FakeMessage::new(topic);
                        producer.send(&sent);
                        sent.latency_micros = 600_000_000;
                        waiting.push_back(sent);
                        let mut received = FakeMessage::new(topic);
                        received.place(0, thread, offset);
                        offset += 1;
                        consumer.consume(&received);
                        expected.fetch_add(2, Ordering::Relaxed);
                    }
                    while waiting.len() > 40 {
                        producer.acknowledge(&waiting.pop_front().unwrap());
                    }
                    // As many messages as reloads, however fast the machine is.
                    let seen = reloads.load(Ordering::Relaxed);
                    while reloads.load(Ordering::Relaxed) == seen && !over.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_micros(200));
                    }
                }
                waiting.iter().for_each(|message| producer.acknowledge(message));
            });
        }
        for number in 1..=RELOADS {
            site.reload(&variant(number));
            reloads.store(number, Ordering::Relaxed);
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(site.resolver.flush(Duration::from_secs(40)));
    let expected = expected.load(Ordering::Relaxed);
    let mut by_name = BTreeMap::<&str, Vec<Written>>::new();
    by_name.insert("out", site.spans("out"));
    let other = (0..4).flat_map(|place| site.spans(&format!("other-{place}"))).collect();
    by_name.insert("other", other);
    for (backend, spans) in &by_name {
        let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
        assert_eq!(ids.len(), spans.len(), "{backend}: none twice");
    }
    // What belonged to `extra` went to one backend only.
    let extra = by_name["out"].iter().filter(|span| span.service == "extra").count();
    assert_eq!(by_name["out"].len() as u64, expected);
    assert_eq!(by_name["other"].len() as u64, expected - extra as u64);
    let stats = site.resolver.stats();
    let counted: u64 = stats.services.iter().map(|of| of.spans).sum();
    assert_eq!((counted, stats.services.iter().map(|of| of.unacknowledged).sum::<u64>()), (expected, 0));
    for backend in &stats.backends {
        let sums = backend.services.iter().fold((0, 0, 0), |(offered, exported, lost), of| {
            (offered + of.offered, exported + of.exported, lost + of.rejected + of.dropped_total() + of.waiting)
        });
        let all = by_name[&backend.name[..]].len() as u64;
        assert_eq!(sums, (all, all, 0), "{}", backend.name);
    }
    assert_eq!((stats.reloads.taken, stats.reloads.refused), (RELOADS as u64, 0));
    wait_for("those of before close", || threads("tr-other").len() == 1);
}

/// Counts what is allocated and not freed: by the engine, and by this test.
struct Counting;

const ALONE: &str = "TRACER_RESOLVER_TEST_ALONE";

/// So many bytes, in so many pieces.
static BYTES: AtomicIsize = AtomicIsize::new(0);
static PIECES: AtomicIsize = AtomicIsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: the system's allocator does it all.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        BYTES.fetch_add(layout.size() as isize, Ordering::Relaxed);
        PIECES.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size() as isize, Ordering::Relaxed);
        PIECES.fetch_sub(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[test]
fn a_thousand_reloads_do_not_make_the_process_grow() {
    // In a process of its own: what is allocated is counted for all of it, and the other tests allocate too.
    if std::env::var_os(ALONE).is_none() {
        let test = "load::a_thousand_reloads_do_not_make_the_process_grow";
        let alone = Command::new(std::env::current_exe().unwrap()).args([test, "--exact"]).env(ALONE, "1").output();
        let alone = alone.unwrap();
        let told = String::from_utf8_lossy(&alone.stdout);
        assert!(
            alone.status.success() && told.contains("1 passed"),
            "{told}{}",
            String::from_utf8_lossy(&alone.stderr)
        );
        return;
    }
    let site = Site::new(&variant(0));
    let idle = FakeClient::producer(&site.resolver);
    send(&idle, "orders");
    let rounds = |count: usize| {
        // A thread of its own: as long as it lives it may keep some of the routes that it had last.
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let producer = FakeClient::producer(&site.resolver);
                for number in 1..=count {
                    // Each has another backend.
                    site.reload(&variant(4 * number));
                    ["orders", "extra", "letters"].into_iter().for_each(|topic| send(&producer, topic));
                }
            });
        });
        assert!(site.resolver.flush(Duration::from_secs(20)));
        // What a client that is gone has handed over may be claimed for two seconds more, by the rules of then. However many
        // reloads those two seconds were: what their rules have counted is added up when the next are made after that.
        std::thread::sleep(Duration::from_millis(2_500));
        for last in [1, 5] {
            wait_for("those of before close", || threads("tr-other").len() == 1);
            site.reload(&variant(last));
        }
        wait_for("the last one of before closes", || threads("tr-other").len() == 1);
    };
    let settled = || {
        let looks = (0..10).map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            (PIECES.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed))
        });
        looks.min().unwrap()
    };
    rounds(RELOADS / 4);
    let mut before = settled();
    let mut thousand = || {
        rounds(RELOADS);
        let now = settled();
        let grown = (now.0 - before.0, now.1 - before.1);
        before = now;
        grown
    };
    // One thing in ten reloads: every fifth has a service more. Pieces are counted beside bytes, because a buffer that grows
    // is one piece: of two backends at once, which a busy machine leaves, it is 60 KB more at one look than at another.
    let is_little = |(pieces, bytes): (isize, isize)| pieces < RELOADS as isize / 10 && bytes < 128 * RELOADS as isize;
    let first = thousand();
    if is_little(first) {
        return;
    }
    // A buffer has its largest size once. What stays of reloads stays of the next thousand as well.
    let second = thousand();
    assert!(is_little(second), "something of them stays: {first:?} and {second:?} pieces and bytes");
}

/// So many that a thread's table of routes has grown for them.
#[test]
fn each_of_many_topics_follows_the_new_rules_at_its_next_message() {
    let all =
        |service: &str| format!("version = 1\n[services.{service}]\ntopics = [\"t*\"]\nexport = [\"out\"]\n{OUT}");
    let site = Site::new(&all("before"));
    let producer = FakeClient::producer(&site.resolver);
    let topics: Vec<_> = (100..600).map(|number| CString::new(format!("t{number}")).unwrap()).collect();
    let mut message = FakeMessage::new("");
    let mut send_to_each = || {
        for topic in &topics {
            message.clear();
            message.set_topic(topic);
            producer.send(&message);
            producer.acknowledge(&message);
        }
    };
    (0..3).for_each(|_| send_to_each());
    site.reload(&all("after"));
    send_to_each();
    let names = || (100..600).map(|number| format!("send t{number}"));
    let mut expected: Vec<_> = names().map(|name| format!("after: {name}")).collect();
    expected.extend(names().flat_map(|name| vec![format!("before: {name}"); 3]));
    assert_eq!(site.drawn("out"), expected);
}
