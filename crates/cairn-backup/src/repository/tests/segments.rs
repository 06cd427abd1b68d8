//! Segments that say something wrong: what a check finds, and which moments are still said to be restorable.

use cairn_env::ErrorKind;
use cairn_io::MemDisk;
use cairn_log::{Digest, Timeline};

use super::forged::{Forged, backup_beside, fill, open, options, world};
use crate::{
    BackupResult, CheckFinding, CheckLevel, Hole, ObjectName, Repository, RestoreOptions,
    RestoreReport, RestoreTo, ShipOptions, TimelineIntervals, Which,
    repository::{segments::ReadSegment, statement::StatementKind},
};

#[track_caller]
fn assert_found(findings: &[CheckFinding], object: ObjectName, problem: &str, what: &str) {
    let is_it = |found: &CheckFinding| found.object == object && found.problem.contains(problem);
    assert!(findings.iter().any(is_it), "{what}: {findings:?}");
}

fn intervals(repository: &Repository) -> TimelineIntervals {
    let mut timelines = repository.intervals(None).unwrap();
    assert_eq!(timelines.len(), 1, "{timelines:?}");
    timelines.remove(0)
}

/// One row for each thing that a segment says of others, and that is not so.
#[test]
fn segments_that_do_not_fit_each_other_are_found_without_reading_the_journal() {
    type Forge = fn(&Forged) -> u64;
    let rows: [(&str, Forge, &str); 6] = [
        (
            "one again in the place of the next",
            |forged| {
                let ReadSegment { segment: third, .. } = forged.segment(3);
                forged.say_segment(2, |segment, _| *segment = third);
                2
            },
            "it does not go on from the segment before it",
        ),
        (
            "a point that there never was",
            |forged| {
                let last = forged.last_segment();
                forged.say_segment(last, |segment, _| segment.base = 9);
                last
            },
            "it goes on from point 9, which is not there",
        ),
        (
            "something before the first",
            |forged| {
                forged.say_segment(1, |_, previous| *previous = Digest([7; 32]));
                1
            },
            "it is the first, and names one before it",
        ),
        (
            "another one than the next has seen",
            |forged| {
                let read = forged.segment(2);
                let bytes = forged
                    .store()
                    .encode_segment(forged.environment, 2, Digest([7; 32]), &read.segment)
                    .unwrap();
                forged.backend.replace(forged.segment_name(2), bytes);
                2
            },
            "it is another one than the segment after it says",
        ),
        (
            "another timeline",
            |forged| {
                let last = forged.last_segment();
                forged.say_segment(last, |segment, _| segment.timeline = Timeline(9));
                last
            },
            "it is of the timeline 00000009",
        ),
        (
            "no content",
            |forged| {
                let (last, of) = (forged.last_segment(), forged.environment);
                let previous = forged.segment(last).previous;
                let bytes = forged.store().encode_statement(
                    StatementKind::Segment,
                    (of, last),
                    previous,
                    b"none",
                );
                forged.backend.replace(forged.segment_name(last), bytes.unwrap());
                last
            },
            "its content is none",
        ),
    ];
    let whole = Forged::with_segments(false);
    assert!(whole.last_segment() > 3, "{}", whole.last_segment());
    assert_eq!(whole.findings(CheckLevel::Structure), []);
    for (what, forge, problem) in rows {
        let forged = whole.again();
        let number = forge(&forged);
        let findings = forged.findings(CheckLevel::Present);
        assert_found(&findings, forged.segment_name(number), problem, what);
        // Restores to the newest moment are refused, or what is said to be restorable ends before.
        let said = intervals(&forged.repository);
        let last = said.intervals.last().unwrap().to.commit;
        let newest = intervals(&whole.repository).intervals[0].to.commit;
        assert!(last <= newest, "{what}: {said:?}");
    }
}

/// Journal that is no journal, in a part that is what its segment says.
#[test]
fn shipped_bytes_that_are_no_records_are_found_by_the_structure() {
    let forged = Forged::with_segments(false);
    let mut part = None;
    forged.say_segment(forged.last_segment(), |segment, _| {
        let (start, known) = segment.placed().next().unwrap();
        let name = segment.part_name(start, known);
        let mut bytes = forged.store().part(forged.environment, name, known).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        segment.parts[0] = forged.part(segment.file, start, &bytes);
        let part_name = segment.part_name(start, &segment.parts[0]);
        part = Some(ObjectName::Part { environment: forged.environment, part: part_name });
    });
    assert_eq!(forged.findings(CheckLevel::Content), []);
    let findings = forged.findings(CheckLevel::Structure);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((Some(found.object), &*found.points), (part, &[1][..]));
    assert!(found.problem.contains("checksum"), "{found:?}");
    // What was stored of another file under the same hash is nobody's business of the structure.
    let mut bytes = forged.bytes(found.object);
    bytes.pop();
    forged.backend.replace(found.object, bytes);
    let findings = forged.findings(CheckLevel::Structure);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!(Some(found.object), part, "it is found once, as what it is");
}

