//! Every mistake is shown with its place and the way out: one bad file, one expected text beside it.
//!
//! `BLESS=1 cargo test -p tracer-resolver --test config_errors` writes the expected texts anew; read the difference.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tracer_resolver::config::{Loaded, Source, Variables, load_with};

const SECRET: &str = "hunter2";

/// What a parser, a schema or Rust says, and nobody who writes a configuration.
const WORDS_OF_PROGRAMS: &[&str] = &[
    "expected one of",
    "invalid type",
    "unexpected",
    "literal",
    "^https",
    "u32",
    "i64",
    "usize",
    "struct ",
    "enum ",
    "Option",
    "serde",
];

fn variables() -> Variables {
    Variables::of([
        ("SECRET", SECRET),
        ("SECRET_REGEX", "hunter2(["),
        ("SECRET_PATH", "x/hunter2.so"),
        ("EMPTY", ""),
        ("HIDDEN", "hunter2\u{200b}"),
        ("SLASH", "hunter2/x"),
    ])
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bad_config")
}

/// Compares with the file beside the input, or, when asked to, writes it.
fn assert_golden(name: &str, rendered: &str) -> Result<(), String> {
    let path = folder().join(format!("{name}.expected"));
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, rendered).unwrap();
        return Ok(());
    }
    let expected = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    if expected == rendered {
        Ok(())
    } else {
        Err(format!("== {name}\n-- expected\n{expected}-- rendered\n{rendered}"))
    }
}

fn load_text(path: &Path) -> Loaded {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    load_with(Source::Text { name, text: fs::read_to_string(path).unwrap() }, &variables())
}

#[test]
fn every_bad_file_is_explained_as_expected() {
    let mut inputs: Vec<PathBuf> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml" || extension == "json"))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 45, "bad files went missing: {}", inputs.len());
    let mut failures = Vec::new();
    for input in &inputs {
        let loaded = load_text(input);
        let name = input.file_name().unwrap().to_string_lossy();
        if loaded.report.problems.is_empty() {
            failures.push(format!("{name} is not bad at all"));
            continue;
        }
        let rendered = loaded.report.render(false);
        assert!(!rendered.contains(SECRET), "{name} shows a secret:\n{rendered}");

        assert!(!format!("{:?}", loaded.report.problems).contains(SECRET), "{name} holds a secret");
        for problem in &loaded.report.problems {
            let said = format!("{} {} {}", problem.message, problem.label, problem.help.as_deref().unwrap_or_default());
            let unfit = WORDS_OF_PROGRAMS.iter().find(|word| said.contains(**word));
            failures.extend(unfit.map(|word| format!("{name} says {word:?}: {said}")));
        }
        failures.extend(assert_golden(&name, &rendered).err());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_expected_text_belongs_to_a_bad_file() {
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let is_expected = path.extension().is_some_and(|extension| extension == "expected");
        let is_of_a_path = path.file_name().unwrap().to_string_lossy().starts_with("path_");
        assert!(!is_expected || is_of_a_path || path.with_extension("").exists(), "{} is left over", path.display());
    }
}

#[test]
fn a_file_that_cannot_be_trusted_gives_no_configuration_and_a_doubtful_one_does() {
    let is_loaded = |name: &str| load_text(&folder().join(name)).config.is_some();
    for refused in [
        "syntax_key_twice.toml",
        "unknown_key_in_batch.toml",
        "out_of_range.toml",
        "wrong_types.toml",
        "topic_in_two_services.toml",
        "unknown_backend.toml",
        "version_newer.toml",
        "legacy_topic_in_two_services.json",
    ] {
        assert!(!is_loaded(refused), "{refused}");
    }
    for kept in
        ["hardly_meant.toml", "undefined_reference.toml", "malformed_references.toml", "legacy_hardly_meant.json"]
    {
        assert!(is_loaded(kept), "{kept}");
    }
}

/// Loads `path` and compares, with the folder that differs from run to run cut out.
#[track_caller]
fn assert_path_is_refused(path: &Path, folder: &Path, name: &str) {
    let loaded = load_with(Source::File(path.to_owned()), &variables());
    assert!(loaded.config.is_none());
    assert!(loaded.report.has_errors());
    let rendered = loaded.report.render(false).replace(folder.to_str().unwrap(), "FOLDER");
    if let Err(difference) = assert_golden(name, &rendered) {
        panic!("{difference}");
    }
}

#[track_caller]
fn assert_bytes_are_refused(bytes: &[u8], name: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    assert_path_is_refused(&path, folder.path(), name);
}

#[test]
fn a_missing_file_is_an_error_that_says_what_is_strange_about_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let mut all = String::new();
    assert_path_is_refused(&folder.path().join("none.toml"), folder.path(), "path_missing");
    for mistaken in
        ["~/x.toml", "$HOME/x.toml", "file:///etc/x.toml", "'/x.toml'", "/a.toml:/b.toml", "/x.toml\n", "x.toml"]
    {
        let loaded = load_with(Source::File(mistaken.into()), &variables());
        all.push_str(&loaded.report.render(false));
    }
    let here = std::env::current_dir().unwrap();
    assert_golden("path_mistaken", &all.replace(here.to_str().unwrap(), "HERE")).unwrap();
    symlink("nowhere", folder.path().join("link.toml")).unwrap();
    assert_path_is_refused(&folder.path().join("link.toml"), folder.path(), "path_dangling_link");
}

