//! What `package.sh` cannot do, or must not, it says; it never delivers less than was asked for.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::support::{Files, expect_success, packaging};

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

    let out = tempfile::tempdir().unwrap();
    let output = packaging("deb", &files, out.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(3) {
        return words::foreign::skip(&said);
    }
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("libstrange.so") && fs::read_dir(out.path()).unwrap().next().is_none(), "{said}");
}

#[test]
fn a_missing_file_is_not_left_out_in_silence() {
    let files = Files::new();
    fs::remove_file(files.path().join("libtracer_plugin_zipkin.so")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let output = packaging("deb", &files, out.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    if output.status.code() == Some(3) {
        return words::foreign::skip(&said);
    }
    assert!(!output.status.success() && said.contains("libtracer_plugin_zipkin.so"), "{said}");
    assert!(fs::read_dir(out.path()).unwrap().next().is_none());
}

#[test]
fn what_the_machine_lacks_is_said_and_is_an_error_for_what_was_asked_for() {
    let bare = tempfile::tempdir().unwrap();
    for tool in ["bash", "date", "dirname", "git", "mkdir", "mktemp", "rm", "sed"] {
        symlink(which(tool), bare.path().join(tool)).unwrap();
    }
    let files = Files::new();
    let out = tempfile::tempdir().unwrap();
    for (kind, lacks) in [("wheel", "python3"), ("npm", "npm"), ("deb", "dpkg-deb")] {
        let output = packaging(kind, &files, out.path()).env("PATH", bare.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{said}");
        assert!(said.contains(&format!("{lacks} is not installed")), "{said}");
    }
}

#[test]
fn a_slip_of_the_pen_is_told() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/package.sh");
    for (words, says) in [
        (&["--only", "rpm"][..], "wheel, npm or deb"),
        (&["--profile", "fast"], "release or dev"),
        (&["--built"], "needs a value"),
        (&["deb"], "no option deb"),
    ] {
        let output = Command::new(script).args(words).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{words:?}: {said}");
    }
}

fn which(tool: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path)
        .map(|folder| folder.join(tool))
        .find(|file: &std::path::PathBuf| Path::exists(file))
        .unwrap()
}
