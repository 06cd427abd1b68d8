//! `goldens`: accepts what the tests print now, and shows what that changes.

use crate::{Result, ci, forward::Rest, process};

/// Tests that compare with a golden write it instead while this is set to 1.
const UPDATE: &str = "CAIRN_UPDATE_GOLDENS";

/// Golden files stand in folders of this name, wherever their test is.
const GOLDENS: &str = ":(glob)**/goldens/**";

/// Runs the tests (all, or those that the arguments select) with [`UPDATE`] set, then shows the
/// difference.
pub(crate) fn run(rest: &Rest) -> Result {
    // A test may fail for another reason: the goldens that changed are shown all the same.
    let tests = process::run(ci::tests(&["--no-fail-fast"]).args(&rest.args).env(UPDATE, "1"));
    process::run(&mut process::git(&["--no-pager", "diff", "--stat", "--", GOLDENS]))?;
    let new = ["ls-files", "--others", "--exclude-standard", "--", GOLDENS];
    for path in process::output(&mut process::git(&new))?.lines() {
        println!(" {path} (new)");
    }
    println!("goldens: read the difference before you commit it: `git diff`");
    tests
}
