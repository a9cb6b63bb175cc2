//! What a message costs in our code: callbacks over a fake librdkafka that does nothing but keep headers, and the batch
//! thread's encoding. See `README.md` beside this file.
//!
//! Without arguments: times every stage, all interleaved in one run. `--instructions`: counts instructions of all
//! threads with valgrind's callgrind, which repeats on a noisy machine, and fails where a stage takes more than was recorded;
//! `--record` records. `--quick`: less of both, to see that it works.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "not shipped"
)]

#[path = "../tests/support/fake_kafka.rs"]
mod fake_kafka;

use std::cell::OnceCell;
use std::process::Command;
use std::time::{Duration, Instant};

use fake_kafka::{FakeClient, FakeMessage};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracer_resolver::Resolver;
use tracer_resolver::config::Source;
use tracer_resolver::interceptor::{Hands, Integration, polling, seen_polling};

/// What is done with each message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The same message with the same header, set and read by the application; nothing of ours.
    Application,
    /// `on_send` of a root span.
    Send,
    /// `on_send` under a current span.
    SendChild,
    /// `on_send` and `on_acknowledgement`.
    SendAck,
    /// The same under a current span.
    SendAckChild,
    /// `on_consume` by property, of a message of many, with a `traceparent`.
    Consume,
    /// The same of a message that is handed over alone, by a call that is recognised, and so waits.
    ConsumeAlone,
    /// The same through the preloaded library, which sees the poll: it ends the processing of the message before.
    ConsumePolled,
    /// `on_consume` through the Rust crate, where the delivery waits for a guard.
    ConsumeRust,
    /// Sent, acknowledged and consumed (by property), both spans encoded into batches.
    Whole,
    /// The same through the Rust crate, under a current span.
    WholeRustChild,
    /// Consumed alone by property, then sent and acknowledged as what follows from it; both spans encoded.
    WholeAmbient,
    /// Sent, acknowledged and consumed with `always_off`.
    WholeUnsampled,
    /// `SendAck`, measured.
    SendAckMeasured,
    /// `Consume`, measured.
    ConsumeMeasured,
    /// `Whole`, measured.
    WholeMeasured,
    /// `WholeUnsampled`, measured.
    WholeUnsampledMeasured,
    /// The same by a service that is only measured.
    WholeOnlyMeasured,
    /// `Consume`, where commits get spans: one for a hundred messages.
    ConsumeCommitted,
    /// `Consume`, by calls for a hundred messages that get spans.
    ConsumeBatched,
}

const STAGES: [Stage; 20] = [
    Stage::Application,
    Stage::Send,
    Stage::SendChild,
    Stage::SendAck,
    Stage::SendAckChild,
    Stage::Consume,
    Stage::ConsumeAlone,
    Stage::ConsumePolled,
    Stage::ConsumeRust,
    Stage::Whole,
    Stage::WholeRustChild,
    Stage::WholeAmbient,
    Stage::WholeUnsampled,
    Stage::SendAckMeasured,
    Stage::ConsumeMeasured,
    Stage::WholeMeasured,
    Stage::WholeUnsampledMeasured,
    Stage::WholeOnlyMeasured,
    Stage::ConsumeCommitted,
    Stage::ConsumeBatched,
];

impl Stage {
    /// Whether the batch thread's work is part of it.
    fn encodes(self) -> bool {
        matches!(self, Stage::Whole | Stage::WholeRustChild | Stage::WholeAmbient | Stage::WholeMeasured)
    }
}

/// Messages of a call, and of a commit.
const CALL: usize = 100;
const TRACEPARENT: &[u8; 55] = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

struct Bench {
    on: Resolver,
    producer: Box<FakeClient>,
    producer_unanswered: Box<FakeClient>,
    consumer: Box<FakeClient>,
    consumer_polled: Box<FakeClient>,
    /// Of its own, so that the thread is not known to collect its messages, as it does in other stages.
    consumer_ambient: Box<FakeClient>,
    consumer_rust: Box<FakeClient>,
    producer_off: Box<FakeClient>,
    consumer_off: Box<FakeClient>,
    /// Of a service that is measured: sampled, sampled out, and without spans.
    measured: [Measured; 3],
    /// Of services that ask for spans of commits, and of calls for several messages. Made when needed: where nobody asks for the
    /// latter, there is less to do for each call.
    committed: OnceCell<Asking>,
    batched: OnceCell<Asking>,
    message: Box<FakeMessage>,
}

