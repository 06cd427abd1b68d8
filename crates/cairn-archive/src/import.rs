//! Import: the databases of an archive take the places of those of a store, in one commit.
//!
//! The archive is read twice: once to verify all of it; and once to load its entries into new databases
//! ([`staging`](crate::staging)), where it is checked again as it comes. That goes in parts between which others commit;
//! so it is in the journal, and reaches a replica, as every commit does. One exclusive transaction then puts the new
//! databases in place. Until that commits, nobody sees anything of them; a death before leaves the store as it was, and
//! after it as the archive has it. What was given up on the way takes space in the log until the cleaner has been there.

use std::{fmt, io::Read};

use cairn_env::{Database, DatabaseShape, Durability, EnvError, Environment, ExclusiveTransaction};
use cairn_log::Uuid;

use crate::{
    ArchiveError, ArchiveFile, ArchiveKeys, ArchiveReader, ArchiveReport, ArchiveResult, Header,
    Item, Report, Step, StoreInfo, Totals,
    progress::Counter,
    remove_unfinished_imports,
    staging::{Entry, Staging},
};

/// Changes what belongs to a store within the transaction that imports it.
pub type BeforeCommit<'a> =
    &'a dyn Fn(&mut ExclusiveTransaction, &Header) -> cairn_env::EnvResult<()>;

/// Looks at an entry that is about to be imported: the name of its database in the archive, key and value as they are
/// stored.
pub type CheckEntry<'a> = &'a dyn Fn(&str, &[u8], &[u8]) -> cairn_env::EnvResult<()>;

/// Of entries, so many bytes are loaded while others wait.
const PART: usize = 4 << 20;

/// How an archive is imported.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ImportOptions<'a> {
    /// What opens it beside the environment itself.
    pub keys: ArchiveKeys,
    /// Whether the archive may be that of another store of the same kind, or of a store of the same name in
    /// another environment (default: it may not).
    pub other_store: bool,
    /// Whether an encrypted archive may be imported into an environment that is not encrypted, where its
    /// entries will lie in the clear (default: it may not).
    pub in_the_clear: bool,
    /// The databases that the store has now. Those of them that the archive does not have are dropped in the
    /// same commit.
    pub replaces: &'a [&'a str],
    /// What a database of the archive is called in the environment (default: what it was called). It must
    /// give different names for different ones.
    pub rename: Option<&'a dyn Fn(&str) -> String>,
    /// Called with each entry, before anybody can see it. An error ends the import, and nothing has changed.
    pub check: Option<CheckEntry<'a>>,
    /// Called before the commit, when all entries are there: for what else belongs to the store and must change
    /// together with it. Others wait for it. An error ends the import, and nothing has changed.
    pub before_commit: Option<BeforeCommit<'a>>,
    /// Called from time to time; can end it.
    pub progress: Report<'a>,
}

impl<'a> ImportOptions<'a> {
    /// Sets [`ImportOptions::keys`](ImportOptions#structfield.keys).
    #[must_use]
    pub fn keys(mut self, keys: ArchiveKeys) -> Self {
        self.keys = keys;
        self
    }

    /// Allows the archive of another store.
    #[must_use]
    pub fn other_store(mut self, allowed: bool) -> Self {
        self.other_store = allowed;
        self
    }

    /// Lets what is encrypted lie in the clear.
    #[must_use]
    pub fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Sets [`ImportOptions::replaces`](ImportOptions#structfield.replaces).
    #[must_use]
    pub fn replaces(mut self, databases: &'a [&'a str]) -> Self {
        self.replaces = databases;
        self
    }

    /// Sets [`ImportOptions::rename`](ImportOptions#structfield.rename).
    #[must_use]
    pub fn rename(mut self, rename: &'a dyn Fn(&str) -> String) -> Self {
        self.rename = Some(rename);
        self
    }

    /// Sets [`ImportOptions::check`](ImportOptions#structfield.check).
    #[must_use]
    pub fn check(mut self, check: CheckEntry<'a>) -> Self {
        self.check = Some(check);
        self
    }

    /// Sets [`ImportOptions::before_commit`](ImportOptions#structfield.before_commit).
    #[must_use]
    pub fn before_commit(mut self, change: BeforeCommit<'a>) -> Self {
        self.before_commit = Some(change);
        self
    }

