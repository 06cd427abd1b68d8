//! Every command once, for people and for programs.

use cairndb::{
    DatabaseOptions, Environment, JournalRetention, Options,
    sql::{RdbConfig, RdbStore, SecurityLevel},
};

use crate::support::Session;

const PEOPLE: &str = "name,born\nada,1815\ngrace,1906\n";

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("init data");
    session.run("put data ada 1815");
    session.run_with("put data note -", b"two\nlines");
    session.run("put data 00ff cafe --hex");
    session.run("put data quick 1 --no-sync");
    session.run("get data ada");
    session.run("get data 00ff --hex");
    session.run("get data nobody");
    session.run("scan data");
    session.run("scan data --prefix n --keys");
    session.run("scan data --limit 1");
    session.run("scan data --db other");
    session.run("delete data quick");
    session.run("delete data quick");
    session.dir.write("people.csv", PEOPLE);
    session.run("import data people.csv --db people --key name --batch 1");
    session.run_with("import data - --format jsonl", b"{\"key\":\"a\",\"value\":\"b\"}\n");
    session.run("import data people.csv --key nothing");
    session.run("info data");
    session.run("stats data");
    session.run("stats --explain");
    session.run("stats");
    session.run("tree data");
    session.run("tree data people");
    session.run("tree data nobody");
    session.run("verify data");
    session.run("scrub data --rate 64MiB");
    session.run("scrub data --rate fast");
    session.run("drop data people");
    session.run("drop data nobody --yes");
    session.run("checkpoint data");
    session.run("clean data");
    session.run("log data");
    session.run("log data --file J-00000001-00000001.log");
    session.run("export data all.csv");
    session.run("export data all.csv");
    session.run("export data people.dump --db people");
    session.run("backup data backup");
    session.run("backup data backup");
    session.run("backup data second --since backup");
    session.run("verify second");
    session.run("verify backup");
    session.run("restore backup restored");
    session.run("restore backup restored");
    session.run("put data ada later");
    session.run("restore backup data --in-place");
    session.run("get data ada");
    session.run("restore backup data --in-place");
    session.run("restore --undo data");
    session.run("get data ada");
    session.run("restore --undo data");
    session.run("restore --forget-old data");
    session.run("restore --forget-old data");
    session.run("restore --undo data");
    session.run("get data ada");
    session.run("init another");
    session.run("restore backup another --in-place");
    session.run("restore backup another --in-place --other-environment");
    session.run("get another ada");
    session.run("archive create data one.cairn --no-compression");
    session.run("archive create data one.cairn");
    session.run("archive create data none.cairn --db nobody");
    session.run("archive create data none.cairn --in-the-clear");
    session.run("archive show one.cairn");
    session.run("archive show none.cairn");
    session.run("archive verify one.cairn");
    session.run("archive verify one.cairn --stored");
    session.run("archive verify all.csv");
    session.run("archive diff one.cairn data");
    session.run("put data ada later");
    session.run("put data new 1");
    session.run("archive diff one.cairn data");
    session.run("archive create data two.cairn --no-compression");
    session.run("archive diff two.cairn one.cairn --limit 1");
    session.run("archive restore one.cairn data");
    session.run("get data ada");
    session.run("init third");
    session.run("archive restore one.cairn third");
    session.run("archive restore one.cairn third --other-environment");
    session.run("archive diff one.cairn third");
    session.run("verify restored");
    session.run("compact restored");
    session.run("scan restored --db people");
    session.run("drop restored people --yes");
    session.run("scan restored --db people");
    session
}

#[test]
fn all_commands_print_text() {
    let mut session = session(false);
    session.run("export data - --db people");
    session.compare("text.txt");
}

#[test]
fn all_commands_print_json() {
    let mut session = session(true);
    session.run("export data -");
    session.run("nonsense");
    session.compare("json.txt");
}

