//! What a message costs as a process grows: more services, topics, clients, backends, threads. See `README.md` beside this file.
//!
//! Each row is a process of its own, in which nothing else grows: a fake librdkafka as in `hot_path`, every message sent,
//! acknowledged and consumed, both spans encoded. `--quick`: the ends of each scale only, to see that it works.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "not shipped")]

#[path = "../tests/support/fake_kafka.rs"]
mod fake_kafka;

use std::ffi::CString;
use std::process::Command;
use std::sync::Barrier;
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
    /// Of each producer, and of each consumer: a client has handles of its own.
    handles: [Vec<Handles>; 2],
    threads: usize,
    began: Start,
}

type Handles = Vec<Box<Handle>>;

/// What librdkafka knows a topic by: as large as there.
#[repr(C)]
struct Handle {
    name: CString,
    more: [u64; 88],
}

/// From the first line of ours to the first client.
#[derive(Clone, Copy)]
struct Start {
    wall: Duration,
    cpu: u64,
    /// MiB that were resident before.
    resident: f64,
}

/// What several threads use.
struct Shared<'a>(&'a Grown);
// SAFETY: the clients' cells are written while they are created and destroyed, which this outlives neither of; librdkafka's
// callbacks may run on any thread.
unsafe impl Send for Shared<'_> {}

impl Grown {
    fn new(scale: &str, count: usize) -> Self {
        let of = |name: &str| if scale == name { count } else { 1 };
        let topics: Vec<_> = (0..of("topics").max(of("services"))).map(|index| format!("orders-{index}")).collect();
        let handle = |topic: &String| Box::new(Handle { name: CString::new(topic.as_str()).unwrap(), more: [1; 88] });
        let handles = [(); 2].map(|()| (0..of("clients")).map(|_| topics.iter().map(handle).collect()).collect());
        let text = configuration(of("services"), of("backends"));
        let (resident, cpu, wall) = (resident(), process_nanos(), Instant::now());
        let resolver = Resolver::load(Source::Text { name: "bench.toml".into(), text }).unwrap();
        let first = FakeClient::producer(&resolver);
        let began = Start { wall: wall.elapsed(), cpu: process_nanos() - cpu, resident };
        assert!(resolver.is_on() && !resolver.report().has_errors(), "{}", resolver.report().render(false));
        let more = (1..of("clients")).map(|_| FakeClient::producer(&resolver));
        let producers = [first].into_iter().chain(more).collect();
        let consumers = (0..of("clients")).map(|_| FakeClient::consumer(&resolver, Integration::Rust)).collect();
        Self { resolver, producers, consumers, handles, threads: of("threads"), began }
    }

    /// Takes so many messages through, in turn over all that there is several of, and then those of `messages`; what these took
    /// in nanoseconds of processor time.
    fn run(&self, warm: usize, messages: usize) -> u64 {
        let bursts = |messages: usize| (0..messages).step_by(BURST).map(move |done| (messages - done).min(BURST));
        let all: Vec<_> = bursts(warm).chain(bursts(messages)).collect();
        let (turn, all) = (&Barrier::new(self.threads + 1), &all);
        std::thread::scope(|scope| {
            for thread in 0..self.threads {
                let grown = Shared(self);
                scope.spawn(move || {
                    let grown = grown;
                    let mut message = FakeMessage::new("");
                    let mut first = 0;
                    for burst in all {
                        turn.wait();
                        for number in (first + thread..first + burst).step_by(grown.0.threads) {
                            grown.0.take(&mut message, thread, number);
                        }
                        first += burst;
                        turn.wait();
                    }
                });
            }
            let mut before = 0;
            for (number, _) in all.iter().enumerate() {
                if number == bursts(warm).count() {
                    before = process_nanos();
                }
                turn.wait();
                turn.wait();
                assert!(self.resolver.flush(Duration::from_secs(60)));
            }
            process_nanos() - before
        })
    }

    fn take(&self, message: &mut FakeMessage, thread: usize, number: usize) {
        let [of_producers, of_consumers] = &self.handles;
        let (client, topic) = (number % self.producers.len(), number % of_producers[0].len());
        message.clear();
        message.place(0, thread as i32, number as i64);
        message.set_topic(&of_producers[client][topic].name);
        self.producers[client].send(message);
        self.producers[client].acknowledge(message);
        message.set_topic(&of_consumers[client][topic].name);
        self.consumers[client].consume(message);
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

/// What one process found: nanoseconds of processor time a message, of all threads; milliseconds to the first client, by the
/// wall and of processor time; MiB that are resident at the end and were not before.
type Found = [f64; 4];

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
    // What is done once for each of them falls out, and so do the first looks for each that a table has to grow for.
    let nanos = grown.run(BURST.max(6 * count), messages) as f64 / messages.max(1) as f64;
    let Start { wall, cpu, resident: before } = grown.began;
    println!("{nanos} {} {} {}", wall.as_secs_f64() * 1e3, cpu as f64 / 1e6, resident() - before);
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
    let mut least = vec![[f64::INFINITY; 4]; rows.len()];
    for _ in 0..rounds {
        for ((scale, count), least) in rows.iter().zip(&mut least) {
            let found = child(Command::new(std::env::current_exe().unwrap()), scale, *count, messages).0;
            *least = std::array::from_fn(|index| least[index].min(found[index]));
        }
    }
    println!("{messages} messages a row, the least of {rounds} interleaved rounds");
    println!(
        "| what there is | of it | instructions a message | CPU ns a message | ms to the first client | of it CPU | MiB more |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ((scale, count), least) in rows.iter().zip(&least) {
        let counts = counted.map(|messages| {
            let count = |messages| child(valgrind(), scale, *count, messages).1;
            format!("{:.0}", (count(2 * messages) - count(messages)) / messages as f64)
        });
        let [nanos, wall, cpu, resident] = least;
        println!(
            "| {scale} | {count} | {} | {nanos:.0} | {wall:.2} | {cpu:.2} | {resident:.1} |",
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
    (numbers.try_into().unwrap(), instructions)
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