/// The consumer of a service with a setting of its own; its calls are seen.
struct Asking {
    resolver: Resolver,
    consumer: Box<FakeClient>,
}

impl Asking {
    fn new(setting: &str) -> Self {
        let resolver = resolver_with("always_on", "off", setting);
        Self { consumer: seen_polling(|| FakeClient::consumer(&resolver, Integration::Plugin)), resolver }
    }
}

/// The clients of a service that is measured.
struct Measured {
    resolver: Resolver,
    producer: Box<FakeClient>,
    consumer: Box<FakeClient>,
    /// Its calls are seen.
    consumer_polled: Box<FakeClient>,
}

impl Measured {
    fn new(sampler: &str, metrics: &str) -> Self {
        let resolver = resolver(sampler, metrics);
        Self {
            producer: FakeClient::producer(&resolver),
            consumer: FakeClient::consumer(&resolver, Integration::Plugin),
            consumer_polled: seen_polling(|| FakeClient::consumer(&resolver, Integration::Plugin)),
            resolver,
        }
    }

    fn whole(&self, message: &FakeMessage) {
        self.producer.send(message);
        self.producer.acknowledge(message);
        self.consumer.consume(message);
    }
}

impl Bench {
    fn new() -> Self {
        let (on, off) = (resolver("always_on", "off"), resolver("always_off", "off"));
        Self {
            producer: FakeClient::producer(&on),
            producer_unanswered: FakeClient::producer(&on),
            consumer: FakeClient::consumer(&on, Integration::Plugin),
            consumer_polled: seen_polling(|| FakeClient::consumer(&on, Integration::Plugin)),
            consumer_ambient: FakeClient::consumer(&on, Integration::Plugin),
            consumer_rust: FakeClient::consumer(&on, Integration::Rust),
            producer_off: FakeClient::producer(&off),
            consumer_off: FakeClient::consumer(&off, Integration::Plugin),
            measured: [("always_on", "on"), ("always_off", "on"), ("always_on", "only")]
                .map(|(sampler, metrics)| Measured::new(sampler, metrics)),
            committed: OnceCell::new(),
            batched: OnceCell::new(),
            message: FakeMessage::new("orders"),
            on,
        }
    }

    /// Takes `messages` through a stage. The batch thread is given time to keep up between bursts of 10 000: that it
    /// can, is another bench's business.
    fn run(&mut self, stage: Stage, messages: usize) {
        let child = matches!(stage, Stage::SendChild | Stage::SendAckChild | Stage::WholeRustChild);
        if matches!(stage, Stage::Send | Stage::SendChild) {
            // Never acknowledged: what a producer keeps until then would fill up from round to round.
            self.producer_unanswered = FakeClient::producer(&self.on);
        }
        let _current = child.then(|| Context::current().with_remote_span_context(parent()).attach());
        for burst in 0..messages.div_ceil(10_000) {
            for index in burst * 10_000..messages.min((burst + 1) * 10_000) {
                self.one(stage, index);
            }
            if stage.encodes() {
                let resolver = if stage == Stage::WholeMeasured { &self.measured[0].resolver } else { &self.on };
                assert!(resolver.flush(Duration::from_secs(60)));
            }
        }
    }

    /// Waits until the batch thread has encoded all.
    fn flush(&self) {
        let asking =
            [&self.committed, &self.batched].into_iter().filter_map(OnceCell::get).map(|asking| &asking.resolver);
        let measured = self.measured.iter().map(|measured| &measured.resolver);
        for resolver in asking.chain(measured).chain([&self.on]) {
            assert!(resolver.flush(Duration::from_secs(60)));
        }
    }

