//! `RestorePlan`: which journal a restore to a moment takes, and where it ends.
//!
//! Nothing has to stop a replay: what comes after the moment is not there. The journal of what is restored ends
//! behind the record of its last commit, and the state file says so.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_io::FileExt;
use cairn_log::{
    Damage, DataKeys, Digest, FileClass, FileNumber, HEADER_LEN, LogFile, LogName, LogResult, Lsn,
    Predecessor,
};

use super::{
    RestoreTo,
    chain::{Chain, Files, Gap, Link},
    commits::each_commit,
    source::JournalSource,
};
use crate::{EnvError, EnvResult, backup::Cut, checkpoint::CheckpointRecord, files::unlock};

/// A backup from which a restore starts: its cut, and those of its files that the plan has to look into.
#[derive(Debug)]
pub struct RestoreBase {
    path: PathBuf,
    cut: Cut,
    files: BTreeMap<FileNumber, (Arc<LogFile>, u64)>,
    keys: Option<DataKeys>,
}

/// A journal file that a restore copies, as far as it counts.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlannedFile {
    /// Its name.
    pub name: LogName,
    /// The data directory in which it lay, and will lie.
    pub directory: u16,
    /// How many of its bytes count.
    pub length: u64,
    /// Whether the base has all of these.
    pub is_of_base: bool,
    file: Arc<LogFile>,
    digest: Digest,
}

/// What a restore to a moment copies beside the node and value files of its base.
pub struct RestorePlan {
    cut: Cut,
    journal: Vec<PlannedFile>,
    /// Journal files of the base below this one are copied as they are: values stand in them.
    from: Option<FileNumber>,
    /// Keeps the files where they are.
    _source: Option<JournalSource>,
}

/// A commit, and where a journal ends that goes up to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) commit: u64,
    pub(super) time: u64,
    /// Which link, and where in it; `None`: no journal is needed.
    pub(super) end: Option<(usize, u64)>,
}

impl RestoreBase {
    /// The backup at `path` with this cut: its journal files and the file in which its checkpoint stands, with
    /// their lengths, and the keys of its files if it is encrypted.
    ///
    /// # Errors
    /// If a file is of another environment, or of an epoch whose key is not there.
    pub fn new(
        path: &Path,
        cut: Cut,
        files: Vec<(LogFile, u64)>,
        keys: Option<DataKeys>,
    ) -> EnvResult<Self> {
        let mut by_number = BTreeMap::new();
        for (file, length) in files {
            file.header().check_place(file.path(), file.name(), cut.environment)?;
            let number = file.header().number;
            by_number.insert(number, (Arc::new(unlock(file, keys.as_ref())?), length));
        }
        Ok(Self { path: path.to_owned(), cut, files: by_number, keys })
    }

    /// The file in which the checkpoint of a cut stands.
    #[must_use]
    pub fn checkpoint_file(cut: &Cut) -> Option<FileNumber> {
        cut.checkpoint.map(Lsn::file)
    }

    fn checkpoint(&self) -> EnvResult<Option<CheckpointRecord>> {
        let Some(lsn) = self.cut.checkpoint else { return Ok(None) };
        let Some((file, _)) = self.files.get(&lsn.file()) else {
            let name = LogName::new(FileClass::Node, lsn.file(), self.cut.timeline).to_string();
            let why = "the checkpoint of the backup stands in it".into();
            return Err(EnvError::MissingFile { name, dir: self.path.clone(), why });
        };
        Ok(Some(CheckpointRecord::read(file, lsn)?))
    }

