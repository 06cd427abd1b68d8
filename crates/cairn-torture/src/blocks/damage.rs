//! `Damage`: one thing that is done to blocks or files, and what the files hold then.

use std::{borrow::Cow, fmt, ops::Range, sync::Arc};

use cairn_sim::{Chooser as _, Seeded};

use crate::at_rest::Subject;

/// What a disk writes at once, in bytes; the last block of a file may be shorter.
pub(crate) const BLOCK: usize = 512;

/// A block of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) path: Arc<str>,
    pub(crate) number: usize,
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "block {} of {}", self.number, self.path)
    }
}

/// What a damage puts in place of something; the numbers count [`Subject::versions`].
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Each byte is this one.
    Fill(u8),
    /// What stood there before: a write is lost.
    Earlier(usize),
    /// Another part of the same environment or backup.
    Here(Block),
    /// The same of another environment.
    Foreign(Block),
    /// The file of an older backup.
    Older(Arc<str>),
}

/// What is added behind the end of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Growth {
    Zeros,
    Random,
    /// What the file ends with, once more.
    Tail,
}

/// One thing that goes wrong with blocks or files at rest.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    /// A block holds something else.
    Block(Block, Content),
    /// A write of this block went to the second one, over what was there; the first lacks it.
    Misdirected(Block, usize, Option<usize>),
    /// Two blocks of a file are exchanged.
    SwapBlocks(Block, usize),
    /// The file holds something else; of `Content::Here` and `Foreign` the file, not the block.
    File(Arc<str>, Content),
    /// The file ends here.
    Cut(Arc<str>, usize),
    /// So many bytes are added.
    Grown(Arc<str>, Growth, usize),
    /// The file is gone.
    Missing(Arc<str>),
    /// Two files are exchanged.
    SwapFiles(Arc<str>, Arc<str>),
    /// There is a file that was never made, of so many bytes if they are all the same.
    Extra(Arc<str>, Content, usize),
}

/// What a file holds after a damage; `None`: it is not there.
pub(crate) type After = (Arc<str>, Option<Vec<u8>>);

impl Damage {
    /// The row of the table.
    pub(crate) fn row(&self) -> &'static str {
        match self {
            Self::Block(_, Content::Fill(0)) => "block zeroed",
            Self::Block(_, Content::Fill(_)) => "block of ones",
            Self::Block(_, Content::Earlier(_)) => "block as it was earlier: a lost write",
            Self::Block(to, Content::Here(from)) if to.path == from.path => "block twice",
            Self::Block(_, Content::Here(_)) => "block of another file",
            Self::Block(_, Content::Foreign(_) | Content::Older(_)) => {
                "block of another environment"
            }
            Self::Misdirected(..) => "write at a wrong offset",
            Self::SwapBlocks(..) => "two blocks exchanged",
            Self::File(_, Content::Fill(_)) => "file all zeros or ones",
            Self::File(_, Content::Earlier(_)) => "file as it was earlier",
            Self::File(_, Content::Here(_)) => "file in place of another one",
            Self::File(_, Content::Foreign(_)) => "file of another environment",
            Self::File(_, Content::Older(_)) => "file of an older backup",
            Self::Cut(..) => "file cut short",
            Self::Grown(..) => "file grown",
            Self::Missing(_) => "file missing",
            Self::SwapFiles(..) => "two files exchanged",
            Self::Extra(..) => "file too many",
        }
    }

    /// What the damaged files hold. A damage that has no place there changes nothing.
    pub(crate) fn after(&self, subject: &Subject) -> Vec<After> {
        let now = |path: &str| subject.image.read(path).map_or_else(Vec::new, |now| now.to_vec());
        match self {
            Self::Block(to, content) => {
                let mut bytes = now(&to.path);
                put(&mut bytes, to.number, &content.block(subject, to));
                vec![(to.path.clone(), Some(bytes))]
            }
            Self::Misdirected(from, to, earlier) => {
                let mut bytes = now(&from.path);
                let written = bytes[place(from.number, bytes.len())].to_vec();
                let before = earlier.map_or(Content::Fill(0), Content::Earlier);
                put(&mut bytes, from.number, &before.block(subject, from));
                put(&mut bytes, *to, &written);
                vec![(from.path.clone(), Some(bytes))]
            }
            Self::SwapBlocks(one, two) => {
                let mut bytes = now(&one.path);
                let first = bytes[place(one.number, bytes.len())].to_vec();
                let second = bytes[place(*two, bytes.len())].to_vec();
                put(&mut bytes, one.number, &second);
                put(&mut bytes, *two, &first);
                vec![(one.path.clone(), Some(bytes))]
            }
            Self::File(path, content) => {
                vec![(path.clone(), Some(content.file(subject, path, now(path).len())))]
            }
            Self::Cut(path, len) => {
                let mut bytes = now(path);
                bytes.truncate(*len);
                vec![(path.clone(), Some(bytes))]
            }
            Self::Grown(path, growth, by) => {
                let mut bytes = now(path);
                match growth {
                    Growth::Zeros => bytes.resize(bytes.len() + by, 0),
                    Growth::Random => {
                        let mut random = Seeded::new(1).stream(path);
                        let random = (0..*by).map(|_| random.choose(256, "byte"));
                        bytes.extend(random.map(|byte| u8::try_from(byte).unwrap_or(0)));
                    }
                    Growth::Tail => bytes.extend_from_within(bytes.len().saturating_sub(*by)..),
                }
                vec![(path.clone(), Some(bytes))]
            }
            Self::Missing(path) => vec![(path.clone(), None)],
            Self::SwapFiles(one, two) => {
                vec![(one.clone(), Some(now(two))), (two.clone(), Some(now(one)))]
            }
            Self::Extra(path, content, len) => {
                vec![(path.clone(), Some(content.file(subject, path, *len)))]
            }
        }
    }
}

