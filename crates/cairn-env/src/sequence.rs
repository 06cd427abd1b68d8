//! `Sequence`: numbers that are given out once.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use cairn_io::shared::Mutex;
use cairn_log::{
    codec::{ByteReader, ByteWriter, DecodeError},
    layout::{Field, table},
};

use crate::{Database, Durability, EnvError, EnvResult, Environment, Transaction, sync::lock};

/// Which numbers a sequence gives out. Chosen when it is created, and recorded with it, but for
/// [`SequenceOptions::cache`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SequenceOptions {
    /// All of its numbers lie in here (default: 1 to 2⁶³ − 1).
    pub range: RangeInclusive<i64>,
    /// The first one (default: the beginning of the range, or its end if the step is negative).
    pub first: Option<i64>,
    /// From each number to the next (default: 1). A negative step counts down.
    pub step: i64,
    /// Whether it begins again when the range is used up; its numbers are then unique no longer
    /// (default: no).
    pub wrap: bool,
    /// So many numbers are taken at a time (default: 100). Taking them is a commit; a crash, or a
    /// handle that is dropped, leaves out what was taken and not given out.
    pub cache: u32,
}

impl Default for SequenceOptions {
    fn default() -> Self {
        Self { range: 1..=i64::MAX, first: None, step: 1, wrap: false, cache: 100 }
    }
}

impl SequenceOptions {
    /// Sets [`SequenceOptions::range`](SequenceOptions#structfield.range).
    #[must_use]
    pub fn range(mut self, range: RangeInclusive<i64>) -> Self {
        self.range = range;
        self
    }

    /// Sets [`SequenceOptions::first`](SequenceOptions#structfield.first).
    #[must_use]
    pub fn first(mut self, first: i64) -> Self {
        self.first = Some(first);
        self
    }

    /// Sets [`SequenceOptions::step`](SequenceOptions#structfield.step).
    #[must_use]
    pub fn step(mut self, step: i64) -> Self {
        self.step = step;
        self
    }

    /// Sets [`SequenceOptions::wrap`](SequenceOptions#structfield.wrap).
    #[must_use]
    pub fn wrap(mut self, wrap: bool) -> Self {
        self.wrap = wrap;
        self
    }

    /// Sets [`SequenceOptions::cache`](SequenceOptions#structfield.cache).
    #[must_use]
    pub fn cache(mut self, cache: u32) -> Self {
        self.cache = cache;
        self
    }
}

/// A handle to a sequence: gives out numbers, each once, whatever crashes in between.
///
/// The numbers of one handle and its clones increase (or decrease, with a negative step): who asks
/// after another one was answered gets a later number. Another handle of the same sequence takes
/// numbers of its own; they are different ones, in no order with these. Numbers are not part of any
/// transaction: one that is given up leaves a gap. (Sequences: Berkeley DB.)
///
/// ```
/// use cairn_env::{DatabaseOptions, Environment, Options, SequenceOptions};
///
/// let (env, _) = Environment::in_memory(Options::default())?;
/// let counters = env.database("counters", DatabaseOptions::default())?;
/// let orders = env.sequence(&counters, b"orders", SequenceOptions::default())?;
/// assert_eq!((orders.next()?, orders.next()?), (1, 2));
/// let down = SequenceOptions::default().range(-10..=0).step(-5);
/// let down = env.sequence(&counters, b"down", down)?;
/// assert_eq!((down.next()?, down.next()?, down.next()?), (0, -5, -10));
/// assert!(down.next().is_err());
/// # Ok::<(), cairn_env::EnvError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sequence {
    env: Environment,
    database: Database,
    key: Arc<[u8]>,
    cache: u32,
    taken: Arc<Mutex<Taken>>,
}

/// Numbers that were taken and not given out, by the turn in which they were taken: later turns have
/// later numbers.
#[derive(Debug, Default)]
struct Taken {
    turns: BTreeMap<u64, Numbers>,
    /// The turn of the number that was given out last.
    given: u64,
}

impl Taken {
    fn next(&mut self) -> Option<i64> {
        while let Some(mut first) = self.turns.first_entry() {
            if let Some(number) = first.get_mut().next() {
                self.given = *first.key();
                return Some(number);
            }
            first.remove();
        }
        None
    }

    /// Adds what was taken, unless later numbers have been given out already.
    fn add(&mut self, turn: u64, numbers: Numbers) {
        if turn > self.given {
            self.turns.insert(turn, numbers);
        }
    }
}

/// Some numbers of a sequence, one after the other.
#[derive(Clone, Copy, Debug, Default)]
struct Numbers {
    next: i64,
    step: i64,
    left: u32,
}

