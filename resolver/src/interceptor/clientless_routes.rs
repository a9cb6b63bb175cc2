//! Routes of messages that a processing guard met and no client of ours handed over.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, PoisonError, RwLock, Weak};

use super::route::{Route, RouteMaker};
use crate::per_process::PerProcess;
use crate::resolver::Shared;
use crate::services::Side;

/// The routes of one resolver, by topic and by the service that was named.
struct OfResolver {
    resolver: Weak<Shared>,
    /// The generation of the rules that made them.
    rules: u64,
    routes: HashMap<(String, Option<usize>), Arc<Route>>,
}

/// By resolver. Of those that are gone the routes go when another route is made.
type Routes = Vec<OfResolver>;

/// Topics of a resolver whose route is kept; those of further ones are made anew for each message.
const MAX_ROUTES: usize = 10_000;

static ROUTES: PerProcess<RwLock<Routes>> = PerProcess::new();

/// The consumer's route of a topic for which no client is known.
pub(super) fn route(resolver: &Arc<Shared>, topic: &str, service: Option<usize>) -> Option<Arc<Route>> {
    let key = (topic.to_owned(), service);
    let table = ROUTES.get_or_init(RwLock::default);
    let routes = table.read().unwrap_or_else(PoisonError::into_inner);
    let rules = resolver.generation();
    let known = routes.iter().find(|of| of.is_of(resolver) && of.rules == rules);
    let known = known.and_then(|of| of.routes.get(&key).map(Arc::clone));
    drop(routes);
    if known.is_some() {
        return known;
    }
    let maker =
        RouteMaker { side: Side::Consume, facts: Arc::default(), cluster: String::new(), bound: service, api: None };
    let route = Arc::new(maker.route(&resolver.rules(), &CString::new(topic).ok()?));
    keep(&mut table.write().unwrap_or_else(PoisonError::into_inner), resolver, key, &route);
    Some(route)
}

fn keep(table: &mut Routes, resolver: &Arc<Shared>, key: (String, Option<usize>), route: &Arc<Route>) {
    table.retain(|of| of.resolver.strong_count() > 0);
    let rules = route.rules();
    match table.iter_mut().find(|of| of.is_of(resolver)) {
        Some(of) if of.rules < rules => {
            of.rules = rules;
            of.routes = HashMap::from([(key, Arc::clone(route))]);
        }
        Some(of) if of.rules > rules => {}
        Some(of) if of.routes.len() < MAX_ROUTES => drop(of.routes.insert(key, Arc::clone(route))),
        Some(_) => {}
        None => table.push(OfResolver {
            resolver: Arc::downgrade(resolver),
            rules,
            routes: HashMap::from([(key, Arc::clone(route))]),
        }),
    }
}

impl OfResolver {
    fn is_of(&self, resolver: &Arc<Shared>) -> bool {
        std::ptr::eq(self.resolver.as_ptr(), Arc::as_ptr(resolver))
    }
}
