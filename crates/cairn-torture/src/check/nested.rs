//! Crashes in the middle of recovery, and of the first write after it.

use cairn_env::{Durability, Environment, Options};
use cairn_sim::{Bounds, Chooser, ChooserExt, CrashImage, Image, Level, Seeded, SimDisk, SimWorld};

use super::{Allowed, Found, environment};
use crate::{
    model::{Contents, fill},
    operation::Change,
    problem::{Checked, Problem, Wrong, caught},
    without::Without,
};

/// A crash of recovery that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "a key of the table")]
pub struct Nested {
    /// How it treated what was not durable.
    pub level: Level,
    /// The hash of what it left.
    pub image: u128,
}

/// The first write after recovery; nothing else uses this database.
const WRITE: [Change; 1] = [Change::Put { database: 200, key: 1, value: 1, len: 40 }];
/// One state in so many is crashed again.
const ONE_IN: usize = 4;
/// So many times.
const CRASHES: usize = 4;
/// So deep: a crash of recovery, and one of the recovery from that.
const DEPTH: usize = 2;

/// How deep crashes nest.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Depth(pub(crate) usize);

/// A recovery from an image with the first write after it, recorded.
struct Second<'h> {
    disk: SimDisk,
    /// Before the write, and after it.
    states: [Contents; 2],
    commit: u64,
    found: &'h Found,
    /// The bytes that were cut from the journal.
    cut: Option<Vec<u8>>,
}

/// With probability ¼: recovers from `image` and writes, crashes that in some places, and looks
/// whether recovering again gives the same, and so on below; then closes in order and opens again.
pub(super) fn sample(
    image: &Image,
    allowed: &Allowed<'_>,
    found: &Found,
    options: &Options,
    without: Option<Without>,
    random: &mut Seeded,
) -> Checked<Vec<Nested>> {
    if random.choose(ONE_IN, "nested") > 0 {
        return Ok(Vec::new());
    }
    let contents = allowed.get(found.commit)?;
    let (second, env) = Second::record(image, contents, found, options)?;
    let nested = second.crashes(options, without, DEPTH, random)?;
    second.closes(env, options, random)?;
    Ok(nested)
}

/// Every crash of the recovery from `image` and of the first write after it, and `depth` levels
/// of recovery below.
#[cfg(test)]
pub(crate) fn every_crash_of(
    image: &Image,
    contents: &Contents,
    found: &Found,
    options: &Options,
    bounds: &Bounds,
    depth: Depth,
    seen: &mut dyn FnMut(Nested) -> bool,
) -> Checked<()> {
    let (second, env) = Second::record(image, contents, found, options)?;
    let trace = second.disk.trace();
    drop(env);
    let mut cuts = trace.cuts();
    while let Some(cut) = cuts.next_cut() {
        let acknowledged = cut.mark(ACKNOWLEDGED).is_some();
        for level in Level::ALL {
            for crashed in cut.crash().images(level, bounds) {
                if !seen(Nested { level, image: crashed.image.hash() }) {
                    continue;
                }
                let again = second.check(&crashed, acknowledged, options)?;
                if depth.0 > 1 {
                    let index = usize::from(again.commit > second.commit);
                    let contents = &second.states[index];
                    let depth = Depth(depth.0 - 1);
                    every_crash_of(&crashed.image, contents, &again, options, bounds, depth, seen)?;
                }
            }
        }
    }
    Ok(())
}

const ACKNOWLEDGED: &str = "acknowledged";

impl<'h> Second<'h> {
    fn record(
        image: &Image,
        contents: &Contents,
        found: &'h Found,
        options: &Options,
    ) -> Checked<(Self, Environment)> {
        let failed = |error| Problem::new(Wrong::Refused, format!("after recovery: {error}"));
        let disk = SimDisk::from_image(image);
        let world = SimWorld::new(2);
        let opened = Environment::open_in(disk.root(), world.world(), options.clone());
        let (env, _) = opened.map_err(failed)?;
        let written = env.write_with(Durability::Sync, |txn| fill(txn, &WRITE));
        written.map_err(failed)?;
        disk.mark(ACKNOWLEDGED, 1);
        let states = [contents.clone(), contents.after(&WRITE)];
        let cut = found.torn.as_ref().map(|torn| cut_bytes(image, torn)).transpose()?;
        Ok((Self { disk, states, commit: found.commit, found, cut }, env))
    }

