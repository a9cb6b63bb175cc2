//! Which Kafka clients a program has that its file alone does not show: by the language that it is written in.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::imports::{self, Client, Import, Language};
use super::step::Step;
use crate::run::{PROPERTY, answer, located, mentioned};
use crate::terminal;

/// What is known of the clients of a program.
pub(super) struct Clients {
    pub(super) steps: Vec<Step>,
    /// Whether they are on librdkafka, and a preloaded library sees them; `None`: that is not known from here.
    pub(super) are_seen: Option<bool>,
}

/// Of what runs in the end, with the words that it is given. `words` are those of the command, the program's own first.
pub(super) fn of(executed: &Path, words: &[OsString]) -> Clients {
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let is_python = |name: &str| name.starts_with("python") || name.starts_with("pypy");
    // A script of a shell may stand in for the interpreter, as version managers have it.
    let called = words.first().and_then(|word| located(word)).filter(|word| is_python(&name(word)));
    let name = name(executed);
    match () {
        () if is_python(&name) => python(executed, words),
        () if called.is_some() => python(&called.unwrap_or_default(), words),
        () if name == "node" || name == "nodejs" => node(words),
        () if name == "java" => not_on_librdkafka("Kafka's clients for Java are written in Java", JAVA),
        () if name == "dotnet" => looked_up("Confluent.Kafka"),
        () if name.starts_with("php") => looked_up("PHP's extension rdkafka"),
        () if name.starts_with("ruby") => looked_up("Ruby's rdkafka"),
        () => go(executed),
    }
}

fn python(executed: &Path, words: &[OsString]) -> Clients {
    let source = source_of(executed, words);
    let found = match &source {
        Source::File(file) => imports::of(file, Language::Python),
        Source::Text(text) => {
            let found = imports::in_text(text, Language::Python);
            found.map(|(client, line)| Import { client, file: PathBuf::from("-c"), line }).collect()
        }
        Source::Unknown => Vec::new(),
    };
    // A command such as gunicorn is told by its words what to import, and finds it where it is started.
    let found = if found.is_empty() { imports::below(Path::new(""), Language::Python) } else { found };
    let mut clients = brought_in(&found, "confluent-kafka");
    if clients.are_seen == Some(false) {
        return clients;
    }
    match version(executed, "confluent-kafka") {
        Ok(Some(version)) => {
            clients.steps.push(Step::ok(
                "package",
                format!("confluent-kafka {version} is installed for {}", executed.display()),
            ));
        }
        Err(why) => {
            let what = format!("{} could not be asked whether confluent-kafka is installed: {why}", executed.display());
            let way_out = format!("ask it yourself: {} -m pip show confluent-kafka", executed.display());
            clients.steps.push(Step::doubtful("package", what).way_out(way_out));
            clients.are_seen = None;
        }
        Ok(None) => {
            let step = Step::failed("package", format!("confluent-kafka is not installed for {}", executed.display()));
            clients.steps.push(step.way_out("run the Python that has it: a virtual environment has one of its own"));
            clients.are_seen = Some(false);
        }
    }
    clients
}

/// What an interpreter reads.
enum Source {
    File(PathBuf),
    Text(String),
    Unknown,
}

/// The words of Python itself are few; the first that is none of them is the script.
fn source_of(executed: &Path, words: &[OsString]) -> Source {
    let Some((program, rest)) = words.split_first() else { return Source::Unknown };
    // A script that is executed by its own name.
    if !names_interpreter(program, executed) {
        return located(program).map_or(Source::Unknown, Source::File);
    }
    let mut rest = rest.iter();
    while let Some(word) = rest.next() {
        match word.to_str() {
            Some("-c") => {
                return rest.next().map_or(Source::Unknown, |text| Source::Text(text.to_string_lossy().into_owned()));
            }
            Some("-m") => {
                let Some(module) = rest.next().and_then(|module| module.to_str()) else { return Source::Unknown };
                let path = PathBuf::from(module.replace('.', "/"));
                let known = [path.with_extension("py"), path.join("__main__.py")];
                return known.into_iter().find(|file| file.is_file()).map_or(Source::Unknown, Source::File);
            }
            Some("-W" | "-X" | "--check-hash-based-pycs") => drop(rest.next()),
            Some(option) if option.starts_with('-') => {}
            _ => return Source::File(PathBuf::from(word)),
        }
    }
    Source::Unknown
}

