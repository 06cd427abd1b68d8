//! Companions: who goes along with a transaction is asked in order, and told what came of it.

use std::sync::{Arc, Mutex};

use cairn_env::{
    CommitInfo, Companion, Database, DatabaseOptions, Durability, EnvError, EnvResult, Environment,
    Options, Submission,
};

type Log = Arc<Mutex<Vec<String>>>;

/// Notes what it is asked and told.
#[derive(Debug)]
struct Notes {
    name: &'static str,
    log: Log,
    refuses: bool,
}

impl Notes {
    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(format!("{} {what}", self.name));
    }
}

impl Companion for Notes {
    fn submit(&self, submission: Submission<'_>) -> EnvResult<u64> {
        self.note(&format!("{:?}", submission.transaction()));
        if self.refuses {
            return Err(EnvError::InvalidInput { what: "refused".into() });
        }
        let commit = submission.go_on()?;
        self.note("has its place");
        Ok(commit)
    }

    fn waited(&self, result: &EnvResult<CommitInfo>, durability: Durability) {
        self.note(&format!("{} {durability:?}", result.is_ok()));
    }
}

#[derive(Debug)]
struct Other;

impl Companion for Other {
    fn submit(&self, submission: Submission<'_>) -> EnvResult<u64> {
        submission.go_on()
    }

    fn waited(&self, _: &EnvResult<CommitInfo>, _: Durability) {}
}

fn environment() -> (Environment, Database, Log) {
    let (env, _) = Environment::in_memory(Options::default()).unwrap();
    let database = env.database("db", DatabaseOptions::default()).unwrap();
    (env, database, Log::default())
}

#[test]
fn the_one_with_the_smallest_name_is_asked_first_and_all_are_told() {
    let (env, database, log) = environment();
    let mut txn = env.begin_write().unwrap();
    for name in ["b", "a", "b"] {
        let new = || Notes { name, log: Arc::clone(&log), refuses: false };
        assert_eq!(txn.companion(name, new).unwrap().name, name);
    }
    txn.put(&database, b"k", b"v").unwrap();
    assert_eq!(txn.changes(&database).collect::<Vec<_>>(), [(&b"k"[..], Some(&b"v"[..]))]);
    txn.commit_with(Durability::NoSync).unwrap();
    let all = [
        "a Transaction(1 changes)",
        "b Transaction(1 changes)",
        "b has its place",
        "a has its place",
        "a true NoSync",
        "b true NoSync",
    ];
    assert_eq!(*log.lock().unwrap(), all);
}

#[test]
fn who_refuses_keeps_all_from_being_committed() {
    let (env, database, log) = environment();
    let before = env.snapshot().unwrap().commit();
    let mut txn = env.begin_write().unwrap();
    for (name, refuses) in [("a", false), ("b", true)] {
        txn.companion(name, || Notes { name, log: Arc::clone(&log), refuses }).unwrap();
    }
    txn.put(&database, b"k", b"v").unwrap();
    assert!(matches!(txn.commit(), Err(EnvError::InvalidInput { .. })));
    assert_eq!(env.snapshot().unwrap().commit(), before);
    assert_eq!(log.lock().unwrap().len(), 2, "asked, and told of nothing");
}

#[test]
fn one_that_changes_nothing_goes_alone() {
    let (env, _, log) = environment();
    let mut txn = env.begin_write().unwrap();
    txn.companion("a", || Notes { name: "a", log: Arc::clone(&log), refuses: true }).unwrap();
    txn.commit().unwrap();
    assert!(log.lock().unwrap().is_empty());
}

#[test]
fn a_name_is_of_one_sort_of_companions() {
    let (env, _, log) = environment();
    let mut txn = env.begin_write().unwrap();
    txn.companion("a", || Other).unwrap();
    let refused = txn.companion("a", || Notes { name: "a", log: Arc::clone(&log), refuses: true });
    assert!(matches!(refused, Err(EnvError::InvalidInput { .. })));
    assert!(txn.is_of(&env) && !txn.is_of(&environment().0));
}
