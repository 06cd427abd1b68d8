//! Backups on a disk of their own, and what can be made of them.

use std::sync::Mutex;

use cairn_backup::{
    BackupError, BackupOptions, MANIFEST_NAME, RestoreOptions, backup_to, restore_from,
};
use cairn_env::Snapshot;
use cairn_io::{DirExt as _, DirRef, EntryKind, IoOp, IoResult, Name, SyncSite};
use cairn_sim::{Bounds, Chooser, ChooserExt as _, Fault, FaultDisk, Image, Level, Rule, SimWorld};

use super::{Simulation, Watched};
use crate::{
    check::{
        Allowed,
        copies::{opens_or_goes_on, restores_to},
    },
    model::Contents,
    problem::{Checked, Problem, Wrong},
    run::{backup_name, lock},
};

/// The names of the directories of backups, which are not the engine's.
const SITE: SyncSite = SyncSite::new("torture.backups");
/// So many backups are kept.
const KEPT: usize = 4;

/// The disk with the backups.
pub(super) struct Copies {
    pub(super) disk: Watched,
    /// Those that were finished, the oldest first.
    made: Vec<Made>,
    /// How many directories there were.
    begun: usize,
}

#[derive(Clone)]
struct Made {
    name: Name,
    commit: u64,
    contents: Contents,
}

impl Copies {
    pub(super) fn new() -> Self {
        Self { disk: Watched::new(&Image::new()), made: Vec::new(), begun: 0 }
    }

    /// The directory for the next backup: that of the last one, if it was never published.
    fn next_dir(&mut self) -> IoResult<Name> {
        let root = self.disk.disk.root();
        if let Some(last) = self.begun.checked_sub(1).map(backup_name)
            && root.has(&last)?
            && !root.open_dir(&last)?.has(&Name::constant(MANIFEST_NAME))?
        {
            return Ok(last);
        }
        let name = backup_name(self.begun);
        self.begun += 1;
        root.create_dir(&name)?;
        root.sync(SITE)?;
        Ok(name)
    }

    /// The oldest backup goes if there are too many.
    fn prune(&mut self) -> IoResult<Option<Name>> {
        if self.made.len() <= KEPT {
            return Ok(None);
        }
        let Made { name, .. } = self.made.remove(0);
        let root = self.disk.disk.root();
        remove_all(&root.open_dir(&name)?)?;
        root.remove_dir(&name)?;
        root.sync(SITE)?;
        Ok(Some(name))
    }

    /// The power fails there, too, or it does not.
    pub(super) fn lose_power(
        &mut self,
        level: Level,
        bounds: &Bounds,
        chooser: &mut (dyn Chooser + Send),
    ) {
        if self.begun > 0 && chooser.choose(2, "backups-too") == 1 {
            let crashed = self.disk.disk.crash(level, bounds, chooser);
            self.disk = Watched::new(&crashed.image);
        }
    }
}

