//! Which test stands for each row of ArkData's reference: its methods, limits and errors, as far as they are in scope;
//! and whether `docs/guide/arkdata-kv.md` names what there is.

use std::{collections::BTreeSet, path::Path};

use cairn_sim::{Named, column};

/// A row of the reference, and the tests that are named for it.
type Row = (&'static str, &'static [&'static str]);

const METHODS: &[Row] = &[
    ("createKVManager", &["an_environment_is_opened_by_one_manager_at_a_time"]),
    (
        "getKVStore",
        &["a_store_is_created_only_if_that_is_said", "changed_options_are_refused_by_name"],
    ),
    ("closeKVStore", &["a_store_is_closed_when_it_was_closed_as_often_as_it_was_got"]),
    ("deleteKVStore", &["a_deleted_store_is_gone_with_its_handles_and_its_indexes"]),
    ("getAllKVStoreId", &["store_ids_are_those_of_all_stores_in_order"]),
    ("put, get, delete, putBatch, deleteBatch, getEntries", &["a_store_is_a_map"]),
    ("putBatch", &["a_batch_is_put_as_a_whole_or_not_at_all"]),
    ("deleteBatch of nothing", &["an_empty_batch_of_keys_is_refused"]),
    ("get of what is not there", &["the_error_of_a_missing_key_has_its_number"]),
    ("getResultSet", &["it_shows_what_was_there_when_it_was_asked"]),
    (
        "getResultSet in a transaction, restore with one open",
        &["who_is_looking_does_not_stand_in_the_way"],
    ),
    ("getResultSize", &["a_query_finds_what_the_documents_say"]),
    ("startTransaction, commit", &["a_transaction_is_seen_when_it_is_committed_and_not_before"]),
    ("rollback", &["rollback_and_drop_change_nothing"]),
    ("on('dataChange')", &["inserts_updates_and_deletes_are_told_apart"]),
    ("off('dataChange')", &["an_observer_is_told_what_comes_after_it_until_it_ends"]),
    ("SubscribeType", &["observers_tell_changes_of_their_device_from_those_of_others"]),
    ("getSecurityLevel", &["security_level_is_mandatory_and_recorded"]),
    (
        "rekey",
        &["rekey_keeps_all_data_and_may_be_repeated", "a_plain_environment_cannot_be_rekeyed"],
    ),
    (
        "DeviceKVStore",
        &["a_key_belongs_to_the_device_that_put_it", "reads_by_device_see_the_keys_of_that_device"],
    ),
    (
        "Schema, FieldNode",
        &[
            "a_schema_is_written_under_the_names_of_arkdata",
            "a_child_is_appended_once_and_only_to_an_object",
        ],
    ),
    (
        "Schema STRICT",
        &[
            "values_that_do_not_follow_the_schema_are_refused",
            "other_fields_are_for_compatible_schemas",
        ],
    ),
    (
        "KVStoreResultSet moves",
        &["moves_do_what_they_do_on_a_list", "moves_beyond_an_end_stand_there"],
    ),
    ("KVStoreResultSet position", &["it_stands_before_the_first_to_begin_with"]),
    ("Query conditions", &["each_condition_means_what_it_says"]),
    ("Query and, or, groups", &["conditions_are_joined_as_they_are_written"]),
    ("Query order, limit", &["entries_come_in_the_order_that_is_asked_for"]),
    ("Query setSuggestIndex", &["explain_says_what_was_looked_at"]),
    ("Query deviceId", &["queries_on_fields_see_the_keys_of_one_device"]),
    ("Query of a bad field", &["what_is_wrong_with_a_query_is_said_when_it_is_used"]),
    ("getSqlLike", &["each_call_has_the_token_of_arkdata", "spaces_and_carets_are_escaped"]),
];

const BACKUPS: &[Row] = &[
    ("backup, restore", &["a_restored_store_is_what_it_was"]),
    ("backup of an empty store", &["an_empty_store_is_backed_up_and_restored"]),
    ("backup under ''", &["names_of_backups_lead_nowhere_else"]),
    ("backup under 'autoBackup'", &["the_name_of_the_automatic_backup_is_kept_for_it"]),
    ("backup under the same name", &["a_backup_over_a_name_replaces_that_backup"]),
    ("backup of a corrupt store; restore into one", &["a_damaged_store_says_so_and_is_restored"]),
    ("the sixth backup", &["at_most_5_backups_are_kept_and_the_automatic_one_does_not_count"]),
    ("restore of a missing name, of ''", &["a_missing_backup_is_an_error_and_never_another_one"]),
    ("the newest", &["the_latest_is_the_newest_good_one_by_its_commit"]),
    ("restore of a damaged archive", &["a_damaged_archive_is_refused_and_nothing_changes"]),
    (
        "restore of another store's",
        &["an_archive_of_another_store_is_restored_only_when_that_is_said"],
    ),
    ("restore of a higher security level", &["a_backup_of_another_sort_of_store_is_refused"]),
    ("restore with result sets, observers, handles", &["who_is_looking_does_not_stand_in_the_way"]),
    ("two restores", &["a_second_restore_at_the_time_is_busy"]),
    (
        "restore after rekey",
        &["backups_of_an_encrypted_store_hold_no_plaintext_and_open_after_a_rekey"],
    ),
    ("restore with another key", &["an_archive_with_another_key_says_wrong_key"]),
    ("restore after the store was deleted", &["deleting_a_store_keeps_its_backups"]),
    ("deleteBackup", &["deleting_answers_for_each_name_in_their_order"]),
    ("a closed store", &["a_closed_store_can_list_and_delete_its_backups_and_no_more"]),
    ("the automatic backup", &["the_automatic_backup_is_made_by_call_and_by_schedule"]),
    (
        "a crash in a backup or restore",
        &["a_crash_leaves_the_store_before_a_call_or_after_it_and_every_backup"],
    ),
    ("the guide, K1 to K6", &["the_guide_does_what_it_says"]),
];

const LIMITS: &[Row] = &[
    ("Constants", &["the_constants_are_those_of_arkdata"]),
    ("MAX_KEY_LENGTH", &["a_key_has_1_to_1024_bytes"]),
    ("MAX_KEY_LENGTH_DEVICE", &["a_key_of_a_device_store_has_1_to_896_bytes"]),
    ("MAX_VALUE_LENGTH", &["a_value_has_at_most_4194303_bytes"]),
    ("MAX_STORE_ID_LENGTH", &["a_store_id_has_1_to_128_letters_digits_and_underscores"]),
    ("MAX_QUERY_LENGTH", &["a_query_of_more_than_512000_bytes_is_refused"]),
    ("MAX_BATCH_SIZE", &["a_batch_has_at_most_128_entries_unless_the_limit_says_otherwise"]),
    ("ValueType", &["the_numbers_of_types_are_those_of_arkdata"]),
    ("SecurityLevel", &["the_numbers_of_security_levels_are_those_of_arkdata"]),
    ("8 result sets", &["at_most_8_result_sets_are_open"]),
    ("8 observers", &["at_most_8_observers_are_registered"]),
    ("512 MB in a transaction", &["a_transaction_has_at_most_512_mib"]),
    ("skip at most 4 M - 2", &["the_bytes_to_skip_are_at_most_4194302"]),
];

const ERRORS: &[Row] = &[
    ("401", &["a_key_has_1_to_1024_bytes", "names_of_backups_lead_nowhere_else"]),
    ("15100001", &["at_most_8_result_sets_are_open", "at_most_8_observers_are_registered"]),
    ("15100002", &["changed_options_are_refused_by_name"]),
    ("15100003, corrupt", &["a_damaged_store_says_so_and_is_restored"]),
    ("15100003, wrong key", &["an_archive_with_another_key_says_wrong_key"]),
    ("15100003, rekey of a plain store", &["a_plain_environment_cannot_be_rekeyed"]),
    ("15100004", &["the_error_of_a_missing_key_has_its_number"]),
    ("15100005", &["a_closed_environment_closes_its_stores"]),
    ("15100006", &["an_environment_is_opened_by_one_manager_at_a_time"]),
    ("14800047", &["a_limit_of_the_disk_is_14800047"]),
    (
        "no number",
        &["a_disk_that_fails_or_is_full_has_no_number", "a_second_restore_at_the_time_is_busy"],
    ),
];

/// What lies below folders of the crates.
fn below(folders: &[&str]) -> Named {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Named::below(folders.iter().map(|folder| crates.join(folder)))
}

#[test]
fn every_row_has_a_test() {
    let tests = below(&["cairn-kv/src", "cairn-kv/tests/it", "cairndb/examples"]);
    let rows = [METHODS, BACKUPS, LIMITS, ERRORS].concat();
    assert!(rows.iter().all(|(_, named)| !named.is_empty()));
    let missing = tests.missing(rows.iter().flat_map(|(_, named)| named.iter().copied()));
    assert!(missing.is_empty(), "tests that are not there: {missing:?}");
}

/// What the guide names as ours, in code: functions, fields, types, constants.
#[test]
fn the_guide_names_what_there_is() {
    let guide = include_str!("../../../../docs/guide/arkdata-kv.md");
    let ours = below(&["cairn-kv/src", "cairn-archive/src"]);
    let ours = ours.text();
    let mut checked = BTreeSet::new();
    for cell in column(guide, "here") {
        for name in cell.split('`').skip(1).step_by(2).flat_map(names) {
            let is_there = ["fn ", "struct ", "enum ", "const ", "pub "]
                .iter()
                .any(|kind| ours.contains(&format!("{kind}{name}")))
                || ours.contains(&format!("    {name}"));
            assert!(is_there, "{name:?}, of {cell:?}, is not in the library");
            checked.insert(name);
        }
    }
    assert!(checked.len() > 80, "{} names: {checked:?}", checked.len());
}

/// The identifiers in a piece of code that are of this library.
fn names(code: &str) -> impl Iterator<Item = &str> {
    const OTHERS: &[&str] = &["Option", "INTEGER", "LONG", "DOUBLE"];
    let parts = code.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.filter(|name| name.len() > 2 && !OTHERS.contains(name))
}
