//! What goes out comes back the same, in each format; and what makes no sense is refused with its place.

use cairndb::MAX_KEY_LEN;

use crate::support::{Dir, Entries};

/// Keys and values that some format could stumble over.
fn hostile() -> Entries {
    let texts: [&[u8]; 16] = [
        b"",
        b"\0",
        b"\xff\xfe\x80",
        b"two\nlines",
        b"\r\n",
        b"a\r",
        b"say \"it\"",
        b"a,b;c\td",
        b"back\\slash\\0a\\",
        b" in front and behind ",
        b"=1+1",
        b"key,value,encoding",
        b"DATA=END",
        b"{\"key\":\"a\"}",
        "grün \u{2028} \u{feff} 🦀".as_bytes(),
        b"\x1b[2J",
    ];
    let mut entries = Entries::new();
    for (i, key) in texts.iter().enumerate() {
        entries.insert(key.to_vec(), texts[texts.len() - 1 - i].to_vec());
    }
    let all: Vec<u8> = (0..=255).collect();
    entries.insert(all.clone(), all.repeat(1000));
    entries.insert(vec![b'k'; MAX_KEY_LEN], vec![b'\n'; 70_000]);
    entries.insert(vec![0xff; MAX_KEY_LEN], Vec::new());
    entries
}

#[test]
fn any_key_and_value_survives_each_text_format() {
    let dir = Dir::new();
    let entries = hostile();
    dir.environment("data", &entries);
    for file in ["all.jsonl", "all.csv", "all.dump"] {
        dir.run(&["export", "data", file]).good();
        let env = format!("from {file}");
        dir.run(&["init", &env]).good();
        dir.run(&["import", &env, file]).good();
        assert!(dir.entries(&env) == entries, "{file}");
        // The same to standard output, and from standard input.
        let format = file.trim_start_matches("all.").replace("dump", "db_dump");
        let piped = dir.run(&["export", "data", "-", "--format", &format]).good().out;
        assert!(piped == std::fs::read(dir.path(file)).unwrap(), "{file}");
        let env = format!("piped {file}");
        dir.run(&["init", &env]).good();
        dir.run_with(&["import", &env, "-", "--format", &format], &piped).good();
        assert!(dir.entries(&env) == entries, "{file}");
    }
}

/// A multimap that came back as a map would have lost all but one value of each key.
#[test]
fn a_multimap_comes_back_as_one_or_not_at_all() {
    let dir = Dir::new();
    let dump = "VERSION=3\nformat=bytevalue\ntype=btree\nduplicates=1\ndupsort=1\nHEADER=END\n \
                00\n 00\n 61\n \n 61\n 31\n 61\n ff\nDATA=END\n";
    std::fs::write(dir.path("tags.dump"), dump).unwrap();
    for env in ["one", "two"] {
        dir.run(&["init", env]).good();
    }
    dir.run(&["import", "one", "tags.dump"]).good();
    dir.run(&["export", "one", "again.dump"]).good();
    assert_eq!(std::fs::read_to_string(dir.path("again.dump")).unwrap(), dump);
    dir.run(&["import", "two", "again.dump"]).good();
    let piped = dir.run(&["export", "two", "-", "--format", "db_dump"]).good().out;
    assert_eq!(String::from_utf8(piped).unwrap(), dump);
    for target in ["tags.jsonl", "tags.csv", "tags/"] {
        let refused = dir.run(&["export", "one", target]);
        assert_eq!(refused.code, 2);
        assert!(
            refused.err.contains("cannot say that keys have several values"),
            "{}",
            refused.err
        );
        assert!(!dir.path(target).exists());
    }
    // One more value for a key, and a map that is no multimap.
    dir.run_with(&["import", "two", "-", "--format", "csv"], b"key,value\na,2\n").good();
    let dumped = dir.run(&["export", "two", "-", "--format", "db_dump"]).good().out;
    assert!(String::from_utf8(dumped).unwrap().contains(" 61\n 31\n 61\n 32\n 61\n ff\n"));
    dir.run(&["put", "one", "key", "value", "--db", "map"]).good();
    let refused = dir.run(&["import", "one", "tags.dump", "--db", "map"]);
    assert_eq!(refused.code, 2);
    assert!(refused.err.contains("\"map\" is a map, and no multimap"), "{}", refused.err);
}

