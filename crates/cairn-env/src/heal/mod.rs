//! Healing: a finished file that is damaged gets the bytes that another copy of it still has.
//!
//! A finished file never changes, so a copy that was begun as the same file, ends with the same seal, and has
//! every byte that the seal vouches for is what the file was. It is written beside the damaged one, read back, and takes
//! its name; the environment goes on meanwhile, and a crash leaves the old or the new. (Engine's rule R-19; ZFS
//! and Ceph mend from another copy likewise, where a checksum tells which one is right.)
//!
//! | file | what it is about |
//! |---|---|
//! | `content` | what is in use in a file that no copy has gets another place |
//! | `second` | what cannot be read here is read from the replica |
//! | `noted` | files of which something could not be read |
//! | `at_open` | a file without which the environment does not open |
//! | `source` | where copies come from: a replica, a repository of backups |

mod at_open;
mod content;
mod noted;
mod second;
mod source;

use std::{collections::BTreeMap, path::Path, sync::Arc};

use cairn_io::{Access, DirRef, FileExt, Name, RealDir};
use cairn_log::{Digest, FileClass, FileNumber, LogFile, Lsn, Scan, Scanner, Stop};

pub(crate) use at_open::before_open;
pub(crate) use second::{Second, generation_dirs};
pub use source::{Copies, HealSource};
use source::{Directory, Files};

use crate::{
    EnvError, EnvResult, Environment, ErrorKind, Finding, VerifyOptions,
    audit::{Extent, Extents},
    backup::{self, BackupFile},
    core::Core,
    ship::replica::ARRIVING,
    sites,
    sync::lock,
    utilization::FileEnd,
};

/// A file that has its bytes again, or whose content has another place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealedFile {
    /// Its name.
    pub file: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many damaged places were found in it.
    pub places: u64,
    /// Whether no copy had its bytes, and what was in use in it was written anew with what the replica has: the file
    /// then goes when no checkpoint needs it any more.
    pub by_content: bool,
}

/// What healing did, and what it could not do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealReport {
    /// Files that were damaged and are whole again, byte for byte or by content.
    pub healed: Vec<HealedFile>,
    /// Files that stay as they are, and why: the copy lacks them, or has something else, or is damaged, too.
    pub not_healed: BTreeMap<String, String>,
    /// What is still wrong, with the databases and keys that it concerns, as [`Environment::verify`] says it;
    /// empty if nothing was found at first.
    pub left: Vec<Finding>,
    /// Files that were read in search of damage.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Environment {
    /// Reads all finished files, as [`Environment::scrub`] does, and puts whole copies from `copy` in the place of
    /// those that are damaged: a directory with a replica of this environment, or with another copy of it.
    /// Readers and writers go on meanwhile. Then everything is verified, if there was any damage.
    ///
    /// Of what the copy does not hold as a file (what came into being after the replica's base) a replica that has
    /// every commit gives the large values, which get another place, as do nodes that are in memory. The rest stays
    /// damaged, and is listed with the keys that it concerns: other nodes of such files, and the journal file in use.
    ///
    /// # Errors
    /// [`EnvError::ReadOnly`]; [`EnvError::ForeignFile`] if `copy` is of another environment; if the disk fails. A
    /// copy that cannot be used for a file is none.
    pub fn heal(&self, copy: impl AsRef<Path>) -> EnvResult<HealReport> {
        let path = copy.as_ref();
        let dir = RealDir::open(path).map_err(|error| match error.is_not_found() {
            true => {
                let (path, why) = (path.to_owned(), "there is no such directory".into());
                EnvError::NotAnEnvironment { path, why }
            }
            false => error.into(),
        })?;
        self.heal_from(dir)
    }

    /// As [`Environment::heal`], from the replica with which the environment is open; `None` without one.
    ///
    /// # Errors
    /// As [`Environment::heal`].
    pub fn heal_from_replica(&self) -> EnvResult<Option<HealReport>> {
        match &self.core.options.replica {
            Some(replica) => self.heal_from(replica.open()?).map(Some),
            None => Ok(None),
        }
    }

    /// As [`Environment::heal`], from any directory.
    ///
    /// # Errors
    /// As [`Environment::heal`].
    pub fn heal_from(&self, copy: DirRef) -> EnvResult<HealReport> {
        let core = self.core.enter_to_write()?;
        self.heal_by(&Directory::open(&core, copy)?)
    }

    /// As [`Environment::heal`], from directories that hold log files of this environment, or of backups of it,
    /// under their names.
    ///
    /// # Errors
    /// As [`Environment::heal`].
    pub fn heal_with(&self, copies: &[DirRef]) -> EnvResult<HealReport> {
        self.heal_all(&Files(copies), false)
    }

    /// As [`Environment::heal`], from whatever has copies of its files, and its commits.
    ///
    /// # Errors
    /// As [`Environment::heal`].
    pub fn heal_by(&self, source: &dyn HealSource) -> EnvResult<HealReport> {
        self.heal_all(source, true)
    }

    fn heal_all(&self, source: &dyn HealSource, by_content: bool) -> EnvResult<HealReport> {
        let core = self.core.enter_to_write()?;
        core.check()?;
        let scrubbed = self.scrub()?;
        let mut report =
            HealReport { files: scrubbed.files, bytes: scrubbed.bytes, ..HealReport::default() };
        let mut places = BTreeMap::<String, u64>::new();
        for finding in &scrubbed.findings {
            *places.entry(finding.file.clone().unwrap_or_default()).or_default() += 1;
        }
        for (name, places) in places {
            let file = core.files.all().into_iter().find(|file| file.name().to_string() == name);
            let Some(file) = file else { continue }; // it has gone meanwhile
            match core.heal_file(&file, places, source, by_content)? {
                Ok(healed) => report.healed.push(healed),
                Err(why) => drop(report.not_healed.insert(name, why)),
            }
        }
        if report.healed.iter().any(|file| file.by_content) {
            // The first finds the files dead, the second lets them go.
            core.schedule.want_checkpoints(1);
            core.checkpoint()?;
            core.let_dead_files_go()?;
        }
        if !scrubbed.findings.is_empty() {
            report.left = self.verify(&VerifyOptions::new())?.findings;
        }
        Ok(report)
    }
}

