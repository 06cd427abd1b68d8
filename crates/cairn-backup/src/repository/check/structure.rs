//! The level before the last: the files are log files, and their journal has no gap.

use cairn_env::{EnvError, EnvResult};
use cairn_io::{Access, DirRef};
use cairn_log::{FileClass, LogError, LogFile, Scan, Scanner, Uuid};

use super::{Check, SharedFile};
use crate::{
    BackupError, BackupResult,
    manifest::FILES,
    repository::{
        names::ObjectName,
        point::{Point, PointFile},
        view,
    },
};

impl Check<'_> {
    /// Whether the files are the log files that they were, and the journal has no gap.
    pub(super) fn structure(&mut self) -> BackupResult<()> {
        for SharedFile { environment, file, point } in std::mem::take(&mut self.files) {
            if file.objects(environment).any(|object| self.damaged.contains(&object.name)) {
                continue;
            }
            let Some(read) = self.points.get(&(environment, point)) else { continue };
            let dir = self.open(environment, point, read.clone())?;
            let found = look_into(&dir, environment, read, &file).map_err(view::surface);
            if let Some(problem) = self.problem(found.map(|()| None), &[point])? {
                let object = ObjectName::Point { environment, number: point };
                let points = self.points_with(environment, &file);
                self.find(object, None, format!("{}: {problem}", file.name), points);
            }
        }
        for (environment, number) in self.points.keys().copied().collect::<Vec<_>>() {
            let Some(point) = self.points.get(&(environment, number)) else { continue };
            if point.objects().any(|object| self.damaged.contains(&object.name)) {
                continue;
            }
            let dir = self.open(environment, number, point.clone())?;
            let found = look_at_cut(&dir, point).map_err(view::surface);
            if let Some(problem) = self.problem(found.map(|()| None), &[number])? {
                let object = ObjectName::Point { environment, number };
                self.find(object, None, problem, vec![number]);
            }
        }
        Ok(())
    }

    fn open(&self, environment: Uuid, number: u64, point: Point) -> BackupResult<DirRef> {
        let store = &self.repository.store;
        let path = self.repository.point_path(environment, number);
        Ok(view::open(store, &path, point).open_dir(&FILES)?)
    }

    /// What is wrong with what was read, if it was.
    pub(super) fn problem(
        &mut self,
        found: BackupResult<Option<String>>,
        points: &[u64],
    ) -> BackupResult<Option<String>> {
        match found {
            Ok(found) => Ok(found),
            Err(BackupError::Env(error)) if error.kind() != cairn_env::ErrorKind::Io => {
                Ok(Some(error.to_string()))
            }
            Err(error) => self.note(Err(error), points).map(|_: Option<()>| None),
        }
    }
}

fn failed(error: LogError) -> BackupError {
    EnvError::from(error).into()
}

pub(super) fn open_log(files: &DirRef, environment: Uuid, file: &PointFile) -> EnvResult<LogFile> {
    let handle = files.open(&file.name.to_name(), Access::Read)?;
    let log = LogFile::open_any(handle)?;
    log.header().check_place(log.path(), file.name, environment)?;
    Ok(log)
}

fn foreign(log: &LogFile, why: impl Into<String>) -> BackupError {
    EnvError::ForeignFile { path: log.path().to_owned(), why: why.into() }.into()
}

/// Reads all records of a file, compares its seal, and the end of the journal file before it.
fn look_into(
    files: &DirRef,
    environment: Uuid,
    point: &Point,
    file: &PointFile,
) -> BackupResult<()> {
    let log = open_log(files, environment, file)?;
    let header = log.header();
    if header.directory != file.directory {
        let (is, said) = (header.directory, file.directory);
        return Err(foreign(&log, format!("it is of data directory {is}, not {said}")));
    }
    let seal = log.seal(file.length).map_err(failed)?;
    if seal.map(|seal| seal.digest) != file.seal {
        return Err(foreign(&log, "it has another seal than the point says"));
    }
    if let Some(seal) = seal
        && log.digest(seal.end).map_err(failed)? != seal.digest
    {
        return Err(foreign(&log, "its seal vouches for other bytes"));
    }
    let mut scanner = Scanner::new(&log, file.length);
    let stop = loop {
        if let Scan::End(stop) = scanner.next().map_err(failed)? {
            break stop;
        }
    };
    if stop.offset != file.length {
        let damage = stop.damage.unwrap_or(cairn_log::Damage::Nothing);
        return Err(failed(log.corrupt(stop.offset, damage)));
    }
    let Some(before) = header.previous.filter(|_| file.name.class == FileClass::Journal) else {
        return Ok(());
    };
    let known = point
        .files
        .iter()
        .find(|known| known.name.number == before.file && known.name.class == FileClass::Journal);
    // A journal file that nothing needs is not in a backup.
    let Some(known) = known else { return Ok(()) };
    let earlier = open_log(files, environment, known)?;
    let is_followed =
        before.end <= known.length && earlier.digest(before.end).map_err(failed)? == before.chain;
    match is_followed {
        true => Ok(()),
        false => Err(foreign(&log, format!("it does not go on from {}", known.name))),
    }
}

/// Compares the end of the journal, and the place of the checkpoint, with the files.
fn look_at_cut(files: &DirRef, point: &Point) -> BackupResult<()> {
    let missing = |what: &str| {
        let (dir, why) = (files.path().to_owned(), "the point says that it is needed".into());
        BackupError::from(EnvError::MissingFile { name: what.into(), dir, why })
    };
    let find = |number| point.files.iter().find(|file| file.name.number == number);
    if let Some(lsn) = point.cut.checkpoint {
        let file = find(lsn.file()).ok_or_else(|| missing(&format!("file {}", lsn.file())))?;
        if lsn.offset() >= file.length {
            let log = open_log(files, point.cut.environment, file)?;
            return Err(foreign(&log, "it ends before the checkpoint that the point names"));
        }
    }
    // A journal file that nothing needs is not in a backup.
    if let Some(end) = point.cut.journal_end
        && let Some(file) = find(end.file)
    {
        let log = open_log(files, point.cut.environment, file)?;
        if end.end > file.length || log.digest(end.end).map_err(failed)? != end.chain {
            return Err(foreign(&log, "it does not end as the point says"));
        }
    }
    Ok(())
}
