//! The guide is what happens.

use crate::support::{Dir, Session};

/// The commands of a page, and what it shows of each.
fn blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("```console\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.trim_end()).collect()
}

/// Runs the commands of a page in an empty directory, and compares what they print with what it shows.
#[track_caller]
fn check(page: &str) {
    let mut session = Session::new(false);
    let blocks = blocks(page);
    for line in blocks.iter().flat_map(|block| block.lines()) {
        if let Some(command) = line.strip_prefix("$ cairn ") {
            session.run(command);
        } else if let Some(path) = line.strip_prefix("$ rm -r ") {
            session.remove(path);
        } else if let Some(path) = line.strip_prefix("$ (umask 077; openssl rand -hex 32 > ") {
            session.key_file(path.trim_end_matches(')'));
        }
    }
    // No terminal shows with which code a command has ended; what has failed says so.
    let said = session.transcript().replace("exit code 1\n", "").replace("exit code 2\n", "");
    let (shown, said) = (session.redact(&blocks.join("\n\n")), said.trim_end());
    for (shown, said_line) in shown.lines().zip(said.lines()) {
        assert_eq!(said_line, shown, "all of it:\n{said}");
    }
    assert_eq!(said.lines().count(), shown.lines().count());
}

#[test]
fn the_commands_of_the_guide_on_backups_print_what_it_shows() {
    check(include_str!("../../../../docs/guide/backup.md"));
}

#[test]
fn the_commands_of_the_guide_on_replicas_print_what_it_shows() {
    check(include_str!("../../../../docs/guide/replica.md"));
}

#[test]
fn the_commands_of_the_guide_on_standbys_print_what_it_shows() {
    check(include_str!("../../../../docs/guide/standby.md"));
}

#[test]
fn the_commands_of_the_guide_on_moments_print_what_it_shows() {
    check(include_str!("../../../../docs/guide/point-in-time.md"));
}

#[test]
fn each_command_of_the_guide_on_operations_is_one() {
    let page = include_str!("../../../../docs/guide/operations.md");
    let blocks = page.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    let lines = blocks.flat_map(str::lines).filter_map(|line| line.strip_prefix("cairn "));
    let dir = Dir::new();
    let mut commands = 0;
    for line in lines {
        let line = line.split_once('#').map_or(line, |(line, _)| line);
        let mut words: Vec<_> = line.split_whitespace().collect();
        // Its arguments are taken apart before help is given.
        words.push("--help");
        dir.run(&words).good();
        commands += 1;
    }
    assert!(commands > 20, "{commands}");
}

#[test]
fn the_commands_of_the_guide_on_salvage_print_what_it_shows() {
    check(include_str!("../../../../docs/guide/salvage.md"));
}
