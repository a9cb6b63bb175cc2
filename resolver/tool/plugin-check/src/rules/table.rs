//! Loading, the entry point and the table.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use tracer_plugin_api::abi::{TRACER_ABI_MAJOR, TRACER_EXT_AFTER_FORK, tracer_after_fork, tracer_plugin};
use tracer_resolver::config::{self, Plugins, Severity, Source};
use tracer_resolver::inspect::PluginSearch;

use crate::case::{Case, MINOR};
use crate::library::Plugin;
use crate::process_view::{self, Belongings};
use crate::rule::Rule;
use crate::settings::Peer;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "loading",
        sentence: "The one exported symbol. Returns the table: always the same pointer, static, never freed.",
        help: "build for this system, link everything that is needed (-Wl,-z,defs says what is not), and export \
               `tracer_plugin_v1` (extern \"C\", visible)",
        is_gate: true,
        run: loading,
    },
    Rule {
        name: "table",
        sentence: "Static and constant: the same bytes for as long as the process lives. No function but `reconfigure` may be NULL.",
        help: "fill in every field of one static table by its name; `struct_size` is sizeof(tracer_plugin)",
        is_gate: true,
        run: table,
    },
    Rule {
        name: "entry",
        sentence: "Pure: no I/O, no thread, no allocation.",
        help: "let `tracer_plugin_v1` return the address of one static table and do nothing else, whatever `host_minor` is; \
               NULL is for hosts that are too old",
        is_gate: false,
        run: entry,
    },
    Rule {
        name: "host",
        sentence: "It checks everything before it uses it",
        help: "this is what the library says when it reads a configuration that names the plugin",
        is_gate: true,
        run: host,
    },
    Rule {
        name: "extensions",
        sentence: "Returns NULL for an unknown id; else a static struct of the plugin's, valid for ever. Pure.",
        help: "compare the whole id, with its length, and return NULL for all others",
        is_gate: false,
        run: extensions,
    },
];

fn loading(case: &Case) -> Tried {
    let before = (Belongings::now(), process_view::threads(), process_view::descriptors());
    case.plugin()?;
    for change in before.0.changes(&Belongings::now()) {
        case.broken(format!("loading it is enough, and {change}"));
    }
    // Go begins its runtime as it is loaded: threads are not asked for here, but whether they are left alone is.
    let new: Vec<_> = process_view::descriptors()
        .into_iter()
        .filter(|(number, what)| before.2.get(number) != Some(what) && what.starts_with("socket:"))
        .collect();
    if !new.is_empty() {
        case.broken("loading it is enough, and a socket is open");
    }
    Ok(())
}

fn table(case: &Case) -> Tried {
    let plugin = case.plugin()?;
    let table = plugin.table(plugin.table_for(MINOR)).map_err(Stop::Broken)?;
    let missing = table.missing();
    if !missing.is_empty() {
        case.broken(format!("these functions are NULL: {}", missing.join(", ")));
    }
    if table.raw.abi_major != TRACER_ABI_MAJOR {
        case.broken(format!(
            "abi_major is {}, and the entry point is that of ABI {TRACER_ABI_MAJOR}",
            table.raw.abi_major
        ));
    }
    let size = table.raw.struct_size as usize;
    if size > size_of::<tracer_plugin>() && u32::from(table.raw.abi_minor) == MINOR {
        case.broken(format!(
            "struct_size is {size}, but the table of ABI 1.{} has {} bytes",
            table.raw.abi_minor,
            size_of::<tracer_plugin>()
        ));
    }
    let texts = [
        ("type_name", table.type_name(), false),
        ("version", table.version(), false),
        ("build_info", table.build_info(), true),
        ("config_schema", table.schema(), false),
    ];
    let mut about = BTreeMap::new();
    for (name, text, may_be_empty) in texts {
        match String::from_utf8(text) {
            Ok(text) if text.is_empty() && !may_be_empty => case.broken(format!("{name} is empty")),
            Ok(text) if text.contains('\0') => {
                case.broken(format!("{name} has a NUL in it: its length counts one too many"))
            }
            Ok(text) => {
                about.insert(name, text);
            }
            Err(_) => case.broken(format!("{name} is not UTF-8")),
        }
    }
    let name = about.get("type_name").cloned().unwrap_or_default();
    let is_right = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
    if !name.is_empty() && !is_right {
        case.broken(format!("type_name is \"{name}\", not [a-z][a-z0-9_-]*"));
    }
    about.remove("config_schema");
    case.desk.about(&serde_json::json!({
        "type_name": about.get("type_name"),
        "version": about.get("version"),
        "build_info": about.get("build_info"),
        "abi": format!("{}.{}", table.raw.abi_major, table.raw.abi_minor),
        "exports_concurrently": table.exports_concurrently(),
    }));
    Ok(())
}

