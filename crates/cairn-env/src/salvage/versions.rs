//! Versions: what several witnesses say of one key, put together.

use super::{
    Standing,
    window::{Content, Statement, Witness},
};

/// What a key had, and since when.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub(super) commit: u64,
    /// Whether that commit has put it; else it was so by then.
    pub(super) is_exact: bool,
    pub(super) standing: Standing,
    pub(super) content: Content,
}

impl From<Statement> for Version {
    fn from(said: Statement) -> Self {
        let Statement { commit, witness, standing, content, .. } = said;
        Self { commit, is_exact: witness != Witness::Leaf, standing, content }
    }
}

impl Version {
    /// Takes in that somebody else says the same.
    fn confirm(&mut self, said: Statement) {
        if said.commit == self.commit {
            self.is_exact |= said.witness != Witness::Leaf;
        }
        match (&mut self.content, said.content) {
            (Content::There(places), Content::There(more)) => {
                let new = |place: &_| !places.contains(place);
                let more: Vec<_> = more.into_iter().filter(new).collect();
                places.extend(more);
            }
            (content @ Content::There(_), here) => *content = here,
            _ => {}
        }
    }
}

/// The versions of a key, the oldest first. Leaves say again and again what a commit has put; that is one version.
pub(super) fn joined(mut statements: Vec<Statement>) -> Vec<Version> {
    statements.sort_by_key(Statement::order);
    let mut versions: Vec<Version> = Vec::new();
    for said in statements {
        let is_of_commit = said.witness != Witness::Leaf;
        match versions.last_mut() {
            Some(last)
                if last.content.is(&said.content)
                    && (!is_of_commit || last.commit == said.commit) =>
            {
                last.confirm(said);
            }
            // What a commit has put and replaced again, nobody has ever seen.
            Some(last) if last.commit == said.commit && said.witness == Witness::Journal => {
                *last = said.into();
            }
            _ => versions.push(said.into()),
        }
    }
    versions
}

#[cfg(test)]
mod tests {
    use cairn_btree::ValuePointer;
    use cairn_log::{FileNumber, Lsn, crc32c};

    use super::*;

    fn said(commit: u64, witness: Witness, value: &[u8]) -> Statement {
        let at = Lsn::new(FileNumber::FIRST, 4096 + commit * 8).unwrap();
        let content = match value {
            b"" => Content::Deleted,
            value => Content::Here(value.into()),
        };
        Statement { commit, witness, at, standing: Standing::Committed, content }
    }

    fn shown(statements: &[Statement]) -> Vec<(u64, bool, Content)> {
        let mut backwards = statements.to_vec();
        backwards.reverse();
        let versions = joined(backwards).into_iter();
        versions.map(|version| (version.commit, version.is_exact, version.content)).collect()
    }

    #[test]
    fn what_leaves_repeat_is_one_version() {
        use Witness::{Journal, Leaf};
        let here = |value: &[u8]| Content::Here(value.into());
        let found = shown(&[
            said(3, Leaf, b"a"),
            said(7, Leaf, b"a"),
            said(8, Journal, b"a"),
            said(8, Leaf, b"a"),
            said(9, Journal, b""),
            said(12, Journal, b"b"),
            said(20, Leaf, b"b"),
        ]);
        let expected = [
            (3, false, here(b"a")),
            (8, true, here(b"a")),
            (9, true, Content::Deleted),
            (12, true, here(b"b")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_a_commit_has_replaced_itself_is_no_version() {
        let found = shown(&[said(5, Witness::Leaf, b"half"), said(5, Witness::Journal, b"whole")]);
        assert_eq!(found, [(5, true, Content::Here((*b"whole").into()))]);
    }

    #[test]
    fn a_value_that_was_moved_has_several_places() {
        let place = |lsn| Content::There(vec![ValuePointer { lsn, len: 3, crc: crc32c(b"abc") }]);
        let of = |witness, content| Statement { content, ..said(5, witness, b"") };
        let found = shown(&[of(Witness::MovedValue, place(9)), of(Witness::Journal, place(1))]);
        let [(5, true, Content::There(places))] = &found[..] else { panic!("{found:?}") };
        assert_eq!(places.len(), 2);
        let found = shown(&[of(Witness::MovedValue, place(9)), said(5, Witness::Journal, b"abc")]);
        assert_eq!(found, [(5, true, Content::Here((*b"abc").into()))]);
    }
}