fn replica_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("replica status data");
    session.run("replica detach data");
    session.run("replica add data other");
    session.run("replica status data other");
    session.run("replica add data other");
    session.run("get other ada");
    session.run("put data barbara 1939 --with-replica other");
    session.run("replica status data other");
    session.run("get other barbara");
    session.run("put data grace 1906");
    session.run("replica status data other");
    session.run("replica add data other");
    session.run("replica detach data");
    session.run("replica detach data");
    session.run("replica promote data");
    session.run("replica promote nowhere");
    session.run("replica promote other");
    session.run("replica status other");
    session.run("get other grace");
    session.run("verify other");
    session.run("replica add data other");
    session.run("replica promote other");
    session
}

#[test]
fn replicas_are_looked_after_in_text() {
    replica_session(false).compare("replica-text.txt");
}

#[test]
fn replicas_are_looked_after_in_json() {
    replica_session(true).compare("replica-json.txt");
}

fn kv_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("kv list data");
    session.run("kv put data notes tea 7 --type integer");
    session.run("kv put data notes milk 1.5 --type double");
    session.run("kv put data notes note plain");
    session.run("kv put data notes raw 00ff --type bytes");
    session.run("kv put data notes on true --type boolean");
    session.run("kv put data notes debt -7 --type integer");
    session.run("kv delete data notes debt");
    session.run("kv put data notes tea seven --type integer");
    session.run("kv put data no/store tea 7");
    session.run("kv get data notes tea");
    session.run("kv get data notes coffee");
    session.run("kv get data nothing tea");
    session.run("kv get data notes tea --device phone");
    session.run("kv query data notes");
    session.run("kv query data notes --prefix t");
    session.run("kv query data notes --limit 1 --offset 2");
    session.run("kv query data notes --where $.a=7");
    session.run("kv query data notes --order $.a");
    session.run("kv query data notes --prefix t --explain");
    session.run("kv watch data notes --every 0 --looks 2");
    session.run("kv watch data notes --every never");
    session.run("kv delete data notes tea");
    session.run("kv delete data notes tea");
    session.run("kv list data");
    session.run("kv backups data notes");
    session.run("kv restore data notes --latest");
    session.run("kv backup data notes BK001");
    session.run("kv put data notes milk 2.5 --type double");
    session.run("kv backup data notes BK002");
    session.run("kv backup data notes ../BK003");
    session.run("kv backups data notes");
    session.run("kv restore data notes BK001");
    session.run("kv get data notes milk");
    session.run("kv restore data notes --latest");
    session.run("kv get data notes milk");
    session.run("kv restore data notes BK009");
    session.dir.write("data.backups/notes/BK003.bak", "no archive");
    session.run("kv restore data notes BK003");
    session.run("kv backups data notes");
    session.run("kv delete-backup data notes BK003 BK001 BK009");
    session.run("kv backups data notes");
    session
}

#[test]
fn stores_are_looked_into_by_people() {
    kv_session(false).compare("kv-text.txt");
}

#[test]
fn stores_are_looked_into_by_programs() {
    kv_session(true).compare("kv-json.txt");
}

fn repo_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("repo init backups");
    session.run("repo init backups");
    session.run("repo info backups");
    session.run("backups backups");
    session.run("backups data");
    session.run("backup data --repo nowhere");
    session.run("backup data --repo backups --label first");
    session.run("put data grace 1906");
    session.run("backup data --repo backups --label a·second");
    session.run("backup data --repo backups");
    session.run("backups backups");
    session.run("repo info backups");
    session.run("repo check backups");
    session.run("repo check backups --level structure");
    session.run("repo check backups --rotate 1");
    session.run("repo check backups --subset 1/1 --level content");
    session.run("repo check backups --subset 8/7");
    session.run("repo check backups --rotate 7 --level open");
    session.run("prove backups --point 1 --no-record");
    session.run("prove backups --point 9");
    session.run("prove backups --all");
    session.run("repo check backups --level open --record");
    session.run("backups backups");
    session.run("scan backups@first");
    session.run("get backups@2 grace");
    session.run("get backups grace");
    session.run("get backups@7 grace");
    session.run("get backups@nothing grace");
    session.run("put backups alan 1912");
    session.run("put backups@2 alan 1912");
    session.run("verify backups");
    session.run("put data alan 1912");
    session.run("backup data other --repo backups");
    session.run("backup data other --repo backups --repo nowhere");
    session.run("backup data --label alone");
    session.run("restore backups one --label first");
    session.run("scan one");
    session.run("restore backups two --point 2");
    session.run("scan two");
    session.run("restore backups newest");
    session.run("restore backups none --point 9");
    session.run("restore backups none --label nothing");
    session.run("restore backups none --environment 12");
    session.run("restore backups moment --to-commit 1");
    session.run("scan moment");
    session.run("restore backups moment2 --to-commit 3");
    session.run("restore backups data");
    session.run("restore backups data --in-place --delta --threads 2 --rate 100MiB");
    session.run("scan data");
    session.run("restore --undo data");
    session.run("scan data");
    session.run("backup data plain");
    session.run("restore plain three --point 1");
    session.run("restore backups data --label first --db main --as then");
    session.run("scan data --db then");
    session.run("restore backups data --store notes");
    session.run("restore backups data --db main --in-place");
    session.run("restore backups data --as then");
    session.run("init more");
    session.run("backup more --repo backups");
    session.run("backups backups");
    session.run("restore backups four");
    session
}

