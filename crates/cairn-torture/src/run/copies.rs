//! Backups and restores: on disks of their own, which crash by themselves.

use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use cairn_backup::{
    BackupOptions, BackupResult, MANIFEST_NAME, RestoreOptions, backup_to, restore_from,
};
use cairn_env::{Durability, EnvError, Environment, Options};
use cairn_io::{Access, DirExt, DirRef, EntryKind, FileExt, IoResult, Name, SyncSite};
use cairn_sim::{FaultDisk, SimDisk, SimWorld};

use super::{
    Process, Runner,
    book::{BackupState, Knowledge, Life, RestoreState, Tape, begin, branch},
    commits::commit,
    failed, let_die, lock,
};
use crate::{
    model::{Expected, History, fill},
    operation::{Change, Since},
    problem::{Checked, Problem, Wrong},
    row::Row,
};

/// The names of the directories of backups and restores, which are not the engine's.
const SITE: SyncSite = SyncSite::new("torture.directory");

/// The disks that hold backups, and restored environments.
pub(super) struct Copies {
    backups: Side,
    restores: Side,
}

struct Side {
    tape: Tape,
    faults: FaultDisk,
}

impl Side {
    fn new(knows: Knowledge) -> Self {
        let disk = SimDisk::new();
        Self { faults: FaultDisk::new(disk.root()), tape: Tape::new(disk, knows) }
    }

    /// The directory `number`, there for good when this returns.
    fn dir(&self, name: &Name) -> IoResult<DirRef> {
        let root = self.tape.disk.root();
        if !root.has(name)? {
            root.create_dir(name)?;
            root.sync(SITE)?;
        }
        self.faults.root().open_dir(name)
    }
}

pub(crate) fn backup_name(number: usize) -> Name {
    Name::new(format!("b-{number}")).expect("letters, digits and '-'")
}

pub(crate) fn restore_name(number: usize) -> Name {
    Name::new(format!("r-{number}")).expect("letters, digits and '-'")
}

impl Copies {
    pub(super) fn new() -> Self {
        Self {
            backups: Side::new(Knowledge::Backups(Vec::new())),
            restores: Side::new(Knowledge::Restores(Vec::new())),
        }
    }

    pub(super) fn let_die(&self, calls: u32) {
        let_die(&self.backups.faults, calls);
        let_die(&self.restores.faults, calls);
    }

    pub(super) fn live_on(&self) {
        self.backups.faults.clear();
        self.restores.faults.clear();
    }

    pub(super) fn into_lives(self) -> impl Iterator<Item = Life> {
        [self.backups.tape, self.restores.tape].into_iter().map(Tape::into_life)
    }

    fn backups(&self) -> Vec<BackupState> {
        match self.backups.tape.knows() {
            Knowledge::Backups(backups) => backups.clone(),
            _ => unreachable!("the disk of the backups"),
        }
    }

    /// The newest backup that is finished: its number, what is known of it, and its commit.
    pub(super) fn newest(&self) -> Option<(usize, BackupState, u64)> {
        let backups = self.backups();
        let mut newest = backups.iter().enumerate().rev();
        newest.find_map(|(number, state)| Some((number, *state, state.done?)))
    }

    /// A directory of a backup.
    pub(super) fn backup_dir(&self, name: &Name) -> IoResult<DirRef> {
        self.backups.faults.root().open_dir(name)
    }

    /// Copies a backup with a tool that syncs nothing.
    fn carry(&self, number: usize) -> IoResult<Name> {
        let name = Name::new(format!("c-{}", self.backups().len())).expect("letters and digits");
        let root = self.backups.tape.disk.root();
        if !root.has(&name)? {
            copy_all(&root.open_dir(&backup_name(number))?, &root.create_dir(&name)?)?;
        }
        Ok(name)
    }

    fn restores(&self) -> Vec<RestoreState> {
        match self.restores.tape.knows() {
            Knowledge::Restores(restores) => restores.clone(),
            _ => unreachable!("the disk of the restores"),
        }
    }
}

/// Who makes a backup.
#[derive(Clone, Copy)]
pub(super) enum By<'c> {
    /// The process that writes, which meanwhile commits these.
    Writer(&'c [Change]),
    /// Another one, which has the environment open for reading.
    Reader,
}

