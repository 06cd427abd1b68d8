//! What is damaged: small environments and a backup, with all that must be in them.

use std::{collections::BTreeMap, sync::Arc};

use cairn_env::Options;
use cairn_sim::{Bounds, Image, Level};

use super::{
    large,
    region::{Region, regions},
};
use crate::{
    model::History,
    problem::{Checked, Problem, Wrong},
    run::{KNOWS, Knowledge, Life, record},
    script::Script,
};

/// Something whole that is going to be damaged.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Subject {
    /// Its name.
    pub name: &'static str,
    /// What is on the disk.
    pub image: Image,
    /// What each file held before, other than now, the oldest first.
    pub versions: BTreeMap<String, Vec<Arc<Vec<u8>>>>,
    /// The files of an older backup of the same environment.
    pub older: Image,
    /// What was done to another environment gives this: paths and lengths agree, identities do not.
    pub foreign: Image,
    /// The history, whose last state must be found.
    pub history: History,
    /// The newest commit, which is durable.
    pub commit: u64,
    /// Whether it is a backup, in the directory `b-0`.
    pub is_backup: bool,
    /// Whether the environment was closed in order.
    pub is_clean: bool,
    /// How it is opened.
    pub options: Options,
}

impl Subject {
    /// The parts of a file.
    pub(crate) fn regions(&self, path: &str) -> Vec<Region> {
        let is_journal =
            |path: &&str| path.rsplit('/').next().unwrap_or_default().starts_with("J-");
        let last = self.image.files().map(|(path, _)| path).filter(is_journal).last();
        regions(&self.image, path, !self.is_clean && last == Some(path))
    }
}

/// Databases with several leaves, values of all lengths, two checkpoints, commits after them.
const LIFE: &str = "
settings seed=11 leaf=256
open
commit sync +0/1=1*40 +0/2=2*100 +0/3=3*30 +0/4=4*60 +0/5=5*60 +0/6=6*60 +0/8=8*60 +0/9=9*60
commit sync +1/1=11*20 +1/2=12*900 +1/14=13*30
commit sync +0/10=20*60 +0/11=21*60 +0/12=22*60 +0/13=23*60 +0/7=24*30
checkpoint
commit sync +0/2=30*80 -0/3 +2/1=31*10
commit sync +0/15=32*600 +0/16=33*20
checkpoint
commit sync +1/3=40*40 -0/4
commit sync +0/17=41*500 +2/2=42*30
";

/// All subjects.
///
/// # Errors
/// If one cannot be made: something else is wrong.
pub fn subjects() -> Checked<Vec<Subject>> {
    let crashed = made("crashed environment", LIFE, false)?;
    let clean = made("closed environment", &format!("{LIFE}close\n"), true)?;
    let backup = made("backup", &format!("{LIFE}backup\n"), true)?;
    Ok(vec![clean, crashed, recovered()?, backup])
}

/// Larger ones: an environment that was closed, one that a crash left, and a backup.
///
/// # Errors
/// If one cannot be made: something else is wrong.
pub fn large_subjects() -> Checked<Vec<Subject>> {
    let life = large::life();
    let clean = made("large, closed", &format!("{life}close\n"), true)?;
    let crashed = made("large, crashed", &life, false)?;
    Ok(vec![clean, crashed, made("large, backup", &format!("{life}backup\n"), true)?])
}

/// An encrypted environment that has crashed, and an encrypted backup.
pub(crate) fn encrypted() -> Checked<Vec<Subject>> {
    let life = LIFE.replacen("seed=11", "seed=11 encrypted=true", 1);
    let crashed = made("crashed, encrypted", &life, false)?;
    Ok(vec![crashed, made("backup, encrypted", &format!("{life}backup\n"), true)?])
}

/// Encrypted environments of more than 64 KiB, one closed and one that has crashed, each with a copy of it that
/// went on in its own way: the same environment, the same keys, files of the same names.
pub(crate) fn tampered() -> Checked<Vec<(Subject, Image)>> {
    const OWN: &str = "
commit sync +0/1=901*60 +1/2=902*3000 -2/5
checkpoint
commit sync +0/3=903*100 +0/91=904*40
commit sync +1/3=905*50
";
    const OTHER: &str = "
commit sync +0/1=911*60 +1/2=912*3000 -2/5
checkpoint
commit sync +0/3=913*100 +0/91=914*40
commit sync +1/3=915*50
";
    let life = large::life().replacen("seed=11", "seed=11 encrypted=true", 1);
    let own = format!("{life}close\nopen\n{OWN}");
    // Each process has a randomness of its own, so the copy goes on in another one.
    let twin = left(&format!("{life}close\nopen\nclose\nopen\n{OTHER}"), false)?;
    let closed = made("tampered with, closed", &format!("{own}close\n"), true)?;
    let crashed = made("tampered with, crashed", &own, false)?;
    Ok(vec![(closed, twin.clone()), (crashed, twin)])
}

