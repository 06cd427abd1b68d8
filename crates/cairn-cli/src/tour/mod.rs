//! `cairn tour`: what an environment survives, shown on real files in less than a minute.
//!
//! Each step does something to an environment and checks what came of it; `step` has their names and
//! how they are told. A check that cannot fail shows nothing, so each step can be sabotaged: its data
//! is broken in secret, and the tour has to end with a failure that names the step.

mod chance;
mod damage;
mod digest;
mod hot;
mod input;
mod process;
mod proof;
mod refuse;
mod step;
mod work;
mod writers;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use cairndb::{Environment, Options};
use serde::Serialize;

pub(crate) use self::process::TourWriter;
use self::{
    chance::Chance,
    digest::Truth,
    step::{Stage, Step, Told},
    work::Work,
    writers::Writers,
};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    keys::KeyArgs,
    open,
    output::Output,
    text::seconds,
};

/// Show in a minute what an environment survives: crashes, damage, loss; on your own files
///
/// It creates an environment, imports files, takes a backup while writers commit, kills a writing
/// process again and again, flips bits and deletes files, restores the backup, and proves by digest
/// that what was restored is what was backed up. The files themselves are only read. All else
/// happens in a fresh directory, which stays for you to look around in.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  cairn tour
  cairn tour --input ~/Pictures --dir /mnt/disk/tour
  cairn tour --sabotage restore; echo \"exit code $?: must not be 0\""
)]
pub(crate) struct Tour {
    /// Import the files below it, at most 64 MiB; nothing hidden, git-ignored or linked
    #[arg(long, value_name = "DIR", default_value = ".")]
    input: PathBuf,
    /// Where the tour takes place: a new or empty directory [default: a fresh temporary one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Remove that directory after a good tour
    #[arg(long)]
    remove: bool,
    /// Repeat the choices of another tour: which bits are flipped, when processes are killed
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Break a step, which must be noticed: the exit code is then never 0
    #[arg(long, value_name = "STEP", value_enum)]
    sabotage: Option<Step>,
}

/// Where the pieces lie.
#[derive(Serialize)]
struct Places {
    dir: PathBuf,
    environment: PathBuf,
    backup: PathBuf,
    recorded: PathBuf,
    restored: PathBuf,
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum TourJson<'a> {
    Begin {
        #[serde(flatten)]
        places: &'a Places,
        seed: u64,
    },
    Done {
        seconds: f64,
        removed: bool,
    },
}

impl Tour {
    pub(crate) fn run(self, output: &mut Output) -> Outcome {
        let began = Instant::now();
        if !self.input.is_dir() {
            let input = self.input.display();
            return Err(Failure::usage(format_args!("{input} is no directory"))
                .advise("--input takes a directory: the files below it are imported"));
        }
        let places = Places::new(self.dir.as_deref())?;
        let seed = self.seed.unwrap_or_else(some_seed);
        let dir = places.dir.display();
        output.line(format_args!("the tour takes place in {dir} (--seed {seed})"))?;
        output.event(&TourJson::Begin { places: &places, seed })?;
        output.flush()?;
        let toured = self.steps(&places, seed, output);
        if let Err(failure) = toured {
            output.line(format_args!("the pieces lie in {dir}"))?;
            return Err(failure);
        }
        let elapsed = began.elapsed();
        output.heading(format_args!("all is well, in {}", seconds(elapsed)))?;
        if self.remove {
            fs::remove_dir_all(&places.dir)
                .map_err(|error| Failure::io("remove", &places.dir, &error))?;
        } else {
            look_around(&places, output)?;
        }
        let seconds = elapsed.as_secs_f64();
        output.event(&TourJson::Done { seconds, removed: self.remove })?;
        Ok(Exit::Good)
    }

