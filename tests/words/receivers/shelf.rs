//! Where a receiver puts what it got, and tests wait for it.

use std::mem::take;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ReceivedSpan;

/// Spans, shared between a server's threads and the test. Clones share.
#[derive(Clone, Default)]
pub struct Shelf {
    inner: Arc<(Mutex<Contents>, Condvar)>,
}

#[derive(Default)]
struct Contents {
    /// What was taken as it came: the test's thread reads it when it asks for spans.
    unread: Vec<Unread>,
    spans: Vec<ReceivedSpan>,
    faults: Vec<String>,
}

/// The spans of a batch, and what in it broke the rules of its format.
type Unread = Box<dyn FnOnce() -> (Vec<ReceivedSpan>, Vec<String>) + Send>;

impl Shelf {
    /// Adds spans and wakes who waits.
    pub fn put(&self, spans: Vec<ReceivedSpan>) {
        self.lock().spans.extend(spans);
        self.inner.1.notify_all();
    }

    /// Adds a batch that `read` reads once somebody asks for spans, and wakes who waits.
    pub fn put_unread(&self, read: impl FnOnce() -> (Vec<ReceivedSpan>, Vec<String>) + Send + 'static) {
        self.lock().unread.push(Box::new(read));
        self.inner.1.notify_all();
    }

    /// All spans so far, in the order of their arrival.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.read().spans.clone()
    }

    /// Takes all spans away: a receiver that runs for long must not keep every one.
    pub fn take(&self) -> Vec<ReceivedSpan> {
        take(&mut self.read().spans)
    }

    /// What in the batches so far broke the rules of their format, though a lenient backend takes it.
    pub fn faults(&self) -> Vec<String> {
        self.read().faults.clone()
    }

    /// Waits for `count` spans in all, at most `limit`; then returns what there is, be it more or fewer.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<ReceivedSpan> {
        let started = Instant::now();
        let mut contents = self.read();
        while contents.spans.len() < count {
            let Some(left) = limit.checked_sub(started.elapsed()) else { break };
            drop(self.inner.1.wait_timeout(contents, left).unwrap_or_else(PoisonError::into_inner));
            contents = self.read();
        }
        contents.spans.clone()
    }

    /// The contents, in which nothing is unread.
    fn read(&self) -> MutexGuard<'_, Contents> {
        let mut contents = self.lock();
        while !contents.unread.is_empty() {
            let unread = take(&mut contents.unread);
            // The server's threads go on meanwhile.
            drop(contents);
            let read: Vec<_> = unread.into_iter().map(|read| read()).collect();
            contents = self.lock();
            for (spans, faults) in read {
                contents.spans.extend(spans);
                contents.faults.extend(faults);
            }
        }
        contents
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_unread_is_read_by_whoever_waits_for_it() {
        let shelf = Shelf::default();
        let span = |name: &str| ReceivedSpan { name: name.to_owned(), ..Default::default() };
        shelf.put(vec![span("first")]);
        let (server, second, fault) = (shelf.clone(), span("second"), "no name".to_owned());
        let reader = std::thread::current().id();
        let server = std::thread::spawn(move || {
            // So that it is waited for.
            std::thread::sleep(Duration::from_millis(200));
            server.put_unread(move || {
                assert_eq!(std::thread::current().id(), reader, "the server has no time for it");
                (vec![second], vec![fault])
            });
        });
        let names: Vec<_> = shelf.wait_for(2, crate::LIMIT).into_iter().map(|span| span.name).collect();
        server.join().unwrap();
        assert_eq!(
            (names, shelf.faults()),
            (vec!["first".to_owned(), "second".to_owned()], vec!["no name".to_owned()])
        );
        assert_eq!((shelf.take().len(), shelf.spans().len()), (2, 0));
    }
}
