//! Bits flipped at rest: none passes unnoticed, and the judge would notice if something did.

use cairn_torture::{
    Contents,
    at_rest::{Rule, Subject, Verdict, subjects},
    flip::{Flip, Plan, run},
    part::Part,
    problem::Wrong,
};

#[test]
fn no_flipped_bit_passes_unnoticed() {
    let report =
        run(&Plan { every_bit: false, part: Part { number: 1, of: 29 }, seed: 5, threads: 2 })
            .unwrap();
    assert!(report.is_good(), "{report}");
    for verdict in [Verdict::Refused, Verdict::Reported, Verdict::Found, Verdict::Torn] {
        assert!(report.count(verdict) > 20, "{report}");
    }
}

#[test]
fn the_judge_notices_wrong_content_and_damage_that_makes_no_difference() {
    let mut subject = subjects().unwrap().swap_remove(0);
    let disk = subject.image.to_mem();
    let lock = |rule| Flip { path: "LOCK".to_owned(), bit: 0, row: "LOCK".to_owned(), rule };
    disk.write("LOCK", vec![0]).unwrap();
    assert_eq!(lock(Rule::Ignored).judge(&subject, &disk), Ok(Verdict::Harmless));
    let wrong = |subject: &Subject, rule| lock(rule).judge(subject, &disk).unwrap_err().wrong;
    assert_eq!(wrong(&subject, Rule::Noticed), Wrong::Silent);
    *subject.history.last_mut().unwrap() = Contents::default();
    assert_eq!(wrong(&subject, Rule::Ignored), Wrong::Content);
    subject.history.pop();
    subject.commit -= 1;
    assert_eq!(wrong(&subject, Rule::Ignored), Wrong::InventedCommit);
    subject.commit += 10;
    assert_eq!(wrong(&subject, Rule::Torn), Wrong::LostCommit);
}
