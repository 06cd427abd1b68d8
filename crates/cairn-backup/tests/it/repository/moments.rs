//! Restores to moments past a point: one that somebody has chosen, and journal that somebody names.

use cairn_backup::{PointOptions, RestoreOptions, RestoreTo, Which};
use cairn_env::EnvError;
use cairn_io::MemDisk;

use super::{
    fixture::{backup, repository},
    shipped::{restore, ship, shipper},
};
use crate::fixture::{content, fill, open, options, world};

/// The latest mark of a label may be in what was shipped since, and one that is not there is none of before.
#[test]
fn a_mark_is_looked_for_in_all_that_goes_on_from_a_chosen_point() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    fill(&env, 1, 3);
    env.mark("here").unwrap();
    place.backup(&env, &PointOptions::default().label("base")).unwrap();
    fill(&env, 8, 3);
    env.mark("here").unwrap();
    let expected = content(&env);
    fill(&env, 15, 3);
    env.close().unwrap();
    ship(&mut shipper(&place, &disk.root()));
    for which in [Which::Number(1), Which::Label("base".into()), Which::Newest] {
        let to = RestoreTo::Label("here".into());
        let (_, found) = restore(&place, &which, to, &options()).unwrap();
        assert!(found == expected, "{which:?}");
        let error = restore(&place, &which, RestoreTo::Label("never".into()), &options());
        let error = error.unwrap_err();
        let is_it = matches!(&error, cairn_backup::BackupError::Env(EnvError::OutOfReach { .. }));
        assert!(is_it, "{which:?}: {error}");
    }
}

/// Nothing was shipped: the environment still has what leads on from the point.
#[test]
fn the_journal_of_the_environment_itself_leads_on_from_a_point() {
    let disk = MemDisk::new();
    let (env, place) = (open(&disk), repository());
    fill(&env, 1, 3);
    backup(&place, &env);
    fill(&env, 8, 3);
    let (commit, expected) = (env.snapshot().unwrap().commit(), content(&env));
    fill(&env, 15, 3);
    let newest = content(&env);
    env.close().unwrap();
    let root = disk.root();
    for (to, expected) in [(RestoreTo::Commit(commit), expected), (RestoreTo::Newest, newest)] {
        for which in [Which::Newest, Which::Number(1)] {
            let target = MemDisk::new();
            let how = RestoreOptions::default().options(options()).to(to.clone());
            let with = how.clone().journal_in(&root);
            place.restore_in(None, &which, &target.root(), &world(), &with).unwrap();
            assert!(content(&open(&target)) == expected, "{to} {which:?}");
            if to == RestoreTo::Newest {
                continue; // that of the point
            }
            let target = MemDisk::new();
            let result = place.restore_in(None, &which, &target.root(), &world(), &how);
            assert!(result.is_err() && target.files().is_empty(), "{to} {which:?}");
        }
    }
}
