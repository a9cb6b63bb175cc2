//! The routes of the topics that one client has met, by the rules of now, and by those of before as long as something
//! follows them.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::route::{Route, RouteMaker};
use crate::clock;
use crate::resolver::Shared;
use crate::status::Who;

/// See the module.
pub(super) struct ClientRoutes {
    resolver: Arc<Shared>,
    maker: RouteMaker,
    tables: RwLock<Tables>,
    /// Whether there are any of before. Looked at for every acknowledgement.
    has_older: AtomicBool,
    /// Whether some went although something may have followed them.
    has_forgotten: AtomicBool,
}

#[derive(Default)]
struct Tables {
    /// The generation of the rules that made `current`.
    rules: u64,
    current: Routes,
    /// Latest last.
    older: Vec<Older>,
}

type Routes = HashMap<CString, Arc<Route>>;

/// Routes by rules that were replaced.
struct Older {
    rules: u64,
    /// When the client had messages sent by them for the last time, in nanoseconds of the monotonic clock.
    until: u64,
    routes: Routes,
}

/// Topics of one client whose route is kept; the routes of further ones are not, and their messages go untraced.
const MAX_ROUTES: usize = 20_000;
/// Rules of before that messages in flight may have been sent by: as many as their ids tell apart. A message that is in
/// flight during more reloads ends by those of now.
const MAX_OLDER: usize = 255;

impl ClientRoutes {
    pub(super) fn new(resolver: Arc<Shared>, maker: RouteMaker) -> Self {
        let tables = Tables { rules: resolver.generation(), ..Tables::default() };
        Self {
            resolver,
            maker,
            tables: RwLock::new(tables),
            has_older: AtomicBool::new(false),
            has_forgotten: AtomicBool::new(false),
        }
    }

    /// Whose they are.
    pub(super) fn who(&self) -> Who {
        self.maker.who()
    }

    /// Its `group.id`.
    pub(super) fn group_id(&self) -> Option<&str> {
        self.maker.facts.group_id.as_deref()
    }

    pub(super) fn is_empty(&self) -> bool {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        tables.current.is_empty() && tables.older.is_empty()
    }

    /// Whether messages may be in flight that were sent by other rules than those of now.
    #[inline]
    pub(super) fn have_older(&self) -> bool {
        self.has_older.load(Ordering::Relaxed)
    }

    /// Whether there were more of before than are kept.
    pub(super) fn have_forgotten(&self) -> bool {
        self.has_forgotten.load(Ordering::Relaxed)
    }

    /// The route of a topic by the rules of now, if it was met before. No system call, and little of the stack.
    #[cold]
    pub(super) fn known(&self, topic: &CStr) -> Option<Arc<Route>> {
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let is_of_now = tables.rules == self.resolver.generation();
        tables.current.get(topic).filter(|_| is_of_now).map(Arc::clone)
    }

    /// The route of a topic by the rules of now, made if it was not met before.
    #[cold]
    pub(super) fn find(&self, topic: &CStr) -> Option<Arc<Route>> {
        if let Some(route) = self.known(topic) {
            return Some(route);
        }
        let mut tables = self.write();
        let rules = self.resolver.rules();
        if tables.rules < rules.generation() {
            self.leave(&mut tables, rules.generation());
        }
        if let Some(route) = tables.current.get(topic) {
            return Some(Arc::clone(route));
        }
        if tables.current.len() >= MAX_ROUTES {
            self.resolver.count_topic_over_limit(MAX_ROUTES);
            return None;
        }
        let route = Arc::new(self.maker.route(&rules, topic));
        tables.current.insert(topic.to_owned(), Arc::clone(&route));
        let again = tables.older.iter().any(|older| older.routes.contains_key(topic));
        drop(tables);
        self.resolver.met_topic(&rules, route.topic(), &self.maker.who(), route.belongs(), again);
        Some(route)
    }

    /// The routes of a topic by which a message may have been sent that was produced at `sent`, in nanoseconds of the
    /// monotonic clock: those of before, latest first. Lets those go that nothing follows any more.
    #[cold]
    pub(super) fn older(&self, topic: &CStr, sent: u64) -> Vec<Arc<Route>> {
        let oldest = self.resolver.oldest_followed();
        let tables = self.tables.read().unwrap_or_else(PoisonError::into_inner);
        let is_over = tables.older.first().is_some_and(|older| older.rules < oldest);
        let may_be = tables.older.iter().rev().take_while(|older| sent <= older.until);
        let routes = may_be.filter_map(|older| older.routes.get(topic).map(Arc::clone)).collect();
        drop(tables);
        if is_over {
            self.forget(&mut self.write(), oldest);
        }
        routes
    }

    /// All that there are.
    pub(super) fn into_all(self) -> impl Iterator<Item = Arc<Route>> {
        let Tables { current, older, .. } = self.tables.into_inner().unwrap_or_else(PoisonError::into_inner);
        let older = older.into_iter().flat_map(|older| older.routes.into_values());
        current.into_values().chain(older)
    }

    /// The rules of now are others.
    fn leave(&self, tables: &mut Tables, rules: u64) {
        let routes = std::mem::take(&mut tables.current);
        let left = std::mem::replace(&mut tables.rules, rules);
        if !routes.is_empty() {
            tables.older.push(Older { rules: left, until: clock::monotonic_nanos(), routes });
        }
        if tables.older.len() > MAX_OLDER {
            tables.older.remove(0);
            self.has_forgotten.store(true, Ordering::Relaxed);
        }
        self.forget(tables, self.resolver.oldest_followed());
    }

    /// Nothing follows rules older than `oldest`.
    fn forget(&self, tables: &mut Tables, oldest: u64) {
        tables.older.retain(|older| older.rules >= oldest);
        self.has_older.store(!tables.older.is_empty(), Ordering::Relaxed);
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }
}
