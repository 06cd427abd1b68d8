//! restic, which saves the files of the environment as it would any files. It always encrypts.

use std::{
    path::{Path, PathBuf},
    process::Command,
    rc::Rc,
};

use super::{Data, Saver, cairn::Live, done};
use crate::Result;

pub struct Restic {
    live: Rc<Live>,
    files: PathBuf,
}

impl Restic {
    /// If it is on the path.
    pub fn find(live: &Rc<Live>, files: &Path) -> Option<Self> {
        let is_there = Command::new("restic").arg("version").output().is_ok();
        is_there.then(|| Self { live: Rc::clone(live), files: files.to_owned() })
    }

    fn command(place: &Path, words: &[&str]) -> Command {
        let mut command = Command::new("restic");
        command.env("RESTIC_PASSWORD", "a password").env("RESTIC_COMPRESSION", "off");
        command.arg("--quiet").arg("--no-cache").arg("--repo").arg(place).args(words);
        command
    }

    fn save(&self, place: &Path) -> Result {
        done(Self::command(place, &["backup"]).arg(&self.files))
    }
}

impl Saver for Restic {
    fn name(&self) -> &'static str {
        "restic"
    }

    fn change(&mut self, data: Data) -> Result {
        self.live.change(data)
    }

    fn full(&mut self, place: &Path) -> Result {
        done(&mut Self::command(place, &["init", "--repository-version=2"]))?;
        self.save(place)
    }

    fn increment(&mut self, place: &Path) -> Result<bool> {
        self.save(place)?;
        Ok(true)
    }

    fn restore(&mut self, place: &Path, to: &Path) -> Result {
        done(Self::command(place, &["restore", "latest", "--target"]).arg(to))
    }
}