#[test]
fn files_survive_as_a_directory() {
    let dir = Dir::new();
    let keys: [&[u8]; 6] =
        [b"a", b"b/c/d", b"b/\xff\xfe", b"with space", b"new\nline", ".hidden/ü".as_bytes()];
    let entries: Entries = keys.iter().map(|key| (key.to_vec(), key.repeat(1000))).collect();
    dir.environment("data", &entries);
    let ran = dir.run(&["export", "data", "files/"]).good();
    assert!(ran.err.contains("1 file hidden: import the directory with --all"), "{}", ran.err);
    dir.run(&["init", "again"]).good();
    dir.run(&["import", "again", "files", "--all"]).good();
    assert!(dir.entries("again") == entries);
    dir.run(&["init", "visible"]).good();
    dir.run(&["import", "visible", "files"]).good();
    assert_eq!(dir.entries("visible").len(), 5);
}

#[test]
fn keys_that_are_no_paths_leave_no_directory_behind() {
    for keys in [
        &["../up"][..],
        &["/etc/passwd"],
        &[""],
        &["a//b"],
        &["a/"],
        &["./a"],
        &["a/../b"],
        &["a\0b"],
        &["a", "a/b"],
    ] {
        let dir = Dir::new();
        let entries = keys.iter().map(|key| (key.as_bytes().to_vec(), b"v".to_vec())).collect();
        dir.environment("data", &entries);
        let ran = dir.run(&["export", "data", "files", "--format", "dir"]);
        assert_eq!(ran.code, 2, "{keys:?}");
        assert!(ran.err.contains("cannot be a file"), "{}", ran.err);
        assert!(ran.err.contains("--format jsonl"), "{}", ran.err);
        assert!(!dir.path("files").exists() && !dir.path("files.partial").exists(), "{keys:?}");
    }
}

/// Imports a text; the entries as text, or the error.
fn import(format: &str, text: &str, more: &[&str]) -> Result<Vec<(String, String)>, String> {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    let args = [&["import", "data", "-", "--format", format], more].concat();
    let ran = dir.run_with(&args, text.as_bytes());
    if ran.code != 0 {
        assert_eq!(ran.code, 2, "{}", ran.err);
        return Err(ran.err.lines().next().unwrap().trim_start_matches("error: ").to_owned());
    }
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ok(dir.entries("data").into_iter().map(|(key, value)| (text(key), text(value))).collect())
}

/// Format, text, options, entries.
type Case<'a> = (&'a str, &'a str, &'a [&'a str], &'a [(&'a str, &'a str)]);

