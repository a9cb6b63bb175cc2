//! What `package.sh` cannot do, or must not, it says; it never delivers less than was asked for.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use words::foreign::{build_folder, skip};

use crate::support::{Files, Kind, LIBRARIES, SCRIPT, expect_success, out, packaging};
use crate::wheel::newest_glibc;

#[test]
fn a_file_that_needs_what_not_every_system_has_is_not_packaged() {
    let files = Files::new();
    let strange = files.path().join("libstrange.so");
    let cc =
        |words: &[&str]| expect_success(Command::new("cc").args(words).current_dir(files.path()).output().unwrap());
    fs::write(files.path().join("strange.c"), "int strange(void) { return 1; }\n").unwrap();
    fs::write(files.path().join("plugin.c"), "int strange(void); int plugin(void) { return strange(); }\n").unwrap();
    cc(&["-shared", "-fPIC", "strange.c", "-o", strange.to_str().unwrap()]);
    cc(&["-shared", "-fPIC", "plugin.c", "-o", "libtracer_plugin_file.so", "-L.", "-lstrange"]);

    let Some((status, said)) = refused(&files, &[]) else { return };
    assert!(status == Some(1) && said.contains("libstrange.so"), "{status:?}: {said}");
}

#[test]
fn a_function_that_nobody_is_known_to_have_is_not_packaged() {
    let files = Files::new();
    let source = files.path().join("plugin.c");
    fs::write(&source, "int of_newer_systems(void); int plugin(void) { return of_newer_systems(); }\n").unwrap();
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"]).arg(files.path().join("libtracer_plugin_file.so")).arg(source);
    expect_success(cc.output().unwrap());

    let Some((status, said)) = refused(&files, &[]) else { return };
    assert!(status == Some(1) && said.contains(": of_newer_systems"), "{status:?}: {said}");
}

#[test]
fn files_that_need_a_newer_glibc_than_was_asked_for_are_not_packaged() {
    let Some((status, said)) = refused(&Files::new(), &["--glibc", "2.9"]) else { return };
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("the files need glibc 2.") && said.contains("are to run with 2.9"), "{said}");
}

