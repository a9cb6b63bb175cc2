//! Which rule wins, by example and by property.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{
    Ambient, Batch, Measuring, Metrics, Origin, ParentDecision, Plugins, Propagator, Relation, Sampler, Trace,
};
use crate::services::Side;

#[test]
fn an_exact_topic_beats_a_glob_beats_a_regex_beats_no_topic_at_all() {
    let everything = service("everything").client("*");
    let regex = service("regex").topics(&["/orders.*/"]);
    let glob = service("glob").topics(&["orders*"]);
    let exact = service("exact").topics(&["orders"]);
    assert_eq!(chosen(&[&everything], send("orders")), "everything");
    assert_eq!(chosen(&[&everything, &regex], send("orders")), "regex");
    assert_eq!(chosen(&[&everything, &regex, &glob], send("orders")), "glob");
    assert_eq!(chosen(&[&everything, &regex, &glob, &exact], send("orders")), "exact");
}

#[test]
fn a_side_beats_both_sides_and_belongs_to_that_side_only() {
    let both = service("both").topics(&["orders"]);
    let sends = service("sends").produces(&["orders"]);
    let receives = service("receives").consumes(&["orders"]);
    let all = [&both, &sends, &receives];
    assert_eq!(chosen(&all, send("orders")), "sends");
    assert_eq!(chosen(&all, receive("orders")), "receives");
    assert_eq!(chosen(&[&both, &sends], receive("orders")), "both");
    assert_eq!(chosen(&[&sends], receive("orders")), "unmatched");
}

#[test]
fn the_kind_of_pattern_decides_before_the_side() {
    let side = service("side").produces(&["orders.*"]);
    let both = service("both").topics(&["orders.eu"]);
    assert_eq!(chosen(&[&side, &both], send("orders.eu")), "both");
}

#[test]
fn the_side_decides_before_the_number_of_literal_characters() {
    let side = service("side").produces(&["o*"]);
    let both = service("both").topics(&["orders.e*"]);
    assert_eq!(chosen(&[&both, &side], send("orders.eu")), "side");
}

#[test]
fn of_two_globs_the_one_with_more_literal_characters_wins() {
    let short = service("short").topics(&["payments.*"]);
    let long = service("long").topics(&["payments.card-*"]);
    assert_eq!(chosen(&[&short, &long], send("payments.card-visa")), "long");
    assert_eq!(chosen(&[&short, &long], send("payments.giro")), "short");
    // Wildcards do not count, however many there are.
    let wild = service("wild").topics(&["p*?????????*"]);
    assert_eq!(chosen(&[&wild, &short], send("payments.card-visa")), "short");
}

#[test]
fn the_client_id_decides_between_topic_rules_of_equal_rank() {
    let any = service("any").topics(&["audit"]);
    let regex = service("regex").topics(&["audit"]).client("/shop.*/");
    let glob = service("glob").topics(&["audit"]).client("shop-*");
    let exact = service("exact").topics(&["audit"]).client("shop-1");
    let message = Candidate { client_id: "shop-1", ..send("audit") };
    assert_eq!(chosen(&[&any, &regex], message), "regex");
    assert_eq!(chosen(&[&any, &regex, &glob], message), "glob");
    assert_eq!(chosen(&[&any, &regex, &glob, &exact], message), "exact");
    assert_eq!(chosen(&[&any, &regex, &glob, &exact], Candidate { client_id: "other", ..message }), "any");
}

#[test]
fn the_client_id_decides_before_the_group_id_and_the_group_before_file_order() {
    let first = service("first").topics(&["audit"]);
    let group = service("group").topics(&["audit"]).group("g");
    let client = service("client").topics(&["audit"]).client("c*");
    let message = Candidate { client_id: "c", group_id: Some("g"), ..receive("audit") };
    assert_eq!(chosen(&[&first, &group], message), "group");
    assert_eq!(chosen(&[&first, &group, &client], message), "client");
    let second = service("second").topics(&["audit"]);
    assert_eq!(chosen(&[&first, &second], message), "first");
    assert_eq!(chosen(&[&second, &first], message), "second");
}

