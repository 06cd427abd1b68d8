//! `Environment::advance`: whoever reads a standby goes on to the end that it has come to.
//!
//! It is recovery's own replay, from where the one before has ended, in the same trees: a snapshot that was taken before
//! sees what it saw, the next one sees more.

use cairn_io::{Access, shared::atomic::Ordering};
use cairn_log::Lsn;

use crate::{
    EnvError, EnvResult, Environment, ErrorKind, RecoveryReport,
    core::Core,
    environment::patiently,
    pin::reader::Hold,
    recovery::{self, parts::Parts, replay::Replay},
    standby::StandbyInfo,
    state::StateFile,
    sync::lock,
};

impl Environment {
    /// Goes on to the end that the standby has come to which this environment reads; returns its newest commit. `None` if
    /// it cannot: the standby has another base or another data key since, or was promoted; then it is opened again.
    /// Snapshots that were taken before stay as they are, and so do databases that were looked up.
    ///
    /// What has changed since the base stays in memory, as after an open that has to replay it.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if it is not a standby that is read; errors of the kind `Corrupt` if what has arrived is
    /// damaged: then the environment has failed, and is opened again.
    pub fn advance(&self) -> EnvResult<Option<u64>> {
        let core = self.core.enter()?;
        core.check()?;
        if !core.options.read_only {
            let what = "only a standby that is read goes on to what has arrived".into();
            return Err(EnvError::InvalidInput { what });
        }
        let current = core.root.current()?;
        let generation = current.map(|current| current.generation.0);
        if StandbyInfo::read(&core.root)?.is_none()
            || generation != Some(core.files.identity.generation)
        {
            return Ok(None);
        }
        match core.advance() {
            // What has arrived is encrypted with a data key that came into being after this was opened.
            Err(error) if error.kind() == ErrorKind::Key => Ok(None),
            advanced => advanced.map(Some),
        }
    }
}

impl Core {
    fn advance(&self) -> EnvResult<u64> {
        let _guard = self.failure.on_panic();
        let mut commit = lock(&self.commit);
        let keys = self.options.encryption.as_ref();
        let (_, found) = patiently(&*self.world, || {
            let (file, found) = StateFile::open(&*self.files.dir, Access::Read)?;
            found.authenticate(keys, true, self.root.dir.path())?;
            Ok((file, found))
        })?;
        let state = found.newest;
        let Some(tail) = state.tail.filter(|tail| commit.tail != Some(*tail)) else {
            return Ok(commit.sequence);
        };
        let mut listing = recovery::list(&self.files)?;
        listing.leave_out_later(&state);
        let from = commit.tail.map(|tail| tail.file);
        let later = listing.journals.iter().filter(|(number, _)| Some(**number) >= from);
        let later: Vec<_> = later.map(|(number, name)| (*number, *name)).collect();
        if let Some(Hold::Pin(pin)) = &mut *lock(&self.hold) {
            pin.grow(&*self.world, later.iter().map(|(number, _)| *number))?;
        }
        for (_, name) in &later {
            self.files.open(*name)?; // as long as it is now
        }
        let start = commit.tail.map(|tail| Lsn::new(tail.file, tail.end));
        let start = start.map(|lsn| lsn.ok_or_else(|| EnvError::internal("the end of a journal")));
        let start = start.transpose()?;
        self.has_advanced.store(true, Ordering::Release);
        let (sequence, time, next_tree) = (commit.sequence, commit.time, commit.next_tree);
        let mut report = RecoveryReport::default();
        let mut replay = Replay {
            files: &self.files,
            forest: &self.forest,
            writer: &mut commit.writer,
            state: &state,
            strict: self.options.strict_tail,
            read_only: true,
            has_writer: false,
            journals: &listing.journals,
            open_ended: None,
            sequence,
            time,
            next_tree,
            report: &mut report,
            ended: Vec::new(),
            parts: Parts::default(),
        };
        let replayed = replay.run(start);
        let (sequence, time, next_tree) = (replay.sequence, replay.time, replay.next_tree);
        let is_whole = replayed.and_then(|_| match sequence == tail.last_sequence {
            true => Ok(()),
            false => Err(EnvError::NeedsRepair {
                path: self.files.path(),
                why: format!(
                    "the journal ends with commit {sequence}, the state with commit {}",
                    tail.last_sequence
                ),
            }),
        });
        // The trees are those of a commit in between.
        is_whole.map_err(|error| EnvError::Poisoned { cause: self.failure.poison(error) })?;
        (commit.sequence, commit.time, commit.next_tree) = (sequence, time, next_tree);
        commit.tail = Some(tail);
        let root = commit.writer.freeze(sequence)?;
        self.published.set(Some(root));
        self.latest.store(sequence, Ordering::SeqCst);
        self.acknowledged.store(sequence, Ordering::Release);
        Ok(sequence)
    }
}
