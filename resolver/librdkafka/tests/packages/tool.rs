//! `tracer-interceptors` says where the library is, and becomes the program it is to run, with the library in
//! it; what stands in the way is said, and never stops a program that could run without.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Files, expect_success};

#[test]
fn it_says_where_the_library_is_that_it_came_with() {
    let files = Files::new();
    let said = expect_success(Command::new(files.tool()).arg("path").output().unwrap());
    assert_eq!(said, format!("{}\n", files.library().display()));
}

#[test]
fn it_finds_the_library_of_its_prefix() {
    let prefix = tempfile::tempdir().unwrap();
    let (bin, lib) = (prefix.path().join("bin"), prefix.path().join("lib/tracer-resolver"));
    fs::create_dir(&bin).unwrap();
    fs::create_dir_all(&lib).unwrap();
    let tool = bin.join("tracer-interceptors");
    fs::copy(Files::new().tool(), &tool).unwrap();

    let failed = Command::new(&tool).arg("path").output().unwrap();
    assert_eq!(failed.status.code(), Some(125));
    assert!(String::from_utf8(failed.stderr).unwrap().contains("install"), "it says what to do");

    fs::copy(Files::new().library(), lib.join("libtracer_interceptors.so")).unwrap();
    let said = expect_success(Command::new(&tool).arg("path").output().unwrap());
    assert_eq!(said.trim_end(), lib.join("libtracer_interceptors.so").to_str().unwrap());
}

#[test]
fn the_program_has_the_library_in_it() {
    let files = Files::new();
    let maps = expect_success(run(&files, &["cat", "/proc/self/maps"]));
    assert!(maps.contains(files.library().to_str().unwrap()), "{maps}");
}

#[test]
fn the_program_takes_the_place_of_the_tool() {
    let files = Files::new();
    let mut command = Command::new(files.tool());
    command.args(["run", "--", "sh", "-c", "echo $$ \"$@\"; exit 7", "sh", "--", "run"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    let id = child.id();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(7), "its status is the program's");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{id} -- run\n"), "process and arguments too");
}

#[test]
fn what_others_preload_is_kept() {
    let files = Files::new();
    let mut command = Command::new(files.tool());
    command.args(["run", "sh", "-c", "echo $LD_PRELOAD"]).env("LD_PRELOAD", "libc.so.6");
    let said = expect_success(command.output().unwrap());
    assert_eq!(said, format!("libc.so.6:{}\n", files.library().display()));
}

#[test]
fn a_program_that_cannot_run_is_told_as_env_tells_it() {
    let files = Files::new();
    let script = files.path().join("not-executable");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    for (words, status, says) in [
        (&["run", "no-such-program-at-all"][..], 127, "no-such-program-at-all"),
        (&["run", script.to_str().unwrap()], 126, "not-executable"),
        (&["run"], 125, "PROGRAM"),
        (&["run", "--"], 125, "PROGRAM"),
        (&["kcat", "-L"], 125, "tracer-interceptors run kcat"),
        (&["path", "please"], 125, "alone"),
        (&[], 125, "run [--] PROGRAM"),
    ] {
        let output = Command::new(files.tool()).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(status), "{words:?}: {said}");
        assert!(said.contains(says) && output.stdout.is_empty(), "{words:?}: {said}");
    }
}

#[test]
fn a_run_without_any_configuration_is_remarked_on() {
    let files = Files::new();
    let remark = |variable: Option<(&str, &str)>| {
        let mut command = Command::new(files.tool());
        command.args(["run", "true"]).env_clear().env("PATH", "/usr/bin:/bin").envs(variable);
        let output = command.output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stderr).unwrap().contains("nothing will be traced")
    };
    assert!(remark(None));
    assert!(remark(Some(("INTERCEPTORS_CONFIG_FILE", ""))));
    assert!(!remark(Some(("INTERCEPTORS_CONFIG_FILE", "/etc/tracing.toml"))));
    assert!(!remark(Some(("OTEL_SERVICE_NAME", "shop"))));
}

