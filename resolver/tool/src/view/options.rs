//! What can be asked of `view`. Their comments are what `--help` says.

use std::path::PathBuf;

use clap::Args;
use tracer_trace_tree::ReceivedSpan;

use super::address::Address;
use crate::failure::{Failure, MISUNDERSTOOD};

/// The words.
#[derive(Args)]
pub(crate) struct Options {
    /// A file of OTLP/JSON lines, as the backend `file` writes it, or `-` for standard input.
    ///
    /// The file is followed while it grows, also when it is rotated, replaced or cut. It may come later.
    #[arg(value_name = "FILE|-")]
    source: Option<String>,
    /// Takes spans itself, by OTLP/HTTP: an address such as 127.0.0.1:4318, or :4318 for this machine only.
    ///
    /// Point a backend `otlp`, or OTEL_EXPORTER_OTLP_ENDPOINT, at it. Protobuf and JSON, gzip or not.
    #[arg(long, value_name = "ADDR", conflicts_with = "no_follow")]
    listen: Option<Address>,
    /// Shows a page in place of the terminal's trees, at this address; 127.0.0.1:8318 unless said otherwise.
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = "127.0.0.1:8318")]
    web: Option<String>,
    /// Reads what is in the file now, and ends.
    #[arg(long)]
    no_follow: bool,
    /// Only traces with an error in them.
    #[arg(long)]
    errors: bool,
    /// Only traces of messages in this topic.
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only traces through this service.
    #[arg(long, value_name = "SERVICE")]
    service: Option<String>,
    /// A folder with the page, for a command that was built without it: resolver/tool/view/dist.
    #[arg(long, value_name = "FOLDER", requires = "web")]
    page: Option<PathBuf>,
}

/// What they mean together.
pub(super) struct Asked {
    pub(super) source: Option<String>,
    pub(super) listen: Option<Address>,
    pub(super) web: Option<Address>,
    pub(super) follow: bool,
    pub(super) only: Only,
    pub(super) page: Option<PathBuf>,
}

/// Which traces are shown.
#[derive(Default)]
pub(super) struct Only {
    pub(super) errors: bool,
    pub(super) topic: Option<String>,
    pub(super) service: Option<String>,
}

impl Asked {
    /// Fails if nothing is there to look at, or the address is none.
    pub(super) fn from(options: Options) -> Result<Self, Failure> {
        let mut source = options.source;
        let web = match options.web {
            None => None,
            Some(word) => match word.parse::<Address>() {
                Ok(address) => Some(address),
                // `view --web spans.jsonl`: the word belongs to the command, and not to the option before it.
                Err(_) if source.is_none() && options.listen.is_none() => {
                    source = Some(word);
                    Some(Address::page())
                }
                Err(error) => return Err(misunderstood(format!("--web: {error}"))),
            },
        };
        if source.is_none() && options.listen.is_none() {
            return Err(misunderstood("`view` needs a file, `-` for standard input, or --listen ADDR"));
        }
        let only = Only { errors: options.errors, topic: options.topic, service: options.service };
        Ok(Self { source, listen: options.listen, web, follow: !options.no_follow, only, page: options.page })
    }
}

impl Only {
    /// Whether a trace of these spans is shown.
    pub(super) fn wants<'a>(&self, spans: impl IntoIterator<Item = &'a ReceivedSpan> + Copy) -> bool {
        let any = |of: &dyn Fn(&ReceivedSpan) -> bool| spans.into_iter().any(of);
        (!self.errors || any(&ReceivedSpan::has_failed))
            && self.topic.as_ref().is_none_or(|topic| any(&|span| span.topic() == topic))
            && self.service.as_ref().is_none_or(|service| any(&|span| span.service == *service))
    }

    /// The same for the page, behind its address.
    pub(super) fn fragment(&self) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        if self.errors {
            query.append_pair("errors", "1");
        }
        for (key, value) in [("topic", &self.topic), ("service", &self.service)] {
            if let Some(value) = value {
                query.append_pair(key, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { query } else { format!("#/?{query}") }
    }
}

fn misunderstood(what: impl Into<String>) -> Failure {
    Failure { status: MISUNDERSTOOD, what: what.into() }
}