/// What a file could be healed with, or why not.
type Healed = Result<HealedFile, String>;

impl Core {
    /// Puts a copy in the place of a file with damage in so many places; where there is none, what is in use in it in
    /// other places, if that is asked for.
    fn heal_file(
        &self,
        file: &Arc<LogFile>,
        places: u64,
        source: &dyn HealSource,
        by_content: bool,
    ) -> EnvResult<Healed> {
        let _healing = lock(&self.healing);
        let why = match self.heal_bytes(file, places, source)? {
            Err(why) if by_content && !self.is_in_use(file) => why,
            other => return Ok(other),
        };
        match self.move_out(file, source)? {
            Ok(()) => {
                let bytes = file.handle().len()?;
                let (name, by_content) = (file.name().to_string(), true);
                let healed = HealedFile { file: name, bytes, places, by_content };
                self.record_healed(file.header().number, &healed);
                // Two checkpoints, and the file is gone.
                self.schedule.want_checkpoints(2);
                Ok(Ok(healed))
            }
            Err(more) => Ok(Err(format!("{why}; {more}"))),
        }
    }

    /// Whether it is written to, or needed to recover from a crash: then it goes with no cleaning.
    fn is_in_use(&self, file: &LogFile) -> bool {
        let number = file.header().number;
        let checkpointer = lock(&self.checkpointer);
        let extents = Extents::with(self, &checkpointer.utilization.files);
        let newest = checkpointer.newest.as_ref().map(|newest| &newest.record);
        let start = newest.and_then(|record| record.replay_start).map(Lsn::file);
        !extents.is_finished(file)
            || file.header().class == FileClass::Journal
                && start.is_none_or(|start| number >= start)
    }

    fn heal_bytes(
        &self,
        file: &Arc<LogFile>,
        places: u64,
        source: &dyn HealSource,
    ) -> EnvResult<Healed> {
        let header = file.header();
        let (end, chain) = match Extents::of(self).of_file(file) {
            // That of a checkpoint may be known to be finished by its seal alone, which may be what is damaged.
            Extent::Sealed(length) => (FileEnd::Sealed(length), None),
            Extent::Whole(length) if header.class == FileClass::Journal => {
                (FileEnd::Cut(length), self.chain_of(header.number, length))
            }
            _ => return Ok(Err("it is in use".into())),
        };
        if matches!(end, FileEnd::Cut(_)) && chain.is_none() {
            return Ok(Err("it has no seal, and no other file says what its bytes were".into()));
        }
        let member = backup::damaged_member(self, header.number, header.directory, end)?;
        let mut refused = None;
        for copy in source.copies(member.name, member.length) {
            let copy = match copy {
                Ok(copy) => copy,
                Err(why) => {
                    refused.get_or_insert(why);
                    continue;
                }
            };
            match self.take(&member, chain, &copy) {
                Ok(()) => {
                    let (file, bytes) = (file.name().to_string(), member.length);
                    let healed = HealedFile { file, bytes, places, by_content: false };
                    self.record_healed(header.number, &healed);
                    return Ok(Ok(healed));
                }
                // A copy that cannot be used is none; what this environment's disk refuses is another matter.
                Err(Taken::Copy(error)) if is_not_there(&error) => {}
                Err(Taken::Copy(error)) => {
                    refused.get_or_insert_with(|| error.to_string());
                }
                Err(Taken::Here(error)) => return Err(error),
            }
        }
        Ok(Err(refused.unwrap_or_else(|| "the copy has no such file".into())))
    }

