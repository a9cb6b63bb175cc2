//! What the clients of a process have met: whose each topic is, and whether anything was anybody's.
//!
//! Nothing is traced, or left untraced, without a word: each topic is told once for each client, and a file whose services
//! match nothing is warned about when a client closes.

#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::losses::Moment;
use super::misspelt::{Meant, Misspelt};
use super::stats::ServiceStats;
use super::topics_counted::TopicsCounted;
use super::who::{Belongs, Who};
use super::whose::{Rules, as_written};
use crate::config::{Config, Origin, Pattern, Report, Service, Settings};
use crate::counted::{counted, verb};
use crate::diagnostics;
use crate::per_process::PerProcess;
use crate::services::ServiceMap;

/// See the module.
pub(crate) struct TopicsSeen {
    /// The services and their rules, for whoever has to repair them.
    services: String,
    /// Texts of patterns that do not stand in the source.
    hidden: Vec<String>,
    here: Arc<PerProcess<Here>>,
    counted: Arc<TopicsCounted>,
}

/// What is known of rules and topics when something is to be said of them.
pub(crate) struct Look<'a> {
    pub(crate) rules: Rules<'a>,
    /// Where a rule stands: `tracing.toml:7`.
    pub(crate) place: &'a dyn Fn(&Meant<'_>) -> Option<String>,
}

/// What was met in one process; a fork has met nothing.
#[derive(Default)]
struct Here {
    open: AtomicUsize,
    /// The batch thread will ask for the last words.
    expected: AtomicBool,
    anything_matched: AtomicBool,
    told_that_nothing_matched: AtomicBool,
    topics_told: AtomicUsize,
    /// The first topics that were nobody's.
    nobodys: Mutex<Vec<String>>,
    misspelt: Misspelt,
    /// What was said last of the topics that were told, by the topic and who met it.
    lines: Mutex<HashMap<String, String>>,
    /// What was said of each service's other counters, by its name.
    told: Mutex<HashMap<String, Others>>,
}

/// What is counted for a service and is no loss of spans.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Others {
    not_injected: u64,
    parents_lost: u64,
    sampled_out: u64,
    shed: u64,
    /// Of the last time that the process was about to end.
    unacknowledged: u64,
}

/// Topics that are told; a program that makes up its topics must not fill the log.
const MOST_TOPICS: usize = 1_000;
/// Topics that are named when nothing matched.
const MOST_NAMED: usize = 10;
/// Patterns that are named then.
const MOST_PATTERNS: usize = 20;

impl TopicsSeen {
    /// `source`: what the patterns were read from. One that does not stand there came from a reference, and is not shown.
    pub(crate) fn new(config: &Config, source: &Report) -> Self {
        Self::with(config, source, Arc::default(), Arc::new(TopicsCounted::new()))
    }

    /// The same clients, which have met what they have met, and other rules.
    pub(crate) fn under(&self, config: &Config, source: &Report) -> Self {
        Self::with(config, source, Arc::clone(&self.here), Arc::clone(&self.counted))
    }

    fn with(config: &Config, source: &Report, here: Arc<PerProcess<Here>>, counted: Arc<TopicsCounted>) -> Self {
        let patterns = config.services.iter().flat_map(|service| {
            [&service.produces, &service.consumes, &service.topics, &service.client_ids, &service.group_ids]
        });
        let texts = patterns.flatten().map(Pattern::text);
        // As a rule a pattern stands between quotes; to look through the whole text for each takes long where there are many.
        let quoted: HashSet<&str> = source.text.split(['"', '\'']).collect();
        let is_hidden = |text: &&str| !quoted.contains(text) && !source.text.contains(text);
        let hidden: Vec<_> = texts.filter(is_hidden).map(str::to_owned).collect();
        let services = describe(&config.services, &hidden);
        Self { services, hidden, here, counted }
    }

    /// What of them is counted.
    pub(crate) fn counted(&self) -> &TopicsCounted {
        &self.counted
    }

    /// A client has met a topic: whether something may have to be said of that.
    pub(crate) fn topic(&self, topic: &str, who: &Who, belongs: Belongs) -> bool {
        let here = self.here();
        if belongs == Belongs::Nobody {
            here.misspelt.met(topic, who, Instant::now());
            if !here.anything_matched.load(Ordering::Relaxed) {
                let mut nobodys = here.nobodys.lock().unwrap_or_else(PoisonError::into_inner);
                let name = format!("`{topic}` ({})", who.describe());
                if nobodys.len() < MOST_NAMED && !nobodys.contains(&name) {
                    nobodys.push(name);
                }
            }
        } else {
            here.anything_matched.store(true, Ordering::Relaxed);
        }
        log::max_level() >= log::LevelFilter::Info && here.topics_told.load(Ordering::Relaxed) <= MOST_TOPICS
    }

