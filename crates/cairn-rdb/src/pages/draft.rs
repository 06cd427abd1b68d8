//! Draft: what a transaction has changed of a file, which nobody else sees.

use std::collections::BTreeMap;

use cairn_env::{Database, DatabaseOptions, EnvResult, ExclusiveTransaction, Transaction};

use super::{
    Head, Version, delta,
    header::Header,
    layout::{CHUNK, HEAD, TooLong, base_key, chunks, delta_key},
    version::ReadError,
};

type Image = Box<[u8; CHUNK]>;

/// What a transaction has changed of a file, which nobody else sees: SQLite writes into the file whenever its
/// cache is full, and takes it back when the transaction is rolled back.
#[derive(Debug)]
pub(crate) struct Draft {
    images: BTreeMap<u32, Image>,
    /// Bytes of the file.
    len: u64,
    /// From this chunk on nothing of the version shines through: it was cut there.
    cut: u32,
}

impl Draft {
    /// A draft that has changed nothing of `version` yet.
    pub(crate) fn of(version: &Version) -> Self {
        Self { images: BTreeMap::new(), len: version.head().len, cut: u32::MAX }
    }

    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Whether nothing was written.
    pub(crate) fn is_unchanged(&self) -> bool {
        self.images.is_empty() && self.cut == u32::MAX
    }

    /// Bytes of memory that it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.images.len() * CHUNK
    }

    /// Reads within one chunk, from its byte `at` on; all of it must lie within the file.
    pub(crate) fn read(
        &self,
        version: &Version,
        chunk: u32,
        at: usize,
        out: &mut [u8],
    ) -> Result<(), ReadError> {
        if let Some(image) = self.images.get(&chunk) {
            out.copy_from_slice(&image[at..at + out.len()]);
            return Ok(());
        }
        if chunk >= self.cut || !is_within(chunk, version) {
            out.fill(0);
            return Ok(());
        }
        version.read(chunk, at, out)
    }

    /// The image of a chunk, to change it.
    fn image(&mut self, version: &Version, chunk: u32) -> Result<&mut Image, ReadError> {
        if !self.images.contains_key(&chunk) {
            let mut image: Image = Box::new([0; CHUNK]);
            self.read(version, chunk, 0, &mut image[..])?;
            self.images.insert(chunk, image);
        }
        Ok(self.images.get_mut(&chunk).expect("it is there by now"))
    }

    /// Writes bytes at `offset`; the file is long enough for them afterwards, and zero between.
    pub(crate) fn write(
        &mut self,
        version: &Version,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), WriteError> {
        let end = offset.checked_add(bytes.len() as u64).ok_or(TooLong)?;
        chunks(end)?;
        let mut rest = bytes;
        let mut offset = offset;
        while !rest.is_empty() {
            let (chunk, at) = place(offset)?;
            let (now, later) = rest.split_at(rest.len().min(CHUNK - at));
            match <&[u8; CHUNK]>::try_from(now) {
                Ok(whole) => {
                    self.images.insert(chunk, Box::new(*whole));
                }
                Err(_) => {
                    let image = self.image(version, chunk)?;
                    image[at..at + now.len()].copy_from_slice(now);
                }
            }
            offset += now.len() as u64;
            rest = later;
        }
        self.len = self.len.max(end);
        Ok(())
    }

    /// Cuts the file, or makes it longer: then with zeros, whatever was there before.
    pub(crate) fn truncate(&mut self, version: &Version, len: u64) -> Result<(), WriteError> {
        let whole = chunks(len)?;
        if len < self.len {
            let (last, at) = place(len)?;
            if at > 0 {
                self.image(version, last)?[at..].fill(0);
            }
            self.cut = self.cut.min(whole);
            self.images.split_off(&whole);
        }
        self.len = len;
        Ok(())
    }

    /// Cuts what the header does not count, as SQLite does last of all; but where several files are committed
    /// together, all of them but one are committed before that.
    pub(crate) fn trim(&mut self, version: &Version) -> Result<(), WriteError> {
        let Some(image) = self.images.get(&0) else { return Ok(()) };
        match Header(&image[..]).counted_len() {
            Some(len) if len < self.len => self.truncate(version, len),
            _ => Ok(()),
        }
    }

    /// Puts what has changed into a transaction, and returns the head that the file has then. `seen` has the highest
    /// numbers that anybody may have seen of a file that had its name.
    ///
    /// # Errors
    /// If what it is compared with cannot be read, or the transaction becomes too large: it is of no use then.
    pub(crate) fn store(
        &self,
        txn: &mut impl Target,
        name: &str,
        version: &Version,
        seen: &Head,
    ) -> Result<(Database, Head), WriteError> {
        let database = match version.database() {
            Some(database) => database.clone(),
            None => txn.create_database(name, options())?,
        };
        let mut head = Head { len: self.len, ..version.head().or_higher(seen) };
        head.change += 1;
        let (old, new) = (chunks(version.head().len)?, chunks(self.len)?);
        for (&chunk, image) in &self.images {
            let settled = (chunk == 0).then(|| settled(image, version, seen)).transpose()?;
            let image = settled.as_ref().unwrap_or(image);
            if chunk == 0 {
                head.count(Header(&image[..]));
            }
            store_chunk(txn, &database, version, head.change, chunk, image)?;
        }
        let zeros = head.change.to_le_bytes();
        for chunk in self.cut.min(old)..new {
            if !self.images.contains_key(&chunk) {
                txn.put(&database, &base_key(chunk), &[&zeros])?;
                txn.delete(&database, &delta_key(chunk))?;
            }
        }
        if new < old {
            version.each_key_from(new, |key| txn.delete(&database, key))?;
        }
        txn.put(&database, HEAD, &[&head.encode()])?;
        Ok((database, head))
    }
}

