//! The command `blocks`: every block of 512 bytes and every file of small environments and of backups is
//! zeroed, old, misplaced, exchanged, cut, grown, missing or of another environment, and nothing of it
//! passes unnoticed.

mod damage;
mod list;
mod rule;

use std::{collections::BTreeMap, fmt, str::FromStr};

use cairn_io::MemDisk;
use cairn_sim::{Chooser as _, Seeded};

use self::{
    damage::{After, Damage},
    rule::Ground,
};
use crate::{
    at_rest::{Expected, Report, Rule, Subject, Verdict, encrypted, judge, spread, subjects},
    pool,
    problem::{Checked, Problem, Wrong},
};

/// How much is damaged.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// At most so many damages of each kind for each subject, of cut files those at the ends of records
    /// first; `None`: all.
    pub each: Option<usize>,
    /// Which damages are left out.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// One damage: the subject and the damage of it, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    subject: usize,
    damage: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.damage)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(subject, damage)| {
            Some(Self { subject: subject.parse().ok()?, damage: damage.parse().ok()? })
        });
        numbers.ok_or_else(|| format!("not a subject and a damage, as 1/200: {text:?}"))
    }
}

/// Damages everything.
///
/// # Errors
/// If the subjects cannot be made.
pub fn run(plan: &Plan) -> Checked<Report> {
    /// So many at once, that threads need not meet often.
    const BATCH: usize = 64;
    let mut report = Report::default();
    for (number, subject) in all()?.iter().enumerate() {
        let damages = list::damages(subject);
        let (ground, disk) = (Ground::new(subject), subject.image.to_mem());
        let chosen = match plan.each {
            None => (0..damages.len()).collect(),
            Some(each) => choose(subject, &ground, &damages, each, plan.seed),
        };
        let batches: Vec<&[usize]> = chosen.chunks(BATCH).collect();
        let judged = pool::run(plan.threads, &batches, |batch| {
            let judge = |index: &usize| look(&ground, subject, &disk, &damages[*index]);
            batch.iter().map(judge).collect::<Vec<_>>()
        });
        for (index, judged) in chosen.iter().zip(judged.into_iter().flatten()) {
            let (damage, case) = (&damages[*index], Case { subject: number, damage: *index });
            if let Some(judged) = judged {
                let again = format!("cargo xtask blocks --repeat {case}");
                report.add(subject.name, damage.row(), judged, || (damage.to_string(), again));
            }
        }
    }
    Ok(report)
}

/// Does one damage again. Returns what it is and what became of it; `None` if there is no such damage,
/// or it changes nothing.
///
/// # Errors
/// If the subjects cannot be made.
pub fn repeat(case: Case) -> Checked<Option<(String, Checked<Verdict>)>> {
    let subjects = all()?;
    let Some(subject) = subjects.get(case.subject) else { return Ok(None) };
    let damages = list::damages(subject);
    let Some(damage) = damages.get(case.damage) else { return Ok(None) };
    let judged = look(&Ground::new(subject), subject, &subject.image.to_mem(), damage);
    Ok(judged.map(|judged| (format!("{}: {damage}", subject.name), judged)))
}

fn all() -> Checked<Vec<Subject>> {
    let mut all = subjects()?;
    all.extend(spread()?);
    all.extend(encrypted()?);
    Ok(all)
}

/// Does a damage to a copy of the disk, if it changes anything.
fn look(
    ground: &Ground<'_>,
    subject: &Subject,
    disk: &MemDisk,
    damage: &Damage,
) -> Option<Checked<Verdict>> {
    let after = damage.after(subject);
    let rule = ground.rule(damage, &after)?;
    Some(done(subject, disk, rule, &after))
}

fn done(subject: &Subject, disk: &MemDisk, rule: Rule, after: &[After]) -> Checked<Verdict> {
    let disk = disk.fork();
    for (path, content) in after {
        let done = match content {
            Some(content) => disk.write(path, content.clone()),
            None => disk.remove(path),
        };
        done.map_err(|error| Problem::new(Wrong::Run, error))?;
    }
    let files = after.iter().map(|(path, _)| &**path).collect();
    judge(subject, &disk, &Expected { rule, files, place: None })
}

/// The numbers of at most so many damages of each kind that change something; those of files cut beside
/// the boundary of a record are all taken.
fn choose(
    subject: &Subject,
    ground: &Ground<'_>,
    damages: &[Damage],
    each: usize,
    seed: u64,
) -> Vec<usize> {
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut chosen = Vec::new();
    for (index, damage) in damages.iter().enumerate() {
        match damage {
            Damage::Cut(path, len) if ground.is_boundary(path, *len) => chosen.push(index),
            Damage::Cut(..) => {}
            _ => kinds.entry(damage.row()).or_default().push(index),
        }
    }
    for (kind, mut of_kind) in kinds {
        let mut random = Seeded::new(seed).stream(subject.name).stream(kind);
        while of_kind.len() > each {
            of_kind.swap_remove(random.choose(of_kind.len(), "left out"));
        }
        chosen.extend(of_kind);
    }
    chosen.sort_unstable();
    chosen
}
