//! Export: a store at one commit becomes an archive.
//!
//! It is written under a name of its own, synced, read back and compared, and only then takes its name. So
//! what has the name of an archive was whole once, and a crash leaves what was there before, or the new one,
//! and maybe a file that [`remove_unfinished`](crate::remove_unfinished) knows.

use std::{collections::BTreeSet, fmt, path::Path, sync::Arc};

use cairn_env::{DatabaseKind, DatabaseShape, EnvError, Environment, Snapshot, held_keys};
use cairn_io::{Dir, FileRef, RealWorld, SyncSite, WorldRef};
use cairn_log::{Digest, NumberedCipher, Uuid};

use crate::{
    ArchiveError, ArchiveFile, ArchiveKeys, ArchiveReport, ArchiveResult, ArchivedDatabase,
    Compression, Header, Report, Step, StoreInfo, Totals,
    frame::FrameWriter,
    head::{Head, check_keyring},
    header::MAX_DATABASES,
    layout::FRAME,
    progress::Counter,
    source::{self, FileStream, Piece, Sink, Source},
    store::{MAX_NAME, MAX_OPTIONS},
    unfinished::{self, Unfinished},
    writer::{ArchiveWriter, Written},
};

/// The bytes of a new archive, before they are read back and it has its name.
const WRITTEN: SyncSite = SyncSite::new("archive.file");
/// Its name: from here on it is there after a crash, and what it took the place of is not.
const PUBLISHED: SyncSite = SyncSite::new("archive.name");

/// Every durability barrier of this crate, by name.
pub const SYNC_SITES: &[SyncSite] = &[WRITTEN, PUBLISHED];

/// How an archive is made.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ExportOptions<'a> {
    /// How its content is compressed (default: Zstandard at level 3).
    pub compression: Compression,
    /// Whether it may take the place of an archive that has its name (default: it may not).
    pub replace: bool,
    /// Whether it is written in the clear although the environment is encrypted (default: it is encrypted
    /// like the environment).
    pub in_the_clear: bool,
    /// Called from time to time; can end it.
    pub progress: Report<'a>,
    /// Bytes of content after which a frame ends, for tests; 0 stands for 256 KiB.
    #[doc(hidden)]
    pub frame_len: usize,
}

impl<'a> ExportOptions<'a> {
    /// Sets [`ExportOptions::compression`](ExportOptions#structfield.compression).
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets [`ExportOptions::replace`](ExportOptions#structfield.replace).
    #[must_use]
    pub const fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Writes what an encrypted environment holds in the clear: whoever has the archive can read it.
    #[must_use]
    pub const fn in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Reports progress; can end it.
    #[must_use]
    pub const fn progress(mut self, progress: Report<'a>) -> Self {
        self.progress = progress;
        self
    }
}

impl fmt::Debug for ExportOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compression, replace, in_the_clear, .. } = self;
        write!(
            f,
            "ExportOptions({compression:?}, replace: {replace}, in the clear: {in_the_clear})"
        )
    }
}

