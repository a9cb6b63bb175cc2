//! `tracer-interceptors` says where the library is, and becomes the program it is to run, with the library in
//! it; what stands in the way is said, and never stops a program that could run without.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use words::foreign::{GoBuild, go_program};

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
fn the_program_starts_where_nothing_can_be_said() {
    let files = Files::new();
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" run echo started 2>/dev/full"]).arg(files.tool());
    // Without a configuration there is something to say.
    assert_eq!(expect_success(shell.env_clear().env("PATH", "/usr/bin:/bin").output().unwrap()), "started\n");
}

/// Which signals are ignored and blocked.
const SIGNALS: &[&str] = &["grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"];
/// Which of the descriptors 0 to 2 are open. A shell has a mask of its own.
const OPEN: &[&str] = &["sh", "-c", "for each in 0 1 2; do if [ -e /proc/$$/fd/$each ]; then echo $each; fi; done"];

#[test]
fn the_program_is_started_with_what_the_tool_was_started_with() {
    let files = Files::new();
    let service = "import os, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
os.close(0)
os.close(2)
os.execvp(sys.argv[1], sys.argv[1:])";
    let tool = files.tool();
    for parent in [&["env"][..], &["python3", "-c", service]] {
        let started = |by: &[&str], program: &[&str]| {
            let mut command = Command::new(parent[0]);
            command.args(&parent[1..]).args(by).args(program);
            expect_success(command.env_remove("LD_PRELOAD").output().unwrap())
        };
        let open = if parent == ["env"] { "0\n1\n2\n" } else { "1\n" };
        assert_eq!(started(&[], OPEN), open);
        for program in [SIGNALS, OPEN] {
            assert_eq!(started(&[tool.to_str().unwrap(), "run"], program), started(&[], program), "{parent:?}");
        }
    }
}

#[test]
fn a_program_that_python_runs_is_started_as_by_a_shell() {
    let files = Files::new();
    let package = files.path().join("tracer_interceptors");
    fs::create_dir_all(package.join("lib")).unwrap();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../librdkafka/python/tracer_interceptors");
    for source in ["__init__.py", "__main__.py"] {
        fs::copy(sources.join(source), package.join(source)).unwrap();
    }
    // The kernel follows the link, and so the library is found beside the tool.
    symlink(files.tool(), package.join("lib/tracer-interceptors")).unwrap();
    let mut command = Command::new("python3");
    command.args(["-m", "tracer_interceptors", "run"]).args(SIGNALS);
    command.env("PYTHONPATH", files.path()).env("PYTHONDONTWRITEBYTECODE", "1").env_remove("LD_PRELOAD");
    let alone = Command::new(SIGNALS[0]).args(&SIGNALS[1..]).env_remove("LD_PRELOAD").output().unwrap();
    assert_eq!(expect_success(command.output().unwrap()), expect_success(alone));
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
        (&["kcat", "-L"], 2, "unrecognized subcommand 'kcat'"),
        (&["path", "please"], 2, "unexpected argument 'please'"),
        (&[], 2, "run "),
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
fn a_program_whose_glibc_is_older_than_the_library_runs_without_it_and_both_versions_are_named() {
    let files = Files::new();
    // No machine has this one; to the library every machine is then an old one.
    let newer = "GLIBC_2.9999 { global: newer; local: *; };";
    needs(&files, "libc.so.6", &["-Wl,--version-script=/dev/stdin"], newer);
    let program = compile(files.path(), &[]);
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("prints is run without tracing: its C library is glibc 2."), "{said}");
    assert!(said.contains("the library needs glibc 2.9999: install a package that was built for an older"), "{said}");
    assert!(said.contains("libc.so.6)") && said.lines().count() == 1, "{said}");
    assert_eq!(expect_success(output), "nothing\n");
}

#[test]
fn a_program_whose_system_lacks_what_the_library_needs_runs_without_it() {
    let files = Files::new();
    needs(&files, "libnowhere.so.1", &[], "");
    let program = compile(files.path(), &[]);
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains("without tracing: its dynamic linker cannot load the library: "), "{said}");
    assert!(said.contains("libnowhere.so.1"), "{said}");
    assert_eq!(expect_success(output), "nothing\n");
}

#[test]
fn a_program_that_could_not_start_anyway_is_not_said_to_be_spoilt_by_the_library() {
    let files = Files::new();
    let lacking = needs(&files, "libnowhere.so.1", &[], "");
    fs::copy(Files::new().library(), files.library()).unwrap();
    let program = compile(files.path(), &["-Wl,--no-as-needed", lacking.to_str().unwrap()]);
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(127), "{said}");
    assert!(said.contains("libnowhere.so.1") && !said.contains("without tracing"), "{said}");
}

