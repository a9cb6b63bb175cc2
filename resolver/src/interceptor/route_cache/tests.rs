//! A thread's table of routes: what is found in it, how far it grows, and when what is in it goes.

#![forbid(unsafe_code)]

use std::cell::RefCell;
use std::ffi::CString;
use std::sync::Weak;

use super::super::route::RouteMaker;
use super::*;
use crate::Resolver;
use crate::config::Source;
use crate::services::Side;

/// The route of a topic, and what tells whether it is there still.
fn made(topic: &CStr) -> (Arc<Route>, Weak<Route>) {
    let (route, watched) = many(std::slice::from_ref(&topic.to_owned())).remove(0);
    (route, watched)
}

fn many(topics: &[CString]) -> Vec<(Arc<Route>, Weak<Route>)> {
    let text = "version = 1\n[services.shop]\ntopics = [\"*\"]\n".to_owned();
    let resolver = Resolver::load(Source::Text { name: "t.toml".to_owned(), text }).unwrap();
    let maker =
        RouteMaker { side: Side::Produce, facts: Arc::default(), cluster: String::new(), bound: None, api: None };
    let rules = resolver.shared().unwrap().rules();
    let routes = topics.iter().map(|topic| Arc::new(maker.route(&rules, topic)));
    routes.map(|route| (Arc::clone(&route), Arc::downgrade(&route))).collect()
}

fn is_there(watched: &Weak<Route>) -> bool {
    watched.strong_count() > 0
}

/// Runs on a thread of its own, whose tables are empty.
fn alone(body: impl FnOnce() + Send + 'static) {
    std::thread::spawn(body).join().unwrap();
}

/// As many topics, of one client that lives, whose handles lie as an allocator puts them.
struct Topics {
    client: u64,
    names: Vec<CString>,
    routes: Vec<(Arc<Route>, Weak<Route>)>,
}

impl Topics {
    fn new(count: usize) -> Self {
        let names: Vec<_> = (0..count).map(|number| CString::new(format!("t{number}")).unwrap()).collect();
        let routes = many(&names);
        Self { client: 5, names, routes }
    }

    /// Follows each once, by rules of this number; how many were not in the table.
    fn round(&self, epoch: u32) -> usize {
        let mut missed = 0;
        for (number, (name, (route, _))) in self.names.iter().zip(&self.routes).enumerate() {
            let key = Key { client: self.client, topic_handle: 0x7f12_3450_0010 + number * 720, epoch };
            let find = || {
                missed += 1;
                Some(Arc::clone(route))
            };
            let found = look(key, |known| known == name.as_c_str(), find).unwrap();
            assert_eq!(found.topic_name(), name.as_c_str());
        }
        missed
    }

    fn rounds(&self, count: usize) {
        for _ in 0..count {
            self.round(1);
        }
    }

    /// How many routes the thread's tables keep.
    fn kept(&self) -> usize {
        self.routes.iter().map(|(route, _)| Arc::strong_count(route) - 1).sum()
    }
}

fn room() -> usize {
    in_use().unwrap().head().mask + 1
}

#[test]
fn a_route_that_is_followed_stays_while_another_would_take_its_place() {
    let ((orders, first), (mails, second)) = (made(c"orders"), made(c"mails"));
    let following = route(7, 64, |known| known == c"orders", || Some(orders)).unwrap();
    // As a signal handler that sends by a topic of the same address.
    let nested = route(7, 64, |known| known == c"mails", || Some(mails)).unwrap();
    assert_eq!((following.topic(), nested.topic()), ("orders", "mails"));
    drop(nested);
    assert!(is_there(&first) && !is_there(&second), "what is not kept goes with whoever followed it");
    // Twice, and the one in the middle of which the other came goes on.
    drop(route(7, 64, |known| known == c"orders", || None).unwrap());
    assert!(route(7, 64, |known| known == c"mails", || Some(made(c"mails").0)).is_some() && is_there(&first));
    drop(following);
    drop(route(7, 64, |known| known == c"mails", || Some(made(c"mails").0)).unwrap());
    assert!(!is_there(&first), "now its place is another's");
}

#[test]
fn nothing_is_kept_beyond_the_end_of_a_thread() {
    struct Late(RefCell<Option<Arc<Route>>>);
    impl Drop for Late {
        fn drop(&mut self) {
            assert!(route(9, 128, |known| known == c"late", || self.0.take()).is_some());
        }
    }
    thread_local!(static LATE: Late = const { Late(RefCell::new(None)) });
    let ((orders, first), (late, second)) = (made(c"orders"), made(c"late"));
    let thread = std::thread::spawn(|| {
        // Made first, so it goes last.
        LATE.try_with(|late_route| late_route.0.replace(Some(late))).unwrap();
        drop(route(7, 64, |known| known == c"orders", || Some(orders)));
    });
    thread.join().unwrap();
    assert!(!is_there(&first) && !is_there(&second));
}

#[test]
fn as_many_topics_as_a_thread_uses_are_soon_found_in_its_table() {
    alone(|| {
        let topics = Topics::new(2_000);
        let missed: Vec<_> = (0..6).map(|_| topics.round(1)).collect();
        assert!(missed.last().is_some_and(|missed| *missed < 20), "of 2,000, round by round: {missed:?}");
        assert!(room() <= 16 * 2_000, "{}", room());
    });
}