#[test]
fn constraints_of_different_keys_must_all_hold_and_of_one_key_any() {
    let both = service("both").topics(&["audit"]).client("a").client("b").group("g");
    for (client_id, group_id, expected) in [
        ("a", Some("g"), "both"),
        ("b", Some("g"), "both"),
        ("c", Some("g"), "unmatched"),
        ("a", Some("h"), "unmatched"),
        ("a", None, "unmatched"),
    ] {
        let message = Candidate { client_id, group_id, ..receive("audit") };
        assert_eq!(chosen(&[&both], message), expected, "{client_id} {group_id:?}");
    }
}

#[test]
fn a_service_without_topics_takes_its_clients_whole_but_only_when_it_names_clients() {
    let client = service("client").client("c*");
    let nothing = service("nothing");
    let message = Candidate { client_id: "c1", ..send("anything") };
    assert_eq!(chosen(&[&nothing, &client], message), "client");
    assert_eq!(chosen(&[&nothing], message), "unmatched");
    // One side's topics are topics: the other side is not "any".
    let sends_only = service("sends").produces(&["orders"]).client("c*");
    assert_eq!(chosen(&[&sends_only], Candidate { client_id: "c1", ..receive("orders") }), "unmatched");
}

#[test]
fn an_unmatched_message_goes_to_the_default_service_if_there_is_one() {
    let orders = service("orders").topics(&["orders"]);
    let rest = service("rest");
    assert_eq!(chosen(&[&orders, &rest], send("other")), "unmatched");
    let map = ServiceMap::new(&config(&[&orders, &rest], Some(1)));
    assert!(matches!(map.select(&send("other")), Selection::Service { service: 1, .. }));
    assert!(matches!(map.select(&send("orders")), Selection::Service { service: 0, .. }));
}

#[test]
fn exclude_beats_every_rule_and_the_default_service_too() {
    let mut orders = service("orders").topics(&["*"]).topics(&["__offsets"]);
    orders.exclude = patterns(&["__*"]);
    assert_eq!(chosen(&[&orders], send("__offsets")), "excluded");
    assert_eq!(chosen(&[&orders], send("orders")), "orders");

    let mut rest = service("rest");
    rest.exclude = patterns(&["/_.*/"]);
    let map = ServiceMap::new(&config(&[&rest], Some(0)));
    assert_eq!(map.select(&send("_schemas")), Selection::Excluded);
    assert!(matches!(map.select(&send("orders")), Selection::Service { service: 0, .. }));
}

#[test]
fn an_excluded_topic_is_not_passed_on_to_the_next_best_service() {
    let mut owner = service("owner").topics(&["payments.*"]);
    owner.exclude = patterns(&["payments.heartbeat"]);
    let other = service("other").topics(&["*"]);
    assert_eq!(chosen(&[&owner, &other], send("payments.heartbeat")), "excluded");
    // A more specific rule makes the topic another service's, and then that one's exclude counts.
    let special = service("special").topics(&["payments.heartbeat"]);
    assert_eq!(chosen(&[&owner, &special], send("payments.heartbeat")), "special");
}

#[test]
fn a_binding_in_code_beats_rules_constraints_and_exclude() {
    let mut bound = service("bound").topics(&["elsewhere"]).client("nobody");
    bound.exclude = patterns(&["*"]);
    let orders = service("orders").topics(&["orders"]);
    let message = Candidate { bound: Some(1), ..send("orders") };
    assert_eq!(chosen(&[&orders, &bound], message), "bound");
    assert_eq!(chosen(&[&orders, &bound], Candidate { bound: Some(2), ..message }), "unmatched");
}

