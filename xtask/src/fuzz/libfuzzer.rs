//! One program of libFuzzer: how it is started, and what its output says.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{corpus, findings};
use crate::{Result, process};

/// A target that is built.
pub(super) struct Run<'a> {
    pub(super) name: &'a str,
    pub(super) program: PathBuf,
    /// Whether an input may take longer than one of a parser.
    pub(super) is_engine: bool,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) executions: u64,
    peak_mib: u64,
    /// What it has found: the last words of the program, with the file of the input.
    pub(super) found: Option<String>,
}

/// The corpus of a target that is committed stays below: thirteen of them are less than 1 MiB.
const CORPUS_BYTES: u64 = 64 << 10;

impl Run<'_> {
    fn command(&self) -> Result<Command> {
        let artifacts = process::root().join("fuzz/artifacts").join(self.name);
        for dir in [&artifacts, &findings(self.name), &corpus(self.name)] {
            fs::create_dir_all(dir)?;
        }
        let mut command = Command::new(&self.program);
        let seconds = if self.is_engine { 10 } else { 1 };
        command.current_dir(process::root()).args([
            format!("-artifact_prefix={}/", artifacts.display()),
            format!("-timeout={seconds}"),
            "-rss_limit_mb=512".to_owned(),
            "-max_len=8192".to_owned(),
            "-print_final_stats=1".to_owned(),
        ]);
        // A run that forgets memory for ever shows by its limit; freed memory is kept by the checker.
        // SQLite is checked, too, and has constants of functions with the same name: no violation.
        let checks = "detect_leaks=0:quarantine_size_mb=16:symbolize=1:detect_odr_violation=0";
        command.env("ASAN_OPTIONS", checks);
        Ok(command)
    }

    /// Lets it look for so many seconds. What is new lies in [`findings`].
    pub(super) fn fuzz(&self, time: u64, seed: u64) -> Result<Outcome> {
        let mut command = self.command()?;
        command.args([format!("-max_total_time={time}"), format!("-seed={seed}")]);
        let output = command.args([findings(self.name), corpus(self.name)]).output()?;
        let text = String::from_utf8_lossy(&output.stderr);
        let outcome = outcome(&text, output.status.success());
        outcome.ok_or_else(|| format!("libFuzzer did not say what it did:\n{}", tail(&text)).into())
    }

    /// Adds to the corpus what covers more, the shortest first, as far as there is room. Returns how
    /// many were added, and the bytes of all.
    pub(super) fn minimise(&self) -> Result<(u64, u64)> {
        let corpus = corpus(self.name);
        let merged = findings(self.name).with_extension("merged");
        if merged.exists() {
            fs::remove_dir_all(&merged)?;
        }
        fs::create_dir_all(&merged)?;
        // What the corpus has is merged first, so that only what is new is left over.
        copy_all(&corpus, &merged)?;
        let mut command = self.command()?;
        command.arg("-merge=1").args([&merged, &findings(self.name)]);
        let output = command.output()?;
        if !output.status.success() {
            return Err(tail(&String::from_utf8_lossy(&output.stderr)).into());
        }
        let mut found = files(&merged)?;
        found.sort();
        let mut bytes: u64 = files(&corpus)?.iter().map(|(len, _)| len).sum();
        let mut added = 0;
        for (len, path) in found {
            let name = path.file_name().ok_or("a file without a name")?;
            let to = corpus.join(name);
            if !to.exists() && bytes + len <= CORPUS_BYTES {
                fs::copy(&path, to)?;
                (added, bytes) = (added + 1, bytes + len);
            }
        }
        fs::remove_dir_all(&merged)?;
        Ok((added, bytes))
    }
}

/// The files of a directory, with their lengths.
fn files(dir: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let entries = fs::read_dir(dir)?.map(|entry| {
        let entry = entry?;
        Ok((entry.metadata()?.len(), entry.path()))
    });
    entries.collect()
}

fn copy_all(from: &Path, to: &Path) -> Result {
    for (_, path) in files(from)? {
        fs::copy(&path, to.join(path.file_name().ok_or("a file without a name")?))?;
    }
    Ok(())
}

/// What the output of a run says.
fn outcome(text: &str, is_good: bool) -> Option<Outcome> {
    let stat = |name: &str| {
        let value =
            text.lines().find_map(|line| line.strip_prefix("stat::")?.strip_prefix(name))?;
        value.trim_start_matches(':').trim().parse().ok()
    };
    Some(Outcome {
        executions: stat("number_of_executed_units")?,
        peak_mib: stat("peak_rss_mb")?,
        found: (!is_good).then(|| tail(text)),
    })
}

/// The lines that say what went wrong, or else the last ones.
fn tail(text: &str) -> String {
    const TELLING: [&str; 5] =
        ["panicked at", "ERROR:", "SUMMARY:", "Test unit written", "artifact_prefix="];
    let telling: Vec<&str> =
        text.lines().filter(|line| TELLING.iter().any(|word| line.contains(word))).collect();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(10)..];
    if telling.is_empty() { last.join("\n") } else { telling.join("\n") }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12} executions, {:>4} MiB", self.executions, self.peak_mib)?;
        match &self.found {
            None => f.write_str(", nothing found"),
            Some(found) => write!(f, ", FAILED:\n{found}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "INFO: Seed: 1\n#2 INITED cov: 1\nDone 700 runs in 3 second(s)\n\
                          stat::number_of_executed_units: 700\nstat::peak_rss_mb:              81\n";

    #[test]
    fn a_run_is_read_off_its_last_lines() {
        let good = Outcome { executions: 700, peak_mib: 81, found: None };
        assert_eq!(outcome(OUTPUT, true), Some(good));
        assert_eq!(outcome("cannot start", true), None);
        let text = format!("thread panicked at x.rs:1:2:\n{OUTPUT}Test unit written to crash-1\n");
        let found = outcome(&text, false).unwrap().found.unwrap();
        assert_eq!(found, "thread panicked at x.rs:1:2:\nTest unit written to crash-1");
    }
}
