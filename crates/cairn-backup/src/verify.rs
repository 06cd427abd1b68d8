//! Verification of a backup: every file is there, and every byte is the one that was copied.

use std::path::Path;

use cairn_io::{Access, Dir, FileExt, RealDir};
use cairn_log::Digest;

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile,
    manifest::FILES,
    progress::{Counter, Report},
};

/// Something that is wrong with a backup.
#[derive(Debug)]
#[non_exhaustive]
pub struct BackupFinding {
    /// What is wrong, with the file.
    pub error: BackupError,
}

/// What verifying a backup found.
#[derive(Debug)]
#[non_exhaustive]
pub struct BackupVerifyReport {
    /// What the manifest says.
    pub manifest: Manifest,
    /// What is wrong, all of it.
    pub findings: Vec<BackupFinding>,
    /// Bytes that were read.
    pub bytes: u64,
    /// Files in the backup that the manifest does not name. They do no harm.
    pub extra: Vec<String>,
}

/// Reads all of the backup in the directory `path` and compares it with its manifest.
///
/// # Errors
/// If there is no manifest that can be read. Damaged and missing files are findings.
pub fn verify(path: impl AsRef<Path>, progress: Report<'_>) -> BackupResult<BackupVerifyReport> {
    let dir = RealDir::open(path.as_ref()).map_err(|error| not_there(path.as_ref(), error))?;
    verify_in(&*dir, progress)
}

/// As [`verify`], in any directory.
///
/// # Errors
/// As [`verify`].
pub fn verify_in(dir: &dyn Dir, progress: Report<'_>) -> BackupResult<BackupVerifyReport> {
    let manifest = Manifest::read(dir)?;
    let files = dir.open_dir(&FILES)?;
    let mut counter = Counter::new(manifest.bytes(), progress);
    let errors = verify_files(&*files, &manifest.files, &mut counter);
    let findings = errors.into_iter().map(|error| BackupFinding { error }).collect();
    let named = |display: &str| manifest.files.iter().any(|file| file.name.to_string() == display);
    let extra = files.list()?.into_iter().map(|entry| entry.display).filter(|name| !named(name));
    Ok(BackupVerifyReport { extra: extra.collect(), bytes: counter.done(), findings, manifest })
}

/// The error for a path at which there is no directory.
pub(crate) fn not_there(path: &Path, error: cairn_io::IoError) -> BackupError {
    if error.is_not_found() {
        BackupError::NoManifest { path: path.to_owned() }
    } else {
        error.into()
    }
}

/// What is wrong with the files of a backup.
pub(crate) fn verify_files(
    files: &dyn Dir,
    named: &[ManifestFile],
    counter: &mut Counter<'_>,
) -> Vec<BackupError> {
    let mut errors = Vec::new();
    for file in named {
        if let Err(error) = read_file(files, file, counter, |_, _| Ok(())) {
            errors.push(error);
        }
    }
    errors
}

/// Reads a file of a backup through `sink`, and checks length and hash.
pub(crate) fn read_file(
    files: &dyn Dir,
    file: &ManifestFile,
    counter: &mut Counter<'_>,
    mut sink: impl FnMut(u64, &[u8]) -> BackupResult<()>,
) -> BackupResult<()> {
    const PIECE: usize = 1 << 18;
    let path = files.path().join(file.name.to_string());
    let source = match files.open(&file.name.to_name(), Access::Read) {
        Ok(source) => source,
        Err(error) if error.is_not_found() => return Err(BackupError::FileMissing { path }),
        Err(error) => return Err(error.into()),
    };
    let len = source.len()?;
    if len != file.length {
        let problem = format!("it has {len} bytes, the manifest says {}", file.length);
        return Err(BackupError::FileDamaged { path, problem });
    }
    let mut hasher = blake3::Hasher::new();
    let mut buf = vec![0; PIECE.min(usize::try_from(len).unwrap_or(PIECE))];
    let mut at = 0;
    while at < len {
        let want = usize::try_from(len - at).map_or(buf.len(), |left| left.min(buf.len()));
        source.read_exact_at(at, &mut buf[..want])?;
        hasher.update(&buf[..want]);
        sink(at, &buf[..want])?;
        source.forget(at, want as u64);
        counter.add(want as u64);
        at += want as u64;
    }
    let found = Digest(*hasher.finalize().as_bytes());
    if found == file.digest {
        Ok(())
    } else {
        let problem = format!("its hash is {found}, the manifest says {}", file.digest);
        Err(BackupError::FileDamaged { path, problem })
    }
}
