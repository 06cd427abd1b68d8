//! The hot backup: taken while writers commit, with a digest of the very state that it holds.

use std::{
    fs,
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use cairndb::{
    EnvResult, Environment, Snapshot,
    backup::{self, BackupOptions},
};
use serde::{Deserialize, Serialize};

use super::{
    damage,
    digest::{Digest, digest},
    step::Told,
    writers::Writers,
};
use crate::{
    exit::Failure,
    text::{count, several, size},
};

/// Commits that the backup finds.
const BEFORE: u64 = 500;
/// Commits that must come in while the backup is taken.
const MEANWHILE: u64 = 20;

/// What is written down at the cut, for the proof at the end.
#[derive(Serialize, Deserialize)]
pub(super) struct Recorded {
    pub(super) commit: u64,
    pub(super) databases: u64,
    pub(super) entries: u64,
    pub(super) blake3: String,
}

/// Takes the backup into `target`, and writes the digest at its cut into the file `record`.
pub(super) fn take(
    env: &Environment,
    writers: &Writers,
    target: &Path,
    record: &Path,
    sabotage: bool,
) -> Result<(u64, Told), Failure> {
    let syncs_before = env.stats()?.commit_syncs;
    if !writers.wait_for(BEFORE) {
        return Err(Failure::check("the writers do not get on"));
    }
    let at_cut: Mutex<Option<EnvResult<Digest>>> = Mutex::new(None);
    let commits_at_cut = AtomicU64::new(0);
    let look = |snapshot: Snapshot| {
        commits_at_cut.store(writers.commits(), Ordering::Relaxed);
        let found = digest(&snapshot);
        *at_cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(found);
        // On a quick disk the files would be copied before anybody has written.
        writers.wait_for(writers.commits() + MEANWHILE);
    };
    let report = backup::backup(env, target, &BackupOptions::default().at_cut(&look))?;
    let meanwhile = writers.commits() - commits_at_cut.into_inner();
    let newest = env.snapshot()?.commit();
    let digest = at_cut.into_inner().unwrap_or_else(PoisonError::into_inner);
    let digest = digest.ok_or_else(|| Failure::check("the cut was not shown"))??;
    if meanwhile == 0 || newest <= report.commit {
        return Err(Failure::check("nobody has written while the backup was taken"));
    }
    write_down(record, report.commit, &digest)?;
    if sabotage {
        damage::flip_a_bit_of_the_largest(&target.join("files"))?;
    }
    let verified = backup::verify(target, None)?;
    if let Some(finding) = verified.findings.first() {
        return Err(Failure::check(format_args!("the backup is not sound: {}", finding.error)));
    }
    let told = Told::default()
        .line(format!(
            "commit {}, while {WRITERS} writers made {} more: {}, {}, read back and equal",
            report.commit,
            count(meanwhile),
            several(report.files, "file"),
            size(report.bytes),
            WRITERS = super::writers::WRITERS,
        ))
        .line(format!(
            "recorded at its cut: {}, {}, blake3 {}",
            several(digest.databases, "database"),
            several(digest.entries, "entry"),
            digest.hash.to_hex()
        ))
        .figure("commit", report.commit)
        .figure("commits_meanwhile", meanwhile)
        .figure("files", report.files)
        .figure("bytes", report.bytes)
        .figure("databases", digest.databases)
        .figure("entries", digest.entries)
        .figure("content_bytes", digest.bytes)
        .figure("blake3", digest.hash.to_hex().as_str());
    Ok((syncs_before, told))
}

fn write_down(record: &Path, commit: u64, digest: &Digest) -> Result<(), Failure> {
    let &Digest { hash, databases, entries, .. } = digest;
    let recorded = Recorded { commit, databases, entries, blake3: hash.to_hex().to_string() };
    let text = serde_json::to_string(&recorded).map_err(|error| Failure::check(&error))?;
    fs::write(record, text + "\n").map_err(|error| Failure::io("write", record, &error))
}
