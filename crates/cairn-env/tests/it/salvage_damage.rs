//! Salvage of what is damaged: a record whose own bytes are whole comes back, and nothing that never was.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::{RecordImage, ValueRef};
use cairn_env::{Naming, Standing};
use cairn_io::{Access, IoOp};
use cairn_log::{
    FRAME_LEN, FileClass, FileHeader, FileNumber, FrameHeader, HEADER_LEN, LogFile, LogName,
    NOTHING_DURABLE, RecordKind, Scan, Scanner, StoredAs, Uuid,
};
use cairn_sim::{Fault, FaultDisk, Image, Rule};

use crate::{
    fixture::{TestEnv, small_options},
    repair::{Sample, Truth, logs, samples},
    salvage::{Given, everything, model, newest, salvaged},
};

/// What a record says: tree, key, value.
type Said = (u32, Vec<u8>, Option<Vec<u8>>);

/// A record, the bytes of its file that it takes, and what it says.
struct Held {
    path: String,
    from: usize,
    to: usize,
    kind: RecordKind,
    said: Vec<Said>,
}

/// A small environment with everything in it, its process killed.
fn small() -> (Image, Truth, Vec<Held>) {
    let mut sample = Sample { test: TestEnv::new(small_options()), truth: Truth::default() };
    sample.run(4);
    // Compaction has left no delta: a change of a leaf that it has written makes one.
    for name in ["one", "two"] {
        sample.commit(name, &[0, 15, 30, 45].map(|key| (key, Some(vec![77; 5]))));
    }
    sample.test.env().checkpoint().unwrap();
    let (image, truth) = (sample.test.disk.image(), sample.truth.clone());
    let held = held(&image, &truth);
    (image, truth, held)
}

fn held(image: &Image, truth: &Truth) -> Vec<Held> {
    let (_, report) = salvaged(image, &everything());
    let trees: BTreeMap<_, _> =
        report.databases.iter().map(|one| (one.name.clone(), one.tree)).collect();
    let disk = image.to_mem();
    let dir = disk.root().open_dir(&"g-000001".parse().unwrap()).unwrap();
    let mut held = Vec::new();
    for path in logs(image) {
        let name: LogName = path.rsplit('/').next().unwrap().parse().unwrap();
        let file = LogFile::open_any(dir.open(&name.to_name(), Access::Read).unwrap()).unwrap();
        let mut scanner = Scanner::new(&file, u64::MAX);
        while let Scan::Record(record) = scanner.next().unwrap() {
            let (kind, sequence) = (record.header.kind, record.header.sequence);
            let mut said = Vec::new();
            if kind == RecordKind::TRANSACTION {
                for ((name, key), commits) in &truth.changes {
                    let value = commits.get(&sequence);
                    said.extend(value.map(|value| (trees[name], key.clone(), value.clone())));
                }
            }
            let image = RecordImage::read(kind, sequence, record.body.to_vec()).unwrap();
            if let Some(image) = image.filter(|image| image.tree().0 >= 16) {
                for (key, value) in image.said() {
                    match value {
                        Some(ValueRef::Inline(value)) => {
                            said.push((image.tree().0, key, Some(value.to_vec())));
                        }
                        Some(ValueRef::Pointer(_)) => {}
                        None => said.push((image.tree().0, key, None)),
                    }
                }
            }
            let from = usize::try_from(record.lsn.offset()).unwrap();
            let to = from + usize::try_from(record.header.record_len()).unwrap();
            held.push(Held { path: path.clone(), from, to, kind, said });
        }
    }
    held
}

/// Everything comes back that stands in a record which `is_whole`, and nothing that never was.
fn check(
    what: &str,
    damaged: &Image,
    truth: &Truth,
    held: &[Held],
    is_whole: &dyn Fn(&Held) -> bool,
) -> (u64, u64) {
    let (found, report) = salvaged(damaged, &everything());
    let told = || format!("{what}: {report:#?}");
    let ever: BTreeSet<(&[u8], &[u8])> = truth
        .values
        .iter()
        .flat_map(|((_, key), values)| values.iter().map(move |value| (&key[..], &value[..])))
        .collect();
    let mut said: BTreeSet<Said> = BTreeSet::new();
    for Given { tree, key, value, .. } in found {
        let is_true = value.as_ref().is_none_or(|value| ever.contains(&(&key[..], &value[..])));
        assert!(is_true, "{tree} {key:?} {value:?} never was: {}", told());
        said.insert((tree, key, value));
    }
    let (mut whole, mut lost) = (0, 0);
    for record in held {
        if !is_whole(record) {
            lost += 1;
            continue;
        }
        whole += 1;
        for one in &record.said {
            let Held { path, from, kind, .. } = record;
            assert!(said.contains(one), "{kind} at {from} of {path} says {one:?}; {}", told());
        }
    }
    (whole, lost)
}

