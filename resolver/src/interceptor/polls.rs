//! What a door that sees the application's own calls into librdkafka tells the engine: when a message is asked for.
//!
//! The call for the next message is the end of the previous one's processing. Clients whose polls nobody sees
//! (`plugin.library.paths` alone) do without.

#![forbid(unsafe_code)]

/// What a call may hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hands {
    /// One message at most: what the thread sends afterwards continues it.
    One,
    /// Any number: none of them is the one that is processed.
    Many,
}

/// The calling thread asks for messages by `poll`, of the client, topic or queue at address `source`.
///
/// The processing of the message that the thread was handed before ends here. Does not block, allocates nothing.
pub fn polling<T>(source: usize, hands: Hands, poll: impl FnOnce() -> T) -> T {
    let _ = (source, hands);
    poll()
}

/// The calling thread closes, by `close`, the client at address `source`: what it was processing ends here.
pub fn closing<T>(source: usize, close: impl FnOnce() -> T) -> T {
    let _ = source;
    close()
}

/// Whatever client `create` makes on this thread has its polls seen, by [`polling`].
pub fn seen_polling<T>(create: impl FnOnce() -> T) -> T {
    create()
}
