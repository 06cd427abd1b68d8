//! Points that say something wrong: which level of a check finds it, and that nothing is proved of them.

use cairn_archive::DatabaseTotals;
use cairn_env::ErrorKind;
use cairn_io::MemDisk;
use cairn_log::{Digest, FileClass, HEADER_LEN, LogName, Lsn};

use super::forged::{Forged, backup_beside, files, fill, open, options, world};
use crate::{
    BackupError, CheckLevel, CheckOptions, ListedPoint, ObjectError, ObjectName, Opened, Point,
    PointState, ProveOptions, RestoreOptions, Which, repository::names::ShortHash,
};

/// The point that is forged.
const NUMBER: u64 = 2;

fn journal(point: &Point) -> (LogName, LogName) {
    let names = files(point, FileClass::Journal);
    (names[0], *names.last().unwrap())
}

/// What all hashes vouch for is still not the environment: one row for each way in which its files can be no log files.
#[test]
fn files_that_are_no_log_files_are_found_by_the_structure_and_by_no_hash() {
    type Forge = fn(&Forged);
    let rows: [(&str, Forge, &str); 11] = [
        (
            "a file of another data directory",
            |forged| {
                forged.say(NUMBER, |point| {
                    point.cut.directories = 2;
                    point.files[0].directory = 1;
                });
            },
            "it is of data directory 0, not 1",
        ),
        (
            "a file under the name of another one",
            |forged| {
                let point = forged.point(NUMBER);
                let (first, last) = journal(&point);
                let other = point.files.iter().find(|file| file.name == last).unwrap().clone();
                forged.rewrite(NUMBER, first, |file, bytes| {
                    *bytes = forged.content(&other);
                    file.seal = other.seal;
                });
            },
            "file",
        ),
        (
            "no seal where the file has one",
            |forged| forged.say(NUMBER, |point| point.files[0].seal = None),
            "it has another seal than the point says",
        ),
        (
            "another seal",
            |forged| forged.say(NUMBER, |point| point.files[0].seal = Some(Digest([7; 32]))),
            "it has another seal than the point says",
        ),
        (
            "a byte of a sealed file",
            |forged| {
                let (first, _) = journal(&forged.point(NUMBER));
                forged.rewrite(NUMBER, first, |_, bytes| bytes[5000] ^= 1);
            },
            "its seal vouches for other bytes",
        ),
        (
            "a byte of a file that has no seal yet",
            |forged| {
                let (_, last) = journal(&forged.point(NUMBER));
                forged.rewrite(NUMBER, last, |_, bytes| {
                    let middle = bytes.len() / 2;
                    bytes[middle] ^= 1;
                });
            },
            "checksum",
        ),
        (
            "nothing where there should be records",
            |forged| {
                let (_, last) = journal(&forged.point(NUMBER));
                forged.rewrite(NUMBER, last, |_, bytes| bytes.extend([0; 64]));
            },
            "nothing there, only zeros",
        ),
        (
            "a checkpoint in a file that is not there",
            |forged| {
                forged.say(NUMBER, |point| {
                    let file = point.cut.checkpoint.unwrap().file();
                    point.files.retain(|known| known.name.number != file);
                });
            },
            "the point says that it is needed",
        ),
        (
            "a checkpoint behind the end of its file",
            |forged| {
                forged.say(NUMBER, |point| {
                    let file = point.cut.checkpoint.unwrap().file();
                    point.cut.checkpoint = Lsn::new(file, 1 << 30);
                });
            },
            "it ends before the checkpoint that the point names",
        ),
        (
            "another end of the journal",
            |forged| {
                forged.say(NUMBER, |point| {
                    point.cut.journal_end.as_mut().unwrap().chain = Digest([7; 32]);
                });
            },
            "it does not end as the point says",
        ),
        (
            "an end of the journal behind that of its file",
            |forged| {
                forged.say(NUMBER, |point| point.cut.journal_end.as_mut().unwrap().end += 1000);
            },
            "it does not end as the point says",
        ),
    ];
    let whole = Forged::with_points(2);
    assert_eq!(whole.findings(CheckLevel::Open), []);
    for (what, forge, problem) in rows {
        let forged = whole.again();
        forge(&forged);
        assert_eq!(forged.findings(CheckLevel::Content), [], "{what}");
        let how = CheckOptions::default().level(CheckLevel::Structure).record(true);
        let findings = forged.repository.check(&how).unwrap().findings;
        assert!(
            findings.iter().any(|found| found.problem.contains(problem)),
            "{what}: {findings:?}"
        );
        for found in &findings {
            let is_its = (found.object, &*found.points) == (forged.point_name(NUMBER), &[NUMBER]);
            assert!(is_its, "{what}: {found:?}");
        }
        // Nothing is recorded of it; of the one beside it, what is so.
        assert_eq!(states(&forged), [PointState::Checked, PointState::Copied], "{what}");
        let all = forged.findings(CheckLevel::Open);
        assert_eq!(all, findings, "{what}: a point that is known to be damaged is not opened");
    }
}

