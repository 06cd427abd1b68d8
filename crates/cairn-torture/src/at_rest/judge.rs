//! What damage leads to: refused, reported, found, taken for a torn tail, harmless, or wrong.

use std::ops::Range;

use cairn_backup::{RestoreOptions, restore_from, verify_in};
use cairn_env::{EnvError, Environment, ErrorKind, RecoveryReport, VerifyOptions};
use cairn_io::MemDisk;
use cairn_log::LogError;
use cairn_sim::SimWorld;

use super::{region::Rule, subject::Subject};
use crate::{
    model::{Contents, fill},
    operation::Change,
    problem::{Checked, Problem, Wrong, caught},
    run::backup_name,
};

/// What became of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "the columns of the table")]
pub enum Verdict {
    /// The open is refused, with a reason.
    Refused,
    /// It opens with all its content, and the report says what is wrong.
    Reported,
    /// It opens, and reading or verification finds what is wrong; all that is read is right.
    Found,
    /// It opens without the last group, which is reported as torn and kept.
    Torn,
    /// It opens without the last commits, as if they had never been written.
    Gone,
    /// It opens, whole, and nothing is wrong with it.
    Harmless,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Refused, Self::Reported, Self::Found, Self::Torn, Self::Gone, Self::Harmless];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Reported => "reported",
            Self::Found => "found",
            Self::Torn => "torn",
            Self::Gone => "gone",
            Self::Harmless => "harmless",
        }
    }
}

/// What must become of a damage.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "tests make their own")]
pub struct Expected<'a> {
    /// What may become of it.
    pub rule: Rule,
    /// The files that are damaged. Whoever notices it must name one of them.
    pub files: Vec<&'a str>,
    /// The bytes that are wrong, if that is one place of one file.
    pub place: Option<Range<u64>>,
}

impl Expected<'_> {
    /// Whether this text leads to the damage: some files have names in plain words.
    fn is_named(&self, text: &str) -> bool {
        self.files.iter().any(|path| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let also = match name {
                "STATE" => "state file",
                "MANIFEST" => "the manifest",
                // That of a data directory, which it is about.
                "DIR" => path.split('/').next().unwrap_or_default(),
                name => name,
            };
            text.contains(name) || text.contains(also)
        })
    }

    /// Whoever tells of damage must say where it is.
    fn named(&self, verdict: Verdict, told: &str) -> Checked<Verdict> {
        let is_told = matches!(verdict, Verdict::Refused | Verdict::Reported | Verdict::Found);
        if !is_told || self.is_named(told) {
            return Ok(verdict);
        }
        let files = self.files.join(", ");
        Err(Problem::new(Wrong::Refused, format!("{files}: not named: {told}")))
    }
}

/// Looks what becomes of a damaged subject.
///
/// # Errors
/// The promise that is broken.
pub fn judge(subject: &Subject, struck: &MemDisk, expected: &Expected<'_>) -> Checked<Verdict> {
    let verdict = caught(|| match subject.is_backup {
        true => backup(subject, struck, expected),
        false => environment(subject, struck, expected),
    })?;
    let is_allowed = match (expected.rule, verdict) {
        (_, Verdict::Refused | Verdict::Reported | Verdict::Found) => true,
        (Rule::Noticed, _) => false,
        (Rule::Torn, Verdict::Torn) => true,
        (Rule::Wiped, Verdict::Torn | Verdict::Gone) => true,
        (Rule::Behind, Verdict::Torn | Verdict::Harmless) => true,
        (Rule::Ignored, Verdict::Harmless) => true,
        (Rule::Torn | Rule::Wiped | Rule::Behind | Rule::Ignored, _) => false,
    };
    if is_allowed { Ok(verdict) } else { Err(Problem::new(Wrong::Silent, verdict.name())) }
}

fn environment(subject: &Subject, disk: &MemDisk, expected: &Expected<'_>) -> Checked<Verdict> {
    let world = SimWorld::new(1);
    let options = subject.options.clone().background(false);
    let opened = Environment::open_in(disk.root(), world.world(), options.clone());
    let (env, report) = match opened {
        Ok(opened) => opened,
        Err(error) => return refused(&error, expected),
    };
    let lost = report.sequence < subject.commit;
    if lost && expected.rule != Rule::Wiped {
        torn(subject, &report, expected)?;
    }
    let Some(contents) =
        usize::try_from(report.sequence).ok().and_then(|commit| subject.history.get(commit))
    else {
        let story = format!("{} commits were made; {report}", subject.commit);
        return Err(Problem::new(Wrong::InventedCommit, story));
    };
    let readable = read(&env, contents)?;
    let findings = match env.verify(&VerifyOptions::new()) {
        Ok(verified) => verified.findings.iter().map(|f| f.to_string() + "; ").collect(),
        Err(error) => error.to_string(),
    };
    let found = !readable || !findings.is_empty();
    let told = report.state_slot_damaged
        || report.older_checkpoint.is_some()
        || !report.unknown_files.is_empty();
    if report.torn_tail.is_some() && readable {
        sets_aside(&env, &report, disk, contents)?;
    }
    let verdict = match (lost, found, told, &report.torn_tail) {
        (true, _, _, Some(_)) => Verdict::Torn,
        (true, ..) => Verdict::Gone,
        (_, true, ..) => Verdict::Found,
        (_, _, true, _) => Verdict::Reported,
        (_, _, _, Some(_)) => Verdict::Torn,
        _ => Verdict::Harmless,
    };
    expected.named(verdict, &format!("{report}; {findings}"))
}

