//! `ResultSet`: the entries that a query meant when it was asked, and a position among them.

mod rows;
mod sorted;
pub(crate) mod walk;

use std::{fmt, sync::Arc};

use cairn_env::Snapshot;

pub(crate) use rows::Rows;

use crate::{
    Entry, KvError, KvResult,
    store::{ResultSlot, Selection, Shared},
};

/// The entries that a query meant when it was asked: they never change. There is a position among them,
/// before the first one to begin with.
///
/// Entries are found when they are moved to, so the first one is there at once however many follow, and
/// memory does not grow with them. An order that no index gives is the exception: then the keys of all are
/// found and sorted first. After a move that failed it stands before the first one. To count them, or to move to the last one, is to go over all once, unless it is
/// all entries of a store; of large sets it is dear.
///
/// When its store is closed, deleted or restored it ends: everything answers [`KvError::Closed`]. A store
/// has 8 at a time, unless [`Limits::result_sets`](crate::Limits#structfield.result_sets) says otherwise;
/// dropping one makes room.
///
/// ```
/// use cairn_kv::{KvOptions, KvStore, SecurityLevel};
///
/// let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
/// let store = KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S1))?;
/// for (key, value) in [("a1", 1), ("a2", 2), ("b1", 3)] {
///     store.put(key, value)?;
/// }
/// let mut found = store.get_result_set("a")?;
/// assert_eq!((found.count()?, found.position()?), (2, -1));
/// assert!(found.move_to_last()?);
/// assert_eq!(found.entry()?.unwrap().value.as_i64(), Some(2));
/// assert!(!found.move_to_next()? && found.is_after_last()?);
/// # Ok::<(), cairn_kv::KvError>(())
/// ```
pub struct ResultSet {
    store: Arc<Shared>,
    /// The content of the store that it shows.
    epoch: u64,
    snapshot: Snapshot,
    selection: Selection,
    rows: Rows,
    place: Place,
    count: Option<u64>,
    _slot: ResultSlot,
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    BeforeFirst,
    On(u64),
    /// How many there are is known then.
    AfterLast,
}

impl ResultSet {
    pub(crate) fn new(
        store: Arc<Shared>,
        epoch: u64,
        snapshot: Snapshot,
        selection: Selection,
        slot: ResultSlot,
    ) -> KvResult<Self> {
        let rows = selection.rows(&snapshot)?;
        let count = rows.known_len();
        Ok(Self {
            store,
            epoch,
            snapshot,
            selection,
            rows,
            place: Place::BeforeFirst,
            count,
            _slot: slot,
        })
    }

    fn check(&self) -> KvResult<()> {
        if self.store.epoch() == self.epoch {
            return Ok(());
        }
        Err(KvError::Closed { what: "result set" })
    }

    /// Limit and offset, as far as they are not applied already.
    fn window(&self) -> (u64, u64) {
        match &self.rows {
            Rows::Sorted { .. } => (u64::MAX, 0),
            Rows::Walked(_) => self.selection.limit(),
        }
    }

    /// How many entries there are. Goes over all, the first time.
    ///
    /// # Errors
    /// [`KvError::Closed`], and if something cannot be read.
    pub fn count(&mut self) -> KvResult<u64> {
        self.check()?;
        if let Some(count) = self.count {
            return Ok(count);
        }
        let (total, offset) = self.window();
        let all = match self.selection.len(&self.snapshot)? {
            Some(all) => all,
            None => {
                let mut rows = self.selection.rows(&self.snapshot)?;
                let mut all = 0;
                let mut found = total > 0 && rows.first()?;
                while found {
                    all += 1;
                    found = all < offset.saturating_add(total) && rows.next()?;
                }
                all
            }
        };
        let count = all.saturating_sub(offset).min(total);
        self.count = Some(count);
        Ok(count)
    }

    /// The number of the entry that it stands on, from 0; −1 before the first one, their count after the last.
    ///
    /// # Errors
    /// [`KvError::Closed`].
    pub fn position(&self) -> KvResult<i64> {
        self.check()?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(match self.place {
            Place::BeforeFirst => -1,
            Place::On(at) => number(at),
            Place::AfterLast => self.count.map_or(i64::MAX, number),
        })
    }

    /// Moves to the first entry; returns whether there is one.
    ///
    /// # Errors
    /// [`KvError::Closed`], and if something cannot be read.
    pub fn move_to_first(&mut self) -> KvResult<bool> {
        self.check()?;
        let (total, offset) = self.window();
        self.place = Place::BeforeFirst;
        let mut found = total > 0 && self.rows.first()?;
        for _ in 0..offset {
            found = found && self.rows.next()?;
        }
        if found {
            self.place = Place::On(0);
        }
        if !found {
            self.count = Some(0);
        }
        Ok(found)
    }

