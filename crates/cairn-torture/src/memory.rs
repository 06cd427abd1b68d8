//! Memory: no input makes the engine take much of it, whatever lengths the input claims.

use std::{
    fmt, fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use cairn_sim::{ChooserExt as _, Seeded};

use crate::{
    figure::Figure,
    fuzz::{TARGETS, Target, mutate},
};

/// What one input may take, its environment's cache and its disk in memory included.
pub const BOUND: usize = 16 << 20;

/// Targets that do not open what they are given, but run an engine for as long as the input says, on
/// several disks in memory.
const RUNS: &[&str] = &["simulation", "transaction_schedule"];

/// An allocator that counts bytes, and gives no more of them than it was told.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "questions to an allocator")]
pub struct Gauge {
    /// The most that it has ever had.
    pub peak: fn() -> usize,
    /// Lets it have so many more and not one beyond: who asks for it is aborted. `None`: as many as it likes.
    pub limit: fn(Option<usize>),
}

/// Is told of each input before its target is given it.
pub type Trace<'t> = &'t dyn Fn(&str, &[u8]);

/// What the inputs of a target took.
#[derive(Clone, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a row of a table")]
pub struct Row {
    /// The target.
    pub target: &'static str,
    /// How many inputs it was given.
    pub inputs: u64,
    /// The most that this process has ever had, in bytes: what is made once is in it.
    pub peak: usize,
}

/// All rows.
#[derive(Clone, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "a table")]
pub struct Report {
    /// One for each target.
    pub rows: Vec<Row>,
}

/// Gives each target its corpus and so many mutations of it, one in `share` of those of a test run, all in
/// this thread. An input that takes too much aborts the process, since that is what becomes of a program
/// whose allocator gives nothing; with `trace` each is printed before it is given.
///
/// # Errors
/// If the corpus cannot be read.
pub fn bound(gauge: Gauge, share: usize, seed: u64, trace: Trace<'_>) -> std::io::Result<Report> {
    let targets = TARGETS.into_iter().filter(|target| !RUNS.contains(&target.name));
    let rows = targets.map(|target| row(target, gauge, share, seed, trace));
    Ok(Report { rows: rows.collect::<std::io::Result<_>>()? })
}

fn row(
    target: Target,
    gauge: Gauge,
    share: usize,
    seed: u64,
    trace: Trace<'_>,
) -> std::io::Result<Row> {
    let corpus = corpus(target.name)?;
    let mut row = Row { target: target.name, inputs: 0, peak: 0 };
    // What it must answer is the business of the other rigs.
    let run = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| (target.run)(input))).unwrap_or(());
    // The first ones make what is made once: subjects, tables.
    run(&[]);
    corpus.iter().take(1).for_each(|input| run(input));
    let mut give = |input: &[u8]| {
        trace(target.name, input);
        (gauge.limit)(Some(BOUND));
        run(input);
        (gauge.limit)(None);
        row.inputs += 1;
    };
    corpus.iter().for_each(|input| give(input));
    for number in 0..target.mutations / share.max(1) {
        let mut random = Seeded::new(seed).stream(target.name).stream(&number.to_string());
        let (one, other) = (random.pick(&corpus, "one"), random.pick(&corpus, "other"));
        give(&mutate(one, other, &mut random));
    }
    row.peak = (gauge.peak)();
    Ok(row)
}

/// The corpus of a target, in the order of its names.
fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(dir)?.map(|entry| Ok(entry?.path()));
    let mut paths = entries.collect::<std::io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(fs::read).collect()
}

impl Report {
    /// What was counted toward the goals.
    #[must_use]
    pub fn figures(&self) -> Vec<Figure> {
        let value = self.rows.iter().map(|row| row.inputs).sum();
        vec![Figure { goal: "G26", name: "inputs within 16 MiB", value, wrong: 0 }]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { target, inputs, peak } in &self.rows {
            writeln!(
                f,
                "{target:20} {inputs:>7} inputs; until then {:>6} KiB at most",
                peak >> 10
            )?;
        }
        write!(f, "none took more than {} MiB for itself", BOUND >> 20)
    }
}