    /// Finds the moment in the journal of the backup and, where that ends, of `source`. Everything from the
    /// checkpoint of the backup on can be reached. Nothing is written.
    ///
    /// # Errors
    /// [`EnvError::OutOfReach`] if there is no such moment in it; [`EnvError::JournalGap`] if a journal file is
    /// missing before it, or may hold it; [`EnvError::OtherHistory`] if the journal of `source` does not go on from
    /// the backup; errors of the kind `Corrupt` for damage before the moment.
    pub fn plan(&self, source: Option<JournalSource>, to: &RestoreTo) -> EnvResult<RestorePlan> {
        let checkpoint = self.checkpoint()?;
        let start = checkpoint.as_ref().and_then(|record| record.replay_start);
        let journals = self.files.iter();
        let journals = journals.filter(|(_, (file, _))| file.header().class == FileClass::Journal);
        let journals = journals.map(|(number, file)| (*number, file.clone())).collect();
        let start_file = start.map(Lsn::file);
        let mut chain = Chain::of_base(&self.path, &self.cut, &journals, start_file)?;
        let mut source = source;
        let is_whole = source.as_ref().is_some_and(|source| source.is_whole);
        if let Some(source) = &mut source {
            if source.environment() != self.cut.environment {
                let (path, found) = (source.path.clone(), source.environment());
                let why = format!(
                    "it is of the environment {found}, the backup of {}",
                    self.cut.environment
                );
                return Err(EnvError::OtherHistory { path, why });
            }
            let with_key =
                |file: LogFile| -> LogResult<LogFile> { unlock(file, self.keys.as_ref()) };
            let mut files = Files::take(source, &with_key);
            let end_of_last = |file: &LogFile| source.end_of_last(file);
            chain.go_on(&mut files, self.cut.journal_end, &end_of_last)?;
        }
        let base = Hit {
            commit: checkpoint.as_ref().map_or(0, |record| record.sequence),
            time: checkpoint.as_ref().map_or(0, |record| record.time),
            end: start.and_then(|start| place(&chain.links, start)),
        };
        let hit = find(&chain, base, to, is_whole)?;
        let from = chain.links.first().map(|link| link.file.header().number);
        self.up_to(chain.links, hit, from, source)
    }

    fn up_to(
        &self,
        mut links: Vec<Link>,
        hit: Hit,
        from: Option<FileNumber>,
        source: Option<JournalSource>,
    ) -> EnvResult<RestorePlan> {
        links.truncate(hit.end.map_or(0, |(link, _)| link + 1));
        if let (Some(last), Some((_, end))) = (links.last_mut(), hit.end) {
            last.end = end;
        }
        let mut journal = Vec::new();
        for link in &links {
            let header = link.file.header();
            journal.push(PlannedFile {
                name: header.name(),
                directory: header.directory,
                length: link.end,
                is_of_base: link.is_of_base,
                digest: link.file.digest(link.end)?,
                file: Arc::clone(&link.file),
            });
        }
        let journal_end = journal.last().map(|last| Predecessor {
            file: last.name.number,
            directory: last.directory,
            end: last.length,
            last_sequence: hit.commit,
            chain: last.digest,
        });
        let used = journal_end.and_then(|end| end.file.next());
        let cut = Cut {
            commit: hit.commit,
            time: hit.time,
            journal_end,
            next_file: self.cut.next_file.max(used.unwrap_or(self.cut.next_file)),
            ..self.cut.clone()
        };
        Ok(RestorePlan { cut, journal, from, _source: source })
    }
}

/// Where a position stands in the chain; at the end of a file it may be none of the next one yet.
pub(super) fn place(links: &[Link], at: Lsn) -> Option<(usize, u64)> {
    let index = links.iter().position(|link| link.file.header().number == at.file())?;
    Some((index, at.offset().min(links[index].end)))
}

