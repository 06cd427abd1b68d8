//! Copies made while somebody writes: whole, or refused by name.
//!
//! A tool that copies the files of an environment one by one sees each at another time. Recovery finds
//! out when what it needs is missing, but not when the middle of an old file is: somebody had yet to
//! write there when the tool came by, and had gone on to the next file when it got to the end. A crash
//! does not leave that behind. So where the state was written into another file than the one that it is
//! read from, and nobody has closed the environment, everything is read once.

use std::sync::Arc;

use super::Open;
use crate::{EnvError, EnvResult, Reach, VerifyOptions};

/// An error that names what is missing, unless this copy is whole. Nothing is written; once it is, the
/// copy is at home where it lies.
pub(super) fn check(core: &Arc<Open>) -> EnvResult<()> {
    let verified = crate::verify::verify(core, &VerifyOptions::new())?;
    let needed: Vec<_> = verified.findings.iter().filter(|f| f.reach != Reach::Nothing).collect();
    let Some(first) = needed.first() else { return Ok(()) };
    let more = match needed.len() {
        1 => String::new(),
        n => format!(", and {} more", n - 1),
    };
    let why = format!(
        "it is a copy that was made while the environment was written, and not whole: {first}{more}"
    );
    Err(EnvError::NeedsRepair { path: core.root.dir.path().to_owned(), why })
}
