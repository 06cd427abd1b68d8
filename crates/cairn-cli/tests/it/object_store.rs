//! The same commands, with a repository in an object store.

use crate::{
    server::{BUCKET, Server},
    support::{Dir, Entries, Ran},
};

/// Runs a command with the environment variables that say where the server is.
fn run(dir: &Dir, server: &Server, line: &str) -> Ran {
    let args: Vec<_> = line.split(' ').collect();
    let output = dir
        .command(&args)
        .env("AWS_ENDPOINT_URL", format!("http://{}", server.address))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_ACCESS_KEY_ID", "somebody")
        .env("AWS_SECRET_ACCESS_KEY", "something")
        .output()
        .unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), out: output.stdout, err }
}

#[test]
fn a_repository_in_an_object_store_is_made_filled_checked_and_restored() {
    let Some(server) = Server::start() else { return };
    let dir = Dir::new();
    let mut entries = Entries::from([(b"ada".to_vec(), b"1815".to_vec())]);
    dir.environment("data", &entries);
    let repo = format!("s3://{BUCKET}/some/prefix");
    let good = |line: &str| run(&dir, &server, line).good();

    let missing = run(&dir, &server, &format!("backups {repo}"));
    assert!(missing.code == 2 && missing.err.contains(&repo), "{missing:?}");
    good(&format!("repo init {repo}"));
    let again = run(&dir, &server, &format!("repo init {repo}"));
    assert!(again.code == 2 && again.err.contains("is a repository already"), "{again:?}");
    good(&format!("backup data --repo {repo} --label first"));
    entries.insert(b"alan".to_vec(), b"1912".to_vec());
    good("put data alan 1912");
    good(&format!("backup data --repo {repo}"));
    good(&format!("repo check {repo} --level structure"));
    let listed = good(&format!("backups {repo} --json"));
    assert_eq!(listed.text().lines().count(), 2, "{}", listed.text());
    assert!(listed.text().contains("\"first\""), "{}", listed.text());

    good(&format!("restore {repo} newest"));
    assert_eq!(dir.entries("newest"), entries);
    good(&format!("restore {repo} oldest --label first"));
    entries.remove(&b"alan"[..]);
    assert_eq!(dir.entries("oldest"), entries);
    for (of, count) in [(format!("{repo}@1"), 1), (format!("{repo}@first"), 1), (repo, 2)] {
        let scanned = good(&format!("scan {of}"));
        assert_eq!(scanned.text().lines().count(), count, "{of}: {}", scanned.text());
    }
}

#[test]
fn what_is_no_url_of_a_repository_is_refused_with_what_to_do() {
    let dir = Dir::new();
    for (url, code) in [("s3://", 2), ("s3://b/../c", 2), ("s3://b/c@d", 2)] {
        let refused = dir.run(&["repo", "info", url]);
        assert_eq!(refused.code, code, "{refused:?}");
        assert!(refused.err.contains("error: ") && refused.err.contains("advice: "), "{refused:?}");
        assert!(refused.err.contains(url), "{refused:?}");
    }
}
