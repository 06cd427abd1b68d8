//! The incidents, class by class.

use super::{Class, Row};

pub(super) const CLASSES: &[Class] = &[
    Class {
        letter: 'A',
        name: "Reported good, not restorable",
        rule: "That a backup is complete is found out by reading it back and opening it, and is no flag that its writer sets. A point is \
               *copied*, *checked* or *proved*, and every listing says which.",
        rows: &[
            Row {
                numbers: &[1],
                happened: "two files copied one after the other, \"verified\" because they were not small; always corrupt under load",
                here: "a point is checked by its hashes and proved by an open that reads all of it; what is damaged gets no proof",
                tests: &[
                    "a_point_is_proved_where_it_lies_and_only_the_proof_is_written",
                    "a_point_that_is_damaged_is_not_proved",
                    "a_check_makes_of_points_what_its_level_proves_if_it_is_told_to_record_it",
                ],
            },
            Row {
                numbers: &[2],
                happened: "five ways to back up, none of which worked on the day; their failures had been mailed to nobody",
                here: "a drill restores, asks the user's own questions, and records what came of it; metrics say how old the last good one is",
                tests: &[
                    "what_keeps_a_restore_from_succeeding_fails_a_drill_and_is_recorded",
                    "a_policy_says_when_the_next_drill_is_due",
                    "figures_are_told_to_a_collector",
                ],
            },
            Row {
                numbers: &[3],
                happened: "killed during the upload; the restore succeeds with an empty or invalid database",
                here: "the point is stored last, and lists only what is durable",
                tests: &[
                    "each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost",
                    "a_published_backup_is_whole_or_none",
                ],
            },
            Row {
                numbers: &[4],
                happened: "a copy drops data in five ways and exits with 0",
                here: "what a point holds is counted when it is proved, and compared each time",
                tests: &[
                    "every_kind_of_environment_can_be_backed_up",
                    "what_opens_and_holds_other_entries_than_when_it_was_proved_is_a_finding_and_no_proof",
                ],
            },
            Row {
                numbers: &[5],
                happened: "snapshots without a hash, noticed when they were needed",
                here: "no byte is in a backup without one",
                tests: &["each_flipped_bit_is_found_and_located_and_never_restored"],
            },
            Row {
                numbers: &[6],
                happened: "every resumed backup inconsistent, since a comparison of times had been dropped",
                here: "what is there is used again only if it has the right hash; names and times say nothing",
                tests: &[
                    "a_file_of_the_same_name_is_not_the_same_file",
                    "objects_that_somebody_has_left_are_used_only_if_they_hold_what_the_file_holds",
                    "a_backup_is_whole_although_objects_of_the_one_before_are_damaged_or_gone",
                ],
            },
            Row {
                numbers: &[7],
                happened: "a file that vanished during a backup corrupted the entry of its neighbour",
                here: "the files of a cut are pinned until they are copied; if they must go, the backup fails and says so",
                tests: &[
                    "writers_checkpoints_and_the_cleaner_go_on_during_a_backup",
                    "a_backup_over_its_budget_loses_its_files_and_says_so",
                ],
            },
            Row {
                numbers: &[8],
                happened: "tablespaces were never backed up",
                here: "data directories are part of the environment, and each file comes back into its own",
                tests: &["a_restore_keeps_each_file_in_its_directory"],
            },
            Row {
                numbers: &[9],
                happened: "corruption that was seen while a backup was made was ignored",
                here: "a damaged environment is not backed up; the file is named",
                tests: &["a_damaged_environment_is_not_backed_up"],
            },
            Row {
                numbers: &[10],
                happened: "a compressor damaged what it wrote",
                here: "what was stored is read back and decompressed before the point is",
                tests: &[
                    "what_is_read_back_wrong_is_not_told_to_anybody",
                    "a_read_that_is_wrong_once_never_gets_into_a_backup",
                ],
            },
            Row {
                numbers: &[11, 12],
                happened: "increments lacked keys, brought deleted ones back, or began one commit too late; of several trees one lost data",
                here: "each point is whole by itself, at one commit for all stores",
                tests: &[
                    "each_point_of_random_histories_comes_back_as_it_was",
                    "every_point_of_a_repository_restores_all_stores_to_one_commit",
                ],
            },
        ],
    },
    Class {
        letter: 'B',
        name: "A torn copy of a live database",
        rule: "One call takes all stores at one commit. There are no files beside an environment that belong to it: no `-wal`, no `-journal`.",
        rows: &[
            Row {
                numbers: &[13, 14],
                happened: "the main file replaced under an open database, or beside its old log, which is then replayed into it",
                here: "a restore in place makes a new generation, and one rename switches; files of another history are refused",
                tests: &[
                    "a_restore_in_place_leaves_the_old_or_the_new",
                    "log_files_swapped_with_a_restored_copy_are_refused_unless_they_are_the_same",
                ],
            },
            Row {
                numbers: &[15, 16, 17],
                happened: "copied without its log, or while it was written: it opens, and is old, empty or torn",
                here: "a copy made file by file opens at one commit, or is refused by name",
                tests: &[
                    "a_copy_taken_while_writing_is_one_commit_or_refused_by_name",
                    "real_files_copied_while_a_thread_writes_are_one_commit_or_refused_by_name",
                    "a_wrong_copy_is_named_and_nothing_is_published",
                ],
            },
            Row {
                numbers: &[18, 20],
                happened: "the copy is never synced",
                here: "each sync of a backup, a repository and a restore is shown to be needed by a crash that breaks without it",
                tests: &[
                    "each_sync_of_a_repository_is_needed",
                    "each_sync_of_a_restore_in_place_is_needed",
                    "what_is_linked_is_durable_even_if_the_backup_before_is_not",
                ],
            },
            Row {
                numbers: &[19],
                happened: "a log file in the middle was missing",
                here: "journal files name the one before them; what is missing is named, and nothing after it counts",
                tests: &[
                    "a_journal_file_that_is_missing_from_a_history_is_named_and_never_left_out",
                ],
            },
        ],
    },
    Class {
        letter: 'C',
        name: "A gap in the chain",
        rule: "A segment names the hash of the one before, and where it begins and ends. What can be restored is told as intervals, with the \
               holes between them; no moment outside of one can be named, and a gap is followed by a new point.",
        rows: &[
            Row {
                numbers: &[21, 22, 23],
                happened: "the first segment is missing, or one in the middle, or one lost frame ends the restore without a word",
                here: "found by the check without reading the journal, and never restored past",
                tests: &[
                    "segments_that_are_missing_cut_or_swapped_are_found",
                    "segments_that_do_not_fit_each_other_are_found_without_reading_the_journal",
                ],
            },
            Row {
                numbers: &[24],
                happened: "the second page of a listing was ignored",
                here: "what a listing lacks is asked for by its number",
                tests: &[
                    "a_listing_that_lacks_points_loses_none",
                    "a_listing_that_lacks_objects_loses_none_and_finds_nothing_missing",
                    "keys_that_a_listing_lacks_count_all_the_same",
                ],
            },
            Row {
                numbers: &[25, 27],
                happened: "archiving was off for an hour, or in error, and nobody was told until the restore",
                here: "a place that fails is told of at once and tried again; journal that went unshipped is a hole, with a new point behind it",
                tests: &[
                    "a_place_that_fails_is_told_of_and_tried_again_each_second_until_it_answers",
                    "journal_that_went_before_it_was_shipped_is_a_hole_with_a_new_point_behind_it",
                ],
            },
            Row {
                numbers: &[26, 28],
                happened: "the restore passed over a missing log file, or began at a wrong one, and reported success",
                here: "the history ends before it, and says so",
                tests: &[
                    "whatever_journal_file_is_missing_or_damaged_the_history_ends_before_it_and_says_so",
                    "shipping_goes_on_behind_a_segment_that_is_damaged",
                ],
            },
            Row {
                numbers: &[29],
                happened: "a moment was offered that is later than what was stored",
                here: "what is said to be restorable is restored in tests, commit by commit; what is not is refused",
                tests: &[
                    "what_is_said_to_be_restorable_is_in_random_histories",
                    "a_moment_that_is_not_in_the_history_is_refused",
                ],
            },
        ],
    },
    Class {
        letter: 'D',
        name: "Prune, collection or retention deleted what was needed",
        rule: "Prune is a plan, the proof that what stays is whole, a tomb, a time in which all can be taken back, and only then a deletion. \
               Repair writes beside, never over.",
        rows: &[
            Row {
                numbers: &[30],
                happened: "two maintenances at the same time, under one name",
                here: "of two who remove points at the same time one does; the other is told",
                tests: &["of_two_who_prune_at_the_same_time_one_does_and_what_stays_is_whole"],
            },
            Row {
                numbers: &[31],
                happened: "compaction stamped everything with now, so that old points vanished",
                here: "what stays is decided by what points say of themselves, and is the same whenever it is asked",
                tests: &["a_clock_that_is_wrong_by_any_amount_keeps_as_many"],
            },
            Row {
                numbers: &[32, 33],
                happened: "the first deletion took all of the log, the newest backup, or what a rule of the bucket said",
                here: "journal that leads from a point which stays to a later moment stays as well; what goes by other hands is found",
                tests: &[
                    "journal_that_stays_leads_from_the_points_that_stay_to_every_commit",
                    "each_object_that_was_cut_or_has_gone_is_found",
                ],
            },
            Row {
                numbers: &[34],
                happened: "a floor counted increments; deleting the full one cascaded to none",
                here: "no point needs another; each stays for reasons of its own, which the plan names",
                tests: &[
                    "what_stays_is_what_each_point_by_itself_has_a_reason_for",
                    "nothing_goes_for_a_reason_that_is_told",
                ],
            },
            Row {
                numbers: &[35, 37],
                happened: "removed what a backup in progress, by another host or another tool, was about to use",
                here: "what a point needs that came later is spared; a writer who comes too late fails or takes another number",
                tests: &[
                    "what_a_point_needs_that_came_after_the_plan_is_spared",
                    "a_writer_stalled_across_a_prune_loses_nothing",
                ],
            },
            Row {
                numbers: &[36],
                happened: "a prune needed room on a disk that was full",
                here: "it fails before anything is gone, and goes on when there is room",
                tests: &["a_prune_in_a_place_that_is_full_removes_nothing_that_stays"],
            },
            Row {
                numbers: &[38],
                happened: "a file that a reader had open was collected; a name was used again",
                here: "nothing is deleted within the grace; numbers are never used again",
                tests: &[
                    "what_goes_can_be_taken_back_until_it_is_deleted_and_what_stays_is_whole",
                    "a_prune_that_is_killed_anywhere_keeps_every_point_that_stays_restorable",
                ],
            },
            Row {
                numbers: &[39],
                happened: "\"keep 5\" was read as 5 days",
                here: "`--keep-last 5` and `--keep-within 5d` are two options, and a plan is shown before anything goes",
                tests: &["it_is_told_to_people"],
            },
            Row {
                numbers: &[40],
                happened: "the opposite: marks of the dead pin space for ever",
                here: "who is killed gives back what it has pinned",
                tests: &[
                    "the_pin_of_a_killed_reader_goes_with_what_it_pinned",
                    "a_reader_that_is_killed_gives_its_pin_and_the_space_back",
                ],
            },
            Row {
                numbers: &[41],
                happened: "repair dropped what was valid",
                here: "repair and salvage make something new beside, and say what is missing",
                tests: &[
                    "a_sound_environment_comes_through_whole",
                    "what_cannot_be_repaired_is_refused_and_the_target_stays_as_it_is",
                ],
            },
        ],
    },
    Class {
        letter: 'E',
        name: "A restore races retention",
        rule: "What is about to be deleted stays for a time that is longer than a restore; what is gone all the same is named, and the restore \
               opens nowhere.",
        rows: &[Row {
            numbers: &[42],
            happened: "the plan is made, a file is deleted, the restore dies",
            here: "a restore that has begun ends well within the grace; beyond it the object is named, nothing opens, and another point is restored",
            tests: &["a_restore_goes_on_while_its_point_goes_and_names_what_was_deleted_under_it"],
        }],
    },
    Class {
        letter: 'F',
        name: "Restore destroyed the good copy, or is not atomic",
        rule: "A restore is staged beside, verified, synced, and switched to by one rename; what was there is kept until the new one has opened.",
        rows: &[
            Row {
                numbers: &[43, 44, 45],
                happened: "the restore begins by deleting, or overwrites without asking; a loss of power leaves neither",
                here: "the old generation stays until the new one has opened, whatever happens",
                tests: &[
                    "a_restore_in_place_leaves_the_old_or_the_new",
                    "a_restore_that_fails_leaves_the_environment_as_it_was",
                    "the_old_generation_stays_if_the_new_one_does_not_open",
                ],
            },
            Row {
                numbers: &[46],
                happened: "files that looked the same by size and time were kept, and were stale",
                here: "a file is kept if its hash is right",
                tests: &["a_delta_restore_is_byte_equal_to_a_full_one_whatever_lies_in_the_target"],
            },
            Row {
                numbers: &[47, 48],
                happened: "the mark of an unfinished restore was itself torn, or there was none",
                here: "a half restored directory does not open and says how to go on, wherever it was cut short",
                tests: &[
                    "a_half_restored_directory_does_not_open_and_a_second_restore_completes_it",
                    "a_restore_that_was_cut_short_anywhere_goes_on_with_what_it_has_brought",
                ],
            },
            Row {
                numbers: &[49],
                happened: "a crash left an empty table of nobody's",
                here: "an import is one commit",
                tests: &["a_crash_in_an_import_leaves_the_old_store_or_the_new_one"],
            },
            Row {
                numbers: &[50, 53],
                happened: "restored over data that was there, unasked",
                here: "what was not asked for is refused and changes nothing",
                tests: &[
                    "what_was_not_asked_for_is_refused_and_changes_nothing",
                    "targets_that_hold_something_are_refused_and_left_alone",
                ],
            },
            Row {
                numbers: &[51],
                happened: "the backup was looked at after the destructive steps",
                here: "missing objects, wrong keys and moments out of reach are found before anything is written",
                tests: &[
                    "missing_cut_and_swapped_files_are_found_before_anything_is_written",
                    "a_wrong_or_missing_key_is_found_before_anything_is_written",
                ],
            },
            Row {
                numbers: &[52],
                happened: "a new file system was \"not empty\" because of `lost+found`",
                here: "that is not content, for a backup, a repository, a restore, and an environment",
                tests: &["a_new_file_system_is_an_empty_target"],
            },
        ],
    },
    Class {
        letter: 'G',
        name: "Identity and history",
        rule: "An environment has a uuid, and each restore opens a timeline of its own. A position or a number alone names nothing.",
        rows: &[
            Row {
                numbers: &[54, 56],
                happened: "a stale disk uploads over newer history, or what was restored silently uploads nothing",
                here: "who went another way is refused; what was restored ships and is backed up on its own timeline",
                tests: &[
                    "an_environment_that_went_on_before_what_was_shipped_of_it_is_refused",
                    "a_copy_that_went_its_own_way_is_refused",
                    "what_was_restored_ships_on_a_timeline_of_its_own",
                ],
            },
            Row {
                numbers: &[55],
                happened: "files are named by number, and two histories have the same numbers",
                here: "objects are named by what they hold, and say of which history they are",
                tests: &[
                    "a_copy_whose_newest_journal_file_begins_otherwise_is_refused_and_the_file_is_named",
                    "a_restore_in_place_can_be_undone_and_the_next_points_are_of_another_timeline",
                ],
            },
            Row {
                numbers: &[57],
                happened: "two backups with one label",
                here: "points have numbers, of which two writers never get the same",
                tests: &[
                    "two_writers_at_the_same_time_both_have_their_point",
                    "points_are_found_by_number_and_label",
                ],
            },
        ],
    },
    Class {
        letter: 'H',
        name: "Keys",
        rule: "Wrapped keys travel with the backup, and are tried when it is made. What is restored is encrypted as it was, unless the contrary \
               is said in so many words.",
        rows: &[
            Row {
                numbers: &[58, 59],
                happened: "the data came back, and the key was gone, or had stayed in the keystore of the old device",
                here: "a backup has the keys of its time; a program whose key does not open them is told when it backs up",
                tests: &[
                    "a_backup_has_the_keys_of_its_time",
                    "a_program_whose_key_was_rotated_away_is_refused_its_backup",
                    "a_printed_recovery_key_opens_an_encrypted_repository",
                ],
            },
            Row {
                numbers: &[60, 62],
                happened: "a copy of an encrypted database was written in the clear, or restored so",
                here: "ciphertext is copied as it is; into the clear only where somebody says so",
                tests: &[
                    "a_backup_is_checked_without_a_key_and_restored_only_with_it",
                    "what_was_encrypted_comes_into_a_plain_environment_only_if_that_is_said",
                    "what_is_encrypted_comes_into_the_clear_only_where_somebody_says_so",
                ],
            },
            Row {
                numbers: &[61],
                happened: "encryption disappeared in a rewrite",
                here: "nothing of a canary shows in an encrypted repository at any moment; encrypted goldens of each version open",
                tests: &[
                    "no_canary_is_anywhere_in_an_encrypted_repository_at_any_moment",
                    "golden_repositories_are_checked_and_each_point_is_restored",
                ],
            },
        ],
    },
    Class {
        letter: 'I',
        name: "Clocks",
        rule: "What comes after what is told by commits and numbers. Time is a label; prune refuses where it makes no sense.",
        rows: &[
            Row {
                numbers: &[63, 65],
                happened: "maintenance was refused for a skew that was none; snapshots came from the future",
                here: "nothing but times differs, and the newest point is that of the newest commit",
                tests: &[
                    "times_marks_and_positions_lead_into_shipped_journal",
                    "a_point_from_the_future_is_not_the_newest_and_keeps_nobody_from_going_on",
                ],
            },
            Row {
                numbers: &[64],
                happened: "a step forward wiped the whole window",
                here: "as many stay, however far the clock is off; before the newest point nothing goes",
                tests: &[
                    "a_clock_that_is_wrong_by_any_amount_keeps_as_many",
                    "a_clock_that_goes_back_removes_nothing",
                ],
            },
        ],
    },
    Class {
        letter: 'J',
        name: "The backup hurts the live database",
        rule: "What a backup pins has a budget of bytes and time, and shows in the statistics.",
        rows: &[
            Row {
                numbers: &[66, 69],
                happened: "a checkpoint for the backup hung the application; a forgotten end of a backup filled the disk",
                here: "writers, checkpoints and the cleaner go on; over its budget a backup loses its files, and says so",
                tests: &[
                    "a_hundred_backups_under_writers_and_the_cleaner_are_each_their_cut",
                    "a_backup_over_its_budget_loses_its_files_and_says_so",
                    "who_holds_back_what_a_limit_needs_is_named",
                ],
            },
            Row {
                numbers: &[67],
                happened: "a crash during a backup went back to an older checkpoint; a failed increment left the source bad",
                here: "a backup changes nothing of how its source recovers",
                tests: &[
                    "each_point_that_is_listed_is_whole_and_none_that_was_reported_is_lost",
                    "each_failed_call_of_the_disk_comes_out_and_harms_nothing",
                ],
            },
            Row {
                numbers: &[68],
                happened: "the backup blocks writers",
                here: "they commit while it copies",
                tests: &["a_backup_under_load_is_one_commit"],
            },
        ],
    },
    Class {
        letter: 'K',
        name: "Exhaustion",
        rule: "Room is asked for on both sides before anything is written; queues are bounded; a full disk is tried at every call.",
        rows: &[
            Row {
                numbers: &[70, 71],
                happened: "the limit of a queue did not hold when one segment failed, or the fix buffered without bound",
                here: "what waits to be shipped waits as journal on the disk, and counts there against the limit, by name",
                tests: &[
                    "who_holds_back_what_a_limit_needs_is_named",
                    "whatever_fails_the_next_step_goes_on_and_each_commit_is_there_once",
                ],
            },
            Row {
                numbers: &[72, 73],
                happened: "the restore ran on after the disk was full; a full staging disk had been swallowed",
                here: "each failing call comes out as an error, and what has room asked for goes on",
                tests: &[
                    "a_place_that_is_full_is_an_error_and_shipping_goes_on_when_there_is_room",
                    "what_is_there_is_not_asked_room_for",
                ],
            },
            Row {
                numbers: &[74],
                happened: "gigabytes of memory for millions of files",
                here: "a plan over many points, and a count that a file only claims, take what they need",
                tests: &[
                    "a_plan_of_many_points_keeps_the_parts_of_those_that_stay",
                    "a_count_of_parts_that_are_not_there_costs_nothing",
                ],
            },
        ],
    },
    Class {
        letter: 'L',
        name: "Security",
        rule: "A restore takes no path from a repository: names are made of numbers. What is encrypted is authentic. Every decoder is fuzzed.",
        rows: &[
            Row {
                numbers: &[75],
                happened: "paths in a manifest led out of the target",
                here: "what is no name of an object or a log file is none",
                tests: &[
                    "what_is_no_name_is_none",
                    "hostile_names_lengths_and_counts_are_refused",
                    "names_of_backups_lead_nowhere_else",
                ],
            },
            Row {
                numbers: &[76],
                happened: "manifests and archives could be forged",
                here: "objects do not pass for others, nor plain ones for encrypted ones, with whatever hashes put right",
                tests: &[
                    "no_object_passes_for_another",
                    "no_object_of_another_repository_passes",
                    "what_is_not_encrypted_does_not_pass_in_an_encrypted_repository_nor_the_other_way_round",
                    "a_restore_notices_each_record_that_was_changed_with_all_hashes_made_right",
                ],
            },
            Row {
                numbers: &[77],
                happened: "the sizes of chunks gave a secret parameter away",
                here: "parts are cut by position, and the same content is other bytes each time",
                tests: &["the_same_content_is_other_bytes_each_time_and_comes_back"],
            },
            Row {
                numbers: &[78],
                happened: "a length in a dump sized a buffer",
                here: "no decoder takes more than its input justifies",
                tests: &[
                    "a_few_bytes_cannot_stand_for_many",
                    "a_bomb_is_refused_before_it_goes_off",
                    "hostile_lengths_counts_and_names_are_refused",
                ],
            },
        ],
    },
    Class {
        letter: 'M',
        name: "Versions",
        rule: "A golden repository of every version is checked and restored; what a later version wrote is refused by name. What stores were made \
               with is part of them.",
        rows: &[
            Row {
                numbers: &[79, 80],
                happened: "a backup of an old version was restored wrongly by a new one, or not at all",
                here: "goldens of each version are restored, and later versions refused by name, unwritten",
                tests: &[
                    "golden_repositories_are_checked_and_each_point_is_restored",
                    "a_point_of_a_later_version_is_refused_by_name_and_nothing_is_restored",
                    "nothing_is_stored_behind_what_only_a_later_version_may_write_behind",
                ],
            },
            Row {
                numbers: &[81],
                happened: "the parameters of a store did not survive dump and restore",
                here: "kinds, schemas, indexes and directories come back with what is in them",
                tests: &[
                    "what_stores_were_made_with_comes_back_with_them",
                    "a_store_comes_back_with_everything_that_belongs_to_it",
                ],
            },
        ],
    },
];
