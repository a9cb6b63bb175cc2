//! All that is judged of a draft, in its order.

#![forbid(unsafe_code)]

use super::{backends, rules, unreachable};
use crate::config::draft::config::ConfigDraft;
use crate::config::report::findings::Findings;

/// Reports everything that the sections of `draft` have to say against each other.
pub(super) fn check(draft: &ConfigDraft, findings: &mut Findings) {
    // What was refused is missing from the draft: warnings about what is missing would only repeat it.
    let is_complete = !findings.is_distrusted();
    rules::contradictions(draft, findings);
    let unreachable = unreachable::find(draft, findings);
    backends::queues_hold_a_batch(draft, findings);
    backends::ports_fit(draft, findings);
    backends::twins(draft, findings);
    if is_complete {
        rules::doubts(draft, &unreachable, findings);
        backends::services_have_backends(draft, findings);
        backends::shared_files(draft, findings);
        backends::unused(draft, findings);
    }
}
