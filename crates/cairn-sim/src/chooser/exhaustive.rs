//! `Exhaustive`: every combination of choices, one run each.

use super::Chooser;

/// Goes through all combinations of choices that a test body can meet, like an odometer: the last
/// choice turns fastest, and a choice that has gone through all its values lets the one before it
/// turn. Which choices there are may depend on the earlier ones.
///
/// ```
/// use cairn_sim::{Chooser, Exhaustive};
///
/// let mut all = Exhaustive::new();
/// let mut seen = Vec::new();
/// while let Some(mut run) = all.next_run() {
///     let words = run.choose(3, "words");
///     seen.push((0..words).map(|_| ["a", "b"][run.choose(2, "word")]).collect::<String>());
/// }
/// assert_eq!(seen, ["", "a", "b", "aa", "ab", "ba", "bb"]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Exhaustive {
    wheels: Vec<Wheel>,
    runs: usize,
}

#[derive(Clone, Copy, Debug)]
struct Wheel {
    tag: &'static str,
    n: usize,
    value: usize,
}

impl Exhaustive {
    /// At the first combination: all zeros.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next combination; `None` when all have been.
    pub fn next_run(&mut self) -> Option<Run<'_>> {
        if self.runs > 0 {
            while self.wheels.pop_if(|wheel| wheel.value + 1 == wheel.n).is_some() {}
            self.wheels.last_mut()?.value += 1;
        }
        self.runs += 1;
        Some(Run { wheels: &mut self.wheels, position: 0 })
    }

    /// How many runs there have been.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.runs
    }
}

/// One combination: the chooser of one run.
#[derive(Debug)]
pub struct Run<'e> {
    wheels: &'e mut Vec<Wheel>,
    position: usize,
}

impl Chooser for Run<'_> {
    /// # Panics
    /// If the run asks otherwise than the run before it did after the same choices: then the body
    /// depends on something that was not chosen, and the enumeration would miss cases.
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        assert!(n > 0, "nothing to choose from for {tag}");
        if self.position == self.wheels.len() {
            self.wheels.push(Wheel { tag, n, value: 0 });
        }
        let wheel = self.wheels[self.position];
        assert!(
            (wheel.tag, wheel.n) == (tag, n),
            "the same choices led to {tag} of {n} and, before, to {} of {}",
            wheel.tag,
            wheel.n
        );
        self.position += 1;
        wheel.value
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // A run that ended early has left wheels of its predecessor unasked: they are not part of
        // this combination.
        self.wheels.truncate(self.position);
    }
}
