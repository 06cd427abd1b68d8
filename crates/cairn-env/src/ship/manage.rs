//! What tools do with an environment and its replica while nobody has them open: ask, promote, detach.

use cairn_io::{Access, DirRef, World, WorldRef};
use cairn_log::{FileNumber, Timeline, Uuid};

use crate::{
    EnvError, EnvResult, Environment, Options,
    environment::patiently,
    heal::generation_dirs,
    root::Root,
    ship::{
        attachment::{Attachment, Side},
        replica::newest_journal,
    },
    state::StateFile,
};

/// What a directory says of its part in a replication: [`replica_info`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaInfo {
    /// Whether the directory is a replica; otherwise it is an environment that has one, or has had.
    pub is_replica: bool,
    /// The environment: the same on both sides.
    pub environment: Uuid,
    /// The timeline of its journal.
    pub timeline: Timeline,
    /// The number of the attachment. Both sides belong together if it is the same and both are attached.
    pub attachment: u64,
    /// Whether the directory counts on the other one.
    pub is_attached: bool,
}

/// What the directory `root` says of itself; `None` if it neither is a replica nor has one. Needs no key, and
/// looks at nothing but one small file, whoever has the environment open.
///
/// ```
/// use std::sync::Arc;
/// use cairn_env::{DatabaseOptions, Environment, Options, ReplicaPolicy, replica_info};
/// use cairn_io::{MemDisk, RealWorld};
///
/// let (here, there) = (MemDisk::new().root(), MemDisk::new().root());
/// let options = Options::new().replica_in(there.clone(), ReplicaPolicy::Require);
/// let (env, _) = Environment::open_in(here.clone(), Arc::new(RealWorld::new()), options)?;
/// let (source, replica) = (replica_info(&here)?.unwrap(), replica_info(&there)?.unwrap());
/// assert!(replica.is_replica && replica.is_attached && source.is_attached);
/// assert_eq!(source.attachment, replica.attachment);
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
///
/// # Errors
/// [`EnvError::Damaged`] and [`EnvError::Unsupported`]; if the disk fails.
pub fn replica_info(root: &DirRef) -> EnvResult<Option<ReplicaInfo>> {
    let found = Attachment::read(&Root::new(DirRef::clone(root)))?;
    Ok(found.map(|found| ReplicaInfo {
        is_replica: found.side == Side::Replica,
        environment: found.environment,
        timeline: found.timeline,
        attachment: found.number,
        is_attached: found.is_attached,
    }))
}

/// How far a directory has come: [`replica_progress`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaProgress {
    /// The number of the checkpoint from which it starts; 0: there is none.
    pub checkpoint: u64,
    /// The end of its journal, as far as that is whole: a file, and an offset in bytes. `None` before the first.
    pub journal: Option<(FileNumber, u64)>,
}

/// How far an environment or a replica has come, as its files say, whoever has it open: what was written a moment ago
/// may be missing. `None` if there is nothing in it yet. Needs no key, and reads the newest journal file.
///
/// # Errors
/// If the state file or the beginning of the newest journal file is damaged, or the disk fails.
pub fn replica_progress(root: &DirRef, world: &WorldRef) -> EnvResult<Option<ReplicaProgress>> {
    let root = Root::new(DirRef::clone(root));
    let Some(current) = root.current()? else { return Ok(None) };
    let dirs = generation_dirs(&root, current.generation)?;
    let (_, found) = patiently(&**world, || StateFile::open(&*dirs[0], Access::Read))?;
    let newest = newest_journal(&dirs, current.environment)?;
    Ok(Some(ReplicaProgress {
        checkpoint: found.newest.checkpoint_number,
        journal: newest.map(|(file, end)| (file.header().number, end)),
    }))
}

/// Makes a replica an environment of its own, on a timeline of its own, and returns its newest commit: what any
/// first write to it would do. Its source cannot have it as its replica any more. Whether the source went on without
/// it, and so has commits that it lacks, only the source can tell.
///
/// # Errors
/// [`EnvError::InvalidInput`] if it is no replica; [`EnvError::Locked`] and [`EnvError::AlreadyOpen`] as long as its
/// source, or somebody else, has it open; whatever the open answers.
pub fn promote_replica(root: DirRef, world: WorldRef, options: Options) -> EnvResult<u64> {
    let path = root.path().display().to_string();
    if !replica_info(&root)?.is_some_and(|info| info.is_replica) {
        return Err(EnvError::InvalidInput { what: format!("{path} is no replica") });
    }
    let options = Options { replica: None, ..options };
    let (env, report) = Environment::open_in(root, world, options.create(false).read_only(false))?;
    env.core.begin()?;
    env.close()?;
    Ok(report.sequence)
}

/// Notes, in an environment that nobody has open, that it goes on without its replica, as its first write without
/// that would. Says whether that is news.
///
/// # Errors
/// [`EnvError::InvalidInput`] if it has no replica; [`EnvError::Locked`] and [`EnvError::AlreadyOpen`]; if the disk
/// fails.
pub fn detach_replica(root: &DirRef, world: &dyn World) -> EnvResult<bool> {
    let root = Root::new(DirRef::clone(root));
    let (_lock, _) = root.lock_existing(world)?;
    let path = root.dir.path().display();
    match Attachment::read(&root)? {
        Some(found) if found.side == Side::Source => {
            let number = found.number + 1;
            if found.is_attached {
                Attachment { number, is_attached: false, ..found }.write(&root)?;
            }
            Ok(found.is_attached)
        }
        Some(_) => Err(EnvError::InvalidInput { what: format!("{path} is a replica itself") }),
        None => Err(EnvError::InvalidInput { what: format!("{path} has no replica") }),
    }
}