impl Iterator for Numbers {
    type Item = i64;

    fn next(&mut self) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        let number = self.next;
        self.next = number.wrapping_add(self.step); // after the last one nobody looks at it
        Some(number)
    }
}

impl Environment {
    /// The sequence that is kept under `key` in `database`, created with `options` if there is none.
    /// It is an entry like any other: whoever puts or deletes it changes the sequence.
    ///
    /// # Errors
    /// [`EnvError::InvalidInput`] for options that no number fits, if there is a sequence with other
    /// options, or something that is no sequence. As [`Transaction::put`].
    pub fn sequence(
        &self,
        database: &Database,
        key: &[u8],
        options: SequenceOptions,
    ) -> EnvResult<Sequence> {
        let asked = Record::first(&options)?;
        let create = |txn: &mut Transaction| match Record::read(txn, database, key)? {
            Some(found) if Record { next: found.next, turn: found.turn, ..asked } == found => {
                Ok(())
            }
            Some(found) => Err(EnvError::InvalidInput {
                what: format!("the sequence goes {found}, and not {asked}"),
            }),
            None => txn.put(database, key, &asked.encode()),
        };
        if !self.options().read_only {
            self.write_with(Durability::Sync, create)?;
        }
        Ok(Sequence {
            env: self.clone(),
            database: database.clone(),
            key: key.into(),
            cache: options.cache.max(1),
            taken: Arc::default(),
        })
    }
}

impl Sequence {
    /// The next number. Mostly without a transaction; when the numbers that were taken are used up,
    /// the next ones are taken in one that is durable before this returns.
    ///
    /// # Errors
    /// [`EnvError::Exhausted`] if the range is used up; [`EnvError::InvalidInput`] if the entry of the
    /// sequence is gone, or is none any more. As [`Environment::write`].
    pub fn next(&self) -> EnvResult<i64> {
        let take = |txn: &mut Transaction| {
            let Some(mut record) = Record::read(txn, &self.database, &self.key)? else {
                return Err(no_sequence(&self.database, &self.key));
            };
            let numbers = record.take(self.cache)?;
            txn.put(&self.database, &self.key, &record.encode())?;
            Ok((record.turn, numbers))
        };
        loop {
            if let Some(number) = lock(&self.taken).next() {
                return Ok(number);
            }
            // Not under the lock: a commit may wait for somebody who waits for a number.
            let (turn, numbers) = self.env.write_with(Durability::Sync, take)?;
            lock(&self.taken).add(turn, numbers);
        }
    }
}

fn no_sequence(database: &Database, key: &[u8]) -> EnvError {
    let key = cairn_log::dump::show_bytes(key, 32);
    let what = format!("there is no sequence under {key} in database {:?}", database.name());
    EnvError::InvalidInput { what }
}

const VERSION: u8 = 1;
const WRAPS: u8 = 1;
const USED_UP: u8 = 2;

/// A sequence as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    wrap: bool,
    /// The next number that can be taken; `None` if there is none.
    next: Option<i64>,
    step: i64,
    min: i64,
    max: i64,
    /// How many times numbers were taken.
    turn: u64,
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { wrap, step, min, max, .. } = self;
        let wraps = if *wrap { ", again and again" } else { "" };
        write!(f, "from {min} to {max} in steps of {step}{wraps}")
    }
}

impl Record {
    fn first(options: &SequenceOptions) -> EnvResult<Self> {
        let (min, max, step) = (*options.range.start(), *options.range.end(), options.step);
        let start = if step > 0 { min } else { max };
        let first = options.first.unwrap_or(start);
        if step == 0 || !options.range.contains(&first) {
            let what =
                format!("no sequence goes from {first} in steps of {step} within {min} to {max}");
            return Err(EnvError::InvalidInput { what });
        }
        Ok(Self { wrap: options.wrap, next: Some(first), step, min, max, turn: 0 })
    }

    fn read(txn: &Transaction, database: &Database, key: &[u8]) -> EnvResult<Option<Self>> {
        let Some(value) = txn.get(database, key)? else { return Ok(None) };
        Self::decode(&value).map(Some).map_err(|_| no_sequence(database, key))
    }

