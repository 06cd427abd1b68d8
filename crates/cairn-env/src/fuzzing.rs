//! Bodies of the fuzz targets. Not part of the public interface.

use std::{path::Path, sync::Arc};

use cairn_io::{Access, DirRef, FileExt, LockMode, MemDisk, World, WorldRef};
use cairn_log::{FileNumber, Timeline, Uuid, crc32c};

use crate::{
    DatabaseOptions, EnvError, EnvResult, Environment, ErrorKind, JournalPiece, JournalSink,
    KdfCost, KeySource, Keyring, Options, ReplicaPolicy, ShipMode, UnlockedKeyring, VerifyOptions,
    checkpoint::CheckpointRecord,
    commit::Decoder,
    heal::generation_dirs,
    root::{LOCK, Root},
    ship::{
        attachment::{Attachment, Side},
        replica::Replica,
    },
    state::{STATE, StateFile},
};

/// Any bytes as a state file: opening must not panic.
pub fn state_file(input: &[u8]) {
    let disk = MemDisk::new();
    let dir = disk.root();
    if write(&dir, input).is_ok() {
        drop(StateFile::open(&*dir, Access::Read).map(|(_, found)| found.newest));
    }
}

fn write(dir: &DirRef, bytes: &[u8]) -> cairn_io::IoResult<()> {
    dir.create(&STATE)?.write_all_at(0, bytes)
}

/// Any bytes as the file `REPLICA`, as they are and with the checksum made right: what decodes must encode to the
/// same bytes.
pub fn replica_file(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let body = text.rfind("crc32c ").map_or(&*text, |at| &text[..at]);
    let repaired = format!("{body}crc32c {:08x}\n", crc32c(body.as_bytes()));
    for text in [&*text, &*repaired] {
        if let Some(attachment) = Attachment::decode(text) {
            assert_eq!(attachment.encode(), text);
        }
    }
}

/// Files that `replica_file` accepts, for the corpus.
#[must_use]
pub fn replica_files() -> Vec<Vec<u8>> {
    let sides = [Side::Source, Side::Replica].into_iter();
    let all = sides.flat_map(|side| [(side, false), (side, true)]);
    let encoded = all.zip(1..).map(|((side, is_attached), number)| {
        let (environment, timeline) = (Uuid([0xab; 16]), Timeline(0x1234_5678));
        Attachment { environment, timeline, side, number, is_attached }.encode().into_bytes()
    });
    encoded.collect()
}

/// Any bytes as a checkpoint record: what decodes must encode to the same bytes.
pub fn checkpoint_record(input: &[u8]) {
    if let Ok(record) = CheckpointRecord::decode(input) {
        assert_eq!(record.encode(), input);
    }
}

/// Any bytes as a transaction: decoding must end, and must not panic.
pub fn transaction_record(input: &[u8]) {
    let Ok(mut decoder) = Decoder::new(input) else { return };
    while let Ok(Some(_)) = decoder.next() {}
}

/// The key of a user in the keyrings of the corpus.
fn keyring_key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap_or(0)))
}

