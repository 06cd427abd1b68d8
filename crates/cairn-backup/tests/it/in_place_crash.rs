//! Crashes at every operation of a restore in place, of going back and forward, and of forgetting: the
//! old or the new, whole, in all data directories at once.

use std::collections::BTreeSet;

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{Environment, Forgotten, forget_old_generation, kept_generation, undo_restore};
use cairn_sim::{Bounds, CrashImage, Image, Level, Op, SimDisk, SimWorld, Trace};

use crate::{
    crash::{below, create},
    fixture::{Content, content, fill, options},
};

/// An environment, and a backup with which it is to be replaced.
struct Case {
    start: Image,
    /// What the environment holds, and what the backup does.
    contents: [Content; 2],
}

/// What was done when a crash came: restored, gone back, gone forward, forgotten.
const RESTORED: u64 = 1;
const BACK: u64 = 2;
const FORWARD: u64 = 3;
const FORGOTTEN: u64 = 4;

impl Case {
    /// The environment has `into` data directories. The backup is one of it; or, if `from` is given, of
    /// another one, which has so many.
    fn new(into: u16, from: Option<u16>) -> Self {
        let disk = SimDisk::new();
        let open = |name, seed, count| {
            let (dir, world) = (create(&disk, name), SimWorld::new(seed).world());
            Environment::open_in(dir, world, options().data_directories(count)).unwrap().0
        };
        let env = open("env", 3, into);
        fill(&env, 0, 9);
        let other = from.map(|count| open("other", 4, count));
        let source = other.as_ref().unwrap_or(&env);
        fill(source, 5, 4);
        let (saved, world) = (create(&disk, "saved"), SimWorld::new(5).world());
        backup_to(source, &saved, &world, &BackupOptions::default()).unwrap();
        let theirs = content(source);
        fill(&env, 7, 7);
        let ours = content(&env);
        env.close().unwrap();
        drop(other);
        Self { start: disk.image(), contents: [ours, theirs] }
    }

    /// What the environment may hold when so much was done.
    fn allowed(&self, done: u64) -> &[Content] {
        match done {
            FORWARD | FORGOTTEN => &self.contents[1..],
            _ => &self.contents,
        }
    }

    fn trace(&self) -> Trace {
        let disk = SimDisk::from_image(&self.start);
        restore(&disk).unwrap();
        for done in [RESTORED, BACK, FORWARD] {
            disk.mark("done", done);
            if done != FORWARD {
                undo_restore(below(&disk, "env")).unwrap();
            }
        }
        forget(&disk).unwrap();
        disk.mark("done", FORGOTTEN);
        disk.trace()
    }

    /// Holds a disk after a crash against what was done before it; then does again what was cut short.
    fn check(&self, disk: &SimDisk, done: u64) -> Result<(), String> {
        let found = opened(disk)?;
        if !self.allowed(done).contains(&found) {
            return Err("it holds something else".into());
        }
        let kept = kept_generation(below(disk, "env")).map_err(text)?;
        if kept.is_none() && done < FORWARD {
            if done > 0 || found != self.contents[0] {
                return Err("the old one is not kept".into());
            }
            restore(disk)?;
        } else if kept.is_some() {
            undo_restore(below(disk, "env")).map_err(text)?;
            let now = opened(disk)?;
            if now == found || !self.contents.contains(&now) {
                return Err("it does not go back".into());
            }
            undo_restore(below(disk, "env")).map_err(text)?;
        }
        let before = opened(disk)?;
        let gone = forget(disk)?;
        if done == FORGOTTEN && gone != Forgotten::default() {
            return Err(format!("it is back: {gone:?}"));
        }
        if opened(disk)? != before {
            return Err("what was forgotten is missed".into());
        }
        // Of one generation everything is left, of all others nothing.
        let image = disk.image();
        let generations = image.files().filter_map(|(path, _)| {
            path.starts_with("env/").then(|| path.split('/').find(|part| part.starts_with("g-")))?
        });
        match generations.collect::<BTreeSet<_>>().len() {
            1 => Ok(()),
            other => Err(format!("{other} generations are left")),
        }
    }

