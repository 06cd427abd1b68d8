//! The command `tamper`: an encrypted environment is changed by somebody who may write to all of its files, knows
//! every earlier state of them and has copies of it, but not the key. He puts everything right that can be
//! computed without; so only tags can tell. Nothing of it may pass.
//!
//! `flip` and `blocks` ask the same of what happens by itself. What he may do unnoticed is to put back *all* of
//! it, and the last write of the state, which leaves what a crash right before that write leaves: the same
//! commits. The row of the state's slots shows how often that was so.

mod forge;
mod list;

use std::{collections::BTreeMap, fmt, str::FromStr};

use cairn_io::MemDisk;
use cairn_sim::{Chooser as _, Seeded};

use self::list::{Scene, Tampering};
use crate::{
    at_rest::{Expected, Report, Verdict, judge, tampered},
    part::Part,
    pool,
    problem::{Checked, Problem, Wrong},
};

/// How much is tampered with.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "the command line states each")]
pub struct Plan {
    /// At most so many cases of each kind for each subject; `None`: all.
    pub each: Option<usize>,
    /// Which of them are done.
    pub part: Part,
    /// Which cases are left out.
    pub seed: u64,
    /// How many threads.
    pub threads: usize,
}

/// One case: the subject and what is done to it, both by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Case {
    subject: usize,
    tampering: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.tampering)
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(subject, tampering)| {
            Some(Self { subject: subject.parse().ok()?, tampering: tampering.parse().ok()? })
        });
        numbers.ok_or_else(|| format!("not a subject and a case, as 1/200: {text:?}"))
    }
}

/// Tampers with everything.
///
/// # Errors
/// If the subjects cannot be made.
pub fn run(plan: &Plan) -> Checked<Report> {
    /// So many at once, that threads need not meet often.
    const BATCH: usize = 64;
    let mut report = Report::default();
    for (number, scene) in scenes()?.iter().enumerate() {
        let (all, disk) = (list::all(scene), scene.subject.image.to_mem());
        let chosen = choose(&all, plan, scene.subject.name);
        let batches: Vec<&[usize]> = chosen.chunks(BATCH).collect();
        let judged = pool::run(plan.threads, &batches, |batch| {
            batch.iter().map(|index| look(scene, &disk, &all[*index])).collect::<Vec<_>>()
        });
        for (index, judged) in chosen.iter().zip(judged.into_iter().flatten()) {
            let (tampering, case) = (&all[*index], Case { subject: number, tampering: *index });
            if let Some(judged) = judged {
                let again = format!("cargo xtask tamper --repeat {case}");
                let told = || (tampering.to_string(), again);
                report.add(scene.subject.name, tampering.row(), judged, told);
            }
        }
    }
    Ok(report)
}

/// Does one case again. Returns what it is and what became of it; `None` if there is no such case, or it
/// changes nothing.
///
/// # Errors
/// If the subjects cannot be made.
pub fn repeat(case: Case) -> Checked<Option<(String, Checked<Verdict>)>> {
    let scenes = scenes()?;
    let Some(scene) = scenes.get(case.subject) else { return Ok(None) };
    let all = list::all(scene);
    let Some(tampering) = all.get(case.tampering) else { return Ok(None) };
    let judged = look(scene, &scene.subject.image.to_mem(), tampering);
    let (name, row) = (scene.subject.name, tampering.row());
    Ok(judged.map(|judged| (format!("{name}: {row}: {tampering}"), judged)))
}

fn scenes() -> Checked<Vec<Scene>> {
    let tampered = tampered()?.into_iter();
    Ok(tampered.map(|(subject, twin)| Scene { subject, twin }).collect())
}

/// Does it to a copy of the disk, if it changes anything.
fn look(scene: &Scene, disk: &MemDisk, tampering: &Tampering) -> Option<Checked<Verdict>> {
    let (path, content) = tampering.after(scene)?;
    let disk = disk.fork();
    if let Err(error) = disk.write(&path, content) {
        return Some(Err(Problem::new(Wrong::Run, error)));
    }
    let files = tampering.files();
    Some(judge(&scene.subject, &disk, &Expected { rule: tampering.rule(), files, place: None }))
}

/// The numbers of the cases of the part, and of them at most so many of each kind.
fn choose(all: &[Tampering], plan: &Plan, name: &str) -> Vec<usize> {
    let Plan { each, part, seed, .. } = *plan;
    let mut kinds: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, tampering) in all.iter().enumerate().filter(|(index, _)| part.has(*index)) {
        kinds.entry(tampering.row()).or_default().push(index);
    }
    let mut chosen = Vec::new();
    for (kind, mut of_kind) in kinds {
        let mut random = Seeded::new(seed).stream(name).stream(kind);
        while each.is_some_and(|each| of_kind.len() > each) {
            of_kind.swap_remove(random.choose(of_kind.len(), "left out"));
        }
        chosen.extend(of_kind);
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_everything_is_noticed() {
        let plan = Plan { each: Some(12), part: Part::ALL, seed: 5, threads: 1 };
        let report = run(&plan).unwrap();
        assert!(report.is_good(), "{report}");
        assert!(report.cases > 150, "{report}");
        for scene in scenes().unwrap() {
            let subject = &scene.subject;
            assert!(subject.image.total_bytes() >= 64 << 10, "{}", subject.name);
        }
    }
}
