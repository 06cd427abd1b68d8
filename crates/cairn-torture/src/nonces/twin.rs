//! `Twin`: one of the copies of an environment that go on side by side, on a disk of its own.

use cairn_env::{Environment, EnvironmentKeys, KeySource, Options};
use cairn_io::{DirRef, WorldRef};
use cairn_sim::{FaultDisk, Image, SimDisk};

use crate::{problem::Checked, run::failed};

/// An environment, its disk, and the key that opens it.
pub(super) struct Twin {
    pub(super) disk: SimDisk,
    pub(super) faults: FaultDisk,
    pub(super) env: Option<Environment>,
    pub(super) key: KeySource,
}

impl Twin {
    /// What is on the disk of `image`, opened by a new process.
    pub(super) fn new(image: &Image, key: KeySource, world: &WorldRef) -> Checked<Self> {
        let disk = SimDisk::from_image(image).without_trace();
        let faults = FaultDisk::on_sim(&disk, 0);
        let mut twin = Self { disk, faults, env: None, key };
        twin.open(world)?;
        Ok(twin)
    }

    pub(super) fn options(&self) -> Options {
        let options = Options::default().key(self.key.clone()).background(false);
        options
            .leaf_bytes(512)
            .cache_bytes(1 << 20)
            .journal_file_bytes(64 << 10)
            .node_file_bytes(64 << 10)
            .space_target(70)
    }

    /// A new process opens it.
    pub(super) fn open(&mut self, world: &WorldRef) -> Checked<()> {
        self.faults = FaultDisk::on_sim(&self.disk, 1);
        let opened = Environment::open_in(self.root(), WorldRef::clone(world), self.options());
        self.env = Some(opened.map_err(failed)?.0);
        Ok(())
    }

    pub(super) fn root(&self) -> DirRef {
        self.faults.root()
    }

    /// Its process dies: nothing that it still does reaches the disk.
    pub(super) fn die(&mut self) {
        self.faults.die();
        self.env = None;
    }

    /// It is closed in order.
    pub(super) fn close(&mut self) -> Checked<()> {
        self.env.take().map_or(Ok(()), |env| env.close()).map_err(failed)
    }

    /// Its keyring, unlocked.
    pub(super) fn keys(&self, world: &WorldRef) -> Checked<cairn_env::UnlockedKeys> {
        let keys = EnvironmentKeys::open_in(self.root(), WorldRef::clone(world));
        keys.and_then(|keys| keys.unlock(&self.key)).map_err(failed)
    }
}
