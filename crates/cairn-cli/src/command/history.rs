//! `cairn history`: how far back the journal goes, and how much of it is to stay.

use std::{path::PathBuf, time::Duration};

use cairndb::{JournalHistory, JournalRetention};
use serde::Serialize;

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    text::{Time, parse_size, several, size},
};

/// Tell how far back the journal goes, and say how much of it is to stay
///
/// With a backup, the journal leads back to every commit that it holds: see `cairn help restore`.
/// Without being asked to, an environment keeps no more of it than it needs. --keep says how much
/// stays beyond that, from now on, whoever opens the environment. A backup is of use as long as the
/// history begins before it.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cairn history data
  cairn history data --keep 7d          # what was committed within the last seven days
  cairn history data --keep 20GiB       # the newest 20 GiB of journal
  cairn history data --keep all
  cairn history data --keep none        # no more than is needed"
)]
pub(crate) struct History {
    /// The directory of the environment
    env: PathBuf,
    /// What stays from now on: a time (90min, 36h, 7d, 4w), a size (500MiB, 20GiB), all, or none
    #[arg(long, value_name = "HOW MUCH", value_parser = parse_keep)]
    keep: Option<JournalRetention>,
    #[command(flatten)]
    unlock: KeyArgs,
}

#[derive(Serialize)]
struct HistoryJson {
    environment: PathBuf,
    keep: KeepJson,
    from: u64,
    since: Time,
    to: u64,
    files: u64,
    bytes: u64,
}

/// How much journal stays: `none` or `all`, or so many bytes or seconds.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum KeepJson {
    None,
    All,
    Bytes(u64),
    Seconds(u64),
}

impl History {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let env = match self.keep {
            None => open::for_reading(&self.env, &self.unlock)?,
            Some(keep) => {
                let key = self.unlock.of_environment(&self.env)?;
                let env = open::for_writing_keeping(&self.env, key, Some(keep), output)?;
                env.record_retention()?;
                env
            }
        };
        let JournalHistory { keep, from, since, to, files, bytes, .. } = env.history()?;
        env.close()?;
        output.line(format_args!("keeps    {}", in_words(keep)))?;
        let since = Time(since);
        match files {
            0 => output.line(format_args!("history  none"))?,
            _ => output.line(format_args!(
                "history  from commit {from} of {since} to commit {to}: {}, {}",
                several(files, "file"),
                size(bytes)
            ))?,
        }
        let keep = match keep {
            JournalRetention::Bytes(bytes) => KeepJson::Bytes(bytes),
            JournalRetention::For(time) => KeepJson::Seconds(time.as_secs()),
            JournalRetention::Forever => KeepJson::All,
            _ => KeepJson::None,
        };
        output.json(&HistoryJson { environment: self.env, keep, from, since, to, files, bytes })?;
        Ok(Exit::Good)
    }
}

fn in_words(keep: JournalRetention) -> String {
    match keep {
        JournalRetention::Bytes(bytes) => format!("{} of journal", size(bytes)),
        JournalRetention::For(time) => format!("the journal of {}", in_units(time.as_secs())),
        JournalRetention::Forever => "all of the journal".into(),
        _ => "no more journal than is needed".into(),
    }
}

/// The units of time, the largest first.
const UNITS: [(&str, u64); 5] =
    [("w", 7 * 86_400), ("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];

fn in_units(seconds: u64) -> String {
    // Nobody counts in weeks who has asked for days.
    let unit = UNITS.into_iter().skip(1).find(|(_, unit)| seconds.is_multiple_of(*unit));
    unit.map_or_else(String::new, |(name, unit)| format!("{} {name}", seconds / unit))
}

/// How long `30d`, `12h`, `10min` or `5s` is.
pub(super) fn parse_span(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = UNITS.into_iter().find(|(name, _)| *name == &text[digits.len()..]);
    let number = digits.parse::<u64>().ok();
    let seconds = unit.zip(number).and_then(|((_, unit), number)| number.checked_mul(unit));
    seconds.map(Duration::from_secs).ok_or("it is no time such as 30d, 12h, 10min or 5s".into())
}

/// How much journal is meant by `7d`, `20GiB`, `all` or `none`.
pub(super) fn parse_keep(text: &str) -> Result<JournalRetention, String> {
    match text {
        "all" => return Ok(JournalRetention::Forever),
        "none" => return Ok(JournalRetention::Needed),
        _ => {}
    }
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let what = "it is no time such as 7d, no size such as 20GiB, and neither `all` nor `none`";
    let unit = UNITS.into_iter().find(|(name, _)| *name == &text[digits.len()..]);
    match unit {
        Some((_, unit)) => {
            let seconds = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
            let seconds = seconds.filter(|seconds| *seconds > 0).ok_or(what)?;
            Ok(JournalRetention::For(Duration::from_secs(seconds)))
        }
        // A plain number could be either.
        None if digits.len() == text.len() => Err(what.into()),
        None => parse_size(text).map(JournalRetention::Bytes).map_err(|_| what.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_and_a_size_are_told_apart_and_come_back_in_words() {
        for (text, words) in [
            ("90min", "the journal of 90 min"),
            ("36h", "the journal of 36 h"),
            ("7d", "the journal of 7 d"),
            ("4w", "the journal of 28 d"),
            ("45s", "the journal of 45 s"),
            ("500MiB", "500 MiB of journal"),
            ("20G", "20.0 GiB of journal"),
            ("all", "all of the journal"),
            ("none", "no more journal than is needed"),
        ] {
            assert_eq!(in_words(parse_keep(text).unwrap()), words, "{text}");
        }
        for bad in
            ["", "7", "d", "0d", "-1d", "7 d", "1.5h", "7days", "0MiB", "ALL", "99999999999999w"]
        {
            assert!(parse_keep(bad).is_err(), "{bad}");
        }
    }
}