    /// Crashes `trace` everywhere; ends with the first state in which a promise is broken. Returns how
    /// many states there were.
    fn sweep(
        &self,
        trace: &Trace,
        each: &mut dyn FnMut(&CrashImage, u64) -> Result<(), String>,
    ) -> Result<usize, String> {
        let (mut cuts, mut seen) = (trace.cuts(), BTreeSet::new());
        while let Some(cut) = cuts.next_cut() {
            let done = cut.mark("done").unwrap_or(0);
            for level in Level::ALL {
                for crashed in cut.crash().images(level, &Bounds::smoke()) {
                    if !seen.insert((crashed.image.hash(), done)) {
                        continue;
                    }
                    let disk = SimDisk::from_image(&crashed.image);
                    let told =
                        |what| format!("cut {}, after {done}: {what}; {crashed}", cut.position());
                    self.check(&disk, done).and_then(|()| each(&crashed, done)).map_err(told)?;
                }
            }
        }
        Ok(seen.len())
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn restore(disk: &SimDisk) -> Result<(), String> {
    let how = RestoreOptions::default().options(options()).in_place(true).other_environment(true);
    let (world, into) = (SimWorld::new(8).world(), below(disk, "env"));
    restore_from(&below(disk, "saved"), &into, &world, &how).map(drop).map_err(text)
}

fn forget(disk: &SimDisk) -> Result<Forgotten, String> {
    let world = SimWorld::new(6).world();
    forget_old_generation(below(disk, "env"), &world, options()).map_err(text)
}

/// What the environment holds, if it opens, as it must.
fn opened(disk: &SimDisk) -> Result<Content, String> {
    let world = SimWorld::new(9).world();
    let opened = Environment::open_in(below(disk, "env"), world, options().create(false));
    opened.map(|(env, _)| content(&env)).map_err(text)
}

/// All states of a case, and of one in `nth` those of the crashes of what its check does.
fn proved(case: &Case, nth: usize) -> (usize, usize) {
    let (mut looked_at, mut nested) = (0, 0);
    let states = case.sweep(&case.trace(), &mut |crashed, done| {
        looked_at += 1;
        if looked_at % nth != 0 {
            return Ok(());
        }
        let disk = SimDisk::from_image(&crashed.image);
        case.check(&disk, done)?;
        // Whatever was done before the first crash was done before the second.
        let (trace, mut seen) = (disk.trace(), BTreeSet::new());
        let mut cuts = trace.cuts();
        while let Some(cut) = cuts.next_cut() {
            for level in Level::ALL {
                for again in cut.crash().images(level, &Bounds::smoke()) {
                    if seen.insert(again.image.hash()) {
                        let found = opened(&SimDisk::from_image(&again.image))?;
                        if !case.contents.contains(&found) {
                            return Err(format!("crashed again: something else; {again}"));
                        }
                        forget(&SimDisk::from_image(&again.image))
                            .map_err(|error| format!("crashed again: {error}; {again}"))?;
                    }
                }
            }
        }
        nested += seen.len();
        Ok(())
    });
    (states.unwrap_or_else(|broken| panic!("{broken}")), nested)
}

#[test]
fn a_restore_in_place_leaves_the_old_or_the_new() {
    for directories in [0, 1, 3] {
        let (states, nested) = proved(&Case::new(directories, None), 50);
        assert!(states > 250 && nested > 300, "{directories}: {states}, {nested}");
    }
}

#[test]
fn so_does_one_of_another_environment_with_more_or_fewer_data_directories() {
    for (into, from) in [(2, 3), (3, 1), (0, 2), (2, 0)] {
        let (states, nested) = proved(&Case::new(into, Some(from)), 50);
        assert!(states > 200 && nested > 500, "{into} to {from}: {states}, {nested}");
    }
}

/// Each sync, in each directory, is needed: without it, a crash breaks a promise.
#[test]
fn each_sync_of_a_restore_in_place_is_needed() {
    let case = Case::new(2, Some(3));
    let trace = case.trace();
    let place = |path: &str| match path.rsplit_once('/') {
        Some((dir, name)) if name.ends_with(".log") => dir.to_owned(),
        _ => path.to_owned(),
    };
    let mut syncs = BTreeSet::new();
    for entry in trace.entries() {
        if let Op::SyncFile { site, .. } | Op::SyncDir { site, .. } = entry.op() {
            syncs.insert((*site, place(entry.path())));
        }
    }
    let is_needed = |sync: &(_, _)| {
        let without = trace.without_syncs(|site, entry| *sync == (site, place(entry.path())));
        case.sweep(&without, &mut |_, _| Ok(())).is_err()
    };
    let (needed, idle): (Vec<_>, Vec<_>) = syncs.into_iter().partition(is_needed);
    assert!(needed.len() > 10 && idle.is_empty(), "{idle:#?}");
}