    /// Reports progress; can end it.
    #[must_use]
    pub fn progress(mut self, progress: Report<'a>) -> Self {
        self.progress = progress;
        self
    }

    fn name_of(&self, name: &str) -> String {
        self.rename.map_or_else(|| name.to_owned(), |rename| rename(name))
    }

    /// What a database of the archive is to be in the environment.
    fn shape_of(&self, archived: &DatabaseShape) -> DatabaseShape {
        let mut shape = archived.clone();
        shape.name = self.name_of(&shape.name);
        if let Some(index) = &mut shape.index {
            index.primary = self.name_of(&index.primary);
        }
        shape
    }
}

impl fmt::Debug for ImportOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, other_store, in_the_clear, replaces, .. } = self;
        write!(
            f,
            "ImportOptions({keys:?}, other store: {other_store}, in the clear: {in_the_clear}, replaces: \
             {replaces:?})"
        )
    }
}

/// What an import has done.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ImportReport {
    /// The commit that brought it.
    pub commit: u64,
    /// The archive.
    pub archive: ArchiveReport,
    /// The databases that were put in place, in the order of the archive. Handles of those before them are
    /// those of dropped databases.
    pub databases: Vec<Database>,
}

/// Puts what an archive holds in the place of what a store holds now, in one commit, which is durable when
/// this returns. Others go on meanwhile, and what they commit to these databases until then is replaced as what was
/// there before: entries are loaded beside them, in parts of some 4 MiB, for each of which commits wait. An archive may be
/// larger than memory, but for each of its values.
///
/// See [`ExclusiveTransaction::replace_database`] for what becomes of handles and indexes.
///
/// # Errors
/// As [`ArchiveFile::verify`]: whatever is wrong with the archive. [`ArchiveError::OtherStore`];
/// [`ArchiveError::WouldBePlain`]; [`ArchiveError::Cancelled`]. As
/// [`ExclusiveTransaction::commit`](cairn_env::ExclusiveTransaction::commit). Nothing has changed, but for two
/// of these: [`EnvError::CommitUnknown`], after which the next open decides,
/// and [`EnvError::CommitPending`], which says that the commit took effect
/// and is written as soon as the device has room.
pub fn import(
    env: &Environment,
    archive: &ArchiveFile,
    store: &StoreInfo,
    options: &ImportOptions<'_>,
) -> ArchiveResult<ImportReport> {
    let own = ArchiveKeys::of(env)?;
    let keys = options.keys.sources.iter().cloned().fold(own, ArchiveKeys::or);
    let reader = archive.open(&keys)?;
    check_store(archive, reader.header(), store, env.identity().environment, options)?;
    if reader.key_epoch().is_some() && !env.is_encrypted() && !options.in_the_clear {
        return Err(ArchiveError::WouldBePlain { path: archive.path() });
    }
    drop(reader);
    let verified = archive.verify(&keys, options.progress)?;

    remove_unfinished_imports(env)?;
    let (mut reader, mut staging) = (archive.open(&keys)?, Staging::begin(env));
    stage(&mut staging, &mut reader, &verified, options)?;
    // So that little is left to be written while others wait. Where there is no room for it, that is what the commit says.
    match env.sync() {
        Err(EnvError::CommitPending { .. }) => {}
        synced => synced?,
    }
    let mut txn = env.begin_exclusive()?;
    let mut databases = Vec::new();
    for (archived, staged) in verified.header.databases.iter().zip(staging.databases()) {
        databases.push(txn.replace_database_by(&options.shape_of(&archived.shape), staged)?);
    }
    for name in options.replaces {
        let has = |database: &Database| database.name() == *name;
        if !databases.iter().any(has)
            && let Some(old) = txn.find_database(name)?
        {
            txn.drop_database(&old)?;
        }
    }
    if let Some(change) = options.before_commit {
        change(&mut txn, &verified.header)?;
    }
    let commit = txn.commit_with(Durability::Sync)?.commit;
    Ok(ImportReport { commit, archive: verified, databases })
}

/// An error unless the archive is one of this store.
fn check_store(
    archive: &ArchiveFile,
    header: &Header,
    store: &StoreInfo,
    environment: Uuid,
    options: &ImportOptions<'_>,
) -> ArchiveResult<()> {
    let found = &header.store;
    let is_same = match (found.id, store.id) {
        (found, id) if found != Uuid::default() && id != Uuid::default() => found == id,
        _ => found.name == store.name && header.environment == environment,
    };
    if found.kind == store.kind && (is_same || options.other_store) {
        return Ok(());
    }
    Err(ArchiveError::OtherStore {
        path: archive.path(),
        found: Box::new(found.clone()),
        expected: Box::new(store.clone()),
        from: header.environment,
        environment,
    })
}

