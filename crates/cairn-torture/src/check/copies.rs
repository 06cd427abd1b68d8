//! Backups and restores after a crash: whole, or refused by name and begun again.

use cairn_backup::{
    BackupError, BackupOptions, RestoreOptions, backup_to, restore_from, verify_in,
};
use cairn_env::{EnvError, Environment, ErrorKind, Options};
use cairn_io::{DirRef, IoResult, MemDisk};
use cairn_sim::{Chooser, Image, Seeded, SimWorld};

use super::{Allowed, whole};
use crate::{
    model::{Contents, History, fill},
    operation::Change,
    problem::{Checked, Problem, Wrong},
    run::{BackupState, RestoreState, backup_name, restore_name},
};

/// Checks all backups on a disk: each that was acknowledged is whole, each other one whole or no
/// backup.
pub(crate) fn backups(
    image: &Image,
    backups: &[BackupState],
    histories: &[History],
    options: &Options,
    random: &mut Seeded,
) -> Checked<()> {
    let disk = image.to_mem();
    for (number, backup) in backups.iter().enumerate() {
        let name = backup_name(number);
        let told = |problem: Problem| Problem {
            story: format!("backup {name}: {}", problem.story),
            ..problem
        };
        let dir = disk.root().open_dir(&name);
        let dir = dir.map_err(|error| told(Problem::new(Wrong::Backup, error)))?;
        let state = |commit: u64| {
            let commit = usize::try_from(commit).unwrap_or(usize::MAX);
            histories[backup.history].get(commit)
        };
        match (verify_in(&*dir, None), backup.done) {
            (Ok(report), done) => {
                let commit = report.manifest.cut.commit;
                let wrong = match (report.findings.first(), done, state(commit)) {
                    (Some(finding), _, _) => Some(finding.error.to_string()),
                    (_, Some(done), _) if done != commit => {
                        Some(format!("it is of commit {commit}, not {done}"))
                    }
                    (_, _, None) => Some(format!("it is of commit {commit}, which never was")),
                    (None, _, Some(contents)) => {
                        restores_to(&dir, commit, contents, options).map_err(told)?;
                        None
                    }
                };
                if let Some(story) = wrong {
                    return Err(told(Problem::new(Wrong::Backup, story)));
                }
            }
            (Err(BackupError::NoManifest { .. }), None) => {
                refused(&dir, options).map_err(told)?;
                if random.choose(4, "again") == 0 {
                    begins_again(&dir, options).map_err(told)?;
                }
            }
            (Err(error), done) => {
                let wrong = if done.is_some() { Wrong::Backup } else { Wrong::HalfDone };
                return Err(told(Problem::new(wrong, error)));
            }
        }
    }
    Ok(())
}

/// Checks that a backup restores to `contents`.
pub(crate) fn restores_to(
    backup: &DirRef,
    commit: u64,
    contents: &Contents,
    options: &Options,
) -> Checked<()> {
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::new(Wrong::Backup, format!("what was restored: {error}"))
    };
    let (target, world) = (MemDisk::new(), SimWorld::new(3));
    let how = RestoreOptions::default().options(options.clone());
    restore_from(backup, &target.root(), &world.world(), &how).map_err(|error| wrong(&error))?;
    let opened = Environment::open_in(target.root(), world.world(), options.clone().create(false));
    let (env, report) = opened.map_err(|error| wrong(&error))?;
    whole(&env, &report, &Allowed::only(commit, contents)).map_err(|problem| wrong(&problem))
}

/// Checks that what is no backup is not restored either, and for that reason.
fn refused(dir: &DirRef, options: &Options) -> Checked<()> {
    let (target, world) = (MemDisk::new(), SimWorld::new(3));
    let how = RestoreOptions::default().options(options.clone());
    match restore_from(dir, &target.root(), &world.world(), &how) {
        Err(BackupError::NoManifest { .. }) if target.files().is_empty() => Ok(()),
        Err(error) => Err(Problem::new(Wrong::HalfDone, format!("a restore answers: {error}"))),
        Ok(_) => Err(Problem::new(Wrong::HalfDone, "verification refuses it, a restore does not")),
    }
}

