//! Backups beside somebody who removes points: neither waits for the other, and what counts is whole.

use cairn_env::{EnvError, ErrorKind};
use cairn_log::{Digest, Uuid};

use super::tombs::{TombStage, Tombs};
use crate::{
    BackupError, BackupResult,
    repository::{Point, Repository},
};

impl Repository {
    /// The tombs that count, none of them closing: one that is goes back to waiting, so that who deletes it looks again
    /// for points that need what is in it.
    pub(crate) fn unclosed_tombs(&self, environment: Uuid) -> BackupResult<Tombs> {
        loop {
            let tombs = self.store.tombs(environment)?;
            if tombs.tombs.iter().all(|tomb| tomb.stage != TombStage::Closing) {
                return Ok(tombs);
            }
            let mut next = self.next_tombs(&tombs);
            let closing = next.tombs.iter_mut().filter(|tomb| tomb.stage == TombStage::Closing);
            closing.for_each(|tomb| tomb.stage = TombStage::Waiting);
            match self.store.put_tombs(environment, next) {
                // Somebody else has stored the next ones: these count now.
                Err(BackupError::Env(EnvError::Busy { .. })) => {}
                put => return put,
            }
        }
    }

    /// Whether what was stored as a point with this number came too late, so that it is none.
    pub(crate) fn is_burnt(
        &self,
        environment: Uuid,
        (number, point): (u64, &[u8]),
        seen: &Tombs,
    ) -> BackupResult<bool> {
        if self.store.is_newest_tombs(environment, seen.number)? {
            return Ok(false);
        }
        let tombs = self.unclosed_tombs(environment)?;
        Ok(number <= tombs.boundary && tombs.hash_of(number) != Some(Digest::of(point)))
    }

    /// An error if a point needs what was deleted, or is being, since there were the tombs `begun`, or if that cannot be
    /// told. Which parts that were stays in the tombs of then: a backup may take longer than any grace.
    pub(crate) fn check_overtaken(
        &self,
        point: &Point,
        begun: &Tombs,
        now: &Tombs,
    ) -> BackupResult<()> {
        let overtaken = || BackupError::Overtaken { place: self.store.backend.place() };
        let environment = point.cut.environment;
        let mut deleted = Vec::new();
        for number in begun.number.saturating_add(1)..now.number {
            match self.store.tombs_of(environment, number) {
                Ok(tombs) => deleted.extend(tombs.deleting_since(begun.closed).cloned()),
                Err(BackupError::Object(_)) => return Err(overtaken()),
                Err(error) => return Err(error),
            }
        }
        deleted.extend(now.deleting_since(begun.closed).cloned());
        // Each is in several of them.
        deleted.sort_unstable_by_key(|tomb| tomb.closed);
        deleted.dedup_by_key(|tomb| tomb.closed);
        let files = point.files.iter();
        let mut parts = files
            .flat_map(|file| file.placed().map(move |(start, part)| file.part_name(start, part)));
        match parts.any(|part| deleted.iter().any(|tomb| tomb.has(&part))) {
            false => Ok(()),
            true => Err(overtaken()),
        }
    }

    /// What comes after tombs, without a change.
    pub(super) fn next_tombs(&self, tombs: &Tombs) -> Tombs {
        let mut writer = [0; 16];
        self.world.random(&mut writer);
        Tombs {
            created: self.world.wall().0,
            library: env!("CARGO_PKG_VERSION").into(),
            writer: Uuid(writer),
            ..tombs.clone()
        }
    }
}

/// Whether somebody else was faster.
pub(super) fn is_busy(error: &BackupError) -> bool {
    error.kind() == ErrorKind::Busy
}
