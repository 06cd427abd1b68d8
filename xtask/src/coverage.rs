//! `coverage`: which lines and branches of the engine the tests of the workspace reach.
//!
//! Counted are the lines of the engine's crates that hold code and are no tests: a test covers itself
//! whatever it is worth.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Result,
    figure::{self, Figure},
    nightly, process,
    rust_source::Facts,
};

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Also count branches; needs a nightly toolchain
    #[arg(long)]
    branch: bool,
    /// Also print the lines that no test reaches
    #[arg(long)]
    missing: bool,
    /// Only count what is there of an earlier run
    #[arg(long)]
    no_run: bool,
    /// Add what was counted to this file, each figure as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

/// The crates that are held to the gate.
const ENGINE: [&str; 6] =
    ["cairn-io", "cairn-log", "cairn-btree", "cairn-env", "cairn-kv", "cairn-backup"];
/// So many of a thousand lines of each crate must be reached.
const GATE: u64 = 930;
const HOW: &str = "cargo install --locked cargo-llvm-cov && rustup component add llvm-tools (or, without branches: \
                   cargo install --locked cargo-tarpaulin)";

/// Runs all tests and holds what they reach against the gate.
pub(crate) fn run(options: &Options) -> Result {
    let tarpaulin = || process::works(&mut process::cargo(&["tarpaulin", "--version"]));
    let lcov = match !options.branch && !has_llvm_cov(false) && tarpaulin() {
        true => with_tarpaulin(options)?,
        false => match with_llvm_cov(options)? {
            Some(lcov) => lcov,
            None => return Ok(()),
        },
    };
    let files = read(&lcov)?;
    let table = Table::of(&files);
    println!("{table}");
    if options.missing {
        missing(&files);
    }
    let Some(thinnest) = table.thinnest() else { return Err("no file was covered".into()) };
    let name = "lines covered per thousand";
    let figure = Figure { goal: "G18", name, value: thinnest, wrong: 0 };
    figure::report(&[figure], 0, options.figures.as_deref())?;
    let below: Vec<_> = table.below(GATE).collect();
    if below.is_empty() {
        return Ok(());
    }
    Err(format!(
        "below {}.{} % of the lines: {}; `cargo xtask coverage --no-run --missing` names the others",
        GATE / 10,
        GATE % 10,
        below.join(", ")
    )
    .into())
}

/// The report of cargo-tarpaulin, which reads what the compiler's instruments have counted without the tools of the
/// compiler, where those cannot be had.
fn with_tarpaulin(options: &Options) -> Result<String> {
    const DIR: &str = "target/coverage";
    if !options.no_run {
        let how = ["--engine=llvm", "--follow-exec", "--skip-clean", "--timeout=600", "--out=Lcov"];
        let all = ["--locked", "--workspace", "--exclude=xtask"];
        let to = [&*format!("--output-dir={DIR}"), &*format!("--target-dir={DIR}")];
        process::run(&mut process::cargo(&[&["tarpaulin"], &how[..], &all, &to].concat()))?;
    }
    Ok(std::fs::read_to_string(process::root().join(DIR).join("lcov.info"))?)
}

/// The report of cargo-llvm-cov; `None` where it is not.
fn with_llvm_cov(options: &Options) -> Result<Option<String>> {
    let cargo: fn(&[&str]) -> Command =
        if options.branch { |args| nightly::cargo(args) } else { |args| process::cargo(args) };
    if !is_there(options.branch) {
        return Ok(None);
    }
    let branch: &[&str] = if options.branch { &["--branch"] } else { &[] };
    if !options.no_run {
        let nextest = process::works(&mut process::cargo(&["nextest", "--version"]));
        let test: &[&str] = if nextest { &["nextest", "--status-level=slow"] } else { &["test"] };
        let all = ["--locked", "--no-report", "--workspace", "--exclude=xtask"];
        process::run(&mut cargo(&[&["llvm-cov"], test, &all, branch].concat()))?;
        // What prints the tables of the formats runs as `spec`, whose output is compared.
        for name in ENGINE {
            let example = format!("{name}-spec");
            let path = format!("crates/{name}/examples/{example}.rs");
            if process::root().join(path).exists() {
                let run = ["run", "--locked", "--no-report", "--profile=test", "-p", name];
                let args = [&["llvm-cov"], &run[..], &["--example", &example], branch].concat();
                process::output(&mut cargo(&args))?;
            }
        }
    }
    let report = [&["llvm-cov", "report", "--lcov"], branch].concat();
    Ok(Some(process::output(&mut cargo(&report))?))
}