/// Checks that a backup can be made where an unfinished one was left.
fn begins_again(dir: &DirRef, options: &Options) -> Checked<()> {
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::new(Wrong::HalfDone, format!("beginning again: {error}"))
    };
    let (source, world) = (MemDisk::new(), SimWorld::new(4));
    let changes = [Change::Put { database: 0, key: 1, value: 2, len: 30 }];
    let opened = Environment::open_in(source.root(), world.world(), options.clone());
    let (env, _) = opened.map_err(|error| wrong(&error))?;
    env.write(|txn| fill(txn, &changes)).map_err(|error| wrong(&error))?;
    let made = backup_to(&env, dir, &world.world(), &BackupOptions::default());
    let made = made.map_err(|error| wrong(&error))?;
    restores_to(dir, made.commit, &Contents::default().after(&changes), options)?;
    // And it is not overwritten.
    match backup_to(&env, dir, &world.world(), &BackupOptions::default()) {
        Err(BackupError::TargetNotEmpty { .. }) => Ok(()),
        Err(error) => Err(wrong(&error)),
        Ok(_) => Err(wrong(&"a finished backup was replaced")),
    }
}

/// Checks all restored environments on a disk: each that was acknowledged opens as what it is, each
/// other one does so, or says that it is half done, and can be restored again.
pub(crate) fn restores(
    image: &Image,
    restores: &[RestoreState],
    histories: &[History],
    options: &Options,
) -> Checked<()> {
    let disk = image.to_mem();
    let options = options.clone().create(false);
    for (number, restore) in restores.iter().enumerate() {
        let name = restore_name(number);
        let told = |problem: Problem| Problem {
            story: format!("restore {name}: {}", problem.story),
            ..problem
        };
        let dir = disk.root().open_dir(&name);
        let dir = dir.map_err(|error| told(Problem::new(Wrong::Backup, error)))?;
        let expected = &restore.expected;
        let allowed = Allowed::new(histories, expected, expected.durable);
        let from = || {
            let source = restore.source.to_mem().root();
            source.open_dir(&backup_name(restore.backup))
        };
        opens_or_goes_on(&dir, from, restore.done, &allowed, &options).map_err(told)?;
    }
    Ok(())
}

/// Checks that what a restore has left opens as what it is to be, or, unless the restore is `done`, says
/// that it is half done and can be restored again.
pub(crate) fn opens_or_goes_on(
    dir: &DirRef,
    from: impl FnOnce() -> IoResult<DirRef>,
    done: bool,
    allowed: &Allowed<'_>,
    options: &Options,
) -> Checked<()> {
    let world = SimWorld::new(5);
    match Environment::open_in(dir.clone(), world.world(), options.clone()) {
        Ok((env, report)) => whole(&env, &report, allowed),
        Err(error) if done => Err(Problem::new(Wrong::Refused, error)),
        Err(error) => {
            says_how_to_go_on(&error)?;
            goes_on(dir, from, allowed, options)
        }
    }
}

fn says_how_to_go_on(error: &EnvError) -> Checked<()> {
    let said = error.to_string();
    match error {
        // Nothing was written yet: it is as good as empty.
        EnvError::NotAnEnvironment { .. } if error.kind() == ErrorKind::NotFound => Ok(()),
        EnvError::IncompleteRestore { .. } if said.contains("cairn restore") => Ok(()),
        _ => Err(Problem::new(Wrong::HalfDone, format!("it says: {said}"))),
    }
}

fn goes_on(
    dir: &DirRef,
    from: impl FnOnce() -> IoResult<DirRef>,
    allowed: &Allowed<'_>,
    options: &Options,
) -> Checked<()> {
    let wrong = |error: &dyn std::fmt::Display| {
        Problem::new(Wrong::HalfDone, format!("beginning again: {error}"))
    };
    let world = SimWorld::new(6);
    let from = from().map_err(|error| wrong(&error))?;
    let how = RestoreOptions::default().options(options.clone());
    restore_from(&from, dir, &world.world(), &how).map_err(|error| wrong(&error))?;
    let opened = Environment::open_in(dir.clone(), world.world(), options.clone());
    let (env, report) = opened.map_err(|error| wrong(&error))?;
    whole(&env, &report, allowed).map_err(|problem| wrong(&problem))
}
