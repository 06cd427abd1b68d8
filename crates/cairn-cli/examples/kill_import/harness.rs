//! Kills an import at a random moment, again and again on one environment, and checks each time that every
//! commit which was reported is there.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cairndb::{Environment, Options, VerifyOptions};
use serde_json::Value;

pub(crate) type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What is to be done.
pub(crate) struct Plan {
    /// Bytes of the JSON lines.
    pub(crate) bytes: u64,
    pub(crate) kills: u32,
    /// The longest time from the start of an import to its end.
    pub(crate) delay_max: Duration,
    pub(crate) seed: u64,
    /// Where everything lies.
    pub(crate) dir: PathBuf,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    pub(crate) kills: u32,
    /// Imports that came to their end before they were killed.
    pub(crate) finished: u32,
    /// Commits that were reported, over all imports.
    pub(crate) reported: u64,
    /// Entries that were read back and compared.
    pub(crate) compared: u64,
    /// The most entries that were there after a kill.
    pub(crate) entries_max: u64,
    pub(crate) torn_tails: u32,
}

/// The key of a line of the file, scattered over the whole tree as keys of applications are.
fn key(number: u64) -> String {
    format!("{:016x}", number.wrapping_mul(0x2545_f491_4f6c_dd1d))
}

/// Its value, which follows from the number of the line.
fn value(number: u64) -> String {
    let word = format!("{:016x} ", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    word.repeat(usize::try_from(20 + number * 7 % 81).unwrap_or(20))
}

/// Writes the file; returns its number of lines.
pub(crate) fn generate(path: &Path, bytes: u64) -> Result<u64> {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let (mut written, mut lines) = (0, 0);
    while written < bytes {
        let (key, value) = (key(lines), value(lines));
        let line = format!("{{\"key\":\"{key}\",\"value\":\"{value}\"}}\n");
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        lines += 1;
    }
    out.flush()?;
    Ok(lines)
}

/// Runs the plan; `cairn` starts the command, `told` hears of each kill.
pub(crate) fn run(
    plan: &Plan,
    cairn: impl Fn() -> Command,
    mut told: impl FnMut(u32, &str),
) -> Result<Summary> {
    let (input, env_dir) = (plan.dir.join("lines.jsonl"), plan.dir.join("environment"));
    let lines = generate(&input, plan.bytes)?;
    let status = cairn().arg("init").arg(&env_dir).stdout(Stdio::null()).status()?;
    if !status.success() {
        return Err(format!("cairn init: {status}").into());
    }
    let mut summary = Summary::default();
    let mut seed = plan.seed | 1;
    // Lines of the file that some import has reported, from its beginning: a later one puts the same.
    let mut reported_max = 0;
    for kill in 1..=plan.kills {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let delay = plan.delay_max.mul_f64((seed >> 11) as f64 / (1_u64 << 53) as f64);
        let mut import = cairn();
        import.arg("import").arg(&env_dir).arg(&input).args(["--json", "--batch", "1000"]);
        // By turns: do it all again; go on where the report ended, or somewhere before it.
        let skip = match kill % 3 {
            0 => 0,
            1 if reported_max < lines / 10 * 9 => reported_max,
            _ => (seed >> 20) % (reported_max + 1),
        };
        import.args(["--skip", &skip.to_string()]);
        let import = import.stdout(Stdio::piped()).stdin(Stdio::null());
        let reports = kill_after(import, delay)?;
        summary.kills += 1;
        summary.finished += u32::from(reports.done);
        summary.reported += reports.commits;
        reported_max = reported_max.max(reports.total);
        let checked = check(&env_dir, reported_max, lines, reports.newest_commit)?;
        summary.compared += checked.entries;
        summary.entries_max = summary.entries_max.max(checked.entries);
        summary.torn_tails += u32::from(checked.torn);
        told(
            kill,
            &format!(
                "from line {skip}, killed after {:.2} s: {} commits reported (up to line {}), {} entries \
                 there, all right{}; recovered in {:.2} s, verified in {:.2} s",
                delay.as_secs_f64(),
                reports.commits,
                reports.total,
                checked.entries,
                if checked.torn { ", a torn tail set aside" } else { "" },
                checked.opened.as_secs_f64(),
                checked.verified.as_secs_f64(),
            ),
        );
    }
    Ok(summary)
}

#[derive(Default)]
struct Reports {
    commits: u64,
    total: u64,
    newest_commit: u64,
    done: bool,
}

/// Starts an import, kills it after a while with SIGKILL, and returns what it had reported.
fn kill_after(import: &mut Command, delay: Duration) -> Result<Reports> {
    let mut child = import.spawn()?;
    let stdout = child.stdout.take().ok_or("no standard output")?;
    let reader = thread::spawn(move || read_reports(stdout));
    let until = Instant::now() + delay;
    while Instant::now() < until && child.try_wait()?.is_none() {
        thread::sleep(
            Duration::from_millis(1).min(until.saturating_duration_since(Instant::now())),
        );
    }
    child.kill()?;
    let status = child.wait()?;
    let reports = reader.join().map_err(|_| "the reader has panicked")??;
    if status.code().is_some_and(|code| code != 0) {
        return Err(format!("the import failed by itself: {status}").into());
    }
    Ok(reports)
}

fn read_reports(stdout: impl Read) -> Result<Reports> {
    let mut reports = Reports::default();
    let mut reader = BufReader::new(stdout);
    let mut line = String::new();
    // A last line without its end was cut by the kill: nobody can have read it.
    while reader.read_line(&mut line)? > 0 && line.ends_with('\n') {
        let event: Value = serde_json::from_str(&line)?;
        let number =
            |name: &str| event[name].as_u64().ok_or_else(|| format!("no {name} in {line}"));
        reports.total = number("total")?;
        if event["event"] == "commit" {
            reports.commits += 1;
            reports.newest_commit = number("commit")?;
        } else {
            reports.done = true;
        }
        line.clear();
    }
    Ok(reports)
}

struct Checked {
    entries: u64,
    torn: bool,
    opened: Duration,
    verified: Duration,
}

/// Opens the environment: the first `reported` lines must be there, more may be, each of them right; and
/// nothing else.
fn check(env_dir: &Path, reported: u64, lines: u64, newest_commit: u64) -> Result<Checked> {
    let began = Instant::now();
    let (env, report) = Environment::open(env_dir, Options::default().create(false))?;
    let opened = began.elapsed();
    if report.sequence < newest_commit {
        return Err(format!(
            "commit {newest_commit} was reported, {} is the newest",
            report.sequence
        )
        .into());
    }
    let mut entries = 0;
    {
        let snapshot = env.snapshot()?;
        if let Some(database) = snapshot.database("main")? {
            entries = snapshot.len(&database)?;
            // Batches are whole, and come in the order of the lines: so these are the first lines.
            if entries < reported || entries > lines {
                return Err(format!("{entries} entries are there, {reported} were reported").into());
            }
            let mut numbers: Vec<_> = (0..entries).map(|number| (key(number), number)).collect();
            numbers.sort_unstable();
            let mut numbers = numbers.into_iter();
            for found in snapshot.iter(&database)? {
                let (found_key, found_value) = found?;
                let Some((key, number)) = numbers.next() else {
                    return Err("too many entries".into());
                };
                if *found_key != *key.as_bytes() || *found_value != *value(number).as_bytes() {
                    return Err(format!("line {number} is lost or wrong").into());
                }
            }
            if let Some((_, number)) = numbers.next() {
                return Err(format!("line {number} is lost").into());
            }
        } else if reported > 0 {
            return Err("the database is lost".into());
        }
    }
    let began = Instant::now();
    let findings = env.verify(&VerifyOptions::new())?.findings;
    if let Some(finding) = findings.first() {
        return Err(format!("verify: {finding}").into());
    }
    let verified = began.elapsed();
    env.close()?;
    Ok(Checked { entries, torn: report.torn_tail.is_some(), opened, verified })
}
