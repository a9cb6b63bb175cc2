//! `tracer-interceptors drain DIR`: what programs that ended have left in a spool is sent by the backends of the configuration.

#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, absolute};
use std::process::ExitCode;

use serde_json::{Value as Json, json};
use tracer_resolver::config::Report;
use tracer_resolver::inspect::left_to_others;
use tracer_resolver::{Drained, counted};

use crate::command_line::Format;
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output;

/// Each backend's part, one after the other. The status is 1 when something was lost, is damaged or is left, or was not even looked
/// at.
pub(crate) fn drain(folder: &Path, file: Option<&Path>, format: Format) -> Result<ExitCode, Failure> {
    let folder = absolute(folder).map_err(|error| Failure::of_ours(format!("{}: {error}", folder.display())))?;
    if !folder.is_dir() {
        return Err(Failure::wrong(format!("there is no folder {}", folder.display())));
    }
    let configuration = Configuration::of(file);
    let Some(config) = &configuration.loaded.config else {
        return Err(Failure::wrong(configuration.loaded.report.render(false)));
    };
    let search = configuration.plugin_search();
    let (mut text, mut backends, mut is_well) = (String::new(), Vec::new(), true);
    for backend in &config.backends {
        let mut report = Report::new(configuration.name().to_owned(), configuration.text().to_owned());
        match search.drain(config, backend, &folder, &mut report) {
            Some(drained) => {
                is_well &= has_drained_all(&drained);
                text.push_str(&format!("{}: {}\n", backend.name, sentence(&drained)));
                backends.push(as_json(&backend.name, &drained));
            }
            None => {
                is_well = false;
                let problem = report.render(false);
                backends.push(json!({ "backend": backend.name, "problem": problem.trim_end() }));
                text.push_str(&problem);
            }
        }
    }
    // What is nobody's here is nobody's anywhere, if its backend has got another name.
    let (of_others, not_read) = match left_to_others(config, &folder) {
        Ok(places) => (places.iter().map(|place| place.display().to_string()).collect(), None),
        Err(error) => (Vec::new(), Some(not_read(&folder, &error))),
    };
    is_well &= of_others.is_empty() && not_read.is_none();
    for place in &of_others {
        text.push_str(&format!("{place}: spans are left for a backend that {} does not have\n", configuration.name()));
    }
    text.extend(not_read.iter().map(|why| format!("{why}\n")));
    match format {
        Format::Text => output::text(&text, is_well),
        Format::Json => output::json(&as_one(&backends, &of_others, not_read.as_deref()), is_well),
    }
}

fn not_read(folder: &Path, error: &io::Error) -> String {
    format!(
        "{} cannot be read, so nobody knows whether other backends have left spans there: {error}",
        folder.display()
    )
}

/// A place that was passed over may have had spans that nobody has counted.
fn has_drained_all(of: &Drained) -> bool {
    of.lost + of.left + of.damaged == 0 && of.unread.is_none()
}

fn as_one(backends: &[Json], of_others: &[String], problem: Option<&str>) -> Json {
    json!({ "backends": backends, "of_other_backends": of_others, "problem": problem })
}

fn as_json(backend: &str, of: &Drained) -> Json {
    json!({
        "backend": backend,
        "sent": of.exported,
        "lost": of.lost,
        "left": of.left,
        "maybe_twice": of.maybe_twice,
        "damaged": of.damaged,
        "unread": of.unread,
        "trouble": of.trouble,
    })
}

fn sentence(of: &Drained) -> String {
    let mut parts = vec![format!("{} sent", counted(of.exported, "span"))];
    let more = [
        (of.lost, "lost, because the backend refused them or they are damaged"),
        (of.left, "left in the spool"),
        (of.maybe_twice, "of the sent may be there twice: nobody knows whether they had arrived before"),
        (of.damaged, "damaged places passed over"),
    ];
    parts.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    parts.extend(of.unread.iter().map(|why| format!("what cannot be read stays in the spool: {why}")));
    if let (true, Some(trouble)) = (of.left + of.lost > 0, &of.trouble) {
        parts.push(trouble.clone());
    }
    parts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_place_is_not_well_although_no_span_is_known_to_be_lost() {
        let mut drained = Drained::default();
        assert!(has_drained_all(&drained));
        drained.damaged = 1;
        assert!(!has_drained_all(&drained));
    }

    #[test]
    fn a_folder_that_cannot_be_read_is_no_place_of_another_backend() {
        let why = not_read(Path::new("/spool"), &io::ErrorKind::PermissionDenied.into());
        assert!(why.starts_with("/spool cannot be read") && why.ends_with("permission denied"), "{why}");
        let json = as_one(&[], &[], Some(&why));
        assert_eq!((json["of_other_backends"].as_array().map(Vec::len), &json["problem"]), (Some(0), &why.into()));
    }
}
