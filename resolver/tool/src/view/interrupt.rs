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
        runtime.block_on(signals.recv());
        // Whoever has stopped showing needs no telling.
        let _ = events.send(Event::Stop);
        runtime.block_on(signals.recv());
        std::process::exit(130);
    };
    thread::Builder::new().name("ctrl-c".into()).spawn(wait).map(drop).map_err(failed)
}
