//! Who pins log files from outside of this process, and what that costs.

use std::collections::{BTreeMap, BTreeSet};

use cairn_io::{Access, Name};
use cairn_log::{FileClass, FileNumber, LogName, Lsn};

use crate::{
    EnvResult,
    core::Core,
    pin::{
        protector::{Found, Protector},
        reader::Hold,
    },
    root::Generation,
    sync::lock,
};

/// Log files that another opening of the environment pins: a process that reads it or backs it up.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PinInfo {
    /// The process that holds it; `None` if the pin is damaged. It then pins every file.
    pub process: Option<u32>,
    /// When it was made, in microseconds since 1970.
    pub since: Option<u64>,
    /// Number of log files that it pins.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of those that nothing but pins keeps: what would come free, now or with the next
    /// checkpoints, if nobody pinned.
    pub held_bytes: u64,
}

impl Core {
    /// What others pin; our own pin is not among it.
    pub(super) fn others_pins(&self) -> EnvResult<Vec<PinInfo>> {
        let generation = Generation(self.files.identity.generation);
        let own = match &*lock(&self.hold) {
            Some(Hold::Pin(pin)) => Some(pin.name.clone()),
            _ => None,
        };
        let found = self.root.protect(&*self.world).and_then(|protector| others(&protector, own));
        let found = match found {
            Ok(found) => found,
            // Where nobody can take the protector, because nothing can be written, nobody pins.
            Err(_) if self.options.read_only => Vec::new(),
            Err(error) => return Err(error),
        };
        let of_ours = found.into_iter().filter(|pin| pin.is_of(generation));
        let of_ours: Vec<_> = of_ours.collect();
        if of_ours.is_empty() {
            return Ok(Vec::new());
        }
        let lengths = self.lengths()?;
        let needed = self.needed();
        let info = |pin: Found| {
            let pins = |number: &FileNumber| {
                pin.text.as_ref().is_none_or(|text| text.files.contains(number))
            };
            let mut info = PinInfo {
                process: pin.text.as_ref().map(|text| text.process),
                since: pin.text.as_ref().map(|text| text.since.0),
                files: 0,
                bytes: 0,
                held_bytes: 0,
            };
            for (number, len) in lengths.iter().filter(|(number, _)| pins(number)) {
                info.files += 1;
                info.bytes += len;
                info.held_bytes += if needed.contains(number) { 0 } else { *len };
            }
            info
        };
        Ok(of_ours.into_iter().map(info).collect())
    }

    /// All log files on the disk with their lengths.
    fn lengths(&self) -> EnvResult<BTreeMap<FileNumber, u64>> {
        let mut lengths = BTreeMap::new();
        for (_, dir) in self.files.dirs() {
            for name in dir.list()?.into_iter().filter_map(|entry| entry.name) {
                let Ok(LogName { number, .. }) = name.as_str().parse() else { continue };
                // One that vanishes meanwhile was not pinned.
                if let Ok(len) = dir.open(&name, Access::Read).and_then(|file| file.len()) {
                    lengths.insert(number, len);
                }
            }
        }
        Ok(lengths)
    }

    /// The files that are there for other reasons than pins: the newest checkpoint needs them, or they
    /// are younger than it.
    fn needed(&self) -> BTreeSet<FileNumber> {
        let checkpointer = lock(&self.checkpointer);
        let newest = checkpointer.newest.as_ref();
        let start = newest.and_then(|newest| newest.record.replay_start).map(Lsn::file);
        let open: BTreeSet<_> = self.files.all().iter().map(|file| file.header().number).collect();
        let is_needed = |number: &FileNumber| match checkpointer.utilization.files.get(number) {
            Some(file) => {
                file.live > 0
                    || newest.is_none_or(|newest| newest.lsn.file() == *number)
                    || file.class == FileClass::Journal
                        && start.is_none_or(|start| *number >= start)
            }
            None => true,
        };
        open.into_iter().filter(is_needed).collect()
    }
}

fn others(protector: &Protector, own: Option<Name>) -> EnvResult<Vec<Found>> {
    let mut found = protector.pins()?;
    found.retain(|pin| own.as_ref() != Some(&pin.name));
    Ok(found)
}
