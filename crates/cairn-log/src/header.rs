//! The file header: identity of a file, and its link to the journal file before it.

use std::path::Path;

use crate::{
    Damage, Digest, FileClass, FileNumber, LogError, LogName, LogResult, Timeline, Uuid, crc32c,
    error::foreign_environment,
    layout::{Field, file_header as layout},
};

/// Bytes of the block at the beginning of a log file; the first record stands after it.
pub const HEADER_LEN: u64 = layout::LEN as u64;

/// The version of files that are not encrypted.
pub const FORMAT_VERSION: u16 = 1;

/// The version of encrypted files. An older reader refuses them by it.
pub const FORMAT_VERSION_ENCRYPTED: u16 = 2;

/// AES-256-GCM, the only algorithm so far.
const ALGORITHM: u64 = 1;

const MAGIC: &[u8; 8] = b"CAIRNLOG";

/// Where the journal file before this one ended, and what it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct Predecessor {
    /// Its number.
    pub file: FileNumber,
    /// The data directory in which it lies.
    pub directory: u16,
    /// Its end: what lies beyond does not count, whatever it is.
    pub end: u64,
    /// The last commit number in it or before it.
    pub last_sequence: u64,
    /// The digest of its bytes up to that end. Since these include its own header, each journal
    /// file vouches for all before it.
    pub chain: Digest,
}

/// What the header of an encrypted file says of its encryption: nothing that is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct FileEncryption {
    /// The epoch of the data key from which the file's keys are derived; at least 1.
    pub epoch: u32,
    /// Random: so each file has keys of its own, whatever else is the same.
    pub salt: [u8; 32],
    /// The uuid of the preceding journal file, or zeros.
    pub previous: Uuid,
    /// The code that vouches for the header.
    pub mac: [u8; 32],
}

/// Identity and history of a log file, from the block at its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the file format")]
pub struct FileHeader {
    /// The class.
    pub class: FileClass,
    /// The number.
    pub number: FileNumber,
    /// The data directory; 0 is the environment's root.
    pub directory: u16,
    /// The environment that the file belongs to.
    pub environment: Uuid,
    /// The file itself: random, so no two files share it, and checksums are bound to it.
    pub file: Uuid,
    /// The timeline on which the file was begun.
    pub timeline: Timeline,
    /// How many times the environment had been opened for writing.
    pub incarnation: u64,
    /// The generation directory in which the file was begun.
    pub generation: u32,
    /// When, in microseconds since 1970: for people.
    pub created: u64,
    /// The commit number of the first commit record that may follow (journal).
    pub first_sequence: u64,
    /// The journal file before this one.
    pub previous: Option<Predecessor>,
    /// The length up to which the file may grow (journal), else 0.
    pub capacity: u64,
    /// Upper limit of the bytes that may be written and not yet durable (journal), else 0.
    pub max_unsynced: u64,
    /// Features that a reader must know.
    pub features: FileFeatures,
    /// How the file is encrypted, if it is.
    pub encryption: Option<FileEncryption>,
}

/// Bits of features of a log file that a reader must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileFeatures(u64);

impl FileFeatures {
    /// None: any version reads the file.
    pub const NONE: Self = Self(0);

    /// Checkpoint records of the file may have a tree digest. An older version would take them for damaged.
    pub const TREE_DIGEST: Self = Self(1);

    /// Leaves may stand in the file as deltas, of bases in any file. An older version would take them for no nodes.
    pub const LEAF_DELTAS: Self = Self(2);

    /// Nodes may stand in the file compressed. An older version would take them for damaged.
    pub const COMPRESSED_NODES: Self = Self(4);

    /// Those of a file that this version begins; in a node file with `compressed` nodes, of those as well.
    #[must_use]
    pub const fn of_new(class: FileClass, compressed: bool) -> Self {
        match class {
            FileClass::Node => {
                let compressed = if compressed { Self::COMPRESSED_NODES.0 } else { 0 };
                Self(Self::TREE_DIGEST.0 | Self::LEAF_DELTAS.0 | compressed)
            }
            FileClass::Journal | FileClass::Value => Self::NONE,
        }
    }

