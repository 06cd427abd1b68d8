//! Version: a file as it was at one commit.

use cairn_env::{Database, EnvResult, Snapshot, Value};

use super::{
    Head, delta,
    layout::{CHUNK, HEAD, STAMP, base_key, delta_key, is_key},
};

/// A file as it was at one commit. It never changes.
#[derive(Clone, Debug)]
pub(crate) struct Version {
    snapshot: Snapshot,
    /// Where it is, if it is there at all: a file without a byte has no database.
    database: Option<Database>,
    head: Head,
}

/// Why a chunk cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error(transparent)]
    Env(#[from] cairn_env::EnvError),
    /// What is stored passed its checksums and cannot be.
    #[error("SQL file {file:?}, at byte {offset}: {what}")]
    Corrupt { file: String, offset: u64, what: &'static str },
}

/// What stands under the key of a base.
pub(super) struct Base {
    value: Value,
}

impl Base {
    /// The change that has written it.
    pub(super) fn stamp(&self) -> u64 {
        u64::from_le_bytes(self.value[..STAMP].try_into().expect("checked when it was read"))
    }

    /// The image; `None` for zeros.
    pub(super) fn image(&self) -> Option<&[u8; CHUNK]> {
        self.value[STAMP..].try_into().ok()
    }

    /// Copies the image from `at` on.
    fn copy(&self, at: usize, out: &mut [u8]) {
        match self.image() {
            Some(image) => out.copy_from_slice(&image[at..at + out.len()]),
            None => out.fill(0),
        }
    }
}

impl Version {
    /// The file as `snapshot` has it. `known` is where it was last.
    pub(crate) fn new(
        snapshot: Snapshot,
        name: &str,
        known: Option<&Database>,
    ) -> Result<Self, ReadError> {
        let corrupt = |what| ReadError::Corrupt { file: name.into(), offset: 0, what };
        if let Some(database) = known
            && let Some(head) = snapshot.get(database, HEAD)?
        {
            let head = Head::decode(&head).map_err(corrupt)?;
            return Ok(Self { snapshot, database: Some(database.clone()), head });
        }
        let Some(database) = snapshot.database(name)? else {
            return Ok(Self { snapshot, database: None, head: Head::default() });
        };
        let head = snapshot.get(&database, HEAD)?.ok_or_else(|| corrupt("it has no head"))?;
        let head = Head::decode(&head).map_err(corrupt)?;
        Ok(Self { snapshot, database: Some(database), head })
    }

    /// The file as `snapshot` has it, for who knows that already.
    pub(crate) const fn known(snapshot: Snapshot, database: Option<Database>, head: Head) -> Self {
        Self { snapshot, database, head }
    }

    /// The commit that it is of.
    pub(crate) fn commit(&self) -> u64 {
        self.snapshot.commit()
    }

    pub(crate) const fn head(&self) -> &Head {
        &self.head
    }

    pub(crate) const fn database(&self) -> Option<&Database> {
        self.database.as_ref()
    }

    fn corrupt(&self, chunk: u32, what: &'static str) -> ReadError {
        let file = self.database.as_ref().map_or("", Database::name).into();
        ReadError::Corrupt { file, offset: u64::from(chunk) * CHUNK as u64, what }
    }

    /// Reads from the byte `offset` of the file on, within one chunk.
    pub(crate) fn read_at(&self, offset: u64, out: &mut [u8]) -> Result<(), ReadError> {
        let place = super::place(offset).map_err(|_| self.corrupt(0, "the file is too long"))?;
        self.read(place.0, place.1, out)
    }

    /// Reads within one chunk, from its byte `at` on; all of it must lie within the file.
    pub(crate) fn read(&self, chunk: u32, at: usize, out: &mut [u8]) -> Result<(), ReadError> {
        let [base, delta] = match &self.database {
            Some(database) => {
                self.snapshot.get_both(database, &base_key(chunk), &delta_key(chunk))?
            }
            None => [None, None],
        };
        let base = base.ok_or_else(|| self.corrupt(chunk, "a chunk is missing"))?;
        let base = self.as_base(chunk, base)?;
        let Some(delta) = delta else {
            base.copy(at, out);
            return Ok(());
        };
        let apply = |image: &mut [u8]| {
            delta::apply(base.stamp(), image, &delta).map_err(|what| self.corrupt(chunk, what))
        };
        if out.len() == CHUNK {
            base.copy(0, out);
            return apply(out);
        }
        let mut image = [0; CHUNK];
        base.copy(0, &mut image);
        apply(&mut image)?;
        out.copy_from_slice(&image[at..at + out.len()]);
        Ok(())
    }

    /// The base of a chunk, if there is one.
    pub(super) fn base(&self, chunk: u32) -> Result<Option<Base>, ReadError> {
        let Some(database) = &self.database else { return Ok(None) };
        let value = self.snapshot.get(database, &base_key(chunk))?;
        value.map(|value| self.as_base(chunk, value)).transpose()
    }

    fn as_base(&self, chunk: u32, value: Value) -> Result<Base, ReadError> {
        match value.len() {
            len if len == STAMP || len == STAMP + CHUNK => Ok(Base { value }),
            _ => Err(self.corrupt(chunk, "a base of another length")),
        }
    }

    /// Calls `visit` with the keys of what is there of a chunk and of all behind it: whatever the head says, no more
    /// than that.
    pub(super) fn each_key_from(
        &self,
        chunk: u32,
        mut visit: impl FnMut(&[u8]) -> EnvResult<()>,
    ) -> EnvResult<()> {
        let Some(database) = &self.database else { return Ok(()) };
        let mut cursor = self.snapshot.cursor(database)?;
        let mut is_there = cursor.seek(&base_key(chunk))?;
        while is_there {
            if is_key(cursor.key()) {
                visit(cursor.key())?;
            }
            is_there = cursor.next()?;
        }
        Ok(())
    }
}