/// Points that are compared.
fn diff_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("put data 00ff cafe --hex");
    session.run("kv put data notes tea 7 --type integer");
    session.run("sql data app.db CREATE·TABLE·t(n·INTEGER·PRIMARY·KEY,·x)");
    session.run("sql data app.db INSERT·INTO·t·VALUES(1,·'a'),(2,·'b')");
    session.run("repo init backups");
    session.run("backup data --repo backups --label monday");
    session.run("diff backups 1 1");
    session.run("delete data ada");
    session.run("put data 00ff babe --hex");
    session.run("put data grace 1906");
    session.run("kv delete data notes tea");
    session.run("sql data app.db UPDATE·t·SET·x·=·'c'·WHERE·n·=·2;·DELETE·FROM·t·WHERE·n·=·1;·INSERT·INTO·t·VALUES(3,·4)");
    session
        .run("sql data app.db CREATE·INDEX·i·ON·t(x);·CREATE·TABLE·u(y);·INSERT·INTO·u·VALUES(5)");
    session.run("backup data --repo backups --label tuesday");
    session.run("diff backups monday tuesday");
    session.run("diff backups 2 1 --store main --samples 1");
    session.run("diff backups 2 1 --store nothing");
    session.run("diff backups 2 3");
    session.run("diff nowhere 2 3");
    session.run("kv put data people p1 x");
    session.run("backup data --repo backups");
    session.run("diff backups tuesday 3 --samples 0");
    session.run("find-last backups ada");
    session.run("find-last backups grace");
    session.run("find-last backups 00ff --hex");
    session.run("find-last backups nobody");
    session.run("find-last backups nobody --db people");
    session.run("find-last backups tea --store notes");
    session.run("find-last backups SELECT·*·FROM·t·WHERE·n·=·1 --sql app.db");
    session.run("find-last backups SELEKT --sql app.db");
    session.run("find-last backups ada --store notes --db main");
    session
}

#[test]
fn points_are_compared_by_people() {
    diff_session(false).compare("diff-text.txt");
}

#[test]
fn points_are_compared_by_programs() {
    diff_session(true).compare("diff-json.txt");
}