    /// Whether those of `other` are among them.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether this version knows them in files of a class.
    const fn are_known(self, class: FileClass) -> bool {
        self.0 & !Self::of_new(class, true).0 == 0
    }
}

impl FileHeader {
    /// A header of a first file of its class, with the usual values in all other fields.
    #[must_use]
    pub const fn first(
        class: FileClass,
        number: FileNumber,
        environment: Uuid,
        file: Uuid,
    ) -> Self {
        Self {
            class,
            number,
            directory: 0,
            environment,
            file,
            timeline: Timeline::FIRST,
            incarnation: 1,
            generation: 1,
            created: 0,
            first_sequence: 0,
            previous: None,
            capacity: 0,
            max_unsynced: 0,
            features: FileFeatures::NONE,
            encryption: None,
        }
    }

    /// The name of the file.
    #[must_use]
    pub const fn name(&self) -> LogName {
        LogName::new(self.class, self.number, self.timeline)
    }

    /// The block's bytes.
    #[must_use]
    pub fn encode(&self) -> Box<[u8; layout::LEN]> {
        let mut block = Box::new([0; layout::LEN]);
        let bytes = &mut block[..];
        layout::MAGIC.set_bytes(bytes, MAGIC);
        let previous = self.previous;
        let version = match self.encryption {
            None => FORMAT_VERSION,
            Some(_) => FORMAT_VERSION_ENCRYPTED,
        };
        let numbers: &[(Field, u64)] = &[
            (layout::VERSION, version.into()),
            (layout::ALGORITHM, self.encryption.map_or(0, |_| ALGORITHM)),
            (layout::KEY_EPOCH, self.encryption.map_or(0, |encryption| encryption.epoch.into())),
            (layout::CLASS, self.class.code().into()),
            (layout::DIRECTORY, self.directory.into()),
            (layout::NUMBER, self.number.get().into()),
            (layout::TIMELINE, self.timeline.0.into()),
            (layout::INCARNATION, self.incarnation),
            (layout::GENERATION, self.generation.into()),
            (layout::CREATED, self.created),
            (layout::FIRST_SEQUENCE, self.first_sequence),
            (layout::PREVIOUS_FILE, previous.map_or(0, |p| p.file.get().into())),
            (layout::PREVIOUS_DIRECTORY, previous.map_or(0, |p| p.directory.into())),
            (layout::PREVIOUS_END, previous.map_or(0, |p| p.end)),
            (layout::PREVIOUS_SEQUENCE, previous.map_or(0, |p| p.last_sequence)),
            (layout::CAPACITY, self.capacity),
            (layout::UNSYNCED, self.max_unsynced),
            (layout::FEATURES, self.features.0),
        ];
        for (field, value) in numbers {
            field.set_number(bytes, *value);
        }
        layout::ENVIRONMENT.set_bytes(bytes, &self.environment.0);
        layout::FILE.set_bytes(bytes, &self.file.0);
        if let Some(previous) = previous {
            layout::CHAIN.set_bytes(bytes, &previous.chain.0);
        }
        if let Some(encryption) = self.encryption {
            layout::SALT.set_bytes(bytes, &encryption.salt);
            layout::PREVIOUS_UUID.set_bytes(bytes, &encryption.previous.0);
            layout::MAC.set_bytes(bytes, &encryption.mac);
        }
        let crc = crc32c(&bytes[..layout::CRC.offset]);
        layout::CRC.set_number(bytes, crc.into());
        block
    }

    /// The bytes that the header's code vouches for.
    pub(crate) fn authenticated(&self) -> Box<[u8; layout::LEN]> {
        let mut block = self.encode();
        for field in [layout::MAC, layout::CRC] {
            block[field.range()].fill(0);
        }
        block
    }