#[test]
fn a_directory_instead_of_a_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert_path_is_refused(folder.path(), folder.path(), "path_directory");
}

#[test]
fn a_device_is_refused_before_it_is_read() {
    assert_path_is_refused(Path::new("/dev/zero"), Path::new("/nonexistent"), "path_device");
}

#[test]
fn a_pipe_without_a_writer_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_path_is_refused(&path, folder.path(), "path_pipe");
}

#[test]
fn an_unreadable_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, "version = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    if fs::File::open(&path).is_ok() {
        // Root may read everything; a link to itself is what root cannot open either.
        let path = folder.path().join("loop.toml");
        symlink("loop.toml", &path).unwrap();
        assert_path_is_refused(&path, folder.path(), "path_link_to_itself");
    } else {
        assert_path_is_refused(&path, folder.path(), "path_unreadable");
    }
}

#[test]
fn a_file_that_everyone_may_write_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, "version = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert_path_is_refused(&path, folder.path(), "path_world_writable");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o664)).unwrap();
    assert!(load_with(Source::File(path), &variables()).config.is_some(), "a group may write");
}

#[test]
fn a_folder_that_everyone_may_write_is_warned_about_and_refused_when_strict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, "version = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let strict = Variables::of([("INTERCEPTORS_STRICT", "1")]);
    for (variables, golden, refused) in
        [(variables(), "path_in_open_folder", false), (strict, "path_in_open_folder_strict", true)]
    {
        let loaded = load_with(Source::File(path.clone()), &variables);
        assert_eq!(loaded.report.has_errors(), refused);
        assert!(loaded.config.is_some());
        let rendered = loaded.report.render(false).replace(folder.path().to_str().unwrap(), "FOLDER");
        assert_golden(golden, &rendered).unwrap();
    }
    // Nobody but its owner can take a file out of a folder such as /tmp.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let loaded = load_with(Source::File(path), &variables());
    assert!(!loaded.report.render(false).contains("C010"), "{}", loaded.report.render(false));
}

/// As on a mount of Docker Desktop, where every file and folder is 0777.
#[test]
fn what_everyone_may_write_is_trusted_where_a_variable_says_so_and_not_where_the_file_itself_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, "version = 1\n[trust]\nallow_world_writable = true\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(load_with(Source::File(path.clone()), &variables()).config.is_none(), "it cannot vouch for itself");
    for (strict, allowed) in [("0", "1"), ("1", "true")] {
        let pairs = [("INTERCEPTORS_STRICT", strict), ("INTERCEPTORS_ALLOW_WORLD_WRITABLE", allowed)];
        let loaded = load_with(Source::File(path.clone()), &Variables::of(pairs));
        assert!(!loaded.report.render(false).contains("C010"), "{}", loaded.report.render(false));
        let without_key = "version = 1\n".to_owned();
        let named = Source::Text { name: path.to_str().unwrap().to_owned(), text: without_key };
        for config in [loaded.config.unwrap(), load_with(named, &Variables::of(pairs)).config.unwrap()] {
            assert!(config.plugins.allow_world_writable, "its plugins lie there too");
        }
    }
    let pairs = [("INTERCEPTORS_ALLOW_WORLD_WRITABLE", "1")];
    let privileged = load_with(Source::File(path.clone()), &Variables::of(pairs).withheld());
    assert!(privileged.config.is_none(), "whoever starts a privileged process may not say that");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let config = load_with(Source::File(path), &variables()).config.unwrap();
    assert!(config.plugins.allow_world_writable, "a file that is trusted may say it of its plugins");
}