fn states(forged: &Forged) -> Vec<PointState> {
    forged.repository.points(None).unwrap().iter().map(ListedPoint::state).collect()
}

/// Two histories that parted: each file is whole, and one is of the other history.
#[test]
fn a_journal_file_of_another_history_is_found_although_it_is_whole() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 5);
    env.close().unwrap();
    let [forged, other] = [0, 1000].map(|from| {
        let disk = disk.fork();
        let env = open(&disk);
        fill(&env, from, 80);
        let (backend, repository) = Forged::empty(false);
        backup_beside(&repository, &disk);
        Forged { backend, repository, environment: env.identity().environment }
    });
    let (mine, theirs) = (forged.point(1), other.point(1));
    // Of the files of both that are finished, one that was written after they had parted.
    let both = mine.files.iter().filter_map(|file| {
        let other = theirs.files.iter().find(|other| other.name == file.name)?;
        let is_meant = file.name.class == FileClass::Journal && file.seal.is_some();
        (is_meant && other.seal.is_some() && file.seal != other.seal).then_some(other.clone())
    });
    let file = both.clone().next().unwrap();
    let first = file.name;
    for needed in file.objects(forged.environment) {
        forged.backend.replace(needed.name, other.bytes(needed.name));
    }
    forged.say(1, |point| {
        *point.files.iter_mut().find(|file| file.name == first).unwrap() = file;
    });
    assert_eq!(forged.findings(CheckLevel::Content), []);
    let findings = forged.findings(CheckLevel::Structure);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (forged.point_name(1), &[1][..]));
    assert!(found.problem.contains(&format!("it does not go on from {first}")), "{found:?}");
}

/// A hash of each part, and none of the whole: the parts of one file in the place of another's.
#[test]
fn parts_that_are_not_the_file_together_are_a_finding_of_all_points_that_have_it() {
    let forged = Forged::with_points(2);
    let point = forged.point(1);
    let file = point.files.iter().find(|file| file.parts.len() > 1).unwrap().name;
    for number in [1, 2] {
        forged.say(number, |point| {
            let file = point.files.iter_mut().find(|known| known.name == file).unwrap();
            file.digest = Digest([7; 32]);
        });
    }
    assert_eq!(forged.findings(CheckLevel::Stored), []);
    let findings = forged.findings(CheckLevel::Content);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (forged.point_name(1), &[1, 2][..]));
    assert!(found.problem.contains(&file.to_string()), "{found:?}");
    // A restore compares it, too, and leaves nothing that opens.
    let (target, how) = (MemDisk::new(), RestoreOptions::default().options(options()));
    let which = Which::Number(1);
    let result = forged.repository.restore_in(None, &which, &target.root(), &world(), &how);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Corrupt);
    let opened = cairn_env::Environment::open_in(target.root(), world(), options().create(false));
    assert!(opened.is_err());
}

#[test]
fn an_index_that_names_other_objects_than_its_point_is_found_without_reading_them() {
    let forged = Forged::with_points(2);
    let mut other = forged.point(2);
    other.files.pop();
    let (name, index) = forged.store().encode_index(2, &other).unwrap();
    forged.backend.replace(name, index.clone());
    let read = forged.store().point(forged.environment, 2).unwrap();
    let mut point = read.point;
    point.index = (index.len() as u64, Digest::of(&index));
    forged.put_point(2, read.previous, &point);
    let findings = forged.findings(CheckLevel::Present);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, found.at, &*found.points), (name, Some(0), &[2][..]));
    assert_eq!(found.problem, "it names other objects than the point");
}

#[test]
fn two_points_that_contradict_each_other_are_both_named() {
    let forged = Forged::with_points(2);
    let mut shared = None;
    forged.say(2, |point| {
        let part = &mut point.files[0].parts[0];
        // What its name has of it is the same.
        part.stored.0[31] ^= 1;
        shared = point.files[0].objects(forged.environment).next();
    });
    let object = shared.unwrap().name;
    let findings = forged.findings(CheckLevel::Present);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (object, &[1, 2][..]));
    assert_eq!(found.problem, "two points say of it that it is another");
}

