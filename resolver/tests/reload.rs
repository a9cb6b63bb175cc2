//! Promise: a configuration that is read again takes effect for the next message of every client that lives; what began
//! under the one before ends under it; and no span is lost by that, or comes twice.
//!
//! The callbacks run over a fake librdkafka.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

#[path = "support/fake_kafka.rs"]
mod fake_kafka;
#[path = "reload/files.rs"]
mod files;
#[path = "reload/load.rs"]
mod load;
#[path = "reload/status.rs"]
mod status;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fake_kafka::{FakeClient, FakeMessage};
use serde_json::Value;
use tracer_resolver::interceptor::Integration;
use tracer_resolver::{BackendState, MessagePlace, Processing, Reloaded, Resolver};

/// A flush lets every delivery of the process leave: another test's too. And what is counted of the process is one test's.
static ALONE: Mutex<()> = Mutex::new(());

/// A file that is changed, its resolver, and where its spans go.
struct Site {
    folder: tempfile::TempDir,
    resolver: Resolver,
    _alone: std::sync::MutexGuard<'static, ()>,
}

impl Site {
    /// `services` and further sections; `OUT` stands for a backend's place in the folder.
    fn new(text: &str) -> Self {
        let alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), text);
        let resolver = Resolver::from_file(folder.path().join("tracing.toml")).unwrap();
        assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));
        Self { folder, resolver, _alone: alone }
    }

    fn write(&self, text: &str) {
        write(self.folder.path(), text);
    }

    fn reload(&self, text: &str) {
        self.write(text);
        assert_eq!(self.resolver.reload().unwrap(), Reloaded::Changed);
    }

    /// Every span that a backend of this name has written: its service, its name, and its ids.
    fn spans(&self, backend: &str) -> Vec<Written> {
        spans(&self.folder.path().join(backend))
    }

    /// The same without ids, sorted.
    fn drawn(&self, backend: &str) -> Vec<String> {
        assert!(self.resolver.flush(Duration::from_secs(20)));
        let mut drawn: Vec<_> =
            self.spans(backend).into_iter().map(|span| format!("{}: {}", span.service, span.name)).collect();
        drawn.sort();
        drawn
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.resolver.shutdown(Duration::from_secs(5));
    }
}

struct Written {
    service: String,
    name: String,
    id: String,
}

fn write(folder: &Path, text: &str) {
    let text = text.replace("OUT", folder.to_str().unwrap());
    // As an editor, or a ConfigMap, does it: nobody sees half of it.
    let (new, path) = (folder.join("new"), folder.join("tracing.toml"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn spans(path: &Path) -> Vec<Written> {
    fn list<'v>(value: &'v Value, key: &str) -> &'v [Value] {
        value[key].as_array().map_or(&[], Vec::as_slice)
    }
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut spans = Vec::new();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        for resource in list(&line, "resourceSpans") {
            let attributes = list(&resource["resource"], "attributes");
            let service = attributes.iter().find(|attribute| attribute["key"] == "service.name").unwrap();
            let service = service["value"]["stringValue"].as_str().unwrap();
            for span in list(resource, "scopeSpans").iter().flat_map(|scope| list(scope, "spans")) {
                let (name, id) = (span["name"].as_str().unwrap(), span["spanId"].as_str().unwrap());
                spans.push(Written { service: service.to_owned(), name: name.to_owned(), id: id.to_owned() });
            }
        }
    }
    spans
}

/// What a process has open where it waits for `tracer-interceptors reload`.
const PAGE: &str = "/memfd:tracer-interceptors-reload (deleted)";

const OUT: &str = "[backends.out]\nplugin = \"file\"\nconfig = { path = \"OUT/out\" }\n";

fn shop(more: &str) -> String {
    format!("version = 1\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"out\"]\n{more}\n{OUT}")
}

