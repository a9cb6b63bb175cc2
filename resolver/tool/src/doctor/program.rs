//! What would happen to a program: whether the library comes into it, and whether its clients are seen there.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::clients;
use super::report::Part;
use super::step::{State, Step};
use crate::given_file::{self, Kind};
use crate::library;
use crate::run::{LinkedIn, Needed, Outlook, PROPERTY, Reach, is_executable, located};

/// `words`: the program and its arguments. Nothing of it is run, but its interpreter is asked where it looks.
pub(super) fn part(words: &[OsString]) -> Part {
    let program = words.first().map(OsString::as_os_str).unwrap_or_default();
    let title = format!("program {}", program.to_string_lossy());
    let library = match library::find() {
        Ok(library) => library,
        Err(failure) => return Part { title, steps: vec![Step::failed("library", failure.what)] },
    };
    let mut steps = vec![Step::ok("library", library.display().to_string())];
    let outlook = Outlook::of(program, &library);
    let refusal = refusal(program);
    let Some(executed) = outlook.files.last().filter(|file| file.exists() && refusal.is_none()) else {
        let (what, way_out) = refusal.unwrap_or(("it is not found", "give its path, or look at PATH".to_owned()));
        steps.push(Step::failed("program", what).way_out(way_out));
        return Part { title, steps };
    };
    let way = if executed.as_os_str() == program {
        executed.display().to_string()
    } else {
        let files: Vec<_> = outlook.files.iter().map(|file| file.display().to_string()).collect();
        format!("what is executed is {}", files.join(", and by that "))
    };
    steps.push(Step::ok("program", way));
    let (loading, comes_in) = loading(&outlook);
    let found = clients::of(executed, words);
    let kafka = kafka(&outlook, &Needed::by(executed), comes_in, found.are_seen, found.steps.is_empty());
    // What is linked into a static program is found by nobody: that is the finding, and says the way out.
    let is_told = kafka.iter().any(|step| step.state == State::Failed);
    steps.push(loading.after(is_told));
    steps.extend(kafka);
    steps.extend(found.steps);
    Part { title, steps }
}

/// Why a word names no program, if that can be seen, and what to do.
fn refusal(program: &OsStr) -> Option<(&'static str, String)> {
    let file = Path::new(program);
    let shown = file.display();
    match Kind::of(file) {
        Some(kind @ (Kind::Configuration | Kind::OldConfiguration)) => {
            return Some(("it is no program", format!("it is {}: give it before --", kind.name())));
        }
        Some(kind @ (Kind::Status | Kind::Traces)) => {
            return Some(("it is no program", format!("it is {}: {}", kind.name(), kind.way_out(file))));
        }
        _ => {}
    }
    let by = || given_file::interpreter(file).map(|by| format!("name what runs it: {by} {shown}"));
    match located(program) {
        None if file.is_file() && by().is_some() => Some(("it is not found", by()?)),
        Some(found) if found.is_file() && !is_executable(&found) && by().is_some() => {
            Some(("it may not be executed", by()?))
        }
        None if file.is_file() => Some(("it is not found", format!("PATH has not this folder: write ./{shown}"))),
        Some(found) if found.is_file() && !is_executable(&found) => {
            Some(("it may not be executed", format!("chmod +x {}, or name its interpreter before it", found.display())))
        }
        _ => None,
    }
}

/// Whether the dynamic linker loads the library into it.
fn loading(outlook: &Outlook) -> (Step, bool) {
    match &outlook.reach {
        Reach::Loaded => (Step::ok("preloading", "`tracer-interceptors run` brings the library in"), true),
        Reach::Nowhere => {
            (Step::failed("preloading", "it is statically linked, and so loads no library by itself"), false)
        }
        Reach::Breaks(why) => (
            Step::failed("preloading", why.clone()).way_out("`tracer-interceptors run` starts it without tracing"),
            false,
        ),
    }
}

/// Where its librdkafka is, and by which way it is traced. `seen`: what the program's sources say of that.
fn kafka(outlook: &Outlook, needed: &Needed, comes_in: bool, seen: Option<bool>, is_alone: bool) -> Vec<Step> {
    let step = match (outlook.linked_in, needed) {
        (LinkedIn::Functions, _) if !comes_in => Step::failed(
            "librdkafka",
            "it is linked into a program that is wholly static, and can load no library: it is not traced",
        )
        .way_out("link it dynamically with the C library: in Go without `-tags musl` and without `-extldflags=-static`"),
        (LinkedIn::Nameless, _) if !comes_in => Step::failed(
            "librdkafka",
            "its code is in a program that is wholly static and stripped: it is not traced",
        )
        .way_out("link it dynamically with the C library, and do not strip it"),
        (LinkedIn::Functions, _) => {
            Step::failed("librdkafka", "it is linked in, where no preloaded library can see its calls").way_out(PROPERTY)
        }
        (LinkedIn::Nameless, _) => Step::failed(
            "librdkafka",
            "its code is linked in, and the program was stripped of the names of its functions: no library finds them",
        )
        .way_out(format!("link it with -rdynamic, or do not strip it; and {PROPERTY}")),
        (LinkedIn::Nothing, Needed::Librdkafka(name)) if comes_in => {
            Step::ok("librdkafka", format!("it needs {name}, whose calls a preloaded library sees"))
        }
        (LinkedIn::Nothing, Needed::Librdkafka(name)) => Step::skipped("librdkafka", format!("it needs {name}")),
        (LinkedIn::Nothing, Needed::Nothing) => match (seen, is_alone) {
            (Some(true), _) if comes_in => {
                Step::ok("librdkafka", "it comes with the client, as a shared library whose calls a preloaded library sees")
            }
            // What is said of its clients says it.
            (Some(_), _) | (None, false) => return Vec::new(),
            (None, true) if outlook.reach == Reach::Nowhere => {
                Step::failed("librdkafka", "the program has none in it, and can load none: it is not traced").way_out(
                    "if it only starts another program, as `go run` does, ask about that one; a Kafka client that is not built \
                     on librdkafka, such as franz-go or Sarama, is not traced: in Go confluent-kafka-go is",
                )
            }
            (None, true) => Step::doubtful("librdkafka", "the program's file neither has it nor asks for it")
                .way_out(format!(
                    "if it only starts another program, as a script does, ask about that one; if it has no Kafka client, or one \
                     that is not built on librdkafka, it is not traced; if it looks librdkafka up at run time, {PROPERTY}"
                )),
        },
    };
    vec![step]
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn a_static_program_without_librdkafka_is_not_sent_to_a_property_that_cannot_help() {
        let outlook = |reach| Outlook { files: Vec::new(), reach, linked_in: LinkedIn::Nothing };
        let found = kafka(&outlook(Reach::Nowhere), &Needed::Nothing, false, None, true);
        let step = found.first().unwrap();
        let way_out = step.way_out.as_deref().unwrap_or_default();
        assert!(
            step.state == State::Failed && way_out.contains("`go run`") && !way_out.contains(PROPERTY),
            "{way_out}"
        );
        let found = kafka(&outlook(Reach::Loaded), &Needed::Nothing, true, None, true);
        assert!(found.first().unwrap().way_out.as_deref().unwrap_or_default().contains(PROPERTY));
    }
}
