//! What a message costs as a process grows: more services, topics, clients, backends, threads. See `README.md` beside this file.
//!
//! Each row is a process of its own, in which nothing else grows: a fake librdkafka as in `hot_path`, every message sent,
//! acknowledged and consumed, both spans encoded. `--quick`: the ends of each scale only, to see that it works.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "not shipped")]

#[path = "../tests/support/fake_kafka.rs"]
mod fake_kafka;

use std::process::Command;
use std::time::{Duration, Instant};

use fake_kafka::{FakeClient, FakeMessage};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::Integration;

/// What grows, and how far.
const SCALES: [(&str, &[usize]); 5] = [
    ("services", &[1, 10, 100, 1_000]),
    ("topics", &[1, 100, 1_000, 10_000]),
    ("clients", &[1, 10, 100, 500]),
    ("backends", &[1, 2, 4, 8]),
    ("threads", &[1, 4, 16, 64]),
];

/// Rounds of all rows, interleaved, of which the least counts: whatever else the machine does can only add to it.
const ROUNDS: usize = 5;
/// Messages between two flushes, so that the batch thread keeps up: that it can, is another bench's business.
const BURST: usize = 10_000;

/// One process.
#[expect(clippy::vec_box, reason = "librdkafka's callbacks are given their addresses")]
struct Grown {
    resolver: Resolver,
    producers: Vec<Box<FakeClient>>,
    consumers: Vec<Box<FakeClient>>,
    topics: Vec<String>,
    threads: usize,
    /// From the first line of ours to the first client.
    start: Duration,
}

/// A client that several threads use.
struct Shared<'a>(&'a FakeClient);
// SAFETY: its cells are written while it is created and destroyed, which this outlives neither of; librdkafka's callbacks may run on
// any thread.
unsafe impl Send for Shared<'_> {}

impl Grown {
    fn new(scale: &str, count: usize) -> Self {
        let of = |name: &str| if scale == name { count } else { 1 };
        let topics: Vec<_> = (0..of("topics").max(of("services"))).map(|index| format!("orders-{index}")).collect();
        let text = configuration(of("services"), of("backends"));
        let began = Instant::now();
        let resolver = Resolver::load(Source::Text { name: "bench.toml".into(), text }).unwrap();
        let first = FakeClient::producer(&resolver);
        let start = began.elapsed();
        assert!(resolver.is_on() && !resolver.report().has_errors(), "{}", resolver.report().render(false));
        let more = (1..of("clients")).map(|_| FakeClient::producer(&resolver));
        let producers = [first].into_iter().chain(more).collect();
        let consumers = (0..of("clients")).map(|_| FakeClient::consumer(&resolver, Integration::Rust)).collect();
        Self { resolver, producers, consumers, topics, threads: of("threads"), start }
    }

    /// Takes so many messages through, in turn over all that there is several of.
    fn run(&self, messages: usize) {
        let (mut left, mut first) = (messages, 0);
        while left > 0 {
            let burst = left.min(BURST);
            std::thread::scope(|scope| {
                for thread in 0..self.threads {
                    let producers: Vec<_> = self.producers.iter().map(|client| Shared(client)).collect();
                    let consumers: Vec<_> = self.consumers.iter().map(|client| Shared(client)).collect();
                    let of_thread = (first + thread..first + burst).step_by(self.threads);
                    let topics = &self.topics;
                    scope.spawn(move || {
                        let (producers, consumers) = (producers, consumers);
                        // All of them at once would be the memory of the bench.
                        let mut message = FakeMessage::new(&topics[0]);
                        for number in of_thread {
                            if topics.len() > 1 {
                                message = FakeMessage::new(&topics[number % topics.len()]);
                            }
                            message.clear();
                            message.place(0, thread as i32, number as i64);
                            let Shared(producer) = &producers[number % producers.len()];
                            producer.send(&message);
                            producer.acknowledge(&message);
                            consumers[number % consumers.len()].0.consume(&message);
                        }
                    });
                }
            });
            assert!(self.resolver.flush(Duration::from_secs(60)));
            (left, first) = (left - burst, first + burst);
        }
    }
}

