//! SQLite's own benchmark, if `CAIRN_SPEEDTEST1` says where its source is (`test/speedtest1.c`): it is not kept here.

use std::{env, path::PathBuf};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(speedtest1)");
    println!("cargo::rerun-if-env-changed=CAIRN_SPEEDTEST1");
    let Some(source) = env::var_os("CAIRN_SPEEDTEST1").map(PathBuf::from) else { return };
    println!("cargo::rerun-if-changed={}", source.display());
    let header =
        env::var_os("DEP_SQLITE3_INCLUDE").expect("libsqlite3-sys says where its header is");
    cc::Build::new()
        .file(source)
        .include(header)
        .define("main", "cairn_speedtest1")
        .warnings(false)
        .compile("speedtest1");
    println!("cargo::rustc-cfg=speedtest1");
}
