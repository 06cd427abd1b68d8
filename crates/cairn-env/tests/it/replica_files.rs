//! The journal files of a replica: each crash leaves those that its state and its checkpoint need, whole.

use cairn_env::ReplicaPolicy;
use cairn_sim::SimDisk;

use crate::{
    fixture::small_options,
    replica::{THERE, crashes, get, killed, open, open_both, put, side, two_directories, verified},
};

/// After a crash the first checkpoint begins a journal file, and goes on in it. The replica started from that checkpoint
/// before it had the file, which it gets with the first commit, and alone it did not open.
#[test]
fn a_replica_has_the_journal_file_in_which_its_checkpoint_goes_on() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"value").unwrap();
    let disk = killed(&disk, env);
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    let checkpoint = env.checkpoint().unwrap().number;
    assert_eq!(env.replica().unwrap().unwrap().base_checkpoint, checkpoint.unwrap());
    let disk = killed(&disk, env);
    let (env, _) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
    assert_eq!(get(&env, b"1").as_deref(), Some(&b"value"[..]));
    verified(&env);
}

/// A journal file that a killed process had left without a seal was cut to its length on the replica before the next one
/// had its header: when power was lost in between, it looked as if its end had been lost, and the replica did not open.
#[test]
fn a_journal_file_of_a_replica_that_a_killed_process_has_left_is_whole_in_every_crash() {
    let disk = two_directories();
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"1", b"value").unwrap();
    let disk = killed(&disk, env);
    let acknowledged = {
        let (env, report) = open(side(&disk, &THERE), &small_options(), 9).unwrap();
        drop(env);
        report.sequence
    };
    let disk = SimDisk::from_image(&disk.image());
    disk.mark("acknowledged", acknowledged);
    let env = open_both(&disk, &small_options(), ReplicaPolicy::Require).unwrap();
    put(&env, b"2", b"value").unwrap();
    disk.mark("acknowledged", acknowledged + 1);
    std::mem::forget(env);
    let images = crashes(&disk, 1, |image, acknowledged, at| {
        let disk = SimDisk::from_image(image);
        let (env, report) = open(side(&disk, &THERE), &small_options(), 9)
            .unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(report.sequence >= acknowledged, "{at}: {report}");
        assert!(get(&env, b"1").is_some(), "{at}");
    });
    assert!(images > 30, "only {images} states");
}
