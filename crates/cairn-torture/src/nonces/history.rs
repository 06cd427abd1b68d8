//! `History`: what happens to an environment and to its copies, as a seed decides.

use std::collections::HashSet;

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{DatabaseOptions, Durability, KeySource, finish_rekey};
use cairn_io::{IoOp, MemDisk, WorldRef};
use cairn_log::nonces;
use cairn_sim::{
    Bounds, Chooser as _, ChooserExt as _, Fault, Image, Level, Rule, Seeded, SimWorld,
};

use super::{Deed, Tally, twin::Twin};
use crate::{problem::Checked, run::failed};

/// So many copies go on at a time; the oldest one goes.
const TWINS: usize = 3;

/// An environment and its copies. All of them live in one world, since the randomness of machines is one: no two
/// draws are the same.
pub(super) struct History {
    chooser: Seeded,
    world: WorldRef,
    twins: Vec<Twin>,
    tally: Tally,
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        nonces::watch();
        let world = SimWorld::new(seed).world();
        let chooser = Seeded::new(seed).stream("nonces");
        Self { chooser, world, twins: Vec::new(), tally: Tally::new() }
    }

    /// How often what was done, and with how many pairs and which keys.
    pub(super) fn into_end(self) -> (Tally, u64, HashSet<u64>) {
        (self.tally, nonces::count() as u64, nonces::keys())
    }

    /// Goes on until so much was encrypted.
    pub(super) fn run(&mut self, encryptions: u64) -> Checked<()> {
        let key = self.new_key();
        self.twins = vec![Twin::new(&Image::new(), key, &self.world)?];
        let odds = Deed::ODDS.map(|(odds, _)| odds);
        while (nonces::count() as u64) < encryptions {
            let mut at = self.chooser.choose(odds.iter().sum::<u32>() as usize, "deed");
            let is_it = |(odds, _): &(u32, Deed)| {
                let is_it = at < *odds as usize;
                at = at.saturating_sub(*odds as usize);
                is_it
            };
            let Some((_, deed)) = Deed::ODDS.into_iter().find(is_it) else { continue };
            let mut twin = self.twins.remove(self.chooser.choose(self.twins.len(), "twin"));
            self.act(deed, &mut twin)?;
            self.twins.push(twin);
        }
        Ok(())
    }

    fn new_key(&self) -> KeySource {
        let mut key = [0; 32];
        self.world.random(&mut key);
        KeySource::raw(&mut key)
    }

    fn act(&mut self, deed: Deed, twin: &mut Twin) -> Checked<()> {
        *self.tally.entry(deed).or_default() += 1;
        let Some(env) = &twin.env else { return twin.open(&self.world) };
        match deed {
            Deed::Write => self.write(twin).map_err(failed),
            Deed::Checkpoint => env.checkpoint().map(drop).map_err(failed),
            Deed::Clean => env.clean().map(drop).map_err(failed),
            Deed::Kill => {
                twin.die();
                twin.open(&self.world)
            }
            Deed::Power => self.power(twin),
            Deed::Fault => self.fault(twin),
            Deed::Reopen => {
                twin.close()?;
                twin.open(&self.world)
            }
            Deed::Copy => {
                let copy = Twin::new(&twin.disk.image(), twin.key.clone(), &self.world)?;
                self.add(copy);
                Ok(())
            }
            Deed::Restore => {
                let restored = self.restore(twin)?;
                self.add(restored);
                Ok(())
            }
            Deed::Keys => self.change_keys(twin),
            Deed::Rekey => {
                twin.close()?;
                twin.keys(&self.world)?.begin_epoch().map_err(failed)?;
                twin.open(&self.world)
            }
            Deed::Finish => {
                twin.close()?;
                let options = twin.options();
                finish_rekey(&twin.root(), &self.world, options).map_err(failed)?;
                twin.open(&self.world)
            }
        }
    }

    fn add(&mut self, twin: Twin) {
        if self.twins.len() >= TWINS {
            self.twins.remove(0).die();
        }
        self.twins.push(twin);
    }

    /// A transaction with some values. What twins write differs.
    fn write(&mut self, twin: &Twin) -> cairn_env::EnvResult<()> {
        const LENS: [usize; 6] = [0, 30, 100, 250, 900, 3000];
        const LEVELS: [Durability; 3] =
            [Durability::Sync, Durability::WriteNoSync, Durability::NoSync];
        let Some(env) = &twin.env else { return Ok(()) };
        let database = env.database("main", DatabaseOptions::default())?;
        let durability = *self.chooser.pick(&LEVELS, "durability");
        env.write_with(durability, |txn| {
            for _ in 0..=self.chooser.choose(12, "changes") {
                let key = self.chooser.choose(300, "key").to_le_bytes();
                let mut value = vec![0; *self.chooser.pick(&LENS, "length")];
                self.world.random(&mut value);
                txn.put(&database, &key, &value)?;
            }
            Ok(())
        })
    }

    /// The power fails; what is left is opened by a new process.
    fn power(&mut self, twin: &mut Twin) -> Checked<()> {
        let level = *self.chooser.pick(&Level::ALL, "level");
        let left = twin.disk.crash(level, &Bounds::smoke(), &mut self.chooser).image;
        twin.die();
        *twin = Twin::new(&left, twin.key.clone(), &self.world)?;
        Ok(())
    }

    /// A call fails. Whatever that leads to is tried again; if the environment has failed, its process ends.
    fn fault(&mut self, twin: &mut Twin) -> Checked<()> {
        const FAULTS: [Fault; 5] =
            [Fault::Eio, Fault::NoSpace, Fault::PartThenEio, Fault::Short, Fault::Zero];
        const OPS: [IoOp; 2] = [IoOp::Write, IoOp::Sync];
        let fault = *self.chooser.pick(&FAULTS, "fault");
        let nth = self.chooser.choose(6, "nth") as u64;
        twin.faults.inject(Rule::new(fault).op(*self.chooser.pick(&OPS, "call")).nth(nth));
        for _ in 0..8 {
            let is_told = self.write(twin).is_err();
            if is_told || twin.faults.has_struck() {
                break;
            }
        }
        twin.faults.clear();
        let goes_on = self.write(twin).is_ok() && self.chooser.choose(2, "goes on") == 1;
        if goes_on && twin.env.as_ref().is_some_and(cairn_env::Environment::is_valid) {
            return Ok(());
        }
        self.power(twin)
    }

    /// A backup of it, restored to a disk of its own.
    fn restore(&self, twin: &Twin) -> Checked<Twin> {
        let (to, target) = (MemDisk::new().root(), MemDisk::new());
        if let Some(env) = &twin.env {
            backup_to(env, &to, &self.world, &BackupOptions::default()).map_err(failed)?;
        }
        let how = RestoreOptions::default().options(twin.options());
        restore_from(&to, &target.root(), &self.world, &how).map_err(failed)?;
        Twin::new(&Image::of(&target), twin.key.clone(), &self.world)
    }

    /// Another key of a user in place of the one that there is, sometimes by way of two.
    fn change_keys(&mut self, twin: &mut Twin) -> Checked<()> {
        let key = self.new_key();
        twin.close()?;
        let mut keys = twin.keys(&self.world)?;
        if self.chooser.choose(2, "add") == 0 {
            keys.rotate(&key).map_err(failed)?;
        } else {
            let old = keys.opened_by();
            let name = format!("key after {old}");
            keys.add(&name, &key).map_err(failed)?;
            keys.remove(old).map_err(failed)?;
        }
        twin.key = key;
        twin.open(&self.world)
    }
}
