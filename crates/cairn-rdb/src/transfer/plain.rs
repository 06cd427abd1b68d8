//! Plain: a SQL file as a file of SQLite's own, and back.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use cairn_io::{DirExt, DirRef, FileExt, FileRef, Name, RealDir, SyncSite, WriteBehind};
use rusqlite::{
    Connection, OpenFlags,
    backup::{Backup, StepResult},
};

use super::{PlainOptions, SqlFiles, TransferError, TransferResult};
use crate::{
    connect::{Access, connect},
    file::database_name,
    pages::{CHUNK, Version},
};

/// The bytes of a plain file, before they are read back and it has its name.
pub(super) const WRITTEN: SyncSite = SyncSite::new("rdb.export-file");
/// Its name.
pub(super) const PUBLISHED: SyncSite = SyncSite::new("rdb.export-name");

/// Bytes between two reports, and of a piece that is written at once.
const PIECE: usize = 64 * CHUNK;

impl SqlFiles {
    /// Writes a file as of one commit to a plain file of SQLite's, which its shell opens. Writers go on. It is synced,
    /// read back and compared before it has its name. Returns its length in bytes.
    ///
    /// # Errors
    /// [`TransferError::NotFound`]; [`TransferError::Exists`], unless it is to be replaced;
    /// [`TransferError::WouldBePlain`] for an encrypted environment, unless that is meant;
    /// [`TransferError::Archive`] for a name of other characters than letters, digits, `-`, `_` and `.`.
    pub fn export_sqlite(
        &self,
        name: &str,
        path: impl AsRef<Path>,
        options: PlainOptions<'_>,
    ) -> TransferResult<u64> {
        super::check(name)?;
        let (dir, target) = place(path.as_ref())?;
        self.export_sqlite_to(name, &dir, &target, options)
    }

    /// As [`SqlFiles::export_sqlite`], to a directory of any disk.
    ///
    /// # Errors
    /// As [`SqlFiles::export_sqlite`].
    pub fn export_sqlite_to(
        &self,
        name: &str,
        dir: &DirRef,
        target: &Name,
        options: PlainOptions<'_>,
    ) -> TransferResult<u64> {
        super::check(name)?;
        let path = &dir.path().join(target.as_str());
        if self.env().is_encrypted() && !options.in_the_clear {
            return Err(TransferError::WouldBePlain { path: path.into() });
        }
        let version = Version::new(self.env().snapshot()?, &database_name(name), None)?;
        if version.database().is_none() {
            return Err(TransferError::NotFound { name: name.into() });
        }
        cairn_archive::ArchiveFile::check_place(&**dir)?;
        if !options.replace && dir.has(target)? {
            return Err(TransferError::Exists { path: path.into() });
        }
        let mut id = [0; 8];
        self.env().world().random(&mut id);
        let unfinished = format!("unfinished-{:016x}", u64::from_le_bytes(id));
        let unfinished = Name::new(unfinished).expect("letters, a dash and digits are a name");
        let written = write(dir, &unfinished, path, &version, options).and_then(|()| {
            match options.replace {
                true => dir.rename(&unfinished, target)?,
                false => dir.rename_new(&unfinished, target)?,
            }
            Ok(dir.sync(PUBLISHED)?)
        });
        if written.is_err() {
            dir.remove(&unfinished).unwrap_or_default(); // what counts is why it failed
        }
        written.map(|()| version.head().len)
    }

