//! The points of an environment, one after the other: none is missing but for what was removed, and each names the one
//! before it.

use std::sync::Arc;

use cairn_log::{Digest, Uuid};

use super::Check;
use crate::{
    BackupError, BackupResult, ObjectError,
    repository::{names::ObjectName, prune::Tombs},
};

/// How far the points of an environment have been followed.
#[derive(Debug)]
pub(super) struct Chain {
    environment: Uuid,
    /// What was removed.
    tombs: Arc<Tombs>,
    /// The last point that was followed: its number, and the hash of all its bytes, if they can be read.
    before: Option<(u64, Option<Digest>)>,
}

impl Check<'_> {
    /// Before the first point of an environment. What was removed counts as far as it can be read.
    pub(super) fn chain(&mut self, environment: Uuid) -> BackupResult<Chain> {
        let newest = self.repository.store.newest_tombs(environment)?;
        for copy in (1..=2).filter(|_| newest > 0) {
            match self.repository.store.tombs_copy(environment, newest, copy) {
                // Who was killed before he stored it has left the first one.
                Err(BackupError::Object(ObjectError::Missing { .. })) if copy == 2 => {}
                read => drop(self.note(read, &[])?),
            }
        }
        let tombs = Arc::new(self.repository.store.readable_tombs(environment)?);
        self.tombs.insert(environment, Arc::clone(&tombs));
        Ok(Chain { environment, tombs, before: None })
    }

    /// Goes on to the next point that is listed, which has this hash and names the one before by that one: `None` is
    /// what cannot be read, and has been found already. It is there all the same, so no point is missing.
    pub(super) fn follow(
        &mut self,
        chain: &mut Chain,
        number: u64,
        hash: Option<Digest>,
        named: Option<Digest>,
    ) {
        let missing = chain.next().filter(|expected| *expected < number);
        self.missing(chain, missing, format!("the next point is {number}"));
        let object = ObjectName::Point { environment: chain.environment, number };
        let last = chain.before.replace((number, hash));
        let previous = match last {
            Some((last, hash)) if last + 1 == number => hash,
            None if number == 1 => Some(Digest([0; 32])),
            _ => None,
        };
        if let (Some(named), Some(previous)) = (named, previous)
            && named != previous
        {
            let problem = format!(
                "it goes on from a point with the hash {named}, the one before has {previous}"
            );
            self.find(object, Some(0), problem, vec![number]);
        }
        if let (Some(hash), Some(known)) = (hash, chain.tombs.hash_of(number))
            && hash != known
        {
            let problem = format!("it has the hash {hash}, the tombs say {known}");
            self.find(object, Some(0), problem, vec![number]);
        }
    }

    /// After the last point that is listed: who removed others has seen all up to a boundary.
    pub(super) fn end_of(&mut self, chain: &Chain) {
        let seen = chain.tombs.boundary;
        let missing = chain.next().filter(|number| *number <= seen);
        self.missing(chain, missing, format!("points up to {seen} were there when others went"));
    }

    fn missing(&mut self, chain: &Chain, number: Option<u64>, why: String) {
        if let Some(number) = number {
            let object = ObjectName::Point { environment: chain.environment, number };
            self.find(object, None, format!("it is missing: {why}"), vec![number]);
        }
    }
}

impl Chain {
    /// The number that has to be the next one.
    fn next(&self) -> Option<u64> {
        let last = self.before.map_or(0, |(last, _)| last);
        self.tombs.next_counting(last)
    }
}