    /// Decodes the block of the file at `path`.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a block that is no header or was damaged; [`LogError::Unsupported`] for
    /// an intact header of a newer version or with unknown features.
    pub fn decode(block: &[u8], path: &Path) -> LogResult<Self> {
        let damaged = |damage| LogError::corrupt(path, 0, damage);
        if block.len() < layout::LEN {
            let (len, expected) = (block.len() as u64, HEADER_LEN);
            return Err(damaged(Damage::Truncated { len, expected }));
        }
        if layout::MAGIC.of(block) != MAGIC {
            return Err(damaged(Damage::Magic));
        }
        // Magic, version and checksum keep their places in all versions, so that a damaged header
        // is never taken for a newer one.
        let expected = crc32c(&block[..layout::CRC.offset]);
        let found = layout::CRC.number(block);
        if u64::from(expected) != found {
            let found = u32::try_from(found).unwrap_or_default();
            return Err(damaged(Damage::FileHeaderChecksum { expected, found }));
        }
        let unsupported =
            |needs: String| Err(LogError::Unsupported { path: path.to_owned(), needs });
        let version = layout::VERSION.number(block);
        let encrypted = version == u64::from(FORMAT_VERSION_ENCRYPTED);
        if version != u64::from(FORMAT_VERSION) && !encrypted {
            return unsupported(format!("log format {version}"));
        }
        let (algorithm, epoch) = (layout::ALGORITHM.number(block), layout::KEY_EPOCH.number(block));
        if algorithm > ALGORITHM || !encrypted && (algorithm != 0 || epoch != 0) {
            return unsupported(format!("encryption algorithm {algorithm}"));
        }
        let features = layout::FEATURES.number(block);
        // Of a class that makes no sense all features are known, so that the class is what is named.
        let class = u8::try_from(layout::CLASS.number(block)).ok().and_then(FileClass::from_code);
        if class.is_some_and(|class| !FileFeatures(features).are_known(class)) {
            return unsupported(format!("format features {features:#x}"));
        }
        Self::fields(block).map_err(|field| damaged(Damage::FileHeaderField { field: field.name }))
    }

    /// The fields of an intact block, or the one that makes no sense.
    fn fields(block: &[u8]) -> Result<Self, Field> {
        let is_zero = |field: Field| field.of(block).iter().all(|&byte| byte == 0);
        let zeros = [layout::RESERVED, layout::RESERVED_2, layout::PADDING];
        if let Some(field) = zeros.into_iter().find(|field| !is_zero(*field)) {
            return Err(field);
        }
        let u16_of = |field: Field| u16::try_from(field.number(block)).map_err(|_| field);
        let u32_of = |field: Field| u32::try_from(field.number(block)).map_err(|_| field);
        let uuid = |field: Field| field.of(block).try_into().map(Uuid).map_err(|_| field);
        let file_of = |field| Ok::<_, Field>(FileNumber::new(u32_of(field)?));
        let class = u8::try_from(layout::CLASS.number(block)).ok().and_then(FileClass::from_code);
        let previous = match file_of(layout::PREVIOUS_FILE)? {
            None => {
                // Nothing may be said of a file that there is not: one header has one encoding.
                let others = [
                    layout::PREVIOUS_DIRECTORY,
                    layout::PREVIOUS_END,
                    layout::PREVIOUS_SEQUENCE,
                    layout::CHAIN,
                    layout::PREVIOUS_UUID,
                ];
                match others.into_iter().find(|field| !is_zero(*field)) {
                    Some(field) => return Err(field),
                    None => None,
                }
            }
            Some(file) => Some(Predecessor {
                file,
                directory: u16_of(layout::PREVIOUS_DIRECTORY)?,
                end: layout::PREVIOUS_END.number(block),
                last_sequence: layout::PREVIOUS_SEQUENCE.number(block),
                chain: layout::CHAIN.of(block).try_into().map(Digest).map_err(|_| layout::CHAIN)?,
            }),
        };
        let encrypted = layout::VERSION.number(block) == u64::from(FORMAT_VERSION_ENCRYPTED);
        let encryption = if encrypted {
            let array = |field: Field| field.of(block).try_into().map_err(|_| field);
            if is_zero(layout::ALGORITHM) {
                return Err(layout::ALGORITHM);
            }
            if is_zero(layout::KEY_EPOCH) {
                return Err(layout::KEY_EPOCH);
            }
            Some(FileEncryption {
                epoch: u32_of(layout::KEY_EPOCH)?,
                salt: array(layout::SALT)?,
                previous: uuid(layout::PREVIOUS_UUID)?,
                mac: array(layout::MAC)?,
            })
        } else {
            let others = [layout::SALT, layout::PREVIOUS_UUID, layout::MAC];
            if let Some(field) = others.into_iter().find(|field| !is_zero(*field)) {
                return Err(field);
            }
            None
        };
        Ok(Self {
            class: class.ok_or(layout::CLASS)?,
            number: file_of(layout::NUMBER)?.ok_or(layout::NUMBER)?,
            directory: u16_of(layout::DIRECTORY)?,
            environment: uuid(layout::ENVIRONMENT)?,
            file: uuid(layout::FILE)?,
            timeline: Timeline(u32_of(layout::TIMELINE)?),
            incarnation: layout::INCARNATION.number(block),
            generation: u32_of(layout::GENERATION)?,
            created: layout::CREATED.number(block),
            first_sequence: layout::FIRST_SEQUENCE.number(block),
            previous,
            capacity: layout::CAPACITY.number(block),
            max_unsynced: layout::UNSYNCED.number(block),
            features: FileFeatures(layout::FEATURES.number(block)),
            encryption,
        })
    }

