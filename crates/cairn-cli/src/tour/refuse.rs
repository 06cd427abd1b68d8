//! What an environment does about damage: it must notice, name the file, and return nothing wrong.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use cairndb::{Environment, Options, VerifyOptions};

use super::{
    chance::Chance,
    damage::{self, Bit, Target},
    digest::{Reading, Truth},
    step::Told,
};
use crate::{
    exit::Failure,
    text::{several, size},
};

/// How many bits are flipped, and how long that may take beyond one bit per file.
const FLIPS: usize = 40;
const FLIPS_TIME: Duration = Duration::from_secs(8);

/// How damage came to light.
enum Noticed {
    /// The environment did not open.
    AtOpen(String),
    /// It opened, and an entry could not be read.
    WhenRead(String),
    /// Every entry was there and right, and opening or verifying it told of the damage all the same.
    Whole,
    /// Not at all; and every entry was there and right.
    Not,
}

/// Opens a damaged environment, reads everything, and compares it with the truth.
fn look(env_dir: &Path, target: &Target, truth: &Truth) -> Result<Noticed, Failure> {
    let named = |message: String| {
        if target.is_named_in(&message) {
            return Ok(message);
        }
        let name = target.name();
        Err(Failure::check(format_args!(
            "{name} was damaged, and the error does not name it: {message}"
        )))
    };
    let options = Options::default().read_only(true).create(false);
    let env = match Environment::open(env_dir, options) {
        Ok((env, _)) => env,
        Err(error) => return Ok(Noticed::AtOpen(named(error.to_string())?)),
    };
    match truth.compare(&env.snapshot()?) {
        Reading::Refused(error) => return Ok(Noticed::WhenRead(named(error.to_string())?)),
        Reading::Wrong(what) => {
            let name = target.name();
            return Err(Failure::check(format_args!("{name} was damaged, and {what}")));
        }
        Reading::Whole => {}
    }
    let report = env.recovery_report();
    if report.state_slot_damaged || report.older_checkpoint.is_some() {
        return Ok(Noticed::Whole);
    }
    match env.verify(&VerifyOptions::new())?.findings.first() {
        Some(finding) => named(finding.to_string()).map(|_| Noticed::Whole),
        None => Ok(Noticed::Not),
    }
}

/// How often damage came to light in which way.
#[derive(Default)]
struct Counts {
    at_open: u64,
    when_read: u64,
    whole: u64,
    not: u64,
    example: Option<String>,
}

impl Counts {
    fn add(&mut self, noticed: Noticed) {
        match noticed {
            Noticed::AtOpen(message) => {
                self.at_open += 1;
                if self.when_read == 0 {
                    self.example = Some(message);
                }
            }
            Noticed::WhenRead(message) => {
                self.when_read += 1;
                // The more telling one: the environment works, and still nothing wrong comes out.
                self.example = Some(message);
            }
            Noticed::Whole => self.whole += 1,
            Noticed::Not => self.not += 1,
        }
    }

    fn told(self, first: String) -> Told {
        let Self { at_open, when_read, whole, not, example } = self;
        let ways = [
            (at_open, "refused at open"),
            (when_read, "when read"),
            (whole, "reported, with all data there"),
            (not, "not needed by anything"),
        ];
        let ways = ways.iter().filter(|(n, _)| *n > 0).map(|(n, way)| format!("{n} {way}"));
        let ways = ways.collect::<Vec<_>>().join(", ");
        let told = Told::default()
            .line(first)
            .line(format!("{ways}; the file named each time, nothing wrong returned"))
            .figure("refused_at_open", at_open)
            .figure("refused_when_read", when_read)
            .figure("reported", whole)
            .figure("not_needed", not);
        match example {
            Some(message) => told.line(format!("such as: {message}")).figure("example", message),
            None => told,
        }
    }
}

