//! What both ways in do with a client's configuration.

use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::config::{Report, Severity};
use tracer_resolver::interceptor::{Integration, KafkaApi, RdKafkaConf, conf_init};
use tracer_resolver::{Resolver, is_code_of_a_plugin, is_in_plugin};

use crate::librdkafka::Librdkafka;
use crate::module::Module;
use crate::{stderr_log, unmet_program};

/// The client must not be created, and why: only with `INTERCEPTORS_STRICT=1`.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) String);

/// Whether a client that is made by a call from `module`, on this thread, is a plugin's own. Such a client is left to
/// librdkafka: it may be made while the resolver waits for the plugin, and its messages may be our spans.
pub(crate) fn is_of_a_plugin(module: Option<&Module>) -> bool {
    is_in_plugin() || module.is_some_and(|module| is_code_of_a_plugin(|code| module.contains(code)))
}

/// The resolver of this process; `None` when nothing is traced.
pub(crate) fn resolver() -> Result<Option<&'static Resolver>, Refused> {
    unmet_program::met();
    stderr_log::start();
    match Resolver::global() {
        Ok(resolver) => Ok(Some(resolver).filter(|resolver| resolver.is_on())),
        Err(error) => {
            static TOLD: AtomicBool = AtomicBool::new(false);
            if !TOLD.swap(true, Ordering::Relaxed) {
                log::error!("no client is created, because INTERCEPTORS_STRICT=1 and {error}");
            }
            Err(Refused(in_a_line(error.report())))
        }
    }
}

/// The functions by which clients of `librdkafka` are traced; `None` when they are not all there, which is told once.
pub(crate) fn api(resolver: &Resolver, librdkafka: &'static Librdkafka) -> Result<Option<&'static KafkaApi>, Refused> {
    match librdkafka.engine_api() {
        Ok(api) => Ok(Some(api)),
        Err(why) => {
            if librdkafka.first_to_tell() {
                log::error!("{why}");
            }
            if resolver.is_strict() { Err(Refused(why)) } else { Ok(None) }
        }
    }
}

/// Has the clients of `conf` traced. Twice for one `conf` is once.
///
/// # Safety
///
/// `conf` is a valid configuration, not in use by a client, of the librdkafka of `api`.
pub(crate) unsafe fn trace(api: &'static KafkaApi, conf: *mut RdKafkaConf, resolver: &Resolver) {
    // SAFETY: as promised by the caller. Contains its own panics.
    unsafe { conf_init(api, conf, resolver, None, Integration::Plugin) };
}

/// The first error, with its place, for librdkafka's short buffer; all of them are on stderr.
fn in_a_line(report: &Report) -> String {
    let mut errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
    let Some(first) = errors.next() else { return format!("tracer-resolver: {} has errors", report.name) };
    let before = first.span.as_ref().and_then(|span| report.text.get(..span.start));
    let place = before.map_or_else(String::new, |text| format!("{}:{}: ", report.name, text.matches('\n').count() + 1));
    let more = match errors.count() {
        0 => String::new(),
        count => format!(" (and {count} more: see stderr)"),
    };
    format!("tracer-resolver: {place}{}{more}", first.message)
}

#[cfg(test)]
mod tests {
    use tracer_resolver::config::Problem;

    use super::*;

    #[test]
    fn the_first_error_is_said_with_its_line_and_how_many_there_are() {
        let mut report = Report::new("t.toml", "version = 1\nfoo = 2\n");
        report.push(Problem::warning("C2", "odd"));
        report.push(Problem { span: Some(12..15), ..Problem::error("C1", "unknown key `foo`") });
        assert_eq!(in_a_line(&report), "tracer-resolver: t.toml:2: unknown key `foo`");
        report.push(Problem::error("C1", "more"));
        assert_eq!(in_a_line(&report), "tracer-resolver: t.toml:2: unknown key `foo` (and 1 more: see stderr)");
    }

    #[test]
    fn an_error_about_the_whole_has_no_line() {
        let mut report = Report::new("t.toml", "");
        report.push(Problem::error("C1", "t.toml does not exist"));
        assert_eq!(in_a_line(&report), "tracer-resolver: t.toml does not exist");
    }
}