impl Runner<'_> {
    /// Makes a backup; one that its process did not live to finish starts over, unless it had been
    /// published already: nothing replaces that.
    pub(super) fn backup(&mut self, since: Since, by: By<'_>) -> Checked<()> {
        let disk = self.disk();
        let Some(process) = &self.process else { return Ok(()) };
        let since = match (since, self.copies.newest()) {
            (Since::Nothing, _) | (_, None) => None,
            (Since::Newest, Some((number, ..))) => Some(backup_name(number)),
            (Since::Carried, Some((number, ..))) => {
                Some(self.copies.carry(number).map_err(failed)?)
            }
        };
        let since = since.map(|name| self.copies.backup_dir(&name)).transpose().map_err(failed)?;
        let mut backups = self.copies.backups();
        let history = lock(&self.book).expected.history;
        let begun = BackupState { history, done: None, is_increment: since.is_some() };
        let side = &mut self.copies.backups;
        let is_published = |number: usize| {
            let dir = side.dir(&backup_name(number)).map_err(failed)?;
            dir.has(&Name::constant(MANIFEST_NAME)).map_err(failed)
        };
        let last = backups.len().wrapping_sub(1);
        match backups.last_mut() {
            Some(state) if state.done.is_none() && !is_published(last)? => *state = begun,
            _ => backups.push(begun),
        }
        let dir = side.dir(&backup_name(backups.len() - 1)).map_err(failed)?;
        side.tape.learn(Knowledge::Backups(backups.clone()));
        let row = if since.is_some() { Row::Increment } else { Row::Backup };
        let _here = disk.operation(row.name());
        let _there = side.tape.disk.operation(row.name());
        let made = match by {
            By::Writer(changes) => backup_while(&self.book, process, since.as_ref(), &dir, changes),
            By::Reader => {
                let options = self.script.settings.options();
                backup_beside(&disk, options, since.as_ref(), &dir)
            }
        };
        let commit = made.map_err(failed)?;
        let durable = process.env.stats().map_err(failed)?.durable_commits;
        lock(&self.book).acknowledge(durable, durable);
        backups.last_mut().expect("it was just begun").done = Some(commit);
        side.tape.learn(Knowledge::Backups(backups));
        Ok(())
    }

    /// Restores the newest backup and commits there; a restore that its process did not live to
    /// finish goes on as its user would: by opening what is there, or else by beginning again.
    pub(super) fn restore(&mut self) -> Checked<()> {
        let Some((backup, state, commit)) = self.copies.newest() else { return Ok(()) };
        let mut restores = self.copies.restores();
        if restores.last().is_none_or(|last| last.done) {
            let source = self.copies.backups.tape.disk.image();
            let history = state.history;
            let mut expected = Expected { history, durable: 0, written: 0, begun: commit };
            branch(&mut lock(&self.book).histories, &mut expected, commit);
            expected.durable = commit;
            restores.push(RestoreState { source, backup, expected, done: false });
        }
        let number = restores.len() - 1;
        let world = SimWorld::new(self.random.next_u64());
        let options = self.script.settings.options().background(false).create(false);
        let side = &mut self.copies.restores;
        let dir = side.dir(&restore_name(number)).map_err(failed)?;
        side.tape.learn(Knowledge::Restores(restores.clone()));
        let disk = side.tape.disk.clone();
        let row = if state.is_increment { Row::RestoreIncrement } else { Row::Restore };
        let _doing = disk.operation(row.name());

        let opened = Environment::open_in(dir.clone(), world.world(), options.clone());
        let env = match opened {
            Ok((env, _)) => env,
            Err(EnvError::IncompleteRestore { .. } | EnvError::NotAnEnvironment { .. }) => {
                let source = &restores[number];
                let from = source.source.to_mem().root();
                let from = from.open_dir(&backup_name(source.backup)).map_err(failed)?;
                let how = RestoreOptions::default().options(options.clone());
                restore_from(&from, &dir, &world.world(), &how).map_err(failed)?;
                restores[number].done = true;
                side.tape.learn(Knowledge::Restores(restores.clone()));
                Environment::open_in(dir, world.world(), options).map_err(failed)?.0
            }
            Err(error) => return Err(failed(error)),
        };
        let mut learn = |restores: &[RestoreState]| {
            side.tape.learn(Knowledge::Restores(restores.to_vec()));
        };
        let histories = &mut lock(&self.book).histories;
        let worked = go_on(&env, histories, &mut restores, &mut learn);
        if worked.is_err() {
            // It is dropped by a process that has died, or that has found something wrong.
            let_die(&side.faults, 0);
        }
        drop(env);
        worked
    }
}