/// An encrypted environment in a repository, of which restores are tried.
fn drill_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.key_file("data.key");
    session.run("init data --encrypt --key-file data.key");
    session.run("put data ada 1815 --key-file data.key");
    session.run("sql data app.db CREATE·TABLE·t(n) --key-file data.key");
    session.run("sql data app.db INSERT·INTO·t·VALUES(7) --key-file data.key");
    session.run("repo init backups");
    session.run("drill backups");
    session.run("backup data --repo backups --key-file data.key");
    session.run("put data grace 1906 --key-file data.key");
    session.run("backup data --repo backups --label second --key-file data.key");
    session.run("drill backups --every 7d");
    session.run("backups backups");
    session.run("drill backups --key-file data.key");
    session.run("drill backups --key-file data.key --every 7d --after-points 1");
    session.run("drill backups --key-file data.key --random --seed 3 --every 0s");
    session.run("drill backups --key-file data.key --label second --sql app.db:SELECT·n,·NULL·FROM·t=7|NULL");
    session.run(
        "drill backups --key-file data.key --point 1 --sql app.db:SELECT·n·FROM·t=8 --check exit·3",
    );
    let check = "test·-d·\"$CAIRN_DRILL_DIR\"·&&·echo·seen";
    session.run(&format!("drill backups --key-file data.key --check {check} --no-record"));
    session.run("drill backups --key-file data.key --point 9");
    session.run("drill backups --key-file data.key --scratch nowhere");
    session.run("drill backups --key-file data.key --sql SELECT·1");
    session.run("drill backups --key-file data.key --seed 7");
    session.run("drill backups --every soon");
    session.run("backups backups");
    session.run("drill backups --history");
    session
}

#[test]
fn restores_are_tried_by_people() {
    drill_session(false).compare("drill-text.txt");
}

#[test]
fn restores_are_tried_by_programs() {
    drill_session(true).compare("drill-json.txt");
}

/// An encrypted repository, and an encrypted environment with another key in it.
fn encrypted_repo_session(json: bool) -> Session {
    let mut session = Session::new(json);
    for name in ["repo.key", "office.key", "data.key"] {
        session.key_file(name);
    }
    let word = b"sesame\n";
    session.run("init data");
    session.run("put data ada 1815");
    session.run("repo init backups --key-file repo.key");
    session.run("repo init backups --encrypt");
    session.run("repo init backups --encrypt --key-file repo.key");
    session.run("repo init backups --encrypt --key-file repo.key");
    session.run("backup data --repo backups");
    session.run("backup data --repo backups --repo-key-file office.key");
    session.run("backup data --repo backups --repo-key-file repo.key --label first");
    session.run("backups backups");
    session.run("backups backups --repo-key-file repo.key");
    session.run("repo info backups");
    session.run("repo info backups --repo-key-file repo.key");
    session.run("repo check backups");
    session.run("repo check backups --level content");
    session.run("repo check backups --record");
    session.run("repo check backups --level structure --repo-key-file repo.key");
    session.run("prove backups");
    session.run("prove backups --repo-key-file repo.key");
    session.run("ship data backups --once");
    session.run("put data grace 1906");
    session.run("ship data backups --once --repo-key-file repo.key");
    session.run("ship status backups");
    session.run("ship status backups --repo-key-file repo.key");
    session.run("get backups@first ada");
    session.run("get backups@first ada --repo-key-file repo.key");
    session.run("repo keys list backups");
    session.run("repo keys add backups --name office --new-key-file office.key");
    session
        .run("repo keys add backups --name office --key-file repo.key --new-key-file office.key");
    session.run("repo keys add backups --name office --key-file repo.key --new-key-file data.key");
    session.run_with(
        "repo keys add backups --name ada --key-file repo.key --new-passphrase-fd 0 --kdf-memory 1MiB",
        word,
    );
    session.run("repo keys list backups");
    session.run_with("restore backups one --repo-passphrase-fd 0", word);
    session.run("repo keys rotate backups --key-file repo.key --new-key-file data.key");
    session.run("restore backups two --repo-key-file repo.key");
    session.run("repo keys remove backups nobody --key-file office.key");
    session.run("repo keys remove backups ada --key-file office.key");
    session.run("repo keys remove backups first --key-file office.key");
    session.run("repo keys remove backups office --key-file office.key");
    session.run("restore backups two");
    session.run("restore backups two --repo-key-file office.key");
    session.run("scan two");
    session.run("init secret --encrypt --key-file data.key");
    session.run("put secret alan 1912 --key-file data.key");
    session.run("backup secret --repo backups --repo-key-file office.key --key-file data.key");
    session.run("repo init plain");
    session.run("backup data --repo plain --repo-key-file repo.key");
    session.run("repo keys list plain");
    session
}

#[test]
fn encrypted_repositories_are_looked_after_in_text() {
    encrypted_repo_session(false).compare("repo-keys-text.txt");
}