#[test]
fn a_topic_has_its_own_settings_within_its_service() {
    let mut payments = service("payments").topics(&["payments.*"]);
    payments.topic_settings = [
        ("/payments.*/", 1.0),
        ("payments.*", 2.0),
        ("payments.c*", 3.0),
        ("payments.card", 4.0),
        ("payments.?ard", 5.0),
        ("payments.?iro", 6.0),
    ]
    .map(|(pattern, mark)| (Pattern::of(pattern), settings(mark)))
    .to_vec();
    let map = ServiceMap::new(&config(&[&service("first"), &payments], None));
    let mark = |topic: &str, bound| match map.select(&Candidate { bound, ..send(topic) }) {
        Selection::Service { service: 1, slot, settings } => {
            assert_eq!(map.slots().nth(slot), Some((1, settings)));
            settings.sampler
        }
        other => panic!("{topic}: {other:?}"),
    };
    assert_eq!(mark("payments.card", None), Sampler::RateLimit(4.0));
    assert_eq!(mark("payments.cash", None), Sampler::RateLimit(3.0));
    assert_eq!(mark("payments.bard", None), Sampler::RateLimit(5.0));
    assert_eq!(mark("payments.giro", None), Sampler::RateLimit(6.0));
    assert_eq!(mark("payments.x", None), Sampler::RateLimit(2.0));
    assert_eq!(mark("payments.card", Some(1)), Sampler::RateLimit(4.0));
    assert_eq!(mark("elsewhere", Some(1)), Sampler::RateLimit(0.5));
    assert_eq!(map.slots().len(), 8);
}

#[test]
fn topic_settings_that_rank_equal_are_taken_in_file_order() {
    let mut orders = service("orders").topics(&["*"]);
    orders.topic_settings = vec![(Pattern::of("/o.*/"), settings(1.0)), (Pattern::of("/.*s/"), settings(2.0))];
    let map = ServiceMap::new(&config(&[&orders], None));
    let Selection::Service { settings, .. } = map.select(&send("orders")) else { panic!("not selected") };
    assert_eq!(settings.sampler, Sampler::RateLimit(1.0));
}

