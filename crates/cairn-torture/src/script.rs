//! `Script`: a workload as a text: settings, then one operation per line.

use std::{fmt, str::FromStr};

use cairn_env::{Compression, KeySource, Options};

use crate::operation::{InvalidOperation, Operation};

/// How the environment of a workload is opened, and where its randomness comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "workloads state what they need")]
pub struct Settings {
    /// Where the identities of files come from.
    pub seed: u64,
    /// [`Options::leaf_bytes`].
    pub leaf: usize,
    /// [`Options::cache_bytes`].
    pub cache: usize,
    /// [`Options::journal_file_bytes`].
    pub journal: u64,
    /// [`Options::node_file_bytes`].
    pub node: u64,
    /// [`Options::checkpoint_bytes`].
    pub checkpoint: u64,
    /// Whether there is a background worker.
    pub background: bool,
    /// [`Options::space_target`]; 0: nothing is moved to save space.
    pub space: u8,
    /// [`Options::data_directories`].
    pub directories: u16,
    /// Whether the environment is encrypted.
    pub encrypted: bool,
    /// Whether nodes are compressed.
    pub compressed: bool,
}

impl Settings {
    /// Small everything: a few commits fill a journal file, a few entries split a leaf.
    pub const SMALL: Self = Self {
        seed: 0,
        leaf: 512,
        cache: 1 << 20,
        journal: 16 << 10,
        node: 16 << 10,
        checkpoint: 1 << 20,
        background: false,
        space: 0,
        directories: 0,
        encrypted: false,
        compressed: false,
    };

    /// The options for the environment.
    #[must_use]
    pub fn options(&self) -> Options {
        let options = match self.encrypted {
            true => Options::default().key(key()),
            false => Options::default(),
        };
        let compression = if self.compressed { Compression::Lz4 } else { Compression::None };
        options
            .compression(compression)
            .leaf_bytes(self.leaf)
            .cache_bytes(self.cache)
            .journal_file_bytes(self.journal)
            .node_file_bytes(self.node)
            .checkpoint_bytes(self.checkpoint)
            .background(self.background)
            .space_target(self.space)
            .data_directories(self.directories)
    }
}

/// The key of all encrypted environments of the rigs. It costs nothing to try, unlike a passphrase.
fn key() -> KeySource {
    KeySource::raw(&mut std::array::from_fn(|i| u8::try_from(i).unwrap_or(0)))
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, leaf, cache, journal, node, checkpoint, background, space, .. } = self;
        let Self { directories, encrypted, compressed, .. } = self;
        write!(
            f,
            "settings seed={seed} leaf={leaf} cache={cache} journal={journal} node={node} \
             checkpoint={checkpoint} background={background} space={space} directories={directories}"
        )?;
        for (is_set, name) in [(*encrypted, "encrypted"), (*compressed, "compressed")] {
            if is_set {
                write!(f, " {name}=true")?;
            }
        }
        Ok(())
    }
}

/// A workload: how the environment is opened, and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a list with a head")]
pub struct Script {
    /// How the environment is opened.
    pub settings: Settings,
    /// What happens, in order.
    pub operations: Vec<Operation>,
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.settings)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "{operation}"))
    }
}

/// A text that is no script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidScript {
    /// A line is no operation.
    #[error("line {line}: {error}")]
    Operation {
        /// Which line, from 1.
        line: usize,
        /// What is wrong with it.
        error: InvalidOperation,
    },
    /// A setting is unknown, or its value is none.
    #[error("line {line}: not a setting: {text:?}")]
    Setting {
        /// Which line, from 1.
        line: usize,
        /// What stands there.
        text: String,
    },
}

impl FromStr for Script {
    type Err = InvalidScript;