#[test]
fn a_static_program_runs_and_is_told_of_the_property() {
    let files = Files::new();
    let program = compile(files.path(), &["-static"]);
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("statically linked") && said.contains("plugin.library.paths"), "{said}");
    // What it starts may be dynamically linked.
    assert_eq!(expect_success(output), format!("{}\n", files.library().display()));
}

#[test]
fn a_program_of_another_c_library_runs_without_the_library_that_would_break_it() {
    let files = Files::new();
    let loader = files.path().join("ld-musl-x86_64.so.1");
    symlink("/lib64/ld-linux-x86-64.so.2", &loader).unwrap();
    let program = compile(files.path(), &[&format!("-Wl,--dynamic-linker={}", loader.display())]);
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("without tracing") && said.contains("ld-musl-x86_64.so.1"), "{said}");
    assert_eq!(expect_success(output), "nothing\n");
}

#[test]
fn a_place_that_the_variable_cannot_name_is_refused_with_the_way_out() {
    let files = Files::new();
    let blank = files.path().join("my programs");
    fs::create_dir(&blank).unwrap();
    let tool = blank.join("tracer-interceptors");
    fs::copy(files.tool(), &tool).unwrap();
    fs::copy(files.library(), blank.join("libtracer_interceptors.so")).unwrap();
    let output = Command::new(tool).args(["run", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8(output.stderr).unwrap().contains("plugin.library.paths"));
}

/// What is said of a program that may be traced, if anything, and makes no client.
fn remark(files: &Files, words: &[&str], level: &str) -> String {
    let mut command = Command::new(files.tool());
    command.arg("run").args(words).env_remove("LD_PRELOAD").env("OTEL_LOG_LEVEL", level);
    command.env("INTERCEPTORS_CONFIG_FILE", "/etc/tracing.toml");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_program_that_makes_no_client_is_remarked_on_at_its_end_however_it_ends() {
    let files = Files::new();
    // Python ends by `exit()`, and this way by `_exit()`, as dash always does.
    for words in
        [&["true"][..], &["sh", "-c", "exec true"], &["sh", "-c", ":"], &["python3", "-c", "import os; os._exit(0)"]]
    {
        let said = remark(&files, words, "");
        assert!(
            said.starts_with("tracer-resolver: WARN: this process has made no librdkafka client"),
            "{words:?}: {said}"
        );
        assert!(said.contains("plugin.library.paths") && said.lines().count() == 1, "{words:?}: {said}");
        assert_eq!(remark(&files, words, "error"), "");
    }
}

#[test]
fn a_shell_that_starts_programs_is_not_remarked_on_and_neither_are_they() {
    let files = Files::new();
    assert_eq!(remark(&files, &["sh", "-c", "true; /bin/true; /bin/true; exit 0"], ""), "");
}

#[test]
fn a_program_with_librdkafka_linked_in_is_told_of_the_property_at_once() {
    let files = Files::new();
    let program = compile(files.path(), &["-Wl,--defsym=rd_kafka_new=main"]);
    let said = remark(&files, &[&program], "none");
    assert!(said.contains("librdkafka linked in") && said.contains("plugin.library.paths"), "{said}");
    let undefined = compile(files.path(), &["-Wl,--defsym=rd_kafka_new_topic=main"]);
    assert_eq!(remark(&files, &[&undefined], "none"), "", "a longer name is another");
}

fn run(files: &Files, words: &[&str]) -> Output {
    Command::new(files.tool()).arg("run").args(words).env_remove("LD_PRELOAD").output().unwrap()
}

/// A program that prints its `LD_PRELOAD`.
fn compile(folder: &Path, flags: &[&str]) -> String {
    let source = folder.join("prints.c");
    let print = "const char *v = getenv(\"LD_PRELOAD\"); puts(v ? v : \"nothing\"); return 0;";
    fs::write(&source, format!("#include <stdio.h>\n#include <stdlib.h>\nint main(void) {{ {print} }}\n")).unwrap();
    let program = folder.join("prints");
    expect_success(Command::new("cc").args(flags).arg(&source).arg("-o").arg(&program).output().unwrap());
    assert!(fs::metadata(&program).unwrap().permissions().mode() & 0o111 != 0);
    program.into_os_string().into_string().unwrap()
}