fn entry(case: &Case) -> Tried {
    let plugin = case.plugin()?;
    let before = (process_view::threads(), process_view::descriptors(), Belongings::now());
    let first = plugin.table_for(MINOR);
    let known = plugin.table(first).map_err(Stop::Broken)?;
    let (bytes, own_minor) = (known.bytes(), u32::from(known.raw.abi_minor));
    let elsewhere = {
        let plugin = plugin.clone();
        std::thread::spawn(move || plugin.table_for(MINOR) as usize).join().unwrap_or_default()
    };
    if plugin.table_for(MINOR) != first || elsewhere != first as usize {
        case.broken("tracer_plugin_v1 returns another pointer when it is called again");
    }
    for minor in [0, MINOR + 1, u32::MAX] {
        let table = plugin.table_for(minor);
        if table != first && !(table.is_null() && minor < own_minor) {
            case.broken(format!(
                "tracer_plugin_v1 refuses a host of ABI 1.{minor}, which is no older than its own header"
            ));
        }
    }
    same_bytes(case, &plugin, first, &bytes, "asked for again")?;
    let is_ours = |threads: &BTreeMap<String, String>| threads.keys().all(|thread| before.0.contains_key(thread));
    if !process_view::soon(|| is_ours(&process_view::threads())) {
        case.broken("tracer_plugin_v1 starts a thread");
    }
    if process_view::descriptors() != before.1 {
        case.broken("tracer_plugin_v1 opens or closes files");
    }
    for change in before.2.changes(&Belongings::now()) {
        case.broken(format!("in tracer_plugin_v1 {change}"));
    }
    Ok(())
}

/// Says so if the table has other bytes by now.
pub(crate) fn same_bytes(case: &Case, plugin: &Plugin, at: *const tracer_plugin, before: &[u8], when: &str) -> Tried {
    if plugin.table(at).map_err(Stop::Broken)?.bytes() != before {
        case.broken(format!("the table, or a text of it, has changed when it was {when}"));
    }
    Ok(())
}

/// The engine's own way with a plugin: it is found, loaded, and asked about the settings.
fn host(case: &Case) -> Tried {
    let table = case.table()?;
    let name = String::from_utf8_lossy(&table.type_name()).into_owned();
    let settings: serde_json::Value = serde_json::from_str(&case.config(&table, Peer::Collector)).unwrap_or_default();
    // TOML's strings are JSON's, so that a text of JSON in `config` would do, but for its objects: they are written by key.
    let text = format!(
        "version = 1\n[services.checked]\ntopics = [\"*\"]\nexport = [\"checked\"]\n[backends.checked]\nplugin = {}\n\
         config = {}\n[plugins.{}]\nfile = {}\n",
        inline(&name.as_str().into()),
        inline(&settings),
        inline(&name.as_str().into()),
        inline(&case.file.to_string_lossy().into_owned().into()),
    );
    let mut loaded = config::load(Source::Text { name: "checked.toml".to_owned(), text });
    let search = PluginSearch::new(None, false);
    case.desk.enters("its constructors, tracer_plugin_v1 or validate");
    search.check(&mut loaded);
    case.desk.leaves();
    let declared: Option<Plugins> = loaded.config.as_ref().map(|config| config.plugins.clone());
    for problem in loaded.report.problems.iter().filter(|problem| problem.severity == Severity::Error) {
        case.broken(format!("[{}] {}", problem.code, problem.message.replace('\n', "; ")));
    }
    if declared.is_none() && !loaded.report.has_errors() {
        case.broken("the library takes the configuration for none");
    }
    Ok(())
}

/// A JSON value as TOML has it in one line.
fn inline(value: &serde_json::Value) -> String {
    match value {
        // A reference is not to be replaced a second time.
        serde_json::Value::String(text) => serde_json::Value::from(text.replace("${", "$${")).to_string(),
        serde_json::Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        serde_json::Value::Object(members) => {
            let members = members
                .iter()
                .map(|(key, value)| format!("{} = {}", serde_json::Value::from(key.as_str()), inline(value)));
            format!("{{ {} }}", members.collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn extensions(case: &Case) -> Tried {
    let table = case.table()?;
    for id in
        [Some("checked.example/unknown/1"), Some(""), None, Some("tracer_plugin."), Some("tracer_plugin.sampler/999")]
    {
        if !table.extension(id).is_null() {
            case.broken(format!("get_extension answers for \"{}\", which nobody has defined", id.unwrap_or_default()));
        }
    }
    let known = Some(TRACER_EXT_AFTER_FORK);
    if table.extension(known) != table.extension(known) {
        case.broken(format!("get_extension answers otherwise when it is asked for \"{TRACER_EXT_AFTER_FORK}\" again"));
    }
    if let Some(size) = table.size_of_after_fork().filter(|size| *size < size_of::<tracer_after_fork>()) {
        let whole = size_of::<tracer_after_fork>();
        case.broken(format!("struct_size of \"{TRACER_EXT_AFTER_FORK}\" is {size}, the header's has {whole}"));
    }
    Ok(())
}
