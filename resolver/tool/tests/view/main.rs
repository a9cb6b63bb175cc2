//! Promise: `view` shows the traces of a file that grows and of programs that send, in the terminal and as a page; and what
//! anybody may send to its ports harms nobody.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

mod browser;
mod guards;
mod running;
mod terminal;
