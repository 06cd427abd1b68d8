//! Repair of what a crash has left, after more damage: the source stays as it is, what comes back was
//! once there, and what does not is said.

use std::collections::BTreeSet;

use cairn_env::{Environment, Missing, Options, RepairReport, VerifyOptions, repair_in};
use cairn_io::MemDisk;
use cairn_sim::{Chooser, ChooserExt, Image, Seeded, SimWorld};

use super::Found;
use crate::{
    model::{Contents, Expected, History},
    problem::{Checked, Problem, Wrong},
    run::state,
};

/// How the names of databases begin whose own ones are lost.
const NAMELESS: &str = "recovered-tree-";
/// One state in so many is damaged and repaired.
const ONE_IN: usize = 48;

/// With a small probability: damages `image`, in which `found` was found, and repairs it. Returns the
/// hash of what was repaired.
pub(super) fn sample(
    image: &Image,
    histories: &[History],
    expected: &Expected,
    found: &Found,
    options: &Options,
    random: &mut Seeded,
) -> Checked<Option<u128>> {
    let logs: Vec<&str> =
        image.files().map(|(path, _)| path).filter(|path| path.ends_with(".log")).collect();
    if random.choose(ONE_IN, "repair") > 0 || logs.is_empty() || image.read("CURRENT").is_none() {
        return Ok(None);
    }
    let (damage, damaged) = damage(image, &logs, random);
    let told = |problem: Problem| Problem {
        story: format!("after damage ({damage}): {}", problem.story),
        ..problem
    };
    let wrong = |story: String| told(Problem::new(Wrong::Repair, story));
    let (source, target, world) = (damaged.to_mem(), MemDisk::new(), SimWorld::new(8));
    let repaired = repair_in(source.root(), target.root(), world.world(), options.clone());
    if Image::of(&source) != damaged {
        return Err(wrong("the source was changed".into()));
    }
    let report = repaired.map_err(|error| wrong(error.to_string()))?;
    let opened = Environment::open_in(target.root(), world.world(), options.clone().create(false));
    let (env, _) = opened.map_err(|error| wrong(format!("it does not open: {error}")))?;
    let verified = env.verify(&VerifyOptions::new()).map_err(|error| wrong(error.to_string()))?;
    if let Some(finding) = verified.findings.first() {
        return Err(wrong(format!("it does not verify: {finding}")));
    }
    let contents = Contents::of(&env).map_err(|error| wrong(error.to_string()))?;
    let truth = Truth { histories, expected };
    if damage == "none" {
        // What a recovery takes for a torn tail, or for a journal file that was never begun, may have
        // been commits: a repair says so.
        let commit = found.commit;
        let is_whole = report.newest_commit == commit && contents == *truth.state(commit);
        let is_tail = |missing: &Missing| matches!(missing, Missing::Commits { from, to: None } if *from == commit + 1);
        if !is_whole || !report.missing.iter().all(is_tail) {
            return Err(wrong(format!("an open finds commit {commit}, a repair {report:?}")));
        }
    }
    truth.explains(&contents, &report).map_err(|story| wrong(format!("{story}; {report:?}")))?;
    Ok(Some(damaged.hash()))
}

/// One more thing that goes wrong with a log file, if any.
fn damage(image: &Image, logs: &[&str], random: &mut Seeded) -> (String, Image) {
    let path = *random.pick(logs, "file");
    let len = image.read(path).map_or(0, |bytes| bytes.len());
    let at = random.choose(len.max(1), "at");
    match random.choose(5, "damage") {
        _ if len == 0 => ("none".into(), image.clone()),
        0 => ("none".into(), image.clone()),
        1 => (format!("{path} is gone"), image.without(path)),
        2 => (format!("{path} ends at {at}"), image.with_edit(path, |bytes| bytes.truncate(at))),
        3 => {
            let zero = |bytes: &mut Vec<u8>| {
                let end = (at + 512).min(bytes.len());
                bytes[at.min(end)..end].fill(0);
            };
            (format!("{path} is zero from {at}"), image.with_edit(path, zero))
        }
        _ => (format!("{path} has another bit in {at}"), image.with_bit_flipped(path, at * 8)),
    }
}

