//! `FrameQueue`: frames are written by whoever has time for it.
//!
//! To make a frame is to read entries and to hash them; to write it is to compress, encrypt and hash it, and to hand it to
//! the disk. Either takes about as long, so a worker of the world writes while the next frame is made. It is a patient
//! one, which leaves the processor to who else wants it, such as who commits meanwhile: so when too many frames wait,
//! who makes them writes one himself. A simulation, which steps no worker here, and a world that has no thread to
//! give are only slower.
//!
//! Frames are taken from the queue by who holds the writer, so they are written in the order in which they were made.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use cairn_io::{Step, Worker, WorkerHandle, WorldRef};

use crate::{ArchiveError, ArchiveResult, frame::FrameWriter, sync::lock};

/// So many frames wait at most.
const MOST: usize = 4;

/// Frames on their way to a writer.
pub(crate) struct FrameQueue<W> {
    shared: Arc<Shared<W>>,
    world: Option<WorldRef>,
    worker: Option<WorkerHandle>,
}

/// Locks are taken in this order: the writer, what waits.
struct Shared<W> {
    writer: Mutex<Option<FrameWriter<W>>>,
    waiting: Mutex<Waiting>,
    written: AtomicU64,
    path: PathBuf,
}

#[derive(Default)]
struct Waiting {
    frames: VecDeque<Frame>,
    /// Memory of frames that were written.
    spare: Vec<Vec<u8>>,
    /// Why nothing more is written.
    failed: Option<ArchiveError>,
}

struct Frame {
    kind: u8,
    database: u16,
    content: Vec<u8>,
}

impl<W: Write + Send + 'static> FrameQueue<W> {
    /// Frames for `writer`, on threads of a world if one is given.
    pub(crate) fn new(writer: FrameWriter<W>, world: Option<WorldRef>) -> Self {
        let (written, path) = (writer.written().into(), writer.path().to_owned());
        let writer = Mutex::new(Some(writer));
        let shared = Shared { writer, waiting: Mutex::default(), written, path };
        Self { shared: Arc::new(shared), world, worker: None }
    }

    /// The next frame. Returns memory for the one after it.
    ///
    /// # Errors
    /// If this one, or one before it, could not be written.
    pub(crate) fn put(
        &mut self,
        kind: u8,
        database: u16,
        content: Vec<u8>,
    ) -> ArchiveResult<Vec<u8>> {
        let (spare, is_full) = {
            let mut waiting = lock(&self.shared.waiting);
            waiting.frames.push_back(Frame { kind, database, content });
            (waiting.spare.pop(), waiting.frames.len() >= MOST)
        };
        match &self.worker {
            Some(worker) => worker.wake(),
            // What is small is written before a thread is there.
            None if is_full => self.start(),
            None => {}
        }
        while lock(&self.shared.waiting).frames.len() > MOST {
            self.shared.write_next();
        }
        self.shared.check()?;
        Ok(spare.unwrap_or_default())
    }

    fn start(&mut self) {
        let Some(world) = self.world.take() else { return };
        // Without a thread all is written here.
        self.worker = world.start(Box::new(FrameWorker(Arc::clone(&self.shared)))).ok();
    }

    /// Bytes of the archive that were written.
    pub(crate) fn written(&self) -> u64 {
        self.shared.written.load(Ordering::Relaxed)
    }

    /// The writer, which has written all frames.
    ///
    /// # Errors
    /// If one of them could not be written.
    pub(crate) fn finish(self) -> ArchiveResult<FrameWriter<W>> {
        let Self { shared, worker, .. } = self;
        while shared.write_next() {}
        drop(worker); // which may have panicked at the end
        shared.check()?;
        lock(&shared.writer).take().ok_or_else(|| shared.gone("it has no writer any more"))
    }
}

impl<W: Write> Shared<W> {
    /// Writes the frame that was made first; returns whether there was one.
    fn write_next(&self) -> bool {
        let mut writer = lock(&self.writer);
        let (Some(writer), Some(frame)) = (&mut *writer, lock(&self.waiting).frames.pop_front())
        else {
            return false;
        };
        let Frame { kind, database, mut content } = frame;
        let written = writer.write(kind, database, &content);
        self.written.store(writer.written(), Ordering::Relaxed);
        content.clear();
        match written {
            Ok(()) => lock(&self.waiting).spare.push(content),
            Err(error) => self.fail(error),
        }
        true
    }