/// Shows which lines of the engine a fuzz target reaches from its corpus.
pub(crate) fn of_fuzz_target(target: &str) -> Result {
    if !is_there(false) {
        return Ok(());
    }
    let run =
        ["llvm-cov", "test", "--locked", "-p", "cairn-torture", "--test", "fuzz_replay", "--lcov"];
    let lcov = process::output(process::cargo(&run).env("CAIRN_FUZZ_TARGET", target))?;
    let mut files = read(&lcov)?;
    files.retain(|_, file| file.lines.values().any(|&count| count > 0));
    for (path, file) in &files {
        println!("{path:58} {}", file.sum());
    }
    Ok(())
}

/// Whether cargo-llvm-cov is there, and with it what it takes from the toolchain.
fn has_llvm_cov(is_nightly: bool) -> bool {
    let (cargo, mut rustc) = match is_nightly {
        true => (nightly::cargo(&["llvm-cov", "--version"]), nightly::rustc()),
        false => (process::cargo(&["llvm-cov", "--version"]), Command::new("rustc")),
    };
    let mut has_tools = || match process::output(rustc.arg("--print=target-libdir")) {
        Ok(libdir) => Path::new(libdir.trim()).with_file_name("bin").join("llvm-profdata").exists(),
        Err(_) => false,
    };
    process::works(&mut { cargo }) && (std::env::var_os("LLVM_PROFDATA").is_some() || has_tools())
}

fn is_there(is_nightly: bool) -> bool {
    has_llvm_cov(is_nightly) || nightly::skipped("cargo-llvm-cov with llvm-tools", HOW)
}

/// How often each line and branch of a file was reached.
#[derive(Debug, Default, PartialEq, Eq)]
struct File {
    lines: BTreeMap<usize, u64>,
    /// By line: of how many branches how many were taken.
    branches: BTreeMap<usize, (u64, u64)>,
}

/// Reads the report, and leaves out tests and other crates.
fn read(lcov: &str) -> Result<BTreeMap<String, File>> {
    let root = process::root();
    let mut files: BTreeMap<String, File> = parse(lcov)
        .into_iter()
        .filter_map(|(path, file)| {
            let path = Path::new(&path).strip_prefix(&root).ok()?.to_str()?.to_owned();
            let of_engine =
                ENGINE.iter().any(|name| path.starts_with(&format!("crates/{name}/src/")));
            let is_tests = path.ends_with("/tests.rs") || path.contains("/tests/");
            (of_engine && !is_tests).then_some((path, file))
        })
        .collect();
    for (path, file) in &mut files {
        let text = std::fs::read_to_string(root.join(path))?;
        file.leave_out_tests(&text);
    }
    Ok(files)
}

/// Reads the records `SF:path`, `DA:line,count` and `BRDA:line,block,branch,taken`.
fn parse(lcov: &str) -> BTreeMap<String, File> {
    let mut files: BTreeMap<String, File> = BTreeMap::new();
    let mut path = String::new();
    for record in lcov.lines() {
        let Some((kind, fields)) = record.split_once(':') else { continue };
        if kind == "SF" {
            path = fields.to_owned();
            continue;
        }
        let mut fields = fields.split(',');
        let Some(line) = fields.next().and_then(|line| line.parse().ok()) else { continue };
        // A branch that was never come by is `-`.
        let count: u64 = fields.next_back().and_then(|count| count.parse().ok()).unwrap_or(0);
        let file = files.entry(path.clone()).or_default();
        match kind {
            "DA" => *file.lines.entry(line).or_default() += count,
            "BRDA" => {
                let (all, taken) = file.branches.entry(line).or_default();
                (*all, *taken) = (*all + 1, *taken + u64::from(count > 0));
            }
            _ => {}
        }
    }
    files
}

impl File {
    fn leave_out_tests(&mut self, text: &str) {
        let tests = Facts::read(text).unwrap_or_default().tests;
        let is_test = |line: &usize| tests.iter().any(|range| range.contains(line));
        self.lines.retain(|line, _| !is_test(line));
        self.branches.retain(|line, _| !is_test(line));
    }

