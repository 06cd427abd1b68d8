//! Beside: a process that reads a store while another one restores it.
//!
//! Who opens an environment for reading beside a writer sees it as of that moment, until it opens it again: a restore in the
//! other process is neither seen nor felt, whatever becomes of the files that hold the old state.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use cairn_archive::{ArchiveFile, ExportOptions, ImportOptions};
use cairn_env::{Environment, Options};
use cairn_rdb::{RdbConfig, RdbStore, SecurityLevel};

/// The directory of the environment that the process reads.
const DIR: &str = "CAIRN_SQL_BESIDE";

fn config() -> RdbConfig {
    RdbConfig::new("app.db", SecurityLevel::S1)
}

/// Small files, and hardly a cache, so that pages are read again.
fn options() -> Options {
    Options::default()
        .background(false)
        .cache_bytes(64 << 10)
        .journal_file_bytes(64 << 10)
        .node_file_bytes(64 << 10)
}

fn state(store: &RdbStore) -> String {
    let whole: String = store.query_one("SELECT * FROM pragma_integrity_check", ()).unwrap();
    let sums = "SELECT count(*), coalesce(sum(id), 0), coalesce(sum(length(text)), 0) FROM t";
    let sums: (i64, i64, i64) = store.query_one(sums, ()).unwrap();
    format!("{whole} {sums:?}")
}

/// Says what it sees whenever it is told to look, and opens the environment again when it is told that. Run by the test
/// below, in a process of its own.
#[test]
fn the_process_that_reads() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let open = || {
        let options = options().read_only(true);
        let (env, _) = Environment::open(Path::new(&dir), options).unwrap();
        RdbStore::open(&env, config().read_only(true)).unwrap()
    };
    let (mut store, mut out) = (open(), std::io::stdout());
    for line in std::io::stdin().lines() {
        if line.unwrap() == "again" {
            drop(store);
            store = open();
        }
        writeln!(out, "sees {}", state(&store)).unwrap();
        out.flush().unwrap();
    }
}

struct Reader {
    process: Child,
    tell: ChildStdin,
    answers: Box<dyn Iterator<Item = String>>,
}

impl Reader {
    fn start(dir: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "beside::the_process_that_reads", "--nocapture"]);
        command.env(DIR, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let answers =
            lines.filter_map(|line| Some(line.unwrap().split_once("sees ")?.1.to_owned()));
        Self { tell: process.stdin.take().unwrap(), process, answers: Box::new(answers) }
    }

    fn sees(&mut self, told: &str) -> String {
        writeln!(self.tell, "{told}").unwrap();
        self.answers.next().unwrap()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn a_process_that_reads_sees_what_there_was_until_it_opens_the_store_again() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let archive = ArchiveFile::at(dir.path().join("backup")).unwrap();
    let (env, _) = Environment::open(&data, options()).unwrap();
    let store = RdbStore::open(&env, config()).unwrap();
    store.execute_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, text)", ()).unwrap();
    let fill = |from: i64| {
        let sql = "INSERT INTO t WITH RECURSIVE s(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM s WHERE n < ?1 + 199)
                   SELECT n, hex(randomblob(400)) FROM s";
        store.execute_sql(sql, (from,)).unwrap();
    };
    fill(0);
    let backed_up = state(&store);
    store.backup_to(&archive, &ExportOptions::default()).unwrap();
    fill(200);
    env.checkpoint().unwrap(); // of the very last commits nothing says from outside that they are durable
    let then = state(&store);
    let mut reader = Reader::start(&data);
    assert_eq!(reader.sees("look"), then);

    store.restore_from(&archive, &ImportOptions::default()).unwrap();
    assert_eq!(state(&store), backed_up);
    for _ in 0..3 {
        env.checkpoint().unwrap();
        env.clean().unwrap();
        assert_eq!(reader.sees("look"), then);
    }
    assert_eq!(reader.sees("again"), backed_up);
    fill(200);
    store.compact().unwrap();
    env.checkpoint().unwrap();
    env.clean().unwrap();
    assert_eq!(reader.sees("look"), backed_up);
    assert_eq!(reader.sees("again"), state(&store));
}
