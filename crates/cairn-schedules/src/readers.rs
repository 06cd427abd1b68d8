//! Readers beside those who move things: a version stays what it was.

use cairn_env::{Durability, EnvError, EnvResult, Snapshot};
use cairn_io::shared::thread;

use crate::{
    Checked,
    commits::{task, together},
    ground::{Ground, options, run},
};

/// Keys that every commit of the writer puts, all to the same value.
const KEYS: u8 = 6;

/// One overwrites everything, one makes checkpoints and cleans, one reads a snapshot twice, one pins.
pub(super) fn beside_the_cleaner(seed: u64) -> Checked {
    let ground =
        Ground::new(seed, options().node_file_bytes(16 << 10).background(seed.is_multiple_of(4)))?;
    let (env, db) = (
        &ground.env,
        &ground.env.database("read", cairn_env::DatabaseOptions::default()).map_err(run)?,
    );
    let write = move |value: u8| {
        env.write_with(Durability::NoSync, |txn| {
            (0..KEYS).try_for_each(|key| txn.put(db, &[key], &[value; 100]))
        })
    };
    write(0).map_err(run)?;
    env.checkpoint().map_err(run)?;
    let writer = task(move || (1..3).try_for_each(write));
    let upkeep = task(move || {
        env.checkpoint()?;
        env.clean()?;
        env.checkpoint().map(drop)
    });
    let reader = task(move || {
        let snapshot = env.snapshot()?;
        let before = all(&snapshot, db)?;
        thread::yield_now();
        let after = all(&snapshot, db)?;
        same(before == after, "a snapshot has changed")
    });
    let pinning = task(move || {
        let backup = match env.begin_backup() {
            Err(EnvError::Busy { .. }) => return Ok(()),
            backup => backup?,
        };
        thread::yield_now();
        backup.files().iter().try_for_each(|file| file.copy(|_, _| Ok::<_, EnvError>(())).map(drop))
    });
    together([writer, upkeep, reader, pinning])?;
    ground.close_and_check()
}

/// The one value that all keys have.
fn all(snapshot: &Snapshot, db: &cairn_env::Database) -> EnvResult<u8> {
    let mut values = Vec::new();
    for entry in snapshot.iter(db)? {
        let (_, value) = entry?;
        values.push(value.first().copied());
    }
    let first = values.first().copied().flatten();
    same(
        values.len() == usize::from(KEYS) && values.iter().all(|value| *value == first),
        "half of a commit is seen",
    )?;
    Ok(first.unwrap_or(u8::MAX))
}

fn same(is_so: bool, otherwise: &str) -> EnvResult<()> {
    if is_so { Ok(()) } else { Err(EnvError::InvalidInput { what: otherwise.into() }) }
}
