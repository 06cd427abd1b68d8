//! Prints the tables of `docs` that this crate owns: `cargo xtask spec` reads them.
#![expect(clippy::print_stdout, reason = "the output is what it is for")]

fn main() {
    for (name, text) in cairn_rdb::spec::spec() {
        println!("=== {name}\n{text}");
    }
}
