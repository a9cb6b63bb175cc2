//! A Kafka and a collector on loopback, to try tracing with any program.
//!
//! ```sh
//! cargo run --release --example playground
//! ```
//!
//! prints two `export` lines for another terminal, and draws each trace of what is run there as it completes.
//! `-- COMMAND…` runs a command with the two variables set, and ends with it. `--help` says the rest.

mod collector;
mod options;
mod relay;

use std::io::{self, Write as _};
use std::process::{Child, Command, ExitCode};
use std::time::{Duration, Instant};

use tracer_trace_tree::{Drawing, LiveTraces};
use words::kafka::Kafka;

use crate::collector::Collector;
use crate::options::{Options, Task};
use crate::relay::Relay;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let ran = match Options::parse(std::env::args().skip(1)) {
        Ok(Task::Help) => print(options::HELP).map(|()| ExitCode::SUCCESS),
        Ok(Task::Run(options)) => run(&options),
        Err(failure) => Err(failure),
    };
    ran.unwrap_or_else(|failure| {
        // A closed stderr leaves nobody to tell; the exit code tells it.
        let _ = writeln!(io::stderr().lock(), "playground: {failure}");
        ExitCode::FAILURE
    })
}

fn run(options: &Options) -> Result<ExitCode, Failure> {
    let kafka = Kafka::start(&[]);
    for (topic, partitions) in &options.topics {
        kafka.cluster().create_topic(topic, *partitions, 1)?;
    }
    let collector = Collector::start(options.quiet)?;
    let broker = kafka.cluster().bootstrap_servers();
    // Counting is for load, between which and the Kafka nothing stands.
    let address = if options.quiet { broker } else { Relay::start(broker.parse()?)?.address() };
    let variables = [("KAFKA", address), ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint())];
    let mut command = match options.command.split_first() {
        None => {
            let lines = variables.map(|(name, value)| format!("export {name}={value}\n"));
            print(&lines.concat())?;
            None
        }
        Some((program, arguments)) => {
            let started = Command::new(program).args(arguments).envs(variables).spawn();
            Some(started.map_err(|error| format!("{program}: {error}"))?)
        }
    };
    let code = watch(options, &collector, command.as_mut());
    if let (Some(child), Err(_) | Ok(None)) = (&mut command, &code) {
        // It may have ended meanwhile; either way it must not outlive its cluster.
        let _ = child.kill();
        child.wait()?;
    }
    Ok(code?.unwrap_or(ExitCode::SUCCESS))
}

/// Shows what comes until the command ends, whose exit code is then returned, or the time is over.
fn watch(
    options: &Options,
    collector: &Collector,
    mut command: Option<&mut Child>,
) -> Result<Option<ExitCode>, Failure> {
    let started = Instant::now();
    let mut traces = LiveTraces::new(Drawing {
        attributes: vec!["tracer_resolver.process.end".to_owned()],
        times: true,
        ..Default::default()
    });
    let code = loop {
        if let Some(status) = command.as_mut().map_or(Ok(None), |child| child.try_wait())? {
            // One that a signal ended has none.
            let code = status.code().and_then(|code| u8::try_from(code).ok());
            break Some(code.map_or(ExitCode::FAILURE, ExitCode::from));
        }
        if options.time.is_some_and(|time| started.elapsed() >= time) {
            break None;
        }
        std::thread::sleep(Duration::from_millis(50));
        traces.add(collector.take_spans());
        print(&traces.take_complete())?;
        print(&collector.take_rate())?;
    };
    traces.add(collector.take_spans());
    print(&traces.take_all())?;
    print(&collector.summary())?;
    Ok(code)
}

/// To stdout at once; a reader that has closed it, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