#[test]
fn every_rule_that_loses_says_what_the_winner_has_over_it() {
    let services = [
        service("exact").topics(&["orders"]),
        service("side").produces(&["orders"]),
        service("other side").consumes(&["orders"]),
        service("glob").produces(&["order*"]),
        service("long").produces(&["orders*"]),
        service("regex").produces(&["/orders?/"]),
        service("client").produces(&["orders"]).client("web"),
        service("other client").produces(&["orders"]).client("batch"),
        service("group").produces(&["orders"]).group("g"),
        service("later").produces(&["orders"]),
        service("misspelt").produces(&["order"]),
    ];
    let all: Vec<_> = services.iter().collect();
    let verdicts = |message: Candidate<'_>| -> Vec<(String, Verdict)> {
        let map = ServiceMap::new(&config(&all, None));
        let named =
            map.explain(&message).rules.into_iter().map(|rule| (services[rule.service].name.clone(), rule.verdict));
        named.collect()
    };
    let of = |verdicts: &[(String, Verdict)], name: &str| verdicts.iter().find(|(of, _)| of == name).unwrap().1;
    let web = verdicts(Candidate { client_id: "web", ..send("orders") });
    for (name, verdict) in [
        ("client", Verdict::Won),
        ("side", Verdict::LessExactClient),
        ("later", Verdict::LessExactClient),
        ("exact", Verdict::NoSide),
        ("other side", Verdict::OtherSide),
        ("glob", Verdict::LessExactPattern),
        ("regex", Verdict::LessExactPattern),
        ("other client", Verdict::OtherClient),
        ("group", Verdict::OtherGroup),
        ("misspelt", Verdict::OtherTopic),
    ] {
        assert_eq!(of(&web, name), verdict, "{name}");
    }
    let other = verdicts(send("orders"));
    assert_eq!((of(&other, "side"), of(&other, "later")), (Verdict::Won, Verdict::Later));
    let globbed = verdicts(send("orders-eu"));
    assert_eq!((of(&globbed, "long"), of(&globbed, "glob")), (Verdict::Won, Verdict::FewerLiteralCharacters));
    let bound = verdicts(Candidate { bound: Some(0), ..send("orders") });
    assert_eq!(of(&bound, "side"), Verdict::Bound);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_choice_is_the_one_that_the_promise_names(services in services(), message in message(), default in any::<bool>()) {
        let config = config(&services.iter().collect::<Vec<_>>(), (default && !services.is_empty()).then_some(0));
        let map = ServiceMap::new(&config);
        prop_assert_eq!(outcome(map.select(&message.candidate())), oracle(&config, &message.candidate()));
    }

    #[test]
    fn the_explanation_is_of_the_choice(services in services(), message in message(), default in any::<bool>()) {
        let services: Vec<_> = services.iter().collect();
        let config = config(&services, default.then_some(0).filter(|_| !services.is_empty()));
        let map = ServiceMap::new(&config);
        let (candidate, explanation) = (message.candidate(), map.explain(&message.candidate()));
        prop_assert_eq!(outcome(explanation.selection), oracle(&config, &candidate));
        let winners: Vec<_> = explanation.rules.iter().filter(|rule| rule.verdict == Verdict::Won).collect();
        let scores = config.services.iter().any(|service| score(service, &candidate).is_some());
        prop_assert_eq!(winners.len(), usize::from(scores && candidate.bound.is_none()));
        if let (Some(winner), Selection::Service { service, .. }) = (winners.first(), explanation.selection) {
            prop_assert_eq!(winner.service, service);
        }
        prop_assert_eq!(explanation.excluded_by.is_some(), explanation.selection == Selection::Excluded);
        for rule in &explanation.rules {
            let fits = rule.pattern.is_none_or(|pattern| fits(pattern, candidate.topic));
            prop_assert_eq!(rule.verdict == Verdict::OtherTopic, !fits);
        }
    }

    #[test]
    fn the_order_of_patterns_within_a_list_changes_nothing(services in services(), message in message()) {
        let straight = config(&services.iter().collect::<Vec<_>>(), None);
        let mut turned = straight.clone();
        for service in &mut turned.services {
            for list in [&mut service.produces, &mut service.consumes, &mut service.topics, &mut service.client_ids, &mut service.group_ids, &mut service.exclude] {
                list.reverse();
            }
        }
        let (straight, turned) = (ServiceMap::new(&straight), ServiceMap::new(&turned));
        prop_assert_eq!(outcome(straight.select(&message.candidate())), outcome(turned.select(&message.candidate())));
    }

    #[test]
    fn the_order_of_services_decides_only_between_rules_of_equal_rank(services in services(), message in message()) {
        let straight = config(&services.iter().collect::<Vec<_>>(), None);
        let turned = config(&services.iter().rev().collect::<Vec<_>>(), None);
        let candidate = Candidate { bound: None, ..message.candidate() };
        let best: Vec<Score> = straight.services.iter().filter_map(|service| score(service, &candidate)).collect();
        let top = best.iter().max();
        if best.iter().filter(|score| Some(*score) == top).count() < 2 {
            let last = services.len().wrapping_sub(1);
            let turned_back = match outcome(ServiceMap::new(&turned).select(&candidate)) {
                Outcome::Service(index) => Outcome::Service(last - index),
                other => other,
            };
            prop_assert_eq!(outcome(ServiceMap::new(&straight).select(&candidate)), turned_back);
        }
    }

    #[test]
    fn adding_a_less_specific_service_never_changes_the_choice(services in services(), more in any_service(), at in any::<prop::sample::Index>(), message in message()) {
        let candidate = Candidate { bound: None, ..message.candidate() };
        let before = config(&services.iter().collect::<Vec<_>>(), None);
        let chosen = before.services.iter().filter_map(|service| score(service, &candidate)).max();
        if chosen.is_some() && score(&more, &candidate) < chosen {
            let at = at.index(services.len() + 1);
            let mut services = services.clone();
            services.insert(at, more);
            let after = config(&services.iter().collect::<Vec<_>>(), None);
            let expected = match outcome(ServiceMap::new(&before).select(&candidate)) {
                Outcome::Service(index) if index >= at => Outcome::Service(index + 1),
                other => other,
            };
            prop_assert_eq!(outcome(ServiceMap::new(&after).select(&candidate)), expected);
        }
    }
}

/// How well a service's rules fit a message, written straight from the promise: one tuple per service, greater is better.
type Score = (u8, u8, usize, u8, u8);

