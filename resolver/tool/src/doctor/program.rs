//! What would happen to a program: whether the library comes into it, and whether its clients are seen there.

#![forbid(unsafe_code)]

use std::ffi::OsString;

use super::clients;
use super::report::Part;
use super::step::Step;
use crate::library;
use crate::run::{LinkedIn, Needed, Outlook, PROPERTY, Reach};

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
    let Some(executed) = outlook.files.last().filter(|file| file.exists()) else {
        steps.push(Step::failed("program", "it is not found").way_out("give its path, or look at PATH"));
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
    steps.push(loading);
    let found = clients::of(executed, words);
    steps.extend(kafka(outlook.linked_in, &Needed::by(executed), comes_in, found.are_seen, found.steps.is_empty()));
    steps.extend(found.steps);
    Part { title, steps }
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
fn kafka(linked_in: LinkedIn, needed: &Needed, comes_in: bool, seen: Option<bool>, is_alone: bool) -> Vec<Step> {
    let step = match (linked_in, needed) {
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
            (None, true) => Step::doubtful("librdkafka", "the program's file neither has it nor asks for it")
                .way_out(format!(
                    "if it has no Kafka client, or one that is not built on librdkafka, it is not traced; if it looks librdkafka \
                     up at run time, {PROPERTY}"
                )),
        },
    };
    vec![step]
}
