//! Verification of a backup: every file is there, and every byte is the one that was copied.

use std::{collections::BTreeSet, path::Path};

use cairn_io::{Access, Dir, FileExt, FileRef, RealDir};
use cairn_log::Digest;

use crate::{
    BackupError, BackupResult, Manifest, ManifestFile,
    keyring::{self, KEYRING},
    manifest::FILES,
    piece::{Piece, Stored},
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

/// Reads all of the backup in the directory `path` and compares it with its manifest. That takes no key,
/// also if it is encrypted; [`check_key`](crate::check_key) tries one.
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
    let counter = Counter::new(manifest.bytes(), progress);
    let mut findings = Vec::new();
    let mut named = BTreeSet::new();
    for file in &manifest.files {
        if let Err(error) = read_file(&*files, file, &counter, |_, _| Ok(())) {
            findings.push(BackupFinding { error });
        }
        named.extend(file.stored().into_iter().map(|stored| stored.name.to_string()));
    }
    match keyring::read(&*files, &manifest) {
        Ok(None) => {}
        Ok(Some(_)) => drop(named.insert(KEYRING.to_string())),
        Err(error) => {
            named.insert(KEYRING.to_string());
            findings.push(BackupFinding { error });
        }
    }
    let extra = files.list()?.into_iter().map(|entry| entry.display);
    let extra = extra.filter(|name| !named.contains(name)).collect();
    let bytes = counter.done();
    counter.end();
    Ok(BackupVerifyReport { extra, bytes, findings, manifest })
}

/// The error for a path at which there is no directory.
pub(crate) fn not_there(path: &Path, error: cairn_io::IoError) -> BackupError {
    if error.is_not_found() {
        BackupError::NoManifest { path: path.to_owned() }
    } else {
        error.into()
    }
}

/// Reads a file of a backup through `sink`, whatever pieces it lies in, and checks length and hash.
pub(crate) fn read_file(
    files: &dyn Dir,
    file: &ManifestFile,
    counter: &Counter<'_>,
    mut sink: impl FnMut(u64, &[u8]) -> BackupResult<()>,
) -> BackupResult<()> {
    // One piece has the hash of the file.
    let mut whole = (!file.pieces.is_empty()).then(blake3::Hasher::new);
    for stored in file.stored() {
        read_stored(files, &stored, counter, |at, bytes| {
            if let Some(whole) = &mut whole {
                whole.update(bytes);
            }
            sink(stored.start + at, bytes)
        })?;
    }
    let found = whole.map(|whole| Digest(*whole.finalize().as_bytes()));
    match found.filter(|found| *found != file.digest) {
        None => Ok(()),
        Some(found) => {
            let path = files.path().join(file.name.to_string());
            let problem =
                format!("the hash of its pieces is {found}, the manifest says {}", file.digest);
            Err(BackupError::FileDamaged { path, problem })
        }
    }
}

/// Opens what a backup holds under one name, if it has the right length.
pub(crate) fn open_stored(files: &dyn Dir, stored: &Stored) -> BackupResult<FileRef> {
    let path = files.path().join(stored.name.as_str());
    let source = match files.open(&stored.name, Access::Read) {
        Ok(source) => source,
        Err(error) if error.is_not_found() => return Err(BackupError::FileMissing { path }),
        Err(error) => return Err(error.into()),
    };
    let (len, length) = (source.len()?, stored.piece.length);
    if len != length {
        let problem = format!("it has {len} bytes, the manifest says {length}");
        return Err(BackupError::FileDamaged { path, problem });
    }
    Ok(source)
}

/// Reads what a backup holds under one name through `sink`, and checks length and hash.
pub(crate) fn read_stored(
    files: &dyn Dir,
    stored: &Stored,
    counter: &Counter<'_>,
    mut sink: impl FnMut(u64, &[u8]) -> BackupResult<()>,
) -> BackupResult<()> {
    const PART: usize = 1 << 18;
    let source = open_stored(files, stored)?;
    let Piece { length, digest } = stored.piece;
    let mut hasher = blake3::Hasher::new();
    let mut buf = vec![0; PART.min(usize::try_from(length).unwrap_or(PART))];
    let mut at = 0;
    while at < length {
        let want = usize::try_from(length - at).map_or(buf.len(), |left| left.min(buf.len()));
        source.read_in_passing(at, &mut buf[..want])?;
        hasher.update(&buf[..want]);
        sink(at, &buf[..want])?;
        counter.add(want as u64)?;
        at += want as u64;
    }
    let found = Digest(*hasher.finalize().as_bytes());
    if found == digest {
        Ok(())
    } else {
        let path = files.path().join(stored.name.as_str());
        let problem = format!("its hash is {found}, the manifest says {digest}");
        Err(BackupError::FileDamaged { path, problem })
    }
}

#[cfg(test)]
mod tests {
    use cairn_env::ErrorKind;
    use cairn_io::{FileExt as _, MemDisk};
    use cairn_log::{FileClass, FileNumber, LogName, Timeline};

    use super::*;
    use crate::Piece;

    /// Each piece has its hash, and the file has its own: pieces in another order are not the file.
    #[test]
    fn pieces_that_are_not_the_file_together_are_damage_and_name_the_file() {
        let disk = MemDisk::new();
        let contents = [&b"in "[..], b"three ", b"pieces"];
        let piece = |bytes: &[u8]| Piece { length: bytes.len() as u64, digest: Digest::of(bytes) };
        let name = LogName::new(FileClass::Journal, FileNumber::FIRST, Timeline::FIRST);
        let Piece { length, digest } = piece(&contents.concat());
        let pieces = contents.iter().map(|bytes| piece(bytes)).collect();
        let mut file = ManifestFile { name, directory: 0, length, digest, pieces };
        for (stored, bytes) in file.stored().iter().zip(contents) {
            disk.root().create(&stored.name).unwrap().write_all_at(0, bytes).unwrap();
        }
        let read = |file: &ManifestFile| {
            let mut whole = Vec::new();
            read_file(&*disk.root(), file, &Counter::new(length, None), |at, bytes| {
                assert_eq!(at, whole.len() as u64);
                whole.extend_from_slice(bytes);
                Ok(())
            })
            .map(|()| whole)
        };
        assert_eq!(read(&file).unwrap(), contents.concat());
        file.digest = Digest::of(b"pieces in three ");
        match read(&file) {
            Err(BackupError::FileDamaged { path, problem }) => {
                assert!(path.ends_with(name.to_string()), "{}", path.display());
                assert!(problem.contains(&digest.to_string()), "{problem}");
                assert!(problem.contains(&file.digest.to_string()), "{problem}");
            }
            other => panic!("{other:?}"),
        }
        // What is no file is not said to be missing.
        let second = file.stored()[1].name.clone();
        disk.root().remove(&second).unwrap();
        let missing = read(&file).unwrap_err();
        assert!(matches!(missing, BackupError::FileMissing { .. }), "{missing}");
        disk.root().create_dir(&second).unwrap();
        assert_eq!(read(&file).unwrap_err().kind(), ErrorKind::Io);
    }
}
