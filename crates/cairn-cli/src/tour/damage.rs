//! Damage done to files: bits flipped, bytes lost, files taken away.
//!
//! This is the only place of the tour that knows where an environment keeps its files.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use cairn_log::{RecordKind, Scan, Scanner};

use super::chance::Chance;
use crate::{exit::Failure, log_files};

/// A file without which an environment is not whole.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    /// Words of which one must be in a message about it.
    names: Vec<String>,
    /// Where its content ends: what follows is space for more.
    pub(super) content: u64,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        &self.names[0]
    }

    /// Whether a message names it.
    pub(super) fn is_named_in(&self, message: &str) -> bool {
        self.names.iter().any(|name| message.contains(name))
    }
}

/// The files of an environment.
pub(super) fn targets(env: &Path) -> Result<Vec<Target>, Failure> {
    let mut targets = vec![target(env.join("CURRENT"), vec!["CURRENT".into()])?];
    let state = fs::read_dir(env)
        .map_err(|error| Failure::io("read", env, &error))?
        .filter_map(|entry| Some(entry.ok()?.path().join("STATE")))
        .find(|path| path.is_file());
    if let Some(state) = state {
        targets.push(target(state, vec!["STATE".into(), "state file".into()])?);
    }
    for file in log_files::find(env)? {
        let names = vec![file.name.to_string(), file.name.number.to_string()];
        let content = log_files::content_end(&file);
        targets.push(Target { content, ..target(file.path(), names)? });
    }
    Ok(targets)
}

fn target(path: PathBuf, names: Vec<String>) -> Result<Target, Failure> {
    let metadata = fs::metadata(&path).map_err(|error| Failure::io("read", &path, &error))?;
    Ok(Target { path, names, content: metadata.len() })
}

/// A bit of a file.
#[derive(Clone, Debug)]
pub(super) struct Bit {
    pub(super) target: Target,
    pub(super) offset: u64,
    bit: u8,
}

impl Bit {
    /// Some bit of the content.
    pub(super) fn choose(target: &Target, chance: &mut Chance) -> Self {
        let offset = chance.below(target.content);
        let bit = u8::try_from(chance.below(8)).unwrap_or(0);
        Self { target: target.clone(), offset, bit }
    }

    /// Flips it; a second time puts it right.
    pub(super) fn flip(&self) -> Result<(), Failure> {
        let path = &self.target.path;
        let flip = || -> io::Result<()> {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let mut byte = [0];
            file.read_exact_at(&mut byte, self.offset)?;
            file.write_all_at(&[byte[0] ^ 1 << self.bit], self.offset)
        };
        flip().map_err(|error| Failure::io("flip a bit of", path, &error))
    }
}

/// Flips a bit in the middle of the largest file of a directory.
pub(super) fn flip_a_bit_of_the_largest(dir: &Path) -> Result<(), Failure> {
    let path = largest(dir)?;
    let target = target(path, vec![String::new()])?;
    Bit { offset: target.content / 2, bit: 3, target }.flip()
}

/// Cuts the largest file of a directory in half.
pub(super) fn cut_the_largest(dir: &Path) -> Result<(), Failure> {
    let path = largest(dir)?;
    let cut = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(&path)?;
        file.set_len(file.metadata()?.len() / 2)
    };
    cut().map_err(|error| Failure::io("cut", &path, &error))
}

fn largest(dir: &Path) -> Result<PathBuf, Failure> {
    let failed = |error: io::Error| Failure::io("read", dir, &error);
    let entries = fs::read_dir(dir).map_err(failed)?.filter_map(Result::ok);
    let sizes = entries.filter_map(|entry| Some((entry.metadata().ok()?.len(), entry.path())));
    let (_, path) = sizes.max().ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
    Ok(path)
}

/// What a disk does that loses writes after it has acknowledged them: everything from the record of a
/// commit on is zero.
pub(super) fn lose_the_journal_from(env: &Path, commit: u64) -> Result<(), Failure> {
    for file in log_files::find(env)? {
        let path = file.path();
        let open = file.open()?;
        let mut scanner = Scanner::new(&open, u64::MAX);
        while let Scan::Record(record) = scanner.next()? {
            let header = &record.header;
            if header.kind == RecordKind::TRANSACTION && header.sequence == commit {
                let offset = record.lsn.offset();
                let lose = || -> io::Result<()> {
                    let file = OpenOptions::new().write(true).open(&path)?;
                    let len = file.metadata()?.len();
                    file.set_len(offset)?;
                    file.set_len(len)
                };
                return lose().map_err(|error| Failure::io("cut", &path, &error));
            }
        }
    }
    Err(Failure::check(format_args!("there is no record of commit {commit}")))
}
