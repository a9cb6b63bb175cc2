//! Ctrl-C: what has come is drawn before the end.

use std::sync::mpsc::SyncSender;
use std::thread;

use super::intake::Event;
use crate::failure::Failure;

/// Sends `Event::Stop` at the first Ctrl-C. At a second one nobody waits any more, and the process ends.
pub(super) fn start(events: SyncSender<Event>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::of_ours(format!("cannot wait for Ctrl-C: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    // The handler is there before anything is shown.
    let mut signals = runtime
        .block_on(async { tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt()) })
        .map_err(failed)?;
    let wait = move || {
        let pressed = || {
            runtime.block_on(signals.recv());
        };
        await_two(pressed, events);
        std::process::exit(130);
    };
    thread::Builder::new().name("ctrl-c".into()).spawn(wait).map(drop).map_err(failed)
}

/// Comes back at the second time. Whoever draws may stand at a pipe that nobody reads, behind batches that wait: so
/// `Event::Stop` has a thread of its own to wait on.
fn await_two(mut pressed: impl FnMut(), events: SyncSender<Event>) {
    pressed();
    // Whoever has stopped showing needs no telling.
    let stop = move || drop(events.send(Event::Stop));
    if thread::Builder::new().name("stop".into()).spawn(stop).is_ok() {
        pressed();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{channel, sync_channel};
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_second_ctrl_c_counts_though_nobody_takes_the_first() {
        let (events, received) = sync_channel(1);
        events.send(Event::End).unwrap();
        let (seen, times) = channel();
        thread::spawn(move || await_two(|| seen.send(()).unwrap(), events));
        for _ in 0..2 {
            times.recv_timeout(Duration::from_secs(60)).unwrap();
        }
        // What waited comes first, and nothing is lost.
        assert!(matches!(received.recv(), Ok(Event::End)));
        assert!(matches!(received.recv(), Ok(Event::Stop)));
    }
}
