//! Diff: two archives, or an archive and a live store, compared entry by entry.
//!
//! Both sides have their databases and their keys in the same order, so one walk over both finds everything,
//! in the memory that a reader takes.

use std::{cmp::Ordering, io::Read};

use cairn_env::{Cursor, Snapshot};
use cairn_log::{Digest, dump::show_bytes};

use crate::{
    ArchiveReader, ArchiveResult, ArchivedDatabase, Item, Report, Step, export::choose,
    progress::Counter, source::FileStream,
};

/// One side of a comparison.
pub struct Side(Kind);

enum Kind {
    Archive { reader: Box<ArchiveReader<FileStream>>, begun: Option<usize>, ended: bool },
    Live { snapshot: Snapshot, begun: usize, cursor: Option<Cursor> },
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Difference {
    /// The database.
    pub database: String,
    /// The key as it is stored; `None` if the whole database is there on one side only.
    pub key: Option<Vec<u8>>,
    /// How it differs.
    pub change: Change,
}

/// How two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "something is here, there, or not the same")]
pub enum Change {
    /// The second side has it, the first has not.
    Added,
    /// The first side has it, the second has not.
    Removed,
    /// Both have it, with different values; a database: of different kinds.
    Changed,
}

/// What a comparison has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiffReport {
    /// Entries that both sides have, with the same value.
    pub same: u64,
    /// Entries and databases that only the second has.
    pub added: u64,
    /// Entries and databases that only the first has.
    pub removed: u64,
    /// Entries with different values, and databases of different kinds.
    pub changed: u64,
}

impl DiffReport {
    /// Whether both sides hold the same.
    #[must_use]
    pub const fn is_same(&self) -> bool {
        self.added + self.removed + self.changed == 0
    }

    fn count(&mut self, change: Change) {
        match change {
            Change::Added => self.added += 1,
            Change::Removed => self.removed += 1,
            Change::Changed => self.changed += 1,
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = match self.change {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        };
        write!(f, "{sign} {}", self.database)?;
        match &self.key {
            Some(key) => write!(f, " {}", show_bytes(key, 64)),
            None => Ok(()),
        }
    }
}

/// An entry, or the end of its database.
struct Entry {
    key: Vec<u8>,
    value: Digest,
}

impl Side {
    /// An archive that was opened, from its first entry on.
    #[must_use]
    pub fn archive(reader: ArchiveReader<FileStream>) -> Self {
        Self(Kind::Archive { reader: Box::new(reader), begun: None, ended: false })
    }

    /// Databases as a snapshot has them, with their indexes.
    #[must_use]
    pub const fn live(snapshot: Snapshot) -> Self {
        Self(Kind::Live { snapshot, begun: 0, cursor: None })
    }

    fn databases(&self, names: &[&str]) -> ArchiveResult<Vec<ArchivedDatabase>> {
        match &self.0 {
            Kind::Archive { reader, .. } => Ok(reader.header().databases.clone()),
            Kind::Live { snapshot, .. } => {
                let there =
                    |name: &&&str| snapshot.database(name).is_ok_and(|found| found.is_some());
                let names: Vec<&str> = names.iter().filter(there).copied().collect();
                choose(snapshot, &names)
            }
        }
    }

    /// Goes to the database at this place of its list.
    fn begin(&mut self, place: usize, database: &ArchivedDatabase) -> ArchiveResult<()> {
        match &mut self.0 {
            Kind::Archive { reader, begun, ended } => {
                while !*ended && begun.is_none_or(|begun| begun < place) {
                    match reader.next()? {
                        Item::Database(next) => *begun = Some(next),
                        Item::End(_) => *ended = true,
                        Item::Entry { .. } | Item::Value(_) => {}
                    }
                }
            }
            Kind::Live { snapshot, begun, cursor } => {
                *begun = place;
                *cursor = match snapshot.database(&database.shape.name)? {
                    Some(database) => Some(snapshot.cursor(&database)?),
                    None => None,
                };
            }
        }
        Ok(())
    }

    /// The next entry of this database.
    fn next(&mut self, place: usize) -> ArchiveResult<Option<Entry>> {
        match &mut self.0 {
            Kind::Archive { reader, begun, ended } => {
                if *ended || *begun != Some(place) {
                    return Ok(None);
                }
                let (key, mut left) = match reader.next()? {
                    Item::Entry { key, value_len } => (key.to_vec(), value_len),
                    Item::Database(next) => {
                        *begun = Some(next);
                        return Ok(None);
                    }
                    Item::Value(_) => return Ok(None), // no value comes before its entry
                    Item::End(_) => {
                        *ended = true;
                        return Ok(None);
                    }
                };
                let mut hasher = blake3::Hasher::new();
                while left > 0 {
                    let Item::Value(piece) = reader.next()? else { break };
                    hasher.update(piece);
                    left -= piece.len() as u64;
                }
                Ok(Some(Entry { key, value: Digest(*hasher.finalize().as_bytes()) }))
            }
            Kind::Live { cursor, .. } => {
                let Some(cursor) = cursor else { return Ok(None) };
                if !cursor.next()? {
                    return Ok(None);
                }
                let value = cursor.value_with(Digest::of)?.unwrap_or_default();
                Ok(Some(Entry { key: cursor.key().to_vec(), value }))
            }
        }
    }