    /// Checks that the header belongs to the file name and environment under which it was found.
    ///
    /// # Errors
    /// [`LogError::Foreign`], naming the first part that differs.
    pub fn check_place(&self, path: &Path, name: LogName, environment: Uuid) -> LogResult<()> {
        if self.environment != environment {
            return Err(foreign_environment(path, environment, self.environment));
        }
        if self.class != name.class {
            return Err(LogError::foreign(path, "the class", name.class, self.class));
        }
        if self.number != name.number {
            return Err(LogError::foreign(path, "the file number", name.number, self.number));
        }
        if let Some(timeline) = name.timeline.filter(|timeline| *timeline != self.timeline) {
            return Err(LogError::foreign(path, "the timeline", timeline, self.timeline));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> FileHeader {
        FileHeader {
            directory: 3,
            timeline: Timeline(5),
            incarnation: 6,
            generation: 7,
            created: 8,
            first_sequence: 9,
            previous: Some(Predecessor {
                file: FileNumber::FIRST,
                directory: 2,
                end: 4321,
                last_sequence: 8,
                chain: Digest::of(b"x"),
            }),
            capacity: 64 << 20,
            max_unsynced: 16 << 20,
            ..FileHeader::first(
                FileClass::Journal,
                FileNumber::new(4).unwrap(),
                Uuid([1; 16]),
                Uuid([2; 16]),
            )
        }
    }

    #[test]
    fn a_header_survives_its_bytes() {
        let path = Path::new("x");
        let header = example();
        assert_eq!(FileHeader::decode(&header.encode()[..], path).unwrap(), header);
        let first = FileHeader { previous: None, ..header };
        assert_eq!(FileHeader::decode(&first.encode()[..], path).unwrap(), first);
        let encrypted = encrypted();
        assert_eq!(FileHeader::decode(&encrypted.encode()[..], path).unwrap(), encrypted);
    }

    #[test]
    fn a_feature_counts_in_files_of_its_class_only() {
        let path = Path::new("x");
        for (class, is_known) in
            [(FileClass::Node, true), (FileClass::Journal, false), (FileClass::Value, false)]
        {
            for (features, name) in [
                (FileFeatures::TREE_DIGEST, "0x1"),
                (FileFeatures::LEAF_DELTAS, "0x2"),
                (FileFeatures::COMPRESSED_NODES, "0x4"),
            ] {
                let header = FileHeader { class, features, ..example() };
                match FileHeader::decode(&header.encode()[..], path) {
                    Ok(decoded) => assert!(is_known && decoded == header),
                    Err(LogError::Unsupported { needs, .. }) => {
                        assert!(!is_known && needs == format!("format features {name}"));
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    fn encrypted() -> FileHeader {
        let (salt, mac) = ([6; 32], [7; 32]);
        let encryption = FileEncryption { epoch: 5, salt, previous: Uuid([8; 16]), mac };
        FileHeader { encryption: Some(encryption), ..example() }
    }

    #[test]
    fn each_flipped_bit_and_each_truncation_is_refused() {
        each_flip_and_truncation_is_refused(&example());
        each_flip_and_truncation_is_refused(&encrypted());
    }

    fn each_flip_and_truncation_is_refused(header: &FileHeader) {
        let path = Path::new("x");
        let block = header.encode();
        for bit in 0..layout::LEN * 8 {
            let mut flipped = block.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileHeader::decode(&flipped[..], path).is_err(), "bit {bit}");
        }
        for len in 0..layout::LEN {
            assert!(FileHeader::decode(&block[..len], path).is_err(), "length {len}");
        }
    }

    /// Changes a field and makes the checksum right again, as a newer version would.
    fn with(header: &FileHeader, field: Field, value: u64) -> Box<[u8; layout::LEN]> {
        let mut block = header.encode();
        field.set_number(&mut block[..], value);
        let crc = crc32c(&block[..layout::CRC.offset]);
        layout::CRC.set_number(&mut block[..], crc.into());
        block
    }

    #[test]
    fn a_newer_file_is_unsupported_and_an_impossible_one_is_damaged() {
        let path = Path::new("x");
        let error_of = |header: &FileHeader, field, value| {
            FileHeader::decode(&with(header, field, value)[..], path).unwrap_err()
        };
        let error = |field, value| error_of(&example(), field, value);
        for (field, value) in [
            (layout::VERSION, 3),
            (layout::ALGORITHM, 1),
            (layout::KEY_EPOCH, 1),
            (layout::FEATURES, 1 << 40),
        ] {
            assert!(matches!(error(field, value), LogError::Unsupported { .. }), "{}", field.name);
        }
        for (field, value) in
            [(layout::VERSION, 2), (layout::CLASS, 9), (layout::NUMBER, 0), (layout::RESERVED, 1)]
        {
            assert!(matches!(error(field, value), LogError::Corrupt { .. }), "{}", field.name);
        }
        let error = |field, value| error_of(&encrypted(), field, value);
        assert!(matches!(error(layout::ALGORITHM, 2), LogError::Unsupported { .. }));
        for (field, value) in [(layout::VERSION, 1), (layout::ALGORITHM, 0), (layout::KEY_EPOCH, 0)]
        {
            assert!(
                matches!(
                    error(field, value),
                    LogError::Corrupt { .. } | LogError::Unsupported { .. }
                ),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn a_file_under_another_name_or_environment_is_named() {
        let path = Path::new("x");
        let header = example();
        assert!(header.check_place(path, header.name(), header.environment).is_ok());
        let other = LogName { number: FileNumber::FIRST, ..header.name() };
        let message = |error: LogError| error.to_string();
        assert_eq!(
            message(header.check_place(path, other, header.environment).unwrap_err()),
            "x belongs elsewhere: the file number is 00000004, expected 00000001"
        );
        assert!(header.check_place(path, header.name(), Uuid([9; 16])).is_err());
        let fork = LogName { timeline: Some(Timeline(1)), ..header.name() };
        assert!(header.check_place(path, fork, header.environment).is_err());
    }

    #[test]
    fn what_is_said_of_no_previous_file_is_refused() {
        let header = FileHeader { previous: None, ..example() };
        let path = Path::new("test");
        assert!(FileHeader::decode(&header.encode()[..], path).is_ok());
        for field in [layout::PREVIOUS_DIRECTORY, layout::PREVIOUS_END, layout::PREVIOUS_SEQUENCE] {
            let mut block = header.encode();
            field.set_number(&mut block[..], 1);
            let crc = crc32c(&block[..layout::CRC.offset]);
            layout::CRC.set_number(&mut block[..], crc.into());
            let error = FileHeader::decode(&block[..], path).unwrap_err().to_string();
            assert!(error.to_lowercase().contains(&field.name.to_lowercase()), "{error}");
        }
    }
}
