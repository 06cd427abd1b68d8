//! How an environment ends while others use it: a sync that fails, a close, the last handle.

use cairn_env::{Durability, EnvError};
use cairn_io::shared::thread;
use cairn_sim::Level;

use crate::{
    Checked,
    commits::{task, together},
    ground::{Client, Ground, Kept, options},
};

/// A sync fails: everybody who waits is told, and nothing acknowledged is lost.
pub(super) fn failing(seed: u64) -> Checked {
    let ground = Ground::new(seed, options().background(seed.is_multiple_of(4)))?;
    let client = |client: Client| {
        let ground = &ground;
        task(move || {
            for _ in 0..2 {
                match ground.commit(client, Durability::Sync) {
                    Err(EnvError::CommitUnknown { .. } | EnvError::Poisoned { .. }) => break,
                    result => result.map(drop)?,
                }
            }
            Ok(())
        })
    };
    let trouble = task(|| {
        ground.book.disk.fail_next_sync(ground.book.choose(3));
        Ok(())
    });
    together([client(0), client(1), client(2), trouble])?;
    // Unless all were done before the trouble came, it must be known to all.
    let failed = !ground.env.is_valid();
    let after = ground.commit(3, Durability::NoSync);
    if failed != matches!(after, Err(EnvError::Poisoned { .. })) {
        let story = format!("failed: {failed}; and then a commit: {after:?}");
        return Err(story);
    }
    ground.book.lose_power(Level::LoseAll, Kept::Synced);
    ground.book.lose_some_power();
    let Ground { env, book, .. } = ground;
    drop(env); // in order or not: nothing is asked of it
    book.check()
}

/// One closes, again and again until nobody is in the way; the others commit until they are told.
pub(super) fn closing(seed: u64) -> Checked {
    let ground = Ground::new(seed, options().background(seed.is_multiple_of(4)))?;
    let client = |client: Client, durability| {
        let ground = &ground;
        task(move || {
            for _ in 0..3 {
                match ground.commit(client, durability) {
                    Err(EnvError::Closed) => break,
                    result => result.map(drop)?,
                }
            }
            Ok(())
        })
    };
    let closer = task(|| {
        loop {
            match ground.env.clone().close() {
                Err(EnvError::Busy { .. }) => thread::yield_now(),
                result => return result,
            }
        }
    });
    together([client(0, Durability::Sync), client(1, Durability::NoSync), closer])?;
    if !matches!(ground.env.snapshot(), Err(EnvError::Closed)) {
        return Err("a snapshot of a closed environment".into());
    }
    ground.book.lose_power(Level::LoseAll, Kept::All);
    ground.book.check()
}

/// Handles go one after the other, the last one with what nobody has synced.
pub(super) fn dropping(seed: u64) -> Checked {
    let ground = Ground::new(seed, options().background(seed.is_multiple_of(2)))?;
    let client = |client: Client, durability| {
        let ground = &ground;
        task(move || ground.commit(client, durability).map(drop))
    };
    together([client(0, Durability::NoSync), client(1, Durability::WriteNoSync)])?;
    let Ground { env, db, book } = ground;
    drop((env, db));
    book.open_again()?; // at once, whatever the worker was in the middle of
    book.lose_power(Level::LoseAll, Kept::All);
    book.check()
}
