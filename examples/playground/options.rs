//! The command line.

use std::time::Duration;

use crate::Failure;

/// What to do.
pub(crate) enum Task {
    Help,
    Run(Options),
}

/// How to run.
pub(crate) struct Options {
    /// Ends by itself after that long.
    pub(crate) time: Option<Duration>,
    /// Counts spans instead of drawing traces.
    pub(crate) quiet: bool,
    /// Topics with their partitions. Others come into being when something is sent to them, with four.
    pub(crate) topics: Vec<(String, i32)>,
    /// A program and its arguments; empty without one.
    pub(crate) command: Vec<String>,
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Task, Failure> {
        let mut options = Options { time: None, quiet: false, topics: Vec::new(), command: Vec::new() };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; --help says which"));
            match argument.as_str() {
                "--help" | "-h" => return Ok(Task::Help),
                "--quiet" => options.quiet = true,
                "--for" => options.time = Some(duration(&value()?)?),
                "--topic" => options.topics.push(topic(&value()?)?),
                "--" => {
                    options.command = arguments.collect();
                    break;
                }
                program if !program.starts_with('-') => {
                    options.command = std::iter::once(argument).chain(arguments).collect();
                    break;
                }
                other => return Err(format!("there is no option {other:?}; --help lists them").into()),
            }
        }
        // Consumers do not look for a topic again that was not there when they began.
        for known in KNOWN_TOPICS {
            if options.topics.iter().all(|(name, _)| name != known) {
                options.topics.push((known.to_owned(), 1));
            }
        }
        Ok(Task::Run(options))
    }
}

/// `90s`, `2m` or `500ms`.
fn duration(text: &str) -> Result<Duration, Failure> {
    let digits = text.trim_end_matches(char::is_alphabetic);
    let unit = match &text[digits.len()..] {
        "ms" => Duration::from_millis(1),
        "s" => Duration::from_secs(1),
        "m" => Duration::from_secs(60),
        _ => return Err(format!("--for takes 500ms, 90s or 2m, not {text:?}").into()),
    };
    let number: u32 = digits.parse().map_err(|_| format!("--for takes a whole number of ms, s or m, not {text:?}"))?;
    Ok(unit * number)
}

/// `orders:16`.
fn topic(text: &str) -> Result<(String, i32), Failure> {
    let parts = text.split_once(':').and_then(|(name, partitions)| Some((name.to_owned(), partitions.parse().ok()?)));
    parts.ok_or_else(|| format!("--topic takes a name and its partitions, such as orders:16, not {text:?}").into())
}

/// What the documentation's programs use.
const KNOWN_TOPICS: [&str; 3] = ["orders", "payments", "shipments"];

pub(crate) const HELP: &str = "\
A Kafka and an OpenTelemetry collector on loopback, that draw each trace as it completes.

    cargo run --release --example playground -- [options] [COMMAND…]

    COMMAND           runs with KAFKA (host:port) and OTEL_EXPORTER_OTLP_ENDPOINT set; the playground ends with it, and
                      with its exit code. Without one, the two are printed, for other terminals
    --for TIME        ends after TIME: 500ms, 90s, 2m. Otherwise at Ctrl-C
    --topic NAME:N    a topic of N partitions. orders, payments and shipments are always there, with one; others come
                      into being when something is sent to them, with four
    --quiet           only counts spans, and says how many there are each second
    --help            this

A trace is drawn when nothing of it has come for 5 seconds. If more comes later it is drawn again, whole, and a line says so.
The Kafka is librdkafka's own, for tests: in memory, at most 5 MiB a partition.
";
