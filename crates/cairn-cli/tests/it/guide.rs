//! The guide on backups is what happens.

use crate::support::Session;

/// The commands of a page, and what it shows of each.
fn blocks(page: &str) -> Vec<&str> {
    let blocks = page.split("```console\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0.trim_end()).collect()
}

#[test]
fn the_commands_of_the_guide_on_backups_print_what_it_shows() {
    let page = include_str!("../../../../docs/guide/backup.md");
    let mut session = Session::new(false);
    let blocks = blocks(page);
    for line in blocks.iter().flat_map(|block| block.lines()) {
        if let Some(command) = line.strip_prefix("$ cairn ") {
            session.run(command);
        } else if let Some(path) = line.strip_prefix("$ rm -r ") {
            session.remove(path);
        }
    }
    let (shown, said) = (blocks.join("\n\n"), session.transcript().trim_end());
    for (shown, said) in shown.lines().zip(said.lines()) {
        assert_eq!(said, shown);
    }
    assert_eq!(said.lines().count(), shown.lines().count());
}
