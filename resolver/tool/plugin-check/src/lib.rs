//! A built backend plugin, held against the sentences of `tracer_plugin.h`.
//!
//! Every rule is tried in a process of its own, so that a plugin that crashes, hangs or ends the process is a finding and
//! not the end of the check:
//!
//! ```text
//!  judge ──starts──▶ the command itself, with a hidden word ──▶ child ──▶ one of RULES ──▶ the plugin
//!    ▲  │                                                          │
//!    │  └─ collector (takes, refuses, stalls) ◀────────────────────┼── what the plugin sends
//!    └──────────── desk: what the plugin is in, what was found ────┘
//! ```
//!
//! `library`, `lent`, `host` and `signals` are where C is met; a rule calls the plugin by their safe words.

mod all_rules;
mod body;
mod case;
mod child;
mod collector;
mod desk;
mod grpc;
mod host;
mod judge;
mod lent;
mod library;
mod process_view;
mod rule;
mod rules;
mod sample_run;
mod settings;
mod signals;
mod stop;
mod told;

pub use all_rules::rules;
pub use child::obey;
pub use judge::{Checked, Finding, Outcome, Step, Wanted, check};
pub use rule::Rule;
pub use sample_run::{Fault, Ran, RunWanted, run};