#[test]
fn what_a_script_is_interpreted_by_counts_as_the_program() {
    let files = Files::new();
    let loader = files.path().join("ld-musl-x86_64.so.1");
    symlink("/lib64/ld-linux-x86-64.so.2", &loader).unwrap();
    compile(files.path(), &[&format!("-Wl,--dynamic-linker={}", loader.display())]);
    for line in [format!("#!{}", files.path().join("prints").display()), "#!/usr/bin/env prints".to_owned()] {
        let script = files.path().join("script");
        fs::write(&script, format!("{line}\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(files.tool());
        command.args(["run", "script"]).env_remove("LD_PRELOAD");
        let path = format!("{}:{}", files.path().display(), std::env::var("PATH").unwrap());
        let output = command.env("PATH", path).output().unwrap();
        let said = String::from_utf8(output.stderr.clone()).unwrap();
        assert!(
            said.contains("script is run without tracing") && said.contains("ld-musl-x86_64.so.1"),
            "{line}: {said}"
        );
        assert_eq!(expect_success(output), "nothing\n", "{line}");
    }
}

#[test]
fn a_dynamic_linker_is_not_taken_for_glibc_s_because_of_its_name() {
    let files = Files::new();
    let source = files.path().join("linker.c");
    fs::write(&source, "void _start(void) { for (;;) __builtin_trap(); }\n").unwrap();
    let loader = files.path().join("ld-linux-x86-64.so.2");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-nostdlib", "-o"]).args([&loader, &source]);
    expect_success(cc.output().unwrap());
    let program = compile(files.path(), &[&format!("-Wl,--dynamic-linker={}", loader.display())]);
    // It traps, as a linker of nothing does; what was said before is what counts.
    let said = String::from_utf8(run(&files, &[program.as_str()]).stderr).unwrap();
    assert!(said.contains("without tracing") && said.contains("the library is made for glibc"), "{said}");
}

#[test]
fn a_program_with_a_c_library_of_its_own_is_asked_about_that_one() {
    let files = Files::new();
    let own = files.path().join("own");
    fs::create_dir(&own).unwrap();
    let system = expect_success(Command::new("ldd").arg(files.tool()).output().unwrap());
    let libc = system.lines().find_map(|line| line.trim().strip_prefix("libc.so.6 => ")?.split(' ').next()).unwrap();
    fs::copy(libc, own.join("libc.so.6")).unwrap();
    let program = compile(files.path(), &[&format!("-Wl,-rpath,{}", own.display())]);
    assert_eq!(expect_success(run(&files, &[program.as_str()])), format!("{}\n", files.library().display()));

    needs(&files, "libc.so.6", &["-Wl,--version-script=/dev/stdin"], "GLIBC_2.9999 { global: newer; local: *; };");
    let output = run(&files, &[program.as_str()]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(said.contains(&format!("({})", own.join("libc.so.6").display())), "{said}");
    assert_eq!(expect_success(output), "nothing\n");
}

#[test]
fn a_program_for_another_machine_is_left_alone() {
    let files = Files::new();
    let program = files.path().join("strange");
    let mut header = fs::read(files.tool()).unwrap()[..64].to_vec();
    // As a 32-bit program of x86 has it; this is not enough of one to run.
    (header[4], header[18], header[19]) = (1, 3, 0);
    fs::write(&program, header).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(&files, &[program.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is run without tracing: it is made for x86 (32 bits), and the library for "), "{said}");
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

#[test]
fn a_program_with_librdkafka_linked_in_and_stripped_is_told_what_it_takes() {
    let files = Files::new();
    let Some(go) = go_program(GoBuild::Static) else { return };
    let stripped = files.path().join("stripped");
    expect_success(Command::new("strip").arg("-o").arg(&stripped).arg(&go).output().unwrap());
    // It takes no such argument, and ends at once, by a system call of its own.
    let (with, without) = (remark_of(&files, &go), remark_of(&files, &stripped));
    assert!(with.contains("librdkafka linked in") && !with.contains("-rdynamic"), "{with}");
    assert!(without.contains("librdkafka linked in") && without.contains("link it with -rdynamic"), "{without}");
}

/// The remarks of the tool itself.
fn remark_of(files: &Files, program: &Path) -> String {
    let mut command = Command::new(files.tool());
    command.arg("run").arg(program).arg("nothing").env_remove("LD_PRELOAD").env("OTEL_SDK_DISABLED", "true");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stderr).unwrap().lines().filter(|line| line.starts_with("tracer-interceptors: ")).collect()
}

fn run(files: &Files, words: &[&str]) -> Output {
    Command::new(files.tool()).arg("run").args(words).env_remove("LD_PRELOAD").output().unwrap()
}

/// Puts a library in place of the real one that needs another, `soname`; the other is linked with `flags` and is
/// returned, at a place where no dynamic linker looks. `script` is what the linker reads from its standard input.
fn needs(files: &Files, soname: &str, flags: &[&str], script: &str) -> PathBuf {
    let folder = files.path().join("elsewhere");
    fs::create_dir(&folder).unwrap();
    let (needed, sources) = (folder.join(soname), [folder.join("needed.c"), folder.join("needs.c")]);
    fs::write(&sources[0], "int newer(void) { return 0; }\n").unwrap();
    fs::write(&sources[1], "int newer(void); int needs_it(void) { return newer(); }\n").unwrap();
    let shared = || {
        let mut command = Command::new("cc");
        command.args(["-shared", "-fPIC", "-nostdlib"]);
        command
    };
    let mut linking = shared();
    linking.args(flags).arg(format!("-Wl,-soname,{soname}")).arg(&sources[0]).arg("-o").arg(&needed);
    let mut linking = linking.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    linking.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    expect_success(linking.wait_with_output().unwrap());
    expect_success(shared().args([&sources[1], &needed]).arg("-o").arg(files.library()).output().unwrap());
    needed
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