#[test]
fn encrypted_repositories_are_looked_after_in_json() {
    encrypted_repo_session(true).compare("repo-keys-json.txt");
}

#[test]
fn repositories_are_looked_after_in_text() {
    repo_session(false).compare("repo-text.txt");
}

#[test]
fn repositories_are_looked_after_in_json() {
    repo_session(true).compare("repo-json.txt");
}

fn mark_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("marks data");
    session.run("put data ada 1815");
    session.run("mark data before-migration");
    session.run("put data ada later");
    session.run("mark data before-migration");
    session.run("mark data ");
    session.run("mark data");
    session.run("mark nowhere here");
    session.run("marks data");
    session.run("backup data backup");
    session.run("restore backup restored");
    session.run("marks restored");
    session.run("replica add data other");
    session.run("marks other");
    session
}

#[test]
fn marks_are_set_and_listed_in_text() {
    mark_session(false).compare("marks-text.txt");
}

#[test]
fn marks_are_set_and_listed_in_json() {
    mark_session(true).compare("marks-json.txt");
}

fn history_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data --keep forever");
    session.run("init data --keep all");
    session.run("history data");
    session.run("put data ada 1815");
    session.run("backup data backup");
    session.run("put data ada later");
    session.run("checkpoint data");
    session.run("put data ada much·later");
    session.run("checkpoint data");
    session.run("clean data");
    session.run("history data");
    // Nothing of that goes, whatever commands there are.
    session.run("restore backup back --to-commit 3 --journal data");
    session.run("get back ada");
    session.run("history data --keep 7d");
    session.run("history data --keep 20GiB");
    session.run("history data --keep 7");
    session.run("history data --keep none");
    session.run("put data ada again");
    session.run("checkpoint data");
    session.run("put data ada and·again");
    session.run("checkpoint data");
    session.run("history data");
    session.run("restore backup none --to-commit 3 --journal data");
    session.run("history nowhere");
    session.run("history nowhere --keep all");
    session
}

#[test]
fn history_is_kept_and_told_of_in_text() {
    history_session(false).compare("history-text.txt");
}

#[test]
fn history_is_kept_and_told_of_in_json() {
    history_session(true).compare("history-json.txt");
}

/// The history is what the library keeps: three marks within one run.
fn moment_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("backup data backup");
    let options =
        Options::default().create(false).background(false).keep_journal(JournalRetention::Forever);
    let (env, _) = Environment::open(session.dir.path("data"), options).unwrap();
    let main = env.database("main", DatabaseOptions::default()).unwrap();
    for (round, value) in ["1", "2", "3"].iter().enumerate() {
        env.write(|txn| txn.put(&main, b"schema", value.as_bytes())).unwrap();
        env.mark(["before-migration", "after-migration", "end"][round]).unwrap();
    }
    env.close().unwrap();
    session.run("marks data");
    session.run("restore backup migrated --to-label before-migration --journal data");
    session.run("get migrated schema");
    session.run("marks migrated");
    session.run("restore backup first --to-commit 4 --journal data");
    session.run("get first schema");
    session.run("restore backup newest --journal data");
    session.run("get newest schema");
    session.run("restore backup begun --to-lsn 00000001:001000 --journal data");
    session.run("restore backup placed --to-lsn ffffff00:001000 --journal data");
    session.run("get placed schema");
    session.run("restore backup placed --to-lsn nowhere --journal data");
    session.run("restore backup late --at 2999-01-01T00:00:00Z --journal data");
    session.run("get late schema");
    session.run("restore backup none --at 2999-01-01T00:00:00Z");
    session.run("restore backup none --at 2000-01-01T00:00:00Z --journal data");
    session.run("restore backup none --at 2999-01-01 --journal data");
    session.run("restore backup none --to-commit 99 --journal data");
    session.run("restore backup none --to-commit 99");
    session.run("restore backup none --to-label nothing --journal data");
    session.run("restore backup none --to-label end --to-commit 3");
    session.run("restore backup none --journal nowhere");
    session.run("init another");
    session.run("put another ada 1815");
    session.run("restore backup none --journal another");
    session.run("restore backup data --to-label before-migration --journal data --in-place");
    session.run("get data schema");
    session.run("restore --undo data");
    session.run("get data schema");
    let newest = std::fs::read_dir(session.dir.path("data/g-000001")).unwrap();
    let newest = newest.map(|entry| entry.unwrap().path()).filter(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("J-"))
    });
    std::fs::remove_file(newest.max().unwrap()).unwrap();
    session.run("restore backup none --to-label end --journal data");
    session
}

