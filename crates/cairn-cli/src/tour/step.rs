//! The steps of the tour: their names, and how each one tells what it did or why it failed.

use std::{
    fmt,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{exit::Failure, output::Output, text::seconds};

/// A step of the tour. The descriptions say what `--sabotage` does to it: the data is broken, or
/// the damage taken back, and the check that follows has to notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Step {
    /// A foreign file lies where the environment is to be created
    Create,
    /// One value is changed after the import
    Import,
    /// A bit of the finished backup is flipped
    Backup,
    /// One acknowledged entry of a writer is deleted
    Write,
    /// The disk loses the newest acknowledged commit of the killed process
    Kill,
    /// The flipped bits are put right before anybody looks
    Flip,
    /// The deleted files are put back before anybody looks
    Delete,
    /// A file of the backup is cut short before the restore
    Restore,
    /// One value is changed in the restored environment
    Prove,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// What a step did and measured: lines for people, figures for programs.
#[derive(Default)]
pub(super) struct Told {
    lines: Vec<String>,
    figures: Map<String, Value>,
}

impl Told {
    pub(super) fn line(mut self, line: impl Into<String>) -> Self {
        self.lines.push(line.into());
        self
    }

    pub(super) fn figure(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.figures.insert(name.into(), value.into());
        self
    }
}

#[derive(Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum StepJson {
    Step {
        step: Step,
        seconds: f64,
        #[serde(flatten)]
        figures: Map<String, Value>,
    },
    Failed {
        step: Step,
        sabotaged: bool,
        seconds: f64,
    },
}

/// Plays the steps one after the other, and tells of each.
pub(super) struct Stage<'a> {
    pub(super) output: &'a mut Output,
    sabotage: Option<Step>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(output: &'a mut Output, sabotage: Option<Step>) -> Self {
        Self { output, sabotage }
    }

    /// Plays a step; `play` learns whether it is to be sabotaged. A failure names the step.
    pub(super) fn play<T>(
        &mut self,
        step: Step,
        play: impl FnOnce(bool) -> Result<(T, Told), Failure>,
    ) -> Result<T, Failure> {
        let began = Instant::now();
        let sabotaged = self.sabotage == Some(step);
        let outcome = play(sabotaged);
        let elapsed = began.elapsed();
        match outcome {
            Ok((result, told)) => {
                self.tell(step, elapsed, told)?;
                if sabotaged {
                    return Err(Failure::check("it passed, although it had been sabotaged")
                        .at(format_args!("step {step}"))
                        .advise("the check of this step is worth nothing: please report it"));
                }
                Ok(result)
            }
            Err(failure) => {
                let seconds = elapsed.as_secs_f64();
                self.output.event(&StepJson::Failed { step, sabotaged, seconds })?;
                let failure = failure.at(format_args!("step {step}"));
                Err(if sabotaged {
                    failure.advise(format!(
                        "none needed: `--sabotage {step}` broke it on purpose, and it was noticed"
                    ))
                } else {
                    failure
                })
            }
        }
    }

    fn tell(&mut self, step: Step, elapsed: Duration, told: Told) -> Result<(), Failure> {
        let Told { lines, figures } = told;
        for (i, line) in lines.iter().enumerate() {
            if i == 0 {
                let time = seconds(elapsed);
                self.output.heading(format_args!("{step:<8} {line}  ({time})"))?;
            } else {
                self.output.line(format_args!("         {line}"))?;
            }
        }
        self.output.json(&StepJson::Step { step, seconds: elapsed.as_secs_f64(), figures })?;
        // A step may take seconds: who watches sees what was done so far.
        self.output.flush()
    }
}