    fn one(&mut self, stage: Stage, index: usize) {
        let message = &mut self.message;
        message.clear();
        message.place(0, 3, index as i64);
        match stage {
            Stage::Application => {
                message.add_header(c"traceparent", TRACEPARENT);
                std::hint::black_box(message.has_header("traceparent"));
            }
            Stage::Send | Stage::SendChild => self.producer_unanswered.send(message),
            Stage::SendAck | Stage::SendAckChild => {
                self.producer.send(message);
                self.producer.acknowledge(message);
            }
            Stage::Consume => {
                message.add_header(c"traceparent", TRACEPARENT);
                polling(1, Hands::Many, || self.consumer_polled.consume(message));
            }
            Stage::ConsumeAlone => {
                message.add_header(c"traceparent", TRACEPARENT);
                self.consumer.consume(message);
            }
            Stage::ConsumePolled => {
                message.add_header(c"traceparent", TRACEPARENT);
                polling(1, Hands::One, || self.consumer_polled.consume(message));
            }
            Stage::ConsumeRust => {
                message.add_header(c"traceparent", TRACEPARENT);
                self.consumer_rust.consume(message);
            }
            Stage::Whole => {
                self.producer.send(message);
                self.producer.acknowledge(message);
                self.consumer.consume(message);
            }
            Stage::WholeRustChild => {
                self.producer.send(message);
                self.producer.acknowledge(message);
                self.consumer_rust.consume(message);
            }
            Stage::WholeAmbient => {
                message.add_header(c"traceparent", TRACEPARENT);
                self.consumer_ambient.consume(message);
                message.clear();
                self.producer.send(message);
                self.producer.acknowledge(message);
            }
            Stage::WholeUnsampled => {
                self.producer_off.send(message);
                self.producer_off.acknowledge(message);
                self.consumer_off.consume(message);
            }
            Stage::SendAckMeasured => {
                self.measured[0].producer.send(message);
                self.measured[0].producer.acknowledge(message);
            }
            Stage::ConsumeMeasured => {
                message.add_header(c"traceparent", TRACEPARENT);
                polling(1, Hands::Many, || self.measured[0].consumer_polled.consume(message));
            }
            Stage::WholeMeasured => self.measured[0].whole(message),
            Stage::WholeUnsampledMeasured => self.measured[1].whole(message),
            Stage::WholeOnlyMeasured => self.measured[2].whole(message),
            Stage::ConsumeCommitted => {
                let consumer = &self.committed.get_or_init(|| Asking::new("commit_spans = true")).consumer;
                message.add_header(c"traceparent", TRACEPARENT);
                polling(1, Hands::Many, || consumer.consume(message));
                if index % CALL == CALL - 1 {
                    consumer.commit(c"orders", 3, index as i64 + 1, 0);
                }
            }
            Stage::ConsumeBatched if index % CALL == 0 => {
                let consumer = &self.batched.get_or_init(|| Asking::new("relation = \"batch\"")).consumer;
                polling(1, Hands::Many, || {
                    for offset in index..index + CALL {
                        message.clear();
                        message.place(0, 3, offset as i64);
                        message.add_header(c"traceparent", TRACEPARENT);
                        consumer.consume(message);
                    }
                });
            }
            Stage::ConsumeBatched => {}
        }
    }
}

fn main() {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let Some(position) = arguments.iter().position(|argument| argument == "--stage") {
        let stage = STAGES[arguments[position + 1].parse::<usize>().unwrap()];
        return alone(stage, arguments[position + 2].parse().unwrap());
    }
    if has("--instructions") {
        instructions(if has("--quick") { 8_000 } else { 20_000 }, has("--record"))
    } else {
        times(has("--quick"))
    }
}

/// Every stage once per round, so that a slow moment of the machine hits all alike.
fn times(quick: bool) {
    let (rounds, messages) = if quick { (3, 20_000) } else { (21, 200_000) };
    let mut bench = Bench::new();
    let mut nanos = vec![Vec::new(); STAGES.len()];
    for round in 0..=rounds {
        for (stage, nanos) in STAGES.into_iter().zip(&mut nanos) {
            let (process, wall) = (process_nanos(), Instant::now());
            bench.run(stage, messages);
            let spent = if stage.encodes() { process_nanos() - process } else { wall.elapsed().as_nanos() as u64 };
            if round > 0 {
                nanos.push(spent as f64 / messages as f64);
            }
        }
    }
    println!("{rounds} rounds of {messages} messages, all stages interleaved; nanoseconds a message");
    println!("(stages that encode: CPU time of the whole process; else: wall time of the calling thread)");
    println!("{:<16} {:>8} {:>8} {:>8}   over the application's own header", "stage", "p10", "median", "p90");
    let base = quantile(&mut nanos[0], 0.5);
    for (stage, nanos) in STAGES.into_iter().zip(&mut nanos) {
        let (p10, median, p90) = (quantile(nanos, 0.1), quantile(nanos, 0.5), quantile(nanos, 0.9));
        println!("{:<16} {p10:>8.1} {median:>8.1} {p90:>8.1} {:>+10.1}", format!("{stage:?}"), median - base);
    }
}

