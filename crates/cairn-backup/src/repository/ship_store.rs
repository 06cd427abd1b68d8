//! How a shipper stores: the parts first, and then, last of all, the segment that makes them count.

use cairn_archive::Compression;
use cairn_env::{EnvError, JournalRange};
use cairn_log::{Digest, FileClass, Timeline, Uuid};

use super::{
    ObjectName, Put, ShipReport, Shipper,
    frames::Damaged,
    layout::MAX_PART,
    names::{PartName, ShortHash},
    point::Part,
    segment::{Segment, SegmentCommits},
    shipper::{Tail, read},
    store::MAX_POINT,
    upload::SHIPPED_COPY,
};
use crate::{BackupError, BackupResult};

impl Shipper {
    /// Stores records from `at` on, and that they count; returns where they end, `None` if somebody else was faster.
    pub(super) fn segment(
        &mut self,
        tail: &mut Tail,
        range: &JournalRange,
        at: u64,
        (environment, is_encrypted, keyring): (Uuid, bool, Option<&[u8]>),
        report: &mut ShipReport,
    ) -> BackupResult<Option<u64>> {
        let span = range.span(at, self.options.segment_bytes.max(1))?;
        let (mut parts, mut whole) = (Vec::new(), blake3::Hasher::new());
        let mut start = at;
        while start < span.end {
            let len = usize::try_from((span.end - start).min(MAX_PART)).unwrap_or(usize::MAX);
            let content = read(range, start, len)?;
            whole.update(&content);
            let part =
                self.part(environment, tail.timeline, range, start, &content, is_encrypted)?;
            report.stored_bytes += part.stored_length;
            start += part.length;
            parts.push(part);
        }
        if Digest(*whole.finalize().as_bytes()) != span.digest {
            let damage = cairn_log::Damage::Digest { by: "when it was read again" };
            return Err(EnvError::from(range.file().corrupt(at, damage)).into());
        }
        let header = range.file().header();
        let commits = span.commits.zip(span.times);
        let commits = commits.map(|((first, last), (first_time, last_time))| SegmentCommits {
            first,
            last,
            first_time,
            last_time,
        });
        let newest = commits.map_or(tail.newest, |commits| (commits.last, commits.last_time));
        let mut writer = [0; 16];
        self.world.random(&mut writer);
        let number = tail.number + 1;
        let segment = Segment {
            created: self.world.wall().0,
            writer: Uuid(writer),
            timeline: tail.timeline,
            file: header.name(),
            directory: header.directory,
            start: at,
            end: span.end,
            follows: range.previous().filter(|_| at == 0).map(|before| (before.file, before.end)),
            interval: tail.interval.unwrap_or(number),
            base: tail.base,
            gap: tail.gap.clone(),
            commits,
            newest,
            // In each of them: whoever reads one may have come from any point, with older keys.
            keyring: keyring.map(<[u8]>::to_vec),
            parts,
            unknown: Vec::new(),
        };
        let Some(hash) = self.publish(environment, number, tail.hash, &segment)? else {
            return Ok(None);
        };
        self.repository.check_fence(environment, tail.timeline)?;
        report.segments += 1;
        report.bytes += segment.bytes();
        self.since_point += segment.bytes();
        *tail = Tail {
            timeline: tail.timeline,
            number,
            hash,
            interval: Some(segment.interval),
            base: segment.base,
            gap: None,
            is_over: None,
            position: Some((header.number, span.end)),
            newest,
        };
        Ok(Some(span.end))
    }

    /// Stores a part, and reads it back. Its name is its own, whoever else has stored the same bytes: so it is in no tomb.
    fn part(
        &self,
        environment: Uuid,
        timeline: Timeline,
        range: &JournalRange,
        start: u64,
        content: &[u8],
        is_encrypted: bool,
    ) -> BackupResult<Part> {
        let store = &self.repository.store;
        let (file, length) = (range.file().header().number, content.len() as u64);
        let (class, hash) = (FileClass::Journal, ShortHash(0));
        let name = PartName { timeline, class, file, start, length, hash };
        let compression = if is_encrypted { Compression::None } else { self.options.compression };
        let mut is_second = false;
        loop {
            let mut random = [0; 4];
            self.world.random(&mut random);
            let copy = u32::from_le_bytes(random) | SHIPPED_COPY;
            let encoded = store.encode_part(environment, name, content, copy, compression)?;
            let part = Part {
                timeline,
                length,
                content: encoded.content,
                stored_length: encoded.bytes.len() as u64,
                stored: encoded.stored,
            };
            let put = store.backend.put(&encoded.name(), &encoded.bytes)?;
            match store.part(environment, encoded.part, &part) {
                // What is in the way stays as it is, as evidence. A second copy has another name.
                Err(BackupError::Object(_)) if put == Put::Existed && !is_second => {
                    is_second = true
                }
                found => return found.map(|_| part),
            }
        }
    }

    /// Stores a segment: from then on it counts. `None` if there is one of somebody else, which is of this journal as well.
    fn publish(
        &mut self,
        environment: Uuid,
        number: u64,
        previous: Digest,
        segment: &Segment,
    ) -> BackupResult<Option<Digest>> {
        let store = &self.repository.store;
        let name = ObjectName::Segment { environment, timeline: segment.timeline, number };
        let bytes = store.encode_segment(environment, number, previous, segment)?;
        // Nobody is told of a segment that could not be read.
        store.decode_segment(name, &bytes)?;
        let put = store.backend.put(&name, &bytes)?;
        if self.is_removed(environment, segment.timeline, number)? {
            return Ok(None);
        }
        let store = &self.repository.store;
        let found = store.whole(name, MAX_POINT)?;
        if found == bytes {
            return Ok(Some(Digest::of(&bytes)));
        }
        if put == Put::Stored {
            let problem = "it was read back as another one than was stored".into();
            return Err(store.damaged(name, Damaged { at: 0, problem }));
        }
        let theirs = store.decode_segment(name, &found)?;
        if is_same(segment, &theirs.segment) && theirs.previous == previous {
            return Ok(Some(theirs.hash));
        }
        self.compare(environment, number, &theirs.segment)?;
        Ok(None)
    }
}

impl Shipper {
    /// Whether anything was removed since it was asked last; then what is known of the repository is asked again.
    pub(super) fn ask_for_tombs(&mut self, environment: Uuid) -> BackupResult<bool> {
        let store = &self.repository.store;
        if let Some(known) = &self.tombs
            && store.is_newest_tombs(environment, known.number)?
        {
            return Ok(false);
        }
        let tombs = store.tombs(environment)?;
        Ok(self.tombs.replace(tombs).is_some())
    }

    /// Whether the number of a segment is one of those that were removed: it was stored too late, and counts for nothing.
    fn is_removed(
        &mut self,
        environment: Uuid,
        timeline: Timeline,
        number: u64,
    ) -> BackupResult<bool> {
        self.ask_for_tombs(environment)?;
        Ok(self.tombs.as_ref().is_some_and(|tombs| number < tombs.first_segment(timeline)))
    }
}

/// Whether two segments hold the same bytes of the same file.
fn is_same(one: &Segment, other: &Segment) -> bool {
    let contents = |segment: &Segment| -> Vec<_> {
        segment.parts.iter().map(|part| (part.length, part.content)).collect()
    };
    let said = |segment: &Segment| {
        let Segment { file, start, end, interval, base, .. } = *segment;
        (file, start, end, interval, base)
    };
    said(one) == said(other) && one.keyring == other.keyring && contents(one) == contents(other)
}
