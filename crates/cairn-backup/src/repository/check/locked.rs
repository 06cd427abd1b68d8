//! An encrypted repository: its keys, and what can be said of all else without them.
//!
//! The head of a statement is for everybody, and so are the indexes: points still name each other, and what each of them
//! needs can be looked at, byte for byte. What only who has the key can read is which parts the shipped segments need:
//! of the parts of journal that no point has, those that are there are compared with the hashes in their names.

use std::collections::BTreeSet;

use cairn_env::Keyring;
use cairn_log::{Digest, Timeline, Uuid};

use super::{Check, Needed};
use crate::{
    BackupError, BackupResult,
    repository::{
        names::{Folder, ObjectName, PartName, ShortHash},
        point::NeededObject,
        statement::{self, StatementKind},
        store::{MAX_POINT, Store},
    },
};

impl Store {
    /// A statement that only who has the key can read: its hash, and that of the one that it names before it, if it
    /// is whole.
    fn locked_statement(
        &self,
        name: ObjectName,
        kind: StatementKind,
        of: (Uuid, u64),
    ) -> BackupResult<(Digest, Digest)> {
        let bytes = self.whole(name, MAX_POINT)?;
        match self.decode_statement(name, kind, of, &bytes) {
            Err(BackupError::RepositoryKeyRequired { .. }) | Ok(_) => {
                Ok((Digest::of(&bytes), statement::previous_of(&bytes)))
            }
            Err(error) => Err(error),
        }
    }

    /// A part of which only the name is known: an error unless it has the hash that begins as that says.
    pub(super) fn named_part(
        &self,
        environment: Uuid,
        part: PartName,
        length: u64,
    ) -> BackupResult<()> {
        let name = ObjectName::Part { environment, part };
        let bytes = self.whole(name, length)?;
        let found = Digest::of(&bytes);
        if ShortHash::of(found) == part.hash {
            return Ok(());
        }
        match self.decode_part(environment, part, &bytes) {
            Err(error @ BackupError::Object(_)) => Err(error),
            _ => Err(self.damaged(name, wrong_name(found))),
        }
    }
}

fn wrong_name(found: Digest) -> crate::repository::frames::Damaged {
    crate::repository::frames::Damaged { at: 0, problem: format!("its hash is {found}") }
}

