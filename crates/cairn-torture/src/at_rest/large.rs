//! The life of the large subjects: more than 256 KiB on the disk, in several files of each class.
//!
//! A full run flips each of their bits, so what is opened and read for one must cost little: most bytes
//! stand in large values, as in most environments, and leaves have their ordinary size.

use std::fmt::Write as _;

/// So many commits; a checkpoint is made after some of them.
const COMMITS: u32 = 20;
const CHECKPOINTS: [u32; 2] = [8, 16];

/// The script, up to where the subjects differ.
pub(super) fn life() -> String {
    let mut text = "\nsettings seed=11 leaf=4096 journal=65536 node=65536\nopen\n".to_owned();
    for commit in 0..COMMITS {
        text += "commit sync";
        for (change, len) in [(0, 60), (1, 120), (2, 180), (3, 2500), (4, 8000)] {
            let value = commit * 5 + change;
            // Some keys are written again: their first values are nobody's any more.
            let (database, key) = (change % 3, (commit * 7 + change) % 90);
            // Writing to a string cannot fail.
            write!(text, " +{database}/{key}={value}*{len}").unwrap_or_default();
        }
        text += "\n";
        if CHECKPOINTS.contains(&commit) {
            text += "checkpoint\n";
        }
    }
    text
}
