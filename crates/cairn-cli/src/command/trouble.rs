//! `Trouble`: what is wrong while something goes on until it is interrupted, and may pass.

use std::time::Duration;

use cairn_io::World;
use cairndb::{ErrorKind, backup::BackupError};

use crate::{exit::Failure, output::Output};

/// What was said to be wrong, once, however often it is tried again.
#[derive(Default)]
pub(super) struct Trouble {
    said: Option<String>,
}

impl Trouble {
    /// It has passed.
    pub(super) fn is_over(&mut self, what: &str, output: &Output) {
        if self.said.take().is_some() {
            output.note(format_args!("{what} goes on"));
        }
    }

    /// Says it, and waits a second, if it may pass.
    pub(super) fn wait_out(
        &mut self,
        error: BackupError,
        world: &dyn World,
        output: &Output,
    ) -> Result<(), Failure> {
        if !matches!(error.kind(), ErrorKind::Io | ErrorKind::Full | ErrorKind::Busy) {
            return Err(error.into());
        }
        let trouble = error.to_string();
        if self.said.as_ref() != Some(&trouble) {
            output.note(format_args!("{trouble}: it is tried again"));
        }
        self.said = Some(trouble);
        world.pause(Duration::from_secs(1));
        Ok(())
    }
}
