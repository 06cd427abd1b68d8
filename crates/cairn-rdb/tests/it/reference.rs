//! Which test stands for each row of ArkData's reference: its methods, limits and errors, as far as they are in scope;
//! and whether `docs/guide/arkdata-rdb.md` names them all, what is left out, and what there is.

use std::{collections::BTreeSet, path::Path};

use cairn_sim::{Named, column};

/// A row of the reference, and the tests that are named for it.
type Row = (&'static str, &'static [&'static str]);

/// Members by ArkData's names. Of those that come with a `…Sync` the one without stands for both.
const MEMBERS: &[Row] = &[
    // The module.
    (
        "getRdbStore",
        &["a_store_is_there_again_when_it_is_opened_again", "all_handles_of_a_store_are_one"],
    ),
    ("deleteRdbStore", &["a_store_that_is_deleted_is_gone_and_can_be_made_anew"]),
    ("getInsertSqlInfo", &["nothing_is_written_into_no_columns"]),
    ("getUpdateSqlInfo, getDeleteSqlInfo", &["changes_hit_the_rows_that_a_query_shows"]),
    ("getQuerySqlInfo", &["every_condition_has_its_sql"]),
    // StoreConfig.
    (
        "name",
        &[
            "what_is_not_a_name_of_a_store_is_refused",
            "a_store_name_is_one_component_of_a_path_of_1_to_128_bytes",
        ],
    ),
    ("securityLevel", &["a_security_level_is_recorded_and_never_lowered"]),
    (
        "encrypt",
        &[
            "encryption_and_a_replica_are_those_of_the_environment",
            "in_an_encrypted_environment_every_store_is",
        ],
    ),
    ("allowRebuild, rebuilt", &["a_damaged_store_answers_what_it_can_until_it_is_opened_again"]),
    ("isReadOnly", &["a_handle_that_only_reads_writes_nothing"]),
    (
        "haMode",
        &[
            "a_mode_with_a_replica_is_taken_where_there_is_one",
            "some_options_must_be_the_same_and_some_follow_the_newest_open",
        ],
    ),
    ("persist", &["without_a_place_there_are_no_named_backups"]),
    // Enums and types.
    ("ConflictResolution", &["the_numbers_and_texts_are_those_of_arkdata"]),
    (
        "SecurityLevel, HaMode, RebuildType, TransactionType, SlaveStatus",
        &["the_numbers_are_those_of_arkdata"],
    ),
    ("ColumnType", &["the_numbers_of_types_are_those_of_arkdata"]),
    ("null, number, string, Uint8Array", &["every_value_comes_back_as_it_was_written"]),
    ("boolean", &["a_boolean_is_written_as_0_or_1"]),
    ("ValuesBucket", &["nothing_is_written_into_no_columns"]),
    // RdbStore.
    ("version", &["a_version_is_from_1_and_stays"]),
    (
        "insert",
        &[
            "an_insert_answers_the_rowid_and_leaves_the_rest_to_the_table",
            "a_conflict_is_resolved_as_it_is_said",
        ],
    ),
    (
        "batchInsert",
        &["a_batch_is_inserted_whole_or_not_at_all", "rows_of_a_batch_may_have_different_columns"],
    ),
    ("batchInsertWithConflictResolution", &["a_batch_replaces_what_is_in_the_way"]),
    (
        "update, delete",
        &[
            "updates_and_deletes_hit_what_predicates_mean",
            "an_update_resolves_conflicts_as_it_is_said",
        ],
    ),
    ("WithReturning", &["what_a_statement_returns_is_answered"]),
    ("query", &["a_query_has_the_columns_the_order_and_the_number_that_are_asked_for"]),
    (
        "querySql",
        &[
            "what_is_no_query_is_refused",
            "parameters_are_given_in_their_order_and_none_is_left_out",
        ],
    ),
    (
        "queryByStep, WithoutRowCount, LiteResultSet",
        &["a_large_result_is_gone_through_in_a_window_of_it"],
    ),
    ("executeSql", &["what_has_a_call_of_its_own_is_refused_and_changes_nothing"]),
    ("execute", &["execute_answers_what_is_worth_to_know_of_a_statement"]),
    ("attach", &["an_attached_store_is_read_and_written_by_its_alias"]),
    ("detach", &["an_alias_is_used_once_and_detached_as_often_as_one_likes"]),
    ("close", &["closing_a_store_ends_everything_of_it"]),
    ("backup, restore", &["a_restore_ends_what_shows_the_old_and_all_handles_go_on"]),
    ("dataChange, LOCAL_DETAILS", &["each_commit_is_told_once"]),
    ("off", &["observers_are_told_from_when_they_came_until_they_go"]),
    ("import_db_from_path, export_database", &["plain_files_go_out_and_come_in"]),
    // Transaction.
    (
        "createTransaction",
        &["four_transactions_go_on_at_a_time_and_the_fifth_waits_for_two_seconds"],
    ),
    (
        "beginTransaction, commit, rollBack, beginTrans, rollback",
        &["a_transaction_happens_whole_or_not_at_all"],
    ),
    // RdbPredicates.
    (
        "equalTo, notEqualTo, greaterThan, lessThan, greaterThanOrEqualTo, lessThanOrEqualTo, isNull, isNotNull, \
         between, notBetween, and, orderByAsc, orderByDesc, distinct, groupBy, having",
        &["every_condition_has_its_sql", "comparisons_and_null_are_those_of_sql"],
    ),
    ("or, beginWrap, endWrap", &["what_makes_no_sense_is_refused_when_it_is_used"]),
    (
        "contains, notContains, beginsWith, endsWith, like, notLike, glob",
        &["a_text_is_looked_for_as_it_is"],
    ),
    ("in, notIn", &["an_empty_list_never_widens_a_delete"]),
    (
        "limitAs, offsetAs",
        &["a_limit_of_nothing_is_none", "a_limit_never_hits_more_rows_than_it_says"],
    ),
    ("indexedBy", &["an_index_that_is_named_is_used_or_missed"]),
    // ResultSet.
    (
        "columnNames, getColumnNames, columnCount, getColumnIndex, getColumnName",
        &["columns_are_found_by_name_and_by_number", "a_result_set_without_rows_has_columns"],
    ),
    (
        "rowCount, rowIndex, isAtFirstRow, isAtLastRow, isStarted, isEnded, goTo, goToRow, goToFirstRow, \
         goToLastRow, goToNextRow, goToPreviousRow",
        &["a_result_set_is_gone_through_in_both_directions", "moves_are_those_of_a_list"],
    ),
    ("isClosed", &["closing_a_result_set_twice_is_fine_and_makes_room"]),
    (
        "getColumnType, getBlob, getString, getLong, getDouble, getValue, isColumnNull, getRow, getCurrentRowData",
        &["values_are_read_as_what_they_are_or_refused"],
    ),
    ("getRows, getRowsData", &["rows_are_read_into_types_and_got_in_pieces"]),
];

/// What a transaction and a result set do, beside having the members that they have.
const BEHAVIOUR: &[Row] = &[
    ("statements in a transaction", &["a_transaction_resolves_conflicts_as_the_store_does"]),
    ("a statement that fails in one", &["a_statement_that_fails_leaves_the_transaction_as_it_was"]),
    ("a call after it has ended", &["a_transaction_that_sqlite_has_ended_is_closed"]),
    ("its result sets", &["result_sets_of_a_transaction_see_what_it_has_changed"]),
    (
        "lock conflicts",
        &["one_transaction_writes_at_a_time", "a_snapshot_that_was_overtaken_cannot_be_written"],
    ),
    ("a result set while others write", &["a_result_set_shows_the_store_as_it_was"]),
    ("errors at the first access", &["an_error_in_the_middle_is_an_error_of_the_move"]),
    ("rows of more than 2 MB", &["a_row_may_be_larger_than_the_window"]),
    ("a pragma of one connection", &["a_pragma_about_connections_holds_for_all_of_them"]),
    ("full text", &["full_text_and_r_trees_and_json_are_there"]),
];

/// Backup, restore, rebuild, replica.
const BACKUPS: &[Row] = &[
    ("backup under ''", &["backups_have_names_in_a_folder_of_their_file"]),
    (
        "backup under the same name",
        &["a_backup_beside_a_writer_holds_what_was_committed_and_replaces_the_one_before"],
    ),
    (
        "backup while somebody writes",
        &["a_backup_beside_a_writer_holds_what_was_committed_and_replaces_the_one_before"],
    ),
    (
        "backup of a read-only store",
        &["a_backup_beside_a_writer_holds_what_was_committed_and_replaces_the_one_before"],
    ),
    ("backup of a corrupt store", &["a_damaged_store_is_not_backed_up"]),
    ("backup of a store in memory", &["without_a_place_there_are_no_named_backups"]),
    ("backup of an encrypted store", &["a_backup_of_an_encrypted_store_opens_with_its_key_alone"]),
    ("backup, restore of a closed store", &["what_cannot_be_restored_changes_nothing"]),
    (
        "backup, restore of a directory or file that is missing, of the live path, of a deleted store",
        &["a_path_that_leads_nowhere_or_to_something_else_is_refused"],
    ),
    (
        "backup, restore of a path",
        &["another_store_takes_a_backup_only_by_name_and_never_below_its_level"],
    ),
    (
        "restore of a missing name, of one that is none",
        &["what_cannot_be_restored_changes_nothing"],
    ),
    (
        "restore of an empty, cut, damaged or foreign file",
        &["what_cannot_be_restored_changes_nothing"],
    ),
    ("restore with another key", &["a_backup_of_an_encrypted_store_opens_with_its_key_alone"]),
    (
        "restore while somebody writes, or of a read-only store",
        &["what_cannot_be_restored_changes_nothing"],
    ),
    (
        "restore with result sets, transactions, observers",
        &["a_restore_ends_what_shows_the_old_and_all_handles_go_on"],
    ),
    ("restore of a corrupt store", &["a_damaged_store_is_restored_in_use"]),
    (
        "restore: the version is read again",
        &["a_backup_beside_a_writer_holds_what_was_committed_and_replaces_the_one_before"],
    ),
    (
        "a crash in a backup or restore",
        &["a_crash_leaves_backups_and_plain_files_before_a_call_or_after_it"],
    ),
    ("corruption in use", &["a_damaged_store_answers_what_it_can_until_it_is_opened_again"]),
    (
        "allowRebuild: what was there",
        &["what_can_be_read_of_a_store_that_was_set_aside_is_brought_back"],
    ),
    (
        "rebuilt after a restore, of a read-only store",
        &["a_damaged_store_answers_what_it_can_until_it_is_opened_again"],
    ),
    ("a crash in a rebuild", &["a_crash_leaves_a_damaged_store_in_place_or_set_aside"]),
    (
        "repair from the replica",
        &[
            "a_store_answers_from_the_replica_and_is_repaired_from_it_whether_it_may_be_rebuilt_or_not",
        ],
    ),
    ("restore() without a replica", &["without_a_replica_nothing_is_restored_from_it"]),
    ("Backup(\"\")", &["a_backup_is_made_when_it_is_told_to_and_says_so"]),
    ("Backup(\"\") of a corrupt store", &["a_damaged_store_is_not_backed_up_to_the_replica"]),
    ("InterruptBackup", &["a_backup_that_is_interrupted_is_cancelled_and_another_one_works"]),
    ("Backup(\"\"), InterruptBackup in another mode", &["who_is_not_to_be_told_refuses"]),
    ("the guide, R1 to R5", &["the_guide_does_what_it_says"]),
];

const LIMITS: &[Row] = &[
    (
        "4 transactions, 2 seconds",
        &["four_transactions_go_on_at_a_time_and_the_fifth_waits_for_two_seconds"],
    ),
    (
        "32766 parameters",
        &["more_values_than_sqlite_takes_are_an_error", "a_batch_is_inserted_whole_or_not_at_all"],
    ),
    ("2000 columns", &["a_table_has_at_most_2000_columns"]),
    ("1000 relational operators", &["more_conditions_than_sqlite_takes_are_an_error"]),
    ("10 attached stores", &["more_stores_than_sqlite_attaches_are_refused"]),
    ("64 result sets", &["sixty_four_result_sets_are_open_at_a_time"]),
    (
        "size of the log",
        &["a_limit_of_the_disk_is_14800047_at_an_open_and_a_full_disk_to_a_statement"],
    ),
];

const ERRORS: &[Row] = &[
    (
        "401",
        &[
            "an_insert_answers_the_rowid_and_leaves_the_rest_to_the_table",
            "a_version_is_from_1_and_stays",
        ],
    ),
    ("801", &["a_handle_that_only_reads_writes_nothing", "who_is_not_to_be_told_refuses"]),
    (
        "14800010",
        &[
            "what_cannot_be_restored_changes_nothing",
            "without_a_replica_nothing_is_restored_from_it",
        ],
    ),
    ("14800011", &["a_damaged_store_answers_what_it_can_until_it_is_opened_again"]),
    ("14800012", &["a_result_set_without_rows_has_columns"]),
    ("14800013", &["columns_are_found_by_name_and_by_number"]),
    (
        "14800014",
        &["closing_a_store_ends_everything_of_it", "an_environment_that_was_closed_says_so"],
    ),
    ("14800015", &["one_statement_writes_at_a_time_and_the_next_one_waits_for_two_seconds"]),
    ("14800016", &["an_alias_is_used_once_and_detached_as_often_as_one_likes"]),
    ("14800017", &["a_security_level_is_recorded_and_never_lowered"]),
    ("14800018", &["rows_are_read_into_types_and_got_in_pieces"]),
    ("14800019", &["what_is_no_query_is_refused"]),
    ("14800020", &["encryption_and_a_replica_are_those_of_the_environment"]),
    ("14800021", &["what_sqlite_refuses_has_its_number"]),
    ("14800022", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800023", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    (
        "14800024",
        &["one_transaction_writes_at_a_time", "a_snapshot_that_was_overtaken_cannot_be_written"],
    ),
    ("14800025", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800026", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800027", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800028", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800029", &["a_store_that_may_not_grow_is_full_and_goes_on"]),
    ("14800030", &["a_connection_that_cannot_be_opened_takes_nobodys_place"]),
    ("14800031", &["what_sqlite_refuses_has_its_number"]),
    ("14800032", &["a_commit_that_is_refused_has_not_happened"]),
    ("14800033", &["what_sqlite_refuses_has_its_number"]),
    ("14800034", &["codes_of_sqlite_are_the_numbers_of_arkdata"]),
    ("14800041", &["values_are_read_as_what_they_are_or_refused"]),
    ("14800042", &["a_store_that_is_deleted_is_gone_and_can_be_made_anew"]),
    ("14800047", &["a_limit_of_the_disk_is_14800047_at_an_open_and_a_full_disk_to_a_statement"]),
];

/// Members and numbers of ArkData's that are not here, which the guide says.
const LEFT_OUT: &[&str] = &[
    "isVectorSupported, isTokenizerSupported, setLocale, cryptoParam, rekey, rekeyEx, customDir, rootDir, dataGroupId",
    "pluginLibs, tokenizer, vector, enableSemanticIndex, isSearchable, autoCleanDirtyData, autoCleanDeviceDirtyData",
    "queryLockedRow, lockRow, unlockRow, remoteQuery, querySharingResource, interProcess, emit, statistics, perfStat",
    "sqliteErrorOccurred, autoSyncProgress, OH_Rdb_RegisterCorruptedHandler, setDistributedTables, sync, syncEx",
    "obtainDistributedTableName, cloudSync, cloudSyncEx, stopCloudSync, getModifyTime, cleanDirtyData",
    "retainDeviceData, updateDistributedInfo, lockCloudContainer, unlockCloudContainer, inDevices, inAllDevices",
    "getAsset, getAssets, getFloat32Array, getSendableRow, DataSharePredicates, 201, 202, 14800000, 14800043",
    "14800050, 14800051, 14801001, 14801002",
];

/// What lies below folders of the crates.
fn below(folders: &[&str]) -> Named {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    Named::below(folders.iter().map(|folder| crates.join(folder)))
}

const GUIDE: &str = include_str!("../../../../docs/guide/arkdata-rdb.md");

/// The identifiers and numbers of a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
    words.filter(|word| !word.is_empty())
}

#[test]
fn every_row_has_a_test() {
    let tests = below(&["cairn-rdb/src", "cairn-rdb/tests/it", "cairndb/examples"]);
    let rows = [MEMBERS, BEHAVIOUR, BACKUPS, LIMITS, ERRORS].concat();
    assert!(rows.iter().all(|(_, named)| !named.is_empty()));
    let missing = tests.missing(rows.iter().flat_map(|(_, named)| named.iter().copied()));
    assert!(missing.is_empty(), "tests that are not there: {missing:?}");
}

#[test]
fn the_guide_names_each_member_of_arkdata_here_or_left_out() {
    let guide: BTreeSet<&str> = words(GUIDE).collect();
    let members = MEMBERS.iter().map(|(members, _)| *members).chain(LEFT_OUT.iter().copied());
    let missing: Vec<_> =
        members.flat_map(words).filter(|member| !guide.contains(member)).collect();
    assert!(missing.is_empty(), "members that the guide does not name: {missing:?}");
}

/// Each number that `code()` gives is a row, and each row a number that it gives.
#[test]
fn every_number_has_a_row() {
    let source = include_str!("../../src/error.rs");
    let (source, _) = source.split_once("#[cfg(test)]").unwrap();
    let is_number = |word: &&str| word.starts_with("14_80") || ["401", "801"].contains(word);
    let given: BTreeSet<_> =
        words(source).filter(is_number).map(|number| number.replace('_', "")).collect();
    let rows: BTreeSet<_> = ERRORS.iter().map(|(number, _)| (*number).to_string()).collect();
    assert_eq!(given, rows);
}

/// What the guide names as ours, in code: functions, fields, types, variants.
#[test]
fn the_guide_names_what_there_is() {
    const OTHERS: &[&str] = &["Option", "closure", "KvStore", "within"];
    let ours = below(&["cairn-rdb/src", "cairn-env/src"]);
    let declared: BTreeSet<&str> = ours.text().lines().flat_map(declared).collect();
    let mut checked = BTreeSet::new();
    for cell in column(GUIDE, "here") {
        for name in cell.split('`').skip(1).step_by(2).flat_map(words) {
            if name.len() > 2 && !OTHERS.contains(&name) {
                assert!(declared.contains(name), "{name:?}, of {cell:?}, is not in the library");
                checked.insert(name);
            }
        }
    }
    assert!(checked.len() > 120, "{} names: {checked:?}", checked.len());
}

/// What a line may declare: the word at its beginning (a field, a variant, what a macro makes a function of), and those
/// after words that declare.
fn declared(line: &str) -> impl Iterator<Item = &str> {
    const DECLARE: &[&str] = &["pub", "fn", "struct", "enum", "const", "trait", "type", "mod"];
    let is_code = !line.trim_start().starts_with("//");
    let mut before = "pub";
    words(if is_code { line } else { "" }).filter(move |word| {
        let is_declared = DECLARE.contains(&before) && !DECLARE.contains(word);
        before = word;
        is_declared
    })
}