fn score(service: &Service, candidate: &Candidate<'_>) -> Option<Score> {
    let constraint = |patterns: &[Pattern], name: Option<&str>| {
        if patterns.is_empty() {
            return Some(0);
        }
        patterns.iter().filter(|pattern| name.is_some_and(|name| fits(pattern, name))).map(grade).max()
    };
    let client = constraint(&service.client_ids, Some(candidate.client_id))?;
    let group = constraint(&service.group_ids, candidate.group_id)?;
    let of_side = match candidate.side {
        Side::Produce => &service.produces,
        Side::Consume => &service.consumes,
    };
    let graded = |patterns: &[Pattern], side: u8| {
        patterns
            .iter()
            .filter(|pattern| fits(pattern, candidate.topic))
            .map(|pattern| (grade(pattern), side, literals(pattern)))
            .max()
    };
    let any_topic = service.produces.is_empty() && service.consumes.is_empty() && service.topics.is_empty();
    let (kind, side, literals) = if any_topic {
        (!service.client_ids.is_empty() || !service.group_ids.is_empty()).then_some((0, 0, 0))?
    } else {
        graded(of_side, 1).max(graded(&service.topics, 0))?
    };
    Some((kind, side, literals, client, group))
}

fn oracle(config: &Config, candidate: &Candidate<'_>) -> Outcome {
    if let Some(bound) = candidate.bound {
        return if bound < config.services.len() { Outcome::Service(bound) } else { Outcome::Unmatched };
    }
    let mut winner = None;
    for (index, service) in config.services.iter().enumerate() {
        let Some(score) = score(service, candidate) else { continue };
        if winner.is_none_or(|(best, _)| score > best) {
            winner = Some((score, index));
        }
    }
    match winner.map(|(_, index)| index).or(config.default_service) {
        None => Outcome::Unmatched,
        Some(index) if config.services[index].exclude.iter().any(|pattern| fits(pattern, candidate.topic)) => {
            Outcome::Excluded
        }
        Some(index) => Outcome::Service(index),
    }
}

fn fits(pattern: &Pattern, name: &str) -> bool {
    match pattern {
        Pattern::Exact(exact) => exact == name,
        Pattern::Glob(glob) => fits_glob(&glob.chars().collect::<Vec<_>>(), &name.chars().collect::<Vec<_>>()),
        Pattern::Regex(regex) => regex.is_match(name),
    }
}

/// Globs by trying every length of every star's run.
fn fits_glob(glob: &[char], name: &[char]) -> bool {
    match glob {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|run| fits_glob(rest, &name[run..])),
        [wanted, rest @ ..] => {
            name.first().is_some_and(|found| *wanted == '?' || wanted == found) && fits_glob(rest, &name[1..])
        }
    }
}

fn grade(pattern: &Pattern) -> u8 {
    match pattern {
        Pattern::Exact(_) => 3,
        Pattern::Glob(_) => 2,
        Pattern::Regex(_) => 1,
    }
}

fn literals(pattern: &Pattern) -> usize {
    match pattern {
        Pattern::Exact(text) | Pattern::Glob(text) => text.replace(['*', '?'], "").chars().count(),
        Pattern::Regex(_) => 0,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcome {
    Service(usize),
    Excluded,
    Unmatched,
}

fn outcome(selection: Selection<'_>) -> Outcome {
    match selection {
        Selection::Service { service, .. } => Outcome::Service(service),
        Selection::Excluded => Outcome::Excluded,
        Selection::Unmatched => Outcome::Unmatched,
    }
}

/// A message whose names live as long as the test's case.
#[derive(Clone, Debug)]
struct Message {
    side: Side,
    topic: String,
    client_id: String,
    group_id: Option<String>,
    bound: Option<usize>,
}

impl Message {
    fn candidate(&self) -> Candidate<'_> {
        Candidate {
            side: self.side,
            topic: &self.topic,
            client_id: &self.client_id,
            group_id: self.group_id.as_deref(),
            bound: self.bound,
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    let bound = prop_oneof![9 => Just(None), 1 => (0..5usize).prop_map(Some)];
    let side = prop_oneof![Just(Side::Produce), Just(Side::Consume)];
    (side, "[ab]{1,3}", "[ab]{1,2}", prop::option::of("[ab]{1,2}"), bound)
        .prop_map(|(side, topic, client_id, group_id, bound)| Message { side, topic, client_id, group_id, bound })
}

fn services() -> impl Strategy<Value = Vec<Service>> {
    prop::collection::vec(any_service(), 0..5)
}

fn any_service() -> impl Strategy<Value = Service> {
    let few = || prop::collection::vec(any_pattern(), 0..3);
    let rare = || prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(any_pattern(), 1..3)];
    (few(), few(), few(), rare(), rare(), rare()).prop_map(
        |(produces, consumes, topics, client_ids, group_ids, exclude)| Service {
            produces,
            consumes,
            topics,
            client_ids,
            group_ids,
            exclude,
            ..service("generated")
        },
    )
}

fn any_pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        "[ab]{1,3}".prop_map(|text| Pattern::of(&text)),
        "[ab]{0,2}[*?][ab*?]{0,2}".prop_map(|text| Pattern::of(&text)),
        "/[ab]{0,2}(\\[ab\\]|\\.\\*|b\\?)[ab]{0,1}/".prop_map(|text| Pattern::of(&text)),
    ]
}

