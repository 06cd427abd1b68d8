//! `BackupSet`: the files that are one exact state of the environment, frozen and pinned.
//!
//! The set is taken while the checkpointer is held, so no checkpoint can end between the moment in
//! which the state is frozen and the moment in which its files are listed and pinned. (Berkeley DB
//! JE had that window: defect M14 of its analysis.)

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use cairn_btree::FrozenRoot;
use cairn_io::FileExt;
use cairn_log::{
    Damage, Digest, FileClass, FileNumber, LogError, LogFile, LogName, Lsn, Predecessor, Scan,
    Scanner, Stop, Timeline, Uuid,
};

use crate::{EnvError, EnvResult, Snapshot, core::Core, sync::lock, utilization::FileEnd};

/// The instant that a backup holds, and what a restore needs to know beside the files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "manifests record each field")]
pub struct Cut {
    /// The environment.
    pub environment: Uuid,
    /// The timeline of the cut.
    pub timeline: Timeline,
    /// The last commit that it holds.
    pub commit: u64,
    /// Its time, in microseconds since 1970.
    pub time: u64,
    /// Position of the checkpoint record from which the restored environment starts.
    pub checkpoint: Option<Lsn>,
    /// Number of that checkpoint.
    pub checkpoint_number: u64,
    /// Where the journal of the cut ends.
    pub journal_end: Option<Predecessor>,
    /// The smallest number that no log file had had.
    pub next_file: FileNumber,
}

/// One file of a backup: finished, so it never changes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackupFile {
    /// Its name in the generation directory.
    pub name: LogName,
    /// The data directory in which it lies.
    pub directory: u16,
    /// Its length in bytes.
    pub length: u64,
    file: Arc<LogFile>,
    sealed: bool,
}

