//! Shipping to a sink of the user's own: every byte from the base on, in order, and nothing twice.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use cairn_env::{
    DatabaseOptions, Durability, EnvError, EnvResult, Event, HolderKind, JournalPiece, JournalSink,
    ShipMode,
};
use cairn_log::FileNumber;

use crate::fixture::{TestEnv, small_options};

/// Keeps what it gets, and insists on the order.
#[derive(Debug, Default)]
struct Kept(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    files: BTreeMap<FileNumber, Vec<u8>>,
    /// Where the base ended.
    base: Option<(FileNumber, u64)>,
    synced: u64,
    fails: bool,
}

impl JournalSink for Kept {
    fn push(&self, piece: &JournalPiece<'_>) -> EnvResult<()> {
        let mut kept = self.0.lock().unwrap();
        let (file, offset) = (piece.file, piece.offset);
        if kept.fails {
            return Err(EnvError::ShippingGap { file, offset, expected: None });
        }
        let here = kept.files.last_key_value().map(|(file, bytes)| (*file, bytes.len() as u64));
        let here = here.or(kept.base);
        match offset {
            0 => assert_eq!(piece.previous, here, "file {file} follows what came before"),
            _ => assert_eq!(Some((file, offset)), here, "there is no gap"),
        }
        kept.files.entry(file).or_default().extend_from_slice(piece.bytes);
        Ok(())
    }

    fn sync(&self) -> EnvResult<()> {
        self.0.lock().unwrap().synced += 1;
        Ok(())
    }
}

/// Ships everything to a new sink, which knows where its base ends.
fn shipped(test: &TestEnv, mode: ShipMode) -> (Arc<Kept>, cairn_env::Shipment) {
    let sink = Arc::new(Kept::default());
    let mut shipment = test.env().ship(sink.clone(), mode).unwrap();
    let base = shipment.take_base().unwrap();
    sink.0.lock().unwrap().base = base.cut().journal_end.map(|end| (end.file, end.end));
    (sink, shipment)
}

/// What the sink has is what stands on the disk.
fn compare(test: &TestEnv, sink: &Kept) -> u64 {
    let image = test.disk.image();
    let kept = sink.0.lock().unwrap();
    for (number, bytes) in &kept.files {
        let name = format!("-{number}.log");
        let path =
            image.files().map(|(path, _)| path.to_owned()).find(|path| path.ends_with(&name));
        // It may have gone since.
        if let Some(path) = path {
            assert!(image.read(&path).unwrap().starts_with(bytes), "{path}");
        }
    }
    kept.files.values().map(|bytes| bytes.len() as u64).sum()
}

#[test]
fn a_sink_that_commits_wait_for_has_each_when_it_is_acknowledged() {
    let test = TestEnv::new(small_options());
    test.put("db", b"before", b"it");
    let (sink, shipment) = shipped(&test, ShipMode::Waited);
    let mut before = 0;
    for n in 0..100u8 {
        test.put("db", &[n], &[n; 300]);
        let now = compare(&test, &sink);
        assert!(now >= before + 300, "commit {n}: {before} {now}");
        before = now;
    }
    assert_eq!(shipment.lag_bytes(), 0);
    let db = test.db("db");
    let synced = sink.0.lock().unwrap().synced;
    test.env().write_with(Durability::NoSync, |txn| txn.put(&db, b"k", b"v")).unwrap();
    assert_eq!(sink.0.lock().unwrap().synced, synced, "a commit that does not sync does not wait");
    sink.0.lock().unwrap().fails = true;
    test.env().sync().unwrap_err();
    assert!(!test.env().is_valid());
}

