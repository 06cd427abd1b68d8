//! Restores in place, going back from them, and letting the old generation go.

use cairn_backup::{RestoreOptions, restore_from};
use cairn_env::{KeptGeneration, forget_old_generation, kept_generation, undo_restore};
use cairn_io::{DirRef, WorldRef};
use cairn_sim::{FaultDisk, SimWorld};

use super::{Generations, Runner, backup_name, book::branch, failed, let_die, lock};
use crate::{model::Expected, problem::Checked, row::Row};

/// What counts once a restore in place, or going back from one, has taken effect.
pub(super) struct Switch {
    /// The generations on the disk before it.
    before: Option<KeptGeneration>,
    current: Expected,
    kept: Option<Expected>,
}

impl Runner<'_> {
    /// Restores the newest backup in place of the environment, which keeps what it held.
    pub(super) fn replace(&mut self) -> Checked<()> {
        let Some((backup, state, commit)) = self.copies.newest() else { return Ok(()) };
        if !self.can_switch()? || lock(&self.book).kept.is_some() {
            return Ok(());
        }
        let mut book = lock(&self.book);
        let history = state.history;
        let mut restored = Expected { history, durable: 0, written: 0, begun: commit };
        branch(&mut book.histories, &mut restored, commit);
        restored.durable = commit;
        let old = book.expected;
        drop(book);
        let from = self.copies.backup_dir(&backup_name(backup)).map_err(failed)?;
        let how = RestoreOptions::default().options(self.script.settings.options()).in_place(true);
        self.switch_to(Row::Replace, restored, Some(old), |root, world| {
            restore_from(&from, root, world, &how).map(drop).map_err(failed)
        })
    }

    /// Goes back to what was kept, and keeps what was there.
    pub(super) fn undo(&mut self) -> Checked<()> {
        let can_switch = self.can_switch()?;
        let Generations { kept, current: old, .. } = lock(&self.book).generations();
        let Some(kept) = kept.filter(|_| can_switch) else { return Ok(()) };
        self.switch_to(Row::Undo, kept, Some(old), |root, _| {
            undo_restore(root.clone()).map(drop).map_err(failed)
        })
    }

    /// Lets go what was kept.
    pub(super) fn forget(&mut self) -> Checked<()> {
        if !self.can_switch()? {
            return Ok(());
        }
        let current = lock(&self.book).expected;
        let options = self.script.settings.options();
        self.switch_to(Row::Forget, current, None, |root, world| {
            forget_old_generation(root.clone(), world, options).map(drop).map_err(failed)
        })
    }

    /// Whether there is an environment, and nobody has it open.
    fn can_switch(&mut self) -> Checked<bool> {
        self.settle_switch()?;
        let is_there = self.disk().image().files().any(|(path, _)| path == "CURRENT");
        Ok(self.process.is_none() && is_there)
    }

    fn switch_to(
        &mut self,
        row: Row,
        current: Expected,
        kept: Option<Expected>,
        act: impl FnOnce(&DirRef, &WorldRef) -> Checked<()>,
    ) -> Checked<()> {
        let disk = self.disk();
        let faults = FaultDisk::new(disk.root());
        if let Some(calls) = self.dies_at {
            let_die(&faults, calls);
        }
        let before = kept_generation(disk.root()).map_err(failed)?;
        self.switch = Some(Switch { before, current, kept });
        let world = SimWorld::new(self.random.next_u64()).world();
        let mut book = lock(&self.book);
        book.instead = Some(current);
        book.learn();
        drop(book);
        let _doing = disk.operation(row.name());
        act(&faults.root(), &world)?;
        self.settle_switch()?;
        let mut book = lock(&self.book);
        book.instead = None;
        book.learn();
        Ok(())
    }

    /// Whether what was begun has taken effect: if so, a power failure may still take it back.
    pub(super) fn settle_switch(&mut self) -> Checked<()> {
        let Some(Switch { before, current, kept }) = self.switch.take() else { return Ok(()) };
        let now = kept_generation(self.disk().root()).map_err(failed)?;
        let mut book = lock(&self.book);
        if now == before {
            book.instead = None;
        } else {
            book.instead = Some(book.expected);
            (book.expected, book.kept) = (current, kept);
        }
        book.learn();
        Ok(())
    }
}
