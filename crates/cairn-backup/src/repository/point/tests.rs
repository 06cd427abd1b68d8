//! Points that come back, and points that nobody may have written.

use cairn_log::{
    FileClass, FileNumber, Lsn, Predecessor,
    codec::{ByteReader, ByteWriter, DecodeError},
};

use super::*;
use crate::repository::layout::MAX_PART;

fn part(length: u64) -> Part {
    let digest = Digest::of(&length.to_le_bytes());
    let stored_length = longest(length);
    Part { timeline: Timeline(7), length, content: digest, stored_length, stored: digest }
}

fn file(number: u32, class: FileClass, lengths: &[u64]) -> PointFile {
    let parts: Vec<_> = lengths.iter().map(|length| part(*length)).collect();
    let digest = match &*parts {
        [only] => only.content,
        _ => Digest::of(b"the file"),
    };
    PointFile {
        name: LogName::new(class, FileNumber::new(number).unwrap(), Timeline(7)),
        directory: 1,
        length: lengths.iter().sum(),
        digest,
        seal: number.is_multiple_of(2).then_some(digest),
        parts,
    }
}

fn point() -> Point {
    let number = |n| FileNumber::new(n).unwrap();
    let database = |name: &str| PointDatabase { name: name.into(), kind: "map".into(), entries: 3 };
    Point {
        cut: Cut {
            environment: Uuid([3; 16]),
            timeline: Timeline(7),
            commit: 12,
            time: 34,
            checkpoint: Lsn::new(number(3), 0x1000),
            checkpoint_number: 2,
            journal_end: Some(Predecessor {
                file: number(2),
                directory: 1,
                end: 70,
                last_sequence: 12,
                chain: Digest::of(b"chain"),
            }),
            next_file: number(9),
            directories: 2,
        },
        created: 56,
        library: "0.1.0".into(),
        label: Some("monday".into()),
        writer: Uuid([4; 16]),
        new_objects: 3,
        new_bytes: 1000,
        is_read_back: true,
        keyring: Some(b"wrapped".to_vec()),
        configuration: vec![("a".into(), "1".into()), ("b".into(), "2".into())],
        databases: Some(vec![database("one"), database("two")]),
        index: (99, Digest::of(b"index")),
        files: vec![
            file(2, FileClass::Journal, &[50, 20]),
            file(3, FileClass::Node, &[MAX_PART]),
            file(5, FileClass::Value, &[]),
        ],
        tree_digest: Some(TreeDigest::from_bytes([5; 32])),
        unknown: vec![(1000, b"of a later version".to_vec())],
    }
}

fn decoded(point: &Point) -> Result<Point, DecodeError> {
    Point::decode(Uuid([3; 16]), &point.encode())
}

#[test]
fn a_point_comes_back_with_what_a_later_version_has_added() {
    let whole = point();
    assert_eq!(decoded(&whole), Ok(whole.clone()));
    let least = Point {
        label: None,
        keyring: None,
        databases: None,
        configuration: Vec::new(),
        files: Vec::new(),
        tree_digest: None,
        unknown: Vec::new(),
        cut: Cut { checkpoint: None, checkpoint_number: 0, journal_end: None, ..whole.cut.clone() },
        ..whole.clone()
    };
    assert_eq!(decoded(&least), Ok(least));
    let index = decode_index(Uuid([3; 16]), &whole.encode_index()).unwrap();
    assert_eq!(index, whole.objects().collect::<Vec<_>>());
}

#[test]
fn each_change_and_cut_of_a_point_is_another_point_or_none() {
    let whole = point().encode();
    let is_canonical = |bytes: &[u8]| {
        Point::decode(Uuid([3; 16]), bytes).is_ok_and(|point| {
            assert_eq!(point.encode(), bytes);
            true
        })
    };
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut changed = whole.clone();
            changed[at] ^= 1 << bit;
            is_canonical(&changed);
        }
    }
    // What is left without the field of a later version is a point as well, and without the tree digest that of one before.
    let whole_cuts = (0..whole.len()).filter(|len| is_canonical(&whole[..*len]));
    assert_eq!(whole_cuts.count(), 2);
}

/// What checksums do not keep out: a point that somebody has made.
#[test]
fn hostile_lengths_counts_and_names_are_refused() {
    type Change<'a> = (&'a str, &'a dyn Fn(&mut Point));
    let with = |change: &dyn Fn(&mut Point)| {
        let mut point = point();
        change(&mut point);
        decoded(&point)
    };
    let refused: &[Change<'_>] = &[
        ("a part that is too long", &|point| point.files[1].parts[0].length += 1),
        ("a part of nothing", &|point| {
            point.files[0].parts.push(Part { length: 0, ..part(1) });
        }),
        ("an object that is too long", &|point| point.files[0].parts[0].stored_length += 1),
        ("a gap", &|point| point.files[0].length += 1),
        ("a file longer than everything", &|point| {
            point.files[0].length = u64::MAX;
        }),
        ("parts of nothing", &|point| point.files[2].length = 1),
        ("another hash", &|point| point.files[1].digest = Digest([0; 32])),
        ("a directory too many", &|point| point.files[0].directory = 3),
        ("files in disorder", &|point| point.files.swap(0, 1)),
        ("a file twice", &|point| {
            let again = point.files[0].clone();
            point.files.insert(0, again);
        }),
        ("databases in disorder", &|point| point.databases.as_mut().unwrap().swap(0, 1)),
        ("a name twice", &|point| point.configuration[1].0 = "a".into()),
        ("an empty label", &|point| point.label = Some(String::new())),
        ("a label of two lines", &|point| point.label = Some("two\nlines".into())),
        ("a long label", &|point| point.label = Some("x".repeat(256))),
        ("a library of two lines", &|point| point.library = "1\nfile".into()),
    ];
    for (what, change) in refused {
        assert!(with(change).is_err(), "{what}");
    }
}

/// A count says how many follow. Nothing is made room for before they are there.
#[test]
fn a_count_of_parts_that_are_not_there_costs_nothing() {
    let mut bytes = Vec::new();
    let mut file = file(2, FileClass::Node, &[]);
    file.length = 1;
    file.encode(&mut bytes);
    assert_eq!(bytes.pop(), Some(0));
    bytes.put_varint(u64::MAX);
    assert!(PointFile::decode(2, &mut ByteReader::new(&bytes)).is_err());
}