#[test]
fn tables_and_objects_become_entries() {
    let table = "name,born\nada,1815\n\"x,\"\"y\",\n";
    let json = "{\"id\": 7, \"a\": [1]}\n\n  [1, 2]\r\n{\"key\":\"k\",\"value\":\"v\"}\n";
    let header = "VERSION=3\nformat=print\ntype=btree\ndb_pagesize=4096\nHEADER=END\n";
    let dump = format!("{header} a\\0ab\n \\\\v\n z\n \nDATA=END\n");
    let cases: [Case<'_>; 7] = [
        (
            "csv",
            table,
            &["--key", "name"],
            &[
                ("ada", r#"{"name":"ada","born":"1815"}"#),
                ("x,\"y", r#"{"name":"x,\"y","born":""}"#),
            ],
        ),
        ("csv", "key,value\na,1\nb,\"2\n3\"\n", &[], &[("a", "1"), ("b", "2\n3")]),
        ("csv", "\u{feff}a\n1\n", &[], &[("000000000001", r#"{"a":"1"}"#)]),
        (
            "jsonl",
            json,
            &[],
            &[("000000000001", r#"{"id": 7, "a": [1]}"#), ("000000000003", "  [1, 2]"), ("k", "v")],
        ),
        (
            "jsonl",
            "{\"id\":\"\\u00e4\"}\n{\"id\":1.50}",
            &["--key", "id"],
            &[("1.50", "{\"id\":1.50}"), ("ä", "{\"id\":\"\\u00e4\"}")],
        ),
        ("db_dump", &dump, &[], &[("a\nb", "\\v"), ("z", "")]),
        ("csv", "", &[], &[]),
    ];
    for (format, text, more, expected) in cases {
        let found = import(format, text, more);
        let expected: Vec<_> =
            expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        assert_eq!(found, Ok(expected), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    let print = "VERSION=3\nformat=print\nHEADER=END\n";
    let dump = |rest: &str| format!("{print}{rest}");
    let long = format!("{{\"key\":\"{}\",\"value\":\"\"}}\n", "k".repeat(MAX_KEY_LEN + 1));
    let cases: [(&str, &str, &[&str], &str); 20] = [
        (
            "jsonl",
            "{}\n{\n",
            &[],
            "line 2: it is no JSON: EOF while parsing an object, at column 1",
        ),
        ("jsonl", "{\"a\":1} x\n", &[], "line 1: it is no JSON: trailing characters, at column 9"),
        ("jsonl", "\u{0}\n", &[], "line 1: it is no JSON"),
        ("jsonl", "{\"a\":1}\n", &["--key", "b"], "line 1: it is no object with a member \"b\""),
        ("jsonl", "{\"a\":null}\n", &["--key", "a"], "line 1: the member \"a\" is no text"),
        ("jsonl", "{\"a\":1,\"a\":2}\n", &["--key", "a"], "line 1: it has the member \"a\" twice"),
        (
            "jsonl",
            "{\"key_hex\":\"0g\",\"value\":\"\"}\n",
            &[],
            "line 1: its member \"key_hex\" is not",
        ),
        ("jsonl", &long, &[], "line 1: a key of 4097 bytes is too long: at most 4096"),
        ("csv", "a,b\n1\n", &[], "line 2: it has 1 column, the first line names 2"),
        ("csv", "a,a\n", &[], "line 1: it names the column \"a\" twice"),
        (
            "csv",
            "a,b\n",
            &["--key", "c"],
            "line 1: it names no column \"c\"; the columns are: a, b",
        ),
        ("csv", "key,value,encoding\na,b,c\n", &[], "line 2: the encoding is \"c\", and neither"),
        ("csv", "key,value,encoding\na,b,hex\n", &[], "line 2: key or value is not hexadecimal"),
        ("db_dump", "hello\n", &[], "line 1: the header has lines NAME=VALUE"),
        ("db_dump", "VERSION=9\nHEADER=END\n", &[], "line 1: version \"9\" is unknown"),
        ("db_dump", &dump(" a\n b\n"), &[], "the dump ends before DATA=END: it is not complete"),
        ("db_dump", &dump(" a\nb\nDATA=END\n"), &[], "line 5: it is not a space and text"),
        (
            "db_dump",
            &dump(" a\n 1\n a\n 2\nDATA=END\n"),
            &[],
            "line 6: the key a has a second value",
        ),
        (
            "db_dump",
            &dump(" a\n 2\n a\n 1\nDATA=END\n").replace("HEADER=END", "duplicates=1\nHEADER=END"),
            &[],
            "line 8: the values of the key a are not sorted, or one comes twice",
        ),
        ("db_dump", &dump("DATA=END\nVERSION=3\n"), &[], "line 5: a second database begins here"),
    ];
    for (format, text, more, expected) in cases {
        let error = import(format, text, more).expect_err(expected);
        assert!(error.contains(expected), "{error}\n{expected}");
        assert!(error.contains("standard input, line "), "{error}");
    }
}

#[test]
fn what_was_committed_before_a_bad_line_is_reported_and_the_rest_can_follow() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    let good: String =
        (0..25).map(|i| format!("{{\"key\":\"{i:02}\",\"value\":\"v\"}}\n")).collect();
    dir.write("bad.jsonl", format!("{good}oops\n"));
    let ran = dir.run(&["import", "data", "bad.jsonl", "--batch", "10"]);
    assert_eq!(ran.code, 2);
    let expected = "error: 20 entries imported, then: bad.jsonl, line 26: it is no JSON";
    assert!(ran.err.starts_with(expected), "{}", ran.err);
    assert_eq!(dir.entries("data").len(), 20);
    dir.write("bad.jsonl", good);
    dir.run(&["import", "data", "bad.jsonl", "--skip", "20"]).good();
    assert_eq!(dir.entries("data").len(), 25);
}

#[test]
fn an_export_that_exists_or_was_cut_short_is_left_alone() {
    let dir = Dir::new();
    dir.environment("data", &hostile());
    dir.write("there.csv", "mine");
    dir.write("half.csv.partial", "somebody's");
    for (target, word) in [("there.csv", "exists already"), ("half.csv", "cut short")] {
        let ran = dir.run(&["export", "data", target]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains(word), "{}", ran.err);
    }
    assert_eq!(std::fs::read(dir.path("there.csv")).unwrap(), b"mine");
    assert_eq!(std::fs::read(dir.path("half.csv.partial")).unwrap(), b"somebody's");
}

#[test]
fn an_atomic_import_leaves_all_or_nothing() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    let good: String = (0..3000).map(|n| format!("{{\"id\": \"{n}\"}}\n")).collect();
    dir.write("good.jsonl", &good);
    dir.write("bad.jsonl", format!("{good}this is no JSON\n"));
    let ran = dir.run(&["import", "data", "bad.jsonl", "--key", "id", "--atomic"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("line 3001"), "{}", ran.err);
    assert!(dir.entries("data").is_empty());
    let ran =
        dir.run(&["import", "data", "good.jsonl", "--key", "id", "--atomic", "--json"]).good();
    let events = String::from_utf8(ran.out).unwrap();
    assert_eq!(events.matches("\"event\":\"commit\"").count(), 1, "{events}");
    assert_eq!(dir.entries("data").len(), 3000);
}

#[test]
fn an_environment_is_not_imported_into_itself() {
    let dir = Dir::new();
    dir.environment("here/data", &Entries::new());
    dir.write("here/file", "content");
    for source in ["here/data", "here/data/g-000001"] {
        let ran = dir.run(&["import", "here/data", source]);
        assert_eq!(ran.code, 2);
        assert!(ran.err.contains("is part of the environment itself"), "{}", ran.err);
    }
    dir.run(&["import", "here/data", "here"]).good();
    assert_eq!(dir.entries("here/data").into_keys().collect::<Vec<_>>(), [b"file"]);
}

#[test]
fn hidden_ignored_and_linked_files_are_left_out() {
    let dir = Dir::new();
    dir.write("in/kept", "1");
    dir.write("in/.hidden", "2");
    dir.write("in/target/built", "3");
    dir.write("in/.gitignore", "target\n");
    dir.write("outside", "4");
    std::os::unix::fs::symlink(dir.path("outside"), dir.path("in/link")).unwrap();
    dir.run(&["init", "data"]).good();
    dir.run(&["import", "data", "in"]).good();
    assert_eq!(dir.entries("data").into_keys().collect::<Vec<_>>(), [b"kept"]);
    dir.run(&["import", "data", "in", "--all"]).good();
    assert_eq!(dir.entries("data").len(), 4, "all but the link");
}
