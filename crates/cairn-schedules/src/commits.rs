//! Commits that wait for each other: shared syncs, durabilities, turns.

use std::time::Duration;

use cairn_env::{Durability, EnvResult};
use cairn_io::shared::thread;
use cairn_sim::Level;

use crate::{
    Checked,
    ground::{Ground, Kept, PATIENCE, options, run},
};

const RELAXED: Durability = Durability::Relaxed(Duration::from_millis(1));

/// What a thread does.
pub(super) type Task<'e> = Box<dyn FnOnce() -> EnvResult<()> + Send + 'e>;

/// Something for a thread to do.
pub(super) fn task<'e>(body: impl FnOnce() -> EnvResult<()> + Send + 'e) -> Task<'e> {
    Box::new(body)
}

/// Runs threads to their ends; the first error of any is that of all.
pub(super) fn together<'e>(threads: impl IntoIterator<Item = Task<'e>>) -> Checked {
    thread::scope(|scope| {
        let handles: Vec<_> = threads.into_iter().map(|body| scope.spawn(body)).collect();
        // All are waited for: none goes on when the environment ends.
        let ends: Vec<_> = handles.into_iter().map(|handle| handle.join()).collect();
        ends.into_iter().try_for_each(|end| match end {
            Ok(result) => result.map_err(run),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })
}

/// Three threads commit, two times each, and each must be told; the power fails meanwhile. Who only wants
/// to be written waits for the same flushes as who wants to be synced, and is done earlier.
pub(super) fn group(seed: u64) -> Checked {
    let ground = Ground::new(seed, options())?;
    let client = |client| {
        let ground = &ground;
        let levels = [ground.book.choose(3), ground.book.choose(3)];
        let level = |level| if level == 0 { Durability::WriteNoSync } else { Durability::Sync };
        task(move || levels.iter().try_for_each(|n| ground.commit(client, level(*n)).map(drop)))
    };
    let power = task(|| {
        ground.book.lose_some_power();
        thread::yield_now();
        ground.book.lose_some_power();
        Ok(())
    });
    together([client(0), client(1), client(2), power])?;
    ground.book.lose_some_power();
    ground.close_and_check()
}

/// All durabilities, a checkpoint and the background; a sync in the end is for all.
pub(super) fn levels(seed: u64) -> Checked {
    let ground = Ground::new(seed, options().background(true))?;
    let client = |client, first, second| {
        let ground = &ground;
        task(move || {
            ground.commit(client, first)?;
            ground.commit(client, second).map(drop)
        })
    };
    let upkeep = task(|| {
        ground.env.checkpoint()?;
        ground.book.lose_some_power();
        Ok(())
    });
    together([
        client(0, Durability::WriteNoSync, Durability::Sync),
        client(1, Durability::NoSync, RELAXED),
        upkeep,
    ])?;
    ground.env.sync().map_err(run)?;
    ground.book.lose_power(Level::LoseAll, Kept::All);
    ground.close_and_check()
}

/// Nobody asks for a sync, and all the same the commits become durable.
pub(super) fn relaxed(seed: u64) -> Checked {
    let ground = Ground::new(seed, options().background(true))?;
    let client = |client, durability| {
        let ground = &ground;
        task(move || ground.commit(client, durability).map(drop))
            as Box<dyn FnOnce() -> EnvResult<()> + Send + '_>
    };
    together([client(0, RELAXED), client(1, Durability::NoSync)])?;
    let newest = ground.env.snapshot().map_err(run)?.commit();
    let mut looks = 0;
    while ground.env.durable_snapshot().map_err(run)?.commit() < newest {
        looks += 1;
        if looks > PATIENCE {
            return Err("what waits in memory is never made durable".into());
        }
        thread::yield_now();
    }
    ground.book.lose_power(Level::LoseAll, Kept::All);
    ground.close_and_check()
}

/// Threads count together, each reading before it writes; one does it exclusively, or gives up.
pub(super) fn counters(seed: u64) -> Checked {
    const KEY: &[u8] = b"counter";
    let ground = Ground::new(seed, options())?;
    let (env, db) = (&ground.env, env_counter(&ground)?);
    let db = &db;
    let increased = |value: Option<cairn_env::Value>| {
        [value.and_then(|value| value.first().copied()).unwrap_or(0) + 1]
    };
    let counter = || {
        Box::new(move || {
            for _ in 0..2 {
                env.write_with(Durability::NoSync, |txn| {
                    let next = increased(txn.get(db, KEY)?);
                    txn.put(db, KEY, &next)
                })?;
            }
            Ok(())
        })
    };
    let gives_up = ground.book.choose(3) == 0;
    let exclusive = task(move || {
        let mut txn = env.begin_exclusive()?;
        let next = increased(txn.get(db, KEY)?);
        txn.put(db, KEY, &next)?;
        if gives_up { Ok(()) } else { txn.commit().map(drop) }
    });
    together([counter(), counter(), exclusive])?;
    let counted = env.snapshot().and_then(|snapshot| snapshot.get(db, KEY)).map_err(run)?;
    let (counted, wanted) =
        (counted.and_then(|value| value.first().copied()), 5 - u8::from(gives_up));
    if counted != Some(wanted) {
        let story = format!("{counted:?} was counted, of {wanted}");
        return Err(story);
    }
    ground.close_and_check()
}

fn env_counter(ground: &Ground) -> Checked<cairn_env::Database> {
    ground.env.database("counter", cairn_env::DatabaseOptions::default()).map_err(run)
}
