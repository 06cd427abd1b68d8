//! `Refresh`: an attached replica gets a newer base.
//!
//! The journal alone would do, but it would grow without end, and so would the time to replay it. So after a
//! checkpoint of the source the replica gets the finished files of it that it lacks, one by one, then the
//! state that refers to them, and only then goes what no longer counts.

use std::sync::Arc;

use cairn_log::Lsn;

use crate::{
    EnvResult,
    backup::{self, Frozen},
    checkpoint::Durable,
    core::Core,
    ship::replica::Replica,
};

/// A newer base on its way.
#[derive(Debug)]
pub(super) struct Refresh {
    set: Frozen,
    checkpoint: Durable,
    copied: usize,
}

impl Refresh {
    /// Begins, if there is a newer checkpoint than the one from which the replica starts.
    pub(super) fn begin(core: &Core, replica: &Arc<Replica>) -> EnvResult<Option<Self>> {
        let begun = backup::freeze_checkpoint(core, replica.base())?;
        Ok(begun.map(|(set, checkpoint)| Self { set, checkpoint, copied: 0 }))
    }

    /// Takes a step; `None` when the replica starts from the newer checkpoint. On an error it is given up, and
    /// begins again later with whatever is then the newest one.
    pub(super) fn step(mut self, core: &Core, replica: &Replica) -> EnvResult<Option<Self>> {
        match self.step_once(core, replica) {
            Ok(false) => Ok(Some(self)),
            Ok(true) => {
                self.set.release(core);
                Ok(None)
            }
            Err(error) => {
                self.set.release(core);
                Err(error)
            }
        }
    }

    fn step_once(&mut self, core: &Core, replica: &Replica) -> EnvResult<bool> {
        while let Some(file) = self.set.files().get(self.copied) {
            self.copied += 1;
            if !replica.has(file)? {
                replica.copy(file)?;
                return Ok(false);
            }
        }
        // Keys may have come and gone, of users, while the environment was open.
        replica.take_keyring(&*core.files.dir)?;
        replica.sync_names()?;
        let Durable { lsn, record } = &self.checkpoint;
        // A journal file that was begun and has no commit yet goes over with the first one, and the checkpoint may
        // have replay go on in it.
        let start = record.replay_start.map(Lsn::file);
        let has_come_to = || start <= replica.position().map(|(file, _)| file);
        if !has_come_to() {
            core.ship_to_replica()?;
            if !has_come_to() {
                return Err(
                    replica.refused("it has not the journal from which a checkpoint goes on")
                );
            }
        }
        let uuid = core.files.get(lsn.file())?.header().file;
        replica.start_from(*lsn, uuid, record, core.retention())?;
        Ok(true)
    }
}