#[test]
fn restores_go_to_moments_in_text() {
    moment_session(false).compare("moments-text.txt");
}

#[test]
fn restores_go_to_moments_in_json() {
    moment_session(true).compare("moments-json.txt");
}

fn sql_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("sql list data");
    session.run("sql data app.db CREATE·TABLE·pets·(id·INTEGER·PRIMARY·KEY,·name,·weight)");
    session.run("sql data app.db INSERT·INTO·pets·VALUES·(1,'Mia',4.5),(2,'Rex\nof·two·lines',NULL),(3,x'00ff',7)");
    session.run("sql data app.db SELECT·*·FROM·pets");
    session.run("sql data app.db SELECT·*·FROM·pets --csv");
    session.run("sql data app.db SELECT·count(*)·AS·pets·FROM·pets;·SELECT·1·AS·one");
    session.run("sql data app.db SELECT·*·FROM·nobody");
    session.run("sql data none.db SELECT·1");
    session.run("sql data a/b SELECT·1");
    session.run("sql nowhere app.db SELECT·1");
    session.run("sql data app.db .tables");
    session.run("sql data app.db .schema");
    session.run("sql data app.db .nothing");
    session.run_with(
        "sql data app.db",
        b"INSERT INTO pets (name)\nVALUES ('Tom');\n.mode csv\nSELECT name FROM pets;\n",
    );
    session.run_with("sql data app.db", b"SELECT nobody;\n");
    session.run("sql list data");
    session.run("sql check data app.db");
    session.run("sql check data none.db");
    session.run("sql backups data app.db");
    session.run("sql backup data app.db monday --no-compression");
    session.run("sql backup data none.db monday");
    session.run("sql backup data app.db ../monday");
    session.run("sql data app.db DROP·TABLE·pets");
    session.run("sql restore data app.db monday");
    session.run("sql restore data app.db tuesday");
    session.run("sql data app.db SELECT·count(*)·FROM·pets");
    session.dir.write("data.backups/app.db-sql/bad.bak", "no archive");
    session.run("sql backups data app.db");
    session.run("sql restore data app.db bad");
    session.run("sql delete-backup data app.db bad");
    session.run("sql delete-backup data app.db bad");
    session.run("sql export data app.db plain.db");
    session.run("sql export data app.db plain.db");
    session.run("sql export data none.db plain.db --replace");
    session.run("sql import data copy.db plain.db");
    session.run("sql import data copy.db plain.db");
    session.run("sql import data copy.db plain.db --replace");
    session.run("sql import data bad.db data.backups/app.db-sql/monday.bak");
    session.run("sql import data bad.db nothing.db");
    session.run("sql data copy.db SELECT·name·FROM·pets·WHERE·id=1");
    session.run("sql list data");
    session.run("sql compact data copy.db");
    session.run("sql compact data none.db");
    session.run("sql salvage data copy.db app.db"); // which is no store
    {
        let (env, _) = Environment::open(session.dir.path("data"), Options::default()).unwrap();
        let config = RdbConfig::new("saved.db", SecurityLevel::S1);
        RdbStore::open(&env, config).unwrap().close();
        env.close().unwrap();
    }
    session.run("sql salvage data saved.db copy.db");
    session.run("sql salvage data saved.db none.db");
    // How much there is to verify depends on how far the worker has got with what was replaced.
    session.run("sql check data copy.db");
    session
}

#[test]
fn people_work_with_sql() {
    sql_session(false).compare("sql-text.txt");
}

#[test]
fn programs_work_with_sql() {
    sql_session(true).compare("sql-json.txt");
}
