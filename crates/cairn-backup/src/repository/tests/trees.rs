//! Points whose trees are others than they were, with all hashes, seals and checksums right.

use cairn_env::{DatabaseOptions, Environment};
use cairn_io::{FileExt as _, MemDisk, SyncSite};
use cairn_log::{
    CommitSpan, FileClass, FileHeader, LogFile, LogName, LogWriter, RecordKind, Scan, Scanner,
};

use super::forged::{Forged, files, open, options, world};
use crate::{
    CheckFinding, CheckLevel, PointFile, PointOptions, ProveOptions, RestoreOptions, Which,
};

const FORGED: SyncSite = SyncSite::new("forged.seal");

/// A record of a log file.
#[derive(Clone)]
struct Record {
    kind: RecordKind,
    sequence: u64,
    body: Vec<u8>,
}

impl Record {
    /// The number of the tree of a node: see the format.
    fn tree(&self) -> u32 {
        u32::from_le_bytes(self.body[8..12].try_into().unwrap())
    }
}

/// The header of a log file, and its records but for the seal.
fn read(forged: &Forged, file: &PointFile) -> (FileHeader, Vec<Record>) {
    let disk = MemDisk::new();
    let handle = disk.root().create(&file.name.to_name()).unwrap();
    handle.write_all_at(0, &forged.content(file)).unwrap();
    let log = LogFile::open_any(handle).unwrap();
    let mut scanner = Scanner::new(&log, file.length);
    let mut records = Vec::new();
    while let Scan::Record(record) = scanner.next().unwrap() {
        let (kind, sequence) = (record.header.kind, record.header.sequence);
        if kind != RecordKind::SEAL {
            records.push(Record { kind, sequence, body: record.body.to_vec() });
        }
    }
    (log.header().clone(), records)
}

/// Has a file of point 2 hold these records: with a seal that vouches for them.
fn write(forged: &Forged, name: LogName, header: FileHeader, records: &[Record]) {
    let disk = MemDisk::new();
    let mut writer = LogWriter::create(&*disk.root(), header, None).unwrap();
    for Record { kind, sequence, body } in records {
        writer.append(*kind, *sequence, &[body]).unwrap();
    }
    let span = CommitSpan { last_sequence: 0, oldest_time: 0, newest_time: 0 };
    let sealed = writer.seal(span, FORGED).unwrap();
    let mut written = vec![0; usize::try_from(sealed.seal.file_len()).unwrap()];
    sealed.file.handle().read_exact_at(0, &mut written).unwrap();
    forged.rewrite(2, name, |file, bytes| {
        *bytes = written;
        file.seal = Some(sealed.seal.digest);
    });
}

/// Two points: what the second has changed is as long as it was. No journal is left to replay.
fn two_points() -> Forged {
    let (disk, (backend, repository)) = (MemDisk::new(), Forged::empty(false));
    let env = open(&disk);
    let db = env.database("db", DatabaseOptions::default()).unwrap();
    for value in [b"old", b"new"] {
        env.write(|txn| (0..9_u8).try_for_each(|n| txn.put(&db, &[n], value))).unwrap();
        repository.backup(&env, &PointOptions::default()).unwrap();
    }
    Forged { backend, repository, environment: env.identity().environment }
}

/// The newest node file of a point.
fn newest(forged: &Forged, number: u64) -> PointFile {
    let point = forged.point(number);
    let name = *files(&point, FileClass::Node).last().unwrap();
    point.files.into_iter().find(|file| file.name == name).unwrap()
}

fn leaf(records: &[Record]) -> usize {
    let leaves = (0..records.len()).filter(|at| records[*at].kind == RecordKind::LEAF);
    leaves.max_by_key(|at| records[*at].tree()).unwrap()
}

/// Puts the leaf of the first point in the place of that of the second.
fn set_back(forged: &Forged, has_digest: bool) {
    let (_, old) = read(forged, &newest(forged, 1));
    let file = newest(forged, 2);
    let (header, mut records) = read(forged, &file);
    let (old, new) = (old[leaf(&old)].body.clone(), leaf(&records));
    assert!(old.len() == records[new].body.len() && old != records[new].body);
    records[new].body = old;
    if !has_digest {
        // As a version before would have written it.
        let checkpoint = records.iter_mut().find(|record| record.kind == RecordKind::CHECKPOINT);
        let body = &mut checkpoint.unwrap().body;
        body.truncate(body.len() - 32);
    }
    write(forged, file.name, header, &records);
}

