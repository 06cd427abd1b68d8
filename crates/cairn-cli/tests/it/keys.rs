//! Encrypted environments: keys from files, descriptors and prompts, and what each command says of them.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Dir, Session};

fn key_file(dir: &Dir, name: &str, digits: &str) {
    dir.write(name, digits.repeat(8));
    fs::set_permissions(dir.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    key_file(&session.dir, "one.key", "01234567");
    key_file(&session.dir, "two.key", "89abcdef");
    let (word, another) = (b"sesame\n", b"open sesame\n");
    session.run("init data --encrypt --key-file one.key");
    session.run("init data --encrypt --key-file one.key");
    session.run("put data ada 1815 --key-file one.key");
    session.run("put data ada 1816");
    session.run("put data ada 1816 --key-file two.key");
    session.run("get data ada --key-file one.key");
    session.run("key list data");
    session.run("key add data --name backup-host --key-file one.key --new-key-file two.key");
    session.run("key add data --name backup-host --key-file one.key --new-key-file two.key");
    session.run_with(
        "key add data --name ada --key-file one.key --new-passphrase-fd 0 --kdf-memory 1MiB",
        word,
    );
    session.run_with("get data ada --passphrase-fd 0", word);
    session.run_with("get data ada --passphrase-fd 0", another);
    session.run_with("put data grace - --passphrase-fd 0", word);
    session.run_with("put data grace - --key-file two.key", b"1906");
    session.run("key list data");
    session.run("key check data --key-file two.key");
    session.run("key remove data first --key-file two.key");
    session.run("key remove data first --key-file two.key");
    session.run("get data ada --key-file one.key");
    session.run("key rotate data --key-file two.key --new-key-file one.key");
    session.run("key remove data 3 --key-file one.key");
    session.run("key remove data backup-host --key-file one.key");
    session.run("info data --key-file one.key");
    session.run("info data");
    session.run("info data --key-file two.key");
    session.run("rekey data");
    session.run("rekey data --key-file two.key");
    session.run("rekey data --key-file one.key");
    session.run("put data grace 1907 --key-file one.key");
    session.run("key list data");
    session.run("rekey data --finish --key-file one.key");
    session.run("rekey data --finish --key-file one.key");
    session.run("key list data");
    session.run("verify data --key-file one.key");
    session.run("verify data");
    session.run("verify data --stored");
    session.run("log data");
    session.run("log data --key-file one.key");
    session.run("backup data backup --key-file one.key");
    session.run("verify backup");
    session.run("key check backup --key-file one.key");
    session.run("key check backup --key-file two.key");
    session.run("restore backup restored --key-file two.key");
    session.run("restore backup restored");
    session.run("restore backup restored --key-file one.key");
    session.run("scan restored --key-file one.key");
    session.run("restore backup data --in-place --key-file one.key");
    session.run("restore --forget-old data --key-file one.key");
    session.run("get data ada --key-file none.key");
    session.run("get data ada --key-fd 9");
    session.run("get data ada --key-file one.key --key-fd 9");
    session.run_with("get data ada --key-fd 0", b"too short");
    session.run("init plain");
    session.run("get plain ada --key-file one.key");
    session.run("key list plain");
    session.run("key check plain --key-file one.key");
    session.run("init another --key-file one.key");
    session.run("init another --encrypt");
    session
}

#[test]
fn commands_about_keys_print_text() {
    session(false).compare("keys-text.txt");
}

#[test]
fn commands_about_keys_print_json() {
    session(true).compare("keys-json.txt");
}

#[test]
fn a_key_file_that_others_may_read_is_refused() {
    let dir = Dir::new();
    key_file(&dir, "one.key", "01234567");
    dir.run(&["init", "data", "--encrypt", "--key-file", "one.key"]).good();
    fs::set_permissions(dir.path("one.key"), fs::Permissions::from_mode(0o640)).unwrap();
    let ran = dir.run(&["get", "data", "ada", "--key-file", "one.key"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("chmod 600"), "{}", ran.err);
}

/// What stands in a message, a listing or a help text may be copied into a ticket.
#[test]
fn nothing_that_is_printed_or_written_holds_a_key() {
    let dir = Dir::new();
    key_file(&dir, "one.key", "01234567");
    let word = "correct horse battery staple";
    dir.run(&["init", "data", "--encrypt", "--key-file", "one.key"]).good();
    let add = ["key", "add", "data", "--name", "ada", "--key-file", "one.key"];
    let new = ["--new-passphrase-fd", "0", "--kdf-memory", "1MiB"];
    dir.run_with(&[&add[..], &new].concat(), word.as_bytes()).good();
    for json in [false, true] {
        for (args, input) in [
            (&["key", "list", "data"][..], ""),
            (&["key", "check", "data", "--passphrase-fd", "0"], word),
            (&["key", "check", "data", "--passphrase-fd", "0"], "incorrect horse"),
            (&["info", "data", "--key-file", "one.key"], ""),
            (&["key", "check", "data", "--key-file", "one.key", "--name"], ""),
        ] {
            let mut args = args.to_vec();
            args.extend(json.then_some("--json"));
            let ran = dir.run_with(&args, input.as_bytes());
            let said = format!("{}{}", ran.text(), ran.err);
            assert!(!said.contains("horse") && !said.contains("0123456701"), "{said}");
        }
    }
    for (path, content) in dir.files("data") {
        let holds = |what: &[u8]| content.windows(what.len()).any(|window| window == what);
        let raw = [0x01, 0x23, 0x45, 0x67, 0x01, 0x23, 0x45, 0x67];
        assert!(!holds(b"horse") && !holds(b"0123456701") && !holds(&raw), "{}", path.display());
    }
}