/// An object that has the hash that a point names, and does not hold what the point says.
#[test]
fn an_object_that_is_whole_and_holds_other_bytes_than_the_point_says_is_found() {
    let forged = Forged::with_points(2);
    let mut name = None;
    forged.say(2, |point| {
        let file = point.files.last_mut().unwrap();
        let start = file.parts[0].length;
        file.parts[1].content = Digest([7; 32]);
        let part = file.part_name(start, &file.parts[1]);
        name = Some(ObjectName::Part { environment: forged.environment, part });
    });
    assert_eq!(forged.findings(CheckLevel::Stored), []);
    let findings = forged.findings(CheckLevel::Content);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((Some(found.object), &*found.points), (name, &[2][..]));
    assert!(found.problem.contains("its hash is"), "{found:?}");
}

#[test]
fn what_opens_and_holds_other_entries_than_when_it_was_proved_is_a_finding_and_no_proof() {
    let forged = Forged::with_points(2);
    let which = Which::Number(2);
    let how = ProveOptions::default().options(options());
    let report = forged.repository.prove(None, &which, &how.clone().skip_record(true)).unwrap();
    let mut proof = report.proof.unwrap();
    let Some(Opened { totals: Some(totals), .. }) = &mut proof.opened else { panic!("{proof:?}") };
    totals[0].1.entries += 1;
    let totals = totals.clone();
    let of = Digest::of(&forged.bytes(forged.point_name(2)));
    forged.store().put_proof(forged.environment, 2, of, &proof).unwrap();
    let objects = forged.backend.objects();
    let DatabaseTotals { entries, bytes, digest, .. } = totals[0].1;
    let problem = format!(
        "database \"db\" holds {} entries of {bytes} bytes, digest {digest}; when the point was proved \
         first it was {entries} entries of {bytes} bytes, digest {digest}",
        entries - 1
    );
    let report = forged.repository.prove(None, &which, &how).unwrap();
    assert_eq!((report.findings, report.proof), (vec![problem.clone()], None));
    let how = CheckOptions::default().level(CheckLevel::Open).options(options());
    let findings = forged.repository.check(&how).unwrap().findings;
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (forged.point_name(2), &[2][..]));
    assert_eq!(found.problem, problem);
    assert_eq!(forged.backend.objects(), objects);
}

/// All that the files are is right, and the place from which they are to be opened is none.
#[test]
fn a_point_that_does_not_open_is_found_by_the_last_level() {
    let forged = Forged::with_points(2);
    forged.say(2, |point| {
        let file = point.cut.checkpoint.unwrap().file();
        point.cut.checkpoint = Lsn::new(file, HEADER_LEN);
        // With a tree digest, who compares it finds no checkpoint there.
        point.tree_digest = None;
    });
    assert_eq!(forged.findings(CheckLevel::Structure), []);
    let findings = forged.findings(CheckLevel::Open);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (forged.point_name(2), &[2][..]));
}

/// What is whole, and is not what it is called.
#[test]
fn a_proof_or_an_index_under_a_name_with_another_hash_is_damaged() {
    let forged = Forged::with_points(2);
    let how = ProveOptions::default().options(options());
    forged.repository.prove(None, &Which::Number(2), &how).unwrap();
    let proofs = forged.store().proof_names(forged.environment).unwrap();
    let [proof @ ObjectName::Proof { environment, point, .. }] = proofs[..] else { panic!() };
    let hash = ShortHash(12);
    let renamed = ObjectName::Proof { environment, point, hash };
    forged.backend.replace(renamed, forged.bytes(proof));
    let findings = forged.findings(CheckLevel::Present);
    let [found] = &*findings else { panic!("{findings:?}") };
    assert_eq!((found.object, found.at), (renamed, Some(0)));
    assert!(found.problem.contains("its hash begins with"), "{found:?}");
    assert_eq!(states(&forged), [PointState::Copied, PointState::Proved]);

    let (index, bytes) = forged.store().encode_index(2, &forged.point(2)).unwrap();
    let ObjectName::Index { number, .. } = index else { panic!() };
    let renamed = ObjectName::Index { environment, number, hash };
    let length = bytes.len() as u64;
    forged.backend.replace(renamed, bytes);
    assert!(forged.store().named_index(index, length).is_ok());
    let error = forged.store().named_index(renamed, length).unwrap_err();
    let BackupError::Object(ObjectError::Damaged { object, at: 0, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(object, renamed);
}