/// Flips bits all over the files of the environment, one at a time. Returns one that made it refuse.
pub(super) fn flips(
    env_dir: &Path,
    truth: &Truth,
    chance: &mut Chance,
    sabotage: bool,
) -> Result<(Option<Bit>, Told), Failure> {
    let targets = damage::targets(env_dir)?;
    let began = Instant::now();
    let mut counts = Counts::default();
    let mut refused = None;
    let mut flips = 0;
    let bytes = targets.iter().map(|target| target.content).sum::<u64>();
    while flips < FLIPS.max(targets.len())
        && (flips < targets.len() || began.elapsed() < FLIPS_TIME)
    {
        // Each file once, then wherever there is most.
        let target = targets.get(flips).unwrap_or_else(|| pick(&targets, chance.below(bytes)));
        flips += 1;
        if target.content == 0 {
            continue;
        }
        let bit = Bit::choose(target, chance);
        bit.flip()?;
        if sabotage {
            bit.flip()?;
        }
        let noticed = look(env_dir, target, truth);
        if !sabotage {
            bit.flip()?;
        }
        let noticed = noticed?;
        if matches!(noticed, Noticed::Not) {
            return Err(Failure::check(format_args!(
                "a flipped bit at offset {} of {} was not noticed",
                bit.offset,
                target.name()
            )));
        }
        if matches!(noticed, Noticed::AtOpen(_) | Noticed::WhenRead(_)) {
            refused = Some(bit);
        }
        counts.add(noticed);
    }
    let told = counts
        .told(format!(
            "{}, one at a time, in {} ({})",
            several(flips as u64, "bit"),
            several(targets.len() as u64, "file"),
            size(bytes)
        ))
        .figure("flips", flips)
        .figure("files", targets.len());
    Ok((refused, told))
}

/// The file that holds the byte `at` of all files one after the other.
fn pick(targets: &[Target], mut at: u64) -> &Target {
    for target in targets {
        if at < target.content {
            return target;
        }
        at -= target.content;
    }
    &targets[0]
}

/// Takes each file of the environment away, one at a time; then leaves it without one of them, and with
/// a flipped bit.
pub(super) fn deletions(
    env_dir: &Path,
    truth: &Truth,
    bit: Option<Bit>,
    sabotage: bool,
) -> Result<((), Told), Failure> {
    let targets = damage::targets(env_dir)?;
    let mut counts = Counts::default();
    let mut missed = None;
    for target in &targets {
        let aside = env_dir.with_extension("taken-away");
        let rename = |from: &Path, to: &Path| {
            fs::rename(from, to).map_err(|error| Failure::io("rename", from, &error))
        };
        rename(&target.path, &aside)?;
        if sabotage {
            rename(&aside, &target.path)?;
        }
        let noticed = look(env_dir, target, truth);
        if !sabotage {
            rename(&aside, &target.path)?;
        }
        let noticed = noticed?;
        let needed = !matches!(noticed, Noticed::Not);
        if needed && bit.as_ref().is_none_or(|bit| bit.target.path != target.path) {
            missed = Some(target); // the last one is a log file
        }
        counts.add(noticed);
    }
    let Some(missed) = missed else {
        let files = several(targets.len() as u64, "file");
        return Err(Failure::check(format_args!("{files} were deleted, and it was not noticed")));
    };
    let files = targets.len();
    let mut told = counts.told(format!("{}, one at a time", several(files as u64, "file")));
    told = told.figure("files", files);
    fs::remove_file(&missed.path).map_err(|error| Failure::io("remove", &missed.path, &error))?;
    let lost = missed.name();
    let flipped = match &bit {
        Some(bit) => {
            bit.flip()?;
            format!(" and with a flipped bit at offset {} of {}", bit.offset, bit.target.name())
        }
        None => String::new(),
    };
    let options = Options::default().read_only(true).create(false);
    if let Ok((env, _)) = Environment::open(env_dir, options)
        && !matches!(truth.compare(&env.snapshot()?), Reading::Refused(_))
    {
        return Err(Failure::check(format_args!(
            "{lost} was deleted, and everything seems to be there"
        )));
    }
    told = told.line(format!("left without {lost}{flipped}")).figure("left_without", lost);
    Ok(((), told))
}
