//! Healing before an open: a finished file without which the environment does not open is brought from a copy.
//!
//! The error says which file that is. Of a file whose beginning can be read, the copy must have the same; if it cannot, or
//! if the file is not there, the copy must be the replica that belongs to this environment by what both say of
//! themselves: then the files of one name are the same. The file must be finished, and have every byte that its
//! own seal vouches for. Recovery holds it against the checkpoint afterwards, as any other.

use std::{error::Error, path::Path};

use cairn_io::{Access, DirRef, FileExt, Name, World};
use cairn_log::{LogError, LogFile, LogName, Scan, Scanner, Stop};

use super::{HealedFile, second::generation_dirs};
use crate::{
    EnvError, EnvResult, Options,
    files::unlock,
    keyring,
    root::{Current, Root},
    ship::{Attachment, attachment::Side, replica::ARRIVING},
    sites,
};

/// Puts what `copy` has of the file in its place that `error` is about, of an environment that nobody has open. `None`
/// if that cannot be: the error then stays what it was.
pub(crate) fn before_open(
    root: &DirRef,
    copy: &DirRef,
    world: &dyn World,
    options: &Options,
    error: &EnvError,
) -> Option<HealedFile> {
    let name = file_of(error)?;
    let (root, copy) = (Root::new(root.clone()), Root::new(copy.clone()));
    let _lock = root.lock(world).ok()?;
    heal(&root, &copy, name, options).ok().flatten()
}

/// The log file that cannot be read or is missing.
fn file_of(error: &EnvError) -> Option<LogName> {
    if let EnvError::MissingFile { name, .. } = error {
        return name.parse().ok();
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(LogError::Corrupt { path, .. }) = error.downcast_ref() {
            return name_in(path);
        }
        // Errors that say nothing of their own are left out of the chain of sources.
        match error.downcast_ref() {
            Some(EnvError::Log(LogError::Corrupt { path, .. })) => return name_in(path),
            Some(EnvError::Tree(cairn_btree::TreeError::Log(LogError::Corrupt {
                path, ..
            }))) => {
                return name_in(path);
            }
            _ => cause = error.source(),
        }
    }
    None
}

fn name_in(path: &Path) -> Option<LogName> {
    path.file_name()?.to_str()?.parse().ok()
}

fn heal(
    root: &Root,
    copy: &Root,
    name: LogName,
    options: &Options,
) -> EnvResult<Option<HealedFile>> {
    let (Some(here), Some(there)) = (root.current()?, copy.current()?) else { return Ok(None) };
    if here.environment != there.environment {
        return Ok(None);
    }
    let generation = root.open_generation(here.generation)?;
    let options = keyring::opening::unlocked(root, &*generation, None, options.clone())?;
    let keys = options.encryption.as_ref();
    for dir in generation_dirs(copy, there.generation)? {
        let Ok(found) = LogFile::open(&*dir, name, here.environment) else { continue };
        let found = unlock(found, keys)?;
        let Some(dir) = place_of(root, here, found.header().directory)? else { return Ok(None) };
        let is_it = match LogFile::open(&*dir, name, here.environment) {
            Ok(damaged) => damaged.header() == found.header(),
            Err(LogError::Corrupt { .. }) => belong_together(root, copy)?,
            Err(LogError::Io(error)) if error.is_not_found() => belong_together(root, copy)?,
            Err(error) => return Err(error.into()),
        };
        let Some(length) = whole_length(&found)?.filter(|_| is_it) else { return Ok(None) };
        put(&found, length, &dir, name)?;
        return Ok(Some(HealedFile {
            file: name.to_string(),
            bytes: length,
            places: 1,
            by_content: false,
        }));
    }
    Ok(None)
}

/// The directory in which a file lies that says so.
fn place_of(root: &Root, current: Current, directory: u16) -> EnvResult<Option<DirRef>> {
    let generation = current.generation;
    if directory == 0 {
        return root.open_generation(generation).map(Some);
    }
    let home = root.data_dirs()?.into_iter().find(|(number, _)| *number == directory);
    match home.map(|(_, home)| home.open_dir(&generation.dir_name())) {
        None => Ok(None),
        Some(Err(error)) if error.is_not_found() => Ok(None),
        Some(opened) => Ok(Some(opened?)),
    }
}

/// Whether both say that every commit of one is on the other.
fn belong_together(root: &Root, copy: &Root) -> EnvResult<bool> {
    let (here, there) = (Attachment::read(root)?, Attachment::read(copy)?);
    Ok(here.zip(there).is_some_and(|(here, there)| {
        here.side == Side::Source
            && there.side == Side::Replica
            && here.is_attached
            && Attachment { side: Side::Source, ..there } == here
    }))
}

/// The length of a file that is finished, whose seal vouches for all of it, and the key for each record. Behind that
/// there may be the zeros of a journal file that is being received.
fn whole_length(file: &LogFile) -> EnvResult<Option<u64>> {
    let mut scanner = Scanner::new(file, u64::MAX).with_insets();
    loop {
        match scanner.next()? {
            Scan::Record(_) => {}
            Scan::End(Stop { seal: Some(seal), .. }) => {
                let is_it = file.digest(seal.end)? == seal.digest;
                return Ok(is_it.then_some(seal.file_len()));
            }
            Scan::End(_) => return Ok(None),
        }
    }
}

/// Writes the copy beside the file, reads it back, and gives it the name.
fn put(copy: &LogFile, length: u64, dir: &DirRef, name: LogName) -> EnvResult<()> {
    let name = name.to_name();
    let arriving = Name::new(format!("{ARRIVING}{name}"))
        .map_err(|_| EnvError::internal("the name of a copy"))?;
    match dir.remove(&arriving) {
        Err(error) if !error.is_not_found() => return Err(error.into()),
        _ => {} // an attempt that was cut short
    }
    let new = dir.create(&arriving)?;
    let mut buf = vec![0; 1 << 18];
    let mut at = 0;
    while at < length {
        let want = usize::try_from(length - at).map_or(buf.len(), |left| left.min(buf.len()));
        copy.handle().read_exact_at(at, &mut buf[..want])?;
        new.write_all_at(at, &buf[..want])?;
        at += want as u64;
    }
    new.sync(sites::HEAL_COPY)?;
    new.forget(0, length);
    drop(new);
    let written = LogFile::open_any(dir.open(&arriving, Access::Read)?)?;
    if written.digest(length)? != copy.digest(length)? {
        dir.remove(&arriving)?;
        return Err(EnvError::internal("a copy that is not what was written a moment ago"));
    }
    drop(written);
    dir.rename(&arriving, &name)?;
    Ok(dir.sync(sites::HEAL_NAME)?)
}
