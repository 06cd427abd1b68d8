//! Finishing a rekey: everything moves to files under the newest key epoch, and the data keys of the
//! others are forgotten as far as no file needs them.
//!
//! The cleaner does the moving, as it always does; here it goes through every file of an older epoch,
//! however full that is. Whether a data key is needed is decided afterwards by the headers of all log files
//! that are there, whoever holds them, and not by what the environment knows.

use std::collections::{BTreeMap, BTreeSet};

use cairn_io::{DirRef, WorldRef};
use cairn_log::FileNumber;

use crate::{
    CleanReport, EnvError, EnvResult, Environment, EnvironmentKeys, Options, RetiredEpochs,
    core::Core, sync::lock,
};

/// What finishing a rekey came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RekeyReport {
    /// The newest key epoch.
    pub epoch: u32,
    /// What the cleaner has done.
    pub cleaned: CleanReport,
    /// The key epochs whose data keys were forgotten.
    pub retired: Vec<u32>,
    /// The files that still need the data key of an older epoch, by epoch: somebody has held them.
    pub needed: BTreeMap<u32, Vec<String>>,
}

/// Finishes a rekey of the environment in `root`, which nobody may have open: opens it, encrypts everything
/// anew that is encrypted with data keys of older epochs, closes it, and forgets these data keys, unless a
/// file that another process reads still needs them. Call it again when that has let go.
///
/// Writes as much as the older files hold. A crash, or an error, leaves what was done until then, and all
/// data keys.
///
/// # Errors
/// [`EnvError::KeyRequired`] without [`Options::key`](Options#structfield.key); what opening, cleaning and
/// closing answer.
pub fn finish_rekey(root: &DirRef, world: &WorldRef, options: Options) -> EnvResult<RekeyReport> {
    let keys = EnvironmentKeys::open_in(DirRef::clone(root), WorldRef::clone(world))?;
    let Some(key) = options.key.clone() else {
        let (path, epoch) = (root.path().to_owned(), keys.newest_epoch());
        return Err(EnvError::KeyRequired { path, epoch });
    };
    let mut keys = keys.unlock(&key)?;
    let options = options.encryption(keys.keyring().data_keys()).read_only(false).create(false);
    let (env, _) = Environment::open_in(DirRef::clone(root), WorldRef::clone(world), options)?;
    let cleaned = env.core.leave_old_epochs()?;
    env.close()?;
    let RetiredEpochs { retired, needed } = keys.retire_epochs()?;
    Ok(RekeyReport { epoch: keys.newest_epoch(), cleaned, retired, needed })
}

impl Core {
    /// Moves everything that is in use out of files of older key epochs, so that they go.
    fn leave_old_epochs(&self) -> EnvResult<CleanReport> {
        self.check_write()?;
        let mut report = CleanReport::default();
        let newest = self.files.key_epoch();
        let is_old = |number: FileNumber| {
            let file = self.files.find(number);
            let encryption = file.and_then(|file| file.header().encryption);
            encryption.is_some_and(|encryption| encryption.epoch != newest)
        };
        if !self.files.all().iter().any(|file| is_old(file.header().number)) {
            return self.write_both_slots().map(|()| report);
        }
        while self.empty_graves()? {}
        // The newest journal file of the run before is needed until another one follows it.
        self.begin()?;
        self.seal_journal(|_| Ok(()))?;
        self.write_both_slots()?;
        let mut done = BTreeSet::new();
        loop {
            let is_wanted = |number: FileNumber| is_old(number) && !done.contains(&number);
            let cleaning = self.to_empty(&lock(&self.checkpointer), is_wanted);
            let Some(cleaning) = cleaning else { break };
            done.extend(cleaning.numbers());
            self.empty(cleaning, &mut report)?;
        }
        report.removed_files += self.let_dead_files_go()?;
        self.write_both_slots()?;
        Ok(report)
    }

    /// Two checkpoints: each writes a slot of the state, with the newest key, and the files that the last but
    /// one still needed go.
    fn write_both_slots(&self) -> EnvResult<()> {
        for _ in 0..2 {
            self.schedule.want_checkpoints(1);
            self.checkpoint()?;
        }
        Ok(())
    }
}
