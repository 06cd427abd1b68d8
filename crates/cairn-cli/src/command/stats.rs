//! `cairn stats`: figures about an environment, as the engine counts them.

use std::path::PathBuf;

use cairndb::{About, Figure, PinInfo, Stats, Unit};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::{
    Outcome,
    exit::Exit,
    keys::KeyArgs,
    open,
    output::Output,
    text::{Time, count, several, size},
};

/// Print figures: commits, checkpoints, log files, live bytes
#[derive(clap::Args)]
#[command(
    name = "stats",
    after_help = "\
Example:
  cairn stats data
  cairn stats --explain"
)]
pub(crate) struct StatsCommand {
    /// The directory of the environment
    #[arg(required_unless_present = "explain")]
    env: Option<PathBuf>,
    /// Tell what each figure says, those included that only a program can ask for about itself
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    unlock: KeyArgs,
}

/// Members that are no figures of [`Stats`]: name, unit, what it says.
const OTHERS: [(&str, &str, &str); 1] = [(
    "pins",
    "processes",
    "Other processes that read the environment, and the log files that they keep: `process`, `since`, \
     `files`, `bytes`, and `held_bytes`, which nothing but pins keeps.",
)];

/// The figures about the environment: those about this process, which has only just opened it, would
/// mislead.
struct StatsJson {
    stats: Stats,
    pins: Vec<PinJson>,
}

impl Serialize for StatsJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (figure, value) in shown(&self.stats) {
            map.serialize_entry(figure.name, &value)?;
        }
        map.serialize_entry("pins", &self.pins)?;
        map.end()
    }
}

/// Another process that pins log files.
#[derive(Serialize)]
struct PinJson {
    process: Option<u32>,
    since: Option<Time>,
    files: u64,
    bytes: u64,
    held_bytes: u64,
}

#[derive(Serialize)]
struct ExplainedJson {
    name: &'static str,
    unit: String,
    about: String,
    text: &'static str,
}

impl From<PinInfo> for PinJson {
    fn from(pin: PinInfo) -> Self {
        let PinInfo { process, files, bytes, held_bytes, .. } = pin;
        Self { process, since: pin.since.map(Time), files, bytes, held_bytes }
    }
}

/// The figures about the environment.
pub(super) fn shown(stats: &Stats) -> impl Iterator<Item = (&'static Figure, u64)> + use<> {
    stats.figures().filter(|(figure, _)| figure.about == About::Environment)
}

impl StatsCommand {
    pub(super) fn run(self, output: &mut Output) -> Outcome {
        let path = match self.env {
            Some(path) if !self.explain => path,
            _ => return explain(output),
        };
        let env = open::for_reading(&path, &self.unlock)?;
        let stats = env.stats()?;
        for (figure, value) in shown(&stats) {
            let value = match figure.unit {
                Unit::Bytes => size(value),
                Unit::Percent => format!("{value}%"),
                _ => count(value),
            };
            output.line(format_args!("{:<22} {value}", figure.name.replace('_', " ")))?;
        }
        let pins: Vec<PinJson> = env.pins()?.into_iter().map(PinJson::from).collect();
        for pin in &pins {
            let by = match (pin.process, pin.since) {
                (Some(process), Some(since)) => format!("process {process} since {since}"),
                _ => "a damaged pin, so all of it".into(),
            };
            output.line(format_args!(
                "pinned                 {} in {} by {by}; {} only for that",
                size(pin.bytes),
                several(pin.files, "file"),
                size(pin.held_bytes)
            ))?;
        }
        output.json(&StatsJson { stats, pins })?;
        Ok(Exit::Good)
    }
}

/// Tells what the figures are, one by one.
fn explain(output: &mut Output) -> Outcome {
    let figures = Stats::explain().map(|figure| ExplainedJson {
        name: figure.name,
        unit: figure.unit.to_string(),
        about: figure.about.to_string(),
        text: figure.text,
    });
    let others = OTHERS.map(|(name, unit, text)| {
        let (unit, about) = (unit.into(), About::Environment.to_string());
        ExplainedJson { name, unit, about, text }
    });
    for figure in figures.chain(others) {
        let ExplainedJson { name, unit, about, text } = &figure;
        output.line(format_args!("{name} ({unit}, of the {about}): {text}"))?;
        output.json(&figure)?;
    }
    Ok(Exit::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_of_the_json_is_explained_once() {
        let pin = PinJson { process: None, since: None, files: 0, bytes: 0, held_bytes: 0 };
        let pin_members = serde_json::to_value(&pin).unwrap();
        let json = StatsJson { stats: Stats::default(), pins: vec![pin] };
        let json = serde_json::to_value(&json).unwrap();
        let names = Stats::explain().map(|figure| figure.name);
        let names: Vec<&str> = names.chain(OTHERS.map(|(name, ..)| name)).collect();
        for member in json.as_object().unwrap().keys() {
            assert_eq!(names.iter().filter(|name| *name == member).count(), 1, "{member}");
        }
        for member in pin_members.as_object().unwrap().keys() {
            assert!(OTHERS[0].2.contains(&format!("`{member}`")), "{member}");
        }
    }
}
