//! The command line.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::kind::Kind;
use crate::order::Failure;

/// What to do.
pub(crate) enum Command {
    Help,
    /// Print so many orders.
    Generate(u64),
    Run(Options),
}

/// How to run.
pub(crate) struct Options {
    input: Input,
    /// At most so many orders.
    limit: u64,
    /// Orders per second; 0 is as fast as they come.
    pub(crate) rate: u32,
    /// A real cluster, `host:port`; otherwise the embedded one.
    pub(crate) bootstrap: Option<String>,
    /// The receiver to stop in the middle.
    pub(crate) kill: Option<Kind>,
}

enum Input {
    Stdin,
    File(PathBuf),
}

impl Options {
    /// Reads the arguments, without the program's name.
    pub(crate) fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, Failure> {
        let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop/orders.ndjson");
        let input = Input::File(sample.into());
        let mut options = Options { input, limit: u64::MAX, rate: 1_000, bootstrap: None, kill: None };
        while let Some(argument) = arguments.next() {
            let (name, given) = match argument.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (argument, None),
            };
            let mut value = || {
                given.clone().or_else(|| arguments.next()).ok_or_else(|| Failure::new(format!("{name} needs a value")))
            };
            match name.as_str() {
                "--help" | "-h" => return Ok(Command::Help),
                "--generate" => return Ok(Command::Generate(number(&name, &value()?)?)),
                "--orders" => {
                    let file = value()?;
                    options.input = if file == "-" { Input::Stdin } else { Input::File(file.into()) };
                }
                "--limit" => options.limit = number(&name, &value()?)?,
                "--rate" => options.rate = number(&name, &value()?)?,
                "--bootstrap" => options.bootstrap = Some(value()?),
                "--kill" => options.kill = Some(Kind::named(&value()?)?),
                other => return Err(Failure::new(format!("there is no option {other:?}; --help lists them"))),
            }
        }
        Ok(Command::Run(options))
    }

    /// The orders, one JSON object a line.
    pub(crate) fn lines(&self) -> Result<impl Iterator<Item = io::Result<String>> + Send + use<>, Failure> {
        let reader: Box<dyn BufRead + Send> = match &self.input {
            Input::Stdin => Box::new(BufReader::new(io::stdin())),
            Input::File(path) => Box::new(BufReader::new(open(path)?)),
        };
        let orders = reader.lines().filter(|line| line.as_ref().map_or(true, |line| !line.trim().is_empty()));
        Ok(orders.take(usize::try_from(self.limit).unwrap_or(usize::MAX)))
    }

    /// How many orders there will be; unknown of stdin.
    pub(crate) fn total(&self) -> Result<Option<u64>, Failure> {
        match &self.input {
            Input::Stdin => Ok(None),
            Input::File(path) => {
                let mut orders = 0;
                for line in BufReader::new(open(path)?).split(b'\n') {
                    orders += u64::from(!line.map_err(|error| unusable(path, &error))?.trim_ascii().is_empty());
                }
                Ok(Some(self.limit.min(orders)))
            }
        }
    }

    /// The input's name, for errors.
    pub(crate) fn input_name(&self) -> String {
        match &self.input {
            Input::Stdin => "stdin".to_owned(),
            Input::File(path) => path.display().to_string(),
        }
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    File::open(path).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{}: {error}; --orders names another file", path.display()))
}

fn number<T: FromStr>(name: &str, text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::new(format!("{name} needs a whole number, not {text:?}")))
}

pub(crate) const HELP: &str = "\
A shop in one process: orders, payments, shipping and notifications talk through Kafka; every service has a tracer
and backends of its own, as the file says that INTERCEPTORS_CONFIG_FILE names (unset: examples/shop/tracing.toml).

    cargo run --release --example shop -- [options]

    --orders FILE         one JSON object a line; - is stdin. Without it: examples/shop/orders.ndjson
    --limit N             no more than N orders
    --rate N              orders per second, 1000 unless said; 0 is as fast as they come
    --bootstrap HOST:PORT a real Kafka cluster; the topics orders, payments.accepted, payments.declined and
                          shipments are made there. Without it: librdkafka's embedded mock cluster
    --kill BACKEND        stop the built-in jaeger, zipkin or otlp receiver in the middle
    --generate N          print N made-up orders and end; such is examples/shop/orders.ndjson
    --help                this

Receivers for all three backends are built in. To see the spans in servers of your own, say where they are:

    JAEGER_ENDPOINT       OTLP/HTTP port of Jaeger, such as http://localhost:4318
    ZIPKIN_ENDPOINT       such as http://localhost:9411/api/v2/spans
    OTLP_ENDPOINT         any collector's OTLP/HTTP port, such as http://localhost:4318

Exit code: 0; 1 when anything failed, or a span was lost although nothing was killed.
";