/// What a sink has not got is not thrown away, and takes room: as much as there is, or as somebody has allowed.
#[test]
fn a_sink_that_takes_nothing_ends_commits_only_where_there_is_a_limit() {
    let round = |test: &TestEnv| -> EnvResult<()> {
        let db = test.env().database("db", DatabaseOptions::default())?;
        for n in 0..60u8 {
            test.env().write(|txn| txn.put(&db, &[n % 5], &[n; 1500]))?;
        }
        test.env().checkpoint().map(drop)
    };
    let limited = small_options().max_disk(600_000);
    for options in [small_options(), limited] {
        let is_limited = options.max_disk > 0;
        let test = TestEnv::new(options);
        test.put("db", b"before", b"it");
        let (sink, shipment) = shipped(&test, ShipMode::Behind);
        sink.0.lock().unwrap().fails = true;
        let refused = (0..20).find_map(|_| round(&test).err());
        match refused {
            Some(EnvError::DiskLimit { holders, .. }) if is_limited => {
                assert!(holders.iter().any(|one| one.kind == HolderKind::Sink), "{holders:?}");
            }
            None if !is_limited => {
                let space = test.env().space().unwrap();
                let held = space.holders.iter().find(|one| one.kind == HolderKind::Sink).unwrap();
                assert!(held.bytes > 1_000_000 && space.used > held.bytes, "{space:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(test.env().is_valid());
        // Whoever gives it up has the room again.
        drop(shipment);
        test.env().clean().unwrap();
        assert!(test.env().space().unwrap().holders.is_empty());
        round(&test).unwrap();
    }
}

#[test]
fn a_sink_that_lags_behind_gets_everything_and_holds_nobody_up() {
    let mut test = TestEnv::new(small_options().background(true));
    test.put("db", b"before", b"it");
    let (sink, shipment) = shipped(&test, ShipMode::Behind);
    let events = test.env().events().unwrap();
    sink.0.lock().unwrap().fails = true;
    for n in 0..200u8 {
        test.put("db", &[n % 5], &[n; 300]);
        if n % 40 == 39 {
            test.env().checkpoint().unwrap();
        }
        test.world.run_until_idle(3);
    }
    assert!(test.env().is_valid());
    assert_eq!(compare(&test, &sink), 0);
    let lag = shipment.lag_bytes();
    assert!(lag > 200 * 300, "{lag}");
    test.world.advance(Duration::from_secs(60));
    let status = shipment.status().unwrap();
    assert_eq!((status.mode, status.lag_bytes), (ShipMode::Behind, lag));
    assert!(status.lag_time >= Duration::from_secs(60) && status.trouble.is_some(), "{status:?}");
    assert!(test.env().stats().unwrap().ship_lag_micros >= 60_000_000);
    let told = matches!(events.next(), Some(Event::ShippingTrouble { .. }));
    assert!(told);
    assert_eq!(test.env().stats().unwrap().ship_lag_bytes, lag);
    let files = |test: &TestEnv| test.env().stats().unwrap().journal_files;
    let kept = files(&test);
    sink.0.lock().unwrap().fails = false;
    test.world.advance(Duration::from_secs(2));
    test.world.run_until_idle(1000);
    assert_eq!((compare(&test, &sink), shipment.lag_bytes()), (lag, 0));
    let status = shipment.status().unwrap();
    assert_eq!((status.lag_time, status.shipped_bytes), (Duration::ZERO, lag));
    assert!(status.trouble.is_none() && status.position.is_some(), "{status:?}");
    // What has gone nowhere else is gone here only now.
    for _ in 0..3 {
        test.put("db", b"k", b"v");
        test.env().checkpoint().unwrap();
    }
    assert!(files(&test) < kept, "{} {kept}", files(&test));
    // The rest, its end included, it gets when the environment is closed.
    test.put("db", b"last", &[9; 100]);
    test.close();
    compare(&test, &sink);
    let kept = sink.0.lock().unwrap();
    let (_, last) = kept.files.last_key_value().unwrap();
    assert!(last.windows(100).any(|window| window == [9; 100]));
    drop(kept);
    drop(shipment);
    test.open().unwrap();
}