/// A closed environment in two data directories, and a backup of it.
pub(crate) fn spread() -> Checked<Vec<Subject>> {
    let life = LIFE.replacen("seed=11", "seed=11 directories=2", 1);
    let clean = made("closed, two data directories", &format!("{life}close\n"), true)?;
    Ok(vec![clean, made("backup, two data directories", &format!("{life}backup\n"), true)?])
}

/// An environment whose journal was cut at a torn tail, and that went on from there.
fn recovered() -> Checked<Subject> {
    const TRIES: u32 = 200;
    for seed in 0..TRIES {
        let text = format!(
            "{LIFE}commit write +0/18=50*300 +0/19=51*300\npower L4 {seed}\nopen\n\
             commit sync +0/20=52*30\n"
        );
        let subject = made("recovered environment", &text, false)?;
        if subject.image.files().any(|(path, _)| path.contains("/torn-")) {
            return Ok(subject);
        }
    }
    Err(Problem::new(Wrong::Run, "no power failure has torn anything"))
}

/// Carries a script out and takes what it leaves.
fn made(name: &'static str, text: &str, is_clean: bool) -> Checked<Subject> {
    let script = parsed(text)?;
    let is_backup = text.contains("backup");
    let recording = record(&script)?;
    let lives = taken(&recording.lives, is_backup);
    let wrong = |story: &str| Problem::new(Wrong::Run, story);
    let (image, knows) = last(lives.last().ok_or_else(|| wrong("no life"))?);
    let (history, commit) = match knows {
        Knowledge::Environment(known) => (known.current.history, known.current.begun),
        Knowledge::Backups(backups) => {
            let backup = backups.first().ok_or_else(|| wrong("no backup"))?;
            (backup.history, backup.done.ok_or_else(|| wrong("an unfinished backup"))?)
        }
        Knowledge::Restores(_) => return Err(wrong("a disk of restores")),
    };
    let mut history = recording.histories[history].clone();
    history.truncate(usize::try_from(commit).unwrap_or(usize::MAX).saturating_add(1));
    Ok(Subject {
        name,
        versions: versions(lives, &image),
        older: older(text)?,
        foreign: left(&text.replacen("seed=11", "seed=12", 1), is_backup)?,
        image,
        history,
        commit,
        is_backup,
        is_clean,
        options: script.settings.options(),
    })
}

fn parsed(text: &str) -> Checked<Script> {
    text.parse().map_err(|error| Problem::new(Wrong::Run, error))
}

/// The lives of the environment, or that of the disk of its backups; the last is that of restores.
fn taken(lives: &[Life], is_backup: bool) -> &[Life] {
    let split = lives.len().saturating_sub(2);
    if is_backup { &lives[split..=split] } else { &lives[..split] }
}

/// What a script leaves on the disk of the environment, or of its backups.
fn left(text: &str, is_backup: bool) -> Checked<Image> {
    let lives = record(&parsed(text)?)?.lives;
    Ok(taken(&lives, is_backup).last().map_or_else(Image::new, |life| last(life).0))
}

/// A backup made at the first checkpoint of a script.
fn older(text: &str) -> Checked<Image> {
    let (before, _) = text.split_once("checkpoint\n").unwrap_or((text, ""));
    left(&format!("{before}checkpoint\nbackup\n"), true)
}

/// What each file of `image` held before, after any operation on the disk.
fn versions(lives: &[Life], image: &Image) -> BTreeMap<String, Vec<Arc<Vec<u8>>>> {
    let mut versions: BTreeMap<String, Vec<Arc<Vec<u8>>>> = BTreeMap::new();
    for life in lives {
        let mut cuts = life.trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            let kept = cut.crash().images(Level::KeepAll, &Bounds::smoke()).next();
            let Some(kept) = kept else { continue };
            for (path, _) in image.files() {
                let Some(content) = kept.image.read(path) else { continue };
                let of_file = versions.entry(path.to_owned()).or_default();
                if image.read(path).is_some_and(|now| now != content) && !of_file.contains(&content)
                {
                    of_file.push(content);
                }
            }
        }
    }
    versions
}

/// What is on the disk at the end of a life.
fn last(life: &Life) -> (Image, Knowledge) {
    let mut cuts = life.trace.cuts();
    let mut mark = 0;
    let mut image = Image::new();
    let last = life.trace.entries().len();
    while let Some(cut) = cuts.next_cut() {
        if cut.position() == last {
            mark = cut.mark(KNOWS).unwrap_or(0);
            let kept = cut.crash().images(Level::KeepAll, &Bounds::smoke()).next();
            image = kept.map_or_else(Image::new, |kept| kept.image);
        }
    }
    let mark = usize::try_from(mark).unwrap_or(usize::MAX);
    (image, life.knowledge[mark.min(life.knowledge.len() - 1)].clone())
}