impl BackupFile {
    /// Copies the file through `sink`, piece by piece, and returns the BLAKE3 hash of what was
    /// copied. The file is verified on the way: its records end in a seal whose digest is that of the
    /// bytes that were copied.
    ///
    /// # Errors
    /// [`EnvError::Log`] with kind `Corrupt` if the source is damaged: the copy must not be used.
    /// Whatever `sink` answers.
    pub fn copy<E: From<EnvError>>(
        &self,
        mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<Digest, E> {
        const PIECE: usize = 1 << 18;
        let failed = |error: LogError| E::from(EnvError::from(error));
        let seal = self.file.seal(self.length).map_err(failed)?;
        if seal.is_none() && self.sealed {
            return Err(failed(self.file.corrupt(self.length, Damage::NotSealed)));
        }
        let content_end = seal.map_or(0, |seal| seal.end);
        let mut whole = blake3::Hasher::new();
        let mut content = blake3::Hasher::new();
        let mut buf = vec![0; PIECE];
        let mut at = 0;
        while at < self.length {
            let want = usize::try_from(self.length - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buf[..want];
            self.file
                .handle()
                .read_exact_at(at, piece)
                .map_err(|error| E::from(EnvError::from(error)))?;
            whole.update(piece);
            let before_seal = usize::try_from(content_end.saturating_sub(at)).unwrap_or(usize::MAX);
            content.update(&piece[..before_seal.min(want)]);
            sink(at, piece)?;
            self.file.handle().forget(at, want as u64);
            at += want as u64;
        }
        match seal {
            Some(seal) if *content.finalize().as_bytes() != seal.digest.0 => {
                let damage = Damage::Digest { by: "in its seal" };
                return Err(failed(self.file.corrupt(seal.end, damage)));
            }
            Some(_) => {}
            // A journal that a crash has cut has no digest: its records vouch for it.
            None => self.check_records().map_err(failed)?,
        }
        Ok(Digest(*whole.finalize().as_bytes()))
    }
}

impl BackupFile {
    /// Checks every record up to the end of the file.
    fn check_records(&self) -> cairn_log::LogResult<()> {
        let mut scanner = Scanner::new(&self.file, self.length);
        loop {
            match scanner.next()? {
                Scan::Record(_) => {}
                Scan::End(Stop { offset, .. }) if offset == self.length => return Ok(()),
                Scan::End(Stop { offset, damage, .. }) => {
                    return Err(self.file.corrupt(offset, damage.unwrap_or(Damage::Nothing)));
                }
            }
        }
    }
}

/// A frozen, pinned set of files: see [`Environment::begin_backup`](crate::Environment::begin_backup).
/// Dropping it releases what it pins.
#[must_use = "the files are pinned as long as it lives"]
pub struct BackupSet {
    core: Arc<Core>,
    pin: u64,
    cut: Cut,
    root: Arc<FrozenRoot>,
    files: Vec<BackupFile>,
}

impl BackupSet {
    /// The instant that the set holds.
    #[must_use]
    pub const fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The state that the set holds, as a snapshot of the running environment: for a digest, say, that
    /// whatever is restored from the files must have.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(&self.core, Arc::clone(&self.root))
    }

    /// The files. All are finished: none changes while it is copied, or ever.
    #[must_use]
    pub fn files(&self) -> &[BackupFile] {
        &self.files
    }

    /// Lets a file go that was copied: it need not wait for the others.
    pub fn release(&self, file: &BackupFile) {
        lock(&self.core.pins).release_file(self.pin, file.name.number);
    }
}

impl Drop for BackupSet {
    fn drop(&mut self) {
        lock(&self.core.pins).release(self.pin);
        self.core.holders.backups.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for BackupSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BackupSet(commit {}, {} files)", self.cut.commit, self.files.len())
    }
}

pub(crate) fn begin(core: &Arc<Core>) -> EnvResult<BackupSet> {
    let mut checkpointer = lock(&core.checkpointer);
    // A fresh checkpoint: what is restored then has almost nothing to replay.
    core.checkpoint_held(&mut checkpointer)?;
    // The journal up to here is finished as well, so that no file of the set can change.
    core.begin_unless_finished()?;
    // Its end and the state at that end are one moment: the next commit may come right after it.
    let (journal_end, time, root) = core.seal_journal(|commit| {
        let sequence = commit.sequence;
        Ok((commit.tail, commit.time, commit.writer.freeze(sequence)?))
    })?;
    core.add_new_files(&mut checkpointer.utilization);
    let newest = checkpointer.newest.clone();
    // From here to the end of the function nothing can be removed: removal is the checkpointer's.
    let mut pins = lock(&core.pins);
    let start = newest.as_ref().and_then(|newest| newest.record.replay_start).map(Lsn::file);
    let mut files = Vec::new();
    for (number, usage) in &checkpointer.utilization.files {
        let needed = usage.live > 0
            || newest.as_ref().is_some_and(|newest| newest.lsn.file() == *number)
            || usage.class == FileClass::Journal
                && start.is_none_or(|start| *number >= start)
                && journal_end.is_some_and(|end| *number <= end.file);
        if needed {
            files.push(member(core, *number, usage.directory, usage.end)?);
        }
    }
    files.sort_by_key(|file| file.name.number);
    let pin = pins.pin(files.iter().map(|file| file.name.number));
    core.holders.backups.fetch_add(1, Ordering::AcqRel);
    drop(pins);
    let cut = Cut {
        environment: core.files.identity.environment,
        timeline: core.files.identity.timeline,
        commit: root.sequence(),
        time,
        checkpoint: newest.as_ref().map(|newest| newest.lsn),
        checkpoint_number: newest.as_ref().map_or(0, |newest| newest.record.number),
        journal_end,
        next_file: core.files.next(),
    };
    Ok(BackupSet { core: Arc::clone(core), pin, cut, root, files })
}

fn member(core: &Core, number: FileNumber, directory: u16, end: FileEnd) -> EnvResult<BackupFile> {
    let file = core.files.get(number)?;
    let (length, sealed) = match end {
        FileEnd::Sealed(length) => (length, true),
        FileEnd::Cut(length) => (length, false),
        FileEnd::Open => return Err(file.corrupt(file.end(), Damage::NotSealed).into()),
    };
    Ok(BackupFile { name: file.name(), directory, length, file, sealed })
}
