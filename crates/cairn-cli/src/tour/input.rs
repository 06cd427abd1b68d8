//! The tour's real input: files below a directory, imported and compared byte for byte.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use blake3::Hash;
use cairndb::{DatabaseOptions, Environment, MAX_KEY_LEN, MAX_VALUE_LEN};

use super::{digest::entry_digest, step::Told};
use crate::{
    exit::Failure,
    format::{Entry, dir::DirSource},
    text::{per_second, several, size},
};

/// More than that makes the tour long and teaches nothing.
const MAX_BYTES: u64 = 64 << 20;
/// So does a tree of small files, or a slow disk.
const MAX_TIME: Duration = Duration::from_secs(15);
/// Bytes of files after which a transaction is committed.
const BATCH_BYTES: u64 = 4 << 20;
/// The database that they go to.
const FILES: &str = "files";

/// The files of the tour, imported.
struct Imported {
    /// Keys with the digests of what was read from the files: the database must hold these.
    entries: Vec<(Vec<u8>, Hash)>,
    bytes: u64,
    /// Files that cannot be read, or are larger than what there was room for.
    left_out: u64,
    /// Whether there was more than the tour takes.
    more: bool,
    commits: u64,
}

/// Imports the files below `input`, and compares what the environment then holds with what the files
/// held. The directory `except`, in which the tour takes place, is passed over.
pub(super) fn import(
    env: &Environment,
    input: &Path,
    except: &Path,
    sabotage: bool,
) -> Result<((), Told), Failure> {
    let began = Instant::now();
    let imported = read(env, input, except)?;
    let elapsed = began.elapsed();
    if sabotage {
        change_a_value(env)?;
    }
    compare(env, &imported)?;
    let Imported { entries, bytes, left_out, more, commits } = imported;
    let files = entries.len() as u64;
    let mut told = Told::default()
        .line(format!(
            "{} of {} ({}) in {}, {}/s; read back, every byte equal",
            several(files, "file"),
            input.display(),
            size(bytes),
            several(commits, "commit"),
            size(per_second(bytes, elapsed)),
        ))
        .figure("input", input.display().to_string())
        .figure("files", files)
        .figure("bytes", bytes)
        .figure("commits", commits)
        .figure("left_out", left_out)
        .figure("more", more);
    if files == 0 {
        told = told.line("nothing there, or all of it is hidden or git-ignored: see --input DIR");
    }
    if more {
        told = told.line(format!("there is more: the tour takes at most {}", size(MAX_BYTES)));
    }
    if left_out > 0 {
        told = told.line(format!("{} left out: unreadable, or large", several(left_out, "file")));
    }
    Ok(((), told))
}

fn read(env: &Environment, input: &Path, except: &Path) -> Result<Imported, Failure> {
    let mut source = DirSource::new(input, false, Some(except));
    let database = env.database(FILES, DatabaseOptions::default())?;
    let mut imported =
        Imported { entries: Vec::new(), bytes: 0, left_out: 0, more: false, commits: 0 };
    let until = Instant::now() + MAX_TIME;
    let mut batch: Vec<Entry> = Vec::new();
    let mut batch_bytes = 0;
    loop {
        let entry = next(&mut source, &mut imported, until);
        if let Some(entry) = &entry {
            batch_bytes += entry.value.len() as u64;
            imported.bytes += entry.value.len() as u64;
            imported.entries.push((entry.key.clone(), entry_digest(&entry.key, &entry.value)));
        }
        let at_the_end = entry.is_none();
        batch.extend(entry);
        if !batch.is_empty() && (at_the_end || batch_bytes >= BATCH_BYTES) {
            env.write(|txn| {
                batch.iter().try_for_each(|entry| txn.put(&database, &entry.key, &entry.value))
            })?;
            imported.commits += 1;
            batch.clear();
            batch_bytes = 0;
        }
        if at_the_end {
            imported.entries.sort_by(|(a, _), (b, _)| a.cmp(b));
            return Ok(imported);
        }
    }
}

/// The next file that can be read and has room; the others are counted.
fn next(source: &mut DirSource, imported: &mut Imported, until: Instant) -> Option<Entry> {
    loop {
        // One large file is left out; where it is full, nothing more is looked for.
        imported.more |= imported.left_out > 0 && imported.bytes > MAX_BYTES / 2;
        imported.more |= Instant::now() > until;
        if imported.more {
            return None;
        }
        match source.find() {
            Ok(None) => return None,
            Ok(Some(found)) => {
                let room = MAX_BYTES - imported.bytes;
                if found.len <= room.min(MAX_VALUE_LEN as u64)
                    && found.key.len() <= MAX_KEY_LEN
                    && let Ok(Some(entry)) = source.read(found)
                    && entry.value.len() as u64 <= room
                {
                    return Some(entry);
                }
                imported.left_out += 1;
            }
            // A directory that may not be read.
            Err(_) => imported.left_out += 1,
        }
    }
}

fn compare(env: &Environment, imported: &Imported) -> Result<(), Failure> {
    let snapshot = env.snapshot()?;
    let database = env.database(FILES, DatabaseOptions::default())?;
    let mut expected = imported.entries.iter();
    let shown = |key: &[u8]| PathBuf::from(crate::text::escape_short(key, 200));
    for entry in snapshot.iter(&database)? {
        let (key, value) = entry?;
        let equal = expected
            .next()
            .is_some_and(|(name, hash)| *name == *key && *hash == entry_digest(&key, &value));
        if !equal {
            let key = shown(&key);
            let what = format!("the environment's {} is not the file's content", key.display());
            return Err(Failure::check(what));
        }
    }
    match expected.next() {
        None => Ok(()),
        Some((key, _)) => Err(Failure::check(format_args!("{} is missing", shown(key).display()))),
    }
}

/// For the sabotage: what is in the environment then is not what was in the files.
fn change_a_value(env: &Environment) -> Result<(), Failure> {
    let database = env.database(FILES, DatabaseOptions::default())?;
    let first = env.snapshot()?.iter(&database)?.next().transpose()?;
    let (key, mut value) = first
        .map_or((b"no file".to_vec(), Vec::new()), |(key, value)| (key.to_vec(), value.to_vec()));
    match value.first_mut() {
        Some(byte) => *byte ^= 1,
        None => value.push(b'?'),
    }
    Ok(env.write(|txn| txn.put(&database, &key, &value))?)
}
