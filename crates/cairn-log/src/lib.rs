//! Records in append-only files: framed, checked, sealed, and found again after a crash.
//!
//! A CairnDB environment *is* a set of log files of three classes ([`FileClass`]), which share one
//! framing. This crate frames records, writes files from front to back ([`LogWriter`]), seals them
//! with a digest, reads records back with every byte checked ([`LogFile`], [`Scanner`]), and decides
//! where the valid part of a journal ends and why ([`tail`]). It never interprets what a record
//! says: the payload of a kind is encoded by the crate that means it.
//!
//! ```
//! use cairn_io::{MemDisk, SyncSite};
//! use cairn_log::{
//!     FileClass, FileHeader, FileNumber, LogWriter, RecordKind, Scan, Scanner, Uuid,
//! };
//!
//! let disk = MemDisk::new();
//! let header = FileHeader::first(FileClass::Node, FileNumber::FIRST, Uuid([1; 16]), Uuid([2; 16]));
//! let mut log = LogWriter::create(&*disk.root(), header, None)?;
//! let lsn = log.append(RecordKind::LEAF, 1, &[b"any ", b"payload"])?;
//! log.write()?;
//! log.sync(SyncSite::new("example.sync"))?;
//!
//! assert_eq!(log.file().read(lsn)?.body, b"any payload");
//! let mut scanner = Scanner::new(log.file(), log.end());
//! while let Scan::Record(record) = scanner.next()? {
//!     println!("{} {} bytes", record.lsn, record.body.len());
//! }
//! # Ok::<(), cairn_log::LogError>(())
//! ```
//!
//! The bytes are specified in `docs/format/log-file.md` and `docs/format/record.md`.
#![forbid(unsafe_code)]

mod audit;
mod buffer;
mod checksum;
mod cipher;
pub mod codec;
mod compressed;
mod derive;
pub mod dump;
mod error;
mod file;
mod frame;
mod header;
mod headless;
mod inset;
mod keys;
pub mod layout;
mod lsn;
mod name;
mod new_file;
#[doc(hidden)]
pub mod nonces;
mod numbered;
mod primitives;
mod scan;
mod seal;
mod sync;
pub mod tail;
mod uuid;
mod writer;

#[doc(hidden)]
pub mod fuzzing;
#[doc(hidden)]
pub use cairn_io::{HUGE_PAGE, give_pages_back, lend_pages, planted, shared};

pub use audit::{Audit, Audited, Spot, audit};
pub use checksum::{FileSeed, crc32c, crc32c_of};
pub use derive::{MacKey, is_same};
pub use error::{Damage, LogError, LogResult};
pub use file::{LogFile, OwnedRecord};
pub use frame::{FRAME_LEN, FrameHeader, NOTHING_DURABLE, RecordKind, StoredAs};
pub use header::{
    FORMAT_VERSION, FORMAT_VERSION_ENCRYPTED, FileEncryption, FileFeatures, FileHeader, HEADER_LEN,
    Predecessor,
};
pub use inset::{Inset, TAG_LEN};
pub use keys::{DataKey, DataKeys, InvalidKeys};
pub use lsn::{FileClass, FileNumber, InvalidLsn, Lsn, Timeline};
pub use name::{LogName, NotALogName};
pub use new_file::NewFile;
pub use numbered::NumberedCipher;
pub use scan::{Record, Scan, Scanner, Stop};
pub use seal::{SEAL_RECORD_LEN, Seal, TAGGED_SEAL_RECORD_LEN, seal_record_len};
pub use uuid::{Digest, InvalidHex, Uuid};
pub use writer::{
    Appender, CommitSpan, Flusher, LogWriter, Payload, Room, Sealed, Spare, check_sealed,
    journal_boundary, write_zeros,
};
