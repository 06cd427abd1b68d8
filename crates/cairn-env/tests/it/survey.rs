//! How trees are built, as a survey tells it.

use crate::fixture::{TestEnv, ordered, small_options};

#[test]
fn a_survey_counts_what_is_there() {
    let mut test = TestEnv::new(small_options());
    assert!(test.env().survey().unwrap().trees.is_empty());
    let (db, _empty) = (test.db("db"), test.db("empty"));
    let put = test.env().write(|txn| {
        (0..500u32).try_for_each(|n| {
            txn.put(&db, &ordered(n), &vec![7; if n % 50 == 0 { 1500 } else { 40 }])
        })
    });
    put.unwrap();
    let mut before = None;
    for written in [false, true] {
        let survey = test.env().survey().unwrap();
        assert!(survey.findings.is_empty(), "{:?}", survey.findings);
        let [found, nothing] = &survey.trees[..] else { panic!("{survey:?}") };
        assert_eq!((&*found.database, found.entries), ("db", 500));
        assert_eq!((&*nothing.database, nothing.entries, nothing.levels.len()), ("empty", 0, 0));
        assert_eq!((found.values, found.value_bytes), (10, 15_000));
        assert!(found.levels.len() >= 3, "{found:?}");
        assert_eq!(found.levels[0].nodes, found.fill.iter().sum::<u64>());
        assert_eq!(found.levels.last().unwrap().nodes, 1);
        for levels in found.levels.windows(2) {
            // Each branch has one child more than separators.
            assert_eq!(levels[0].nodes, levels[1].nodes + levels[1].entries);
        }
        let nodes: u64 = found.levels.iter().map(|level| level.nodes).sum();
        assert_eq!(found.unwritten, if written { 0 } else { nodes });
        let shape = (found.levels.clone(), found.fill);
        assert_eq!(*before.get_or_insert(shape.clone()), shape, "the same from the disk");
        test.reopen();
    }
}
