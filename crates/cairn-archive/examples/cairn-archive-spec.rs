//! Prints the tables of `docs/format` that this crate owns: `cargo xtask spec` reads them.
#![expect(clippy::print_stdout, reason = "the output is what it is for")]

fn main() {
    for (name, text) in cairn_archive::spec::spec() {
        println!("=== {name}\n{text}");
    }
}
