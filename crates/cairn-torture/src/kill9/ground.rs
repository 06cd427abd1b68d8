//! `Directory`: a place whose processes die and whose system lives on.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use cairn_env::{EnvError, Environment, Options};
use cairn_io::{RealWorld, World as _};
use cairn_sim::Seeded;
use rustix::process::Signal;

use super::{
    chain::Ground,
    death::{Death, Victim},
    life::ENVIRONMENT,
    word::{Survives, Word},
};
use crate::problem::{Checked, Problem, Wrong};

/// A directory of a system that lives on: what was written is there, synced or not.
#[derive(Clone, Debug)]
pub struct Directory {
    path: PathBuf,
    hungry: bool,
}

impl Directory {
    /// In an empty directory.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), hungry: false }
    }

    /// Whether its processes die for want of memory.
    pub const fn is_hungry(&mut self, hungry: bool) {
        self.hungry = hungry;
    }

    /// Nobody gets the environment of a process that is stopped, however long.
    fn check_held(&self) -> Checked<()> {
        match Environment::open(self.path.join(ENVIRONMENT), Options::default().create(false)) {
            Err(EnvError::Locked { .. }) => Ok(()),
            Err(error) => Err(Problem::new(Wrong::Refused, format!("while stopped: {error}"))),
            Ok(_) => Err(Problem::new(Wrong::Silent, "the environment of a stopped process opens")),
        }
    }
}

impl Ground for Directory {
    fn place(&self) -> &Path {
        &self.path
    }

    fn survives(&self) -> Survives {
        Survives::Death
    }

    fn choose(&mut self, random: &mut Seeded, alone: bool) -> Death {
        if self.hungry {
            return Death::of_hunger(random);
        }
        if alone { Death::alone(random) } else { Death::among_threads(random) }
    }

    fn bring(&mut self, death: Death, victim: &mut Victim<'_>) -> Checked<ExitStatus> {
        let world = RealWorld::new();
        match death {
            Death::Kill(time) | Death::PowerCut(time) => {
                world.pause(time);
                victim.kill()
            }
            Death::Terminate(time) => {
                world.pause(time);
                victim.signal(Signal::TERM);
                victim.wait()
            }
            Death::Pause(time) => {
                world.pause(time);
                // One that has failed by then has nothing left to hold; what it said tells why.
                if !victim.stop()? {
                    return victim.wait();
                }
                if victim.has_said(|word| *word == Word::Opened) {
                    self.check_held()?;
                }
                victim.signal(Signal::CONT);
                world.pause(Duration::from_millis(2));
                victim.kill()
            }
            Death::Call(_)
            | Death::Starve(_)
            | Death::Exit(_)
            | Death::Forget(_)
            | Death::Close(_) => victim.wait(),
        }
    }
}