impl Check<'_> {
    /// Whether the wrapped keys are what they were, both copies.
    pub(super) fn keys(&mut self) -> BackupResult<()> {
        let store = &self.repository.store;
        let repository = store.repository;
        let listed = store.backend.list(&Folder::Keys)?.into_iter();
        let foreign = listed.filter(|listed| Folder::Keys.object(&listed.name).is_none());
        let foreign: Vec<_> = foreign.map(|listed| format!("keys/{}", listed.name)).collect();
        let number = store.newest_keyring_number()?.max(1);
        let copies = [1, 2].map(|copy| store.keyring_copy(number, copy));
        self.report.foreign.extend(foreign);
        let mut whole: Option<Keyring> = None;
        for (copy, keyring) in (1..).zip(copies) {
            let Some(keyring) = self.note(keyring, &[])? else { continue };
            if whole.as_ref().is_some_and(|one| one.encode() != keyring.encode()) {
                let object = ObjectName::Keyring { repository, number, copy };
                self.find(object, Some(0), "it differs from the other copy".into(), Vec::new());
            }
            whole = Some(keyring);
        }
        Ok(())
    }

    /// What there is of an environment, as far as no key is needed.
    pub(super) fn without_key(&mut self, environment: Uuid) -> BackupResult<()> {
        let timelines = self.locked_points(environment)?;
        self.locked_timelines(environment, timelines)?;
        self.locked_segments(environment)?;
        self.locked_proofs(environment)?;
        self.unnamed(environment)
    }

    /// The points, and what they need; returns on which timelines that was stored.
    fn locked_points(&mut self, environment: Uuid) -> BackupResult<BTreeSet<Timeline>> {
        let mut timelines = BTreeSet::new();
        let mut chain = self.chain(environment)?;
        for number in self.repository.store.numbers(environment)? {
            self.report.points += 1;
            let name = ObjectName::Point { environment, number };
            let (store, kind) = (&self.repository.store, StatementKind::Point);
            let read = store.locked_statement(name, kind, (environment, number));
            let read = self.note(read, &[number])?;
            let (hash, named) = read.unzip();
            self.follow(&mut chain, number, hash, named);
            self.locked_index(environment, number, &mut timelines)?;
        }
        self.end_of(&chain);
        Ok(timelines)
    }

    /// What a point needs: what its index says. There may be others, of writers that died.
    fn locked_index(
        &mut self,
        environment: Uuid,
        number: u64,
        timelines: &mut BTreeSet<Timeline>,
    ) -> BackupResult<()> {
        let store = &self.repository.store;
        let folder = Folder::Points(environment);
        let listed = store.backend.list(&folder)?.into_iter();
        let indexes =
            listed.filter_map(|listed| Some((folder.object(&listed.name)?, listed.length)));
        let indexes: Vec<_> = indexes
            .filter(
                |(name, _)| matches!(name, ObjectName::Index { number: of, .. } if *of == number),
            )
            .collect();
        if indexes.is_empty() {
            let object = ObjectName::Point { environment, number };
            self.find(object, None, "its index is missing".into(), vec![number]);
        }
        for (name, length) in indexes {
            let index = self.repository.store.named_index(name, length.unwrap_or(0));
            let Some(objects) = self.note(index, &[number])? else { continue };
            for NeededObject { name, stored_length, stored } in objects {
                let points = Vec::new();
                let needed =
                    self.objects.entry(name).or_insert(Needed { stored_length, stored, points });
                if !needed.points.contains(&number) {
                    needed.points.push(number);
                }
                // Where a timeline came from is stored before the first of its points.
                if let ObjectName::Part { part, .. } = name {
                    timelines.insert(part.timeline);
                }
            }
        }
        Ok(())
    }

    fn locked_timelines(
        &mut self,
        environment: Uuid,
        mut timelines: BTreeSet<Timeline>,
    ) -> BackupResult<()> {
        let folder = Folder::Timelines(environment);
        for listed in self.repository.store.backend.list(&folder)? {
            match folder.object(&listed.name) {
                Some(ObjectName::Timeline { timeline, .. }) => drop(timelines.insert(timeline)),
                Some(name @ ObjectName::Fence { timeline, .. }) => {
                    let (store, of) = (&self.repository.store, (environment, timeline.0.into()));
                    let read = store.locked_statement(name, StatementKind::Fence, of);
                    self.note(read, &[])?;
                }
                _ => {}
            }
        }
        for timeline in timelines {
            let name = ObjectName::Timeline { environment, timeline };
            let (store, of) = (&self.repository.store, (environment, timeline.0.into()));
            let read = store.locked_statement(name, StatementKind::Timeline, of);
            self.note(read, &[])?;
        }
        Ok(())
    }

    fn locked_segments(&mut self, environment: Uuid) -> BackupResult<()> {
        let above = Folder::SegmentTimelines(environment);
        for listed in self.repository.store.backend.list(&above)? {
            match Folder::timeline(&listed.name) {
                Some(timeline) => self.locked_segments_of(environment, timeline)?,
                None => self.report.foreign.push(format!("{above}/{}", listed.name)),
            }
        }
        Ok(())
    }

    fn locked_segments_of(&mut self, environment: Uuid, timeline: Timeline) -> BackupResult<()> {
        let folder = Folder::Segments(environment, timeline);
        let listed = self.repository.store.backend.list(&folder)?.into_iter();
        let foreign = listed.filter(|listed| folder.object(&listed.name).is_none());
        let foreign = foreign.map(|listed| format!("{folder}/{}", listed.name));
        self.report.foreign.extend(foreign);
        let newest = self.repository.store.newest_segment(environment, timeline)?;
        let first = self.repository.store.first_segment(environment, timeline)?.max(1);
        let mut before = Some(Digest([0; 32])).filter(|_| first == 1);
        for number in first..=newest {
            let (store, kind) = (&self.repository.store, StatementKind::Segment);
            let name = ObjectName::Segment { environment, timeline, number };
            let read = store.locked_statement(name, kind, (environment, number));
            let hash = self.note(read, &[])?;
            if let (Some(before), Some((_, said))) = (before, hash)
                && before != said
            {
                let problem = format!("it goes on from {said}, the segment before is {before}");
                self.find(name, Some(0), problem, Vec::new());
            }
            before = hash.map(|(hash, _)| hash);
            self.report.segments += 1;
        }
        Ok(())
    }

    fn locked_proofs(&mut self, environment: Uuid) -> BackupResult<()> {
        for name in self.repository.store.proof_names(environment)? {
            let ObjectName::Proof { point, hash, .. } = name else { continue };
            let (store, kind) = (&self.repository.store, StatementKind::Proof);
            let read = store.locked_statement(name, kind, (environment, point));
            let Some((found, _)) = self.note(read, &[point])? else { continue };
            if ShortHash::of(found) != hash {
                self.find(name, Some(0), format!("its hash is {found}"), vec![point]);
            }
        }
        for name in self.repository.store.drill_names(environment)? {
            let ObjectName::Drill { point, hash, .. } = name else { continue };
            let (store, kind) = (&self.repository.store, StatementKind::Drill);
            let read = store.locked_statement(name, kind, (environment, point));
            let Some((found, _)) = self.note(read, &[point])? else { continue };
            if ShortHash::of(found) != hash {
                self.find(name, Some(0), format!("its hash is {found}"), vec![point]);
            }
        }
        for number in self.repository.store.rotation_numbers(environment)? {
            let (store, kind) = (&self.repository.store, StatementKind::Rotation);
            let name = ObjectName::Rotation { environment, number };
            let read = store.locked_statement(name, kind, (environment, number));
            self.note(read, &[])?;
        }
        Ok(())
    }

    /// Takes note of the parts of journal that no index names: they may be of segments.
    fn unnamed(&mut self, environment: Uuid) -> BackupResult<()> {
        let backend = &self.repository.store.backend;
        for listed in backend.list(&Folder::LogTimelines(environment))? {
            let Some(timeline) = Folder::timeline(&listed.name) else { continue };
            let folder = Folder::Log(environment, timeline);
            for listed in backend.list(&folder)? {
                let object = folder.object(&listed.name).zip(listed.length);
                let Some((ObjectName::Part { part, .. }, length)) = object else { continue };
                let name = ObjectName::Part { environment, part };
                if !self.objects.contains_key(&name) {
                    self.unnamed.push((environment, part, length));
                }
            }
        }
        Ok(())
    }
}
