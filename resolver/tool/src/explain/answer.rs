//! The answer about one side of a topic, as data.

#![forbid(unsafe_code)]

use serde_json::{Value as Json, json};
use tracer_resolver::config::{Config, Pattern};
use tracer_resolver::services::{Candidate, ExplainedRule, Explanation, Selection, ServiceMap, Side, Verdict};

use super::sampling::{self, Fate};
use crate::configuration::Configuration;
use crate::effective::{self, Layer, Setting};
use crate::near_miss;
use crate::rule_place;
use crate::toml_text;

/// See the module. All of it in words, for both ways to print it.
pub(super) struct Answer {
    /// The message: topic, side, client.
    pub(super) asked: String,
    pub(super) side: Side,
    /// Whose it is.
    pub(super) whose: String,
    pub(super) service: Option<String>,
    /// In the order in which they are asked.
    pub(super) rules: Vec<Row>,
    /// How many rules about other topics are not among `rules`.
    pub(super) others: usize,
    pub(super) near: Vec<String>,
    pub(super) settings: Vec<Setting>,
    /// Name, plugin, where it is defined.
    pub(super) backends: Vec<(String, String, String)>,
    pub(super) fate: Fate,
    /// What becomes of its trace.
    pub(super) trace: Vec<String>,
}

/// One rule.
pub(super) struct Row {
    pub(super) service: String,
    /// `produces "orders"`.
    pub(super) rule: String,
    /// Where it stands.
    pub(super) place: String,
    pub(super) won: bool,
    /// Why it lost.
    pub(super) why: String,
}

impl Answer {
    pub(super) fn new(
        configuration: &Configuration,
        config: &Config,
        map: &ServiceMap,
        candidate: &Candidate<'_>,
        headers: &[(String, String)],
    ) -> Self {
        let explanation = map.explain(candidate);
        let about_it = |rule: &&ExplainedRule<'_>| rule.verdict != Verdict::OtherTopic;
        let shown: Vec<_> = if explanation.rules.len() > MANY {
            explanation.rules.iter().filter(about_it).collect()
        } else {
            explanation.rules.iter().collect()
        };
        let rules: Vec<_> = shown.iter().map(|rule| Row::new(configuration, config, rule)).collect();
        let (service, layer) = match explanation.selection {
            Selection::Service { service, .. } => {
                let own = Layer::Service(service);
                (
                    Some(service),
                    explanation.topic_settings.map_or(Some(own), |topic| Some(Layer::Topic(service, topic))),
                )
            }
            Selection::Excluded | Selection::Unmatched => (None, None),
        };
        let settings = layer.map_or_else(Vec::new, |layer| effective::settings(configuration, config, layer));
        let origin = |key: &str| {
            settings
                .iter()
                .find(|setting| setting.key == key)
                .map_or(String::new(), |setting| setting.origin.to_string())
        };
        let sheds = sheds(configuration, config);
        let outcome = match explanation.selection {
            Selection::Service { settings, .. } => sampling::outcome(&sampling::Asked {
                settings,
                side: candidate.side,
                headers,
                origin: &origin,
                sheds: &sheds,
            }),
            Selection::Excluded | Selection::Unmatched => sampling::Outcome { fate: Fate::Dropped, lines: Vec::new() },
        };
        let near = near_miss::nearest(config, candidate, &explanation);
        // Who is content with the winner does not want to hear of slips; one that takes everything hides them.
        let is_meant = explanation.rules.iter().any(|rule| rule.verdict == Verdict::Won && !takes_every_topic(rule));
        let near = near.iter().filter(|_| !is_meant);
        Self {
            asked: asked(configuration, candidate),
            side: candidate.side,
            whose: whose(configuration, config, &explanation),
            service: service.and_then(|index| config.services.get(index)).map(|service| service.name.clone()),
            others: explanation.rules.len() - rules.len(),
            rules,
            near: near.map(|near| near.words(config)).collect(),
            settings,
            backends: backends(configuration, config, explanation.selection),
            fate: outcome.fate,
            trace: outcome.lines,
        }
    }

    /// Whether a span of such a message can get to a backend.
    pub(super) fn has_span(&self) -> bool {
        self.fate != Fate::Dropped
    }

    pub(super) fn as_json(&self) -> Json {
        let rules = self.rules.iter().map(|row| {
            json!({ "service": row.service, "rule": row.rule, "place": row.place, "won": row.won, "why": row.why })
        });
        let settings = self
            .settings
            .iter()
            .map(|setting| json!({ "key": setting.key, "value": setting.value, "origin": setting.origin.to_string() }));
        let backends =
            self.backends.iter().map(|(name, plugin, place)| json!({ "name": name, "plugin": plugin, "place": place }));
        json!({
            "side": match self.side { Side::Produce => "produce", Side::Consume => "consume" },
            "service": self.service,
            "answer": self.whose,
            "rules": rules.collect::<Vec<_>>(),
            "rules_about_other_topics_not_shown": self.others,
            "nearest": self.near,
            "settings": settings.collect::<Vec<_>>(),
            "backends": backends.collect::<Vec<_>>(),
            "span": self.fate.word(),
            "trace": self.trace,
        })
    }
}

