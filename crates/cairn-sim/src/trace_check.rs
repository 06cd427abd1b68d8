//! What a trace tells beside its crashes: how much was written and synced, and what should not
//! have been.

use std::{collections::BTreeMap, fmt};

use cairn_io::SyncSite;

use crate::trace::{Entry, Op, Trace};

/// How much a run wrote and synced, by class of file and by sync site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// What was written to files of each class, as the caller classes them.
    pub classes: BTreeMap<&'static str, Writes>,
    /// How many syncs of each site succeeded, of files and directories together.
    pub syncs: BTreeMap<SyncSite, u64>,
    /// How many syncs failed.
    pub failed_syncs: u64,
}

/// What was written to the files of a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Writes {
    /// Files created.
    pub files: u64,
    /// Write operations.
    pub writes: u64,
    /// Bytes written, every time they were.
    pub bytes: u64,
}

impl Summary {
    /// Adds up `trace`; `class_of` says the class of a file from its path.
    pub fn of(trace: &Trace, class_of: impl Fn(&str) -> &'static str) -> Self {
        let mut this = Self::default();
        for entry in trace.entries() {
            match entry.op() {
                Op::Create => this.class(class_of(entry.path())).files += 1,
                Op::Write { bytes, .. } => {
                    let class = this.class(class_of(entry.path()));
                    class.writes += 1;
                    class.bytes += bytes.len() as u64;
                }
                Op::SyncFile { failed: Some(_), .. } | Op::SyncDir { failed: Some(_), .. } => {
                    this.failed_syncs += 1;
                }
                Op::SyncFile { site, .. } | Op::SyncDir { site, .. } => {
                    *this.syncs.entry(*site).or_default() += 1;
                }
                _ => {}
            }
        }
        this
    }

    fn class(&mut self, class: &'static str) -> &mut Writes {
        self.classes.entry(class).or_default()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (class, Writes { files, writes, bytes }) in &self.classes {
            writeln!(f, "{class}: {bytes} bytes in {writes} writes, {files} files created")?;
        }
        for (site, count) in &self.syncs {
            writeln!(f, "{site}: {count} syncs")?;
        }
        match self.failed_syncs {
            0 => Ok(()),
            count => writeln!(f, "{count} syncs failed"),
        }
    }
}

/// An entry that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its number in the trace.
    pub number: usize,
    /// What it did.
    pub entry: Entry,
    /// Why that is wrong.
    pub reason: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {}: {}", self.number, self.entry, self.reason)
    }
}

impl Trace {
    /// The entries that break `rule`, which gets each in turn, may remember what it likes, and
    /// returns the reason. For a panic at the very call, give the rule to
    /// [`SimDisk::watch`](crate::SimDisk::watch) instead.
    ///
    /// ```
    /// use std::collections::BTreeSet;
    /// use cairn_io::{FileExt, Name};
    /// use cairn_sim::{Op, SimDisk};
    ///
    /// let disk = SimDisk::new();
    /// let file = disk.root().create(&Name::new("7.log").unwrap())?;
    /// file.write_all_at(0, b"record")?;
    /// disk.mark("sealed", 7); // from here on the file must not change
    /// file.write_all_at(6, b"oops")?;
    ///
    /// let mut sealed = BTreeSet::new();
    /// let violations = disk.trace().violations(|entry| match entry.op() {
    ///     Op::Mark { label: "sealed", value } => {
    ///         sealed.insert(format!("{value}.log"));
    ///         None
    ///     }
    ///     Op::Write { .. } | Op::SetLen { .. } if sealed.contains(entry.path()) => {
    ///         Some("the file is sealed".into())
    ///     }
    ///     _ => None,
    /// });
    /// assert_eq!(violations[0].to_string(), "#3 write 7.log @6+4: the file is sealed");
    /// # Ok::<(), cairn_io::IoError>(())
    /// ```
    pub fn violations(&self, mut rule: impl FnMut(&Entry) -> Option<String>) -> Vec<Violation> {
        let entries = self.entries().enumerate();
        entries
            .filter_map(|(number, entry)| {
                let reason = rule(entry)?;
                Some(Violation { number, entry: entry.clone(), reason })
            })
            .collect()
    }
}
