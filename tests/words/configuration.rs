//! A configuration file, as short as a test can say it.

use tracer_resolver::Resolver;
use tracer_resolver::config::Source;

/// The beginning of a file in which one service, `app`, gets every message. Lines of `[services.app]` may follow.
pub const ONE_SERVICE: &str = r#"
    default_service = "app"
    [backends.otlp]
    timeout = "60s"
    [services.app]
"#;

/// A file of three services: the shop orders, billing sends a bill for each order, and the archive takes the bills.
pub const ORDERS_AND_BILLS: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    produces = ["bills"]
    [services.archive]
    consumes = ["bills"]
"#;

/// The resolver of this whole file. Panics when it is not without error.
pub fn load(text: impl Into<String>) -> Resolver {
    let resolver = Resolver::load(Source::Text { name: "test.toml".into(), text: text.into() }).unwrap();
    assert!(!resolver.report().has_errors(), "{}", resolver.report().render(false));
    resolver
}

/// This TOML, to which `version`, plugin and endpoint of `[backends.otlp]`, and `export = ["otlp"]` in `[defaults]` are
/// added.
pub(crate) fn completed(configuration: &str, endpoint: &str) -> String {
    let (head, tables) = match configuration.find('[') {
        Some(first) => configuration.split_at(first),
        None => (configuration, ""),
    };
    let tables = with_lines(tables, "[defaults]", "export = [\"otlp\"]");
    let backend = format!("plugin = \"otlp\"\nconfig = {{ endpoint = \"{endpoint}\" }}");
    format!("version = 1\n{head}\n{}", with_lines(&tables, "[backends.otlp]", &backend))
}

/// The table with these lines more, wherever it stands; at the end if it does not.
fn with_lines(tables: &str, header: &str, lines: &str) -> String {
    if tables.contains(header) {
        tables.replacen(header, &format!("{header}\n{lines}"), 1)
    } else {
        format!("{tables}\n{header}\n{lines}\n")
    }
}
