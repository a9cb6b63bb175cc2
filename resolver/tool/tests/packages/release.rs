//! `release.sh` makes a release whole or says what is not in it; what it makes can be made again, and compared.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::expect_success;

const SCRIPT: &str = include_str!("../../../../release.sh");

/// A project with the script, where nothing is built: cargo and `package.sh` are pretended.
struct Project {
    folder: TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { folder: tempfile::tempdir().unwrap() };
        project.write("Cargo.toml", "[workspace.package]\nversion = \"0.7.0\"\n");
        project.write("CHANGELOG.md", "## [0.7.0] - unreleased\n");
        project.write("resolver/librdkafka/include/tracer_interceptors.h", "int today(void);\n");
        for name in ["plugin-api", "plugin-kit", "plugin-http", "resolver", "resolver-rdkafka"] {
            project.write(&format!("tests/interfaces/tracer-{name}.txt"), "pub fn it()\n");
        }
        project.program("release.sh", SCRIPT);
        project.program(
            "resolver/librdkafka/package.sh",
            "mkdir -p $2/.python; echo built >$2/it.whl; echo SKIPPED: npm: not there",
        );
        // As cargo 1.95 keeps crates; none where `CRATES` says so. Asked for an interface, it says what `API` says.
        let cargo = "case $* in *publish*) echo '   Uploading it v0.7.0 (/it)' >&2
                for folder in ${CRATES-tmp-crate tmp-registry}; do mkdir -p $CARGO_TARGET_DIR/package/$folder;
                    echo crate >$CARGO_TARGET_DIR/package/$folder/it-0.7.0.crate; done ;;
            *public-api*) echo \"pub fn ${API-it}()\" ;; esac";
        project.program("../bin/cargo", cargo);
        project.program("../bin/cargo-public-api", "");
        project.git(&["init", "--quiet"]);
        project.commit();
        project
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        let file = self.root().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn program(&self, name: &str, text: &str) {
        fs::create_dir_all(self.root()).unwrap();
        let text = if text.starts_with("#!") { text.to_owned() } else { format!("#!/usr/bin/env bash\n{text}\n") };
        self.write(name, &text);
        fs::set_permissions(self.root().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, words: &[&str]) {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Somebody", "-c", "user.email=somebody@example.org"]).args(words);
        expect_success(git.current_dir(self.root()).output().unwrap());
    }

    fn commit(&self) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "A change"]);
    }

    /// The script's status, and all that it says. `bin` goes before the rest of the `PATH`.
    fn says(&self, words: &[&str], set: &[(&str, &str)]) -> (Option<i32>, String) {
        let path = format!("{}:{}", self.folder.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut script = Command::new(self.root().join("release.sh"));
        script.args(words).env("PATH", path).env("CARGO_TARGET_DIR", self.folder.path().join("target"));
        script.env("TMPDIR", self.folder.path());
        let output =
            script.env_remove("AARCH64_MACHINE").env_remove("MUSL_MACHINE").envs(set.iter().copied()).output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    /// Made, and where.
    fn made(&self) -> (String, PathBuf) {
        let (status, said) = self.says(&["make"], &[]);
        assert_eq!(status, Some(0), "{said}");
        (said, self.folder.path().join("target/release-0.7.0"))
    }
}

fn files(folder: &Path) -> Vec<String> {
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    sums.lines().map(|line| line.split("  ").nth(1).unwrap().to_owned()).collect()
}

#[test]
fn crates_that_cargo_did_not_put_where_it_was_to_are_told() {
    let project = Project::new();
    let (status, said) = project.says(&["make"], &[("CRATES", "")]);
    assert!(status == Some(1) && said.contains("release.sh: the crates are not in "), "{said}");
}

#[test]
fn it_makes_everything_into_one_folder_with_checksums_and_says_what_it_skipped() {
    let project = Project::new();
    let (said, folder) = project.made();
    assert_eq!(files(&folder), ["COMMIT", "crates/it-0.7.0.crate", "packages/it.whl"]);
    assert!(!folder.join("packages/.python").exists());
    expect_success(Command::new("sha256sum").args(["--check", "SHA256SUMS"]).current_dir(&folder).output().unwrap());
    let end: Vec<_> = said.lines().skip_while(|line| !line.starts_with("== made in ")).collect();
    let skipped: Vec<_> = end.iter().filter(|line| line.starts_with("SKIPPED: ")).collect();
    let [semver, npm, aarch64, musl, aarch64_musl] = &*skipped else { panic!("{said}") };
    assert!(semver.contains("there is no version before this one") && npm.contains("npm: not there"), "{said}");
    assert!(aarch64.contains("packages for aarch64:") && musl.contains("packages for musl:"), "{said}");
    assert!(aarch64_musl.contains("(tests/aarch64/machine musl build)"), "{said}");
    assert!(said.contains("NOTE: CHANGELOG.md says that 0.7.0 is unreleased"), "{said}");
}

#[test]
fn it_makes_nothing_of_what_is_not_committed_and_into_no_folder_that_is_there() {
    let project = Project::new();
    project.write("new.rs", "");
    let (status, said) = project.says(&["make"], &[]);
    assert!(status == Some(1) && said.contains("what is not committed"), "{said}");
    project.commit();
    let here = project.folder.path().to_str().unwrap();
    let (status, said) = project.says(&["make", here], &[]);
    assert!(status == Some(1) && said.contains("is there already"), "{said}");
    assert!(!project.folder.path().join("SHA256SUMS").exists());
}

#[test]
fn a_release_of_no_one_commit_is_told() {
    let project = Project::new();
    project.program("resolver/librdkafka/package.sh", "mkdir -p $2; echo built >$2/it.whl; date >>CHANGELOG.md");
    project.commit();
    let (status, said) = project.says(&["make"], &[]);
    assert!(status == Some(1) && said.contains("something was changed or committed meanwhile"), "{said}");
    assert!(!project.folder.path().join("target/release-0.7.0/SHA256SUMS").exists());
    let git = "git -c user.name=Somebody -c user.email=somebody@example.org commit --quiet --all --message Another";
    project.program("resolver/librdkafka/package.sh", &format!("mkdir -p $2; date >>CHANGELOG.md; {git}"));
    project.commit();
    let (status, said) = project.says(&["make", project.folder.path().join("other").to_str().unwrap()], &[]);
    assert!(status == Some(1) && said.contains("something was changed or committed meanwhile"), "{said}");
}

#[test]
fn what_cannot_be_made_again_is_told() {
    let project = Project::new();
    let again = |folder: &Path| project.says(&["reproduce", folder.to_str().unwrap()], &[]);
    let (_, folder) = project.made();
    // What has changed since then is not in it.
    project.program("resolver/librdkafka/package.sh", "mkdir -p $2; echo $0 >$2/it.whl");
    project.commit();
    let (status, said) = again(&folder);
    assert!(status == Some(0) && said.contains("it.whl: OK"), "{said}");

    // As a build that says where or when it was made.
    fs::remove_dir_all(&folder).unwrap();
    let (_, folder) = project.made();
    let (status, said) = again(&folder);
    assert!(status == Some(1) && said.contains("it.whl: FAILED"), "{said}");

    fs::write(folder.join("COMMIT"), "0123456789012345678901234567890123456789\n").unwrap();
    let (status, said) = again(&folder);
    assert!(status == Some(1) && said.contains("was made from is not in this repository"), "{said}");
    fs::remove_file(folder.join("COMMIT")).unwrap();
    let (status, said) = again(&folder);
    assert!(status == Some(1) && said.contains("has no COMMIT or no SHA256SUMS"), "{said}");
}

#[test]
fn another_interface_of_a_crate_than_was_noted_is_told_until_it_is_noted() {
    let project = Project::new();
    let changed = [("API", "another")];
    for words in [&["interfaces"][..], &["make"]] {
        let (status, said) = project.says(words, &changed);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("-pub fn it()\n+pub fn another()\n"), "{said}");
        assert!(said.contains("release.sh interfaces --note"), "{said}");
    }
    let (status, said) = project.says(&["interfaces", "--note"], &changed);
    assert_eq!(status, Some(0), "{said}");
    let (status, said) = project.says(&["interfaces"], &changed);
    assert!(status == Some(0) && said.contains("as noted in tests/interfaces"), "{said}");
    let header = fs::read_to_string(project.root().join("tests/interfaces/tracer_interceptors.h")).unwrap();
    assert_eq!(header, "int today(void);\n");
}

#[test]
fn interfaces_that_cannot_be_read_here_are_skipped_aloud() {
    let project = Project::new();
    project.program("../bin/cargo", "exit 1");
    let (status, said) = project.says(&["interfaces"], &[]);
    assert!(status == Some(0) && said.contains("\nSKIPPED: interfaces of the crates: "), "{said}");
}

#[test]
fn a_slip_of_the_pen_is_told() {
    let project = Project::new();
    for words in [&[][..], &["publish"], &["reproduce"], &["interfaces", "--write"], &["make", "a", "b"]] {
        let (status, said) = project.says(words, &[]);
        assert!(status == Some(2) && said.starts_with("usage: release.sh make [FOLDER]"), "{words:?}: {said}");
    }
}