/// Why something cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Env(#[from] cairn_env::EnvError),
    #[error(transparent)]
    TooLong(#[from] TooLong),
}

/// A transaction that a draft is stored by.
pub(crate) trait Target {
    fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database>;
    /// Puts a value that lies in parts.
    fn put(&mut self, database: &Database, key: &[u8], parts: &[&[u8]]) -> EnvResult<()>;
    fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<()>;
}

impl Target for Transaction {
    fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
        Self::create_database(self, name, options)
    }

    fn put(&mut self, database: &Database, key: &[u8], parts: &[&[u8]]) -> EnvResult<()> {
        self.put_parts(database, key, parts)
    }

    fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<()> {
        Self::delete(self, database, key)
    }
}

impl Target for ExclusiveTransaction {
    fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
        Self::create_database(self, name, options)
    }

    fn put(&mut self, database: &Database, key: &[u8], parts: &[&[u8]]) -> EnvResult<()> {
        Self::put(self, database, key, &parts.concat())
    }

    fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<()> {
        Self::delete(self, database, key).map(drop)
    }
}

/// How the database of a file is made: images stand beside the tree, deltas in it.
fn options() -> DatabaseOptions {
    DatabaseOptions::default().embed_max(super::layout::MAX_DELTA)
}

/// The chunk at `offset`, and the place in it.
pub(crate) fn place(offset: u64) -> Result<(u32, usize), TooLong> {
    let chunk = u32::try_from(offset / CHUNK as u64).map_err(|_| TooLong)?;
    Ok((chunk, usize::try_from(offset % CHUNK as u64).map_err(|_| TooLong)?))
}

fn is_within(chunk: u32, version: &Version) -> bool {
    u64::from(chunk) * (CHUNK as u64) < version.head().len
}

/// The first chunk as it is stored.
fn settled(image: &Image, version: &Version, seen: &Head) -> Result<Image, ReadError> {
    let mut settled = image.clone();
    let mut header = Header(&mut settled[..]);
    if version.head().len > 0 {
        let mut before = [0; CHUNK];
        version.read(0, 0, &mut before)?;
        header.settle(Some(&before));
    } else {
        header.settle(None);
        if seen.counter > 0 {
            header.outrun(seen.counter, seen.cookie); // of a file that was removed
        }
    }
    Ok(settled)
}

/// Stores an image: as what differs from the base that is there, or as a new base.
fn store_chunk(
    txn: &mut impl Target,
    database: &Database,
    version: &Version,
    change: u64,
    chunk: u32,
    image: &[u8; CHUNK],
) -> Result<(), WriteError> {
    const ZEROS: &[u8; CHUNK] = &[0; CHUNK];
    let base = if is_within(chunk, version) { version.base(chunk)? } else { None };
    if let Some(base) = &base
        && let Some(delta) = delta::encode(base.stamp(), base.image().unwrap_or(ZEROS), image)
    {
        return Ok(txn.put(database, &delta_key(chunk), &[&delta])?);
    }
    txn.put(database, &base_key(chunk), &[&change.to_le_bytes(), image])?;
    if base.is_some() {
        txn.delete(database, &delta_key(chunk))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cairn_env::{Environment, Options};
    use cairn_io::MemDisk;
    use cairn_sim::SimWorld;

    use super::{super::layout::STAMP, *};

    /// A transaction whose deletions are counted.
    struct Counting {
        txn: Transaction,
        deleted: usize,
    }

    impl Target for Counting {
        fn create_database(&mut self, name: &str, options: DatabaseOptions) -> EnvResult<Database> {
            self.txn.create_database(name, options)
        }

        fn put(&mut self, database: &Database, key: &[u8], parts: &[&[u8]]) -> EnvResult<()> {
            self.txn.put_parts(database, key, parts)
        }

        fn delete(&mut self, database: &Database, key: &[u8]) -> EnvResult<()> {
            self.deleted += 1;
            self.txn.delete(database, key)
        }
    }

    #[test]
    fn a_cut_deletes_what_is_there_of_a_file_whatever_its_head_claims() {
        // A hostile head of 4 GiB, its checksum right, made two deletions for each chunk that it claims: 300 MB.
        let (disk, options_of_env) = (MemDisk::new(), Options::default().background(false));
        let world = SimWorld::new(1).world();
        let (env, _) = Environment::open_in(disk.root(), world, options_of_env).unwrap();
        let claims = Head { len: 4 << 30, change: 1, ..Head::default() };
        env.write(|txn| {
            let database = txn.create_database("file", options())?;
            txn.put(&database, HEAD, &claims.encode())?;
            txn.put(&database, &base_key(0), &[0; STAMP])?;
            txn.put(&database, &base_key(1), &[0; STAMP])?;
            txn.put(&database, &delta_key(1), &[0; STAMP])
        })
        .unwrap();
        let version = Version::new(env.snapshot().unwrap(), "file", None).unwrap();
        let mut draft = Draft::of(&version);
        draft.truncate(&version, CHUNK as u64).unwrap();
        let mut counting = Counting { txn: env.begin_write().unwrap(), deleted: 0 };
        let (_, head) = draft.store(&mut counting, "file", &version, &Head::default()).unwrap();
        assert_eq!((counting.deleted, head.len), (2, CHUNK as u64));
    }
}