    /// Takes so many numbers, or as many as there are before it ends or begins again.
    fn take(&mut self, count: u32) -> EnvResult<Numbers> {
        let first = self.next.ok_or(EnvError::Exhausted { what: "the numbers of the sequence" })?;
        let (next, step) = (i128::from(first), i128::from(self.step));
        let end = if step > 0 { self.max } else { self.min };
        let there_are = (i128::from(end) - next) / step + 1;
        let left = there_are.min(count.into());
        let start = if step > 0 { self.min } else { self.max };
        self.next = if left < there_are {
            i64::try_from(next + left * step).ok()
        } else {
            self.wrap.then_some(start)
        };
        self.turn += 1;
        let left =
            u32::try_from(left).map_err(|_| EnvError::internal("more than was asked for"))?;
        Ok(Numbers { next: first, step: self.step, left })
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.put_u8(VERSION);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.put_u8(flag(self.wrap, WRAPS) | flag(self.next.is_none(), USED_UP));
        out.put_u16(0);
        out.put_u32(0);
        for number in [self.next.unwrap_or(0), self.step, self.min, self.max] {
            out.put_u64(number.cast_unsigned());
        }
        out.put_u64(self.turn);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = ByteReader::new(bytes);
        let before = reader.clone();
        let (version, flags) = (reader.u8("version")?, reader.u8("flags")?);
        let reserved = (reader.u16("reserved")?, reader.u32("reserved")?);
        if version != VERSION || flags > WRAPS | USED_UP || reserved != (0, 0) {
            return Err(before.error("version, flags or reserved", "are unknown"));
        }
        let mut number = |field| reader.u64(field).map(u64::cast_signed);
        let (next, step) = (number("next")?, number("step")?);
        let (min, max) = (number("min")?, number("max")?);
        let turn = reader.u64("turn")?;
        reader.finish()?;
        if step == 0 || !(min..=max).contains(&next) && flags & USED_UP == 0 {
            return Err(before.error("next or step", "does not fit the range"));
        }
        let next = (flags & USED_UP == 0).then_some(next);
        Ok(Self { wrap: flags & WRAPS != 0, next, step, min, max, turn })
    }
}

/// The tables of `docs/format` about sequences.
pub(crate) fn spec() -> Vec<(&'static str, String)> {
    let field = |offset, size, name, meaning| Field { offset, size, name, meaning };
    let record = [
        field(0, 1, "version", "1"),
        field(1, 1, "flags", "1: it begins again at the end of the range; 2: it is used up"),
        field(2, 6, "reserved", "zero"),
        field(8, 8, "next", "the next number that can be taken; signed, as the following"),
        field(16, 8, "step", "from each number to the next"),
        field(24, 8, "min", "the smallest number"),
        field(32, 8, "max", "the largest number"),
        field(40, 8, "turn", "how many times numbers were taken"),
    ];
    vec![("sequence", table(&record))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_survives_its_bytes_and_nothing_else_passes() {
        let options = SequenceOptions::default().range(-3..=9).step(-4).wrap(true);
        let mut record = Record::first(&options).unwrap();
        for _ in 0..3 {
            let bytes = record.encode();
            assert_eq!(Record::decode(&bytes).unwrap(), record);
            for len in 0..bytes.len() {
                assert!(Record::decode(&bytes[..len]).is_err());
            }
            assert!(Record::decode(&[bytes, vec![0]].concat()).is_err());
            record.take(3).unwrap();
        }
    }

    #[test]
    fn numbers_are_taken_to_the_very_end_and_no_further() {
        let all = |options: SequenceOptions, count: u32| {
            let mut record = Record::first(&options).unwrap();
            let mut numbers: Vec<i64> = Vec::new();
            while let Ok(taken) = record.take(count) {
                numbers.extend(taken);
                if numbers.len() > 20 {
                    break;
                }
            }
            numbers
        };
        let options = SequenceOptions::default;
        for count in [1, 2, 3, 100] {
            assert_eq!(all(options().range(1..=5), count), [1, 2, 3, 4, 5]);
            assert_eq!(all(options().range(1..=6).step(2), count), [1, 3, 5]);
            assert_eq!(all(options().range(1..=6).step(-2).first(5), count), [5, 3, 1]);
            let end = i64::MAX - 1..=i64::MAX;
            assert_eq!(all(options().range(end), count), [i64::MAX - 1, i64::MAX]);
            let whole = i64::MIN..=i64::MAX;
            assert_eq!(
                all(options().range(whole).step(i64::MAX), count),
                [i64::MIN, -1, i64::MAX - 1]
            );
            let wrapped = all(options().range(0..=2).first(1).wrap(true), count);
            assert_eq!(wrapped[..6], [1, 2, 0, 1, 2, 0]);
        }
        let refused =
            [options().step(0), options().first(0), options().range(RangeInclusive::new(5, 4))];
        assert!(refused.iter().all(|options| Record::first(options).is_err()));
    }
}