    /// Reads what is left, so that an archive is known to be whole.
    fn finish(&mut self) -> ArchiveResult<()> {
        if let Kind::Archive { reader, ended, .. } = &mut self.0 {
            while !*ended {
                *ended = matches!(reader.next()?, Item::End(_));
            }
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        match &self.0 {
            Kind::Archive { reader, .. } => reader.position(),
            Kind::Live { .. } => 0,
        }
    }
}

/// Compares two sides, and gives each difference to `found` as it comes. Of a live side the databases `names`
/// and their indexes are looked at.
///
/// What was given counts only when this returns `Ok`: then both archives were read to their ends.
///
/// # Errors
/// What is wrong with an archive or the environment; [`ArchiveError::Cancelled`](crate::ArchiveError::Cancelled).
pub fn diff(
    mut one: Side,
    mut other: Side,
    names: &[&str],
    found: &mut dyn FnMut(&Difference) -> ArchiveResult<()>,
    progress: Report<'_>,
) -> ArchiveResult<DiffReport> {
    let (ones, others) = (one.databases(names)?, other.databases(names)?);
    let entries = ones.iter().map(|database| database.entries).fold(0, u64::saturating_add);
    let mut counter = Counter::new(Step::Comparing, entries, None, progress);
    let mut report = DiffReport::default();
    let mut tell = |report: &mut DiffReport, difference: &Difference| {
        report.count(difference.change);
        found(difference)
    };
    let (mut i, mut j) = (0, 0);
    loop {
        let order = match (ones.get(i), others.get(j)) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.place().cmp(&other.place()),
        };
        let whole = |database: &ArchivedDatabase, change| Difference {
            database: database.shape.name.clone(),
            key: None,
            change,
        };
        match (order, ones.get(i), others.get(j)) {
            (Ordering::Less, Some(database), _) => {
                tell(&mut report, &whole(database, Change::Removed))?;
                i += 1;
            }
            (Ordering::Greater, _, Some(database)) => {
                tell(&mut report, &whole(database, Change::Added))?;
                j += 1;
            }
            (_, Some(a), Some(b)) => {
                if a.shape != b.shape {
                    tell(&mut report, &whole(a, Change::Changed))?;
                }
                one.begin(i, a)?;
                other.begin(j, b)?;
                let mut both = Both { one: &mut one, other: &mut other, places: (i, j) };
                both.walk(&a.shape.name, &mut report, &mut counter, &mut tell)?;
                (i, j) = (i + 1, j + 1);
            }
            _ => break,
        }
    }
    one.finish()?;
    other.finish()?;
    counter.now()?;
    Ok(report)
}

/// One database on both sides.
struct Both<'s> {
    one: &'s mut Side,
    other: &'s mut Side,
    places: (usize, usize),
}

impl Both<'_> {
    fn walk(
        &mut self,
        database: &str,
        report: &mut DiffReport,
        counter: &mut Counter<'_>,
        tell: &mut impl FnMut(&mut DiffReport, &Difference) -> ArchiveResult<()>,
    ) -> ArchiveResult<()> {
        let (i, j) = self.places;
        let (mut a, mut b) = (self.one.next(i)?, self.other.next(j)?);
        loop {
            let (change, key) = match (&a, &b) {
                (None, None) => return Ok(()),
                (Some(a), Some(b)) if a.key == b.key => {
                    match a.value == b.value {
                        true => report.same += 1,
                        false => {
                            let key = Some(a.key.clone());
                            let (database, change) = (database.to_owned(), Change::Changed);
                            tell(report, &Difference { database, key, change })?;
                        }
                    }
                    (None, None)
                }
                (Some(a), b) if b.as_ref().is_none_or(|b| a.key < b.key) => {
                    (Some(Change::Removed), Some(a.key.clone()))
                }
                (_, b) => (Some(Change::Added), b.as_ref().map(|b| b.key.clone())),
            };
            if let Some(change) = change {
                tell(report, &Difference { database: database.to_owned(), key, change })?;
            }
            if change != Some(Change::Added) {
                a = self.one.next(i)?;
                counter.entry(self.one.position())?;
            }
            if change != Some(Change::Removed) {
                b = self.other.next(j)?;
            }
        }
    }
}

impl std::fmt::Debug for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.0 {
            Kind::Archive { .. } => "Side(archive)",
            Kind::Live { .. } => "Side(live)",
        })
    }
}

/// What a reader reads from is of no interest.
impl<R: Read> std::fmt::Debug for ArchiveReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ArchiveReader({}, at {})", self.path().display(), self.position())
    }
}