/// Writes a store, as a snapshot of its environment has it, to a new archive. `databases` are the names of
/// those that make it up; their indexes come along, but for those that are still being built.
///
/// It is synced, read back and compared before it has its name. Takes some 6 MiB, and the time in which the snapshot keeps
/// what was superseded since; nobody waits for it. While entries are read, what was read is written by a thread of the
/// world, which leaves the processor to others.
/// Of an encrypted environment the archive is encrypted with a key of its own, which the newest data key of
/// the environment wraps; its keyring goes along, after the key with which the environment is open has opened
/// it.
///
/// ```
/// # use std::sync::Arc;
/// # use cairn_archive::{ArchiveFile, ArchiveKeys, ExportOptions, StoreInfo, export};
/// # use cairn_env::{DatabaseOptions, Environment, Options};
/// # use cairn_io::{MemDisk, Name, RealWorld, WorldRef};
/// # let world = Arc::new(RealWorld::new()) as WorldRef;
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let users = env.database("users", DatabaseOptions::default())?;
/// env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
///
/// let archive = ArchiveFile::new(MemDisk::new().root(), Name::constant("monday"));
/// let (snapshot, store) = (env.snapshot()?, StoreInfo::databases());
/// export(&env, &snapshot, &store, &["users"], &archive, &world, &ExportOptions::default())?;
///
/// let report = archive.verify(&ArchiveKeys::none(), None)?;
/// assert_eq!((report.header.commit, report.totals.entries()), (snapshot.commit(), 1));
/// # Ok::<(), cairn_archive::ArchiveError>(())
/// ```
///
/// # Errors
/// [`ArchiveError::Exists`]; [`EnvError::NoSuchDatabase`]; [`ArchiveError::InvalidInput`] for a description
/// that exceeds its limits, for an index, which is named by its database, and for a directory of an environment;
/// [`EnvError::WrongKey`] if the key of the environment was rotated since it was opened: open it again. If the
/// environment is damaged, or a disk fails or is full. Whatever it is, the directory is as it was.
pub fn export(
    env: &Environment,
    snapshot: &Snapshot,
    store: &StoreInfo,
    databases: &[&str],
    archive: &ArchiveFile,
    world: &WorldRef,
    options: &ExportOptions<'_>,
) -> ArchiveResult<ArchiveReport> {
    if store.name.len() > MAX_NAME || store.options.len() > MAX_OPTIONS {
        let what = format!(
            "the name of a store has at most {MAX_NAME} bytes, its options have at most {MAX_OPTIONS}"
        );
        return Err(ArchiveError::InvalidInput { what });
    }
    ArchiveFile::check_place(archive.dir())?;
    if !options.replace && unfinished::exists(archive)? {
        return Err(ArchiveError::Exists { path: archive.path() });
    }
    let identity = env.identity();
    let header = Header {
        store: store.clone(),
        environment: identity.environment,
        timeline: identity.timeline,
        commit: snapshot.commit(),
        created: world.wall().0,
        library: env!("CARGO_PKG_VERSION").into(),
        databases: choose(snapshot, databases)?,
    };
    let (head, keyring, cipher, keys) = begin(env, archive, world, options.in_the_clear)?;
    let beginning = [head.bytes(), &keyring].concat();
    let unfinished = Unfinished::beside(archive, head.archive())?;
    let temporary = &unfinished.archive;
    let written = write(snapshot, &header, &beginning, cipher, &unfinished, world, options)
        .and_then(|written| {
            read_back(temporary, head.archive(), &header, written, &keys, options.progress)
        })
        .and_then(|report| publish(temporary, archive, options.replace).map(|()| report));
    if written.is_err() {
        unfinished.remove_quietly();
    }
    written
}

/// As [`export`], to a file of the real disk; its directory must be there.
///
/// # Errors
/// As [`export`] and [`ArchiveFile::at`].
pub fn export_to(
    env: &Environment,
    snapshot: &Snapshot,
    store: &StoreInfo,
    databases: &[&str],
    path: impl AsRef<Path>,
    options: &ExportOptions<'_>,
) -> ArchiveResult<ArchiveReport> {
    let (archive, world) = (ArchiveFile::at(path)?, Arc::new(RealWorld::new()) as WorldRef);
    export(env, snapshot, store, databases, &archive, &world, options)
}

/// The beginning of an archive of an environment, what encrypts it, and what opens it again.
fn begin(
    env: &Environment,
    archive: &ArchiveFile,
    world: &WorldRef,
    in_the_clear: bool,
) -> ArchiveResult<(Head, Vec<u8>, Option<NumberedCipher>, ArchiveKeys)> {
    let (environment, mut id) = (env.identity().environment, Uuid::default());
    world.random(&mut id.0);
    match held_keys(env)?.filter(|_| !in_the_clear) {
        None => {
            let head = Head::plain(environment, id);
            Ok((head, Vec::new(), None, ArchiveKeys::none()))
        }
        Some(held) => {
            if let Some(source) = &env.options().key {
                check_keyring(&held, source, &archive.path())?;
            }
            let (head, cipher) = Head::encrypted(environment, id, &held, &**world);
            let keyring = held.keyring.clone();
            let keys = ArchiveKeys { environment, held: Some(held), sources: Vec::new() };
            Ok((head, keyring, Some(cipher), keys))
        }
    }
}

