//! The ends of a process: whichever way it ends, what is in hand leaves first, if there is time.
//!
//! | end | who sees it |
//! |---|---|
//! | `main` returns, `exit()`, `quick_exit()` | `exit_handlers`, for `at_exit` |
//! | `_exit()`, `execve()`, a signal that the process sends itself | the preloaded library, which calls [`before_exit`] or [`export_in_hand`] |
//! | none that can be seen: Go, a fork that ends by `_exit()` | `last_client`: the close of the last client may be the end |
//! | the application says so | [`Resolver::flush`](crate::Resolver::flush), [`Resolver::shutdown`](crate::Resolver::shutdown) |
//!
//! Whoever sees one only asks, and waits ([`Leave`](crate::batch::Leave) says how sure the end is). The batch thread does the
//! work (`batch::leaving`), and each queue comes to rest by itself (`export::queue_state::ending`). A thread's own end is
//! none of these: see `batch::thread_spans`.

mod at_exit;
mod exit_handlers;
mod last_client;

pub use at_exit::{EXIT_DEADLINE, before_exit, export_in_hand};
pub(crate) use at_exit::{tell_which_plugin_ends_it, watch};
pub(crate) use last_client::{closed, closing, is_end_unseen, opened};