    fn steps(&self, places: &Places, seed: u64, output: &mut Output) -> Result<(), Failure> {
        let Places { dir, environment, backup, recorded, restored } = places;
        let mut chance = Chance::new(seed);
        let mut stage = Stage::new(output, self.sabotage);
        let env = stage.play(Step::Create, |sabotage| create(environment, sabotage))?;
        stage.play(Step::Import, |sabotage| input::import(&env, &self.input, dir, sabotage))?;
        let work = Work::open(&env)?;
        let writers = Writers::start(&env, &work);
        let syncs = stage
            .play(Step::Backup, |sabotage| hot::take(&env, &writers, backup, recorded, sabotage))?;
        stage
            .play(Step::Write, |sabotage| writers::finish(&env, &work, writers, syncs, sabotage))?;
        env.close()?;
        stage.play(Step::Kill, |sabotage| process::kill(environment, &mut chance, sabotage))?;
        let truth = {
            let env = open::for_reading(environment, &KeyArgs::default())?;
            Truth::of(&env.snapshot()?)?
        };
        let bit = stage.play(Step::Flip, |sabotage| {
            refuse::flips(environment, &truth, &mut chance, sabotage)
        })?;
        stage
            .play(Step::Delete, |sabotage| refuse::deletions(environment, &truth, bit, sabotage))?;
        stage.play(Step::Restore, |sabotage| proof::restore_backup(backup, restored, sabotage))?;
        stage.play(Step::Prove, |sabotage| proof::prove(restored, recorded, sabotage))
    }
}

impl Places {
    fn new(dir: Option<&Path>) -> Result<Self, Failure> {
        let dir = match dir {
            Some(dir) => {
                let failed = |error: io::Error| Failure::io("create", dir, &error);
                fs::create_dir_all(dir).map_err(failed)?;
                if fs::read_dir(dir).map_err(failed)?.next().is_some() {
                    return Err(Failure::exists(format_args!("{} is not empty", dir.display()))
                        .advise("--dir takes a new or an empty directory"));
                }
                fs::canonicalize(dir).map_err(failed)?
            }
            None => {
                let temporary = std::env::temp_dir();
                let fresh = tempfile::Builder::new().prefix("cairn-tour-").tempdir();
                fresh
                    .map_err(|error| Failure::io("create a directory in", &temporary, &error))?
                    .keep()
            }
        };
        let at = |name: &str| dir.join(name);
        Ok(Self {
            environment: at("environment"),
            backup: at("backup"),
            recorded: at("recorded.json"),
            restored: at("restored"),
            dir,
        })
    }
}

fn create(path: &Path, sabotage: bool) -> Result<(Environment, Told), Failure> {
    if sabotage {
        let foreign = path.join("letter.txt");
        fs::create_dir(path)
            .and_then(|()| fs::write(&foreign, "somebody else's"))
            .map_err(|error| Failure::io("write", &foreign, &error))?;
    }
    let (env, report) = Environment::open(path, Options::default())?;
    if !report.created {
        return Err(Failure::check("there was an environment already"));
    }
    let uuid = env.identity().environment.to_string();
    let told =
        Told::default().line(format!("an empty environment, uuid {uuid}")).figure("uuid", uuid);
    Ok((env, told))
}

/// What to look at when the tour is over.
fn look_around(places: &Places, output: &mut Output) -> Result<(), Failure> {
    let Places { dir, environment, backup, restored, .. } = places;
    // As it was called: who tries it out may have no `cairn` in the path yet.
    let cairn = std::env::args().next().unwrap_or_else(|| "cairn".into());
    let rows = [
        ("the environment, damaged", format!("{cairn} verify"), environment),
        ("its log, record by record", format!("{cairn} log"), environment),
        ("the backup", format!("{cairn} verify"), backup),
        ("the restored environment", format!("{cairn} info"), restored),
        ("to remove it all", "rm -r".into(), dir),
    ];
    output.line(format_args!("to look around:"))?;
    for (what, command, path) in rows {
        output.line(format_args!("  {what:<26} {command} {}", path.display()))?;
    }
    Ok(())
}

/// Something that differs from one tour to the next.
fn some_seed() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    // Small enough to be typed again.
    u64::from(now.subsec_nanos()) ^ u64::from(std::process::id())
}
