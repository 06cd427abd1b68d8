//! Calls that fail: nothing acknowledged is lost, and every error says what it is.

use cairn_torture::io_errors::{Case, Kind, fail};

#[test]
fn a_checkpoint_that_a_commit_helps_with_undoes_nothing() {
    for (call, kind) in [(96, Kind::Eio), (112, Kind::Eio), (96, Kind::EioOn), (96, Kind::Short)] {
        let failed = fail(&Case { directories: 0, call, kind }, 1);
        assert!(failed.is_ok(), "{}", failed.unwrap_err());
    }
}

#[test]
fn a_case_prints_and_parses_back() {
    for kind in Kind::ALL {
        let case = Case { directories: 2, call: 417, kind };
        assert_eq!(case.to_string().parse(), Ok(case));
    }
    assert!("0/1/fire".parse::<Case>().is_err() && "0/1".parse::<Case>().is_err());
}
