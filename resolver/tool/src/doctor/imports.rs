//! Which Kafka clients the sources of a program in Python or JavaScript bring in, as far as reading them shows.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// A client that a source file names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    pub(super) client: &'static Client,
    pub(super) file: PathBuf,
    pub(super) line: usize,
}

/// A Kafka client, by the name that sources call it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) module: &'static str,
    /// What one installs.
    pub(super) package: &'static str,
    pub(super) is_on_librdkafka: bool,
}

/// Python's.
pub(super) const PYTHON: &[Client] = &[
    Client { module: "confluent_kafka", package: "confluent-kafka", is_on_librdkafka: true },
    Client { module: "kafka", package: "kafka-python", is_on_librdkafka: false },
    Client { module: "aiokafka", package: "aiokafka", is_on_librdkafka: false },
    Client { module: "pykafka", package: "pykafka", is_on_librdkafka: false },
    Client { module: "faust", package: "faust-streaming", is_on_librdkafka: false },
];

/// JavaScript's.
pub(super) const NODE: &[Client] = &[
    Client {
        module: "@confluentinc/kafka-javascript",
        package: "@confluentinc/kafka-javascript",
        is_on_librdkafka: true,
    },
    Client { module: "node-rdkafka", package: "node-rdkafka", is_on_librdkafka: true },
    Client { module: "kafkajs", package: "kafkajs", is_on_librdkafka: false },
    Client { module: "kafka-node", package: "kafka-node", is_on_librdkafka: false },
    Client { module: "@platformatic/kafka", package: "@platformatic/kafka", is_on_librdkafka: false },
];

/// A language whose sources are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Python,
    JavaScript,
}

/// Files that are read, and the largest of them.
const MOST_FILES: usize = 500;
const MOST_BYTES: u64 = 1 << 20;
/// Folders below that of the program.
const DEEPEST: usize = 3;

/// What the program's own file brings in; if that is no client, what the files beside and below it do.
pub(super) fn of(program: &Path, language: Language) -> Vec<Import> {
    let own = in_file(program, language);
    if !own.is_empty() {
        return own;
    }
    program.parent().map_or_else(Vec::new, |folder| below(folder, language))
}

/// What the sources in a folder and below it bring in, those of others left out; the empty path is the current folder.
pub(super) fn below(folder: &Path, language: Language) -> Vec<Import> {
    let mut files = Vec::new();
    collect(folder, language, DEEPEST, &mut files);
    let mut found: Vec<Import> = Vec::new();
    for file in files {
        for import in in_file(&file, language) {
            if !found.iter().any(|known| known.client == import.client) {
                found.push(import);
            }
        }
    }
    found
}

/// The sources in a folder and below, but for those of others: what was installed there.
fn collect(folder: &Path, language: Language, depth: usize, files: &mut Vec<PathBuf>) {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let Ok(entries) = fs::read_dir(here) else { return };
    let mut entries: Vec<_> = entries.filter_map(Result::ok).map(|entry| folder.join(entry.file_name())).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if files.len() >= MOST_FILES {
            return;
        }
        if path.is_dir() {
            let is_of_others = name.starts_with('.')
                || ["node_modules", "site-packages", "__pycache__"].contains(&&*name)
                || path.join("pyvenv.cfg").exists();
            if depth > 0 && !is_of_others {
                collect(&path, language, depth - 1, files);
            }
        } else if language.has(&name) && !files.contains(&path) {
            files.push(path);
        }
    }
}

fn in_file(file: &Path, language: Language) -> Vec<Import> {
    if !fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() <= MOST_BYTES) {
        return Vec::new();
    }
    let text = fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    in_text(&text, language).map(|(client, line)| Import { client, file: file.to_owned(), line }).collect()
}

/// The clients that a text brings in, with their lines.
pub(super) fn in_text(text: &str, language: Language) -> impl Iterator<Item = (&'static Client, usize)> + '_ {
    text.lines().enumerate().flat_map(move |(number, line)| {
        let brings_in = move |client: &&Client| match language {
            Language::Python => line.split(';').any(|part| is_python_import(part, client.module)),
            Language::JavaScript => is_node_import(line, client.module),
        };
        language.clients().iter().filter(brings_in).map(move |client| (client, number + 1))
    })
}

fn is_python_import(statement: &str, module: &str) -> bool {
    let statement = statement.trim_start();
    let is_it = |name: &str| name.split('.').next() == Some(module);
    if let Some(rest) = statement.strip_prefix("from ") {
        return rest.split_whitespace().next().is_some_and(is_it);
    }
    let Some(rest) = statement.strip_prefix("import ") else { return false };
    rest.split(',').any(|part| part.split_whitespace().next().is_some_and(is_it))
}

fn is_node_import(line: &str, module: &str) -> bool {
    let line = line.trim_start();
    let is_code = !line.starts_with("//") && !line.starts_with('*');
    let is_import = line.contains("require(") || line.contains("import");
    is_code && is_import && ['\'', '"', '`'].iter().any(|quote| line.contains(&format!("{quote}{module}{quote}")))
}

impl Language {
    fn has(self, name: &str) -> bool {
        let endings: &[&str] = match self {
            Self::Python => &["py"],
            Self::JavaScript => &["js", "cjs", "mjs", "ts"],
        };
        name.rsplit_once('.').is_some_and(|(_, ending)| endings.contains(&ending))
    }

    pub(super) fn clients(self) -> &'static [Client] {
        match self {
            Self::Python => PYTHON,
            Self::JavaScript => NODE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(text: &str, language: Language) -> Vec<&'static str> {
        in_text(text, language).map(|(client, _)| client.module).collect()
    }

    #[test]
    fn an_import_is_known_in_every_form_and_nothing_else_is() {
        for text in [
            "import kafka",
            "from kafka import KafkaProducer",
            "  from kafka.errors import E",
            "import os, kafka as k",
            "x=1; import kafka",
        ] {
            assert_eq!(modules(text, Language::Python), ["kafka"], "{text}");
        }
        for text in ["import kafkaesque", "# import kafka", "from .kafka import x", "from kafkax import y", "kafka = 1"]
        {
            assert_eq!(modules(text, Language::Python), Vec::<&str>::new(), "{text}");
        }
        for text in
            ["const { Kafka } = require('kafkajs')", "import { Kafka } from \"kafkajs\";", "await import('kafkajs')"]
        {
            assert_eq!(modules(text, Language::JavaScript), ["kafkajs"], "{text}");
        }
        assert_eq!(modules("// require('kafkajs')\nlog('kafkajs')", Language::JavaScript), Vec::<&str>::new());
    }

    #[test]
    fn sources_beside_the_program_are_read_and_installed_ones_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = folder.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            file
        };
        let program = write("app.py", "import shop.orders\n");
        let other = write("other.py", "import confluent_kafka\n");
        let orders = write("shop/orders.py", "\nfrom kafka import KafkaProducer\n");
        write("venv/pyvenv.cfg", "");
        write("venv/lib/a.py", "import aiokafka\n");
        let found = of(&program, Language::Python);
        let names: Vec<_> = found.iter().map(|import| (import.client.module, &import.file, import.line)).collect();
        assert_eq!(names, [("confluent_kafka", &other, 1), ("kafka", &orders, 2)]);
        let own = of(&other, Language::Python);
        assert_eq!(own.len(), 1, "a file that brings a client in is not blamed for those beside it");
    }
}
