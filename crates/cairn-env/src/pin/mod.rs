//! Pins: log files that must stay, whatever the checkpoints say; and the gate through which every
//! removal goes.
//!
//! A backup of this process pins in memory: [`Pins`]. A process that reads an environment which it has
//! not opened for writing pins by a file in the root's directory `pins`, on which it holds a lock of
//! the kernel ([`reader`]). Both kinds are looked at by whoever is about to remove, cut or recycle log
//! files, who holds the [`Gate`] while doing so: as long as it is held nobody can begin to pin. (The
//! engine's rule R-2; Berkeley DB JE's read-only processes have no such claim, and lose their files to
//! its cleaner.)

mod held;
pub(crate) mod protector;
pub(crate) mod reader;
pub(crate) mod text;

use std::collections::BTreeSet;

use cairn_io::shared::MutexGuard;
use cairn_log::FileNumber;
pub use held::PinBudget;
pub(crate) use held::{Fate, Pin, PinLoss, Pins};

use crate::{
    EnvResult,
    core::Core,
    pin::protector::{Found, Protector},
    root::Generation,
    sync::lock,
};

/// What other processes pin of one generation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elsewhere {
    files: BTreeSet<FileNumber>,
    /// Somebody pins, and what cannot be read: everything, then.
    everything: bool,
}

impl Elsewhere {
    fn of(found: &[Found], generation: Generation) -> Self {
        let mut this = Self::default();
        for pin in found.iter().filter(|pin| pin.is_of(generation)) {
            match &pin.text {
                Some(text) => this.files.extend(&text.files),
                None => this.everything = true,
            }
        }
        this
    }

    fn has(&self, file: FileNumber) -> bool {
        self.everything || self.files.contains(&file)
    }
}

/// The right to remove, cut and recycle log files that are not pinned. While it is held nobody, in
/// whatever process, begins to pin.
pub(crate) struct Gate<'a> {
    pub(crate) pins: MutexGuard<'a, Pins>,
    _protector: Protector,
}

impl Gate<'_> {
    /// Whether anybody pins a file.
    pub(crate) fn is_pinned(&self, file: FileNumber) -> bool {
        self.pins.is_probably_pinned(file) // and this is the moment in which that is certain
    }
}

impl Core {
    /// Goes to the gate; `None` if somebody is pinning at this very moment: whatever was to be removed
    /// can wait for the next time.
    ///
    /// It costs some system calls, so it is for those who have something to remove. Taken after all
    /// other locks.
    pub(crate) fn gate(&self) -> EnvResult<Option<Gate<'_>>> {
        let Some(protector) = self.root.protect_now()? else { return Ok(None) };
        let found = protector.pins()?;
        let mut pins = lock(&self.pins);
        pins.elsewhere = Elsewhere::of(&found, Generation(self.files.identity.generation));
        Ok(Some(Gate { pins, _protector: protector }))
    }
}