/// Sends, and is acknowledged at once.
fn send(producer: &FakeClient, topic: &str) {
    let message = FakeMessage::new(topic);
    producer.send(&message);
    producer.acknowledge(&message);
}

/// A message that was sent a while ago: so long that it was before whatever was done since.
fn in_flight(producer: &FakeClient, topic: &str) -> Box<FakeMessage> {
    let mut message = FakeMessage::new(topic);
    producer.send(&message);
    message.latency_micros = 60_000_000;
    message
}

#[test]
fn a_client_that_lives_follows_the_new_rules_and_its_message_in_flight_ends_by_the_old() {
    let site = Site::new(&shop(""));
    let producer = FakeClient::producer(&site.resolver);
    send(&producer, "orders");
    let old = in_flight(&producer, "orders");
    site.reload(&format!(
        "version = 1\n[services.store]\ntopics = [\"orders\"]\nexport = [\"out\"]\npropagators = {{ inject = [\"b3\"] }}\n{OUT}"
    ));
    let new = in_flight(&producer, "orders");
    assert!(old.has_header("traceparent") && new.has_header("b3") && !new.has_header("traceparent"));
    assert_eq!(site.resolver.stats().services.iter().map(|service| service.unacknowledged).sum::<u64>(), 2);
    producer.acknowledge(&new);
    producer.acknowledge(&old);
    assert_eq!(site.drawn("out"), ["shop: send orders", "shop: send orders", "store: send orders"]);
    let stats = site.resolver.stats();
    let counted: Vec<_> = stats.services.iter().map(|of| (&of.name[..], of.spans, of.unacknowledged)).collect();
    assert_eq!(counted, [("store", 1, 0), ("shop", 2, 0)]);
    assert_eq!((stats.reloads.taken, stats.reloads.refused), (1, 0));
    let out = &stats.backends[0];
    let sent: Vec<_> = out.services.iter().map(|of| (&of.service[..], of.exported)).collect();
    assert_eq!((&out.name[..], sent), ("out", vec![("shop", 2), ("store", 1)]));
}

/// Its thread was in the midst of the send when another met the new rules.
#[test]
fn a_message_that_is_sent_while_the_rules_change_ends_by_those_that_it_was_sent_by() {
    let site = Site::new(&shop(""));
    let producer = FakeClient::producer(&site.resolver);
    // Its time of sending is that of its acknowledgement, and so after the change.
    let mut late = FakeMessage::new("orders");
    producer.send(&late);
    late.latency_micros = 0;
    site.reload(&shop("").replace("services.shop", "services.store"));
    send(&producer, "orders");
    producer.acknowledge(&late);
    assert_eq!(site.drawn("out"), ["shop: send orders", "store: send orders"]);
    assert!(site.resolver.stats().services.iter().all(|service| service.unacknowledged == 0));
}

/// Neither has a mark that tells which rules it was sent by: its time of sending does.
#[test]
fn a_message_that_is_sent_without_a_span_ends_by_no_rules_of_before() {
    for trace in ["off", "propagate"] {
        let site = Site::new(&shop(""));
        let producer = FakeClient::producer(&site.resolver);
        let old = in_flight(&producer, "orders");
        site.reload(&shop(&format!("trace = \"{trace}\"")).replace("services.shop", "services.store"));
        let mut new = FakeMessage::new("orders");
        new.latency_micros = 0;
        producer.send(&new);
        producer.acknowledge(&new);
        let waits = || site.resolver.stats().services.iter().map(|service| service.unacknowledged).sum::<u64>();
        assert_eq!(waits(), 1, "{trace}");
        producer.acknowledge(&old);
        assert_eq!((waits(), site.drawn("out")), (0, vec!["shop: send orders".to_owned()]), "{trace}");
    }
}

/// The threads of this process with this name.
fn threads(name: &str) -> BTreeSet<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let named = tasks
        .filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim_end() == name));
    named.map(|task| task.file_name().into_string().unwrap()).collect()
}

