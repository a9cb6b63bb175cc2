//! `[reload]` and `[trust]`: how a running process treats its files.

#![forbid(unsafe_code)]

use std::ops::RangeInclusive;
use std::time::Duration;

use super::keys;
use super::section::Section;
use crate::config::model::Reload;
use crate::config::report::findings::Findings;

/// What `[reload]` says. The section alone turns it on; one that is broken, and reported, turns it off.
pub(super) fn reload(top: &Section<'_>, below: Reload, findings: &mut Findings) -> Reload {
    let Some(field) = top.field("reload") else { return below };
    let Ok(section) = Section::open(field, "[reload]".into(), keys::RELOAD, findings) else { return Reload::OFF };
    let enabled = section.field("enabled").map_or(Ok(true), |field| field.boolean(findings));
    let interval = section.field("interval").map_or(Ok(below.interval), |field| field.duration(INTERVALS, findings));
    match (enabled, interval) {
        (Ok(enabled), Ok(interval)) => Reload { enabled, interval },
        _ => Reload::OFF,
    }
}

/// What `[trust]` says of files that everybody may write to. Not of the file that says so: nobody knows who wrote it.
pub(super) fn allows_world_writable(top: &Section<'_>, findings: &mut Findings) -> bool {
    let Some(field) = top.field("trust") else { return false };
    let Ok(section) = Section::open(field, "[trust]".into(), keys::TRUST, findings) else { return false };
    section.field("allow_world_writable").is_some_and(|field| field.boolean(findings).unwrap_or(false))
}

/// Network disks are slow, and whoever changes a file waits for it.
const INTERVALS: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(24 * 3600);
