//! Restores during which a sync fails: whatever is done next, no commit made in what they brought back is lost.

use cairn_backup::{BackupOptions, RestoreOptions, backup_to, restore_from};
use cairn_env::{EnvError, Environment, kept_generation};
use cairn_io::{DirRef, IoOp, MemDisk};
use cairn_sim::{Bounds, Fault, FaultDisk, Level, Rule, Seeded, SimDisk};

use crate::fixture::{content, fill, options, world};

/// A backup of an environment with so many data directories.
fn saved(directories: u16) -> DirRef {
    let (disk, saved) = (MemDisk::new(), MemDisk::new());
    let options = options().data_directories(directories);
    let (env, _) = Environment::open_in(disk.root(), world(), options).unwrap();
    fill(&env, 0, 12);
    backup_to(&env, &saved.root(), &world(), &BackupOptions::default()).unwrap();
    saved.root()
}

/// What a user does after a restore has failed: if there is an environment, it opens; else the restore is done
/// again. Returns whether it was.
fn go_on(from: &DirRef, to: &DirRef) -> (Environment, bool) {
    let open = || Environment::open_in(to.clone(), world(), options().create(false));
    match open() {
        Ok((env, _)) => (env, false),
        Err(EnvError::IncompleteRestore { .. } | EnvError::NotAnEnvironment { .. }) => {
            restore_from(from, to, &world(), &RestoreOptions::default()).unwrap();
            (open().unwrap().0, true)
        }
        Err(error) => panic!("{error}"),
    }
}

/// The mark of a restore could come back after its removal had failed to be synced, and ask for another restore in
/// place of what had been written since.
#[test]
fn a_commit_after_a_restore_in_which_a_sync_failed_survives_a_loss_of_power() {
    for directories in [0, 2] {
        let from = saved(directories);
        let (mut again, mut opened) = (0, 0);
        for nth in 0.. {
            let sim = SimDisk::new();
            let faults = FaultDisk::on_sim(&sim, 0);
            faults.inject(Rule::new(Fault::Eio).op(IoOp::Sync).nth(nth));
            let how = RestoreOptions::default();
            let restored = restore_from(&from, &faults.root(), &world(), &how);
            if !faults.has_struck() {
                restored.unwrap();
                break;
            }
            restored.unwrap_err();
            faults.clear();
            let (env, was_again) = go_on(&from, &faults.root());
            *if was_again { &mut again } else { &mut opened } += 1;
            survives(&sim, env, &format!("sync {nth}, {directories} data directories"));
        }
        assert!(again > 3 && opened > 0, "{again} {opened}");
    }
}

#[test]
fn so_does_one_after_a_restore_in_place_that_has_added_data_directories() {
    let from = saved(2);
    let how = RestoreOptions::default().in_place(true).other_environment(true);
    for nth in 0.. {
        let sim = SimDisk::new();
        let (env, _) = Environment::open_in(sim.root(), world(), options()).unwrap();
        fill(&env, 3, 2);
        env.close().unwrap();
        let faults = FaultDisk::on_sim(&sim, 0);
        faults.inject(Rule::new(Fault::Eio).op(IoOp::Sync).nth(nth));
        let restored = restore_from(&from, &faults.root(), &world(), &how);
        if !faults.has_struck() {
            restored.unwrap();
            assert!(nth > 5, "{nth} syncs");
            break;
        }
        restored.unwrap_err();
        faults.clear();
        if kept_generation(sim.root()).unwrap().is_none() {
            restore_from(&from, &faults.root(), &world(), &how).unwrap();
        }
        let (env, _) = Environment::open_in(faults.root(), world(), options()).unwrap();
        survives(&sim, env, &format!("sync {nth}"));
    }
}

/// Commits once, loses power, and looks whether all is there.
fn survives(sim: &SimDisk, env: Environment, what: &str) {
    fill(&env, 12, 1);
    let expected = content(&env);
    let left = sim.crash(Level::LoseAll, &Bounds::smoke(), &mut Seeded::new(1)).image;
    std::mem::forget(env);
    let disk = SimDisk::from_image(&left);
    let found = Environment::open_in(disk.root(), world(), options().create(false));
    let (env, _) = found.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(content(&env), expected, "{what}");
}