/// Waits for something that comes when it comes.
fn wait_for(what: &str, is_there: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_there() {
        assert!(started.elapsed() < Duration::from_secs(40), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_backend_that_is_what_it_was_goes_on_and_a_changed_one_closes_when_it_has_all_that_is_its() {
    let with = |path: &str, order: bool| {
        let steady = "[backends.steady]\nplugin = \"file\"\nconfig = { path = \"OUT/steady\" }\n".to_owned();
        let moved = format!("[backends.moved]\nplugin = \"file\"\nconfig = {{ path = \"OUT/{path}\" }}\n");
        let backends = if order { steady + &moved } else { moved + "\n# Another place in the file.\n" + &steady };
        format!("version = 1\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"steady\", \"moved\"]\n{backends}")
    };
    let site = Site::new(&with("one", true));
    let producer = FakeClient::producer(&site.resolver);
    send(&producer, "orders");
    // A thread gives itself its name.
    wait_for("both run", || (threads("tr-steady").len(), threads("tr-moved").len()) == (1, 1));
    let (steady, moved) = (threads("tr-steady"), threads("tr-moved"));
    let old = in_flight(&producer, "orders");
    site.reload(&with("two", false));
    send(&producer, "orders");
    assert_eq!(threads("tr-steady"), steady, "the same threads, so the same queue");
    wait_for("the one of before has something to come", || threads("tr-moved").len() == 2);
    producer.acknowledge(&old);
    assert!(site.resolver.flush(Duration::from_secs(20)));
    let count = |backend: &str| site.spans(backend).len();
    assert_eq!((count("steady"), count("one"), count("two")), (3, 2, 1));
    wait_for("the backend of before closes", || threads("tr-moved").len() == 1);
    assert!(threads("tr-moved").is_disjoint(&moved));
    let stats = site.resolver.stats();
    let exported: Vec<_> = stats.backends.iter().map(|of| (&of.name[..], of.services[0].exported)).collect();
    assert_eq!(exported, [("moved", 3), ("steady", 3)], "the name has what both have sent");
}

#[test]
fn a_backend_and_a_service_that_are_taken_out_still_have_what_began_before() {
    let site = Site::new(&format!(
        "version = 1\n[services.shop]\ntopics = [\"orders\"]\nexport = [\"gone\"]\n[services.mail]\ntopics = [\"mails\"]\n\
         export = [\"out\"]\n{OUT}[backends.gone]\nplugin = \"file\"\nconfig = {{ path = \"OUT/gone\" }}\n"
    ));
    let (producer, consumer) =
        (FakeClient::producer(&site.resolver), FakeClient::consumer(&site.resolver, Integration::Rust));
    let sent = in_flight(&producer, "orders");
    let mut received = FakeMessage::new("orders");
    received.place(0, 77, 1);
    consumer.consume(&received);
    let place = MessagePlace { topic: "orders", partition: 77, offset: 1 };
    let processing = Processing::start(&site.resolver, place, std::iter::empty(), None);
    site.reload(&format!("version = 1\n[services.mail]\ntopics = [\"mails\"]\nexport = [\"out\"]\n{OUT}"));
    send(&producer, "orders");
    send(&producer, "mails");
    producer.acknowledge(&sent);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(threads("tr-gone").len(), 1, "a message is still being processed");
    drop(processing);
    assert_eq!(site.drawn("out"), ["mail: send mails"]);
    wait_for("the backend closes", || threads("tr-gone").is_empty());
    assert_eq!(site.drawn("gone"), ["shop: process orders", "shop: send orders"]);
    let stats = site.resolver.stats();
    let shop = stats.services.iter().find(|of| of.name == "shop").unwrap();
    assert_eq!((shop.spans, shop.unacknowledged), (2, 0));
    let gone = stats.backends.iter().find(|of| of.name == "gone").unwrap();
    assert_eq!((gone.services[0].exported, gone.services[0].waiting), (2, 0));
    assert_eq!(gone.state, BackendState::Removed, "it is not healthy, and not ill: it is not there");
}

#[test]
fn an_error_leaves_what_was_in_effect_whole_and_is_given_with_its_place() {
    let site = Site::new(&shop(""));
    let producer = FakeClient::producer(&site.resolver);
    wait_for("it runs", || threads("tr-out").len() == 1);
    let out = threads("tr-out");
    for (broken, place) in [
        (shop("sampler = { ratio = 7 }"), "tracing.toml:5"),
        (shop("smapler = \"always_on\""), "tracing.toml:5"),
        (shop("").replace("version = 1", "version = 1\n["), "tracing.toml:2"),
        (shop("").replace("path", "paht"), "tracing.toml:8"),
        (shop("").replace("\"file\"", "\"flie\""), "tracing.toml:7"),
        (shop("[backends.new]\nplugin = \"file\"\nconfig = { path = \"/nowhere/there/x\" }"), "tracing.toml:7"),
    ] {
        site.write(&broken);
        let error = site.resolver.reload().unwrap_err();
        assert!(error.to_string().contains(place), "{place}: {error}");
        send(&producer, "orders");
    }
    std::fs::remove_file(site.folder.path().join("tracing.toml")).unwrap();
    assert!(site.resolver.reload().unwrap_err().to_string().contains("does not exist"));
    send(&producer, "orders");
    assert_eq!(site.drawn("out"), vec!["shop: send orders"; 7]);
    assert_eq!(threads("tr-out"), out);
    site.write(&shop(""));
    assert_eq!(site.resolver.reload().unwrap(), Reloaded::Unchanged);
    let reloads = site.resolver.stats().reloads;
    assert_eq!((reloads.taken, reloads.refused), (0, 7));
}

#[test]
fn a_topic_that_moves_a_sampler_that_changes_and_a_client_that_is_bound_follow_at_once() {
    let two = |shop: &str, mail: &str| {
        format!(
            "version = 1\n[services.shop]\n{shop}\nexport = [\"out\"]\n[services.mail]\n{mail}\nexport = [\"out\"]\n{OUT}"
        )
    };
    let site = Site::new(&two("topics = [\"orders\"]", "topics = [\"mails\"]"));
    let producer = FakeClient::producer(&site.resolver);
    send(&producer, "orders");
    site.reload(&two("topics = [\"mails\"]", "topics = [\"orders\"]"));
    send(&producer, "orders");
    site.reload(&two("topics = [\"mails\"]", "topics = [\"orders\"]\nsampler = \"always_off\""));
    send(&producer, "orders");
    send(&producer, "mails");
    site.reload(&two("topics = [\"mails\"]", "topics = [\"orders\"]\ntrace = \"off\""));
    let message = FakeMessage::new("orders");
    producer.send(&message);
    assert!(!message.has_header("traceparent"));
    assert_eq!(site.drawn("out"), ["mail: send orders", "shop: send mails", "shop: send orders"]);
    assert_eq!(site.resolver.service_names().collect::<Vec<_>>(), ["shop", "mail"]);
    let number = site.resolver.service("mail");
    site.reload(&format!("version = 1\n[services.mail]\ntopics = [\"x\"]\n{OUT}"));
    assert_eq!((site.resolver.service("mail"), site.resolver.service("shop")), (number, None));
}

/// A rate limit would else give a whole second's worth again with each reload.
#[test]
fn a_rate_limit_goes_on_where_it_was() {
    let limited = |comment: usize| shop(&format!("sampler = {{ rate_limit = 5 }} # {comment}"));
    let site = Site::new(&limited(0));
    let producer = FakeClient::producer(&site.resolver);
    let started = Instant::now();
    for round in 1..40 {
        (0..10).for_each(|_| send(&producer, "orders"));
        site.reload(&limited(round));
    }
    let most = 5.0 + 5.0 * started.elapsed().as_secs_f64() + 1.0;
    let spans = site.drawn("out").len();
    assert!(spans as f64 <= most, "{spans} of {most}");
}

/// By its topic, wherever that stands.
#[test]
fn the_rate_limit_of_a_topic_goes_on_where_it_was() {
    let topic = |name: &str| format!("[services.shop.topic.{name}]\nsampler = {{ rate_limit = 5 }}\n");
    let ordered = |first: &str, second: &str| {
        format!(
            "version = 1\n[services.shop]\ntopics = [\"a\", \"b\"]\nexport = [\"out\"]\n{}{}{OUT}",
            topic(first),
            topic(second)
        )
    };
    let site = Site::new(&ordered("a", "b"));
    let producer = FakeClient::producer(&site.resolver);
    let started = Instant::now();
    (0..20).for_each(|_| send(&producer, "a"));
    site.reload(&ordered("b", "a"));
    (0..20).for_each(|_| send(&producer, "a"));
    let most = 5.0 + 5.0 * started.elapsed().as_secs_f64() + 1.0;
    let spans = site.drawn("out").len();
    assert!(spans as f64 <= most, "{spans} of {most}");
}

#[test]
fn the_file_is_looked_at_from_time_to_time_where_it_says_so_half_written_ones_and_links_too() {
    let timed = |service: &str| {
        format!(
            "version = 1\n[reload]\ninterval = \"100ms\"\n[services.{service}]\ntopics = [\"orders\"]\nexport = [\"out\"]\n{OUT}"
        )
    };
    let site = Site::new(&timed("one"));
    // As Kubernetes mounts a ConfigMap: what is named is a link to what is in a folder that is a link.
    let (root, path) = (site.folder.path().to_owned(), site.folder.path().join("tracing.toml"));
    let producer = FakeClient::producer(&site.resolver);
    let is_traced_as = |service: &str| {
        send(&producer, "orders");
        site.resolver.service(service).is_some()
    };
    for (version, service) in [("v1", "two"), ("v2", "three")] {
        std::fs::create_dir(root.join(version)).unwrap();
        write(&root.join(version), &timed(service).replace("OUT", root.to_str().unwrap()));
        std::os::unix::fs::symlink(version, root.join("new-data")).unwrap();
        std::fs::rename(root.join("new-data"), root.join("..data")).unwrap();
        if version == "v1" {
            std::fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink("..data/tracing.toml", &path).unwrap();
        }
        wait_for("the link leads elsewhere", || is_traced_as(service));
    }
    let taken = site.resolver.stats().reloads.taken;
    assert_eq!((taken, site.resolver.stats().reloads.refused), (2, 0));
    // Broken, and nobody goes on writing: told once, however often it is looked at.
    std::fs::remove_file(&path).unwrap();
    wait_for("it is gone", || site.resolver.stats().reloads.refused == 1);
    std::thread::sleep(Duration::from_millis(500));
    assert!(is_traced_as("three"));
    assert_eq!(site.resolver.stats().reloads.refused, 1);
    // Half of it, and then the rest, in place.
    let whole = timed("four").replace("OUT", root.to_str().unwrap());
    let (half, rest) = whole.split_at(whole.len() / 2);
    std::fs::write(&path, half).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, rest.as_bytes()).unwrap();
    wait_for("it is whole", || is_traced_as("four"));
    // And no more looks.
    write(&root, &timed("five").replace("[reload]\ninterval = \"100ms\"", "[reload]\nenabled = false"));
    wait_for("the last one", || is_traced_as("five"));
    wait_for("the thread ends", || threads("tr-reload").is_empty());
}

/// A plugin that is installed after the file which names it, or a mode that is mended: the file's text is what it was.
#[test]
fn what_was_refused_is_tried_again_without_a_change_of_the_file() {
    let shop = shop("").replace("version = 1\n", "");
    let timed = |more: &str| format!("version = 1\n[reload]\ninterval = \"100ms\"\n{more}{shop}");
    let site = Site::new(&timed(""));
    let later = site.folder.path().join("later.so");
    site.write(&timed(&format!("[plugins.file]\nfile = {later:?}\n")));
    wait_for("it is refused", || site.resolver.stats().reloads.refused == 1);
    let built = std::env::current_exe().unwrap().with_file_name("libtracer_plugin_file.so");
    // Nobody sees half of it.
    std::fs::copy(built, later.with_extension("half")).unwrap();
    std::fs::rename(later.with_extension("half"), later).unwrap();
    wait_for("it is taken", || site.resolver.stats().reloads.taken == 1);
    let reloads = site.resolver.stats().reloads;
    assert_eq!((reloads.refused, reloads.last_error), (1, None));
}

#[test]
fn a_reload_that_brings_the_looks_begins_with_them_at_once() {
    let site = Site::new(&shop(""));
    let timed = |more: &str| shop(more).replace("version = 1", "version = 1\n[reload]\ninterval = \"100ms\"");
    site.reload(&timed(""));
    site.write(&timed("sampler = \"always_off\""));
    wait_for("it is looked at", || site.resolver.stats().reloads.taken == 2);
}

/// The descriptors of this process at which wishes from outside are read.
fn page_files() -> Vec<PathBuf> {
    let files = std::fs::read_dir("/proc/self/fd").unwrap().flatten().map(|file| file.path());
    files.filter(|path| std::fs::read_link(path).is_ok_and(|to| to.as_os_str() == PAGE)).collect()
}

/// What `tracer-interceptors reload PID` does: see `resolver/src/control_page.rs`.
#[test]
fn a_wish_from_outside_is_granted_and_answered() {
    use std::os::unix::fs::FileExt as _;
    let hourly = |more: &str| shop(more).replace("version = 1", "version = 1\n[reload]\ninterval = \"1h\"");
    let site = Site::new(&hourly(""));
    let producer = FakeClient::producer(&site.resolver);
    let number = |file: &std::fs::File, at: u64| {
        let mut bytes = [0; 4];
        file.read_exact_at(&mut bytes, at).unwrap();
        u32::from_ne_bytes(bytes)
    };
    // Other tests of this process may have left one, which answers nobody.
    let pages = || {
        let named = page_files().into_iter();
        named.map(|path| std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap())
    };
    let ask = || {
        let mut asked = Vec::new();
        let answer = std::cell::RefCell::new(None);
        let asked_here = std::cell::RefCell::new(&mut asked);
        wait_for("it answers", || {
            let mut asked = asked_here.borrow_mut();
            // What another test has left says so as it ends.
            asked.retain(|(page, wish)| number(page, 20) != *wish || number(page, 24) != 3);
            if let Some(page) = asked.iter().position(|(page, wish)| number(page, 20) == *wish) {
                *answer.borrow_mut() = Some(asked.swap_remove(page).0);
                return true;
            }
            let open = pages().filter(|page| number(page, 0) == u32::from_ne_bytes(*b"TRRE"));
            for page in open.filter(|page| number(page, 16) == number(page, 20)) {
                let wish: u32 = number(&page, 16) + 1;
                page.write_all_at(&wish.to_ne_bytes(), 16).unwrap();
                asked.push((page, wish));
            }
            false
        });
        let page = answer.take().unwrap();
        assert_eq!((number(&page, 8), number(&page, 12)), (1, std::process::id()));
        let mut text = vec![0; number(&page, 28) as usize];
        page.read_exact_at(&mut text, 32).unwrap();
        // Nobody can take its memory away.
        assert!(page.set_len(0).is_err());
        (number(&page, 24), String::from_utf8(text).unwrap())
    };
    let (outcome, text) = ask();
    assert_eq!(outcome, 1, "{text}");
    site.write(&hourly("trace = \"off\""));
    let (outcome, text) = ask();
    assert!(outcome == 0 && text.starts_with("reloaded: tracing 1 service (shop)"), "{text}");
    let message = FakeMessage::new("orders");
    producer.send(&message);
    assert!(!message.has_header("traceparent"));
    site.write(&hourly("trace = \"of\""));
    let (outcome, text) = ask();
    assert!(outcome == 2 && text.contains("tracing.toml:7"), "{text}");
}

/// Without `[reload]` nobody looks.
#[test]
fn a_file_that_does_not_ask_for_it_is_read_once() {
    let site = Site::new(&shop(""));
    let _producer = FakeClient::producer(&site.resolver);
    assert!(threads("tr-reload").is_empty());
    site.write(&shop("sampler = \"always_off\""));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(site.resolver.stats().reloads.taken, 0);
}

#[test]
fn the_child_of_a_fork_reloads_for_itself() {
    let site = Site::new(&shop(""));
    let producer = FakeClient::producer(&site.resolver);
    send(&producer, "orders");
    site.reload(&shop("sampler = \"always_on\""));
    send(&producer, "orders");
    // SAFETY: the child uses what is made for children, and leaves without the test's ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let path = site.folder.path().join("tracing.toml");
        std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace("shop", "child")).unwrap();
        let changed = site.resolver.reload().is_ok_and(|reloaded| reloaded == Reloaded::Changed);
        let own = FakeClient::producer(&site.resolver);
        send(&own, "orders");
        send(&own, "orders");
        let well = changed && site.resolver.flush(Duration::from_secs(20)) && site.resolver.stats().reloads.taken == 1;
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(if well { 0 } else { 1 }) };
    }
    let mut status = 0;
    // SAFETY: waits for the child, and writes its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    send(&producer, "orders");
    let drawn = site.drawn("out");
    let of = |service: &str| drawn.iter().filter(|line| line.starts_with(service)).count();
    assert_eq!((of("shop"), of("child")), (3, 2), "{drawn:?}");
}

