//! Tombs in the store: the ones that count, the next ones, and what of an environment they leave.

use cairn_log::{Digest, Timeline, Uuid};

use super::tombs::Tombs;
use crate::{
    BackupError, BackupResult, ObjectError,
    repository::{
        names::{Folder, ObjectName},
        statement::{self, StatementKind, Unread},
        store::{MAX_POINT, Store},
    },
};

impl Store {
    /// The number of the tombs that count; 0 if nothing was ever removed. A listing may lack what was stored lately, so it
    /// is looked behind its end.
    pub(crate) fn newest_tombs(&self, environment: Uuid) -> BackupResult<u64> {
        let folder = Folder::Tombs(environment);
        let listed = self.backend.list(&folder)?;
        let number = |name: &str| match folder.object(name)? {
            ObjectName::Tombs { number, .. } => Some(number),
            _ => None,
        };
        let mut newest = listed.iter().filter_map(|listed| number(&listed.name)).max().unwrap_or(0);
        while !self.is_newest_tombs(environment, newest)? {
            newest += 1;
        }
        Ok(newest)
    }

    /// Whether there are no tombs behind those with this number.
    pub(crate) fn is_newest_tombs(&self, environment: Uuid, number: u64) -> BackupResult<bool> {
        match number.checked_add(1) {
            Some(number) => {
                let first = ObjectName::Tombs { environment, number, copy: 1 };
                Ok(self.backend.length(&first)?.is_none())
            }
            None => Ok(true),
        }
    }

    /// What was removed of an environment: for who stores or removes.
    pub(crate) fn tombs(&self, environment: Uuid) -> BackupResult<Tombs> {
        match self.newest_tombs(environment)? {
            0 => Ok(Tombs::default()),
            number => self.tombs_of(environment, number),
        }
    }

    /// What was removed of an environment, as the newest tombs say that can be read: for who only reads. Where the newest
    /// ones are damaged, points that are about to be removed may be listed.
    pub(crate) fn readable_tombs(&self, environment: Uuid) -> BackupResult<Tombs> {
        for number in (1..=self.newest_tombs(environment)?).rev() {
            match self.tombs_of(environment, number) {
                Err(BackupError::Object(
                    ObjectError::Damaged { .. } | ObjectError::Missing { .. },
                )) => {}
                read => return read,
            }
        }
        Ok(Tombs::default())
    }

    /// Reads tombs: the first copy, or else the second one.
    pub(crate) fn tombs_of(&self, environment: Uuid, number: u64) -> BackupResult<Tombs> {
        self.tombs_copy(environment, number, 1).or_else(|error| match error {
            BackupError::Object(_) => self.tombs_copy(environment, number, 2).map_err(|_| error),
            error => Err(error),
        })
    }

    /// Reads one copy of tombs.
    pub(crate) fn tombs_copy(
        &self,
        environment: Uuid,
        number: u64,
        copy: u8,
    ) -> BackupResult<Tombs> {
        let name = ObjectName::Tombs { environment, number, copy };
        let bytes = self.whole(name, MAX_POINT)?;
        let of = (environment, number);
        let (_, content) = self.decode_statement(name, StatementKind::Tombs, of, &bytes)?;
        let tombs = Tombs::decode(number, Digest::of(&bytes), &content)
            .map_err(|error| self.no_content(name, error))?;
        match statement::features_to_write(&bytes) {
            0 => Ok(tombs),
            features => {
                let what = format!("to go on from it needs the features {features:#x}");
                Err(self.unread(name, Unread::Unsupported(what)))
            }
        }
    }

    /// Stores the tombs that come after those that `next` was made from. Only one of two who do so succeeds.
    pub(crate) fn put_tombs(&self, environment: Uuid, next: Tombs) -> BackupResult<Tombs> {
        let number = next.number.saturating_add(1);
        let kind = StatementKind::Tombs;
        let bytes =
            self.encode_statement(kind, (environment, number), next.hash, &next.encode())?;
        let name = |copy| ObjectName::Tombs { environment, number, copy };
        let others = "somebody who removes points of it at the same time";
        self.put_twice([name(1), name(2)], &bytes, MAX_POINT, others)?;
        Ok(Tombs { number, hash: Digest::of(&bytes), ..next })
    }

    /// The first segment of a timeline that counts.
    pub(crate) fn first_segment(&self, environment: Uuid, timeline: Timeline) -> BackupResult<u64> {
        Ok(self.readable_tombs(environment)?.first_segment(timeline))
    }
}
