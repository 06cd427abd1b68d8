//! `cairn metrics`: what a collector reads, also where something cannot be read.

use crate::support::Session;

fn session(json: bool) -> Session {
    let mut session = Session::new(json);
    session.run("init data");
    session.run("put data ada 1815");
    session.run("repo init backups");
    session.run("metrics --repo backups");
    session.run("backup data --repo backups");
    session.run("put data grace 1906");
    session.run("ship data backups --once");
    session.run("backup data --repo backups");
    session.run("prove backups --point 1");
    session.run("drill backups");
    session.run("prune backups --keep-last 1 --apply");
    session.run("metrics data none --repo backups --repo nowhere");
    session.run("metrics");
    session
}

#[test]
fn figures_are_told_to_a_collector() {
    session(false).compare("metrics-text.txt");
}

#[test]
fn figures_are_told_in_json() {
    session(true).compare("metrics-json.txt");
}
