//! What is damaged: small environments and a backup, with all that must be in them.

use cairn_env::Options;
use cairn_sim::{Bounds, Image, Level};

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
    /// What was on the disk earlier, when it was whole as well.
    pub earlier: Image,
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
    let crashed = made("crashed environment", LIFE, "checkpoint", false)?;
    let clean = made("closed environment", &format!("{LIFE}close\n"), "checkpoint", true)?;
    let backup = made("backup", &format!("{LIFE}backup\n"), "checkpoint", true)?;
    Ok(vec![clean, crashed, recovered()?, backup])
}

/// An environment whose journal was cut at a torn tail, and that went on from there.
fn recovered() -> Checked<Subject> {
    const TRIES: u32 = 200;
    for seed in 0..TRIES {
        let text = format!(
            "{LIFE}commit write +0/18=50*300 +0/19=51*300\npower L4 {seed}\nopen\n\
             commit sync +0/20=52*30\n"
        );
        let subject = made("recovered environment", &text, "open", false)?;
        if subject.image.files().any(|(path, _)| path.contains("/torn-")) {
            return Ok(subject);
        }
    }
    Err(Problem::new(Wrong::Run, "no power failure has torn anything"))
}

/// Carries a script out and takes what it leaves; `earlier` is a line of it, after whose last
/// occurrence the earlier image is taken.
fn made(name: &'static str, text: &str, earlier: &str, is_clean: bool) -> Checked<Subject> {
    let wrong = |error: &dyn std::fmt::Display| Problem::new(Wrong::Run, error);
    let script: Script = text.parse().map_err(|error| wrong(&error))?;
    let is_backup = text.contains("backup");
    let recording = record(&script)?;
    let lives = &recording.lives;
    // The last life of the environment, then those of the disks of backups and of restores.
    let environment = &lives[lives.len() - 3];
    let (image, knows) = last(if is_backup { &lives[lives.len() - 2] } else { environment });
    let (history, commit) = match knows {
        Knowledge::Environment(known) => (known.current.history, known.current.begun),
        Knowledge::Backups(backups) => {
            let backup = backups.first().ok_or_else(|| wrong(&"no backup"))?;
            (backup.history, backup.done.ok_or_else(|| wrong(&"an unfinished backup"))?)
        }
        Knowledge::Restores(_) => return Err(wrong(&"a disk of restores")),
    };
    let earlier = match text.rfind(&format!("\n{earlier}\n")) {
        Some(at) => {
            let shorter: Script =
                text[..at + earlier.len() + 2].parse().map_err(|error| wrong(&error))?;
            let lives = record(&shorter)?.lives;
            last(&lives[lives.len() - 3]).0
        }
        None => Image::new(),
    };
    let mut history = recording.histories[history].clone();
    history.truncate(usize::try_from(commit).unwrap_or(usize::MAX).saturating_add(1));
    Ok(Subject {
        name,
        image,
        earlier,
        history,
        commit,
        is_backup,
        is_clean,
        options: script.settings.options(),
    })
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
