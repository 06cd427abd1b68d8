//! Objects of a later version: what is read is refused by name, and nothing is written behind what asks for more.

use cairn_env::ErrorKind;
use cairn_io::MemDisk;

use super::forged::{Forged, fill, key, open, options, world};
use crate::{
    BackupError, CheckLevel, ObjectError, ObjectName, PointOptions, ProveOptions, RestoreOptions,
    ShipOptions, Which,
    repository::{
        header::Header,
        layout::{repository_header, repository_statement as layout},
        statement,
    },
};

#[track_caller]
fn assert_unsupported(error: &BackupError, name: ObjectName, what: &str) {
    let BackupError::Object(ObjectError::Unsupported { object, what: found, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(*object, name);
    assert!(found.contains(what), "{found}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Each kind of statement, as a later version may write it: whole, and with something in it that has to be known.
#[test]
fn what_a_later_version_has_written_is_a_finding_that_says_so_and_no_damage() {
    let whole = Forged::with_segments(false);
    let how = ProveOptions::default().options(options());
    whole.repository.prove(None, &Which::Newest, &how).unwrap();
    let mut kinds = 0;
    for name in whole.backend.objects().into_keys() {
        let last = whole.last_segment();
        let is_meant = match name {
            ObjectName::Segment { number, .. } => number == last,
            ObjectName::Point { .. } | ObjectName::Timeline { .. } => true,
            _ => false,
        };
        if !is_meant {
            continue;
        }
        let forged = whole.again();
        let mut bytes = forged.bytes(name);
        layout::TO_READ.set_number(&mut bytes, 0x10);
        statement::mend(&mut bytes);
        forged.backend.replace(name, bytes);
        let findings = forged.findings(CheckLevel::Present);
        let found = findings.iter().find(|found| found.object == name).unwrap();
        assert_eq!(found.at, None);
        assert_eq!(found.problem, "it is of a later version: it needs the features 0x10");
        kinds += 1;
    }
    assert_eq!(kinds, 3);
}

#[test]
fn a_point_of_a_later_version_is_refused_by_name_and_nothing_is_restored() {
    let forged = Forged::with_points(2);
    let name = forged.point_name(2);
    let mut bytes = forged.bytes(name);
    layout::TO_READ.set_number(&mut bytes, 0x10);
    statement::mend(&mut bytes);
    forged.backend.replace(name, bytes);
    let (target, how) = (MemDisk::new(), RestoreOptions::default().options(options()));
    for which in [Which::Newest, Which::Number(2)] {
        let result = forged.repository.restore_in(None, &which, &target.root(), &world(), &how);
        assert_unsupported(&result.unwrap_err(), name, "features 0x10");
    }
    assert!(target.root().list().unwrap().is_empty());
    let which = Which::Number(1);
    forged.repository.restore_in(None, &which, &target.root(), &world(), &how).unwrap();
}

/// Features that only who writes has to know: everything is read, and nothing is stored behind them.
#[test]
fn nothing_is_stored_behind_what_only_a_later_version_may_write_behind() {
    let disk = MemDisk::new();
    let env = open(&disk);
    fill(&env, 0, 10);
    let (backend, repository) = Forged::empty(false);
    repository.backup(&env, &PointOptions::default()).unwrap();
    let how = ShipOptions::default().options(options());
    let mut shipper = repository.shipper(disk.root(), &world(), how.clone()).unwrap();
    shipper.step().unwrap();
    fill(&env, 20, 3);
    shipper.step().unwrap();
    fill(&env, 30, 3);
    let whole = Forged { backend, repository, environment: env.identity().environment };
    assert!(whole.last_segment() > 0);
    let (point, segment) = (whole.point_name(1), whole.segment_name(whole.last_segment()));
    for name in [ObjectName::Header, point, segment] {
        let forged = whole.again();
        let mut bytes = forged.bytes(name);
        if name == ObjectName::Header {
            let header = Header::decode(&bytes).unwrap();
            bytes = Header { to_write: 0x4, ..header }.encode();
            assert_eq!(repository_header::TO_WRITE.number(&bytes), 0x4);
        } else {
            layout::TO_WRITE.set_number(&mut bytes, 0x4);
            statement::mend(&mut bytes);
        }
        forged.backend.replace(name, bytes);
        let forged = forged.again();
        let objects = forged.backend.objects();
        let backup = || forged.repository.backup(&env, &PointOptions::default()).map(drop);
        let ship = || {
            let shipper = forged.repository.shipper(disk.root(), &world(), how.clone());
            shipper.and_then(|mut shipper| shipper.step().map(drop))
        };
        let refused = match name {
            ObjectName::Header => vec![backup(), ship()],
            ObjectName::Point { .. } => vec![backup()],
            _ => vec![ship()],
        };
        for result in refused {
            assert_unsupported(&result.unwrap_err(), name, "0x4");
        }
        assert_eq!(forged.backend.objects().len(), objects.len(), "{name}: a part may be stored");
        let target = MemDisk::new();
        let how = RestoreOptions::default().options(options());
        forged.repository.restore_in(None, &Which::Newest, &target.root(), &world(), &how).unwrap();
    }
}

#[test]
fn the_keys_of_a_repository_that_a_later_version_writes_stay_as_they_are() {
    let forged = Forged::with_segments(true);
    let header = Header::decode(&forged.bytes(ObjectName::Header)).unwrap();
    forged.backend.replace(ObjectName::Header, Header { to_write: 0x4, ..header }.encode());
    let forged = forged.again();
    let objects = forged.backend.objects();
    let error = forged.repository.add_key("more", &key()).unwrap_err();
    assert_unsupported(&error, ObjectName::Header, "to write to it needs the features 0x4");
    assert_eq!(forged.backend.objects(), objects);
}