/// Whether the command's first word is the interpreter, rather than a script that it executes.
fn names_interpreter(program: &OsStr, executed: &Path) -> bool {
    let same = |path: &Path| path.canonicalize().ok() == executed.canonicalize().ok();
    Path::new(program).file_name() == executed.file_name() || located(program).is_some_and(|path| same(&path))
}

/// Asked of the interpreter itself, for only it knows where it looks; `None`: the package is not installed. Nothing of the
/// package is run, and nothing of the current folder, which stands first where Python looks for modules.
///
/// # Errors
///
/// Why it does not say.
fn version(python: &Path, package: &str) -> Result<Option<String>, String> {
    let code = format!(
        "import sys\nsys.path[:] = [folder for folder in sys.path if folder]\nimport importlib.metadata as metadata\n\
         try:\n  print(metadata.version({package:?}))\nexcept metadata.PackageNotFoundError:\n  print()\n"
    );
    let mut command = Command::new(python);
    command.arg("-c").arg(code).env_remove("LD_PRELOAD");
    let said = answer(&mut command).map_err(|error| error.to_string())?;
    // What it loads at its start may print, too.
    let last = |text: &[u8]| terminal::clean(String::from_utf8_lossy(text).lines().last().unwrap_or_default().trim());
    if !said.status.success() {
        let why = last(&said.stderr);
        return Err(if why.is_empty() { said.status.to_string() } else { why });
    }
    Ok(Some(last(&said.stdout)).filter(|version| !version.is_empty()))
}

fn node(words: &[OsString]) -> Clients {
    let script = words.iter().skip(1).find(|word| !word.as_encoded_bytes().starts_with(b"-"));
    let script = script.or(words.first()).map(PathBuf::from).unwrap_or_default();
    brought_in(&imports::of(&script, Language::JavaScript), "@confluentinc/kafka-javascript or node-rdkafka")
}

/// `instead`: what to use in place of a client that is not on librdkafka.
fn brought_in(found: &[Import], instead: &str) -> Clients {
    if found.is_empty() {
        let step = Step::skipped("imports", "no Kafka client is imported in the sources that were read");
        return Clients { steps: vec![step], are_seen: None };
    }
    let are_seen = found.iter().any(|import| import.client.is_on_librdkafka);
    let steps = found.iter().map(|import| {
        let what = format!("{}:{} imports {}", import.file.display(), import.line, import.client.module);
        if import.client.is_on_librdkafka {
            return Step::ok("imports", format!("{what}, which is built on librdkafka"));
        }
        let Client { module, package, .. } = import.client;
        let package = if module == package { String::new() } else { format!(" ({package})") };
        let what = format!("{what}{package}, which is not built on librdkafka: it is not traced");
        // Beside one that is traced it may be of another program.
        let step = if are_seen { Step::doubtful("imports", what) } else { Step::failed("imports", what) };
        step.way_out(format!(
            "{instead} is traced; or use OpenTelemetry's instrumentation for {}",
            import.client.package
        ))
    });
    Clients { steps: steps.collect(), are_seen: Some(are_seen) }
}

/// Clients that are no code of librdkafka's, and what to do.
fn not_on_librdkafka(what: &str, way_out: &str) -> Clients {
    let step = Step::failed("clients", format!("{what}, and not built on librdkafka: they are not traced"));
    Clients { steps: vec![step.way_out(way_out)], are_seen: Some(false) }
}

/// Clients that look librdkafka's functions up by themselves, past whatever is preloaded.
fn looked_up(client: &str) -> Clients {
    let step = Step::failed(
        "clients",
        format!("{client} looks librdkafka's functions up at run time, which preloading does not reach"),
    );
    Clients { steps: vec![step.way_out(PROPERTY)], are_seen: Some(false) }
}

fn go(executed: &Path) -> Clients {
    let found = mentioned(executed, GO);
    let steps = found.iter().map(|package| {
        Step::failed("clients", format!("{package} is in it, which is not built on librdkafka: it is not traced"))
            .way_out("confluent-kafka-go is traced; or use OpenTelemetry's instrumentation for that package")
    });
    Clients { steps: steps.collect(), are_seen: None }
}

/// Names of packages, which Go keeps in its programs with or without symbols.
const GO: &[&str] = &[
    "github.com/IBM/sarama.",
    "github.com/Shopify/sarama.",
    "github.com/segmentio/kafka-go.",
    "github.com/twmb/franz-go/pkg/kgo.",
];

const JAVA: &str = "OpenTelemetry's agent for Java traces them";
