//! `Recorder` and `Replay`: a run as a list of choices.

use std::{borrow::Cow, fmt, str::FromStr};

use super::Chooser;

/// One choice that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// What was chosen.
    pub tag: Cow<'static, str>,
    /// From how many.
    pub n: usize,
    /// The answer, below `n`.
    pub value: usize,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}/{}", self.tag, self.value, self.n)
    }
}

/// The choices of a run. They print as `tag=value/n tag=value/n …` and parse back; they repeat the
/// run through [`Replay`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choices(pub Vec<Choice>);

impl Choices {
    /// The bare answers.
    #[must_use]
    pub fn values(&self) -> Vec<usize> {
        self.0.iter().map(|choice| choice.value).collect()
    }
}

impl fmt::Display for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, choice) in self.0.iter().enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{choice}")?;
        }
        Ok(())
    }
}

/// A text that is no list of choices.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a choice of the form tag=value/n: {0:?}")]
pub struct InvalidChoices(String);

impl FromStr for Choices {
    type Err = InvalidChoices;

    fn from_str(text: &str) -> Result<Self, InvalidChoices> {
        let parse = |word: &str| {
            let (tag, numbers) = word.split_once('=')?;
            let (value, n) = numbers.split_once('/')?;
            let (value, n) = (value.parse().ok()?, n.parse().ok()?);
            (value < n).then(|| Choice { tag: Cow::Owned(tag.to_owned()), n, value })
        };
        let checked = |word: &str| parse(word).ok_or_else(|| InvalidChoices(word.to_owned()));
        text.split_whitespace().map(checked).collect::<Result<_, _>>().map(Self)
    }
}

/// Keeps a list of what another chooser answers.
#[derive(Clone, Debug)]
pub struct Recorder<C> {
    inner: C,
    choices: Choices,
}

impl<C> Recorder<C> {
    /// Records the answers of `inner`.
    pub fn new(inner: C) -> Self {
        Self { inner, choices: Choices::default() }
    }

    /// What has been chosen so far.
    pub fn choices(&self) -> &Choices {
        &self.choices
    }

    /// What has been chosen.
    pub fn into_choices(self) -> Choices {
        self.choices
    }
}

impl<C: Chooser> Chooser for Recorder<C> {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        debug_assert!(!tag.contains(|c: char| c.is_whitespace() || c == '='), "tag {tag:?}");
        let value = self.inner.choose(n, tag);
        self.choices.0.push(Choice { tag: Cow::Borrowed(tag), n, value });
        value
    }
}

/// Repeats a list of answers, then answers 0.
///
/// An answer that is too large for its question becomes the largest possible: so any list fits any
/// test body, which is what lets [`shrink`](super::shrink()) cut lists.
#[derive(Clone, Debug)]
pub struct Replay {
    values: std::vec::IntoIter<usize>,
}

impl Replay {
    /// A chooser that answers with `values`.
    pub fn new(values: impl Into<Vec<usize>>) -> Self {
        Self { values: values.into().into_iter() }
    }
}

impl From<&Choices> for Replay {
    fn from(choices: &Choices) -> Self {
        Self::new(choices.values())
    }
}

impl Chooser for Replay {
    fn choose(&mut self, n: usize, tag: &'static str) -> usize {
        assert!(n > 0, "nothing to choose from for {tag}");
        self.values.next().unwrap_or(0).min(n - 1)
    }
}
