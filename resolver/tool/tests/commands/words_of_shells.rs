//! Completions, manual pages and the words themselves.

use std::fs;
use std::process::{Command, Stdio};

use words::foreign::skip;

use crate::installed::Installed;

/// Every word of the command, hidden ones left out.
pub(crate) const WORDS: &[&str] = &[
    "check",
    "completions",
    "doctor",
    "drain",
    "explain",
    "migrate",
    "path",
    "playground",
    "plugins",
    "print-config",
    "reload",
    "run",
    "schema",
    "send-test",
    "status",
    "view",
];

#[test]
fn each_shell_completes_every_word() {
    let installed = Installed::new();
    for shell in ["bash", "zsh", "fish"] {
        let said = installed.run(&["completions", shell]);
        assert_eq!(said.status, 0);
        for word in WORDS {
            assert!(said.out.contains(word), "{shell}: {word}");
        }
    }
    let script = installed.file("completions", &installed.run(&["completions", "bash"]).out);
    let ask = format!(
        "source {}; COMP_WORDS=(tracer-interceptors ch); COMP_CWORD=1; read -ra how <<<\"$(complete -p tracer-interceptors)\"; for at in \"${{!how[@]}}\"; do [[ ${{how[at]}} == -F ]] && complete_it=${{how[at+1]}}; done; $complete_it tracer-interceptors ch tracer-interceptors; echo \"${{COMPREPLY[@]}}\"",
        script.display()
    );
    let Ok(bash) = Command::new("bash").args(["-c", &ask]).output() else {
        skip("bash is not installed");
        return;
    };
    assert_eq!(String::from_utf8(bash.stdout).unwrap().trim(), "check", "{}", String::from_utf8_lossy(&bash.stderr));
}

#[test]
fn each_word_has_a_manual_page_that_man_reads_without_a_warning() {
    let installed = Installed::new();
    let folder = installed.work();
    assert_eq!(installed.run(&["manual", folder.to_str().unwrap()]).status, 0);
    let pages = WORDS.iter().map(|word| format!("tracer-interceptors-{word}"));
    let inner =
        ["check", "describe", "list", "new", "pin", "run"].map(|word| format!("tracer-interceptors-plugins-{word}"));
    for name in pages.chain(inner).chain(["tracer-interceptors".to_owned()]) {
        let page = fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{name}: {page}");
    }
    let whole = fs::read_to_string(folder.join("tracer-interceptors.1")).unwrap();
    for section in ["ENVIRONMENT", "FILES", "EXIT STATUS", "INTERCEPTORS_CONFIG_FILE"] {
        assert!(whole.contains(section), "{section}: {whole}");
    }
    for hidden in ["manual", "plugins-check-one-rule"] {
        assert!(!folder.join(format!("tracer-interceptors-{hidden}.1")).exists(), "the hidden word has none");
    }
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-ww"]).arg(folder.join("tracer-interceptors.1"));
    match groff.stderr(Stdio::piped()).output() {
        Ok(output) => {
            assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr))
        }
        Err(_) => skip("groff is not installed"),
    }
    let said = installed.run(&["manual", "/no/such/folder"]);
    assert_eq!(said.status, 125, "{}", said.err);
}

#[test]
fn words_that_mean_nothing_end_with_two_and_nothing_is_coloured_in_a_pipe() {
    let installed = Installed::new();
    for words in [
        &["explain"][..],
        &["explain", "--topic", "a", "--header", "no-value"],
        &["check", "--format", "xml"],
        &["explain", "--topic", "a", "--produce", "--consume"],
    ] {
        let said = installed.run(words);
        assert!(said.status == 2 && said.out.is_empty(), "{words:?}: {said:?}");
    }
    installed.file("t.toml", "version = 1\n[servces.a]\n");
    for words in [&["check", "t.toml"][..], &["explain", "t.toml", "--topic", "a"]] {
        assert!(!installed.run(words).out.contains('\u{1b}'), "{words:?}");
    }
}

/// `script` gives a command a terminal.
#[test]
fn a_terminal_gets_colours_unless_somebody_wants_none() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n[servces.a]\n");
    let on_terminal = |no_color: &str| {
        let tool = installed.bin().join("tracer-interceptors");
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{} check t.toml", tool.display()), "/dev/null"]).current_dir(installed.work());
        script.env("NO_COLOR", no_color).env("TERM", "xterm").stdin(Stdio::null()).output()
    };
    let Ok(output) = on_terminal("") else {
        skip("script (util-linux) is not installed");
        return;
    };
    assert!(String::from_utf8_lossy(&output.stdout).contains('\u{1b}'), "{output:?}");
    assert!(!String::from_utf8_lossy(&on_terminal("1").unwrap().stdout).contains('\u{1b}'));
}