/// Any bytes as a keyring, as they are and with the checksum made right: what decodes must encode to the
/// same bytes, and what opens holds keys.
pub fn keyring(input: &[u8]) {
    let mut bytes = input.to_vec();
    for repair in [false, true] {
        if repair {
            let Some((body, crc)) = bytes.split_last_chunk_mut::<4>() else { return };
            *crc = crc32c(body).to_le_bytes();
        }
        let Ok(keyring) = Keyring::decode(&bytes, Path::new("fuzz")) else { continue };
        assert_eq!(keyring.encode(), bytes);
        match keyring.unlock(&keyring_key()) {
            Ok(keys) => assert_eq!(keys.data_keys().epochs().count(), keys.info().epochs.len()),
            Err(EnvError::WrongKey { .. } | EnvError::KeyringDamaged { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Keyrings for the corpus.
///
/// # Errors
/// None that are worth handling.
pub fn keyrings(world: &dyn World) -> EnvResult<Vec<Vec<u8>>> {
    let (key, cost) = (keyring_key(), KdfCost::new(8, 1)?);
    let passphrase = KeySource::passphrase("corpus")?.cost(cost);
    let mut keys = UnlockedKeyring::create(Uuid([0xab; 16]), "first", &key, world)?;
    let mut seeds = vec![keys.next_write(world)?];
    keys.add("second", &passphrase, world)?;
    seeds.push(keys.next_write(world)?);
    for _ in 0..2 {
        keys.begin_epoch(world)?;
        seeds.push(keys.next_write(world)?);
    }
    Ok(seeds)
}

/// Pieces of a journal as an environment has shipped them, and its replica as it was before the first of them.
#[derive(Debug)]
pub struct Shipped {
    replica: MemDisk,
    options: Options,
    environment: Uuid,
    pieces: Vec<Piece>,
}

/// A piece of the journal, to be changed.
#[derive(Clone, Debug)]
pub struct Piece {
    timeline: Timeline,
    file: FileNumber,
    /// Where in the file it begins.
    pub offset: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
    previous: Option<(FileNumber, u64)>,
}

impl Piece {
    /// Makes it one of the next file.
    pub fn next_file(&mut self) {
        self.file = self.file.next().unwrap_or(self.file);
    }

    fn with<T>(&self, look: impl FnOnce(&JournalPiece<'_>) -> T) -> T {
        let Self { timeline, file, offset, ref bytes, previous } = *self;
        look(&JournalPiece { timeline, file, offset, bytes, previous })
    }
}

#[derive(Debug, Default)]
struct Recorder(std::sync::Mutex<Vec<Piece>>);

impl JournalSink for Recorder {
    fn push(&self, piece: &JournalPiece<'_>) -> EnvResult<()> {
        let JournalPiece { timeline, file, offset, bytes, previous } = *piece;
        let piece = Piece { timeline, file, offset, bytes: bytes.to_vec(), previous };
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(piece);
        Ok(())
    }

    fn sync(&self) -> EnvResult<()> {
        Ok(())
    }
}

impl Shipped {
    /// Ships what a small environment commits.
    ///
    /// # Errors
    /// None that are worth handling.
    pub fn new(world: &WorldRef) -> EnvResult<Self> {
        let (here, there) = (MemDisk::new(), MemDisk::new());
        let options = Options::new().background(false).journal_file_bytes(16 << 10);
        let with_replica = options.clone().replica_in(there.root(), ReplicaPolicy::Require);
        let (env, _) = Environment::open_in(here.root(), WorldRef::clone(world), with_replica)?;
        let db = env.database("db", DatabaseOptions::default())?;
        let put = |n: u8| env.write(|txn| txn.put(&db, &[n % 9], &[n; 700]));
        (0..20).try_for_each(put)?;
        let recorder = Arc::new(Recorder::default());
        let shipment = env.ship(Arc::clone(&recorder) as Arc<_>, ShipMode::Waited)?;
        let replica = there.fork();
        (20..60).try_for_each(put)?;
        drop(shipment);
        let pieces = recorder.0.lock().map(|pieces| pieces.clone()).unwrap_or_default();
        Ok(Self { replica, options, environment: env.core.files.identity.environment, pieces })
    }

    /// How many pieces there are.
    #[must_use]
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// The replica before the first of them.
    ///
    /// # Panics
    /// If it cannot be opened.
    #[must_use]
    pub fn replica(&self) -> Receiving<'_> {
        let disk = self.replica.fork();
        let opened = || -> EnvResult<Replica> {
            let root = Root::new(disk.root());
            let held = root.dir.lock(&LOCK, LockMode::Exclusive);
            let held = held.map_err(|_| EnvError::internal("somebody has it"))?;
            let current = root.current()?.ok_or_else(|| EnvError::internal("no CURRENT"))?;
            let dirs = generation_dirs(&root, current.generation)?;
            Replica::open(root, held, current.generation, self.environment, dirs, None)
        };
        let replica = opened().expect("it is as it was received");
        Receiving { shipped: self, disk, replica }
    }
}

/// A replica that is sent pieces.
#[derive(Debug)]
pub struct Receiving<'s> {
    shipped: &'s Shipped,
    disk: MemDisk,
    replica: Replica,
}

impl Receiving<'_> {
    /// Sends a piece, changed. What was taken is there, and is taken again; nothing goes back.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn push(&mut self, number: usize, change: impl FnOnce(&mut Piece)) {
        let Some(mut piece) = self.shipped.pieces.get(number).cloned() else { return };
        change(&mut piece);
        let before = self.replica.position();
        let taken = piece.with(|piece| self.replica.push(piece)).is_ok();
        let after = self.replica.position();
        assert!(after >= before, "{before:?} {after:?}");
        if taken {
            piece.with(|piece| self.replica.push(piece)).expect("it has it already");
            assert_eq!(self.replica.position(), after);
        }
    }

    /// Has it make what it has taken durable.
    ///
    /// # Panics
    /// If it does not.
    pub fn sync(&mut self) {
        self.replica.sync().expect("nothing is wrong with a disk in memory");
    }

    /// Opens it as an environment: everything from before is there, or damage is named.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn end(self, world: &WorldRef) {
        let Self { shipped, disk, replica } = self;
        drop(replica);
        let world = WorldRef::clone(world);
        match Environment::open_in(disk.root(), world, shipped.options.clone()) {
            Ok((env, report)) => {
                // Those from before the first piece.
                assert!(report.sequence >= 21, "{report}");
                let report = env.verify(&VerifyOptions::new()).expect("it is open");
                assert!(report.findings.is_empty(), "{:?}", report.findings);
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}"),
        }
    }
}
