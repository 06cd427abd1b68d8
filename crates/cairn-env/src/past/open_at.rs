//! `Environment::open_at`: the environment as it was at a moment, beside the one that goes on.

use cairn_log::{FileNumber, LogFile, LogResult, Lsn};

use super::{
    RestoreTo,
    chain::{Chain, Files as JournalFiles},
    plan::{Hit, find, place},
    source::JournalSource,
};
use crate::{
    EnvError, EnvResult, Environment, Options, RecoveryReport,
    checkpoint::CheckpointRecord,
    files::Files,
    recovery::{Listing, open_checkpoint},
    state::State,
};

/// To which moment an open goes.
#[derive(Debug)]
pub(crate) struct At<'a> {
    pub(crate) to: &'a RestoreTo,
    /// How far the journal is known to be durable, beyond what the files say.
    pub(crate) durable: Option<(FileNumber, u64)>,
}

impl Environment {
    /// Opens this environment once more, for reading only, as one commit in its past had left it: the one with a
    /// number, the latest mark of a label, the newest one at a time, or the newest that is durable. This one
    /// goes on meanwhile; what the other one needs is pinned as long as that is open.
    ///
    /// It begins at the newest checkpoint and replays the journal in memory, so it costs time and memory by what was
    /// committed in between. What was before that checkpoint can be opened so only where the whole journal was kept,
    /// from the first commit on ([`JournalRetention::Forever`](crate::JournalRetention::Forever)): all of it is then
    /// replayed. Otherwise there is nothing to begin from, and a restore from a backup goes further back.
    ///
    /// ```
    /// # use cairn_env::{DatabaseOptions, Environment, Options, RestoreTo};
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// let db = env.database("db", DatabaseOptions::default())?;
    /// env.write(|txn| txn.put(&db, b"schema", b"1"))?;
    /// env.mark("before-migration")?;
    /// env.write(|txn| txn.put(&db, b"schema", b"2"))?;
    /// let (then, _) = env.open_at(&RestoreTo::Label("before-migration".into()))?;
    /// let db = then.find_database("db")?.unwrap();
    /// assert_eq!(then.snapshot()?.get(&db, b"schema")?.unwrap(), b"1");
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// [`OutOfReach`](crate::EnvError::OutOfReach) if there is no such moment since the newest checkpoint, or in a journal that is whole; otherwise as
    /// [`Environment::open`].
    pub fn open_at(&self, to: &RestoreTo) -> EnvResult<(Self, RecoveryReport)> {
        let core = self.core.enter()?;
        core.check()?;
        let durable = core.journal_in_use();
        let options = Options { replica: None, ..core.options.clone() };
        let options = options.read_only(true).create(false);
        let (root, world) = (core.root.dir.clone(), core.world.clone());
        Self::open_in_at(root, world, options, Some(&At { to, durable }))
    }
}

/// The state of which an open makes what was there at a moment, after `state`: `listing` has the files, all of
/// which are pinned.
pub(crate) fn state_at(
    files: &Files,
    listing: &Listing,
    state: &State,
    at: &At<'_>,
    has_writer: bool,
) -> EnvResult<State> {
    let checkpoint = open_checkpoint(files, listing, state)?;
    let record = checkpoint.as_ref().map(|checkpoint| &checkpoint.record);
    let from = From { files, listing, state, at, has_writer };
    let found = match from.checkpoint(record) {
        // Where all of the journal is there, it needs no checkpoint.
        Err(EnvError::OutOfReach { .. }) if record.is_some() => {
            files.forget_all();
            match from.checkpoint(None) {
                Ok(found) => Ok(State { checkpoint: None, checkpoint_number: 0, ..found }),
                Err(_) => {
                    open_checkpoint(files, listing, state)?;
                    from.checkpoint(record)
                }
            }
        }
        found => found,
    };
    let mut state = found?;
    if let Some(encryption) = &mut state.encryption {
        // They vouch for the files of another moment.
        (encryption.journal, encryption.tail) = Default::default();
        if state.checkpoint.is_none() {
            encryption.checkpoint = Default::default();
        }
    }
    Ok(state)
}

/// Where a moment is looked for.
struct From<'a> {
    files: &'a Files,
    listing: &'a Listing,
    state: &'a State,
    at: &'a At<'a>,
    has_writer: bool,
}

impl From<'_> {
    /// The state at the moment, if that is in the journal from a checkpoint on; without one, from the first commit
    /// on.
    fn checkpoint(&self, record: Option<&CheckpointRecord>) -> EnvResult<State> {
        let Self { files, listing, state, at, has_writer } = *self;
        let start = record.and_then(|record| record.replay_start);
        let mut source =
            JournalSource::of_environment(files, listing, state, at.durable, has_writer);
        let as_it_is = |file: LogFile| -> LogResult<LogFile> { Ok(file) };
        let mut journal = JournalFiles::take(&mut source, &as_it_is);
        let durable = |file: &LogFile| source.end_of_last(file);
        let chain = Chain::of_files(&mut journal, start.map(Lsn::file), &durable)?;
        let base = Hit {
            commit: record.map_or(0, |record| record.sequence),
            time: record.map_or(0, |record| record.time),
            end: start.and_then(|start| place(&chain.links, start)),
        };
        let hit = find(&chain, base, at.to, true)?;
        let tail = match hit.end {
            Some((link, end)) => Some(chain.links[link].file.predecessor(end, hit.commit)?),
            None => None,
        };
        Ok(State { clean: false, journal: None, tail, sequence: hit.commit, ..state.clone() })
    }
}
