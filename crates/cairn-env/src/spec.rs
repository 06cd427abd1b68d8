//! The tables of `docs` that this crate owns.

use cairn_log::layout::table;

/// Name and Markdown text of each table.
#[must_use]
pub fn spec() -> Vec<(&'static str, String)> {
    let mut tables = vec![
        ("state_slot", table(crate::state::state_slot::FIELDS)),
        ("checkpoint_head", table(crate::checkpoint::checkpoint_head::FIELDS)),
        ("checkpoint_file", table(crate::checkpoint::checkpoint_file::FIELDS)),
        ("checkpoint_tail", table(crate::checkpoint::checkpoint_tail::FIELDS)),
    ];
    tables.push(("current_example", crate::root::current_example()));
    tables.push(("directory_example", crate::directories::label_example()));
    tables.push(("current_keeping_example", crate::root::current_keeping_example()));
    tables.push(("pin_example", crate::pin::text::pin_example()));
    tables.push(("attachment_example", crate::ship::attachment::attachment_example()));
    tables.extend(crate::standby::examples());
    tables.push(crate::environment::spec());
    tables.extend(crate::commit::spec());
    tables.extend(crate::descriptor::spec());
    tables.extend(crate::sequence::spec());
    tables.extend(crate::keyring::layout::spec());
    tables.push(("env_events", crate::tell::table(crate::tell::EVENTS)));
    tables.push(("keyring_example", crate::keyring::example::keyring_example()));
    tables
}
