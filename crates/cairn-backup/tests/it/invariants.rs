//! Which tests stand for each invariant of a backup repository.
//!
//! The numbers are those of the study of backups, in which each of them comes from something that went wrong for users of
//! other systems.

use std::{collections::BTreeSet, path::Path};

use cairn_sim::Named;

/// The number of an invariant, what it says, and the tests that would fail without it.
type Row = (u8, &'static str, &'static [&'static str]);

const INVARIANTS: &[Row] = &[
    (
        1,
        "a listed point has only durable objects, wherever a writer crashes",
        &[
            "each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost",
            "each_sync_of_a_repository_is_needed",
        ],
    ),
    (
        2,
        "what a restore brings back is what was there at the cut",
        &["each_point_of_random_histories_comes_back_as_it_was"],
    ),
    (
        3,
        "a transaction over any stores is in a point as a whole or not at all",
        &[
            "every_hot_backup_restores_all_stores_to_one_commit",
            "every_point_of_a_repository_restores_all_stores_to_one_commit",
            "a_hundred_backups_under_writers_and_the_cleaner_are_each_their_cut",
        ],
    ),
    (
        4,
        "a backup changes neither what is committed nor how the source recovers",
        &[
            "each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost",
            "writers_checkpoints_and_the_cleaner_go_on_during_a_backup",
        ],
    ),
    (
        5,
        "a backup that is killed leaves source and repository valid, and the next one succeeds",
        &[
            "each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost",
            "whatever_fails_is_an_error_and_the_next_backup_goes_on_with_what_is_there",
        ],
    ),
    (
        6,
        "a restore that is killed leaves the old or the new",
        &[
            "a_restore_that_was_cut_short_anywhere_goes_on_with_what_it_has_brought",
            "a_restore_in_place_leaves_the_old_or_the_new",
        ],
    ),
    (
        7,
        "points that stay are restorable after any crash of a prune, and whoever stores meanwhile or later loses nothing",
        &[
            "a_prune_that_is_killed_anywhere_keeps_every_point_that_stays_restorable",
            "a_writer_stalled_across_a_prune_loses_nothing",
            "what_a_point_needs_that_came_after_the_plan_is_spared",
        ],
    ),
    (
        8,
        "two writers lose no point and mix no timelines",
        &[
            "two_writers_at_the_same_time_both_have_their_point",
            "two_who_ship_the_same_make_one_chain",
        ],
    ),
    (
        9,
        "a flipped bit is found, with its place, and never restored",
        &[
            "each_flipped_bit_is_found_and_located_and_never_restored",
            "each_flipped_bit_of_shipped_journal_is_found_and_never_restored",
            "each_flipped_bit_of_a_proof_is_found_and_proves_nothing",
        ],
    ),
    (
        10,
        "objects that were cut, exchanged or replayed are found",
        &[
            "each_object_that_was_cut_or_has_gone_is_found",
            "no_object_passes_for_another",
            "no_object_of_another_repository_passes",
            "segments_that_are_missing_cut_or_swapped_are_found",
        ],
    ),
    (
        11,
        "nothing is written outside of the target, whatever a repository says",
        &["what_is_no_name_is_none", "restore_plan"],
    ),
    (12, "decoders take no more memory than their input justifies", &["repository_object"]),
    (
        13,
        "a full or failing disk at any call is an error and no half success",
        &[
            "each_failed_call_of_the_disk_comes_out_and_harms_nothing",
            "a_place_that_is_full_is_an_error_and_shipping_goes_on_when_there_is_room",
        ],
    ),
    (
        14,
        "what is said to be restorable is",
        &["what_is_said_to_be_restorable_is_in_random_histories"],
    ),
    (
        15,
        "no gap is passed over",
        &[
            "journal_that_went_before_it_was_shipped_is_a_hole_with_a_new_point_behind_it",
            "whatever_journal_file_is_missing_or_damaged_the_history_ends_before_it_and_says_so",
        ],
    ),
    (
        16,
        "each commit of a short history can be restored",
        &[
            "each_commit_that_was_shipped_comes_back_as_it_was",
            "each_commit_that_a_journal_holds_can_be_restored",
        ],
    ),
    (
        17,
        "what was restored is backed up again, and points from before stay restorable",
        &[
            "what_was_restored_is_backed_up_again_and_again",
            "a_restore_in_place_can_be_undone_and_the_next_points_are_of_another_timeline",
            "what_was_restored_ships_on_a_timeline_of_its_own",
        ],
    ),
    (
        18,
        "after a change of keys the old passphrase fails, the new one works, and no data was rewritten",
        &[
            "after_a_rotation_the_old_passphrase_fails_the_new_one_opens_and_no_object_is_rewritten",
            "after_a_crash_the_keys_of_before_or_of_after_a_change_open_an_encrypted_repository",
        ],
    ),
    (
        19,
        "a wrong or missing key is found before anything is written",
        &[
            "a_wrong_or_missing_key_is_found_before_anything_is_written",
            "nothing_is_written_for_a_wrong_key_or_without_one",
        ],
    ),
    (
        20,
        "an encrypted repository has nothing in the clear",
        &[
            "no_canary_is_anywhere_in_an_encrypted_repository_at_any_moment",
            "a_canary_shows_in_a_repository_that_is_not_encrypted",
        ],
    ),
    (
        21,
        "a clock that goes back changes times and nothing else",
        &[
            "times_marks_and_positions_lead_into_shipped_journal",
            "a_clock_that_goes_back_removes_nothing",
        ],
    ),
    (
        22,
        "listings that lack something delete nothing and complete nothing",
        &[
            "a_listing_that_lacks_points_loses_none",
            "a_listing_that_lacks_objects_loses_none_and_finds_nothing_missing",
            "a_listing_that_lacks_something_deletes_nothing_that_is_needed",
        ],
    ),
    (
        23,
        "a put whose answer was lost makes one point",
        &["whatever_fails_is_an_error_and_the_next_backup_goes_on_with_what_is_there"],
    ),
    (
        24,
        "a slow backup keeps no more than its budget, and fails cleanly",
        &["a_backup_over_its_budget_loses_its_files_and_says_so"],
    ),
    (
        25,
        "a delta restore brings back what a full one does, whatever lies in the target",
        &["a_delta_restore_is_byte_equal_to_a_full_one_whatever_lies_in_the_target"],
    ),
    (
        26,
        "one store comes back as a full restore would have it, and the others are untouched",
        &[
            "one_store_is_that_of_the_full_restore_and_the_others_are_untouched",
            "into_another_environment_it_comes_alone",
        ],
    ),
    (
        27,
        "two points that are the same do not differ, and what differs leads from one to the other",
        &["what_differs_between_two_points_is_nothing_or_leads_from_one_to_the_other"],
    ),
    (
        30,
        "an increment stores the new bytes of the log and little else",
        &[
            "an_incremental_writes_at_most_the_new_log_bytes_and_one_mebibyte",
            "the_next_point_stores_what_is_new",
        ],
    ),
    (
        31,
        "progress goes up and ends at the end",
        &["progress_is_monotone_and_ends_at_100_percent_whatever_the_number_of_threads"],
    ),
    (32, "JSON follows the published schema", &["the_published_schema_is_of_what_commands_print"]),
    (
        33,
        "a drill leaves no residue",
        &[
            "a_drill_restores_a_point_looks_at_it_and_leaves_what_it_has_found_and_no_residue",
            "a_drill_that_ends_anywhere_leaves_what_the_next_one_removes",
        ],
    ),
];

/// Those of what there is not yet: a feed of changes, and older versions.
const LATER: &[u8] = &[28, 29];

/// Fuzz targets, which tests replay.
const TARGETS: &[&str] = &["repository_object", "restore_plan"];

#[test]
fn every_invariant_has_a_test() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folders =
        ["cairn-backup", "cairn-cli/tests", "cairn-env/tests", "cairn-torture", "cairndb/tests"];
    let tests = Named::below(folders.map(|folder| crates.join(folder)));
    let named = INVARIANTS.iter().flat_map(|(_, _, named)| named.iter().copied());
    let (targets, named): (Vec<&str>, Vec<&str>) = named.partition(|name| TARGETS.contains(name));
    let missing = tests.missing(named);
    assert!(missing.is_empty(), "tests that are not there: {missing:?}");
    let is_there = |target: &&str| tests.text().contains(&format!("pub fn {target}("));
    assert!(targets.iter().all(is_there) && targets.len() == TARGETS.len(), "{targets:?}");
    let numbers = INVARIANTS.iter().map(|(number, ..)| *number).chain(LATER.iter().copied());
    assert_eq!(numbers.collect::<BTreeSet<_>>(), (1..=33).collect());
}
