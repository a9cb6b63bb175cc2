//! `drive`: a future run to its end on this thread, which waits for one socket meanwhile.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::wire::Line;

/// What became of `future`, which reads and writes on `line` alone; `None` if that is not known by `deadline`.
///
/// Runs on: the export thread that has the batch. It is the future's only executor, so nothing else may wake it but the
/// future itself, while it is polled.
pub(crate) fn drive<F: Future>(line: &Line, deadline: Instant, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let again = Arc::new(Again(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&again));
    let mut context = Context::from_waker(&waker);
    loop {
        line.wants_nothing();
        again.0.store(false, Ordering::Relaxed);
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        // Relaxed, here and above: one thread stores and loads it.
        if again.0.load(Ordering::Relaxed) {
            continue;
        }
        let mut wanted = PollFlags::empty();
        wanted.set(PollFlags::IN, line.wants_to_read());
        wanted.set(PollFlags::OUT, line.wants_to_write());
        let left = Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
        // No socket of ours: nothing will come of it.
        let Ok(socket) = line.socket() else { return None };
        match poll(&mut [PollFd::from_borrowed_fd(socket, wanted)], Some(&left)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Whether the future asked to be polled again at once.
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;

    fn line() -> (Line, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Line::new(ours.into()).unwrap(), theirs)
    }

    #[test]
    fn a_future_that_nothing_comes_of_ends_with_its_time() {
        let (line, _theirs) = line();
        assert_eq!(drive(&line, Instant::now() + Duration::from_secs(60), ready(1)), Some(1));
        assert_eq!(drive(&line, Instant::now() + Duration::from_millis(20), pending::<()>()), None);
        assert_eq!(drive(&line, Instant::now(), pending::<()>()), None);
    }

    #[test]
    fn a_future_that_wakes_itself_is_polled_again_and_not_for_ever() {
        let (line, _theirs) = line();
        let mut polls = 0;
        let third = poll_fn(|context| {
            polls += 1;
            context.waker().wake_by_ref();
            if polls == 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        assert_eq!(drive(&line, Instant::now() + Duration::from_secs(60), third), Some(()));
        let never = poll_fn(|context| {
            context.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        assert_eq!(drive(&line, Instant::now() + Duration::from_millis(20), never), None);
    }
}