fn assert_only(findings: &[CheckFinding], forged: &Forged, problem: &str) {
    let [found] = findings else { panic!("{findings:?}") };
    assert_eq!((found.object, &*found.points), (forged.point_name(2), &[2][..]));
    assert!(found.problem.contains(problem), "{found:?}");
}

fn proved(forged: &Forged) -> Vec<String> {
    let how = ProveOptions::default().options(options()).skip_record(true);
    forged.repository.prove(None, &Which::Number(2), &how).unwrap().findings
}

fn value(forged: &Forged) -> Vec<u8> {
    let (target, which) = (MemDisk::new(), Which::Number(2));
    let how = RestoreOptions::default().options(options());
    forged.repository.restore_in(None, &which, &target.root(), &world(), &how).unwrap();
    let env = Environment::open_in(target.root(), world(), options()).unwrap().0;
    let db = env.find_database("db").unwrap().unwrap();
    env.snapshot().unwrap().get(&db, &[3]).unwrap().unwrap().to_vec()
}

#[test]
fn an_older_leaf_in_the_place_of_a_newer_one_is_found_by_the_tree_digest_alone() {
    let whole = two_points();
    assert_eq!(whole.findings(CheckLevel::Open), []);
    let digests = [1, 2].map(|number| whole.point(number).tree_digest.unwrap());
    assert_ne!(digests[0], digests[1]);

    // Nothing else tells it: without one, the point is proved, and what it gives back is old.
    let forged = whole.again();
    set_back(&forged, false);
    forged.say(2, |point| point.tree_digest = None);
    assert_eq!(forged.findings(CheckLevel::Open), []);
    assert_eq!((proved(&forged), value(&forged)), (vec![], b"old".to_vec()));

    // That of the point is enough.
    let forged = whole.again();
    set_back(&forged, false);
    assert_eq!(forged.findings(CheckLevel::Content), []);
    let problem = format!("not {}: a node is not the one", digests[1]);
    for level in [CheckLevel::Structure, CheckLevel::Open] {
        assert_only(&forged.findings(level), &forged, &problem);
    }
    let findings = proved(&forged);
    assert!(findings.len() == 1 && findings[0].contains(&problem), "{findings:?}");

    // And so is that of the checkpoint, whatever the point says.
    let forged = whole.again();
    set_back(&forged, true);
    forged.say(2, |point| point.tree_digest = None);
    assert_eq!(forged.findings(CheckLevel::Structure), []);
    let problem = format!("the newest checkpoint says {}", digests[1]);
    assert_only(&forged.findings(CheckLevel::Open), &forged, &problem);
}

#[test]
fn a_point_that_says_another_tree_digest_than_its_checkpoint_is_found() {
    let forged = two_points();
    let [other, own] = [1, 2].map(|number| forged.point(number).tree_digest);
    forged.say(2, |point| point.tree_digest = other);
    let (other, own) = (other.unwrap(), own.unwrap());
    let problem = format!("it says the tree digest {other}, its checkpoint says {own}");
    assert_only(&forged.findings(CheckLevel::Structure), &forged, &problem);
    let findings = proved(&forged);
    assert!(findings[0].starts_with(&format!("its trees have the tree digest {own}")));
}

#[test]
fn a_point_without_a_file_in_which_a_node_stands_is_found_although_another_point_has_it() {
    let forged = two_points();
    let file = newest(&forged, 1).name;
    forged.say(2, |point| {
        assert!(point.files.iter().any(|known| known.name == file), "it holds the names");
        point.files.retain(|known| known.name != file);
    });
    let problem = format!("its trees need file {}, which it does not have", file.number);
    assert_only(&forged.findings(CheckLevel::Structure), &forged, &problem);
}

/// Of a point that does not say, the first proof records what it has found, and the next one compares it.
#[test]
fn the_first_proof_records_the_tree_digest_of_a_point_that_says_none() {
    let forged = two_points();
    let digest = forged.point(2).tree_digest;
    forged.say(2, |point| point.tree_digest = None);
    let how = ProveOptions::default().options(options());
    let prove = || forged.repository.prove(None, &Which::Number(2), &how).unwrap();
    let mut proof = prove().proof.unwrap();
    assert_eq!(proof.opened.as_ref().unwrap().tree_digest, digest);
    // One that was made before it, and has found others.
    proof.made -= 1;
    proof.opened.as_mut().unwrap().tree_digest = forged.point(1).tree_digest;
    let of = cairn_log::Digest::of(&forged.bytes(forged.point_name(2)));
    forged.store().put_proof(forged.environment, 2, of, &proof).unwrap();
    let findings = prove().findings;
    assert!(findings.len() == 1 && findings[0].contains(&digest.unwrap().to_string()));
}
