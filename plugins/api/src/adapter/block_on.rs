//! Drives one future on this thread, with no runtime.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// The future's output, or `None` if it was not ready at `deadline` and was dropped. Without a deadline, waits for ever.
///
/// A future that is ready at once is polled once, even if the deadline has passed.
pub(crate) fn block_on<F: Future>(future: F, deadline: Option<Instant>) -> Option<F::Output> {
    let mut future = pin!(future);
    let alarm = Arc::new(Alarm { thread: thread::current(), rung: AtomicBool::new(false) });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return None;
            }
            // Acquire pairs with the release in `wake`: what was done before it is seen by the next poll.
            if alarm.rung.swap(false, Ordering::Acquire) {
                break;
            }
            match left {
                Some(left) => thread::park_timeout(left),
                None => thread::park(),
            }
        }
    }
}

struct Alarm {
    thread: Thread,
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release pairs with the acquire in `block_on`.
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, poll_fn, ready};
    use std::sync::mpsc;

    #[test]
    fn a_future_that_is_ready_is_taken_even_past_the_deadline() {
        assert_eq!(block_on(ready(1), Some(Instant::now())), Some(1));
    }

    #[test]
    fn a_future_that_is_never_ready_ends_at_the_deadline() {
        let start = Instant::now();
        assert_eq!(block_on(pending::<()>(), Some(start + Duration::from_millis(30))), None);
        assert!(start.elapsed() >= Duration::from_millis(30));
    }

    #[test]
    fn another_thread_may_wake_it() {
        let (send, receive) = mpsc::channel::<Waker>();
        let waker_thread = thread::spawn(move || receive.recv().unwrap().wake());
        let mut polls = 0;
        let future = poll_fn(|context| {
            polls += 1;
            if polls == 2 {
                return Poll::Ready(polls);
            }
            send.send(context.waker().clone()).unwrap();
            Poll::Pending
        });
        assert_eq!(block_on(future, Some(Instant::now() + Duration::from_secs(60))), Some(2));
        waker_thread.join().unwrap();
    }

    #[test]
    fn a_future_that_always_wakes_itself_does_not_outlive_the_deadline() {
        let busy = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(block_on(busy, Some(Instant::now() + Duration::from_millis(30))), None);
    }
}