    /// The digest of the first `length` bytes of a journal file, as the file after it has it, or the state file.
    fn chain_of(&self, number: FileNumber, length: u64) -> Option<Digest> {
        let files = self.files.all();
        let by_next = files.iter().filter_map(|file| file.header().previous);
        let by_state = lock(&self.state).state.tail;
        let mut known = by_next.chain(by_state);
        known.find(|known| (known.file, known.end) == (number, length)).map(|known| known.chain)
    }

    /// Writes what `copy` has of a file beside it, and gives it the name. It must have the digest `chain`, if that is
    /// known.
    fn take(&self, member: &BackupFile, chain: Option<Digest>, copy: &DirRef) -> Result<(), Taken> {
        self.check_authentic(member, copy).map_err(Taken::Copy)?;
        let (dir, name) = (self.files.dir_of(member.name.number), member.name.to_name());
        let arriving = Name::new(format!("{ARRIVING}{name}"))
            .map_err(|_| EnvError::internal("the name of a copy"))?;
        match dir.remove(&arriving) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {} // an attempt that was cut short
        }
        let new = dir.create(&arriving)?;
        let mut here = None;
        let digest = member.check_copy(&**copy, |at, bytes| {
            new.write_all_at(at, bytes).map_err(|error| {
                here = Some(EnvError::from(error));
                EnvError::internal("the copy was not written")
            })
        });
        let written = match (digest, here) {
            (_, Some(error)) => Err(Taken::Here(error)),
            (Err(error), None) => Err(Taken::Copy(error)),
            (Ok(digest), None) if chain.is_some_and(|chain| chain != digest) => {
                let path = copy.path().join(name.as_str());
                let why = "it has other bytes than those that the file after it vouches for".into();
                Err(Taken::Copy(EnvError::ForeignFile { path, why }))
            }
            (Ok(digest), None) => Ok(digest),
        };
        let placed = written.and_then(|digest| self.put_in_place(member, &arriving, digest));
        if placed.is_err() {
            dir.remove(&arriving).unwrap_or_default(); // the next open removes it as well
        }
        placed
    }

    /// Lets what was written under the name `arriving` be the file.
    fn put_in_place(
        &self,
        member: &BackupFile,
        arriving: &Name,
        digest: Digest,
    ) -> Result<(), Taken> {
        let (dir, name) = (self.files.dir_of(member.name.number), member.name.to_name());
        let new = dir.open(arriving, Access::ReadWrite)?;
        new.sync(sites::HEAL_COPY)?;
        new.forget(0, member.length);
        let read = LogFile::open_any(new).and_then(|file| file.digest(member.length));
        if read.map_err(EnvError::from)? != digest {
            let (path, kind) = (dir.path().join(name.as_str()), ErrorKind::Io);
            let why = "it is not what was written a moment ago".into();
            return Err(Taken::Here(EnvError::NotReadBack { path, why, kind }));
        }
        // Whoever removes files holds the checkpointer.
        let _checkpointer = lock(&self.checkpointer);
        if self.files.find(member.name.number).is_none() {
            dir.remove(arriving)?;
            return Ok(());
        }
        dir.rename(arriving, &name)?;
        let healed = self.files.open(member.name).map_err(EnvError::from)?;
        dir.sync(sites::HEAL_NAME).map_err(|error| Taken::Here(self.sync_failed(error)))?;
        self.note_healed(&healed);
        Ok(())
    }

    /// Reads the copy of a file of an encrypted environment with its key: the seal of the damaged file may not
    /// be there any more to say that no other was put there.
    fn check_authentic(&self, member: &BackupFile, copy: &DirRef) -> EnvResult<()> {
        if !self.files.is_encrypted() {
            return Ok(());
        }
        let file = LogFile::open(&**copy, member.name, self.files.identity.environment)?;
        let file = self.files.with_key(file)?;
        let mut scanner = Scanner::new(&file, member.length).with_insets();
        loop {
            match scanner.next()? {
                Scan::Record(_) => {}
                Scan::End(Stop { damage: Some(damage), seal: None, offset }) => {
                    return Err(file.corrupt(offset, damage).into());
                }
                Scan::End(_) => return Ok(()),
            }
        }
    }
}

/// Whose fault it is that a copy was not taken.
enum Taken {
    Copy(EnvError),
    Here(EnvError),
}

impl<E: Into<EnvError>> From<E> for Taken {
    fn from(error: E) -> Self {
        Self::Here(error.into())
    }
}

fn is_not_there(error: &EnvError) -> bool {
    match error {
        EnvError::Io(error) | EnvError::Log(cairn_log::LogError::Io(error)) => error.is_not_found(),
        _ => false,
    }
}
