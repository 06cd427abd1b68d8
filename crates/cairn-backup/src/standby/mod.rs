//! `Standby`: an environment that is kept in step with another one, is read meanwhile, and takes its place.
//!
//! It is a restored environment. What is committed elsewhere arrives as journal, from a repository into which that is
//! shipped, or from a directory, and is applied by recovery's own replay. What it is at every moment is what a restore to
//! a commit would be, see [`cairn_env::StandbyTarget`].
//!
//! | file | what it is about |
//! |---|---|
//! | `source` | where its base and its journal come from |
//! | `from_repository`, `from_directory` | the two of them |
//! | `step` | journal arrives, or another base |
//! | `promote` | it takes the place of what it follows |
//! | `following` | a worker that does the steps |
//! | `report` | how far it has come |

mod following;
mod from_directory;
mod from_repository;
mod promote;
mod report;
mod source;
mod step;

use std::{path::Path, sync::Arc, time::Duration};

use cairn_env::{
    EnvError, Environment, Options, StandbyTarget, begin_standby, forget_old_generation,
    kept_generation, standby_info,
};
use cairn_io::{DirExt as _, DirRef, Name, RealWorld, WorldRef};

pub use following::Following;
pub use promote::{PromoteOptions, Promotion};
pub use report::{StandbyStatus, StandbyStep};
pub use source::StandbySource;

use crate::{BackupResult, backup::open_or_create};
use source::Source;

/// How a standby follows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct StandbyOptions {
    /// With which options the standby is opened, and a directory that is followed; among them the key of an encrypted
    /// environment.
    pub options: Options,
    /// How long a [worker](Following) waits until it is looked again whether there is more (default: 100 ms).
    pub every: Duration,
    /// Bytes of journal after which the standby begins again from a newer base, if there is one (default: 1 GiB): so much
    /// is replayed when it is opened.
    pub rebase_bytes: u64,
}

impl Default for StandbyOptions {
    fn default() -> Self {
        let every = Duration::from_millis(100);
        Self { options: Options::default(), every, rebase_bytes: 1 << 30 }
    }
}

impl StandbyOptions {
    /// Sets [`StandbyOptions::options`](StandbyOptions#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets [`StandbyOptions::every`](StandbyOptions#structfield.every).
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Sets [`StandbyOptions::rebase_bytes`](StandbyOptions#structfield.rebase_bytes).
    #[must_use]
    pub fn rebase_bytes(mut self, bytes: u64) -> Self {
        self.rebase_bytes = bytes;
        self
    }
}

/// A standby that follows: what is durable elsewhere arrives with each [`step`](Self::step).
///
/// ```
/// use cairn_backup::{PromoteOptions, Repository, ShipOptions, Standby, StandbyOptions};
/// use cairn_env::{DatabaseOptions, Environment, Options};
///
/// # let dir = tempfile::tempdir().unwrap();
/// # let (live, place, other) = (dir.path().join("live"), dir.path().join("repo"), dir.path().join("other"));
/// let (env, _) = Environment::open(&live, Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// let repository = Repository::create(&place)?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
/// # env.write(|txn| txn.put(&users, b"ann", b"1850"))?; // which says that the one before is durable
/// # use cairn_io::{RealDir, RealWorld, WorldRef};
/// # let (root, world) = (RealDir::open(&live).unwrap(), std::sync::Arc::new(RealWorld::new()) as WorldRef);
/// let mut shipper = repository.shipper(root, &world, ShipOptions::default())?;
/// shipper.step()?;
///
/// let mut standby = Standby::follow(repository.clone(), &other, StandbyOptions::default())?;
/// while standby.step()?.has_more {}
/// let reader = standby.read()?;
/// let users = reader.find_database("users")?.unwrap();
/// assert_eq!(reader.snapshot()?.get(&users, b"ada")?.unwrap(), b"1815");
/// drop(reader);
///
/// let (env, promotion) = standby.promote(&PromoteOptions::default())?; // the other one is lost
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"bob", b"1834"))?;
/// assert_ne!(promotion.timeline, promotion.superseded);
/// assert!(shipper.step().is_err(), "it comes back, and is superseded");
/// # Ok::<(), cairn_backup::BackupError>(())
/// ```
#[derive(Debug)]
pub struct Standby {
    source: Source,
    root: DirRef,
    world: WorldRef,
    options: StandbyOptions,
    /// Not there only while there is no base, or another one is brought.
    target: Option<StandbyTarget>,
    status: StandbyStatus,
    /// Bytes of journal since the base.
    since_base: u64,
    reader: Option<Environment>,
    /// Since when, by the clock that never goes back, no journal has arrived, or it was asked for newer points.
    quiet_since: Option<Duration>,
    /// Whether nothing more will come, since it is being promoted.
    is_last: bool,
    /// When, by the clock that never goes back, all that was there had been applied last.
    caught_up: Option<Duration>,
}

