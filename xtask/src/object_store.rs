//! `object-store`: repositories in object stores, with what that needs: a client of 110 packages, and a real S3 server.
//!
//! None of it is in any other build, so its lints, tests and documentation are a command of their own. The server comes
//! from a registry, into the target directory, once.

use std::{env, fs, path::PathBuf, process::Command};

use crate::{Result, nightly::skipped, process};

/// The server and what it needs to be one, in the versions that the tests were made with. It looks at `If-None-Match`, as a
/// test of its own sees.
const SERVER: &[&str] = &["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];
/// The crates that have the feature.
const PACKAGES: [&str; 6] = ["-p", "cairn-backup", "-p", "cairndb", "-p", "cairn-cli"];
/// What turns it on in each.
const FEATURES: [&str; 2] =
    ["--features", "cairn-backup/object-store,cairndb/object-store,cairn-cli/object-store"];

/// Runs the lints, the tests and the documentation of what has the feature.
pub(crate) fn run() -> Result {
    let server = server();
    let with_feature = |first: &[&str], last: &[&str]| {
        process::cargo(&[first, &PACKAGES, &FEATURES, last].concat())
    };
    let lints = ["--all-targets", "--locked", "--", "-Dwarnings"];
    process::run(&mut with_feature(&["clippy"], &lints))?;
    // What the repositories of all places have in common is tested without it.
    for (package, test) in [("cairn-backup", "object"), ("cairn-cli", "it")] {
        let filter = if test == "it" { "object_store" } else { "" };
        let mut tests = process::cargo(&[
            "test",
            "--locked",
            "-p",
            package,
            "--features",
            "object-store",
            "--test",
            test,
            filter,
        ]);
        if let Some(server) = &server {
            tests.env("CAIRN_S3_SERVER", server);
        }
        process::run(&mut tests)?;
    }
    let docs = ["--no-deps", "--document-private-items", "--locked"];
    process::run(with_feature(&["doc"], &docs).env("RUSTDOCFLAGS", "-Dwarnings"))
}

/// The server's program, which is installed unless it is there.
fn server() -> Option<PathBuf> {
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let place = process::root().join(target).join("object-store");
    let (program, mark) = (place.join("bin/moto_server"), place.join("installed"));
    let wanted = SERVER.join("\n");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Some(program);
    }
    let install = || -> Result {
        process::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))?;
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        process::run(Command::new(place.join("bin/python")).args(pip).args(SERVER))?;
        Ok(fs::write(&mark, &wanted)?)
    };
    match install() {
        Ok(()) => Some(program),
        Err(error) => {
            skipped(
                "the S3 server, with which most of the tests speak,",
                &format!("python3 with venv, and PyPI, for {} ({error})", SERVER.join(" ")),
            );
            None
        }
    }
}