/// Loads all entries into databases of their own, and compares what there was with what was verified.
fn stage<R: Read>(
    staging: &mut Staging<'_>,
    reader: &mut ArchiveReader<R>,
    verified: &ArchiveReport,
    options: &ImportOptions<'_>,
) -> ArchiveResult<()> {
    let (count, bytes) = (verified.header.entries(), verified.bytes);
    let mut counter = Counter::new(Step::Importing, count, Some(bytes), options.progress);
    counter.now()?;
    let mut entries = Entries { reader, counter: &mut counter, ended: None };
    entries.skip_to_database()?;
    while let Some(Ended::Before(place)) = entries.ended.take() {
        let Some(archived) = verified.header.databases.get(place) else { break };
        let database = staging.create(archived.shape.options)?;
        let mut part = Vec::new();
        while entries.ended.is_none() {
            entries.fill(&mut part)?;
            if let Some(check) = options.check {
                let name = &archived.shape.name;
                part.iter().try_for_each(|(key, value)| check(name, key, value))?;
            }
            staging.load(&database, &part)?;
        }
    }
    let totals = entries.totals()?;
    entries.counter.now()?;
    let is_same = totals == verified.totals && reader.stored_digest() == verified.digest;
    match is_same && reader.archive() == verified.archive {
        true => Ok(()),
        false => {
            let why = "it has changed while it was imported".into();
            Err(ArchiveError::NotReadBack { path: reader.path().to_owned(), why })
        }
    }
}

/// The entries of one database of an archive after the other.
struct Entries<'r, 'c, R> {
    reader: &'r mut ArchiveReader<R>,
    counter: &'r mut Counter<'c>,
    /// What came behind the last entry.
    ended: Option<Ended>,
}

/// What comes behind the entries of a database.
enum Ended {
    /// Another database.
    Before(usize),
    /// The end of the archive.
    Whole(Totals),
}

impl<R: Read> Entries<'_, '_, R> {
    /// Reads up to the first database.
    fn skip_to_database(&mut self) -> ArchiveResult<()> {
        match self.entry()? {
            None => Ok(()),
            Some(_) => Err(self.misplaced()),
        }
    }

    fn misplaced(&self) -> ArchiveError {
        let what = "an entry of no database".into();
        ArchiveError::Damaged { path: self.reader.path().to_owned(), at: 0, what }
    }

    /// The next entries of this database, some [`PART`] of bytes.
    fn fill(&mut self, part: &mut Vec<Entry>) -> ArchiveResult<()> {
        part.clear();
        let mut bytes = 0;
        while bytes < PART
            && let Some((key, value)) = self.entry()?
        {
            bytes += key.len() + value.len();
            part.push((key, value));
        }
        Ok(())
    }

    /// The next entry of this database.
    fn entry(&mut self) -> ArchiveResult<Option<Entry>> {
        let (key, len) = match self.reader.next()? {
            Item::Entry { key, value_len } => (key.to_vec(), value_len),
            Item::Database(place) => {
                self.ended = Some(Ended::Before(place));
                return Ok(None);
            }
            Item::End(totals) => {
                self.ended = Some(Ended::Whole(totals.clone()));
                return Ok(None);
            }
            Item::Value(_) => return Err(self.misplaced()),
        };
        let mut value = Vec::new();
        while (value.len() as u64) < len {
            match self.reader.next()? {
                Item::Value(piece) => {
                    // No more than what is there, whatever the length says.
                    value.extend_from_slice(piece);
                }
                _ => return Err(self.misplaced()),
            }
            self.counter.at(self.reader.position())?;
        }
        self.counter.entry(self.reader.position())?;
        Ok(Some((key, value)))
    }

    /// What everything added up to.
    fn totals(&mut self) -> ArchiveResult<Totals> {
        match self.ended.take() {
            Some(Ended::Whole(totals)) => Ok(totals),
            _ => match self.reader.next()? {
                Item::End(totals) => Ok(totals.clone()),
                _ => Err(self.misplaced()),
            },
        }
    }
}
