//! The archive's script puts everything below a prefix, replaces what an earlier version had, and takes all of it away again:
//! never what is somebody else's, and never a file that a program has open.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::{Kind, LIBRARIES, brings_the_layers, every_file, expect_success, package};

#[test]
fn it_installs_and_works_and_goes_away_again() {
    let Some((unpacked, script)) = unpacked() else { return };
    let prefix = unpacked.path().join("prefix");
    fs::create_dir_all(prefix.join("share/doc")).unwrap();
    fs::write(prefix.join("share/doc/of-somebody-else"), "").unwrap();
    install(&script, &prefix);

    let library = prefix.join("lib/tracer-resolver/libtracer_interceptors.so");
    let mut tool = Command::new(prefix.join("bin/tracer-interceptors"));
    assert_eq!(expect_success(tool.arg("path").output().unwrap()), format!("{}\n", library.display()));
    for name in LIBRARIES {
        assert!(prefix.join("lib/tracer-resolver").join(name).is_file(), "{name}");
    }
    for name in [
        "include/tracer-resolver/tracer_plugin.h",
        "share/doc/tracer-resolver/LICENSE",
        "share/doc/tracer-resolver/THIRD-PARTY.txt",
        "share/man/man1/tracer-interceptors.1.gz",
        "share/pkgconfig/tracer-plugin.pc",
        "share/zsh/site-functions/_tracer-interceptors",
    ] {
        assert!(prefix.join(name).is_file(), "{name}");
    }

    brings_the_layers(&prefix.join("bin/tracer-interceptors"), &library);

    // As a program that runs has it.
    let open = File::open(&library).unwrap();
    let list = prefix.join("share/tracer-resolver/installed");
    fs::write(prefix.join("bin/of-an-earlier-version"), "").unwrap();
    fs::write(&list, format!("bin/of-an-earlier-version\n{}", fs::read_to_string(&list).unwrap())).unwrap();
    install(&script, &prefix);
    assert!(!prefix.join("bin/of-an-earlier-version").exists());
    assert_ne!(open.metadata().unwrap().ino(), fs::metadata(&library).unwrap().ino(), "another file took its place");

    // As Python does where it can write.
    let compiled = prefix.join("share/tracer-resolver/python/tracer_interceptors/__pycache__");
    fs::create_dir(&compiled).unwrap();
    fs::write(compiled.join("_layer.cpython-311.pyc"), "").unwrap();
    expect_success(ended(&script, &["--uninstall", "--prefix", prefix.to_str().unwrap()]));
    assert_eq!(every_file(&prefix), [prefix.join("share/doc/of-somebody-else")]);
    for folder in ["lib/tracer-resolver", "share/doc/tracer-resolver", "share/tracer-resolver"] {
        assert!(!prefix.join(folder).exists(), "{folder}");
    }
}

#[test]
fn what_it_cannot_do_it_says() {
    let Some((unpacked, script)) = unpacked() else { return };
    let empty = unpacked.path().join("empty");
    for (words, status, says) in [
        (&["--uninstall", "--prefix", empty.to_str().unwrap()][..], 1, "nothing is installed in"),
        (&["--prefix", "here"], 2, "a folder that begins with /"),
        (&["--prefix"], 2, "a folder that begins with /"),
        (&["--remove"], 2, "no option --remove"),
    ] {
        let output = ended(&script, words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(status) && said.contains(says), "{words:?}: {said}");
    }
    assert!(!empty.exists());
}

/// The archive in a folder of its own, and its script there.
#[track_caller]
fn unpacked() -> Option<(TempDir, PathBuf)> {
    let archive = package(Kind::Archive)?;
    let folder = tempfile::tempdir().unwrap();
    expect_success(Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(folder.path()).output().unwrap());
    let name = archive.file_name().unwrap().to_str().unwrap().strip_suffix(".tar.gz").unwrap();
    let script = folder.path().join(name).join("install.sh");
    Some((folder, script))
}

fn install(script: &Path, prefix: &Path) {
    let output = ended(script, &["--prefix", prefix.to_str().unwrap()]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    expect_success(output);
}

fn ended(script: &Path, words: &[&str]) -> Output {
    Command::new(script).args(words).env_remove("LD_PRELOAD").output().unwrap()
}
