//! What a directory has for a standby: all of it as a base, and the journal past that.

use std::path::Path;

use cairn_env::{
    EnvError, Environment, JournalSource, Keyring, RestoreTarget, Since, StandbyTarget, Superseded,
    forget_old_generation, supersede, superseded,
};
use cairn_io::{DirRef, FileExt as _, WorldRef};
use cairn_log::{FileNumber, Timeline, Uuid};

use super::{
    StandbyOptions, StandbyStatus,
    source::{Arrived, Base, STEP},
};
use crate::{BackupResult, bring::RESTORE, keyring::unlock_own};

/// Bytes that are read at once, about.
const PIECE: u64 = 4 << 20;

/// The directory of an environment or of its replica, and what keeps its journal.
#[derive(Debug)]
pub(super) struct FromDirectory {
    root: DirRef,
    options: StandbyOptions,
    world: WorldRef,
    /// Keeps the journal files that have yet to arrive.
    held: Option<JournalSource>,
    /// Whether nobody writes there any more.
    is_over: bool,
}

impl FromDirectory {
    pub(super) fn new(root: DirRef, options: &StandbyOptions, world: &WorldRef) -> Self {
        let (options, world) = (options.clone(), WorldRef::clone(world));
        Self { root, options, world, held: None, is_over: false }
    }

    fn journal(&self, from: FileNumber) -> BackupResult<JournalSource> {
        let journal = JournalSource::follow(DirRef::clone(&self.root), &self.world, from)?;
        Ok(if self.is_over { journal.to_its_end() } else { journal })
    }

    pub(super) fn line(&self) -> BackupResult<(Uuid, Timeline)> {
        let journal = self.journal(FileNumber::FIRST)?;
        Ok((journal.environment(), journal.timeline().unwrap_or(Timeline::FIRST)))
    }

    pub(super) fn path(&self) -> &Path {
        self.root.path()
    }

    pub(super) fn fence(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<Superseded>> {
        let by = superseded(&self.root)?;
        Ok(by.filter(|by| (by.environment, by.timeline) == (environment, timeline)))
    }

    pub(super) fn supersede(&mut self, by: &Superseded) -> BackupResult<()> {
        supersede(&self.root, &*self.world, by)?;
        self.is_over = true;
        Ok(())
    }

    /// Copies all of the environment, as a backup and its restore would.
    pub(super) fn bring(
        &mut self,
        root: &DirRef,
        of: &StandbyStatus,
        than: Option<u64>,
    ) -> BackupResult<Option<Base>> {
        let options = self.options.options.clone().read_only(true).create(false).background(false);
        let (from, world) = (DirRef::clone(&self.root), WorldRef::clone(&self.world));
        let (env, _) = Environment::open_in(from, world, options)?;
        let set = env.begin_backup()?;
        let cut = set.cut().clone();
        let line = (cut.environment, cut.timeline);
        if line != (of.environment, of.follows) {
            return Err(self.other(line.0, Some(line.1)).into());
        }
        if than.is_some_and(|than| cut.commit <= than) {
            return Ok(None);
        }
        let keys = unlock_own(&set, &env)?;
        let how = format!(
            "This directory is being filled from {}, to become a standby of it.\n\
             If that is not going on any more, run `cairn standby follow` again; or remove the directory.\n",
            self.root.path().display()
        );
        let (to, world) = (DirRef::clone(root), WorldRef::clone(&self.world));
        let (commit, keyring) = (cut.commit, set.keyring());
        let staging = match than {
            Some(_) => RestoreTarget::begin_in_place(to, world, cut, &how, keyring, false)?,
            None => RestoreTarget::begin(to, world, cut, &how, keyring)?,
        };
        for file in set.files() {
            let copy = staging.create(file.name, file.directory)?;
            file.copy(|at, bytes| -> BackupResult<()> { Ok(copy.write_all_at(at, bytes)?) })?;
            copy.sync(RESTORE)?;
            staging.arrived(file.name, file.directory)?;
            set.release(file);
        }
        let options = match keys {
            Some(keys) => self.options.options.clone().encryption(keys.data_keys()),
            None => self.options.options.clone(),
        };
        staging.finish(options)?;
        if than.is_some() {
            let options = self.options.options.clone();
            forget_old_generation(DirRef::clone(root), &self.world, options)?;
        }
        Ok(Some(Base { point: None, commit }))
    }

    fn other(&self, environment: Uuid, timeline: Option<Timeline>) -> EnvError {
        let line = timeline.map_or_else(String::new, |timeline| format!(", timeline {timeline}"));
        let why = format!("it is of the environment {environment}{line}");
        EnvError::OtherHistory { path: self.root.path().to_owned(), why }
    }

    pub(super) fn arrive(&mut self, target: &mut StandbyTarget) -> BackupResult<Arrived> {
        let position = target.position();
        let from = position.map_or(FileNumber::FIRST, |(file, _)| file);
        let mut journal = self.journal(from)?;
        let info = target.info();
        let timeline = journal.timeline();
        if journal.environment() != info.environment || timeline != Some(info.follows) {
            return Err(self.other(journal.environment(), timeline).into());
        }
        let keys = match (journal.keyring(), &self.options.options.key) {
            (Some(bytes), Some(key)) => {
                target.take_keyring(bytes, &self.options.options)?;
                let keyring = Keyring::decode(bytes, self.root.path())?;
                Some(keyring.unlock(key)?.data_keys())
            }
            _ => self.options.options.encryption.clone(),
        };
        let mut arrived = Arrived::default();
        let ranges = match journal.since(position, keys.as_ref())? {
            Since::Ranges(ranges) => ranges,
            Since::Gone { why } => {
                arrived.hole = Some(why);
                return Ok(arrived);
            }
        };
        for range in &ranges {
            let number = range.file().header().number;
            let mut at = range.start;
            while at < range.end {
                if arrived.bytes >= STEP {
                    arrived.has_more = true;
                    arrived.behind += range.end - at;
                    break;
                }
                let span = range.span(at, PIECE)?;
                let len = usize::try_from(span.end - at).unwrap_or(usize::MAX);
                let mut bytes = vec![0; len];
                range.file().handle().read_exact_at(at, &mut bytes)?;
                target.append(number, at, &bytes)?;
                if let Some(((_, commit), (_, time))) = span.commits.zip(span.times) {
                    arrived.newest = Some((commit, time));
                }
                arrived.bytes += span.end - at;
                at = span.end;
            }
        }
        target.sync()?;
        self.held = Some(journal);
        Ok(arrived)
    }
}
