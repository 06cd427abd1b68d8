//! Repositories from the command line: beside an application, and damaged.

use std::{fs, path::PathBuf};

use cairndb::{DatabaseOptions, Environment, Options};
use serde_json::Value;

use crate::support::{Dir, Entries};

fn json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// All files below a directory whose names end so.
fn find(dir: PathBuf, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(find(path, suffix));
        } else if path.to_str().unwrap().ends_with(suffix) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The journal file in use grows: what an earlier point has of it is not stored again.
#[test]
fn an_application_has_the_environment_open_and_the_journal_grows_from_point_to_point() {
    let dir = Dir::new();
    let (env, _) = Environment::open(dir.path("data"), Options::default()).unwrap();
    let db = env.database("main", DatabaseOptions::default()).unwrap();
    dir.run(&["repo", "init", "backups"]).good();
    let mut expected = Vec::new();
    let mut entries = Entries::new();
    for n in 0..4_u8 {
        let value = vec![n; 400 << 10];
        for key in [&[n][..], &[n, 1]] {
            env.write(|txn| txn.put(&db, key, &value)).unwrap();
            entries.insert(key.to_vec(), value.clone());
        }
        let args = ["backup", "data", "--repo", "backups", "--json"];
        let report = json(dir.run(&args).good().text()).remove(0);
        assert_eq!(report["point"], u64::from(n) + 1);
        expected.push((report["commit"].as_u64().unwrap(), entries.clone()));
        let new = report["bytes"].as_u64().unwrap() - report["kept_bytes"].as_u64().unwrap();
        // Two values, and at most what is stored once more of the last part.
        assert!(new < 1300 << 10, "{report}");
    }
    for (number, (commit, all)) in (1..).zip(&expected) {
        let (target, number) = (format!("restored-{number}"), number.to_string());
        let args = ["restore", "backups", &target, "--point", &number, "--json"];
        let report = json(dir.run(&args).good().text()).remove(0);
        assert_eq!(report["commit"], *commit);
        // The last commit may not be known to be durable to somebody else yet.
        let found = dir.entries(&target);
        assert!(found == *all || found.len() + 1 == all.len(), "{number}");
    }
    dir.run(&["repo", "check", "backups", "--level", "structure"]).good();
    let journals = find(dir.path("backups"), ".obj");
    assert!(journals.len() >= 4, "{journals:?}");
    env.close().unwrap();
}

#[test]
fn damage_is_listed_with_its_place_and_the_points_and_nothing_wrong_is_restored() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"ada".to_vec(), vec![7; 3000])]));
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let object = find(dir.path("backups"), ".obj").remove(0);
    let mut bytes = fs::read(&object).unwrap();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    fs::write(&object, bytes).unwrap();
    let ran = dir.run(&["repo", "check", "backups", "--json"]);
    assert_eq!(ran.code, 1);
    let report = json(ran.text()).remove(0);
    let [finding] = &**report["findings"].as_array().unwrap() else { panic!("{report}") };
    assert!(object.to_str().unwrap().ends_with(finding["object"].as_str().unwrap()));
    assert_eq!((&finding["points"][0], &finding["offset"]), (&1.into(), &128.into()));
    let ran = dir.run(&["repo", "check", "backups", "--level", "present"]);
    assert_eq!(ran.code, 0);
    let ran = dir.run(&["restore", "backups", "restored"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("is damaged at byte 128"), "{}", ran.err);
    assert_ne!(dir.run(&["get", "restored", "ada"]).code, 0);

    // The next point is whole, and the command says what it has found.
    fs::remove_file(&object).unwrap();
    let ran = dir.run(&["backup", "data", "--repo", "backups"]).good();
    assert!(ran.err.contains("is missing from the repository"), "{}", ran.err);
    dir.run(&["restore", "backups", "restored"]).good();
    assert_eq!(dir.entries("restored").len(), 1);
}

