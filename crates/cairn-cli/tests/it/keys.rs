//! Encrypted environments: keys from files, descriptors and prompts, and what each command says of them.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::support::{Dir, Session};

fn key_file(dir: &Dir, name: &str, digits: &str) {
    dir.write(name, digits.repeat(8));
    fs::set_permissions(dir.path(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// The recipient of `safe.key`.
const SAFE: &str =
    "cairn-recipient-0de9ee5ef409e959e0d8737d72a492e528bd450ee2c44b4c7ad76b72e842672f59a9facf";

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    key_file(&session.dir, "one.key", "01234567");
    key_file(&session.dir, "two.key", "89abcdef");
    key_file(&session.dir, "safe.key", "fedcba98");
    let (word, another) = (b"sesame\n", b"open sesame\n");
    session.run("init data --encrypt --key-file one.key");
    session.run("init data --encrypt --key-file one.key");
    session.run("put data ada 1815 --key-file one.key");
    session.run("put data ada 1816");
    session.run("put data ada 1816 --key-file two.key");
    session.run("get data ada --key-file one.key");
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
    session.run("key recipient safe.key");
    session.run("key recipient missing.key");
    session.run(&format!("key add data --name safe --recipient {SAFE} --key-file one.key"));
    session.run(&format!("key add data --name more --recipient {SAFE}0 --key-file one.key"));
    session.run("get data ada --key-file safe.key");
    session.run("key list data");
    session.run("repo init safe --encrypt --key-file one.key");
    session.run(&format!("repo keys add safe --name safe --recipient {SAFE} --key-file one.key"));
    session.run("repo info safe --repo-key-file safe.key");
    session.run("key remove data safe --key-file safe.key");
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
    session.run("archive create data one.cairn --no-compression --key-file one.key");
    session.run("archive show one.cairn");
    session.run("archive show one.cairn --key-file one.key");
    session.run("archive verify one.cairn --key-file two.key");
    session.run("archive verify one.cairn --key-file one.key");
    session.run("archive verify one.cairn --stored");
    session.run("archive diff one.cairn data --key-file one.key");
    session.run("archive restore one.cairn data --key-file one.key");
    session.run("archive restore one.cairn plain --other-environment");
    session.run("archive restore one.cairn plain --other-environment --archive-key-file one.key");
    session.run(
        "archive restore one.cairn plain --other-environment --archive-key-file one.key --in-the-clear",
    );
    session.run("get plain ada");
    session
        .run("archive create data clear.cairn --in-the-clear --no-compression --key-file one.key");
    session.run("archive verify clear.cairn");
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

/// Whether text or bytes hold `what`, as it is, in hexadecimal, or as a list of numbers.
fn holds(bytes: &[u8], what: &[u8]) -> bool {
    let hex: String = what.iter().map(|byte| format!("{byte:02x}")).collect();
    let numbers: Vec<_> = what.iter().map(u8::to_string).collect();
    let forms = [what.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
    let numbers = [", ", ","].map(|between| numbers.join(between).into_bytes());
    forms.iter().chain(&numbers).any(|form| bytes.windows(form.len()).any(|w| w == &form[..]))
}

/// Everything that a life of an environment leaves on the disk (the environment itself, backups, restored ones, a
/// repaired one, whatever lies in the directory for temporary files), and everything that is said meanwhile by
/// commands that are not asked for entries: nowhere stands what was put, nor what opens it.
#[test]
fn no_canary_is_left_on_the_disk_or_in_what_is_said() {
    const DATA: &str = "canary-of-the-data";
    const DATABASE: &str = "canary-of-the-names";
    const WORD: &str = "canary-of-the-passphrases";
    let dir = Dir::new();
    let said = std::cell::RefCell::new(Vec::new());
    let run = |line: &str, input: &str| {
        let mut args: Vec<_> = line.split(' ').collect();
        let is_opened = !line.starts_with("init") && !line.contains("passphrase-fd");
        args.extend(["--passphrase-fd", "0"].into_iter().filter(|_| is_opened));
        // The passphrase is the first line of what stands on standard input.
        let ran = dir.run_with(&args, format!("{WORD}\n{input}").as_bytes());
        said.borrow_mut().extend_from_slice(&ran.out);
        said.borrow_mut().extend_from_slice(ran.err.as_bytes());
        ran
    };
    let entries = |from: u32, to: u32| -> String {
        let line = |n: u32| {
            let value =
                format!("{DATA} {n} {}", "v".repeat(if n.is_multiple_of(7) { 40_000 } else { 50 }));
            format!("{{\"key\":\"{DATA} {n}\",\"value\":\"{value}\"}}\n")
        };
        (from..to).map(line).collect()
    };
    run("init data --encrypt --passphrase-fd 0 --kdf-memory 1MiB", "").good();
    dir.write("outside/entries.jsonl", entries(0, 60));
    let import = format!("import data outside/entries.jsonl --format jsonl --db {DATABASE}");
    run(&import, "").good();
    run("checkpoint data", "").good();
    run("backup data one.backup", "").good();
    dir.write("outside/entries.jsonl", entries(40, 90));
    run(&import, "").good();
    run("clean data", "").good();
    run("backup data two.backup --since one.backup", "").good();
    run("verify data", "").good();
    run("verify two.backup", "").good();
    run("info data", "");
    run("stats data", "").good();
    run("scrub data", "").good();
    run("restore two.backup restored", "").good();
    run("restore one.backup data --in-place", "").good();
    run("rekey data", "").good();
    run("rekey data --finish", "").good();
    run("key list data --json", "");
    run("key check data", "").good();
    // What goes wrong.
    run("get data nothing", "");
    run("put data key", "");
    run("init data --encrypt --passphrase-fd 0", "");
    for args in [&["get", "data", "x", "--passphrase-fd", "0"][..], &["verify", "data"]] {
        for input in ["", "wrong\n"] {
            let ran = dir.run_with(args, input.as_bytes());
            said.borrow_mut().extend_from_slice(ran.err.as_bytes());
        }
    }
    for (path, mut content) in dir.files("restored") {
        let (name, middle) = (path.clone(), content.len() / 2);
        let Some(byte) = content.get_mut(middle) else { continue };
        *byte ^= 0x40;
        let whole = fs::read(&name).unwrap();
        fs::write(&name, content).unwrap();
        run("checkpoint restored", "");
        fs::write(&name, whole).unwrap();
    }
    fs::remove_file(dir.path("restored/g-000001/STATE")).unwrap();
    run("info restored", "");
    run("repair restored repaired", "");
    for command in ["", "init", "put", "key", "rekey", "backup", "restore", "import"] {
        let args: Vec<_> = [command, "--help"].into_iter().filter(|arg| !arg.is_empty()).collect();
        said.borrow_mut().extend_from_slice(&dir.run(&args).good().out);
    }
    let said = said.take();
    assert!(said.len() > 10_000, "{}", said.len());
    // The name of the database was given as an argument, and `info` was asked for it.
    for canary in [DATA, WORD] {
        assert!(!holds(&said, canary.as_bytes()), "{}", String::from_utf8_lossy(&said));
    }
    let files = dir.files("");
    let inside = files.iter().filter(|(path, _)| !path.starts_with(dir.path("outside")));
    let mut seen = 0;
    for (path, content) in inside {
        seen += 1;
        for canary in [DATA, DATABASE, WORD] {
            assert!(!holds(content, canary.as_bytes()), "{canary} in {}", path.display());
        }
    }
    assert!(
        seen > 20 && holds(&fs::read(dir.path("outside/entries.jsonl")).unwrap(), DATA.as_bytes())
    );
    // It would have been found: the data are there, for who has the key.
    let scanned = run(&format!("scan data --db {DATABASE}"), "").good();
    assert!(holds(&scanned.out, DATA.as_bytes()));
}