/// `services` of a topic each, the first of which takes all others too; every span goes to all `backends`, which take it and
/// do nothing.
fn configuration(services: usize, backends: usize) -> String {
    let names: Vec<_> = (0..backends).map(|index| format!("\"b{index}\"")).collect();
    let mut text = format!(
        "version = 1\ndefault_service = \"s0\"\n[batch]\ndelay = \"1h\"\n[metrics]\nexport = []\n[defaults]\nexport = [{}]\n",
        names.join(", ")
    );
    text.extend((0..services).map(|index| format!("[services.s{index}]\ntopics = [\"orders-{index}\"]\n")));
    text.extend(
        names.iter().map(|name| format!("[backends.{name}]\nplugin = \"misbehaving\"\nqueue_bytes = \"256MiB\"\n")),
    );
    text
}

/// What one process found: nanoseconds of processor time a message, of all threads; milliseconds to the first client; MiB that
/// are resident at the end.
#[derive(Clone, Copy)]
struct Found {
    nanos: f64,
    start: f64,
    resident: f64,
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    if let [row, scale, count, messages] = arguments.as_slice()
        && row == "--row"
    {
        return row_of(scale, count.parse().unwrap(), messages.parse().unwrap());
    }
    // `cargo test --benches` calls without `--bench`.
    let quick = arguments.iter().any(|argument| argument == "--quick") || !arguments.contains(&"--bench".to_owned());
    table(quick);
}

/// In a process of its own.
fn row_of(scale: &str, count: usize, messages: usize) {
    let grown = Grown::new(scale, count);
    // What is done once for each of them falls out.
    grown.run(BURST.max(count));
    let before = process_nanos();
    grown.run(messages);
    let nanos = (process_nanos() - before) as f64 / messages.max(1) as f64;
    println!("{nanos} {} {}", grown.start.as_secs_f64() * 1e3, resident());
}

fn table(quick: bool) {
    let (rounds, messages, counted) = if quick { (1, 2_000, None) } else { (ROUNDS, 200_000, Some(20_000)) };
    let rows: Vec<_> = SCALES
        .iter()
        .flat_map(|(scale, counts)| counts.iter().map(move |count| (*scale, *count)))
        .filter(|(scale, count)| {
            let counts = SCALES.iter().find(|(name, _)| name == scale).map(|(_, counts)| *counts).unwrap_or_default();
            !quick || Some(count) == counts.first() || Some(count) == counts.last()
        })
        .collect();
    let mut least = vec![Found { nanos: f64::INFINITY, start: f64::INFINITY, resident: f64::INFINITY }; rows.len()];
    for _ in 0..rounds {
        for ((scale, count), least) in rows.iter().zip(&mut least) {
            let found = child(Command::new(std::env::current_exe().unwrap()), scale, *count, messages).0;
            least.nanos = least.nanos.min(found.nanos);
            least.start = least.start.min(found.start);
            least.resident = least.resident.min(found.resident);
        }
    }
    println!("{messages} messages a row, the least of {rounds} interleaved rounds");
    println!(
        "| what there is | of it | instructions a message | CPU ns a message | ms to the first client | MiB resident |"
    );
    println!("|---|---|---|---|---|---|");
    for ((scale, count), least) in rows.iter().zip(&least) {
        let counts = counted.map(|messages| {
            let count = |messages| child(valgrind(), scale, *count, messages).1;
            format!("{:.0}", (count(2 * messages) - count(messages)) / messages as f64)
        });
        let Found { nanos, start, resident } = least;
        println!(
            "| {scale} | {count} | {} | {nanos:.0} | {start:.2} | {resident:.1} |",
            counts.unwrap_or_else(|| "-".to_owned())
        );
    }
}

fn valgrind() -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(std::env::current_exe().unwrap());
    command
}

/// What a process found, and how many instructions callgrind counted, if it runs under that.
fn child(mut command: Command, scale: &str, count: usize, messages: usize) -> (Found, f64) {
    let output = command.args(["--row", scale, &count.to_string(), &messages.to_string()]).output().unwrap();
    let (text, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{scale} {count}: {told}");
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    let line = told.lines().find(|line| line.contains("Collected :"));
    let instructions = line.map_or(f64::NAN, |line| line.rsplit(' ').next().unwrap().parse().unwrap());
    (Found { nanos: numbers[0], start: numbers[1], resident: numbers[2] }, instructions)
}

fn process_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// MiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}