    /// Moves to the last entry; returns whether there is one. Counts them.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn move_to_last(&mut self) -> KvResult<bool> {
        match self.count()? {
            0 => {
                self.place = Place::BeforeFirst;
                Ok(false)
            }
            count if self.window() == (u64::MAX, 0) => {
                self.place = Place::BeforeFirst;
                let found = self.rows.last()?;
                if found {
                    self.place = Place::On(count - 1);
                }
                Ok(found)
            }
            count => self.walk_to(count - 1),
        }
    }

    /// Moves to the next entry; returns whether there is one. If not it stands after the last one.
    ///
    /// # Errors
    /// As [`ResultSet::move_to_first`].
    pub fn move_to_next(&mut self) -> KvResult<bool> {
        self.check()?;
        let at = match self.place {
            Place::BeforeFirst => return self.move_to_first(),
            Place::AfterLast => return Ok(false),
            Place::On(at) => at + 1,
        };
        self.place = Place::BeforeFirst;
        let found = at < self.window().0 && self.rows.next()?;
        if !found {
            self.count = Some(at);
        }
        self.place = if found { Place::On(at) } else { Place::AfterLast };
        Ok(found)
    }

    /// Moves to the previous entry; returns whether there is one. If not it stands before the first one.
    ///
    /// # Errors
    /// As [`ResultSet::move_to_first`].
    pub fn move_to_previous(&mut self) -> KvResult<bool> {
        self.check()?;
        match self.place {
            Place::BeforeFirst => Ok(false),
            Place::AfterLast => self.move_to_last(),
            Place::On(0) => {
                self.place = Place::BeforeFirst;
                Ok(false)
            }
            Place::On(at) => {
                self.place = Place::BeforeFirst;
                let found = self.rows.previous()?;
                if found {
                    self.place = Place::On(at - 1);
                }
                Ok(found)
            }
        }
    }

    /// Moves by so many entries, backwards if negative; returns whether there is one.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn move_by(&mut self, offset: i64) -> KvResult<bool> {
        let position = self.position()?.saturating_add(offset);
        self.move_to(position)
    }

    /// Moves to the entry with this number, from 0; returns whether there is one. If not it stands before the
    /// first one, or after the last. Goes there entry by entry, from where it stands or from an end.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn move_to(&mut self, position: i64) -> KvResult<bool> {
        self.check()?;
        let Ok(position) = u64::try_from(position) else {
            self.place = Place::BeforeFirst;
            return Ok(false);
        };
        self.walk_to(position)
    }

    fn walk_to(&mut self, position: u64) -> KvResult<bool> {
        if let Some(count) = self.count.filter(|count| position >= *count) {
            self.place = if count == 0 { Place::BeforeFirst } else { Place::AfterLast };
            return Ok(false);
        }
        let at = match self.place {
            Place::On(at) if position >= at || at - position <= position => at,
            _ => match self.move_to_first()? {
                true => 0,
                false => return Ok(false),
            },
        };
        for _ in at..position {
            if !self.move_to_next()? {
                return Ok(false);
            }
        }
        for _ in position..at {
            if !self.move_to_previous()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether it stands on the first entry.
    ///
    /// # Errors
    /// [`KvError::Closed`].
    pub fn is_first(&self) -> KvResult<bool> {
        self.check()?;
        Ok(self.place == Place::On(0))
    }

    /// Whether it stands on the last entry. Counts them.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn is_last(&mut self) -> KvResult<bool> {
        let count = self.count()?;
        Ok(matches!(self.place, Place::On(at) if at + 1 == count))
    }

    /// Whether it stands before the first entry; there being none counts as well.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn is_before_first(&mut self) -> KvResult<bool> {
        self.check()?;
        Ok(self.place == Place::BeforeFirst || self.is_empty()?)
    }

    /// Whether it stands after the last entry; there being none counts as well.
    ///
    /// # Errors
    /// As [`ResultSet::count`].
    pub fn is_after_last(&mut self) -> KvResult<bool> {
        self.check()?;
        Ok(self.place == Place::AfterLast || self.is_empty()?)
    }

    fn is_empty(&mut self) -> KvResult<bool> {
        match (self.place, self.count) {
            (Place::On(_), _) => Ok(false),
            (_, Some(count)) => Ok(count == 0),
            (_, None) => {
                let (total, offset) = self.window();
                let mut rows = self.selection.rows(&self.snapshot)?;
                let mut found = total > 0 && rows.first()?;
                for _ in 0..offset {
                    found = found && rows.next()?;
                }
                Ok(!found)
            }
        }
    }

    /// The entry that it stands on, if it stands on one.
    ///
    /// # Errors
    /// [`KvError::Closed`], and if something cannot be read.
    pub fn entry(&self) -> KvResult<Option<Entry>> {
        self.check()?;
        let Place::On(_) = self.place else { return Ok(None) };
        self.store.entry(&self.selection, &self.rows).map(Some)
    }

    /// The entries behind its position, which moves along. After an error there are no more.
    ///
    /// ```
    /// # use cairn_kv::{KvOptions, KvStore, SecurityLevel};
    /// # let (env, _) = cairn_env::Environment::in_memory(cairn_env::Options::default())?;
    /// # let store = KvStore::open(&env, "notes", KvOptions::new(SecurityLevel::S1))?;
    /// # store.put("tea", 1)?;
    /// for entry in store.get_result_set("")?.entries() {
    ///     println!("{:?}", entry?);
    /// }
    /// # Ok::<(), cairn_kv::KvError>(())
    /// ```
    pub fn entries(&mut self) -> impl Iterator<Item = KvResult<Entry>> + '_ {
        let mut failed = false;
        std::iter::from_fn(move || {
            if failed {
                return None;
            }
            let next = match self.move_to_next() {
                Ok(true) => self.entry().transpose(),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            };
            failed = matches!(next, Some(Err(_)));
            next
        })
    }

    /// Closes it, which dropping it does as well.
    pub fn close(self) {}
}

impl fmt::Debug for ResultSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResultSet(commit {}, {:?})", self.snapshot.commit(), self.place)
    }
}