#[test]
fn whatever_sector_is_damaged_all_that_stands_in_others_comes_back() {
    const SECTOR: usize = 512;
    let (image, truth, held) = small();
    let (mut lost, mut headless) = (0, 0);
    for (path, len) in image.files().map(|(path, len)| (path.to_owned(), len)).collect::<Vec<_>>() {
        let len = usize::try_from(len).unwrap();
        for from in (0..len).step_by(SECTOR) {
            let to = len.min(from + SECTOR);
            let content = image.read(&path).unwrap();
            if content[from..to].iter().all(|byte| *byte == 0) && from >= 4096 {
                continue; // as they were
            }
            let damaged = image.with_edit(&path, |bytes| bytes[from..to].fill(0x5a));
            let what = format!("{path} from {from}");
            let is_whole =
                |record: &Held| record.path != path || record.to <= from || record.from >= to;
            lost += check(&what, &damaged, &truth, &held, &is_whole).1;
            headless += u32::from(path.ends_with(".log") && to <= 4096);
        }
    }
    assert!(lost > 50 && headless > 20, "{lost} {headless}");
}

#[test]
fn whatever_bit_is_wrong_only_its_record_is_lost() {
    let (image, truth, held) = small();
    let mut kinds = BTreeSet::new();
    for (n, record) in held.iter().enumerate() {
        let Held { path, from, to, kind, .. } = record;
        for at in (from + n % 29..*to).step_by(29) {
            kinds.insert(*kind);
            let damaged = image.with_bit_flipped(path, at * 8 + at % 8);
            let what = format!("{kind} of {path} at {from}, byte {at}");
            let is_whole = |one: &Held| (&one.path, one.from) != (path, *from);
            assert_eq!(check(&what, &damaged, &truth, &held, &is_whole).1, 1);
        }
    }
    assert_eq!(kinds.len(), 8, "{kinds:?}");
}

#[test]
fn what_is_cut_foreign_or_in_the_wrong_place_is_left_aside_and_named() {
    let (image, truth, held) = small();
    let files = logs(&image);
    for (n, path) in files.iter().enumerate() {
        let len = image.read(path).unwrap().len();
        for cut in [0, 100, 4096, 4100, len / 2, len - 1] {
            let damaged = image.with_edit(path, |bytes| bytes.truncate(cut));
            let is_whole = |one: &Held| one.path != *path || one.to <= cut;
            check(&format!("{path} cut at {cut}"), &damaged, &truth, &held, &is_whole);
        }
        let other = &files[(n + 1) % files.len()];
        let swapped = image.with_swapped(path, other);
        let is_whole = |one: &Held| one.path != *path && one.path != *other;
        check(&format!("{path} and {other} exchanged"), &swapped, &truth, &held, &is_whole);
        let (_, report) = salvaged(&swapped, &newest());
        assert!(report.damaged() >= 2, "{report:#?}");
    }
    // Of another environment, where the same numbers are taken.
    let mut foreign = Sample {
        test: TestEnv::seeded(cairn_sim::SimDisk::new(), small_options(), 99),
        truth: Truth::default(),
    };
    (0..40).for_each(|key| foreign.commit("foreign", &[(key, Some(vec![0xfe; 50]))]));
    foreign.test.close();
    let foreign = foreign.test.disk.image();
    let of_journal = |path: &&String| path.contains("/J-");
    let foreign_path = logs(&foreign).into_iter().find(|path| of_journal(&path)).unwrap();
    let path = files.iter().find(of_journal).unwrap();
    let mixed = image.with_file(path, foreign.read(&foreign_path).unwrap());
    check("a foreign file", &mixed, &truth, &held, &|one: &Held| one.path != *path);
}

