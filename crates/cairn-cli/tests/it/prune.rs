//! `cairn prune` and `cairn unprune`: what goes and what stays, as people and programs are told.

use crate::support::Session;

fn prune_session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("repo init backups");
    session.run("prune backups --keep-last 1");
    for n in 0..4 {
        session.run(&format!("put data k {n}"));
        let label = if n == 0 { " --label first" } else { "" };
        session.run(&format!("backup data --repo backups{label}"));
    }
    session.run("prune backups");
    session.run("prune backups --keep-last some");
    session.run("prune backups --keep-within tomorrow");
    session.run("prune backups --keep-last 2 --keep-daily 7");
    session.run("prune backups --keep-last 1 --require-proof --forget-labels");
    session.run("prune backups --keep-last 2 --apply");
    session.run("backups backups");
    session.run("repo info backups");
    session.run("repo check backups");
    session.run("restore backups none --point 2");
    session.run("unprune backups --tomb 7");
    session.run("unprune backups");
    session.run("unprune backups");
    session.run("prune backups --apply");
    session.run("prune backups --keep-last 1 --grace 0s --yes-more-than-half --apply");
    session.run("prune backups --apply");
    session.run("repo check backups --level structure");
    session.run("repo info backups");
    session.run("restore backups first --label first");
    session.run("get first k");
    session.run("backup data --repo backups");
    session.run("repo check backups");
    session
}

#[test]
fn it_is_told_to_people() {
    prune_session(false).compare("prune-text.txt");
}

#[test]
fn it_is_told_to_programs() {
    prune_session(true).compare("prune-json.txt");
}