    /// Nothing more is written; the first reason is that.
    fn fail(&self, error: ArchiveError) {
        let mut waiting = lock(&self.waiting);
        waiting.failed.get_or_insert(error);
        waiting.frames.clear();
    }

    /// An error if something could not be written, once.
    fn check(&self) -> ArchiveResult<()> {
        lock(&self.waiting).failed.take().map_or(Ok(()), Err)
    }

    fn gone(&self, why: &str) -> ArchiveError {
        ArchiveError::Stream { path: self.path.clone(), source: io::Error::other(why.to_owned()) }
    }
}

/// Writes frames beside who makes them.
struct FrameWorker<W>(Arc<Shared<W>>);

impl<W: Write + Send> Worker for FrameWorker<W> {
    fn name(&self) -> &'static str {
        "cairn-archive"
    }

    fn is_patient(&self) -> bool {
        true
    }

    fn step(&mut self) -> Step {
        match self.0.write_next() {
            true => Step::Did,
            false => Step::Idle(None),
        }
    }

    fn panicked(&mut self, message: &str) {
        // The frame that it had is lost, so none may follow.
        lock(&self.0.writer).take();
        self.0.fail(self.0.gone(&format!("writing it has panicked: {message}")));
    }
}

#[cfg(test)]
mod tests {
    use cairn_io::RealWorld;

    use super::*;
    use crate::{Compression, layout::ENTRIES, source::Sink};

    /// Bytes in memory; what is beyond a length fails, and a thread of a worker can panic.
    #[derive(Default)]
    struct Stream {
        bytes: Vec<u8>,
        room: Option<usize>,
        panics_beside: bool,
    }

    impl Write for Stream {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            let is_beside = std::thread::current().name() == Some("cairn-archive");
            assert!(!(self.panics_beside && is_beside), "as the test says");
            if self.room.is_some_and(|room| self.bytes.len() + buf.len() > room) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.bytes.extend_from_slice(buf);
            Ok(buf.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn threads() -> Option<WorldRef> {
        Some(Arc::new(RealWorld::new()))
    }

    fn written(stream: Stream, world: Option<WorldRef>) -> ArchiveResult<Vec<u8>> {
        let sink = Sink::new(stream, PathBuf::from("archive"));
        let writer = FrameWriter::new(sink, b"beginning", None, Compression::None)?;
        let (mut queue, mut content) = (FrameQueue::new(writer, world), Vec::new());
        for n in 0..200u16 {
            content.extend_from_slice(&n.to_le_bytes().repeat(1 + usize::from(n)));
            content = queue.put(ENTRIES, n, content)?;
            assert!(content.is_empty());
        }
        Ok(queue.finish()?.finish()?.1.into_parts().0.bytes)
    }

    #[test]
    fn frames_are_written_in_their_order_whoever_does_it() {
        let alone = written(Stream::default(), None).unwrap();
        for _ in 0..20 {
            assert!(written(Stream::default(), threads()).unwrap() == alone);
        }
    }

    #[test]
    fn what_cannot_be_written_is_told_whoever_meets_it() {
        let len = written(Stream::default(), None).unwrap().len();
        for room in (50..len).step_by(997) {
            for world in [None, threads()] {
                let stream = Stream { room: Some(room), ..Stream::default() };
                let error = written(stream, world).unwrap_err();
                let ArchiveError::Stream { source, .. } = &error else { panic!("{error}") };
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            }
        }
    }

    /// It may also come too late to write anything.
    #[test]
    fn a_thread_that_panics_is_an_error_and_leaves_nobody_waiting() {
        let all = written(Stream::default(), None).unwrap();
        for _ in 0..20 {
            let stream = Stream { panics_beside: true, ..Stream::default() };
            match written(stream, threads()) {
                Ok(bytes) => assert!(bytes == all),
                Err(error) => assert!(matches!(error, ArchiveError::Stream { .. }), "{error}"),
            }
        }
    }
}
