//! Backend plugins: found, checked, loaded for ever, and called without trusting them.
//!
//! ```text
//!  config ──▶ Loader ──▶ PluginLibrary ──▶ check (schema, then the plugin) ──▶ Instance ──▶ an export queue
//!             search      one per file      before anything is created         one per backend
//! ```
//!
//! Only this module knows `dlopen` and the plugin ABI. A plugin is a stranger in the customer's process: everything it
//! hands over is checked before it is used, its errors are bounded, cleaned and redacted, and it is never unloaded.
//! What cannot be contained is said in the contract: a plugin that crashes takes the process along.

mod broken_rules;
mod c_text;
mod calls;
mod complaint;
mod credentials;
mod forks;
mod handle;
mod host_side;
mod host_thread;
mod instance;
mod kept_mask;
mod library;
mod load_error;
mod loader;
mod mapping;
mod plugin_file;
mod reply;
mod search;
mod secrets;
mod set_up_code;
mod settings_check;
mod settings_schema;
mod table;
mod thread_mark;

#[cfg(test)]
mod forked;
#[cfg(test)]
mod tests;

pub(crate) use calls::place;
pub use calls::{is_code_of_a_plugin, is_in_plugin};
pub(crate) use complaint::Complaint;
#[cfg(test)]
pub(crate) use forked::child_is_well;
pub(crate) use host_thread::{Failed, PATIENCE, within};
pub(crate) use instance::{Instance, Rebirth};
pub(crate) use library::PluginLibrary;
pub(crate) use loader::{Loader, Trust};
