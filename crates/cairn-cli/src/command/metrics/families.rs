//! The text format of Prometheus: figures of one name stand together, each with its labels, behind what the name says.
//!
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>

use std::{collections::BTreeMap, fmt::Display};

use serde::Serialize;

use crate::{exit::Failure, output::Output};

/// Figures, in the order in which their names came first.
#[derive(Default)]
pub(super) struct Families {
    families: Vec<Family>,
    places: BTreeMap<String, usize>,
}

struct Family {
    name: String,
    help: String,
    samples: Vec<Sample>,
}

struct Sample {
    labels: Vec<(&'static str, String)>,
    value: Value,
}

/// A figure.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Value {
    Count(u64),
    Seconds(f64),
}

impl Value {
    /// Seconds since 1970, from microseconds.
    #[expect(clippy::cast_precision_loss, reason = "microseconds of today have 51 bits")]
    pub(super) fn time(micros: u64) -> Self {
        Self::Seconds(micros as f64 / 1e6)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

#[derive(Serialize)]
struct SampleJson<'a> {
    metric: &'a str,
    labels: BTreeMap<&'static str, &'a str>,
    value: Value,
}

impl Families {
    /// Adds a figure; `help` is what the name says, the first time.
    pub(super) fn add(
        &mut self,
        name: &str,
        help: &str,
        labels: &[(&'static str, impl Display)],
        value: impl Into<Value>,
    ) {
        let next = self.families.len();
        let place = *self.places.entry(name.to_owned()).or_insert(next);
        if place == next {
            let (name, help) = (name.to_owned(), help.to_owned());
            self.families.push(Family { name, help, samples: Vec::new() });
        }
        let labels = labels.iter().map(|(name, value)| (*name, value.to_string())).collect();
        self.families[place].samples.push(Sample { labels, value: value.into() });
    }

    /// Prints all: for people as the format says, for programs an object for each figure.
    pub(super) fn print(&self, output: &mut Output) -> Result<(), Failure> {
        for Family { name, help, samples } in &self.families {
            output.line(format_args!("# HELP {name} {}", escape(help, false)))?;
            output.line(format_args!("# TYPE {name} gauge"))?;
            for Sample { labels, value } in samples {
                output.line(format_args!("{name}{}", sample(labels, *value)))?;
                let labels = labels.iter().map(|(name, value)| (*name, &**value)).collect();
                output.json(&SampleJson { metric: name, labels, value: *value })?;
            }
        }
        Ok(())
    }
}

/// `{env="data"} 7`
fn sample(labels: &[(&'static str, String)], value: Value) -> String {
    let labels: Vec<_> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escape(value, true))).collect();
    let labels = labels.join(",");
    match value {
        Value::Count(count) => format!("{{{labels}}} {count}"),
        Value::Seconds(seconds) => format!("{{{labels}}} {seconds:.6}"),
    }
}

/// A line of text; between quotes, those are escaped, too.
fn escape(text: &str, is_quoted: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if is_quoted { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped_and_times_are_seconds() {
        let labels = [("env", "a\"b\\c\nd".to_owned()), ("other", String::new())];
        assert_eq!(sample(&labels, 7.into()), r#"{env="a\"b\\c\nd",other=""} 7"#);
        assert_eq!(
            sample(&labels[1..], Value::time(1_700_000_000_250_000)),
            r#"{other=""} 1700000000.250000"#
        );
        assert_eq!(escape("say \"so\"\n", false), "say \"so\"\\n");
    }

    #[test]
    fn figures_of_one_name_stand_together() {
        let mut families = Families::default();
        for env in ["a", "b"] {
            families.add("one", "One.", &[("env", env)], 1);
            families.add("two", "Two.", &[("env", env)], 2);
        }
        let names: Vec<_> = families.families.iter().map(|family| &*family.name).collect();
        assert_eq!(names, ["one", "two"]);
        assert!(families.families.iter().all(|family| family.samples.len() == 2));
    }
}
