//! The front page of this package is what happens.

use crate::support::Session;

#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let readme = include_str!("../../README.md");
    let (_, block) = readme.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let mut session = Session::new(false);
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ cairn ") {
            session.run(command);
        }
    }
    assert_eq!(session.transcript().trim_end(), session.redact(block.trim_end()));
}
