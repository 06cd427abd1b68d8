//! The log files of an environment: found by number, created, removed; and node files as the source
//! of tree nodes.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError},
};

use cairn_btree::{NodeRecord, NodeSource, StoredNode};
use cairn_io::{
    Access, DirRef, WorldRef,
    shared::{
        Mutex, RwLock,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
};
use cairn_log::{
    CommitSpan, Damage, DataKeys, FRAME_LEN, FileClass, FileFeatures, FileHeader, FileNumber,
    FrameHeader, LogError, LogFile, LogName, LogResult, LogWriter, Lsn, NewFile, Payload,
    RecordKind, Sealed, Spare, Timeline, Uuid, seal_record_len,
};

use crate::{Compression, Options, commit::Encoder, directories, heal::Second, sites, sync::lock};

/// Identity of the environment and of this run of it, for the headers of new files.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) environment: Uuid,
    pub(crate) timeline: Timeline,
    pub(crate) generation: u32,
    /// Set when the environment is first written in this run.
    pub(crate) incarnation: AtomicU64,
}

/// All log files.
#[derive(Debug)]
pub(crate) struct Files {
    /// The generation directory in the root.
    pub(crate) dir: DirRef,
    /// Those in the data directories.
    data: Vec<DirRef>,
    /// In which data directory each file was found.
    found: RwLock<BTreeMap<FileNumber, u16>>,
    pub(crate) identity: Identity,
    /// The keys of an encrypted environment.
    keys: Option<DataKeys>,
    world: WorldRef,
    open: RwLock<BTreeMap<FileNumber, Arc<LogFile>>>,
    next: AtomicU32,
    node_file_bytes: u64,
    /// What was asked for.
    compression: Option<Compression>,
    /// What came of it: see [`Files::compresses`].
    compresses: OnceLock<bool>,
    nodes: Mutex<Option<LogWriter>>,
    values: Mutex<Option<LogWriter>>,
    /// Node and value files that were finished and are not yet known to the checkpoints.
    finished: Mutex<Vec<Sealed>>,
    /// Journal files that are to be used again, with their data directories.
    spares: Mutex<Vec<(u16, Spare)>>,
    /// How many there may be.
    most_spares: AtomicUsize,
    /// Bytes that were added to files since somebody has looked.
    grown: AtomicU64,
    /// Directories in which names were created that no sync covers yet.
    unsynced_names: Mutex<BTreeSet<u16>>,
    /// Whether a sync of a node file has failed: then nothing more may be built on these files.
    sync_failed: AtomicBool,
    /// Where what cannot be read here may be read instead.
    pub(crate) second: Second,
}

/// Dead journal files that are kept to be used again, at most.
const SPARES: usize = 2;
/// Node records are written to the file in pieces of about this size.
const WRITE_PIECE: u64 = 1 << 20;

impl Files {
    pub(crate) fn new(
        dir: DirRef,
        data: Vec<DirRef>,
        world: WorldRef,
        identity: Identity,
        next: FileNumber,
        options: &Options,
    ) -> Self {
        Self {
            dir,
            data,
            found: RwLock::default(),
            identity,
            keys: options.encryption.clone(),
            world,
            open: RwLock::default(),
            next: AtomicU32::new(next.get()),
            node_file_bytes: options.node_file_bytes.clamp(16 << 10, 1 << 30),
            compression: options.compression,
            compresses: OnceLock::new(),
            nodes: Mutex::default(),
            values: Mutex::default(),
            finished: Mutex::default(),
            spares: Mutex::default(),
            most_spares: AtomicUsize::new(SPARES),
            grown: AtomicU64::new(0),
            unsynced_names: Mutex::default(),
            sync_failed: AtomicBool::new(false),
            second: Second::default(),
        }
    }