impl Content {
    /// This as a block for `to`.
    fn block(&self, subject: &Subject, to: &Block) -> Vec<u8> {
        let (whole, number) = match self {
            Self::Fill(byte) => return vec![*byte; BLOCK],
            Self::Here(from) | Self::Foreign(from) => {
                (self.file(subject, &to.path, 0), from.number)
            }
            _ => (self.file(subject, &to.path, 0), to.number),
        };
        // What the file did not reach yet reads as zeros.
        let mut block = whole.get(place(number, whole.len())).unwrap_or_default().to_vec();
        block.resize(BLOCK, 0);
        block
    }

    /// This as a whole file; `len` of it if it has no length of its own.
    fn file(&self, subject: &Subject, path: &str, len: usize) -> Vec<u8> {
        let content = match self {
            Self::Fill(byte) => return vec![*byte; len],
            Self::Earlier(version) => {
                subject.versions.get(path).and_then(|versions| versions.get(*version)).cloned()
            }
            Self::Here(from) => subject.image.read(&from.path),
            Self::Foreign(from) => subject.foreign.read(&from.path),
            Self::Older(path) => subject.older.read(path),
        };
        content.map_or_else(Vec::new, |content| content.to_vec())
    }
}

/// Where a block stands in a file of `len` bytes.
pub(crate) fn place(number: usize, len: usize) -> Range<usize> {
    (number * BLOCK).min(len)..((number + 1) * BLOCK).min(len)
}

/// Puts a block into its place, of which a last block may be only a part.
fn put(bytes: &mut [u8], number: usize, block: &[u8]) {
    let place = place(number, bytes.len());
    for (byte, new) in bytes[place].iter_mut().zip(block) {
        *byte = *new;
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fill(byte) => write!(f, "bytes {byte:#04x}"),
            Self::Earlier(version) => write!(f, "its version {version}"),
            Self::Here(from) => write!(f, "{from}"),
            Self::Foreign(from) => write!(f, "{from} of another environment"),
            Self::Older(path) => write!(f, "{path} of an older backup"),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(to, content) => write!(f, "{to} holds {content}"),
            Self::Misdirected(from, to, earlier) => {
                let before = earlier.map_or(Cow::Borrowed("zeros"), |version| {
                    Cow::Owned(format!("its version {version}"))
                });
                write!(f, "{from} was written to block {to}, and holds {before}")
            }
            Self::SwapBlocks(one, two) => write!(f, "{one} is exchanged with block {two}"),
            Self::File(path, content) => write!(f, "{path} holds {content}"),
            Self::Cut(path, len) => write!(f, "{path} is cut at {len}"),
            Self::Grown(path, growth, by) => write!(f, "{path} has {by} bytes more: {growth:?}"),
            Self::Missing(path) => write!(f, "{path} is missing"),
            Self::SwapFiles(one, two) => write!(f, "{one} is exchanged with {two}"),
            Self::Extra(path, content, len) => {
                write!(f, "{path}, never made, holds {content}, {len}")
            }
        }
    }
}
