//! Promise: the command answers what it is asked about a configuration truly, because it asks the library's own code, and
//! prints no secret.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod asked_for_json;
mod check;
mod explain;
mod installed;
mod migrate;
mod mistaken;
mod page;
mod playground;
mod plugin_check;
mod plugin_new;
mod plugin_run;
mod plugins;
mod print_config;
mod schema;
mod words_of_shells;