/// The commit that is meant, of those from `base` on.
pub(super) fn find(chain: &Chain, base: Hit, to: &RestoreTo, is_whole: bool) -> EnvResult<Hit> {
    // That there is no later one is known by one that is too late.
    let (mut hit, mut last, mut is_passed) = (None, base, false);
    let (mut before_base, mut damaged) = (None, None);
    // Where what follows the base begins: before that it is not known what was there.
    let from = match (base.end, base.commit) {
        (Some((link, end)), 1..) => Some(chain.links[link].file.lsn(end)?),
        _ => None,
    };
    match to {
        RestoreTo::Commit(commit) if *commit == base.commit => hit = Some(base),
        RestoreTo::Time(time) if base.time <= *time => hit = Some(base),
        RestoreTo::Lsn(lsn) if from.is_none_or(|from| from <= *lsn) => hit = Some(base),
        RestoreTo::Newest => hit = Some(base),
        _ => {}
    }
    // A commit has its number alone: for the one of the base, no journal has to be there.
    is_passed |= hit.is_some() && matches!(to, RestoreTo::Commit(_));
    let links = if is_passed { &[] } else { &*chain.links };
    for (index, link) in links.iter().enumerate() {
        let scanned = each_commit(&link.file, HEADER_LEN, link.end, &mut |commit| {
            let is_named = match to {
                RestoreTo::Label(label) => commit.label == Some(label),
                _ => false,
            };
            if commit.sequence < base.commit {
                before_base = is_named.then_some(commit.sequence).or(before_base);
                return true;
            }
            let end = Some((index, commit.end));
            let this = match commit.sequence == base.commit {
                true => Hit { time: commit.time, ..base },
                false => Hit { commit: commit.sequence, time: commit.time, end },
            };
            last = this;
            let (is_meant, is_late) = match to {
                RestoreTo::Newest => (true, false),
                RestoreTo::Commit(number) => (this.commit == *number, this.commit > *number),
                RestoreTo::Label(_) => (is_named, false),
                RestoreTo::Time(time) => (this.time <= *time, this.time > *time),
                RestoreTo::Lsn(lsn) => (commit.lsn <= *lsn, commit.lsn > *lsn),
            };
            if is_meant {
                hit = Some(this);
            }
            // What is before the base is told with the whole history.
            is_passed |= hit.is_some() && (is_late || matches!(to, RestoreTo::Commit(_)));
            !is_passed
        })?;
        damaged = scanned.filter(|stop| stop.offset < link.end).map(|stop| {
            let why = link.file.corrupt(stop.offset, stop.damage.unwrap_or(Damage::Nothing));
            Gap::at(&link.file, why.to_string())
        });
        if is_passed || damaged.is_some() {
            break;
        }
    }
    if let (true, Some(hit)) = (is_passed, hit) {
        return Ok(hit);
    }
    let (first, newest) = (base.commit, last.commit);
    let out =
        |what: String| Err(EnvError::OutOfReach { what, first, last: newest, time: last.time });
    if matches!(to, RestoreTo::Commit(commit) if *commit < first)
        || matches!(to, RestoreTo::Time(time) if *time < base.time)
        || matches!(to, RestoreTo::Lsn(lsn) if from.is_some_and(|from| *lsn < from) && hit.is_none())
    {
        return out(format!("{to} is before all of it"));
    }
    if let Some(Gap { path, missing, why }) = damaged.or_else(|| chain.gap.clone()) {
        return Err(EnvError::JournalGap { path, missing, why, last: newest, time: last.time });
    }
    match (hit, to) {
        // Nobody knows whether there were others, before that time.
        (Some(_), RestoreTo::Time(_) | RestoreTo::Lsn(_)) if !is_whole => {
            out(format!("{to} is after all of it"))
        }
        (Some(hit), _) => Ok(hit),
        (None, _) => out(match before_base {
            Some(commit) => format!("{to}, commit {commit}, is before all of it"),
            None => format!("{to} is not in it"),
        }),
    }
}

impl RestorePlan {
    /// The instant that will be restored.
    #[must_use]
    pub const fn cut(&self) -> &Cut {
        &self.cut
    }

    /// The journal files that replay will go through.
    #[must_use]
    pub fn journal(&self) -> &[PlannedFile] {
        &self.journal
    }

    /// Whether a file of the base is copied as it is: it is no journal, or replay does not go through it.
    #[must_use]
    pub fn takes(&self, name: LogName) -> bool {
        name.class != FileClass::Journal || self.from.is_some_and(|from| name.number < from)
    }
}

impl PlannedFile {
    /// Copies what counts through `sink`, piece by piece, and verifies that it is what was looked at.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` if it is not. Whatever `sink` answers.
    pub fn copy<E: From<EnvError>>(
        &self,
        mut sink: impl FnMut(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const PIECE: usize = 1 << 18;
        let mut hasher = blake3::Hasher::new();
        let mut buf = vec![0; PIECE];
        let mut at = 0;
        while at < self.length {
            let want = usize::try_from(self.length - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = &mut buf[..want];
            let read = self.file.handle().read_in_passing(at, piece);
            read.map_err(|error| E::from(EnvError::from(error)))?;
            hasher.update(piece);
            sink(at, piece)?;
            at += want as u64;
        }
        if *hasher.finalize().as_bytes() == self.digest.0 {
            return Ok(());
        }
        let damage = Damage::Digest { by: "when it was looked at before" };
        Err(E::from(EnvError::from(self.file.corrupt(0, damage))))
    }
}

impl fmt::Debug for RestorePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RestorePlan(commit {}, {} journal files)", self.cut.commit, self.journal.len())
    }
}