/// The name of the service that gets the message, or what happens instead.
fn chosen(services: &[&Service], message: Candidate<'_>) -> String {
    match ServiceMap::new(&config(services, None)).select(&message) {
        Selection::Service { service, .. } => services[service].name.clone(),
        Selection::Excluded => "excluded".to_owned(),
        Selection::Unmatched => "unmatched".to_owned(),
    }
}

fn send(topic: &str) -> Candidate<'_> {
    Candidate { side: Side::Produce, topic, client_id: "rdkafka", group_id: None, bound: None }
}

fn receive(topic: &str) -> Candidate<'_> {
    Candidate { side: Side::Consume, group_id: Some("group"), ..send(topic) }
}

fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        span: 0..0,
        produces: Vec::new(),
        consumes: Vec::new(),
        topics: Vec::new(),
        client_ids: Vec::new(),
        group_ids: Vec::new(),
        exclude: Vec::new(),
        settings: settings(0.5),
        topic_settings: Vec::new(),
        resource: Vec::new(),
    }
}

impl Service {
    fn produces(mut self, topics: &[&str]) -> Self {
        self.produces.extend(patterns(topics));
        self
    }

    fn consumes(mut self, topics: &[&str]) -> Self {
        self.consumes.extend(patterns(topics));
        self
    }

    fn topics(mut self, topics: &[&str]) -> Self {
        self.topics.extend(patterns(topics));
        self
    }

    fn client(mut self, client_id: &str) -> Self {
        self.client_ids.push(Pattern::of(client_id));
        self
    }

    fn group(mut self, group_id: &str) -> Self {
        self.group_ids.push(Pattern::of(group_id));
        self
    }
}

impl Pattern {
    /// As the file says it, with regexes between slashes.
    fn of(text: &str) -> Self {
        match text.strip_prefix('/').and_then(|text| text.strip_suffix('/')) {
            Some(regex) => Self::Regex(regex::Regex::new(&format!("^(?:{regex})$")).unwrap()),
            None if text.contains(['*', '?']) => Self::Glob(text.to_owned()),
            None => Self::Exact(text.to_owned()),
        }
    }
}

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::of(text)).collect()
}

/// Settings told apart by their rate limit.
fn settings(mark: f64) -> Settings {
    Settings {
        trace: Trace::Spans,
        measure: Measuring::Off,
        sampler: Sampler::RateLimit(mark),
        parent: ParentDecision::Respect,
        relation: Relation::Parent,
        ambient: Ambient::Thread,
        inject: [Propagator::TraceContext].into(),
        extract: [Propagator::TraceContext].into(),
        reinject: false,
        commit_spans: false,
        export: Default::default(),
        attributes: Default::default(),
    }
}

fn config(services: &[&Service], default_service: Option<usize>) -> Config {
    Config {
        origin: Origin::Environment,
        services: services.iter().map(|service| (*service).clone()).collect(),
        default_service,
        defaults: settings(0.0),
        backends: Vec::new(),
        plugins: Plugins::default(),
        batch: Batch { delay: Duration::from_secs(1), max_bytes: 1 << 20 },
        metrics: Metrics::default(),
        reload: crate::config::Reload::OFF,
    }
}