    /// Crashes in some places, and what recovers from one of them, `depth` times.
    fn crashes(
        &self,
        options: &Options,
        without: Option<Without>,
        depth: usize,
        random: &mut Seeded,
    ) -> Checked<Vec<Nested>> {
        let mut trace = self.disk.trace();
        if let Some(removed) = without {
            trace = removed.removed_from(&trace);
        }
        let places = trace.entries().len() + 1;
        let mut chosen: Vec<usize> =
            (0..CRASHES - 1).map(|_| random.choose(places, "place")).collect();
        chosen.push(places - 1); // the death of the process right after the write
        chosen.sort_unstable();
        let mut nested = Vec::new();
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            for _ in chosen.iter().filter(|place| **place == cut.position()) {
                let level = match cut.position() + 1 == places {
                    true => Level::KeepAll,
                    false => *random.pick(&Level::ALL, "level"),
                };
                let crashed = cut.crash().choose(level, &Bounds::smoke(), random);
                nested.push(Nested { level, image: crashed.image.hash() });
                let again = self.check(&crashed, cut.mark(ACKNOWLEDGED).is_some(), options)?;
                if depth > 1 && random.choose(ONE_IN, "deeper") == 0 {
                    let told = |problem| self.told(&crashed, problem);
                    let contents = &self.states[usize::from(again.commit > self.commit)];
                    let (third, env) =
                        Second::record(&crashed.image, contents, &again, options).map_err(told)?;
                    let below = third.crashes(options, without, depth - 1, random);
                    nested.extend(below.map_err(told)?);
                    third.closes(env, options, random).map_err(told)?;
                }
            }
        }
        Ok(nested)
    }

    fn told(&self, crashed: &CrashImage, problem: Problem) -> Problem {
        let story =
            format!("recovered to commit {}, then {crashed}: {}", self.commit, problem.story);
        Problem { story, ..problem }
    }

    /// Checks what a crash of the recovery has left: the state that recovery found, or that with
    /// the write.
    fn check(&self, crashed: &CrashImage, acknowledged: bool, options: &Options) -> Checked<Found> {
        let told = |problem| self.told(crashed, problem);
        let first = usize::from(acknowledged);
        let allowed = Allowed {
            first: self.commit + first as u64,
            states: self.states[first..].iter().collect(),
        };
        let found = caught(|| environment(&crashed.image, &allowed, options)).map_err(told)?;
        self.kept(&crashed.image, &found).map_err(told)?;
        Ok(found)
    }

    /// Checks that the bytes that recovery has cut from the journal are kept, unless they still
    /// stand where they stood.
    fn kept(&self, image: &Image, found: &Found) -> Checked<()> {
        let (Some(torn), Some(cut)) = (&self.found.torn, &self.cut) else { return Ok(()) };
        if found.torn.as_ref() == Some(torn) {
            return Ok(());
        }
        let path = format!("{}/{}", generation(image), torn.set_aside);
        if image.read(&path).is_some_and(|kept| *kept == *cut) {
            return Ok(());
        }
        let story =
            format!("recovery cut {} bytes at {}, which are not in {path}", torn.bytes, torn.lsn);
        Err(Problem::new(Wrong::NotSetAside, story))
    }

    /// Closes in order and opens once more; half of the time, after all that is in use was moved.
    fn closes(&self, env: Environment, options: &Options, random: &mut Seeded) -> Checked<()> {
        let wrong = |story: String| Problem::new(Wrong::Refused, format!("after closing: {story}"));
        if random.choose(2, "compact") == 0 {
            self.gives_space_back(&env)?;
        }
        env.checkpoint().map_err(|error| wrong(error.to_string()))?;
        env.close().map_err(|error| wrong(error.to_string()))?;
        let image = self.disk.image();
        let allowed = Allowed::only(self.commit + 1, &self.states[1]);
        let found = environment(&image, &allowed, options)?;
        match found.torn {
            None => Ok(()),
            Some(torn) => Err(wrong(format!("{} torn bytes at {}", torn.bytes, torn.lsn))),
        }
    }

    /// Moves all that is in use: then nothing else takes space, whatever the crash has left half done.
    fn gives_space_back(&self, env: &Environment) -> Checked<()> {
        /// What a file takes beside its records, and a node beside its entries.
        const PER_FILE: u64 = 6000;
        const PER_ENTRY: u64 = 150;
        /// What a journal file begins with.
        const JOURNAL: u64 = 64 << 10;
        let wrong = |story: String| Problem::new(Wrong::Space, story);
        env.compact().map_err(|error| wrong(format!("compaction: {error}")))?;
        let stats = env.stats().map_err(|error| wrong(error.to_string()))?;
        let (bytes, entries) = (self.states[1].bytes(), self.states[1].entries() as u64);
        let files: u64 = stats.log_files;
        if stats.live_bytes > bytes * 2 + entries * PER_ENTRY + 3000 {
            let live = stats.live_bytes;
            return Err(wrong(format!("{live} bytes in use for {bytes} in {entries} entries")));
        }
        if stats.file_bytes > stats.live_bytes * 21 / 20 + files * PER_FILE + JOURNAL + 30_000 {
            return Err(wrong(format!("{stats:?}")));
        }
        Ok(())
    }
}

/// The directory of the generation that counts.
fn generation(image: &Image) -> String {
    let current = image.read("CURRENT").unwrap_or_default();
    let text = String::from_utf8_lossy(&current);
    let named = text.lines().find_map(|line| line.strip_prefix("generation "));
    named.unwrap_or("g-000001").to_owned()
}

/// The bytes that a report says were cut from the end of the journal.
fn cut_bytes(image: &Image, torn: &cairn_env::TornTail) -> Checked<Vec<u8>> {
    let number = torn.lsn.file().to_string();
    let generation = format!("{}/J-", generation(image));
    let path = image.files().map(|(path, _)| path);
    // In the root, or in a data directory.
    let path = path.filter(|path| path.contains(&generation));
    let path = path.into_iter().find(|path| path.ends_with(&format!("{number}.log")));
    let bytes = path.and_then(|path| image.read(path)).unwrap_or_default();
    let start = usize::try_from(torn.lsn.offset()).unwrap_or(usize::MAX);
    let end = start.saturating_add(usize::try_from(torn.bytes).unwrap_or(usize::MAX));
    match bytes.get(start..end) {
        Some(cut) => Ok(cut.to_vec()),
        None => {
            let story = format!("the report names bytes that do not exist: {torn:?}");
            Err(Problem::new(Wrong::Finding, story))
        }
    }
}