impl Standby {
    /// Makes the directory `path`, which must be missing or empty, a standby of what `source` has, or goes on with one. The
    /// first call brings the newest base.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] if the directory holds something else, or a standby of something else;
    /// [`BackupError::Superseded`](crate::BackupError::Superseded) if another standby was promoted;
    /// [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] if somebody else follows; as [`Repository::restore`](crate::Repository::restore).
    pub fn follow(
        source: impl Into<StandbySource>,
        path: impl AsRef<Path>,
        options: StandbyOptions,
    ) -> BackupResult<Self> {
        let root = open_or_create(path.as_ref())?;
        Self::follow_in(source, root, &(Arc::new(RealWorld::new()) as WorldRef), options)
    }

    /// As [`follow`](Self::follow), in any directory and world.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    pub fn follow_in(
        source: impl Into<StandbySource>,
        root: DirRef,
        world: &WorldRef,
        options: StandbyOptions,
    ) -> BackupResult<Self> {
        let source = Source::new(source.into(), &options, world);
        let known = standby_info(&root)?;
        let (environment, follows) = match known {
            Some(known) => (known.environment, known.follows),
            None => source.newest_line()?,
        };
        if let Some(by) = source.fence(environment, follows)? {
            // Its own promotion was cut short: that is to be ended.
            if known.is_none_or(|known| known.standby != by.standby) {
                return Err(source.is_superseded(by));
            }
        }
        let info = begin_standby(&root, &**world, environment, follows)?;
        let status = StandbyStatus::new(info);
        let mut this = Self {
            source,
            root,
            world: WorldRef::clone(world),
            options,
            target: None,
            status,
            since_base: 0,
            reader: None,
            quiet_since: None,
            is_last: false,
            caught_up: None,
        };
        this.enter()?;
        Ok(this)
    }

    /// Opens the standby, after its base was brought if it has none.
    fn enter(&mut self) -> BackupResult<()> {
        const CURRENT: Name = Name::constant("CURRENT");
        if !self.root.has(&CURRENT)? {
            let brought = self.source.bring(&self.root, &self.status, None)?;
            self.status.based_on(brought);
        } else if kept_generation(DirRef::clone(&self.root))?.is_some() {
            // It had another base, and ended before it could let go of the one before.
            let options = self.options.options.clone();
            forget_old_generation(DirRef::clone(&self.root), &self.world, options)?;
        }
        self.open_target()
    }

    fn open_target(&mut self) -> BackupResult<()> {
        let target = StandbyTarget::open(&self.root, &*self.world, &self.options.options)?;
        self.status.reached(&target);
        self.target = Some(target);
        self.source.forget_place();
        self.since_base = 0;
        Ok(())
    }

    fn target(&mut self) -> BackupResult<&mut StandbyTarget> {
        if self.target.is_none() {
            self.enter()?;
        }
        let missing = || EnvError::InvalidInput { what: "the standby is not open".into() };
        Ok(self.target.as_mut().ok_or_else(missing)?)
    }

    /// How it follows.
    #[must_use]
    pub const fn options(&self) -> &StandbyOptions {
        &self.options
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> StandbyStatus {
        let mut status = self.status.clone();
        let now = self.world.monotonic();
        status.since_caught_up = self.caught_up.map(|then| now.saturating_sub(then));
        status
    }

    /// The environment as it was at the commit that the standby has come to, for reading only. It is the one that was
    /// handed out before, which has [gone on](Environment::advance), unless the standby has another base since. Drop it
    /// before a promotion: it pins files.
    ///
    /// # Errors
    /// As [`Environment::open`].
    pub fn read(&mut self) -> BackupResult<Environment> {
        if let Some(reader) = &self.reader
            && reader.is_valid()
            && reader.advance()?.is_some()
        {
            return Ok(reader.clone());
        }
        let options = self.options.options.clone().read_only(true).create(false);
        let (root, world) = (DirRef::clone(&self.root), WorldRef::clone(&self.world));
        let (reader, _) = Environment::open_in(root, world, options.background(false))?;
        self.reader = Some(reader.clone());
        Ok(reader)
    }
}