/// Copies what is in a directory, and syncs nothing.
fn copy_all(from: &DirRef, to: &DirRef) -> IoResult<()> {
    for entry in from.list()? {
        let Some(name) = entry.name else { continue };
        if entry.kind == EntryKind::Dir {
            copy_all(&from.open_dir(&name)?, &to.create_dir(&name)?)?;
        } else {
            let source = from.open(&name, Access::Read)?;
            let mut bytes = vec![0; usize::try_from(source.len()?).unwrap_or(0)];
            source.read_exact_at(0, &mut bytes)?;
            to.create(&name)?.write_all_at(0, &bytes)?;
        }
    }
    Ok(())
}

/// Backs an environment up from beside the process that writes it.
fn backup_beside(
    disk: &SimDisk,
    options: Options,
    since: Option<&DirRef>,
    dir: &DirRef,
) -> BackupResult<u64> {
    let world = SimWorld::new(4).world();
    let options = options.read_only(true).background(false).create(false);
    let (reader, _) = Environment::open_in(disk.root(), world.clone(), options)?;
    let mut how = BackupOptions::default();
    how.since_in = since;
    Ok(backup_to(&reader, dir, &world, &how)?.commit)
}

/// Backs an environment up; after each piece that is copied one of the changes is committed, and
/// after some of them a checkpoint is made, and files are cleaned.
fn backup_while(
    book: &Mutex<super::Book>,
    process: &Process,
    since: Option<&DirRef>,
    dir: &DirRef,
    changes: &[Change],
) -> BackupResult<u64> {
    let Process { env, world, .. } = process;
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    let meanwhile = |_| {
        let index = next.fetch_add(1, Ordering::Relaxed);
        if let Some(change) = changes.get(index) {
            let committed = commit(book, env, Row::Commit, Durability::Sync, &[*change]);
            let cleaned = match index % 3 {
                0 => Ok(()),
                1 => env.checkpoint().map(drop),
                _ => env.clean().map(drop),
            };
            lock(&failures).extend(committed.and(cleaned).err());
        }
    };
    let mut options = BackupOptions::default().progress(&meanwhile);
    options.since_in = since;
    let report = backup_to(env, dir, &world.world(), &options)?;
    match lock(&failures).pop() {
        Some(error) => Err(error.into()),
        None => Ok(report.commit),
    }
}

/// Commits once in a restored environment and closes it.
fn go_on(
    env: &Environment,
    histories: &mut Vec<History>,
    restores: &mut [RestoreState],
    learn: &mut dyn FnMut(&[RestoreState]),
) -> Checked<()> {
    let last = restores.len() - 1;
    let expected = &mut restores[last].expected;
    let found = env.recovery_report().sequence;
    if found < expected.written || found > expected.begun {
        let story = format!("commit {found} instead of {} to {}", expected.written, expected.begun);
        return Err(Problem::new(Wrong::Backup, story));
    }
    branch(histories, expected, found);
    expected.durable = expected.durable.max(env.stats().map_err(failed)?.durable_commits);
    if let Some(story) = super::state(histories, expected, found).difference(env).map_err(failed)? {
        return Err(Problem::new(Wrong::Backup, story));
    }
    let change = Change::Put { database: 9, key: 0, value: 1, len: 30 };
    begin(histories, expected, &[change]);
    learn(restores);
    let mut txn = env.begin_write().map_err(failed)?;
    fill(&mut txn, &[change]).map_err(failed)?;
    let commit = txn.commit_with(Durability::Sync).map_err(failed)?.commit;
    let expected = &mut restores[last].expected;
    (expected.durable, expected.written) = (commit, commit);
    // Of a restore whose process died, only this says that it has ended: its mark may have been gone, and
    // that not durable, when the environment was opened.
    restores[last].done = true;
    learn(restores);
    Ok(())
}
