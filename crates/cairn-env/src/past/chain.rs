//! `Chain`: the journal from a base on, file after file, each of which vouches for the one before it.
//!
//! The header of a journal file says where the one before it ended, with the digest of its bytes. So files of two
//! places are one history exactly if these agree, whatever their names are; a restored environment goes on
//! under numbers that the one before has used as well.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use cairn_log::{
    Damage, Digest, FileClass, FileNumber, HEADER_LEN, LogFile, LogName, LogResult, Predecessor,
};

use super::{commits::each_commit, source::JournalSource};
use crate::{EnvError, EnvResult, ErrorKind, backup::Cut};

/// A journal file, as far as it counts.
#[derive(Clone, Debug)]
pub(super) struct Link {
    pub(super) file: Arc<LogFile>,
    pub(super) end: u64,
    /// Whether the base has all of it.
    pub(super) is_of_base: bool,
}

/// Why the journal does not go on, though there is more of it.
#[derive(Clone, Debug)]
pub(super) struct Gap {
    pub(super) path: PathBuf,
    /// The file that is not there, or cannot be read.
    pub(super) missing: String,
    pub(super) why: String,
}

impl Gap {
    /// Something is wrong with this file.
    pub(super) fn at(file: &LogFile, why: String) -> Self {
        let path = file.path().parent().unwrap_or(file.path()).to_owned();
        Self { path, missing: file.name().to_string(), why }
    }
}

/// The journal from a base on.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) links: Vec<Link>,
    pub(super) gap: Option<Gap>,
}

impl Chain {
    /// The journal of a base, from the file `start` on in which replay begins, or from the first one.
    pub(super) fn of_base(
        path: &Path,
        cut: &Cut,
        files: &BTreeMap<FileNumber, (Arc<LogFile>, u64)>,
        start: Option<FileNumber>,
    ) -> EnvResult<Self> {
        let mut links = Vec::new();
        let mut at = cut.journal_end.map(|end| (end.file, end.end));
        while let Some((number, end)) = at.filter(|(number, _)| start.is_none_or(|s| *number >= s))
        {
            let Some((file, length)) = files.get(&number) else {
                let name = LogName::new(FileClass::Journal, number, cut.timeline).to_string();
                let why = "the journal of the backup goes through it".into();
                return Err(EnvError::MissingFile { name, dir: path.to_owned(), why });
            };
            if *length < end {
                let damage = Damage::Truncated { len: *length, expected: end };
                return Err(file.corrupt(*length, damage).into());
            }
            links.push(Link { file: Arc::clone(file), end, is_of_base: true });
            at = file.header().previous.map(|previous| (previous.file, previous.end));
        }
        links.reverse();
        Ok(Self { links, gap: None })
    }

    /// The journal in `source` from the file `start` on, or from the first one.
    pub(super) fn of_files(
        source: &mut Files,
        start: Option<FileNumber>,
        durable: &dyn Fn(&LogFile) -> EnvResult<u64>,
    ) -> EnvResult<Self> {
        let mut chain = Self::default();
        if let Some(start) = start {
            let Some((_, Ok(file))) = source.files.get(&start) else {
                let (name, path) = (start.to_string(), source.path.clone());
                let why = "the checkpoint goes on in it".into();
                return Err(EnvError::MissingFile { name, dir: path, why });
            };
            let file = Arc::clone(file);
            let (end, gap) = source.end_of(&file, durable)?;
            chain = Self { links: vec![Link { file, end, is_of_base: false }], gap };
        }
        chain.go_on(source, None, durable)?;
        Ok(chain)
    }