/// The application's logger is told of a reload in the midst of it.
#[test]
fn a_reload_that_is_asked_for_in_the_midst_of_one_changes_nothing_and_waits_for_nobody() {
    struct Asks;
    static RESOLVER: Mutex<Option<Resolver>> = Mutex::new(None);
    static ANSWERS: Mutex<Vec<Reloaded>> = Mutex::new(Vec::new());
    impl log::Log for Asks {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }
        fn log(&self, record: &log::Record<'_>) {
            let resolver = RESOLVER.lock().unwrap().clone();
            if let Some(resolver) = resolver.filter(|_| record.args().to_string().starts_with("reloaded: ")) {
                ANSWERS.lock().unwrap().push(resolver.reload().unwrap());
            }
        }
        fn flush(&self) {}
    }
    let site = Site::new(&shop(""));
    site.write(&shop("sampler = \"always_off\""));
    *RESOLVER.lock().unwrap() = Some(site.resolver.clone());
    log::set_logger(&Asks).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let resolver = site.resolver.clone();
    let asked = std::thread::spawn(move || resolver.reload());
    wait_for("it waits for itself", || asked.is_finished());
    *RESOLVER.lock().unwrap() = None;
    log::set_max_level(log::LevelFilter::Off);
    assert_eq!(asked.join().unwrap().unwrap(), Reloaded::Changed);
    assert_eq!(*ANSWERS.lock().unwrap(), [Reloaded::Unchanged]);
}

#[test]
fn what_was_shut_down_stays_so() {
    let site = Site::new(&shop(""));
    assert!(site.resolver.shutdown(Duration::from_secs(20)));
    site.write(&shop("sampler = \"always_off\""));
    assert_eq!(site.resolver.reload().unwrap(), Reloaded::Off);
    assert!(threads("tr-out").is_empty());
}