/// Where the header of a file is lost nothing proves that it belongs here: that is said of each of its records, and
/// nothing of them is among what counts.
#[test]
fn what_stands_in_a_file_without_a_header_is_unproven() {
    let (image, truth, held) = small();
    let path = logs(&image).into_iter().rfind(|path| path.contains("/J-")).unwrap();
    let damaged = image.with_edit(&path, |bytes| bytes[..512].fill(0));
    let (found, report) = salvaged(&damaged, &newest());
    let older = truth.states.values().rev().any(|state| *state == model(&found, &report));
    assert!(older, "as it was at some commit before: {report:#?}");
    assert!(report.notes.iter().any(|note| note.contains("its header is lost")), "{report:#?}");
    let records = held.iter().filter(|one| one.path == path).count();
    let file = report.files.iter().find(|file| path.ends_with(&file.name)).unwrap();
    assert_eq!((file.records, file.damaged.len()), (records as u64, 1));
    let (all, _) = salvaged(&damaged, &everything());
    assert!(all.iter().any(|given| given.standing == Standing::Unproven));
}

/// A disk that does not give a block gives what stands around it.
#[test]
fn a_block_that_cannot_be_read_costs_what_stands_in_it() {
    let (image, truth, held) = small();
    let mut lost = 0;
    for path in logs(&image) {
        let len = image.read(&path).unwrap().len();
        let name = path.rsplit('/').next().unwrap().to_owned();
        for from in (4096..len.saturating_sub(1)).step_by(4096) {
            let disk = FaultDisk::new(image.to_mem().root());
            let (range, name) = (from as u64..from as u64 + 512, name.clone());
            let rule = Rule::new(Fault::Eio).op(IoOp::Read).range(range).and_on();
            disk.inject(rule.file(move |file| file == name));
            let mut said = BTreeSet::new();
            let options = small_options();
            cairn_env::salvage_in(disk.root(), &options, &everything(), &mut |entry| {
                let value = entry.value.map(<[u8]>::to_vec);
                said.insert((entry.database.tree, entry.key.to_vec(), value));
                Ok(())
            })
            .unwrap();
            for one in &held {
                // What is searched for is read in blocks.
                let is_near = one.path == path && one.from < from + 4096 + 8 && one.to > from;
                lost += u32::from(is_near);
                let is_there = is_near || one.said.iter().all(|one| said.contains(one));
                assert!(is_there, "{} at {} of {path}, unread: {from}", one.kind, one.from);
            }
        }
    }
    assert!(lost > 10, "{lost}");
    drop(truth);
}

/// Lengths that mean harm would have the rest of the file read again for each of them.
#[test]
fn hostile_files_are_read_in_bounded_time() {
    const LEN: usize = 1 << 20;
    let (image, truth) = samples().remove(0);
    let some = image.read(&logs(&image)[0]).unwrap();
    let header = FileHeader::decode(&some[..4096], "file".as_ref()).unwrap();
    let mut random = 1u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        random.to_le_bytes()[7]
    };
    for class in [FileClass::Journal, FileClass::Node, FileClass::Value] {
        let number = FileNumber::new(0xff).unwrap();
        let own = FileHeader::first(class, number, header.environment, Uuid([7; 16]));
        let block = own.encode().to_vec();
        let seed = cairn_log::FileSeed::of_file(&own);
        let zeros = vec![0; LEN];
        let noise: Vec<u8> = (0..LEN).map(|_| next()).collect();
        let hostile: Vec<u8> = (0..LEN / FRAME_LEN)
            .flat_map(|n| {
                let offset = HEADER_LEN + (n * FRAME_LEN) as u64;
                let left = u32::try_from(LEN - (n + 1) * FRAME_LEN).unwrap();
                let header = FrameHeader {
                    kind: RecordKind::TRANSACTION,
                    sequence: 7,
                    len: left,
                    body_crc: 1,
                    durable: NOTHING_DURABLE,
                    stored_as: StoredAs::Plain,
                };
                header.encode(seed, offset)
            })
            .collect();
        for (what, content) in [("zeros", zeros), ("noise", noise), ("lengths", hostile)] {
            for block in [&block[..], &[0; 4096]] {
                let path = format!("g-000001/{}", own.name());
                let image = image.with_file(&path, [block, &content].concat());
                let (found, report) = salvaged(&image, &newest());
                assert_eq!(model(&found, &report), truth.newest, "{class} of {what}");
                assert!(report.databases.iter().all(|one| one.naming == Naming::Current));
            }
        }
    }
}