    /// Goes on with the journal of `source`, as far as that goes on from `end`, where the base ends.
    pub(super) fn go_on(
        &mut self,
        source: &mut Files,
        end: Option<Predecessor>,
        durable: &dyn Fn(&LogFile) -> EnvResult<u64>,
    ) -> EnvResult<()> {
        if let (Some(end), Some(last)) = (end, self.links.last_mut()) {
            self.gap = source.grow(last, end, durable)?;
        }
        while self.gap.is_none() {
            let (next, gap) = source.successor(self.links.last_mut(), end, durable)?;
            self.gap = gap;
            match next {
                Some(next) => self.links.push(next),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// The journal files of a source, those of them that can be read with their keys.
pub(super) struct Files {
    path: PathBuf,
    promised: Option<LogName>,
    files: BTreeMap<FileNumber, (LogName, LogResult<Arc<LogFile>>)>,
}

impl Files {
    /// Those of `source`, which is left with none.
    pub(super) fn take(
        source: &mut JournalSource,
        unlock: &dyn Fn(LogFile) -> LogResult<LogFile>,
    ) -> Self {
        let files = std::mem::take(&mut source.files).into_iter();
        let files = files
            .map(|(number, (name, file))| (number, (name, file.and_then(unlock).map(Arc::new))));
        let (path, promised) = (source.path.clone(), source.promised);
        Self { path, promised, files: files.collect() }
    }

    fn other(&self, why: String) -> EnvError {
        EnvError::OtherHistory { path: self.path.clone(), why }
    }

    /// Where a file ends: what the one after it says, or what is known of the last one. If that is damaged, it ends
    /// before the damage, and there is a gap.
    fn end_of(
        &self,
        file: &LogFile,
        durable: &dyn Fn(&LogFile) -> EnvResult<u64>,
    ) -> EnvResult<(u64, Option<Gap>)> {
        let number = file.header().number;
        let later = self.files.range(number..).rev();
        let mut previous =
            later.filter_map(|(_, (_, later))| later.as_ref().ok()?.header().previous);
        if let Some(previous) = previous.find(|previous| previous.file == number) {
            return Ok((previous.end, None));
        }
        match durable(file) {
            Ok(end) => Ok((end, None)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                let stop = each_commit(file, HEADER_LEN, u64::MAX, &mut |_| true)?;
                let end = stop.map_or(HEADER_LEN, |stop| stop.offset);
                Ok((end, Some(self.gap(file.name().to_string(), error.to_string()))))
            }
            Err(error) => Err(error),
        }
    }

    fn gap(&self, missing: String, why: String) -> Gap {
        Gap { path: self.path.clone(), missing, why }
    }

    /// Takes `last`, in which the base ends at `end`, from here if there is more of it.
    fn grow(
        &mut self,
        last: &mut Link,
        end: Predecessor,
        durable: &dyn Fn(&LogFile) -> EnvResult<u64>,
    ) -> EnvResult<Option<Gap>> {
        let header = last.file.header();
        let Some((name, Ok(file))) = self.files.get(&header.number) else { return Ok(None) };
        if file.header() != header {
            return Err(self.other(format!("{name} is another file there")));
        }
        let (there, gap) = self.end_of(file, durable)?;
        if there < last.end {
            let why =
                format!("{name} ends at {there:x} there, the backup goes on to {:x}", end.end);
            return if gap.is_some() { Ok(gap) } else { Err(self.other(why)) };
        }
        match digest(file, end.end)? {
            Some(found) if found == end.chain => {}
            Some(_) => return Err(self.other(format!("{name} has other bytes there"))),
            None => {
                let why = format!("it has only {:x} bytes", file.end());
                return Ok(Some(self.gap(name.to_string(), why)));
            }
        }
        if there > last.end {
            *last = Link { file: Arc::clone(file), end: there, is_of_base: false };
        }
        Ok(gap)
    }

    /// The file that goes on from `last`, or what is missing.
    fn successor(
        &self,
        last: Option<&mut Link>,
        end: Option<Predecessor>,
        durable: &dyn Fn(&LogFile) -> EnvResult<u64>,
    ) -> EnvResult<(Option<Link>, Option<Gap>)> {
        let from = last.as_ref().map(|last| last.file.header().number).or(end.map(|end| end.file));
        let later = self.files.iter().filter(|(number, _)| from.is_none_or(|from| **number > from));
        let (mut next, mut unreadable) = (None::<&Arc<LogFile>>, None);
        for (_, (name, file)) in later {
            match file {
                Ok(file) => match next {
                    // The one before it was given up at once: both follow the same.
                    Some(found) if found.header().previous == file.header().previous => {
                        next = Some(file);
                    }
                    Some(_) => break,
                    None => next = Some(file),
                },
                Err(error) if next.is_none() => {
                    unreadable = unreadable.or_else(|| Some((name.to_string(), error.to_string())));
                }
                Err(_) => {}
            }
        }
        let gap = |missing, why| Some(self.gap(missing, why));
        let Some(next) = next else {
            let promised = self.promised.filter(|name| from.is_none_or(|from| name.number > from));
            let promised =
                promised.map(|name| (name.to_string(), "the state file names it".into()));
            let missing = unreadable.or(promised);
            return Ok((None, missing.and_then(|(missing, why)| gap(missing, why))));
        };
        let previous = next.header().previous;
        let follows = previous.map(|previous| previous.file) == from;
        if !follows {
            let Some(previous) = previous.filter(|previous| from.is_none_or(|f| previous.file > f))
            else {
                let why = format!("{} does not follow the journal of the backup", next.name());
                return Err(self.other(why));
            };
            let name = LogName::new(FileClass::Journal, previous.file, next.header().timeline);
            let why = format!("{} follows it", next.name());
            let (missing, why) = unreadable.unwrap_or((name.to_string(), why));
            return Ok((None, gap(missing, why)));
        }
        if let Some(previous) = previous {
            let (from_end, chain) = match (&last, end) {
                (Some(last), Some(end)) if last.is_of_base && end.file == previous.file => {
                    (end.end, Some(end.chain))
                }
                (Some(last), _) => (last.end, digest(&last.file, last.end)?),
                (None, Some(end)) => (end.end, Some(end.chain)),
                (None, None) => return Err(EnvError::internal("it follows nothing")),
            };
            let before = LogName::new(FileClass::Journal, previous.file, next.header().timeline);
            if previous.end > from_end {
                // Only of the file in which the base ends can there be less than was there.
                let why = format!("{} follows its end at {:x}", next.name(), previous.end);
                return Ok((None, gap(before.to_string(), why)));
            }
            if previous.end < from_end || chain != Some(previous.chain) {
                if let Some(last) = last
                    && let Some(stop) =
                        each_commit(&last.file, HEADER_LEN, last.end, &mut |_| true)?
                    && stop.offset < last.end
                {
                    // It is damaged, and what stands before that is not.
                    let damage = stop.damage.unwrap_or(Damage::Nothing);
                    let why = last.file.corrupt(stop.offset, damage).to_string();
                    last.end = stop.offset;
                    return Ok((None, gap(before.to_string(), why)));
                }
                let why = format!("{} follows another {before}, or a part of it", next.name());
                return Err(self.other(why));
            }
        }
        let (end, gap) = self.end_of(next, durable)?;
        Ok((Some(Link { file: Arc::clone(next), end, is_of_base: false }), gap))
    }
}

/// The digest of the first `end` bytes; `None` if there are fewer.
fn digest(file: &LogFile, end: u64) -> EnvResult<Option<Digest>> {
    if file.end() < end { Ok(None) } else { Ok(Some(file.digest(end)?)) }
}