fn remove_all(dir: &DirRef) -> IoResult<()> {
    for entry in dir.list()? {
        let Some(name) = entry.name else { continue };
        if entry.kind == EntryKind::Dir {
            remove_all(&dir.open_dir(&name)?)?;
            dir.remove_dir(&name)?;
        } else {
            dir.remove(&name)?;
        }
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::new(Wrong::Run, error)
}

impl Simulation<'_> {
    /// Makes a backup; between its pieces everybody else goes on.
    pub(super) fn backup(&mut self) -> Checked<()> {
        let Some(process) = self.process.as_ref().filter(|_| !self.is_in_backup) else {
            return Ok(());
        };
        let (env, world) = (process.env.clone(), process.world.world());
        let since = self.chooser.choose(1 + self.copies.made.len(), "since").checked_sub(1);
        let since = since.map(|which| self.copies.made[which].name.clone());
        let name = self.copies.next_dir().map_err(failed)?;
        let faults = FaultDisk::new(self.copies.disk.disk.root());
        if self.plan.has(super::Event::Fault) && self.chooser.choose(6, "target-fault") == 5 {
            const FAULTS: [Fault; 3] = [Fault::Eio, Fault::NoSpace, Fault::Short];
            const OPS: [IoOp; 3] = [IoOp::Write, IoOp::Sync, IoOp::Create];
            let (op, fault) =
                (*self.chooser.pick(&OPS, "call"), *self.chooser.pick(&FAULTS, "fault"));
            let nth = self.chooser.choose(20, "nth");
            faults.inject(Rule::new(fault).op(op).nth(nth as u64));
        }
        let dir = faults.root().open_dir(&name).map_err(failed)?;
        let since_dir = since.as_ref().map(|since| faults.root().open_dir(since));
        let since_dir = since_dir.transpose().map_err(failed)?;
        self.tell(format_args!("backup {name} begins, since {since:?}"));

        self.is_in_backup = true;
        let cut = Mutex::new(None);
        let this = Mutex::new(&mut *self);
        let at_cut = |snapshot: Snapshot| *lock(&cut) = lock(&this).at_cut(&snapshot);
        let meanwhile = |_| lock(&this).meanwhile();
        let mut options = BackupOptions::default().progress(&meanwhile).at_cut(&at_cut);
        options.since_in = since_dir.as_ref();
        let made = backup_to(&env, &dir, &world, &options);
        self.is_in_backup = false;
        if let Some(problem) = self.found.take() {
            return Err(problem);
        }
        let cut = cut.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        match made {
            Ok(report) => {
                self.tell(format_args!("backup {name} is finished: {report:?}"));
                self.finished(name, report.commit, cut)
            }
            Err(error) if self.is_troubled() || faults.has_struck() => {
                self.tell(format_args!("backup {name} fails: {error}"));
                Ok(())
            }
            Err(BackupError::PreviousForeign { .. }) => Ok(()),
            Err(error) => Err(Problem::new(Wrong::Backup, format!("backup {name}: {error}"))),
        }
    }

    fn finished(&mut self, name: Name, commit: u64, cut: Option<(u64, Contents)>) -> Checked<()> {
        let Some((_, contents)) = cut.filter(|(cut, _)| *cut == commit) else {
            let story =
                format!("backup {name} is of commit {commit}, which is not that of its cut");
            return Err(Problem::new(Wrong::Backup, story));
        };
        self.tally.backups += 1;
        self.promised(commit, commit)?;
        self.copies.made.push(Made { name, commit, contents });
        if let Some(name) = self.copies.prune().map_err(failed)? {
            self.tell(format_args!("backup {name} is removed"));
        }
        Ok(())
    }

    /// What the backup is going to hold.
    fn at_cut(&mut self, snapshot: &Snapshot) -> Option<(u64, Contents)> {
        let commit = snapshot.commit();
        let state = self.ledger.state(commit).cloned();
        let difference = match &state {
            Some(state) => state.difference_from(snapshot),
            None => Ok(Some("there is no such commit".to_owned())),
        };
        match self.unless_troubled("reading what is backed up", difference) {
            Ok(None | Some(None)) => {}
            Ok(Some(Some(story))) => {
                let story = format!("the cut of a backup, commit {commit}: {story}");
                self.found = Some(Problem::new(Wrong::Backup, story));
            }
            Err(problem) => self.found = Some(problem),
        }
        Some((commit, state?))
    }

    /// Some events between two pieces of a backup.
    fn meanwhile(&mut self) {
        for _ in 0..self.chooser.choose(4, "meanwhile") {
            if self.found.is_some() || self.is_dead() {
                return;
            }
            self.found = self.step().err();
        }
    }

    /// Restores one of the backups, or cuts that short and begins again.
    pub(super) fn restore(&mut self) -> Checked<()> {
        if self.copies.made.is_empty() || self.is_in_backup {
            return Ok(());
        }
        let made = self.chooser.pick(&self.copies.made, "backup").clone();
        self.tally.restores += 1;
        if self.chooser.choose(3, "cut-short") < 2 {
            return self.restored(&made);
        }
        let from = self.copies.disk.disk.root().open_dir(&made.name).map_err(failed)?;
        let target = Watched::new(&Image::new());
        let faults = FaultDisk::new(target.disk.root());
        target.doom(self.chooser.choose(80, "after") as u64, &faults);
        let world = SimWorld::new(self.processes);
        let options = self.settings.options().background(false);
        let how = RestoreOptions::default().options(options.clone());
        let restored = restore_from(&from, &faults.root(), &world.world(), &how);
        let level = *self.chooser.pick(&Level::ALL, "level");
        let crashed = target.disk.crash(level, &self.plan.bounds, &mut *self.chooser);
        self.tell(format_args!("backup {} is restored, until the power fails", made.name));
        let left = crashed.image.to_mem().root();
        let allowed = Allowed::only(made.commit, &made.contents);
        let options = options.create(false);
        opens_or_goes_on(&left, || Ok(from), restored.is_ok(), &allowed, &options).map_err(
            |wrong| {
                let story =
                    format!("a restore of backup {}, {crashed}: {}", made.name, wrong.story);
                Problem::new(wrong.wrong, story)
            },
        )
    }

    fn restored(&mut self, made: &Made) -> Checked<()> {
        let Made { name, commit, contents } = made;
        self.tell(format_args!("backup {name} is restored"));
        let dir = self.copies.disk.disk.root().open_dir(name).map_err(failed)?;
        let options = self.settings.options().background(false);
        restores_to(&dir, *commit, contents, &options).map_err(|problem| Problem {
            story: format!("backup {name}: {}", problem.story),
            ..problem
        })
    }

    /// All backups that are kept are what they were.
    pub(super) fn restore_all(&mut self) -> Checked<()> {
        for made in self.copies.made.clone() {
            self.tally.restores += 1;
            self.restored(&made)?;
        }
        Ok(())
    }
}