#[test]
fn a_file_of_ten_megabytes_is_refused_and_one_of_a_megabyte_is_not() {
    assert_bytes_are_refused(&vec![b'#'; 10 << 20], "path_ten_megabytes");
    assert_bytes_are_refused(&vec![b'#'; (1 << 20) + 1], "path_ten_megabytes");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    let mut text = b"version = 1\n#".to_vec();
    text.resize(1 << 20, b'x');
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(load_with(Source::File(path), &variables()).config.is_some());
}

#[test]
fn a_file_that_is_not_utf8_is_refused_with_the_byte() {
    assert_bytes_are_refused(b"version = 1\n# caf\xe9\n", "path_latin1");
    assert_bytes_are_refused(b"\xff\xfev\0e\0", "path_utf16");
}

#[test]
fn an_empty_file_is_an_error() {
    assert_bytes_are_refused(b"", "path_empty");
    assert_bytes_are_refused(b"\xef\xbb\xbf \n\t\n", "path_empty");
}

/// What stands in a file that `${file:…}` names, and whether it is taken.
#[test]
fn a_secret_s_file_with_a_byte_order_mark_or_a_nul_is_refused_and_one_line_end_is_taken_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    for (bytes, taken) in [
        (&b"hunter2"[..], Ok("hunter2")),
        (b"hunter2\n", Ok("hunter2")),
        (b"hunter2\r\n", Ok("hunter2")),
        (b"hunter2\n\n", Ok("hunter2\n")),
        (b" hunter2 ", Ok(" hunter2 ")),
        (b"\xef\xbb\xbfhunter2\n", Err("begins with a byte order mark (U+FEFF): save it as UTF-8 without one")),
        (b"\xff\xfeh\0u\0", Err("is UTF-16: save it as UTF-8")),
        (b"\xfe\xff\0h\0u", Err("is UTF-16: save it as UTF-8")),
        (b"hunter2\0", Err("contains a zero byte")),
        (b"hunter2\xe9", Err("is not UTF-8")),
    ] {
        fs::write(&path, bytes).unwrap();
        let text = format!(
            "version = 1\n[services.s]\ntopics = [\"t\"]\nexport = [\"b\"]\n[backends.b]\nplugin = \"otlp\"\nconfig = {{ token = \"${{file:{}}}\" }}\n",
            path.display()
        );
        let loaded = load_with(Source::Text { name: "t.toml".into(), text }, &variables());
        let rendered = loaded.report.render(false);
        assert!(!rendered.contains(SECRET), "{rendered}");
        let config = loaded.config.unwrap();
        match taken {
            Ok(value) => assert_eq!(config.backends[0].config["token"], value, "{rendered}"),
            Err(why) => assert!(rendered.contains(why) && config.backends.is_empty(), "{why}: {rendered}"),
        }
    }
}

#[test]
fn a_value_of_a_variable_that_turns_something_on_and_says_neither_is_told() {
    let values =
        [("1", false), ("TRUE", false), ("0", false), ("false", false), ("", false), ("yes", true), ("on", true)];
    for name in
        ["INTERCEPTORS_STRICT", "INTERCEPTORS_DISABLED", "TRACERRESOLVER_DISABLED", "INTERCEPTORS_ALLOW_WORLD_WRITABLE"]
    {
        for (value, told) in values {
            let variables = Variables::of([(name, value), ("OTEL_SERVICE_NAME", "s")]);
            let rendered = load_with(Source::Process, &variables).report.render(false);
            assert_eq!(rendered.contains(&format!("{name} is neither 1 nor 0")), told, "{value}: {rendered}");
        }
    }
}

#[test]
fn a_name_of_the_environment_that_cannot_be_seen_is_told() {
    for (variable, value) in
        [("OTEL_SERVICE_NAME", "shop\u{200b}"), ("OTEL_RESOURCE_ATTRIBUTES", "service.name=sh\u{a0}op")]
    {
        let rendered = load_with(Source::Process, &Variables::of([(variable, value)])).report.render(false);
        assert!(rendered.contains("the name of the service has a character that cannot be seen, U+"), "{rendered}");
    }
}

#[test]
fn a_byte_order_mark_is_accepted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tracing.toml");
    fs::write(&path, b"\xef\xbb\xbfversion = 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = load_with(Source::File(path), &variables());
    assert!(loaded.config.is_some(), "{}", loaded.report.render(false));
}
