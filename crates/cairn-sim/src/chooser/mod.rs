//! One source for everything that a test leaves open.
//!
//! A test body asks a [`Chooser`] for numbers: which operation comes next, which writes a crash
//! keeps, where one is torn. Who answers decides what kind of test it is: [`Exhaustive`] goes
//! through every combination of a tiny one, [`Seeded`] draws at random at scale, [`FuzzBytes`]
//! lets a fuzzer steer, [`Replay`] repeats a failure. A [`Recorder`] around any of them keeps the
//! list of choices, which prints, parses, and [shrinks](shrink()).
//!
//! By convention choice 0 is the plainest one, so that zeros make a plain run.

mod exhaustive;
mod record;
mod seeded;
mod shrink;

use std::ops::Range;

pub use exhaustive::{Exhaustive, Run};
pub use record::{Choice, Choices, InvalidChoices, Recorder, Replay};
pub use seeded::Seeded;
pub use shrink::shrink;

/// Answers questions that have a finite number of answers.
pub trait Chooser {
    /// A number below `n`. `tag` says what is chosen, for recordings; it holds no blank and no `=`.
    ///
    /// # Panics
    /// If `n` is 0: there is nothing to choose from.
    fn choose(&mut self, n: usize, tag: &'static str) -> usize;
}

impl<C: Chooser + ?Sized> Chooser for &mut C {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        (**self).choose(n, tag)
    }
}

impl<C: Chooser + ?Sized> Chooser for Box<C> {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        (**self).choose(n, tag)
    }
}

/// What is commonly chosen, made of [`Chooser::choose`].
pub trait ChooserExt: Chooser {
    /// Yes or no; choice 0 is no.
    fn choose_bool(&mut self, tag: &'static str) -> bool {
        self.choose(2, tag) == 1
    }

    /// A number of `range`; choice 0 is its start.
    ///
    /// # Panics
    /// If the range is empty.
    fn range(&mut self, range: Range<usize>, tag: &'static str) -> usize {
        range.start + self.choose(range.len(), tag)
    }

    /// An index of `weights`, each as probable as its weight.
    ///
    /// # Panics
    /// If all weights are 0.
    fn weighted(&mut self, weights: &[u32], tag: &'static str) -> usize {
        let total = weights.iter().map(|&weight| weight as usize).sum();
        let mut point = self.choose(total, tag);
        for (index, &weight) in weights.iter().enumerate() {
            match point.checked_sub(weight as usize) {
                Some(rest) => point = rest,
                None => return index,
            }
        }
        unreachable!("the point lies below the sum of the weights")
    }

    /// One of `items`; choice 0 is the first.
    ///
    /// # Panics
    /// If there are none.
    fn pick<'t, T>(&mut self, items: &'t [T], tag: &'static str) -> &'t T {
        &items[self.choose(items.len(), tag)]
    }

    /// Brings `items` into any order; with zeros they stay as they are.
    fn shuffle<T>(&mut self, items: &mut [T], tag: &'static str) {
        for first in 0..items.len().saturating_sub(1) {
            let other = self.range(first..items.len(), tag);
            items.swap(first, other);
        }
    }

    /// Fills `buf` by a single choice, however long it is; choice 0 fills it with zeros.
    fn bytes(&mut self, buf: &mut [u8], tag: &'static str) {
        match self.choose(1 << 31, tag) {
            0 => buf.fill(0),
            seed => Seeded::new(seed as u64).fill(buf),
        }
    }
}

impl<C: Chooser + ?Sized> ChooserExt for C {}

/// Takes its choices from a fuzzer's input; zeros when that is used up.
///
/// A choice among up to 256 takes one byte, among more two, four or eight, so that the fuzzer's
/// mutations of a byte are mutations of a choice.
#[derive(Clone, Debug)]
pub struct FuzzBytes<'b> {
    rest: &'b [u8],
}

impl<'b> FuzzBytes<'b> {
    /// A chooser that uses up `input` from its start.
    #[must_use]
    pub fn new(input: &'b [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether all choices from here on are 0.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.rest.is_empty()
    }
}

impl Chooser for FuzzBytes<'_> {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        assert!(n > 0, "nothing to choose from for {tag}");
        let width = match n {
            1 => 0,
            2..=0x100 => 1,
            0x101..=0x1_0000 => 2,
            _ if n - 1 <= 0xffff_ffff => 4,
            _ => 8,
        };
        let (taken, rest) = self.rest.split_at(width.min(self.rest.len()));
        self.rest = rest;
        let value = taken.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte));
        usize::try_from(value % n as u64).expect("it fits because it is below n")
    }
}
