//! Every durability barrier of this crate, by name.

use cairn_io::SyncSite;

/// The state file and the keyring of a new environment, before their names.
pub(crate) const CREATE_STATE: SyncSite = SyncSite::new("create.state");
/// The names in a new generation directory, before the directory is referred to.
pub(crate) const CREATE_GENERATION: SyncSite = SyncSite::new("create.generation");
/// The name of the generation directory itself.
pub(crate) const CREATE_ROOT: SyncSite = SyncSite::new("create.root");
/// `CURRENT`: its content, then its name.
pub(crate) const CURRENT: SyncSite = SyncSite::new("current");
/// A state slot.
pub(crate) const STATE: SyncSite = SyncSite::new("state");
/// The header of a journal file, before its first record.
pub(crate) const JOURNAL_HEADER: SyncSite = SyncSite::new("journal.header");
/// The name of a journal file, before anything in it is acknowledged.
pub(crate) const JOURNAL_NAME: SyncSite = SyncSite::new("journal.name");
/// The zeros ahead of a journal's records, before a record enters them.
pub(crate) const JOURNAL_EXTEND: SyncSite = SyncSite::new("journal.extend");
/// That a journal file which becomes a spare has lost its name, before it is wiped.
pub(crate) const SPARE_NAME: SyncSite = SyncSite::new("spare.name");
/// The zeros of a spare, before it becomes a journal file again.
pub(crate) const SPARE_WIPE: SyncSite = SyncSite::new("spare.wipe");
/// Commits.
pub(crate) const COMMIT: SyncSite = SyncSite::new("commit");
/// A finished journal file, before the next one refers to its end.
pub(crate) const JOURNAL_SEAL: SyncSite = SyncSite::new("journal.seal");
/// A finished node file, before a checkpoint refers to it.
pub(crate) const NODE_SEAL: SyncSite = SyncSite::new("node.seal");
/// The names of new node files, before a checkpoint refers to them.
pub(crate) const NODE_NAMES: SyncSite = SyncSite::new("node.names");
/// Bytes cut from a torn tail, before the log goes on without them.
pub(crate) const SET_ASIDE: SyncSite = SyncSite::new("recovery.set_aside");
/// The state as the open found it, before the one before it is written over.
pub(crate) const RECOVERED_STATE: SyncSite = SyncSite::new("recovery.state");
/// The end of the journal as recovery found it, before anything is built on it.
pub(crate) const RECOVERED: SyncSite = SyncSite::new("recovery.journal");
/// The name of the bytes that were set aside, the names of the journal files that recovery found, and
/// the removal of those that were never
/// begun, before the next one is created.
pub(crate) const RECOVERED_NAMES: SyncSite = SyncSite::new("recovery.names");
/// The names in the root, before the first write of an environment that was created or restored, and of
/// one that keeps an old generation.
pub(crate) const FIRST_WRITE: SyncSite = SyncSite::new("create.first_write");

/// The mark of an unfinished restore, before anything else is written.
pub(crate) const RESTORING: SyncSite = SyncSite::new("restore.mark");
/// The removal of a generation that nothing refers to any more.
pub(crate) const GENERATION_GONE: SyncSite = SyncSite::new("generation.gone");

/// A keyring that takes the place of another one, and its name, before anything is encrypted with what only it
/// holds.
pub(crate) const KEYRING: SyncSite = SyncSite::new("keyring");

/// The file `REPLICA` of either side: its content, then its name; or that it is gone.
pub(crate) const ATTACHMENT: SyncSite = SyncSite::new("replica.attachment");
/// A file of a replica's base, before it has its name.
pub(crate) const REPLICA_COPY: SyncSite = SyncSite::new("replica.copy");
/// The names of such files, before the replica's state refers to them.
pub(crate) const REPLICA_NAMES: SyncSite = SyncSite::new("replica.names");
/// What a replica was found with, before anything is built on it.
pub(crate) const REPLICA_FOUND: SyncSite = SyncSite::new("replica.found");
/// The header of a replica's journal file, before its zeros.
pub(crate) const REPLICA_HEADER: SyncSite = SyncSite::new("replica.header");
/// Its name, before the replica's state refers to it.
pub(crate) const REPLICA_JOURNAL: SyncSite = SyncSite::new("replica.journal");
/// The zeros ahead of its records, before a record enters them.
pub(crate) const REPLICA_EXTEND: SyncSite = SyncSite::new("replica.extend");
/// Commits, on the replica.
pub(crate) const REPLICA_SYNC: SyncSite = SyncSite::new("replica.sync");
/// The end of the journal that the replica had and the source had not, before anything is built on it.
pub(crate) const BROUGHT_OVER: SyncSite = SyncSite::new("replica.brought_over");

/// A copy of a damaged file, before it has its name.
pub(crate) const HEAL_COPY: SyncSite = SyncSite::new("heal.copy");
/// That name: whoever was told that the file is whole again may let the other copy go.
pub(crate) const HEAL_NAME: SyncSite = SyncSite::new("heal.name");

/// The file `STANDBY`: its content, then its name; or that it is gone.
pub(crate) const STANDBY_MARK: SyncSite = SyncSite::new("standby.mark");
/// The state of a standby as its follower found it, before anything is built on it.
pub(crate) const STANDBY_FOUND: SyncSite = SyncSite::new("standby.found");
/// Journal that has arrived, before the state records that it counts.
pub(crate) const STANDBY_JOURNAL: SyncSite = SyncSite::new("standby.journal");
/// The name of a journal file that has arrived, before that.
pub(crate) const STANDBY_NAMES: SyncSite = SyncSite::new("standby.names");
/// The file `SUPERSEDED`: its content, then its name, before a standby is written.
pub(crate) const SUPERSEDED: SyncSite = SyncSite::new("standby.superseded");

/// Those that only a standby comes by, or what it supersedes.
pub const STANDBY_SYNC_SITES: &[SyncSite] =
    &[STANDBY_MARK, STANDBY_FOUND, STANDBY_JOURNAL, STANDBY_NAMES, SUPERSEDED];

/// Those that only an environment with a replica comes by.
pub const REPLICA_SYNC_SITES: &[SyncSite] = &[
    ATTACHMENT,
    REPLICA_COPY,
    REPLICA_NAMES,
    REPLICA_FOUND,
    REPLICA_HEADER,
    REPLICA_JOURNAL,
    REPLICA_EXTEND,
    REPLICA_SYNC,
    BROUGHT_OVER,
    HEAL_COPY,
    HEAL_NAME,
];

/// All others, for the sweep that switches each off in turn.
pub const SYNC_SITES: &[SyncSite] = &[
    CREATE_STATE,
    CREATE_GENERATION,
    CREATE_ROOT,
    CURRENT,
    STATE,
    JOURNAL_HEADER,
    JOURNAL_NAME,
    JOURNAL_EXTEND,
    SPARE_NAME,
    SPARE_WIPE,
    COMMIT,
    JOURNAL_SEAL,
    NODE_SEAL,
    NODE_NAMES,
    SET_ASIDE,
    RECOVERED_STATE,
    RECOVERED,
    RECOVERED_NAMES,
    FIRST_WRITE,
    RESTORING,
    GENERATION_GONE,
    KEYRING,
];