/// A refusal must be of the files, not of a rule inside or of the disk.
fn refused(error: &EnvError, expected: &Expected<'_>) -> Checked<Verdict> {
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::NotFound | ErrorKind::Exists => {
            expected.named(Verdict::Refused, &error.to_string())
        }
        // A file that says to be of another key epoch needs a key that nobody has.
        ErrorKind::Key if matches!(error, EnvError::Log(LogError::KeyRequired { .. })) => {
            expected.named(Verdict::Refused, &error.to_string())
        }
        kind => {
            let story = format!("it is refused as {kind:?}: {error}");
            Err(Problem::new(Wrong::Refused, story))
        }
    }
}

/// Commits are gone: that may be only what nobody could tell from a torn write.
fn torn(subject: &Subject, report: &RecoveryReport, expected: &Expected<'_>) -> Checked<()> {
    let lost = |why: &str| {
        let story = format!("{why}; commit {} was acknowledged; {report}", subject.commit);
        Err(Problem::new(Wrong::LostCommit, story))
    };
    let Some(tail) = &report.torn_tail else { return lost("nothing is reported as torn") };
    if expected.rule != Rule::Torn {
        return lost("it lies below a watermark, or beside the journal");
    }
    let cut = tail.lsn.offset()..tail.lsn.offset() + tail.bytes;
    if expected.place.as_ref().is_some_and(|at| at.end <= cut.start || cut.end <= at.start) {
        return lost("the damage is not within what is reported as torn");
    }
    Ok(())
}

/// Reads everything; what is read must be right. Returns whether all of it could be read.
fn read(env: &Environment, contents: &Contents) -> Checked<bool> {
    match contents.difference(env) {
        Ok(None) => Ok(true),
        Ok(Some(story)) => Err(Problem::new(Wrong::Content, story)),
        Err(error) => {
            if matches!(error.kind(), ErrorKind::Internal | ErrorKind::Io) {
                return Err(Problem::new(Wrong::Content, format!("reading answers: {error}")));
            }
            // One part cannot be read: whatever else can be must be right all the same.
            let wrong = contents.wrong_value(env);
            wrong.map_or(Ok(false), |story| Err(Problem::new(Wrong::Content, story)))
        }
    }
}

/// Checks that the first write keeps the bytes that were cut.
fn sets_aside(
    env: &Environment,
    report: &RecoveryReport,
    disk: &MemDisk,
    contents: &Contents,
) -> Checked<()> {
    let Some(tail) = &report.torn_tail else { return Ok(()) };
    let journal = format!("{}.log", tail.lsn.file());
    let files = disk.files();
    let path = files.iter().map(|(path, _)| path).find(|path| {
        path.rsplit('/').next().is_some_and(|name| name.starts_with("J-"))
            && path.ends_with(&journal)
    });
    let before = path.and_then(|path| disk.read(path).ok()).unwrap_or_default();
    let start = usize::try_from(tail.lsn.offset()).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(tail.bytes).unwrap_or(usize::MAX));
    let wrong = |story: String| Problem::new(Wrong::NotSetAside, story);
    let cut = before.get(start..end).map(<[u8]>::to_vec);
    let cut =
        cut.ok_or_else(|| wrong(format!("the report names bytes that are none: {tail:?}")))?;
    let change = [Change::Put { database: 200, key: 1, value: 1, len: 10 }];
    env.write(|txn| fill(txn, &change)).map_err(|error| wrong(error.to_string()))?;
    let kept = disk.read(&format!("g-000001/{}", tail.set_aside));
    let kept = kept.map_err(|error| wrong(error.to_string()))?;
    if *kept != cut {
        return Err(wrong(format!("{} holds other bytes", tail.set_aside)));
    }
    let after = contents.after(&change).difference(env);
    match after.map_err(|error| Problem::new(Wrong::Content, error))? {
        None => Ok(()),
        Some(story) => Err(Problem::new(Wrong::Content, format!("after a write: {story}"))),
    }
}

/// Damage to a backup must be noticed by verification, and by a restore.
fn backup(subject: &Subject, disk: &MemDisk, expected: &Expected<'_>) -> Checked<Verdict> {
    let silent = |story: &str| Problem::new(Wrong::Silent, story);
    let dir = disk.root().open_dir(&backup_name(0)).map_err(|error| silent(&error.to_string()))?;
    let findings: String = match verify_in(&*dir, None) {
        Ok(report) => report.findings.iter().map(|f| format!("{}; ", f.error)).collect(),
        Err(error) => error.to_string(),
    };
    let (target, world) = (MemDisk::new(), SimWorld::new(3));
    let how = RestoreOptions::default().options(subject.options.clone());
    match restore_from(&dir, &target.root(), &world.world(), &how) {
        Err(_) if !findings.is_empty() => expected.named(Verdict::Refused, &findings),
        Err(error) => {
            Err(silent(&format!("verification finds nothing, a restore answers: {error}")))
        }
        Ok(_) if !findings.is_empty() => {
            Err(silent(&format!("a restore does not notice what verification finds: {findings}")))
        }
        Ok(_) => Ok(Verdict::Harmless),
    }
}