/// What once was.
struct Truth<'h> {
    histories: &'h [History],
    expected: &'h Expected,
}

impl Truth<'_> {
    fn state(&self, commit: u64) -> &Contents {
        state(self.histories, self.expected, commit.min(self.newest()))
    }

    /// The newest commit that was begun, and not told of a conflict.
    fn newest(&self) -> u64 {
        let states = self.histories[self.expected.history].len() as u64;
        self.expected.begun.min(states - 1)
    }

    fn states(&self) -> impl Iterator<Item = &Contents> {
        (0..=self.newest()).map(|commit| self.state(commit))
    }

    /// Whether everything in `found` once was, and everything that is not as it was at the newest
    /// commit that the report names is said.
    fn explains(&self, found: &Contents, report: &RepairReport) -> Result<(), String> {
        let newest = self.state(report.newest_commit);
        if report.is_complete() {
            let same = found == newest;
            return if same { Ok(()) } else { Err("complete, it says, and is not".into()) };
        }
        let names_lost = report.missing.iter().any(|missing| match missing {
            Missing::Name { .. } | Missing::Commits { .. } => true,
            Missing::Keys { database, .. } => database.starts_with('('),
            _ => false,
        });
        for name in found.names() {
            let is_nameless = name.starts_with(NAMELESS);
            let is_known = newest.named(name).is_some()
                || names_lost && (is_nameless || self.states().any(|s| s.named(name).is_some()));
            if !is_known {
                return Err(format!("there is a database {name}"));
            }
            for (key, value) in found.named(name).into_iter().flatten() {
                let ever = |database: &str| {
                    let mut all = self.states().filter_map(|state| state.named(database)?.get(key));
                    all.any(|ever| ever == value)
                };
                let once = match is_nameless {
                    true => self.states().any(|state| state.names().any(&ever)),
                    false => ever(name),
                };
                if !once {
                    return Err(format!("{name} holds a value that never was at {key:?}"));
                }
            }
        }
        for name in newest.names() {
            let wanted = newest.named(name).into_iter().flatten();
            let Some(entries) = found.named(name) else {
                if names_lost {
                    continue;
                }
                return Err(format!("database {name} is gone"));
            };
            let keys: BTreeSet<&Vec<u8>> =
                wanted.map(|(key, _)| key).chain(entries.keys()).collect();
            for key in keys {
                let wanted = newest.named(name).and_then(|entries| entries.get(key));
                // A database whose name was lost may be what this one was replaced by.
                let is_nameless = |other: &str| {
                    other.starts_with(NAMELESS)
                        && found.named(other).and_then(|n| n.get(key)) == wanted
                };
                let is_as_it_was = wanted == entries.get(key) || found.names().any(is_nameless);
                if !is_as_it_was && !report.missing.iter().any(|m| self.is_said(m, name, key)) {
                    return Err(format!("{name} is not as it was at {key:?}, and nothing says so"));
                }
            }
        }
        Ok(())
    }

    /// Whether `missing` says that a key may not be as it was.
    fn is_said(&self, missing: &Missing, name: &str, key: &Vec<u8>) -> bool {
        match missing {
            Missing::Commits { from, to } => {
                let to = to.unwrap_or(u64::MAX).min(self.newest());
                let at = |commit| self.state(commit).named(name).and_then(|n| n.get(key));
                (*from.max(&1)..=to).any(|commit| at(commit) != at(commit - 1))
            }
            Missing::Keys { database, from, to, .. } => {
                database == name && from <= key && to.as_ref().is_none_or(|to| key < to)
            }
            Missing::Value { database, key: lost, .. } => database == name && lost == key,
            _ => false,
        }
    }
}
