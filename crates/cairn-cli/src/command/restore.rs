//! `cairn restore`: a backup becomes an environment, once everything in it was proved.

use std::path::{Path, PathBuf};

use cairndb::{
    ErrorKind,
    backup::{RestoreOptions, forget_old, is_encrypted, restore, undo_restore},
};
use serde::Serialize;

use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    progress::Progress,
    text::{Time, count, seconds, several, size},
};

/// Restore a backup into a new or empty directory, or in place
///
/// Every file is compared with the manifest, the journal is replayed, and all trees and values
/// are read, before the directory opens as an environment. A restore that was cut short is
/// started over by running the same command again.
///
/// With --in-place the directory may be an environment that nobody has open. What it holds is
/// kept beside what is restored: --undo goes back to it (and, called again, forward), --forget-old
/// removes it. A restore in place that fails or is killed leaves the environment as it was.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn restore backups/monday data2
  cairn restore backups/monday data --in-place
  cairn restore --undo data
  cairn restore --forget-old data"
)]
pub(crate) struct Restore {
    /// The directory of the backup
    #[arg(required_unless_present_any = ["undo", "forget_old"])]
    backup: Option<PathBuf>,
    /// The directory of the environment: new, empty, or holding a restore that was cut short
    #[arg(required_unless_present_any = ["undo", "forget_old"])]
    env: Option<PathBuf>,
    /// Restore over an existing environment, and keep what it holds
    #[arg(long)]
    in_place: bool,
    /// With --in-place: even if the backup is of another environment
    #[arg(long, requires = "in_place")]
    other_environment: bool,
    /// Go back to what an environment held before it was restored in place
    #[arg(long, value_name = "ENV", conflicts_with_all = ["backup", "env", "in_place"])]
    undo: Option<PathBuf>,
    /// Open an environment, and remove what it held before it was restored in place
    #[arg(long, value_name = "ENV", conflicts_with_all = ["backup", "env", "in_place", "undo"])]
    forget_old: Option<PathBuf>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct RestoreJson {
    environment: PathBuf,
    commit: u64,
    time: Time,
    files: u64,
    bytes: u64,
    entries: u64,
    timeline: String,
    kept_generation: Option<u32>,
    seconds: f64,
}

#[derive(Serialize)]
struct UndoneJson {
    environment: PathBuf,
    generation: u32,
    kept_generation: u32,
}

#[derive(Serialize)]
struct ForgottenJson {
    environment: PathBuf,
    generations: u64,
    files: u64,
    bytes: u64,
}

impl Restore {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        match self {
            Self { undo: Some(env), .. } => undo(env, output),
            Self { forget_old: Some(env), unlock, .. } => forget(env, &unlock, output),
            Self {
                backup: Some(backup),
                env: Some(env),
                in_place,
                other_environment,
                unlock,
                ..
            } => {
                let key = unlock.of(&backup, || is_encrypted(&backup))?;
                let options = RestoreOptions::default()
                    .options(open::with_key(key))
                    .in_place(in_place)
                    .other_environment(other_environment);
                run(&backup, env, options, output)
            }
            _ => Err(Failure::usage("a backup and the directory of an environment are needed")),
        }
    }
}

fn run(backup: &Path, env: PathBuf, options: RestoreOptions<'_>, output: &mut Output) -> Outcome {
    let progress = Progress::new("restoring");
    let shown = |at: cairndb::backup::Progress| progress.set(at.done, Some(at.total));
    let in_place = options.in_place;
    let report = restore(backup, &env, &options.progress(&shown)).map_err(|error| {
        let refused = error.kind() == ErrorKind::InvalidInput;
        let failure = Failure::from(error);
        match (refused, in_place) {
            (true, false) => failure.advise(
                "choose another path, or --in-place if it is an environment; nothing was changed",
            ),
            (true, true) => failure.advise(
                "`cairn help restore` says what --other-environment, --undo and --forget-old do; \
                 nothing was changed",
            ),
            _ => failure,
        }
    })?;
    let elapsed = progress.elapsed();
    drop(progress);
    output.line(format_args!(
        "restored commit {} of {} into {}: {}, {}; {} entries read, in {}",
        report.commit,
        Time(report.time),
        env.display(),
        several(report.files, "file"),
        size(report.bytes),
        count(report.entries),
        seconds(elapsed)
    ))?;
    if report.kept.is_some() {
        output.line(format_args!(
            "what was there before is kept: `cairn restore --undo {0}` goes back to it, \
             `cairn restore --forget-old {0}` removes it",
            env.display()
        ))?;
    }
    output.json(&RestoreJson {
        environment: env,
        commit: report.commit,
        time: Time(report.time),
        files: report.files,
        bytes: report.bytes,
        entries: report.entries,
        timeline: report.timeline.to_string(),
        kept_generation: report.kept,
        seconds: elapsed.as_secs_f64(),
    })?;
    Ok(Exit::Good)
}

fn undo(env: PathBuf, output: &mut Output) -> Outcome {
    let now = undo_restore(&env).map_err(|error| {
        let nothing = error.kind() == ErrorKind::InvalidInput;
        let failure = Failure::from(error);
        if nothing { failure.advise("nothing was changed") } else { failure }
    })?;
    output.line(format_args!(
        "{0} is again what generation {1} holds; generation {2} is kept: the same command goes \
         forward to it, `cairn restore --forget-old {0}` removes it",
        env.display(),
        now.current,
        now.kept
    ))?;
    let (generation, kept_generation) = (now.current, now.kept);
    output.json(&UndoneJson { environment: env, generation, kept_generation })?;
    Ok(Exit::Good)
}

fn forget(env: PathBuf, unlock: &KeyArgs, output: &mut Output) -> Outcome {
    let key = unlock.of_environment(&env)?;
    let gone = forget_old(&env, open::with_key(key))?;
    if gone.files == 0 && gone.generations == 0 {
        output.line(format_args!("{} keeps nothing of before a restore", env.display()))?;
    } else {
        output.line(format_args!(
            "{} opens; what it held before was removed: {}, {}",
            env.display(),
            several(gone.files, "file"),
            size(gone.bytes)
        ))?;
    }
    output.json(&ForgottenJson {
        environment: env,
        generations: gone.generations,
        files: gone.files,
        bytes: gone.bytes,
    })?;
    Ok(Exit::Good)
}
