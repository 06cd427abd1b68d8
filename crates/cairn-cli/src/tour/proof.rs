//! The end of the tour: the backup becomes an environment, and that is what was recorded.

use std::{fs, path::Path};

use cairndb::{
    Environment, Options, VerifyOptions,
    backup::{RestoreOptions, restore},
};

use super::{damage, digest::digest, hot::Recorded, step::Told, work::Work};
use crate::{
    exit::Failure,
    text::{several, size},
};

/// Restores the backup into a new directory.
pub(super) fn restore_backup(
    backup: &Path,
    target: &Path,
    sabotage: bool,
) -> Result<((), Told), Failure> {
    if sabotage {
        damage::cut_the_largest(&backup.join("files"))?;
    }
    let report = restore(backup, target, &RestoreOptions::default())?;
    let told = Told::default()
        .line(format!(
            "commit {} into a new directory: {}, {}, each compared with the manifest",
            report.commit,
            several(report.files, "file"),
            size(report.bytes)
        ))
        .figure("commit", report.commit)
        .figure("files", report.files)
        .figure("bytes", report.bytes)
        .figure("timeline", report.timeline.to_string());
    Ok(((), told))
}

/// Compares the restored environment with what was recorded at the cut of the backup.
pub(super) fn prove(restored: &Path, record: &Path, sabotage: bool) -> Result<((), Told), Failure> {
    let text = fs::read(record).map_err(|error| Failure::io("read", record, &error))?;
    let recorded: Recorded = serde_json::from_slice(&text)
        .map_err(|error| Failure::check(error).at(record.display()))?;
    let (env, _) = Environment::open(restored, Options::default().create(false))?;
    if sabotage {
        Work::open(&env)?.commit(&env, 999, 1)?;
    }
    let found = digest(&env.snapshot()?)?;
    let hex = found.hash.to_hex();
    if *hex != *recorded.blake3 {
        return Err(Failure::check(format_args!(
            "restored are {} with blake3 {hex}, recorded were {} with blake3 {}",
            several(found.entries, "entry"),
            several(recorded.entries, "entry"),
            recorded.blake3
        )));
    }
    let verified = env.verify(&VerifyOptions::new())?;
    if let Some(finding) = verified.findings.first() {
        return Err(Failure::check(format_args!("restored, but: {finding}")));
    }
    // It is no exhibit: it takes commits.
    let commit = Work::open(&env)?.commit(&env, 999, 1)?;
    env.close()?;
    let told = Told::default()
        .line(format!(
            "{}, {}, blake3 {hex}: what was recorded at commit {}",
            several(found.databases, "database"),
            several(found.entries, "entry"),
            recorded.commit
        ))
        .line(format!("verified, and it takes commits again: {commit} was the first"))
        .figure("databases", found.databases)
        .figure("entries", found.entries)
        .figure("blake3", hex.as_str())
        .figure("commit", recorded.commit)
        .figure("next_commit", commit);
    Ok(((), told))
}
