//! `cairn heal`: from a replica, a backup and a repository, and from what is none of this environment.

use crate::support::Session;

fn heal_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("replica add data other");
    session.run("heal data other");
    session.run("heal data nowhere");
    session.run("backup data saved");
    session.run("heal data saved");
    session.run("repo init backups");
    session.run("heal data backups");
    session.run("backup data --repo backups");
    session.run("init another");
    session.run("heal data another");
    let path = session.dir.path("data/g-000001/N-00000002.log");
    let rot = || {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() - 40; // in the seal: nobody needs it to read the rest
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    };
    rot();
    session.run("heal data another");
    session.run("heal data other");
    rot();
    session.run("heal data backups");
    session.run("scrub data");
    session
}

#[test]
fn damage_is_healed_in_text() {
    heal_session(false).compare("heal-text.txt");
}

#[test]
fn damage_is_healed_in_json() {
    heal_session(true).compare("heal-json.txt");
}
