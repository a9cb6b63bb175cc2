//! `[metrics]`.

#![forbid(unsafe_code)]

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use super::settings;
use crate::config::draft::metrics::MetricsLayer;
use crate::config::reading::field::Field;
use crate::config::reading::socket_address::socket_address;
use crate::config::report::code;
use crate::config::report::findings::{Broken, Findings};
use crate::config::report::problem::Problem;
use crate::config::text::node::Value;

/// What `section` says.
pub(super) fn read(section: &Section<'_>, backends: &[&str], findings: &mut Findings) -> MetricsLayer {
    let is_open = section.field("prometheus_open").map_or(Ok(false), |field| field.boolean(findings));
    MetricsLayer {
        own: section.field("self").map(|field| field.choice(SWITCH, findings)),
        interval: section.field("interval").map(|field| field.duration(INTERVALS, findings)),
        export: section.field("export").map(|field| settings::export(field, backends, findings)),
        prometheus: section.field("prometheus").map(|field| {
            let address = prometheus(field, is_open.unwrap_or_default(), findings);
            is_open.and(address)
        }),
        textfile: section.field("textfile").map(|field| textfile(field, findings)),
    }
}

/// An address of this machine; that of a network only where the file says so once more.
fn prometheus(field: Field<'_>, is_open: bool, findings: &mut Findings) -> Result<SocketAddr, Broken> {
    let wants = "an address and a port, such as \"127.0.0.1:9464\"";
    let problem =
        |code, label: String| Problem::error(code, format!("`prometheus` takes {wants}")).at(field.span(), label);
    if let Value::Integer(port @ 1..=65535) = field.node.value {
        return Err(findings.refuse(problem(code::WRONG_TYPE, format!("write \"127.0.0.1:{port}\""))));
    }
    let text = field.text(wants, findings)?;
    let Some(address) = socket_address(text) else {
        let label = match text.trim().trim_start_matches(':').parse::<u16>() {
            Ok(port @ 1..) => format!("write \"127.0.0.1:{port}\""),
            _ => "an IP address, or localhost, and a port".to_owned(),
        };
        return Err(field.unacceptable(problem(code::BAD_NOTATION, label), wants, findings));
    };
    if !address.ip().is_loopback() && !is_open {
        let message = "`prometheus` would be open to other machines, without a password and unencrypted";
        let problem = Problem::error(code::CONTRADICTION, message)
            .at(field.span(), "this is no address of this machine alone")
            .help("write 127.0.0.1, or add `prometheus_open = true` if that is meant");
        return Err(field.unacceptable(problem, "an address of this machine alone, such as 127.0.0.1", findings));
    }
    Ok(address)
}

fn textfile(field: Field<'_>, findings: &mut Findings) -> Result<PathBuf, Broken> {
    let wants = "an absolute path that ends in .prom, such as \"/var/lib/node_exporter/app-{pid}.prom\"";
    let path = PathBuf::from(field.text(wants, findings)?);
    if path.is_absolute() && path.extension().is_some_and(|ending| ending == "prom") {
        return Ok(path);
    }
    let problem = Problem::error(code::BAD_NOTATION, format!("`textfile` takes {wants}"));
    let label = "node_exporter reads no other files, and a program may change its folder";
    Err(field.unacceptable(problem.at(field.span(), label), wants, findings))
}

const SWITCH: &[(&str, bool)] = &[("off", false), ("on", true)];
const INTERVALS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);
