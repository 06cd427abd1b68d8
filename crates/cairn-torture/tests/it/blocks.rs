//! Blocks and files damaged at rest: nothing passes unnoticed, and each damage can be done again.

use cairn_torture::{
    at_rest::Verdict,
    blocks::{Plan, repeat, run},
};

#[test]
fn no_damaged_block_or_file_passes_unnoticed() {
    let report = run(&Plan { each: Some(12), seed: 5, threads: 2 }).unwrap();
    assert!(report.is_good(), "{report}");
    for verdict in [Verdict::Refused, Verdict::Found, Verdict::Torn, Verdict::Harmless] {
        assert!(report.count(verdict) > 10, "{report}");
    }
}

#[test]
fn a_damage_is_done_again_by_its_number() {
    let (damage, verdict) = repeat("0/0".parse().unwrap()).unwrap().unwrap();
    assert_eq!(damage, "closed environment: block 0 of CURRENT holds bytes 0x00");
    assert_eq!(verdict, Ok(Verdict::Refused));
    assert_eq!(repeat("0/999999999".parse().unwrap()), Ok(None));
    assert_eq!(repeat("9/0".parse().unwrap()), Ok(None));
    assert!("0".parse::<cairn_torture::blocks::Case>().is_err());
}