    /// What is to be said of a topic. Compares it with every rule: not for an application's thread.
    ///
    /// `again`: the client has met it by other rules before, and nothing is said if that is still true.
    pub(crate) fn line(
        &self,
        rules: &Rules<'_>,
        topic: &str,
        who: &Who,
        (belongs, settings): (Belongs, Option<&Settings>),
        again: bool,
    ) -> Option<String> {
        let here = self.here();
        let whose = rules.explain(topic, who, belongs, settings);
        let topic = format!("topic `{topic}` ({})", who.describe());
        let line = format!("{topic} {whose}");
        let mut lines = here.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if again && lines.get(&topic) == Some(&whose) {
            return None;
        }
        match here.topics_told.fetch_add(1, Ordering::Relaxed) {
            told if told < MOST_TOPICS => {
                lines.insert(topic, whose);
                Some(line)
            }
            MOST_TOPICS => Some(format!("{MOST_TOPICS} topics have been listed; further ones will not be")),
            _ => None,
        }
    }

    /// The rules, as they may be shown.
    pub(crate) fn rules<'a>(&'a self, config: &'a Config, services: &'a ServiceMap) -> Rules<'a> {
        Rules { config, services, hidden: &self.hidden }
    }

    /// Whether this process asks for the first time.
    pub(crate) fn is_first_here(&self) -> bool {
        !self.here().expected.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn client_opened(&self) {
        self.here().open.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether it was the last.
    pub(crate) fn client_closed(&self) -> bool {
        self.here().open.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Warns of each topic, once, that is nobody's by a slip; `now`: only of those that were met long enough ago.
    pub(crate) fn tell_misspelt(&self, look: &Look<'_>, now: Option<Instant>) {
        for (topic, who, slip) in self.slips(look, now) {
            diagnostics::warn(&format!(
                "topic `{topic}` ({}) is not traced: no rule names it. It {slip}, which no topic has met here. If \
                 they are one, spell it in the file as the program does; if not, put `{topic}` into the service's \
                 `exclude`, and this is not said",
                who.describe()
            ));
        }
    }

    /// Warns, once, when topics were met and none of them was any service's.
    pub(crate) fn tell_if_nothing_matched(&self, look: &Look<'_>) {
        let here = self.here();
        if here.anything_matched.load(Ordering::Relaxed) {
            return;
        }
        let topics = here.nobodys.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if topics.is_empty() || here.told_that_nothing_matched.swap(true, Ordering::Relaxed) {
            return;
        }
        let near = self.slips(look, None).into_iter().map(|(topic, _, slip)| format!(" `{topic}` {slip}."));
        let count = topics.len() as u64;
        diagnostics::warn(&format!(
            "nothing was traced: no service of {} matches a topic that its clients have met, which {} {}. Its services: \
             {}.{} {} `produces`, `consumes` or `topics` of one, or name a `default_service`",
            origin(look.rules.config),
            verb(count, "is", "are"),
            topics.join(", "),
            self.services,
            near.collect::<String>(),
            verb(count, "Name the topic under", "Name the topics under"),
        ));
    }

    /// What is nobody's by a slip, and was not told: `differs by upper and lower case from produces = "order" of service `shop``.
    fn slips(&self, look: &Look<'_>, now: Option<Instant>) -> Vec<(String, Who, String)> {
        let misspelt = &self.here().misspelt;
        let slips = misspelt.due(now).into_iter().filter_map(|(topic, who)| {
            let meant = look.rules.meant(&topic, &who, &self.counted)?;
            if !misspelt.is_first(&topic) {
                return None;
            }
            let place = (look.place)(&meant).map_or_else(String::new, |place| format!(" ({place})"));
            let (key, pattern) = (meant.list.key(), as_written(meant.pattern, &self.hidden));
            let service = look.rules.name(meant.service);
            let slip = format!("{} from {key} = {pattern} of service `{service}`{place}", meant.how);
            Some((topic, who, slip))
        });
        slips.collect()
    }

    /// Says what was counted for each service beside its spans, as far as it was not said before.
    ///
    /// Messages that wait for their acknowledgement are nothing to speak of, unless the process ends.
    pub(crate) fn tell_sum(&self, services: &[ServiceStats], moment: Moment) {
        let mut told = self.here().told.lock().unwrap_or_else(PoisonError::into_inner);
        let lines: Vec<_> = services
            .iter()
            .filter_map(|service| {
                let told = told.entry(service.name.clone()).or_default();
                let unacknowledged = match moment {
                    Moment::End => service.unacknowledged,
                    Moment::Seen | Moment::LastSeen => told.unacknowledged,
                };
                let now = Others { unacknowledged, ..Others::of(service) };
                now.since(&std::mem::replace(told, now)).line(&service.name)
            })
            .collect();
        drop(told);
        for (level, line) in lines {
            match level {
                log::Level::Warn => diagnostics::warn(&line),
                _ => diagnostics::info(&line),
            }
        }
    }

    fn here(&self) -> &Here {
        self.here.get_or_init(Here::default)
    }
}

impl Others {
    fn of(service: &ServiceStats) -> Self {
        Self {
            not_injected: service.not_injected,
            parents_lost: service.parents_lost,
            sampled_out: service.sampled_out,
            shed: service.shed,
            unacknowledged: 0,
        }
    }

    fn since(&self, told: &Self) -> Self {
        Self {
            not_injected: self.not_injected.saturating_sub(told.not_injected),
            parents_lost: self.parents_lost.saturating_sub(told.parents_lost),
            sampled_out: self.sampled_out.saturating_sub(told.sampled_out),
            shed: self.shed.saturating_sub(told.shed),
            unacknowledged: if self.unacknowledged == told.unacknowledged { 0 } else { self.unacknowledged },
        }
    }

    fn line(&self, service: &str) -> Option<(log::Level, String)> {
        let mut parts = Vec::new();
        if self.not_injected > 0 {
            parts.push(format!(
                "{} went out without a context header, which was too large, was refused by brokers or could not be written",
                counted(self.not_injected, "message")
            ));
        }
        if self.parents_lost > 0 {
            parts.push(format!(
                "{} left without {} parent, because too many messages were in flight",
                counted(self.parents_lost, "span"),
                verb(self.parents_lost, "its", "their")
            ));
        }
        if self.unacknowledged > 0 {
            parts.push(format!(
                "{} {} no span, because librdkafka has not said what became of {}: it does where the producer is \
                 flushed before the end",
                counted(self.unacknowledged, "message"),
                verb(self.unacknowledged, "has", "have"),
                verb(self.unacknowledged, "it", "them")
            ));
        }
        if self.shed > 0 {
            parts.push(format!(
                "{} did not begin, because more came than the backends took: the others are whole",
                counted(self.shed, "trace")
            ));
        }
        let level = if parts.is_empty() { log::Level::Info } else { log::Level::Warn };
        if self.sampled_out > 0 {
            parts.push(format!(
                "{} {} not recorded, because {} not sampled",
                counted(self.sampled_out, "span"),
                verb(self.sampled_out, "was", "were"),
                verb(self.sampled_out, "its trace is", "their traces are")
            ));
        }
        (!parts.is_empty()).then(|| (level, format!("service `{service}`: {}", parts.join("; "))))
    }
}

/// What the services are, as the file has it.
fn describe(services: &[Service], hidden: &[String]) -> String {
    let mut left = MOST_PATTERNS;
    let mut shown = Vec::new();
    for service in services {
        let lists = [
            ("produces", &service.produces),
            ("consumes", &service.consumes),
            ("topics", &service.topics),
            ("client_ids", &service.client_ids),
            ("group_ids", &service.group_ids),
        ];
        let mut text = format!("`{}`", service.name);
        for (key, patterns) in lists {
            let some: Vec<_> = patterns.iter().take(left).map(|pattern| as_written(pattern, hidden)).collect();
            left -= some.len();
            if !some.is_empty() {
                let _ = write!(text, " {key} = [{}]", some.join(", "));
            }
        }
        shown.push(text);
        if left == 0 {
            shown.push("…".to_owned());
            break;
        }
    }
    shown.join(", ")
}

fn origin(config: &Config) -> String {
    match &config.origin {
        Origin::File(path) | Origin::LegacyFile(path) | Origin::Once(path) => path.display().to_string(),
        Origin::Environment => "the environment".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Source, load};

    const FILE: &str = r#"
        version = 1
        [services.shop]
        produces = ["order", "pay.*"]
        [services.mail]
        consumes = [{ regex = 'mail-\d' }, "${env:CARGO_PKG_NAME}"]
        group_ids = ["mailers"]
    "#;

    #[test]
    fn services_are_shown_as_the_file_has_them_but_for_what_came_from_a_reference() {
        let loaded = load(Source::Text { name: "t.toml".to_owned(), text: FILE.to_owned() });
        let seen = TopicsSeen::new(&loaded.config.unwrap(), &loaded.report);
        assert_eq!(
            seen.services,
            "`shop` produces = [\"order\", \"pay.*\"], `mail` consumes = [{ regex = 'mail-\\d' }, (a pattern that is not \
             shown)] group_ids = [\"mailers\"]"
        );
    }

    #[test]
    fn what_is_no_loss_is_told_once_and_as_a_warning_only_if_something_went_wrong() {
        let of = |not_injected, parents_lost, sampled_out| Others {
            not_injected,
            parents_lost,
            sampled_out,
            shed: 0,
            unacknowledged: 0,
        };
        assert_eq!(of(0, 0, 0).line("shop"), None);
        let (level, line) = of(0, 0, 9).since(&of(0, 0, 2)).line("shop").unwrap();
        assert_eq!(level, log::Level::Info);
        assert_eq!(line, "service `shop`: 7 spans were not recorded, because their traces are not sampled");
        let (level, line) = of(3, 2, 0).line("shop").unwrap();
        assert_eq!(level, log::Level::Warn);
        assert!(line.contains("3 messages went out without a context header") && line.contains("2 spans left without"));
    }
}
