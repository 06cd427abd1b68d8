//! The tests of cairn-sim.
#![expect(clippy::unwrap_used, reason = "these are tests")]

mod chooser;
mod crash;
mod fault;
mod image;
mod reference;
mod sweep;
mod trace;
mod world;

use cairn_io::{DirRef, FileExt, FileRef, Name, SyncSite};

const SITE: SyncSite = SyncSite::new("test");

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// A new file with this content, nothing synced.
fn file_with(dir: &DirRef, text: &str, content: &[u8]) -> FileRef {
    let file = dir.create(&name(text)).unwrap();
    file.write_all_at(0, content).unwrap();
    file
}

/// The same, durable with its name.
fn durable_file(dir: &DirRef, text: &str, content: &[u8]) -> FileRef {
    let file = file_with(dir, text, content);
    file.sync(SITE).unwrap();
    dir.sync(SITE).unwrap();
    file
}

/// The contract of `Dir` and `File`, on disks that record and on disks that could fail.
mod contract {
    use cairn_io::MemDisk;
    use cairn_sim::{FaultDisk, SimDisk};

    mod sim_disk {
        use super::*;
        cairn_io::contract_tests!(|| (SimDisk::new().root(), ()));
    }

    mod fault_disk {
        use super::*;
        cairn_io::contract_tests!(|| (FaultDisk::new(MemDisk::new().root()).root(), ()));
    }
}
