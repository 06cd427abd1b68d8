//! `Source` and `Sink`: streams that an archive is read from and written to, with a name and a position.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use cairn_io::{File, FileExt, FileRef, IoError, WriteBehind};

use crate::{ArchiveError, ArchiveResult};

/// What an archive is read from.
pub(crate) struct Source<R> {
    stream: R,
    path: PathBuf,
    position: u64,
}

impl<R: Read> Source<R> {
    pub(crate) const fn new(stream: R, path: PathBuf) -> Self {
        Self { stream, path, position: 0 }
    }

    pub(crate) const fn position(&self) -> u64 {
        self.position
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads until `buf` is full or the stream ends; returns how many bytes there were.
    pub(crate) fn read(&mut self, buf: &mut [u8]) -> ArchiveResult<usize> {
        let mut done = 0;
        while done < buf.len() {
            match self.stream.read(&mut buf[done..]) {
                Ok(0) => break,
                Ok(read) => done += read.min(buf.len() - done),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.error(error)),
            }
        }
        self.position += done as u64;
        Ok(done)
    }

    /// Fills `buf` with the next bytes of `what`.
    pub(crate) fn fill(&mut self, buf: &mut [u8], what: &'static str) -> ArchiveResult<()> {
        match self.read(buf)? == buf.len() {
            true => Ok(()),
            false => {
                Err(ArchiveError::Truncated { path: self.path.clone(), at: self.position, what })
            }
        }
    }

    pub(crate) fn error(&self, error: io::Error) -> ArchiveError {
        of_stream(&self.path, error)
    }

    pub(crate) fn damaged(&self, at: u64, what: impl Into<String>) -> ArchiveError {
        ArchiveError::Damaged { path: self.path.clone(), at, what: what.into() }
    }

    pub(crate) fn not_authentic(&self, at: u64) -> ArchiveError {
        ArchiveError::NotAuthentic { path: self.path.clone(), at }
    }
}

/// What an archive is written to.
pub(crate) struct Sink<W> {
    stream: W,
    path: PathBuf,
    written: u64,
    pieces: Vec<Piece>,
}

/// Bytes that were written in one go: how many, and their checksum. By that it is seen when they are read back whether
/// they are the same: who has written them needs no stronger one, and they have a digest for all others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    len: u32,
    crc: u32,
}

impl Piece {
    fn of(bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("no part of a frame has 4 GiB");
        Self { len, crc: cairn_log::crc32c(bytes) }
    }
}

impl<W: Write> Sink<W> {
    pub(crate) const fn new(stream: W, path: PathBuf) -> Self {
        Self { stream, path, written: 0, pieces: Vec::new() }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> ArchiveResult<()> {
        self.stream.write_all(bytes).map_err(|error| of_stream(&self.path, error))?;
        self.written += bytes.len() as u64;
        self.pieces.push(Piece::of(bytes));
        Ok(())
    }

    pub(crate) fn flush(&mut self) -> ArchiveResult<()> {
        self.stream.flush().map_err(|error| of_stream(&self.path, error))
    }

    pub(crate) fn error(&self, error: io::Error) -> ArchiveError {
        of_stream(&self.path, error)
    }
}

impl<W> Sink<W> {
    pub(crate) const fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it was written to, and in which pieces.
    pub(crate) fn into_parts(self) -> (W, Vec<Piece>) {
        (self.stream, self.pieces)
    }
}

/// Reads back what was written in these pieces; calls `progress` with how far it has come. Returns where the first
/// piece is that is not there as it was written; `None` if all are, and nothing else.
pub(crate) fn read_back<R: Read>(
    source: &mut Source<R>,
    pieces: &[Piece],
    mut progress: impl FnMut(u64) -> ArchiveResult<()>,
) -> ArchiveResult<Option<u64>> {
    let mut bytes = Vec::new();
    for piece in pieces {
        let at = source.position();
        let len = piece.len as usize;
        if bytes.len() < len {
            bytes.resize(len, 0);
        }
        let bytes = &mut bytes[..len];
        if source.read(bytes)? < len || cairn_log::crc32c(bytes) != piece.crc {
            return Ok(Some(at));
        }
        progress(source.position())?;
    }
    let end = source.position();
    Ok((source.read(&mut [0])? != 0).then_some(end))
}

/// What a stream said; of a file, what the disk said.
fn of_stream(path: &Path, error: io::Error) -> ArchiveError {
    match error.downcast::<IoError>() {
        Ok(error) => error.into(),
        Err(source) => ArchiveError::Stream { path: path.to_owned(), source },
    }
}

/// A file of a disk, from front to back.
#[derive(Debug)]
pub struct FileStream {
    file: FileRef,
    at: u64,
    behind: WriteBehind,
}

impl FileStream {
    pub(crate) fn new(file: FileRef) -> Self {
        Self { file, at: 0, behind: WriteBehind::default() }
    }

    pub(crate) fn file(&self) -> &dyn File {
        &*self.file
    }
}

impl Read for FileStream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_full_at(self.at, buf).map_err(to_stream)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for FileStream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(self.at, buf).map_err(to_stream)?;
        self.at += buf.len() as u64;
        self.behind.wrote(&*self.file, self.at);
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn to_stream(error: IoError) -> io::Error {
    io::Error::new(error.kind(), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_not_as_it_was_written_is_found_when_it_is_read_back() {
        let mut sink = Sink::new(Vec::new(), PathBuf::new());
        for piece in [&b"head"[..], b"what is stored", b"", b"link"] {
            sink.write(piece).unwrap();
        }
        let (written, pieces) = sink.into_parts();
        let found = |bytes: &[u8]| {
            let mut source = Source::new(bytes, PathBuf::new());
            read_back(&mut source, &pieces, |_| Ok(())).unwrap()
        };
        assert_eq!(found(&written), None);
        for bit in 0..8 * written.len() {
            let mut flipped = written.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(found(&flipped).is_some(), "bit {bit}");
        }
        for len in 0..written.len() {
            assert!(found(&written[..len]).is_some(), "{len} bytes");
        }
        assert_eq!(found(&[&written[..], b"x"].concat()), Some(written.len() as u64));
    }
}