    fn sum(&self) -> Sum {
        let branches = self.branches.values();
        Sum {
            lines: self.lines.len() as u64,
            reached: self.lines.values().filter(|&&count| count > 0).count() as u64,
            branches: branches.clone().map(|(all, _)| all).sum(),
            taken: branches.map(|(_, taken)| taken).sum(),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    lines: u64,
    reached: u64,
    branches: u64,
    taken: u64,
}

impl Sum {
    const fn per_thousand(self) -> u64 {
        match self.lines {
            0 => 1000,
            lines => self.reached * 1000 / lines,
        }
    }

    const fn with(self, other: Self) -> Self {
        Self {
            lines: self.lines + other.lines,
            reached: self.reached + other.reached,
            branches: self.branches + other.branches,
            taken: self.taken + other.taken,
        }
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.per_thousand();
        let Self { lines, reached, branches, taken } = self;
        write!(f, "{reached:>6} of {lines:>6} lines {:>3}.{} %", percent / 10, percent % 10)?;
        match branches {
            0 => Ok(()),
            _ => {
                write!(f, "  {taken:>6} of {branches:>6} branches {:>3} %", taken * 100 / branches)
            }
        }
    }
}

/// The sums of the crates.
struct Table(BTreeMap<&'static str, Sum>);

impl Table {
    fn of(files: &BTreeMap<String, File>) -> Self {
        let mut sums = BTreeMap::new();
        for (path, file) in files {
            let is_in = |name: &&&str| path.starts_with(&format!("crates/{name}/"));
            if let Some(name) = ENGINE.iter().find(is_in) {
                let sum: &mut Sum = sums.entry(*name).or_default();
                *sum = sum.with(file.sum());
            }
        }
        Self(sums)
    }

    fn thinnest(&self) -> Option<u64> {
        self.0.values().map(|sum| sum.per_thousand()).min()
    }

    fn below(&self, gate: u64) -> impl Iterator<Item = &'static str> {
        self.0.iter().filter(move |(_, sum)| sum.per_thousand() < gate).map(|(name, _)| *name)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, sum) in &self.0 {
            writeln!(f, "{name:14} {sum}")?;
        }
        let all = self.0.values().fold(Sum::default(), |all, sum| all.with(*sum));
        write!(f, "{:14} {all}", "all")
    }
}

/// Prints the lines that nobody has reached, as ranges.
fn missing(files: &BTreeMap<String, File>) {
    for (path, file) in files {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        let mut follows = false;
        for (&line, &count) in &file.lines {
            match ranges.last_mut() {
                Some((_, last)) if count == 0 && follows => *last = line,
                _ if count == 0 => ranges.push((line, line)),
                _ => {}
            }
            follows = count == 0;
        }
        let shown: Vec<String> = ranges
            .iter()
            .map(|(first, last)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            })
            .collect();
        if !shown.is_empty() {
            println!("{path}: {}", shown.join(" "));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_and_tests_are_not() {
        let lcov = "SF:/x/a.rs\nFN:1,f\nDA:1,5\nDA:2,0\nBRDA:2,0,0,-\nBRDA:2,0,1,3\nDA:5,9\nLF:3\nend_of_record\n";
        let mut files = parse(lcov);
        let file = files.get_mut("/x/a.rs").unwrap();
        let sum = file.sum();
        assert_eq!((sum.lines, sum.reached, sum.branches, sum.taken), (3, 2, 2, 1));
        file.leave_out_tests("fn f() {\n}\n#[cfg(test)]\nmod tests {\n  fn t() {}\n}\n");
        assert_eq!(file.lines, BTreeMap::from([(1, 5), (2, 0)]));
        assert_eq!(file.sum().per_thousand(), 500);
    }

    #[test]
    fn the_thinnest_crate_counts() {
        let file =
            |reached| File { lines: BTreeMap::from([(1, 1), (2, reached)]), ..File::default() };
        let files = BTreeMap::from([
            ("crates/cairn-io/src/a.rs".to_owned(), file(1)),
            ("crates/cairn-log/src/a.rs".to_owned(), file(0)),
        ]);
        let table = Table::of(&files);
        assert_eq!(table.thinnest(), Some(500));
        assert_eq!(table.below(GATE).collect::<Vec<_>>(), ["cairn-log"]);
    }
}