#[test]
fn a_table_does_not_grow_beyond_its_bound() {
    alone(|| {
        let topics = Topics::new(2 * MANY);
        topics.rounds(4);
        assert_eq!(room(), MANY);
        assert!(topics.kept() <= MANY, "{}", topics.kept());
    });
}

#[test]
fn a_few_topics_take_no_more_room_however_many_messages_they_have() {
    alone(|| {
        let topics = Topics::new(16);
        let missed: usize = (0..1_000).map(|_| topics.round(1)).sum();
        assert_eq!((missed, room()), (16, FEW));
    });
}

#[test]
fn what_a_reload_has_replaced_is_not_found_any_more_and_goes() {
    alone(|| {
        let topics = Topics::new(2_000);
        topics.rounds(6);
        assert!(topics.kept() > 1_900, "{}", topics.kept());
        let names = topics.names.clone();
        let by_new_rules = Topics { client: topics.client, routes: many(&names), names };
        assert_eq!(by_new_rules.round(2), 2_000, "each is looked for once by the new rules");
        assert!(by_new_rules.round(2) < 20);
        assert_eq!(topics.kept(), 0);
    });
}

#[test]
fn clients_that_come_and_go_neither_fill_the_table_nor_make_it_grow() {
    alone(|| {
        let topics = Topics::new(1_000);
        for (client, (name, (route, _))) in (1_u64..).zip(topics.names.iter().zip(&topics.routes)) {
            let key = Key { client, topic_handle: 0x7f12_3450_0010 + client as usize * 720, epoch: 1 };
            drop(look(key, |known| known == name.as_c_str(), || Some(Arc::clone(route))));
            route.ends();
        }
        assert_eq!(room(), FEW);
        assert!(topics.kept() <= FEW / STEP + WAYS, "{}", topics.kept());
    });
}

#[test]
fn a_table_in_which_a_route_is_followed_is_not_outgrown_meanwhile() {
    alone(|| {
        let (topics, orders) = (Topics::new(2_000), made(c"orders").0);
        let key = Key { client: topics.client, topic_handle: 64, epoch: 1 };
        let following = look(key, |known| known == c"orders", || Some(orders)).unwrap();
        topics.rounds(3);
        assert_eq!((room(), following.topic()), (FEW, "orders"));
        drop(following);
        topics.rounds(3);
        assert!(room() > FEW);
    });
}

#[test]
fn a_thread_that_ends_lets_go_of_whatever_its_tables_had() {
    let topics = Topics::new(2_000);
    let routes: Vec<_> = topics.routes.iter().map(|(_, watched)| watched.clone()).collect();
    alone(move || {
        topics.rounds(6);
        assert!(topics.kept() > 1_900 && room() > FEW);
    });
    assert!(!routes.iter().any(is_there));
}

/// librdkafka may give a topic of another client the address of one that is gone.
#[test]
fn a_route_is_one_client_s_alone_wherever_its_topic_lies() {
    alone(|| {
        let key = |client| Key { client, topic_handle: 64, epoch: 1 };
        let group = |client| key(client).home() % FEW / WAYS;
        let other = (2..).find(|other| group(*other) == group(1)).unwrap();
        for client in [1, other] {
            let (orders, own) = (made(c"orders").0, RefCell::new(None));
            let find = || Some(Arc::clone(own.borrow_mut().insert(orders)));
            let found = look(key(client), |known| known == c"orders", find).unwrap();
            let own = own.borrow();
            assert!(own.as_ref().is_some_and(|own| ptr::eq(Arc::as_ptr(own), &raw const *found)), "client {client}");
        }
    });
}

#[test]
fn a_route_that_is_followed_stays_when_its_client_goes_meanwhile() {
    alone(|| {
        let (topics, (orders, watched)) = (Topics::new(FEW), made(c"orders"));
        orders.ends();
        let key = Key { client: 3, topic_handle: 64, epoch: 1 };
        let following = look(key, |known| known == c"orders", || Some(orders)).unwrap();
        // Each miss looks for what has gone.
        topics.rounds(1);
        assert!(is_there(&watched));
        assert_eq!(following.topic(), "orders");
        drop(following);
        topics.round(2);
        assert!(!is_there(&watched));
    });
}

/// As where a callback ends its thread.
#[test]
fn a_route_that_is_followed_stays_while_its_thread_ends_and_no_table_grows_after_that() {
    struct Late(RefCell<Option<(Found<'static>, Weak<Route>)>>);
    impl Drop for Late {
        fn drop(&mut self) {
            let (following, watched) = self.0.take().unwrap();
            assert!(is_there(&watched) && following.topic() == "orders");
            drop(following);
            in_use().unwrap().head().displaced.set(FEW);
            let key = Key { client: 3, topic_handle: 64, epoch: 1 };
            assert!(look(key, |known| known == c"mails", || Some(made(c"mails").0)).is_some());
            assert_eq!(room(), FEW);
        }
    }
    thread_local!(static LATE: Late = const { Late(RefCell::new(None)) });
    alone(|| {
        // Made first, so it goes last.
        LATE.try_with(|_| ()).unwrap();
        let (topics, (orders, watched)) = (Topics::new(5_000), made(c"orders"));
        topics.rounds(12);
        // So large that the allocator gives it back at once.
        assert_eq!(room(), MANY);
        let key = Key { client: 3, topic_handle: 64, epoch: 1 };
        let following = look(key, |known| known == c"orders", || Some(orders)).unwrap();
        LATE.try_with(|late| late.0.replace(Some((following, watched)))).unwrap();
    });
}