    /// A number that no file has had.
    pub(crate) fn allocate(&self) -> LogResult<FileNumber> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        FileNumber::new(number)
            .filter(|number| number.get() < u32::MAX)
            .ok_or(LogError::Exhausted { what: "file numbers" })
    }

    /// The smallest number that no file has had.
    pub(crate) fn next(&self) -> FileNumber {
        FileNumber::new(self.next.load(Ordering::Relaxed)).unwrap_or(FileNumber::FIRST)
    }

    /// Never gives out `number` or a smaller one.
    pub(crate) fn reserve(&self, number: FileNumber) {
        self.next.fetch_max(number.get().saturating_add(1), Ordering::Relaxed);
    }

    /// A header for a new file.
    pub(crate) fn header(&self, class: FileClass, number: FileNumber) -> FileHeader {
        FileHeader {
            timeline: self.identity.timeline,
            generation: self.identity.generation,
            incarnation: self.identity.incarnation.load(Ordering::Relaxed),
            created: self.world.wall().0,
            directory: self.place(number),
            features: FileFeatures::of_new(class, self.compresses()),
            ..FileHeader::first(class, number, self.identity.environment, self.random_uuid())
        }
    }

    fn random_uuid(&self) -> Uuid {
        Uuid(self.random())
    }

    fn random<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.world.random(&mut bytes);
        bytes
    }

    /// The keys of an encrypted environment.
    pub(crate) const fn keys(&self) -> Option<&DataKeys> {
        self.keys.as_ref()
    }

    /// Whether the environment is encrypted.
    pub(crate) const fn is_encrypted(&self) -> bool {
        self.keys.is_some()
    }

    /// The epoch under which new files are written; 0 if the environment is not encrypted.
    pub(crate) fn key_epoch(&self) -> u32 {
        self.keys.as_ref().map_or(0, |keys| keys.newest().0)
    }

    /// Bytes that the seal of a file takes.
    pub(crate) const fn seal_len(&self) -> u64 {
        seal_record_len(self.is_encrypted())
    }

    /// What is encoded as the payload of a record.
    pub(crate) fn payload(&self, encoder: Encoder) -> LogResult<Payload> {
        let (bytes, insets) = encoder.finish();
        match self.is_encrypted() {
            true => Payload::to_encrypt(bytes, insets),
            false => Payload::new(bytes),
        }
    }

    /// The payload of a record without large values.
    pub(crate) fn payload_of(&self, bytes: Vec<u8>) -> LogResult<Payload> {
        match self.is_encrypted() {
            true => Payload::to_encrypt(bytes, Vec::new()),
            false => Payload::new(bytes),
        }
    }

    /// Whether this run compresses nodes: if that was asked for, or unless it was asked not to, if the newest node file that it
    /// has found has such. Those of an encrypted environment are not: their lengths would tell of their content.
    fn compresses(&self) -> bool {
        *self.compresses.get_or_init(|| {
            let is_asked_for = match self.compression {
                Some(compression) => compression == Compression::Lz4,
                None => {
                    let files = self.open.read().unwrap_or_else(PoisonError::into_inner);
                    let mut headers = files.values().rev().map(|file| file.header());
                    headers
                        .find(|header| header.class == FileClass::Node)
                        .is_some_and(|header| header.features.has(FileFeatures::COMPRESSED_NODES))
                }
            };
            is_asked_for && !self.is_encrypted()
        })
    }

    /// The payload of a node.
    fn node_payload(&self, kind: RecordKind, bytes: Vec<u8>) -> LogResult<Payload> {
        match self.compresses() && kind.is_node() {
            true => Payload::compressed(bytes),
            false => self.payload_of(bytes),
        }
    }

    /// The file that `header` names, with a key of its own if the environment is encrypted.
    fn new_file(&self, header: FileHeader) -> NewFile {
        let Some(keys) = &self.keys else { return header.into() };
        let previous = header.previous.and_then(|previous| self.find(previous.file));
        let previous = previous.map_or_else(Uuid::default, |file| file.header().file);
        NewFile::encrypted(header, keys, self.random(), previous)
    }

    /// Makes a file known.
    pub(crate) fn add(&self, file: Arc<LogFile>) {
        let number = file.header().number;
        self.reserve(number);
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(number, file);
    }

    /// The file with this number.
    pub(crate) fn get(&self, number: FileNumber) -> LogResult<Arc<LogFile>> {
        self.find(number).ok_or(LogError::MissingFile { file: number })
    }

    pub(crate) fn find(&self, number: FileNumber) -> Option<Arc<LogFile>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&number).cloned()
    }

    /// All files, in order of their numbers.
    pub(crate) fn all(&self) -> Vec<Arc<LogFile>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// The directories of log files with their numbers, that of the root first.
    pub(crate) fn dirs(&self) -> impl Iterator<Item = (u16, &DirRef)> {
        (0..).zip([&self.dir].into_iter().chain(&self.data))
    }

    /// Takes note of the directory in which a file lies.
    pub(crate) fn found(&self, number: FileNumber, directory: u16) {
        self.found.write().unwrap_or_else(PoisonError::into_inner).insert(number, directory);
    }

    /// The number of the directory in which a file lies; of a new one, where it will: in turns.
    fn place(&self, number: FileNumber) -> u16 {
        let found = self.found.read().unwrap_or_else(PoisonError::into_inner).get(&number).copied();
        found.unwrap_or_else(|| match u32::try_from(self.data.len()) {
            Ok(0) | Err(_) => 0,
            Ok(count) => u16::try_from((number.get() - 1) % count + 1).unwrap_or(0),
        })
    }

    /// The directory in which a file lies, or will.
    pub(crate) fn dir_of(&self, number: FileNumber) -> &DirRef {
        self.dir_at(self.place(number))
    }

    pub(crate) fn dir_at(&self, directory: u16) -> &DirRef {
        let data = usize::from(directory).checked_sub(1).and_then(|i| self.data.get(i));
        data.unwrap_or(&self.dir)
    }

    /// Opens a file without making it known, and checks that it lies in the right directory.
    pub(crate) fn look_at(&self, name: LogName) -> LogResult<LogFile> {
        let place = self.place(name.number);
        let file = LogFile::open(&**self.dir_at(place), name, self.identity.environment)?;
        let header = file.header().directory;
        if header != place {
            let shown = |directory| match directory {
                0 => "the root".to_owned(),
                number => directories::name(number).to_string(),
            };
            let (what, path) = ("the data directory in its header", file.path().to_owned());
            let (expected, found) = (shown(place), shown(header));
            return Err(LogError::Foreign { path, what, expected, found });
        }
        unlock(file, self.keys.as_ref())
    }

    /// A file of this environment with its own key.
    pub(crate) fn with_key(&self, file: LogFile) -> LogResult<LogFile> {
        unlock(file, self.keys.as_ref())
    }

    /// Opens a file of the environment and makes it known.
    pub(crate) fn open(&self, name: LogName) -> LogResult<Arc<LogFile>> {
        let file = Arc::new(self.look_at(name)?);
        self.add(Arc::clone(&file));
        Ok(file)
    }

    /// Has the system forget what it holds in memory of a file, so that it is read from the device again. A
    /// hint; a file that cannot be opened says so to whoever needs it.
    pub(crate) fn read_from_device(&self, name: LogName) {
        let file = self.dir_of(name.number).open(&name.to_name(), Access::Read);
        if let Ok((file, len)) = file.and_then(|file| file.len().map(|len| (file, len))) {
            file.forget(0, len);
        }
    }

    /// Forgets all files: recovery looks at others instead.
    pub(crate) fn forget_all(&self) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets a file, which stays where it is.
    pub(crate) fn forget(&self, number: FileNumber) {
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
    }

    /// Removes a file that nothing refers to any more. The removal need not be durable: a file that
    /// comes back is not in any table and is removed again.
    pub(crate) fn remove(&self, number: FileNumber) -> LogResult<()> {
        let file = self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        match file {
            Some(file) => Ok(self.dir_of(number).remove(&file.name().to_name())?),
            None => Ok(()),
        }
    }

    /// As [`Files::remove`], for a journal file; if it may be used again, it only loses its name, and the
    /// caller [wipes](Files::wipe) what is returned. Nobody else can see such a file: it is not open
    /// anywhere in this process, mapped or otherwise, and has no second link by which a backup tool may
    /// have kept it. Whoever pins files from another process is asked before.
    pub(crate) fn retire(&self, number: FileNumber) -> LogResult<Option<(u16, Spare)>> {
        let Some(file) = self.find(number) else { return Ok(None) };
        let (name, directory) = (file.name(), self.place(number));
        if name.class != FileClass::Journal
            || lock(&self.spares).len() >= self.most_spares.load(Ordering::Relaxed)
            || file.is_mapped()
            || file.handle().links()? != 1
        {
            return self.remove(number).map(|()| None);
        }
        drop(file);
        let file = self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&number);
        // Out of the table, nobody new can get at it.
        match file.and_then(|file| Arc::try_unwrap(file).err()) {
            None => Ok(Some((directory, Spare::take(&**self.dir_at(directory), name)?))),
            Some(_) => {
                self.dir_at(directory).remove(&name.to_name())?;
                Ok(None)
            }
        }
    }

    /// Makes a spare ready for a journal file of this `capacity`. If the disk is full, it is removed.
    pub(crate) fn wipe(
        &self,
        (directory, mut spare): (u16, Spare),
        capacity: u64,
    ) -> LogResult<()> {
        let dir = &**self.dir_at(directory);
        match spare.wipe(dir, capacity, (sites::SPARE_NAME, sites::SPARE_WIPE)) {
            Ok(()) => lock(&self.spares).push((directory, spare)),
            Err(error) if error.may_try_again() => spare.remove(dir).unwrap_or_default(),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Creates a journal file, of a spare if there is one that is not too long for it.
    pub(crate) fn create_journal(&self, header: FileHeader) -> LogResult<LogWriter> {
        let sites = (sites::JOURNAL_HEADER, sites::JOURNAL_NAME);
        let (directory, capacity) = (header.directory, header.capacity);
        let dir = &**self.dir_at(directory);
        let fits = |(place, spare): &(u16, Spare)| *place == directory && spare.len() <= capacity;
        let spare = {
            let mut spares = lock(&self.spares);
            let found = spares.iter().position(fits);
            found.map(|i| spares.swap_remove(i).1)
        };
        match spare {
            Some(spare) => spare.begin(dir, self.new_file(header), sites),
            None => LogWriter::create(dir, self.new_file(header), Some(sites)),
        }
    }

    /// Removes all spares and keeps no others: at the end of a run, which alone knows that they are wiped.
    pub(crate) fn end_recycling(&self) {
        self.most_spares.store(0, Ordering::Relaxed);
        self.drop_spares();
    }

    /// Removes all spares, to give space back.
    pub(crate) fn drop_spares(&self) {
        for (directory, spare) in std::mem::take(&mut *lock(&self.spares)) {
            spare.remove(&**self.dir_at(directory)).unwrap_or_default(); // or the next open does it
        }
    }

    /// Ends the current node and value files, if any, and makes all finished ones durable, names
    /// included. Returns them. A failure of a sync is reported by [`Files::sync_failed`] from then on.
    pub(crate) fn finish_nodes(&self) -> LogResult<Vec<Sealed>> {
        // Planted: a checkpoint before its nodes.
        if !cairn_io::planted::is(11) {
            self.end_nodes()?;
        }
        for directory in std::mem::take(&mut *lock(&self.unsynced_names)) {
            // Planted: the wrong directory synced.
            let place = if cairn_io::planted::is(35) { 0 } else { directory };
            let synced = self.dir_at(place).sync(sites::NODE_NAMES);
            synced.inspect_err(|_| self.note_failed_sync())?;
        }
        Ok(std::mem::take(&mut *lock(&self.finished)))
    }

    /// Ends the current node and value files, if any: what is written next goes to others.
    pub(crate) fn end_nodes(&self) -> LogResult<()> {
        for current in [&self.nodes, &self.values] {
            self.seal(&mut lock(current))?;
        }
        Ok(())
    }

    fn seal(&self, current: &mut Option<LogWriter>) -> LogResult<()> {
        let Some(writer) = current else { return Ok(()) };
        match writer.seal(CommitSpan::default(), sites::NODE_SEAL) {
            Ok(sealed) => lock(&self.finished).push(sealed),
            // The file waits for room; its records are served from memory meanwhile.
            Err(error) if error.may_try_again() => return Err(error),
            Err(error) => {
                // The file is in an unknown state, and tree nodes refer to it.
                self.note_failed_sync();
                *current = None;
                return Err(error);
            }
        }
        *current = None;
        Ok(())
    }

    fn note_failed_sync(&self) {
        self.sync_failed.store(true, Ordering::Release);
    }

    /// Whether a node file could not be made durable.
    pub(crate) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::Acquire)
    }

    /// Writes a record into the current node file.
    pub(crate) fn append_node(
        &self,
        kind: RecordKind,
        sequence: u64,
        body: Vec<u8>,
    ) -> LogResult<StoredNode> {
        let payload = self.node_payload(kind, body)?;
        self.append(&self.nodes, FileClass::Node, kind, sequence, &payload)
    }

    /// Writes a large value that moves into the current value file.
    pub(crate) fn append_value(&self, sequence: u64, value: Encoder) -> LogResult<Lsn> {
        let (kind, payload) = (RecordKind::VALUE, self.payload(value)?);
        Ok(self.append(&self.values, FileClass::Value, kind, sequence, &payload)?.lsn)
    }

    fn append(
        &self,
        current: &Mutex<Option<LogWriter>>,
        class: FileClass,
        kind: RecordKind,
        sequence: u64,
        payload: &Payload,
    ) -> LogResult<StoredNode> {
        let mut current = lock(current);
        let full = |writer: &LogWriter| {
            writer.is_ending() || writer.end() + self.seal_len() > self.node_file_bytes
        };
        if current.as_ref().is_some_and(full) {
            self.seal(&mut current)?;
        }
        if current.is_none() {
            let header = self.header(class, self.allocate()?);
            let directory = header.directory;
            let file = self.new_file(header);
            let writer = LogWriter::create(&**self.dir_at(directory), file, None)?;
            lock(&self.unsynced_names).insert(directory);
            self.add(Arc::clone(writer.file()));
            *current = Some(writer);
        }
        let writer = current.as_mut().expect("it was just created");
        let before = writer.end();
        let (lsn, crc) = writer.append_payload(kind, sequence, payload)?;
        let len = u32::try_from(writer.end() - before).expect("records have at most 4 GiB");
        self.grown.fetch_add(len.into(), Ordering::Relaxed);
        if writer.end() - writer.flusher.written() >= WRITE_PIECE {
            writer.write()?;
        }
        Ok(StoredNode { lsn, len, crc })
    }

    /// Bytes that all files take.
    pub(crate) fn footprint(&self) -> u64 {
        let spares: u64 = lock(&self.spares).iter().map(|(_, spare)| spare.len()).sum();
        spares + self.all().iter().map(|file| file.footprint()).sum::<u64>()
    }

    /// Bytes of nodes and values that were added since [`Files::forget_growth`].
    pub(crate) fn grown(&self) -> u64 {
        self.grown.load(Ordering::Relaxed)
    }

    pub(crate) fn forget_growth(&self) {
        self.grown.store(0, Ordering::Relaxed);
    }

    /// Where files lie: for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().to_owned()
    }

    /// Where the files of a data directory lie: for messages.
    pub(crate) fn path_of(&self, directory: u16) -> PathBuf {
        self.dir_at(directory).path().to_owned()
    }
}