impl Row {
    fn new(configuration: &Configuration, config: &Config, rule: &ExplainedRule<'_>) -> Self {
        let service = config.services.get(rule.service).map_or("", |service| service.name.as_str());
        let place = rule_place::of(configuration, config, rule);
        Self {
            service: service.to_owned(),
            rule: match rule.pattern {
                Some(pattern) => format!("{} {}", rule.list.key(), toml_text::pattern(pattern)),
                None => rule.list.key().to_owned(),
            },
            place: place.map_or(String::new(), |span| effective::file_and_line(configuration, &span)),
            won: rule.verdict == Verdict::Won,
            why: why(rule.verdict).to_owned(),
        }
    }
}

fn takes_every_topic(rule: &ExplainedRule<'_>) -> bool {
    match rule.pattern {
        None => true,
        Some(Pattern::Exact(_)) => false,
        Some(Pattern::Glob(glob)) => glob.chars().all(|c| c == '*'),
        Some(pattern @ Pattern::Regex(_)) => matches!(pattern.text(), ".*" | ".+"),
    }
}

fn asked(configuration: &Configuration, candidate: &Candidate<'_>) -> String {
    let (verb, group) = match (candidate.side, candidate.group_id) {
        (Side::Produce, _) => ("sent to", String::new()),
        (Side::Consume, None) => ("received from", String::new()),
        (Side::Consume, Some(group)) => ("received from", format!(" of group `{group}`")),
    };
    let source = configuration.name();
    format!("{source}: a message {verb} `{}` by client `{}`{group}", candidate.topic, candidate.client_id)
}

fn whose(configuration: &Configuration, config: &Config, explanation: &Explanation<'_>) -> String {
    let name = |index: usize| config.services.get(index).map_or("", |service| service.name.as_str());
    let winner = explanation.rules.iter().find(|rule| rule.verdict == Verdict::Won);
    match explanation.selection {
        Selection::Unmatched => {
            "belongs to no service: no rule claims it, and it passes untouched, headers and all".to_owned()
        }
        Selection::Excluded => {
            let of = winner.map(|rule| rule.service).or(explanation.default_service);
            let service = of.and_then(|index| config.services.get(index));
            let entry = service.zip(explanation.excluded_by).and_then(|(service, at)| service.exclude.get(at));
            let entry = entry.map_or(String::new(), |pattern| format!(" by {}", toml_text::pattern(pattern)));
            let layer = of.map_or(Layer::Defaults, Layer::Service);
            let (origin, _) = effective::origin(configuration, config, layer, "exclude");
            format!("is left out{entry} in `exclude` ({origin}): it passes untouched, headers and all")
        }
        Selection::Service { service, .. } => match winner {
            Some(_) => format!("belongs to service `{}`", name(service)),
            None => {
                let place = match configuration.written.at(&["default_service"]) {
                    Some(written) => format!(" ({})", effective::file_and_line(configuration, &written.span)),
                    None => String::new(),
                };
                format!("belongs to service `{}`, which takes what no rule claims{place}", name(service))
            }
        },
    }
}

/// Each backend that has fewer traces begin while its queue is nearly full, with where that is said.
fn sheds(configuration: &Configuration, config: &Config) -> Vec<String> {
    let words = |backend: &tracer_resolver::config::Backend| {
        let origin = effective::of_backend(configuration, config, backend, &["shed_traces"]);
        format!("backend {} with shed_traces = true ({origin})", toml_text::key(&backend.name))
    };
    config.backends.iter().filter(|backend| backend.shed_traces).map(words).collect()
}

/// Name, plugin and place of each backend that a span goes to.
fn backends(configuration: &Configuration, config: &Config, selection: Selection<'_>) -> Vec<(String, String, String)> {
    let Selection::Service { settings, .. } = selection else { return Vec::new() };
    let backends = settings.export.iter().filter_map(|index| config.backends.get(*index));
    let row = |backend: &tracer_resolver::config::Backend| {
        let written = configuration.written.at(&["backends", &backend.name]);
        let place = written.map(|written| effective::file_and_line(configuration, &written.key_span));
        (toml_text::key(&backend.name), backend.plugin.clone(), place.unwrap_or_default())
    };
    backends.map(row).collect()
}

fn why(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Won => "wins",
        Verdict::OtherTopic => "another topic",
        Verdict::OtherSide => "the other side",
        Verdict::OtherClient => "another client: `client_ids`",
        Verdict::OtherGroup => "another group: `group_ids`",
        Verdict::Bound => "the program says whose the client is",
        Verdict::LessExactPattern => {
            "matches, but the winner is more exact (name, then glob, then regex, then any topic)"
        }
        Verdict::NoSide => "matches, but the winner is about this side only",
        Verdict::FewerLiteralCharacters => "matches, but the winner has more characters that stand for themselves",
        Verdict::LessExactClient => "matches, but the winner names the client more exactly",
        Verdict::LessExactGroup => "matches, but the winner names the group more exactly",
        Verdict::Later => "matches as well, but the winner stands before it",
    }
}

/// Of more rules than that, those about other topics are only counted.
const MANY: usize = 20;
