//! Key epochs: files that are begun later need a data key that only the new keyring has.

use cairn_env::EnvironmentKeys;
use cairn_sim::{FaultDisk, SimWorld};

use super::{Runner, failed, let_die};
use crate::{problem::Checked, row::Row};

impl Runner<'_> {
    /// Begins a key epoch, if the environment is closed and encrypted.
    pub(super) fn rekey(&mut self) -> Checked<()> {
        let options = self.script.settings.options();
        let Some(key) = options.key.filter(|_| self.process.is_none()) else { return Ok(()) };
        self.settle_switch()?;
        let disk = self.disk();
        if !disk.image().files().any(|(path, _)| path == "CURRENT") {
            return Ok(());
        }
        let _doing = disk.operation(Row::Rekey.name());
        let faults = FaultDisk::new(disk.root());
        if let Some(calls) = self.dies_at {
            let_die(&faults, calls);
        }
        let world = SimWorld::new(self.random.next_u64());
        let keys = EnvironmentKeys::open_in(faults.root(), world.world());
        let mut keys = keys.and_then(|keys| keys.unlock(&key)).map_err(failed)?;
        keys.begin_epoch().map(drop).map_err(failed)
    }
}