    /// Blank lines, and what stands behind a `#`, are ignored. Settings that are not named are those
    /// of [`Settings::SMALL`].
    fn from_str(text: &str) -> Result<Self, InvalidScript> {
        let mut script = Self { settings: Settings::SMALL, operations: Vec::new() };
        for (line, text) in (1..).zip(text.lines()) {
            let text = text.split('#').next().unwrap_or_default().trim();
            if let Some(words) = text.strip_prefix("settings") {
                for word in words.split_whitespace() {
                    set(&mut script.settings, word)
                        .ok_or_else(|| InvalidScript::Setting { line, text: word.to_owned() })?;
                }
            } else if !text.is_empty() {
                let parsed = text.parse();
                let operation = parsed.map_err(|error| InvalidScript::Operation { line, error })?;
                script.operations.push(operation);
            }
        }
        Ok(script)
    }
}

fn set(settings: &mut Settings, word: &str) -> Option<()> {
    let (name, value) = word.split_once('=')?;
    match name {
        "seed" => settings.seed = value.parse().ok()?,
        "leaf" => settings.leaf = value.parse().ok()?,
        "cache" => settings.cache = value.parse().ok()?,
        "journal" => settings.journal = value.parse().ok()?,
        "node" => settings.node = value.parse().ok()?,
        "checkpoint" => settings.checkpoint = value.parse().ok()?,
        "background" => settings.background = value.parse().ok()?,
        "space" => settings.space = value.parse().ok()?,
        "directories" => settings.directories = value.parse().ok()?,
        "encrypted" => settings.encrypted = value.parse().ok()?,
        "compressed" => settings.compressed = value.parse().ok()?,
        _ => return None,
    }
    Some(())
}

impl Script {
    /// Looks for a shorter script for which `fails` still holds, by taking out operations: halves
    /// first, single ones last. Asks `fails` at most `attempts` times.
    #[must_use]
    pub fn shrink(&self, mut attempts: usize, mut fails: impl FnMut(&Self) -> bool) -> Self {
        let mut best = self.clone();
        let mut size = best.operations.len().div_ceil(2);
        loop {
            let before = best.operations.len();
            let mut end = before;
            while end > 0 && attempts > 0 {
                let start = end.saturating_sub(size);
                let mut shorter = best.clone();
                shorter.operations.drain(start..end);
                attempts -= 1;
                if fails(&shorter) {
                    best = shorter;
                }
                end = start;
            }
            if size == 1 && (best.operations.len() == before || attempts == 0) {
                return best;
            }
            size = size.div_ceil(2).max(1).min(best.operations.len().max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_prints_and_parses_back() {
        let text = "settings seed=7 leaf=256 cache=4096 journal=16384 node=20000 checkpoint=9 \
                    background=true space=50 directories=3\nopen\ncommit sync +0/1=2*3\nclose\n";
        let script: Script = text.parse().unwrap();
        assert_eq!(script.to_string(), text);
        let encrypted: Script = "settings encrypted=true".parse().unwrap();
        assert!(encrypted.settings.options().key.is_some());
        assert_eq!(encrypted.to_string().parse(), Ok(encrypted));
        let compressed: Script = "settings compressed=true".parse().unwrap();
        assert_eq!(compressed.settings.options().compression, Some(Compression::Lz4));
        assert_eq!(compressed.to_string().parse(), Ok(compressed));
        let short: Script =
            "# a story\n\n  open # it begins\nkeep".replace("keep", "close").parse().unwrap();
        assert_eq!(short.settings, Settings::SMALL);
        assert_eq!(short.operations, [Operation::Open, Operation::Close]);
    }

    #[test]
    fn what_is_no_script_is_refused_with_the_line() {
        let error = |text: &str| text.parse::<Script>().unwrap_err().to_string();
        assert_eq!(error("open\nopen it\n"), "line 2: not an operation: \"open it\"");
        assert_eq!(error("settings leaf=many"), "line 1: not a setting: \"leaf=many\"");
        assert_eq!(error("settings colour=1"), "line 1: not a setting: \"colour=1\"");
    }

    #[test]
    fn shrinking_keeps_what_is_needed() {
        let text = "open\nread\ncommit sync +0/1=1*1\nread\nsync\ncheckpoint\nread\nclose\n";
        let script: Script = text.parse().unwrap();
        let needed = [Operation::Open, Operation::Checkpoint];
        let fails = |script: &Script| needed.iter().all(|n| script.operations.contains(n));
        assert_eq!(script.shrink(1000, fails).operations, needed);
    }
}