/// A file of an environment with these keys: with its own key if these are there. All files are encrypted,
/// or none is.
pub(crate) fn unlock(file: LogFile, keys: Option<&DataKeys>) -> LogResult<LogFile> {
    match (keys, &file.header().encryption) {
        (Some(keys), _) => file.unlock(keys),
        (None, None) => Ok(file),
        (None, Some(encryption)) => {
            let (path, epoch) = (file.path().to_owned(), encryption.epoch);
            Err(LogError::KeyRequired { path, epoch })
        }
    }
}

thread_local! {
    /// A buffer to read records into: node records are copied out in their exact size.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What the header of its record says of a node.
pub(crate) fn stored(lsn: Lsn, header: &FrameHeader) -> StoredNode {
    let len = u32::try_from(header.record_len()).unwrap_or(u32::MAX);
    StoredNode { lsn, len, crc: header.body_crc }
}

impl NodeSource for Files {
    fn read(&self, lsn: Lsn) -> LogResult<NodeRecord> {
        /// Most nodes fit; a longer one takes a second read.
        const HINT: usize = 9 << 10;
        let file = self.get(lsn.file())?;
        self.read_either(&file, |file| {
            let mut buffer = READ_BUFFER.take();
            let read = file.read_into(lsn, HINT, &mut buffer).map(|(header, len)| {
                let body = buffer[FRAME_LEN..][..len].to_vec();
                let stored = stored(lsn, &header);
                NodeRecord { kind: header.kind, sequence: header.sequence, body, stored }
            });
            READ_BUFFER.set(buffer);
            read
        })
    }

    fn write(&self, kind: RecordKind, sequence: u64, body: Vec<u8>) -> LogResult<StoredNode> {
        self.append_node(kind, sequence, body)
    }

    fn expect(&self, lsn: Lsn, len: usize) {
        if let Some(file) = self.find(lsn.file()) {
            file.expect(lsn, FRAME_LEN + len);
        }
    }

    fn damaged(&self, lsn: Lsn, damage: Damage) -> LogError {
        match self.find(lsn.file()) {
            Some(file) => file.corrupt(lsn.offset(), damage),
            None => LogError::MissingFile { file: lsn.file() },
        }
    }
}
