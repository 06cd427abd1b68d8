//! `tell`: what backups, shipping and restores tell to whoever subscribes to `tracing`.
//!
//! The list, and what holds for all events, is in [`cairn_env::tell`]; `docs/events.md` is made from both.

pub(crate) use cairn_env::tell::display;

cairn_env::declare_events! { "cairn::backup":
    /// A backup into a directory, or a point, has begun: what of the environment has to be copied or is there.
    DEBUG backup_begun(to, commit, files, bytes) "backup begun";
    /// A backup into a directory is published.
    INFO backed_up(to, commit, files, bytes) "backup complete";
    /// A point is stored.
    INFO point_stored(repository, number, commit, new_objects, new_bytes) "point stored";
    /// Journal was shipped, up to this commit.
    DEBUG shipped(repository, commit, segments, bytes) "journal shipped";
    /// What was shipped before has come to its end: the moments up to the next point cannot be restored.
    WARN shipping_gap(repository, why) "gap in shipped journal";
    /// The worker that ships could not; it tries again each second.
    WARN shipping_trouble(error) "shipping in trouble";
    /// Objects were looked at; what is wrong with them is in the report.
    INFO checked(repository, level, points, findings) "repository checked";
    /// A point was opened where it lies and read to its end.
    INFO proved(repository, number, commit) "point proved";
    /// A point was opened, and something is wrong with it.
    WARN not_proved(repository, number, findings) "point not proved";
    /// A point was restored to scratch, and every check passed.
    INFO drill_passed(repository, number, rto_micros) "drill passed";
    /// A drill has failed, at this stage.
    WARN drill_failed(repository, number, stage) "drill failed";
    /// Points are about to be deleted, and can be taken back.
    INFO pruned(repository, points, objects, bytes) "points put into a tomb";
    /// Points of which the grace has ended were deleted.
    INFO deleted(repository, points, objects, bytes) "points deleted";
    /// A restore has brought everything back, and has opened it.
    INFO restored(to, commit, files, bytes, in_place) "restore complete";
}
