//! The log files: every record of each, and the digests of finished ones.

use std::{cell::Cell, collections::BTreeMap};

use cairn_log::{
    Damage, FileClass, FileNumber, HEADER_LEN, LogFile, Lsn, Scan, Scanner, Spot, Stop, audit,
};

use super::{Finding, Reach, VerifyOptions, VerifyReport};
use crate::{audit::Extents, core::Core, error::log_kind, sync::lock};

/// Damaged spots of the log. What is in use of them, the trees tell.
#[derive(Default)]
pub(super) struct Spots {
    spots: BTreeMap<(FileNumber, u64), Place>,
}

struct Place {
    file: String,
    spot: Spot,
    needed: Cell<bool>,
    /// Whether the next open comes by.
    for_recovery: bool,
}

impl Spots {
    /// What is wrong at `lsn`, if anything; it is needed.
    pub(super) fn need(&self, lsn: Lsn) -> Option<&Spot> {
        let (number, offset) = (lsn.file(), lsn.offset());
        let (_, place) = self.spots.range((number, 0)..=(number, offset)).next_back()?;
        if !place.spot.contains(offset) {
            return None;
        }
        place.needed.set(true);
        Some(&place.spot)
    }

    /// Those that nobody needed so far; `rest` is what that means.
    pub(super) fn findings(self, rest: Reach) -> impl Iterator<Item = Finding> {
        let others = self.spots.into_values().filter(|place| !place.needed.get());
        others.map(move |Place { file, spot, for_recovery, .. }| {
            let reach = if for_recovery { Reach::NextOpen } else { rest };
            Finding::of_file(file, Some(spot.offset), spot.error.to_string(), reach)
        })
    }
}

pub(super) fn verify(core: &Core, options: &VerifyOptions<'_>, report: &mut VerifyReport) -> Spots {
    let files = core.files.all();
    let extents = Extents::of(core);
    let extents: Vec<_> = files.iter().map(|file| extents.of_file(file)).collect();
    let total = extents.iter().map(|extent| extent.end()).sum();
    let mut spots = BTreeMap::new();
    for (file, extent) in files.iter().zip(extents) {
        let before = report.bytes;
        let audited = audit(file, extent.end(), &mut |bytes| {
            report.bytes += bytes;
            if let Some(progress) = options.progress {
                progress(report.bytes, total);
            }
        });
        report.files += 1;
        report.bytes = before + extent.end();
        report.records += audited.records;
        let is_sealed = audited.seal.is_some();
        let mut damage = extent.damage(file, audited);
        if file.is_encrypted() && !is_sealed && damage.is_empty() {
            damage.extend(forged(file, extent.end()));
        }
        if damage.is_empty() || !core.still_has(file) {
            continue;
        }
        let number = file.header().number;
        for spot in damage {
            report.note_kind(log_kind(&spot.error));
            let for_recovery = is_for_recovery(core, file, &spot);
            let (file, needed) = (file.name().to_string(), Cell::new(false));
            spots.insert((number, spot.offset), Place { file, spot, needed, for_recovery });
        }
    }
    Spots { spots }
}

/// The first record before `end` that is not authentic. In a file that has a seal this vouches for all; in
/// another one each record is asked.
fn forged(file: &LogFile, end: u64) -> Option<Spot> {
    let mut scanner = Scanner::new(file, end).with_insets();
    loop {
        match scanner.next() {
            Ok(Scan::Record(_)) => {}
            Ok(Scan::End(Stop { offset, damage: Some(Damage::NotAuthentic), .. })) => {
                let error = file.corrupt(offset, Damage::NotAuthentic);
                return Some(Spot::new(offset, end - offset, error));
            }
            // What else there is, the audit has told.
            Ok(Scan::End(_)) | Err(_) => return None,
        }
    }
}

/// Whether the next open comes by this place: it reads the header of each file, the newest checkpoint
/// record, and the journal from where that says.
pub(crate) fn is_for_recovery(core: &Core, file: &LogFile, spot: &Spot) -> bool {
    let (number, class) = (file.header().number, file.header().class);
    let checkpointer = lock(&core.checkpointer);
    let Some(newest) = &checkpointer.newest else { return class == FileClass::Journal };
    let replayed = || match newest.record.replay_start {
        Some(start) if start.file() == number => spot.offset + spot.len > start.offset(),
        Some(start) => number > start.file(),
        None => true,
    };
    spot.offset < HEADER_LEN
        || newest.lsn.file() == number && spot.contains(newest.lsn.offset())
        || class == FileClass::Journal && replayed()
}
