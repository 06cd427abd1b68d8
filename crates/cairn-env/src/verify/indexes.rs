//! The indexes: whether they are what their functions make of the entries, as far as this process knows
//! the functions.

use std::sync::Arc;

use cairn_btree::FrozenRoot;

use super::{Finding, Reach, VerifyReport};
use crate::{
    Snapshot,
    environment::Open,
    index::{self, Disagreement},
};

/// Compares the indexes with the databases that they follow.
pub(super) fn verify(core: &Arc<Open>, root: &Arc<FrozenRoot>, report: &mut VerifyReport) {
    let finding = |database: Option<String>, keys, problem: String| {
        let (file, offset, reach) = (None, None, Reach::Keys);
        Finding { file, offset, database, keys, problem, reach }
    };
    let snapshot = Snapshot::new(core.follow(), Arc::clone(root));
    // The indexes after the version: what was dropped in between is in the version and not among them.
    let checked = core.indexes().and_then(|registry| {
        index::check(&snapshot, &registry, &mut |Disagreement { index, key, what }| {
            let end = [&key[..], &[0]].concat();
            report.findings.push(finding(Some(index), Some((key, Some(end))), what.into()));
        })
    });
    if let Err(error) = checked {
        report.note(&error);
        let problem = format!("the indexes cannot be compared: {error}");
        report.findings.push(finding(None, None, problem));
    }
}
