//! What damage leads to: refused, reported, found, taken for a torn tail, harmless, or wrong.

use cairn_backup::{RestoreOptions, restore_from, verify_in};
use cairn_env::{EnvError, Environment, ErrorKind, RecoveryReport, VerifyOptions};
use cairn_io::MemDisk;
use cairn_sim::SimWorld;

use super::{
    damage::{Case, Damage},
    region::Rule,
    subject::Subject,
};
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

/// Damages a copy of the subject and looks what becomes of it.
///
/// # Errors
/// The promise that is broken.
pub fn judge(subject: &Subject, disk: &MemDisk, case: &Case) -> Checked<Verdict> {
    let disk = disk.fork();
    let struck = case.strike(&disk, subject);
    struck.map_err(|error| Problem::new(Wrong::Run, error))?;
    let verdict = caught(|| match subject.is_backup {
        true => backup(subject, &disk),
        false => environment(subject, &disk, case),
    })?;
    let allowed = match (case.rule, verdict) {
        (_, Verdict::Refused | Verdict::Reported | Verdict::Found) => true,
        (Rule::Noticed, _) => false,
        (Rule::Torn, Verdict::Torn) => true,
        (Rule::Wiped, Verdict::Torn | Verdict::Gone) => true,
        (Rule::Behind, Verdict::Torn | Verdict::Harmless) => true,
        (Rule::Ignored, Verdict::Harmless) => true,
        (Rule::Torn | Rule::Wiped | Rule::Behind | Rule::Ignored, _) => false,
    };
    // A file may lose what it does not need.
    let is_blow = !matches!(case.damage, Damage::Flip(_));
    if allowed || is_blow && verdict == Verdict::Harmless && is_spare(case) {
        Ok(verdict)
    } else {
        Err(Problem::new(Wrong::Silent, format!("{}: {}", case.row, verdict.name())))
    }
}

/// Whether an environment does without the content of this file.
fn is_spare(case: &Case) -> bool {
    // The state file as it was earlier leads to the same state by a longer way.
    case.damage == Damage::Stale && case.path.ends_with("STATE")
}

fn environment(subject: &Subject, disk: &MemDisk, case: &Case) -> Checked<Verdict> {
    let world = SimWorld::new(1);
    let options = subject.options.clone().background(false);
    let opened = Environment::open_in(disk.root(), world.world(), options.clone());
    let (env, report) = match opened {
        Ok(opened) => opened,
        Err(error) => return refused(&error, case),
    };
    let lost = report.sequence < subject.commit;
    if lost && case.rule != Rule::Wiped {
        torn(subject, &report, case)?;
    }
    let Some(contents) =
        usize::try_from(report.sequence).ok().and_then(|commit| subject.history.get(commit))
    else {
        let story = format!("{} commits were made; {report}", subject.commit);
        return Err(Problem::new(Wrong::InventedCommit, story));
    };
    let readable = read(&env, contents)?;
    let verified = env.verify(&VerifyOptions::new());
    let found = !readable || verified.is_err() || verified.is_ok_and(|v| !v.findings.is_empty());
    let told = report.state_slot_damaged
        || report.older_checkpoint.is_some()
        || !report.unknown_files.is_empty();
    if report.torn_tail.is_some() && readable {
        sets_aside(&env, &report, disk, contents)?;
    }
    Ok(match (lost, found, told, &report.torn_tail) {
        (true, _, _, Some(_)) => Verdict::Torn,
        (true, ..) => Verdict::Gone,
        (_, true, ..) => Verdict::Found,
        (_, _, true, _) => Verdict::Reported,
        (_, _, _, Some(_)) => Verdict::Torn,
        _ => Verdict::Harmless,
    })
}

/// A refusal must be of the files, not of a rule inside or of the disk.
fn refused(error: &EnvError, case: &Case) -> Checked<Verdict> {
    let name = case.path.rsplit('/').next().unwrap_or_default();
    if matches!(case.damage, Damage::Flip(_)) && !error.to_string().contains(name) {
        return Err(Problem::new(Wrong::Refused, format!("{name} is not named: {error}")));
    }
    match error.kind() {
        ErrorKind::Corrupt | ErrorKind::Unsupported | ErrorKind::NotFound | ErrorKind::Exists => {
            Ok(Verdict::Refused)
        }
        kind => {
            let story = format!("it is refused as {kind:?}: {error}");
            Err(Problem::new(Wrong::Refused, story))
        }
    }
}

/// Commits are gone: that may be only what nobody could tell from a torn write.
fn torn(subject: &Subject, report: &RecoveryReport, case: &Case) -> Checked<()> {
    let lost = |why: &str| {
        let story = format!("{why}; commit {} was acknowledged; {report}", subject.commit);
        Err(Problem::new(Wrong::LostCommit, story))
    };
    let Some(tail) = &report.torn_tail else { return lost("nothing is reported as torn") };
    if case.rule != Rule::Torn {
        return lost("it lies below a watermark, or beside the journal");
    }
    if let Damage::Flip(bit) = case.damage {
        let at = (bit / 8) as u64;
        if !(tail.lsn.offset()..tail.lsn.offset() + tail.bytes).contains(&at) {
            return lost("the damage is not within what is reported as torn");
        }
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
fn backup(subject: &Subject, disk: &MemDisk) -> Checked<Verdict> {
    let silent = |story: &str| Problem::new(Wrong::Silent, story);
    let dir = disk.root().open_dir(&backup_name(0)).map_err(|error| silent(&error.to_string()))?;
    let verified = verify_in(&*dir, None);
    let is_found = verified.is_err() || verified.is_ok_and(|report| !report.findings.is_empty());
    let (target, world) = (MemDisk::new(), SimWorld::new(3));
    let how = RestoreOptions::default().options(subject.options.clone());
    match (restore_from(&dir, &target.root(), &world.world(), &how), is_found) {
        (Err(_), true) => Ok(Verdict::Refused),
        (Err(error), false) => {
            Err(silent(&format!("verification finds nothing, a restore answers: {error}")))
        }
        (Ok(_), true) => Err(silent("verification finds damage, a restore does not")),
        (Ok(_), false) => Ok(Verdict::Harmless),
    }
}