/// Without its point, what was shipped begins in the middle of nothing.
#[test]
fn what_was_shipped_behind_a_point_that_cannot_be_read_is_a_hole() {
    let whole = Forged::with_segments(false);
    let known = intervals(&whole.repository);
    let to = known.intervals[0].to;
    assert!(known.intervals[0].from < to && known.holes.is_empty(), "{known:?}");
    let forged = whole.again();
    let mut damaged = forged.bytes(forged.point_name(1));
    damaged[40] ^= 1;
    forged.backend.replace(forged.point_name(1), damaged);
    let said = intervals(&forged.repository);
    assert_eq!(said.intervals, []);
    let [Hole { after: None, before: None, why }] = &*said.holes else { panic!("{said:?}") };
    assert_eq!(why, "the point before it cannot be read");
    assert_eq!(said.last, known.last);
}

/// A later point is one to go on from as well, for all that was shipped behind it.
#[test]
fn what_was_shipped_leads_on_from_a_later_point_if_the_first_cannot_be_read() {
    let (disk, (backend, repository)) = (MemDisk::new(), Forged::empty(false));
    let env = open(&disk);
    fill(&env, 0, 3);
    let how = ShipOptions::default().options(options());
    let mut shipper = repository.shipper(disk.root(), &world(), how).unwrap();
    shipper.step().unwrap();
    // Into the next journal file, in which the second point ends.
    fill(&env, 10, 60);
    shipper.step().unwrap();
    env.checkpoint().unwrap();
    backup_beside(&repository, &disk);
    backup_beside(&repository, &disk);
    fill(&env, 100, 5);
    shipper.step().unwrap();
    let forged = Forged { backend, repository, environment: env.identity().environment };
    let first = forged.segment(1).segment;
    assert!(forged.point(2).cut.journal_end.unwrap().file > first.file.number);
    let known = intervals(&forged.repository).intervals;
    let mut damaged = forged.bytes(forged.point_name(1));
    damaged[40] ^= 1;
    forged.backend.replace(forged.point_name(1), damaged);
    let said = intervals(&forged.repository);
    let [interval] = &*said.intervals else { panic!("{said:?}") };
    assert_eq!((interval.base, interval.from.commit), (2, forged.point(2).cut.commit));
    assert_eq!((interval.to, said.holes.len()), (known[0].to, 0));
    for commit in interval.from.commit..=interval.to.commit {
        assert_eq!(restore(&forged, commit).unwrap().commit, commit);
    }
    let error = restore(&forged, 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

fn restore(forged: &Forged, commit: u64) -> BackupResult<RestoreReport> {
    let (target, which) = (MemDisk::new().root(), Which::Newest);
    let how = RestoreOptions::default().options(options()).to(RestoreTo::Commit(commit));
    forged.repository.restore_in(None, &which, &target, &world(), &how)
}

/// What restores count on when several points cannot be read: the others.
#[test]
fn a_damaged_point_is_passed_over_by_who_looks_for_a_moment() {
    let forged = Forged::with_points(3);
    let commits = [1, 2, 3].map(|number| forged.point(number).cut.commit);
    let damage = |number| {
        let forged = forged.again();
        let mut damaged = forged.bytes(forged.point_name(number));
        damaged[40] ^= 1;
        forged.backend.replace(forged.point_name(number), damaged);
        forged
    };
    let without = damage(1);
    let said = intervals(&without.repository);
    let found: Vec<_> = said.intervals.iter().map(|interval| interval.base).collect();
    assert_eq!((found, said.holes.len()), (vec![2, 3], 1), "{said:?}");
    assert_eq!(restore(&forged, commits[0]).unwrap().commit, commits[0]);
    assert_eq!(restore(&without, commits[1]).unwrap().commit, commits[1]);
    // Behind its own checkpoint the second one knows all commits, and none before.
    assert_eq!(restore(&without, commits[0]).unwrap().commit, commits[0]);
    let error = restore(&without, 20).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}
