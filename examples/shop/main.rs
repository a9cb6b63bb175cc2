//! A shop whose services live in one process, each traced by its own tracer into its own backend.
//!
//! ```text
//!  orders.ndjson ─▶ orders ═▶ payments ═▶ shipping ═▶ notifications          ═▶ Kafka topics
//!                     │          │           │              │
//!                   jaeger     zipkin       otlp       otlp + jaeger         what tracing.toml says
//! ```
//!
//! Which service a message belongs to and where spans go stands in the file that `INTERCEPTORS_CONFIG_FILE` names, and
//! nowhere in this program: to [`kafka`] it is one line. `cargo run --release --example shop -- --help` says the rest.

mod board;
mod generate;
mod kafka;
mod kind;
mod options;
mod order;
mod paint;
mod progress;
mod receivers;
mod screen;
mod services;
mod setup;
mod summary;
mod trace_view;

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tracer_resolver::Resolver;

use crate::board::Board;
use crate::kafka::Kafka;
use crate::options::{Command, Options};
use crate::order::Failure;
use crate::progress::Progress;
use crate::receivers::Receivers;
use crate::summary::Summary;

fn main() -> ExitCode {
    let ran = match Options::parse(std::env::args().skip(1)) {
        Ok(Command::Help) => print(options::HELP).map(|()| ExitCode::SUCCESS),
        Ok(Command::Generate(count)) => generate::to_stdout(count).map(|()| ExitCode::SUCCESS),
        Ok(Command::Run(options)) => {
            // SAFETY: nothing so far has started a thread, so none reads or changes the environment meanwhile.
            unsafe { setup::prepare() }.and_then(|environment| run(&options, &environment))
        }
        Err(failure) => Err(failure),
    };
    ran.unwrap_or_else(|failure| complain(&failure))
}

fn run(options: &Options, environment: &setup::Environment) -> Result<ExitCode, Failure> {
    let progress = Progress::start();
    progress.say(&environment.to_string());
    let mut receivers = Receivers::start(environment)?;
    options.kill.map_or(Ok(()), |kind| receivers.check_kill(kind))?;
    // The first use of tracing: reads the file, loads the plugins. `kafka` would do it as well.
    let resolver = Resolver::global()?;
    let kafka = Kafka::start(options.bootstrap.as_deref())?;
    progress.say(&format!("Kafka: {kafka}\nSpans: {receivers}\n"));

    let board = Arc::new(Board::new(options.total()?));
    let shop = services::open(&kafka, &board, options)?;
    let killed = progress.follow(&board, options.kill, &mut receivers);
    let worked = shop.close();

    // Sends what is in hand, and waits for the backends; what they do not take in time is counted as dropped.
    resolver.shutdown(Duration::from_secs(10));
    progress.end(&board);
    receivers.collect();
    killed?;
    worked?;

    let summary = Summary::new(resolver, &board, receivers);
    print(&summary.render())?;
    Ok(summary.exit_code(options.kill.is_some()))
}

/// To stdout; a reader that has closed it, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

fn complain(failure: &Failure) -> ExitCode {
    // A closed stderr leaves nobody to tell; the exit code tells it.
    let _ = writeln!(std::io::stderr().lock(), "shop: {failure}");
    ExitCode::FAILURE
}