#[test]
fn it_builds_for_an_old_glibc_where_that_can_be_done_and_says_where_it_cannot() {
    let bare = bare();
    // Nothing is built here: what matters is what would be.
    let pretended = |name: &str| {
        let tool = bare.path().join(name);
        fs::write(&tool, "#!/usr/bin/env bash\necho \"$@\"; exit 9\n").unwrap();
        fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    };
    pretended("cargo");
    pretended("dpkg-deb");
    let package = |words: &[&str]| {
        let out = tempfile::tempdir().unwrap();
        let mut command = Command::new(which("bash"));
        command.args([SCRIPT, "--only", "deb", "--out"]).arg(out.path()).args(words).env("PATH", bare.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };

    let (status, said) = package(&[]);
    assert!(status == Some(9) && said.contains("\nbuild --locked --profile shipped "), "{said}");
    assert!(said.starts_with("SKIPPED: glibc 2.17: cargo-zigbuild is not in the PATH (pip install ziglang"), "{said}");
    let (status, said) = package(&["--glibc", "2.17"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("cannot build for glibc 2.17 here: cargo-zigbuild is not in the PATH"), "{said}");

    pretended("cargo-zigbuild");
    for (words, target) in [(&[][..], ".2.17"), (&["--glibc", "2.28"], ".2.28")] {
        let (status, said) = package(words);
        assert_eq!(status, Some(9), "{said}");
        let expected = format!("\nbuild --locked --profile shipped --target x86_64-unknown-linux-gnu{target} ");
        assert!(said.contains(&expected), "{said}");
    }
    let (status, said) = package(&["--glibc", "own"]);
    assert!(status == Some(9) && said.contains("\nbuild --locked ") && !said.contains("SKIPPED: glibc"), "{said}");
    assert!(said.contains("\nSKIPPED: the page of view --web") && said.contains(": npm is not installed"), "{said}");
}

#[test]
fn what_is_built_for_an_old_glibc_needs_no_newer_one_and_unwinds_as_the_system_does() {
    if Command::new("cargo-zigbuild").arg("--version").output().is_err() {
        return skip("cargo-zigbuild is not in the PATH (pip install ziglang cargo-zigbuild)");
    }
    let out = out(Kind::Deb);
    let mut command = Command::new(SCRIPT);
    command.args(["--only", "deb", "--profile", "dev", "--glibc", "2.17", "--out"]).arg(&out);
    let built = command.env("CARGO_TARGET_DIR", build_folder("zig")).output().unwrap();
    if built.status.code() == Some(3) {
        return skip(&String::from_utf8_lossy(&built.stderr));
    }
    expect_success(built);
    let lib = build_folder("zig").join("x86_64-unknown-linux-gnu/debug");
    assert!(newest_glibc(&lib) <= (2, 17), "{:?}", newest_glibc(&lib));
    for name in LIBRARIES {
        // An unwinder of its own, met by an exception of the program's, would read the other's memory as its own.
        let symbols = expect_success(Command::new("nm").arg(lib.join(name)).output().unwrap());
        assert!(!symbols.lines().any(|line| line.contains(" t _Unwind_") || line.contains(" T _Unwind_")), "{name}");
        // What zig compiles of the C library while it links would note it.
        let folder = fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap();
        let folder = [b"\0", folder.as_os_str().as_bytes(), b"\0"].concat();
        let file = fs::read(lib.join(name)).unwrap();
        assert!(!file.windows(folder.len()).any(|part| part == folder), "{name} says in which folder it was built");
    }
    let mut run = Command::new(lib.join("tracer-interceptors"));
    run.args(["run", "cat", "/proc/self/maps"]).env_remove("LD_PRELOAD");
    assert!(expect_success(run.output().unwrap()).contains("libtracer_interceptors.so"));
}

#[test]
fn what_is_missing_for_another_machine_is_said_before_anything_is_built() {
    let (bare, out) = (bare(), tempfile::tempdir().unwrap());
    let other = if cfg!(target_arch = "x86_64") { "aarch64" } else { "x86_64" };
    let package = |words: &[&str]| {
        let mut command = Command::new(which("bash"));
        command.args([SCRIPT, "--only", "archive", "--machine", other, "--out"]).arg(out.path()).args(words);
        let output = command.env("PATH", bare.path()).env_remove("RUSTC").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (status, said) = package(&[]);
    assert!(status == Some(3) && said.contains("rustc has no standard library for it"), "{status:?}: {said}");
    let (status, said) = package(&["--built", "/nowhere"]);
    assert!(status == Some(3) && said.contains("-linux-gnu-objcopy is not installed"), "{status:?}: {said}");
}

#[test]
fn files_for_another_machine_are_not_packaged_as_this_one_s() {
    let files = Files::new();
    let library = files.library();
    let mut bytes = fs::read(&library).unwrap();
    // `e_machine` in the file's header: that of SPARC.
    bytes[18..20].copy_from_slice(&43_u16.to_le_bytes());
    fs::write(&library, bytes).unwrap();
    let Some((status, said)) = refused(&files, &[]) else { return };
    assert!(status == Some(1) && said.contains("libtracer_interceptors.so is not for"), "{status:?}: {said}");
}

#[test]
fn a_missing_file_is_not_left_out_in_silence() {
    let files = Files::new();
    fs::remove_file(files.path().join("libtracer_plugin_zipkin.so")).unwrap();
    let Some((_, said)) = refused(&files, &[]) else { return };
    assert!(said.contains("libtracer_plugin_zipkin.so"), "{said}");
}

#[test]
fn what_the_machine_lacks_is_said_and_is_an_error_for_what_was_asked_for() {
    let bare = bare();
    let files = Files::new();
    let out = tempfile::tempdir().unwrap();
    for (kind, lacks) in [("wheel", "python3"), ("npm", "npm"), ("deb", "dpkg-deb"), ("rpm", "rpmbuild")] {
        let output = packaging(kind, &files, out.path()).env("PATH", bare.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("{lacks} is not installed")), "{said}");
    }
}

#[test]
fn a_slip_of_the_pen_is_told() {
    for (words, says) in [
        (&["--only", "dmg"][..], "wheel, npm, deb, rpm or archive"),
        (&["--machine", "sparc"], "x86_64 or aarch64"),
        (&["--machine", "x86_64-musl", "--glibc", "2.17"], "not for musl"),
        (&["--machine", "x86_64-musl", "--only", "deb"], "no deb for musl"),
        (&["--profile", "fast"], "shipped, release or dev"),
        (&["--glibc", "old"], "a version such as 2.17"),
        (&["--built"], "needs a value"),
        (&["deb"], "no option deb"),
    ] {
        let output = Command::new(SCRIPT).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{words:?}: {said}");
    }
}

/// How the script refuses to package `files`: its status, and what it says. It leaves nothing behind. `None` where this machine
/// could not package them anyway: that is said here.
#[track_caller]
fn refused(files: &Files, words: &[&str]) -> Option<(Option<i32>, String)> {
    let out = tempfile::tempdir().unwrap();
    let output = packaging("deb", files, out.path()).args(words).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(3) {
        skip(&said);
        return None;
    }
    assert!(!output.status.success() && fs::read_dir(out.path()).unwrap().next().is_none(), "{said}");
    Some((output.status.code(), said))
}

/// A `PATH` with no more than the script needs to say what it lacks.
fn bare() -> TempDir {
    let bare = tempfile::tempdir().unwrap();
    for tool in ["bash", "date", "dirname", "git", "mkdir", "mktemp", "rm", "sed"] {
        symlink(which(tool), bare.path().join(tool)).unwrap();
    }
    bare
}

fn which(tool: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.exists()).unwrap()
}
