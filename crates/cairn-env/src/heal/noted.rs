//! Healing in the background: files of which something could not be read get their bytes from the replica.

use cairn_log::{FileNumber, LogFile};

use super::{Directory, HealedFile};
use crate::{EnvResult, Environment, Event, core::Core, environment::Open, sync::lock};

impl Environment {
    /// The files that were healed since the open, the open included, in that order: by
    /// [`Environment::heal`], or because something could not be read and there is a replica.
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn healed(&self) -> EnvResult<Vec<HealedFile>> {
        self.core.check()?;
        let mut healed = self.core.report.healed.clone();
        healed.extend(lock(&self.core.healed).iter().cloned());
        Ok(healed)
    }
}

impl Open {
    /// Has the background worker woken when a file is to be healed.
    pub(crate) fn heal_when_noted(&self) {
        let core = self.downgrade();
        let wake = move || {
            if let Some(core) = core.upgrade() {
                core.wake_worker();
            }
        };
        self.files.second.on_damage(Box::new(wake));
    }
}

impl Core {
    /// Heals a file of which something could not be read; returns whether there was one.
    pub(crate) fn heal_noted(&self) -> EnvResult<bool> {
        let (Some(number), Some(replica)) = (self.files.second.take(), &self.options.replica)
        else {
            return Ok(false);
        };
        let Some(file) = self.files.find(number) else { return Ok(true) }; // it has gone meanwhile
        let healed = replica.open().and_then(|root| {
            let replica = Directory::open(self, root)?;
            self.heal_file(&file, 1, &replica, true)
        });
        match healed {
            Ok(Ok(_)) => {}
            Ok(Err(why)) => self.not_healed(&file, number, why),
            Err(error) => {
                self.check()?;
                self.not_healed(&file, number, error.to_string());
            }
        }
        Ok(true)
    }

    fn not_healed(&self, file: &LogFile, number: FileNumber, why: String) {
        self.files.second.give_up(number);
        self.events.raise(Event::NotHealed { file: file.name().to_string(), why });
    }

    /// Takes note that a file has its bytes again.
    pub(super) fn record_healed(&self, number: FileNumber, healed: &HealedFile) {
        self.files.second.is_healed(number);
        lock(&self.healed).push(healed.clone());
        self.events.raise(Event::Healed(healed.clone()));
    }
}