/// The databases of these names and their indexes, in their order.
pub(crate) fn choose(snapshot: &Snapshot, names: &[&str]) -> ArchiveResult<Vec<ArchivedDatabase>> {
    let names: BTreeSet<&str> = names.iter().copied().collect();
    let shapes = snapshot.shapes()?;
    for name in &names {
        match shapes.iter().find(|shape| shape.name == *name) {
            None => return Err(EnvError::NoSuchDatabase { name: (*name).into() }.into()),
            Some(shape) if shape.options.kind == DatabaseKind::Index => {
                let what = format!("{name:?} is an index, which comes with its database");
                return Err(ArchiveError::InvalidInput { what });
            }
            Some(_) => {}
        }
    }
    let is_chosen = |shape: &DatabaseShape| match &shape.index {
        None => names.contains(&*shape.name),
        Some(index) => index.whole && names.contains(&*index.primary),
    };
    let mut chosen = Vec::new();
    for shape in shapes.into_iter().filter(is_chosen) {
        let database = snapshot.database(&shape.name)?;
        let database = database.ok_or_else(|| no_such(&shape.name))?;
        chosen.push(ArchivedDatabase { entries: snapshot.len(&database)?, shape });
    }
    if chosen.len() > MAX_DATABASES {
        let what = format!("an archive has at most {MAX_DATABASES} databases, indexes included");
        return Err(ArchiveError::InvalidInput { what });
    }
    chosen.sort_by(|one, other| one.place().cmp(&other.place()));
    Ok(chosen)
}

fn no_such(name: &str) -> EnvError {
    EnvError::NoSuchDatabase { name: name.into() }
}

/// What was written, and is durable.
struct Exported {
    totals: Totals,
    digest: Digest,
    bytes: u64,
    pieces: Vec<Piece>,
}

/// Writes the file and makes its bytes durable.
fn write(
    snapshot: &Snapshot,
    header: &Header,
    beginning: &[u8],
    cipher: Option<NumberedCipher>,
    to: &Unfinished,
    world: &WorldRef,
    options: &ExportOptions<'_>,
) -> ArchiveResult<Exported> {
    let sink = Sink::new(FileStream::new(FileRef::clone(&to.file)), to.archive.path());
    let frames = FrameWriter::new(sink, beginning, cipher, options.compression)?;
    let frame_len = if options.frame_len == 0 { FRAME } else { options.frame_len };
    let mut writer = ArchiveWriter::new(frames, header, frame_len, Some(world.clone()))?;
    let mut counter = Counter::new(Step::Writing, header.entries(), None, options.progress);
    counter.now()?;
    for ArchivedDatabase { shape, .. } in &header.databases {
        let database = snapshot.database(&shape.name)?.ok_or_else(|| no_such(&shape.name))?;
        let mut cursor = snapshot.scan(&database)?;
        while cursor.next()? {
            let put = cursor.value_with(|value| writer.put(cursor.key(), value))?;
            put.unwrap_or(Ok(()))?;
            counter.entry(writer.written())?;
        }
        writer.end_database()?;
    }
    counter.now()?;
    let Written { totals, link: digest, sink } = writer.finish()?;
    let bytes = sink.written();
    let (stream, pieces) = sink.into_parts();
    stream.file().sync(WRITTEN)?;
    Ok(Exported { totals, digest, bytes, pieces })
}

/// Reads the file back: its beginning with the keys that are to open it, and every byte of it as it is stored.
fn read_back(
    file: &ArchiveFile,
    archive: Uuid,
    header: &Header,
    written: Exported,
    keys: &ArchiveKeys,
    progress: Report<'_>,
) -> ArchiveResult<ArchiveReport> {
    let Exported { totals, digest, bytes, pieces } = written;
    let reader = file.open(keys)?;
    if reader.header() != header || reader.archive() != archive {
        return Err(not_read_back(file, "it is another archive".into()));
    }
    let mut counter = Counter::new(Step::Verifying, 0, Some(bytes), progress);
    let mut source = Source::new(FileStream::new(file.file()?), file.path());
    if let Some(at) = source::read_back(&mut source, &pieces, |at| counter.at(at))? {
        return Err(not_read_back(file, format!("from byte {at} on it is not what was written")));
    }
    counter.now()?;
    let (header, key_epoch) = (reader.header().clone(), reader.key_epoch());
    Ok(ArchiveReport { archive, header, totals, key_epoch, bytes, digest })
}

fn not_read_back(file: &ArchiveFile, why: String) -> ArchiveError {
    ArchiveError::NotReadBack { path: file.path(), why }
}

/// Gives the file its name, and makes that durable.
fn publish(temporary: &ArchiveFile, archive: &ArchiveFile, replace: bool) -> ArchiveResult<()> {
    let dir: &dyn Dir = archive.dir();
    match replace {
        true => dir.rename(temporary.name(), archive.name())?,
        false => match dir.rename_new(temporary.name(), archive.name()) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(ArchiveError::Exists { path: archive.path() });
            }
            renamed => renamed?,
        },
    }
    Ok(dir.sync(PUBLISHED)?)
}
