//! The points of an environment, one after the other: none is missing, and each names the one before it.

use cairn_log::{Digest, Uuid};

use super::Check;
use crate::repository::names::ObjectName;

/// The point before the next one: its number, and the hash of all its bytes, if they can be read.
#[derive(Debug, Default)]
pub(super) struct Chain(Option<(u64, Option<Digest>)>);

impl Check<'_> {
    /// Goes on to the next point that is listed, which has this hash and names the one before by that one: `None` is
    /// what cannot be read, and has been found already. It is there all the same, so no point is missing.
    pub(super) fn follow(
        &mut self,
        Chain(before): &mut Chain,
        (environment, number): (Uuid, u64),
        hash: Option<Digest>,
        named: Option<Digest>,
    ) {
        let last = before.replace((number, hash));
        let expected = last.map_or(1, |(last, _)| last + 1);
        if number != expected {
            let object = ObjectName::Point { environment, number: expected };
            let problem = format!("it is missing: the next point is {number}");
            self.find(object, None, problem, vec![expected]);
            return;
        }
        let previous = last.map_or(Some(Digest([0; 32])), |(_, hash)| hash);
        if let (Some(named), Some(previous)) = (named, previous)
            && named != previous
        {
            let problem = format!(
                "it goes on from a point with the hash {named}, the one before has {previous}"
            );
            let object = ObjectName::Point { environment, number };
            self.find(object, Some(0), problem, vec![number]);
        }
    }
}