    /// Puts what a plain file of SQLite's holds in the place of a file, in one commit; what a log beside it holds
    /// (`-wal`) counts as SQLite says. SQLite checks all of it first (`PRAGMA integrity_check`). The plain file
    /// is not changed. Returns its length in bytes.
    ///
    /// # Errors
    /// [`TransferError::NotImportable`] for what is missing, empty, damaged, or none of SQLite's;
    /// [`TransferError::Busy`] if somebody else writes to the file.
    pub fn import_sqlite(
        &self,
        name: &str,
        path: impl AsRef<Path>,
        options: PlainOptions<'_>,
    ) -> TransferResult<u64> {
        super::check(name)?;
        let path = path.as_ref();
        let refused = |why: String| TransferError::NotImportable { path: path.into(), why };
        let source = open(path).map_err(|error| refused(error.to_string()))?;
        // The check looks up each row in each index, in their order: with SQLite's 2 MiB it reads most pages many times.
        // It is also what finds first that the file is none of SQLite's.
        source
            .pragma_update(None, "cache_size", -64 * 1024)
            .map_err(|error| refused(error.to_string()))?;
        let found: String = source
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(|error| refused(error.to_string()))?;
        if found != "ok" {
            return Err(refused(found));
        }
        let number = |sql| source.query_row(sql, [], |row| row.get::<_, i64>(0));
        let pages = number("PRAGMA page_count")?.unsigned_abs();
        if pages == 0 {
            return Err(refused("it is empty".into()));
        }
        let page = number("PRAGMA page_size")?.unsigned_abs();
        let mut target = connect(self.env(), name, Access::Create)?;
        let backup = Backup::new(&source, &mut target)?;
        loop {
            match backup.step(i32::try_from(PIECE / CHUNK).unwrap_or(i32::MAX))? {
                StepResult::Done => break,
                StepResult::More => {
                    let progress = backup.progress();
                    let left = u64::try_from(progress.remaining).unwrap_or(0);
                    options.report(pages.saturating_sub(left) * page, pages * page)?;
                }
                _ => return Err(TransferError::Busy { name: name.into() }),
            }
        }
        options.report(pages * page, pages * page)?;
        Ok(pages * page)
    }
}

/// Opens a plain file to read it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// The directory of a path, and the name in it.
fn place(path: &Path) -> TransferResult<(DirRef, Name)> {
    let archive = cairn_archive::ArchiveFile::at(path)?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    Ok((RealDir::open(parent.unwrap_or(Path::new(".")))?, archive.name().clone()))
}

/// Writes the bytes of a version, makes them durable, and reads them back.
fn write(
    dir: &DirRef,
    name: &Name,
    path: &Path,
    version: &Version,
    options: PlainOptions<'_>,
) -> TransferResult<()> {
    let file = dir.create(name)?;
    let mut behind = WriteBehind::default();
    pieces(version, |at, piece| {
        file.write_all_at(at, piece)?;
        behind.wrote(&*file, at + piece.len() as u64);
        options.report(at + piece.len() as u64, version.head().len)
    })?;
    file.sync(WRITTEN)?;
    read_back(&file, path.into(), version)
}

fn read_back(file: &FileRef, path: PathBuf, version: &Version) -> TransferResult<()> {
    let len = file.len()?;
    if len != version.head().len {
        return Err(TransferError::NotReadBack { path, at: len });
    }
    let mut found = vec![0; PIECE];
    pieces(version, |at, piece| {
        let found = &mut found[..piece.len()];
        file.read_exact_at(at, found)?;
        match found == piece {
            true => Ok(()),
            false => Err(TransferError::NotReadBack { path: path.clone(), at }),
        }
    })
}

/// Calls `each` with the place and the bytes of each piece of a version.
fn pieces(
    version: &Version,
    mut each: impl FnMut(u64, &[u8]) -> TransferResult<()>,
) -> TransferResult<()> {
    let (len, mut piece, mut at) = (version.head().len, Vec::with_capacity(PIECE), 0);
    while at < len {
        piece.clear();
        while piece.len() < PIECE && at + (piece.len() as u64) < len {
            let offset = at + piece.len() as u64;
            let now = usize::try_from(len - offset).unwrap_or(usize::MAX).min(CHUNK);
            let from = piece.len();
            piece.resize(from + now, 0);
            version.read_at(offset, &mut piece[from..])?;
        }
        each(at, &piece)?;
        at += piece.len() as u64;
    }
    Ok(())
}
