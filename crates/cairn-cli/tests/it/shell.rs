//! `cairn completions` and `cairn man`: all commands are in them, and none that is hidden.

use crate::support::{Dir, Session};

#[test]
fn each_shell_completes_each_command() {
    let dir = Dir::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = dir.run(&["completions", shell]).good().text().to_owned();
        for word in ["backup", "restore", "unprune", "completions", "repo", "check", "rotate"] {
            assert!(script.contains(word), "{shell} does not know {word}");
        }
        assert!(!script.contains("tour-writer"), "{shell}");
        let json = dir.run(&["completions", shell, "--json"]).good().text().to_owned();
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(
            (&json["shell"], json["script"].as_str().unwrap().trim_end()),
            (&shell.into(), script.trim_end())
        );
    }
    assert_eq!(dir.run(&["completions", "cmd"]).code, 2);
}

#[test]
fn each_command_has_a_manual_page_with_its_examples() {
    let dir = Dir::new();
    for _ in 0..2 {
        dir.run(&["man", "share/man1"]).good();
    }
    let pages = dir.files("share/man1");
    let page = |name: &str| {
        let bytes = pages.iter().find(|(path, _)| path.ends_with(name)).map(|(_, bytes)| bytes);
        String::from_utf8(bytes.unwrap_or_else(|| panic!("there is no {name}")).clone()).unwrap()
    };
    for name in ["cairn.1", "cairn-restore.1", "cairn-repo-check.1", "cairn-man.1"] {
        assert!(page(name).starts_with(".ie"), "{name}");
    }
    assert!(page("cairn-restore.1").contains("Example:\n  cairn restore "));
    assert!(pages.keys().all(|path| !path.to_string_lossy().contains("tour-writer")));
    dir.write("file", "");
    assert_eq!(dir.run(&["man", "file/below"]).code, 2);
}

#[test]
fn manual_pages_are_told_of_in_json() {
    let mut session = Session::new(true);
    session.run("man pages");
    session.run("completions nushell");
    session.compare("shell-json.txt");
}