#[test]
fn an_encrypted_environment_is_restored_with_its_key_and_its_names_are_not_in_the_repository() {
    let dir = Dir::new();
    dir.write("key", "0123456789abcdef".repeat(4));
    let make_private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(dir.path("key"), make_private).unwrap();
    let with_key = |args: &[&str]| dir.run(&[args, &["--key-file", "key"]].concat());
    with_key(&["init", "data", "--encrypt"]).good();
    with_key(&["put", "data", "canary-key", "canary-value", "--db", "canary-name"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    assert_eq!(dir.run(&["backup", "data", "--repo", "backups"]).code, 2);
    with_key(&["backup", "data", "--repo", "backups"]).good();
    dir.run(&["repo", "check", "backups", "--level", "structure"]).good();
    let listed = json(dir.run(&["backups", "backups", "--json"]).good().text()).remove(0);
    assert_eq!((&listed["encrypted"], &listed["databases"]), (&true.into(), &Value::Null));
    for (path, content) in dir.files("backups") {
        let has = |canary: &[u8]| content.windows(canary.len()).any(|part| part == canary);
        assert!(!has(b"canary"), "{}", path.display());
    }
    let ran = dir.run(&["restore", "backups", "restored"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(!dir.path("restored").exists());
    with_key(&["restore", "backups", "restored"]).good();
    let ran = with_key(&["get", "restored", "canary-key", "--db", "canary-name"]).good();
    assert_eq!(ran.text(), "canary-value");
}

/// One command looks at all that a backup holds: entries, typed values, SQL.
#[test]
fn what_reads_an_environment_reads_a_backup_of_it_and_writes_nothing() {
    let dir = Dir::new();
    dir.environment("data", &Entries::from([(b"ada".to_vec(), b"1815".to_vec())]));
    dir.run(&["sql", "data", "app.db", "CREATE TABLE t(n)"]).good();
    dir.run(&["sql", "data", "app.db", "INSERT INTO t VALUES(7)"]).good();
    dir.run(&["kv", "put", "data", "notes", "key", "typed"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups", "--label", "then"]).good();
    dir.run(&["backup", "data", "saved"]).good();
    dir.run(&["sql", "data", "app.db", "UPDATE t SET n = 8"]).good();
    dir.run(&["delete", "data", "ada"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let before = (dir.files("backups"), dir.files("saved"));
    for place in ["backups@then", "backups@1", "saved"] {
        assert_eq!(dir.run(&["get", place, "ada"]).good().text(), "1815", "{place}");
        let ran = dir.run(&["sql", place, "app.db", "SELECT n FROM t", "--csv"]).good();
        assert_eq!(ran.text().lines().last(), Some("7"), "{place}");
        let ran = dir.run(&["kv", "get", place, "notes", "key"]).good();
        assert!(ran.text().contains("typed"), "{place}: {}", ran.text());
        dir.run(&["sql", "check", place, "app.db"]).good();
        assert_ne!(dir.run(&["sql", place, "app.db", "DELETE FROM t"]).code, 0, "{place}");
        assert_ne!(dir.run(&["put", place, "ada", "1816"]).code, 0, "{place}");
    }
    assert_eq!(dir.run(&["get", "backups", "ada"]).code, 1);
    assert_eq!(dir.run(&["get", "backups@nothing", "ada"]).code, 1);
    assert_eq!((dir.files("backups"), dir.files("saved")), before);
    // A database goes from a backup into the environment, which goes on.
    dir.run(&["archive", "create", "backups@then", "one.archive", "--db", "main"]).good();
    dir.run(&["archive", "restore", "one.archive", "data"]).good();
    assert_eq!(dir.run(&["get", "data", "ada"]).good().text(), "1815");
    let ran = dir.run(&["sql", "data", "app.db", "SELECT n FROM t", "--csv"]).good();
    assert_eq!(ran.text().lines().last(), Some("8"));
}

/// SQLite sees what no checksum does: pages that are whole, and make no sense together.
#[test]
fn a_point_is_not_proved_where_sqlite_finds_something_in_an_sql_store() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["sql", "data", "app.db", "CREATE TABLE t(n); CREATE INDEX i ON t(n)"]).good();
    dir.run(&["sql", "data", "app.db", "INSERT INTO t VALUES(7), (8)"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    dir.run(&["prove", "backups"]).good();
    let wrong =
        "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 2 WHERE name = 'i'";
    dir.run(&["sql", "data", "app.db", wrong]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    let ran = dir.run(&["prove", "backups", "--json"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let report = json(ran.text()).remove(0);
    assert!(report["findings"][0].as_str().unwrap().contains("app.db"), "{report}");
    assert_eq!(report["proof"], Value::Null);
    let listed = json(dir.run(&["backups", "backups", "--json"]).good().text());
    let states: Vec<_> = listed.iter().map(|point| point["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["proved", "copied"]);
}

/// What was printed for a drawer opens the repository when nothing else is left.
#[test]
fn a_printed_recovery_key_opens_an_encrypted_repository() {
    let dir = Dir::new();
    let key_file = |name: &str, content: &str| {
        dir.write(name, content);
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(dir.path(name), only_mine).unwrap();
    };
    key_file("repo.key", &"01234567".repeat(8));
    dir.run(&["init", "data"]).good();
    dir.run(&["put", "data", "ada", "1815"]).good();
    dir.run(&["repo", "init", "backups", "--encrypt", "--key-file", "repo.key"]).good();
    dir.run(&["backup", "data", "--repo", "backups", "--repo-key-file", "repo.key"]).good();
    let args = ["repo", "keys", "add", "backups", "--name", "paper", "--recovery", "--json"];
    let added = dir.run(&[&args[..], &["--key-file", "repo.key"]].concat()).good();
    let added = json(added.text()).remove(0);
    let recovery = added["recovery_key"].as_str().unwrap();
    assert_eq!((recovery.len(), &added["key"]["name"]), (64, &Value::from("paper")));
    key_file("typed.key", recovery);
    let args = ["repo", "keys", "remove", "backups", "first", "--key-file", "typed.key"];
    dir.run(&args).good();
    let refused = dir.run(&["restore", "backups", "back", "--repo-key-file", "repo.key"]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    dir.run(&["restore", "backups", "back", "--repo-key-file", "typed.key"]).good();
    assert_eq!(dir.entries("back"), dir.entries("data"));
}

#[test]
fn several_environments_go_into_several_repositories_and_what_fails_keeps_none_from_its_point() {
    let dir = Dir::new();
    let of = |value: &[u8]| Entries::from([(b"key".to_vec(), value.to_vec())]);
    dir.environment("one", &of(b"1"));
    dir.environment("two", &of(b"2"));
    for repo in ["here", "there"] {
        dir.run(&["repo", "init", repo]).good();
    }
    let args =
        ["backup", "one", "gone", "two", "--repo", "here", "--repo", "away", "--repo", "there"];
    let ran = dir.run(&[&args[..], &["--json"]].concat());
    assert_eq!(ran.code, 2, "{}", ran.err);
    let lines = json(ran.text());
    let points: Vec<_> = lines.iter().filter(|line| line["point"] == 1).collect();
    assert_eq!((points.len(), lines.len()), (4, 6), "{lines:?}");
    let errors = lines.iter().filter_map(|line| line["error"]["message"].as_str());
    let errors: Vec<_> = errors.collect();
    assert!(errors[0].starts_with("away: ") && errors[1].starts_with("gone: "), "{errors:?}");
    assert_eq!(dir.run(&["backup", "one", "saved"]).code, 0, "one directory is a target");
    assert_eq!(dir.run(&["backup", "one", "two", "three"]).code, 2);

    // Each reading command is told which one is meant.
    for repo in ["here", "there@1"] {
        assert_eq!(dir.run(&["get", repo, "key"]).code, 2);
        for (point, value) in [(points[0], "1"), (points[2], "2")] {
            let uuid = point["environment"].as_str().unwrap();
            let run = |args: &[&str]| dir.run(&[args, &["--environment", uuid]].concat());
            assert_eq!(run(&["get", repo, "key"]).good().text(), value);
            assert!(run(&["scan", repo]).good().text().contains(value));
            assert!(run(&["export", repo, "-"]).good().text().contains("key"));
            run(&["sql", "list", repo]).good();
            run(&["kv", "list", repo]).good();
            let archive = format!("{}-{value}.archive", repo.replace('@', "-"));
            run(&["archive", "create", repo, &archive, "--db", "main"]).good();
            assert_eq!(run(&["get", "one", "key"]).code, 2, "that is no repository");
        }
    }
    let none = "00000000000000000000000000000001";
    assert_eq!(dir.run(&["get", "here", "key", "--environment", none]).code, 1);
}

#[test]
fn a_table_of_a_backup_comes_into_the_sql_file_as_it_is_now() {
    let dir = Dir::new();
    dir.run(&["init", "data"]).good();
    let sql = |text: &str| dir.run(&["sql", "data", "app.db", text]).good().text().to_owned();
    sql(
        "CREATE TABLE t(n INTEGER PRIMARY KEY, x); CREATE INDEX i ON t(x); INSERT INTO t VALUES(7, 'then')",
    );
    dir.run(&["repo", "init", "backups"]).good();
    dir.run(&["backup", "data", "--repo", "backups"]).good();
    sql("UPDATE t SET x = 'now'; CREATE TABLE other(y); INSERT INTO other VALUES(1)");
    let args = ["restore", "backups", "data", "--sql", "app.db", "--table", "t"];
    let ran = dir.run(&args);
    assert!(ran.code == 2 && ran.err.contains("--replace"), "{}", ran.err);
    assert!(sql("SELECT x FROM t").contains("now"));
    let ran = dir.run(&[&args[..], &["--replace"]].concat()).good();
    assert!(ran.text().contains("restored t of commit"), "{}", ran.text());
    assert!(sql("SELECT x FROM t, other").contains("then"));
    assert!(sql(".schema").contains("CREATE INDEX i"));
    let ran = dir.run(&["restore", "backups", "data", "--sql", "app.db", "--table", "none"]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    let ran = dir.run(&["restore", "backups", "data", "--table", "t"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
}

#[cfg(not(feature = "object-store"))]
#[test]
fn the_url_of_an_object_store_is_refused_with_the_feature_that_it_takes() {
    let dir = Dir::new();
    dir.environment("data", &Entries::new());
    let before = dir.files("data");
    for line in [
        "repo init s3://b/p",
        "repo info gs://b",
        "repo check az://c/p",
        "backups s3://b/p",
        "backup data --repo s3://b/p",
        "restore s3://b/p new",
        "scan s3://b/p@1",
        "scan s3://b/p",
    ] {
        let refused = dir.run(&line.split(' ').collect::<Vec<_>>());
        assert_eq!(refused.code, 2, "{line}: {refused:?}");
        for word in ["://", "feature object-store", "cargo install", "nothing was changed"] {
            assert!(refused.err.contains(word), "{line}: {refused:?}");
        }
    }
    assert_eq!(dir.files("data"), before);
    assert!(!dir.path("new").exists() && !dir.path("s3:").exists());
}