/// One stage, for callgrind, with the batch thread's part in each. What is counted begins with [`counted`], when all is as it
/// stays: the counter that time is read from is anchored, the tables are there. And it ends with it, so that the end of the
/// process is no part of it.
fn alone(stage: Stage, messages: usize) {
    let mut bench = Bench::new();
    bench.run(stage, 1_000);
    bench.flush();
    std::thread::sleep(Duration::from_millis(300));
    counted(&mut bench, stage, messages);
    // SAFETY: ends the process; nothing that is kept by it has to be put in order.
    unsafe { libc::_exit(0) };
}

#[inline(never)]
fn counted(bench: &mut Bench, stage: Stage, messages: usize) {
    bench.run(stage, messages);
    bench.flush();
}

/// What each stage took when it was last recorded, in the order of `STAGES`: `STAGE COUNT` a line.
const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// How much more a stage may take than was recorded, in percent.
const ALLOWED: f64 = 5.0;
/// Runs of a stage of which the least counts.
const RUNS: usize = 3;
/// How often there are so many runs more of a stage that seems to take too much, before it is said that it does.
const TRIES: usize = 3;

/// Runs of each stage. Compares with what was recorded, or records it.
fn instructions(messages: usize, record: bool) {
    println!("instructions a message, all threads, by callgrind ({messages} messages)");
    println!("{:<22} {:>8} {:>10} {:>9} {:>7}", "stage", "count", "over own", "recorded", "change");
    let before = std::fs::read_to_string(RECORDED).unwrap_or_default();
    let before = |name: &str| before.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
    let (mut base, mut text, mut grown) = (0.0, String::new(), Vec::new());
    for (index, stage) in STAGES.into_iter().enumerate() {
        let count = || {
            let output = Command::new("valgrind")
                .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--zero-before=hot_path::counted*"])
                .arg(std::env::current_exe().unwrap())
                .args(["--stage", &index.to_string(), &messages.to_string()])
                .output()
                .expect("valgrind is not installed");
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{text}");
            let line = text.lines().find(|line| line.contains("Collected :")).unwrap();
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() / messages as f64
        };
        let name = format!("{stage:?}");
        // One that was never recorded is above what was.
        let recorded = before(&format!("{name} ")).unwrap_or(0.0);
        let (mut each, mut change) = (f64::INFINITY, 0.0);
        // The least of a few: what is done by the clock (a look for event loops, the batch thread's rounds) comes on top, and
        // on a busy machine it is more.
        for _ in 0..TRIES {
            each = (0..RUNS).map(|_| count()).fold(each, f64::min);
            change = (each / recorded - 1.0) * 100.0;
            if record || change <= ALLOWED {
                break;
            }
        }
        if stage == Stage::Application {
            base = each;
        }
        if change > ALLOWED {
            grown.push(name.clone());
        }
        println!("{name:<22} {each:>8.1} {:>+10.1} {recorded:>9.1} {change:>+6.1}%", each - base);
        text += &format!("{name} {each:.1}\n");
    }
    if record {
        std::fs::write(RECORDED, text).unwrap();
    } else if !grown.is_empty() {
        println!("more than {ALLOWED} % above what was recorded: {}", grown.join(", "));
        println!("if it is worth it, say why in the commit, and record it: add --record");
        std::process::exit(1);
    }
}

fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

fn process_nanos() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes the time.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn parent() -> SpanContext {
    let (trace, span) = (0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c, 0xb7ad_6b71_6920_3331);
    SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::SAMPLED, false, TraceState::NONE)
}

fn resolver(sampler: &str, metrics: &str) -> Resolver {
    resolver_with(sampler, metrics, "")
}

/// One whose service has another setting.
fn resolver_with(sampler: &str, metrics: &str, setting: &str) -> Resolver {
    // No backend: spans are encoded into batches, which go nowhere.
    let text = format!(
        "version = 1\n[batch]\ndelay = \"1h\"\n[defaults]\nsampler = \"{sampler}\"\nmeasure = \"{metrics}\"\n\
         [services.shop]\ntopics = [\"orders\"]\n{setting}\n"
    );
    let resolver = Resolver::load(Source::Text { name: "bench.toml".into(), text }).unwrap();
    assert!(resolver.is_on());
    resolver
}
