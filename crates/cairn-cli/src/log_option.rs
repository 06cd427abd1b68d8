//! `--log`: what the library tells to `tracing`, line by line on standard error.
//!
//! `docs/events.md` lists it. Lines are for people (`TIME LEVEL TARGET: MESSAGE field=value`), with `--json` for programs.

use std::{
    env,
    fmt::{self, Write as _},
    io::{self, Write as _},
};

use clap::ValueEnum;
use serde_json::{Map, Value};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
};

use crate::exit::Failure;

/// Where the level comes from without the option.
const VARIABLE: &str = "CAIRN_LOG";

/// How much is told.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl LogLevel {
    const fn filter(self) -> LevelFilter {
        match self {
            Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
        }
    }
}

/// From now on events are printed, if the option or the variable says so.
pub(crate) fn begin(option: Option<LogLevel>, json: bool) -> Result<(), Failure> {
    let level = match (option, env::var(VARIABLE)) {
        (Some(level), _) => level,
        (None, Ok(text)) if !text.is_empty() => LogLevel::from_str(&text, true).map_err(|_| {
            let what = format!("{VARIABLE} is {text:?}");
            Failure::usage(what).advise("it is error, warn, info or debug")
        })?,
        (None, _) => return Ok(()),
    };
    // Of a program that has a subscriber of its own, that one stays.
    tracing::subscriber::set_global_default(Printer { most: level.filter(), json })
        .unwrap_or_default();
    Ok(())
}

struct Printer {
    most: LevelFilter,
    json: bool,
}

impl Subscriber for Printer {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most && metadata.target().starts_with("cairn::")
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1) // nothing is printed of spans
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let (time, metadata) = (jiff::Timestamp::now(), event.metadata());
        let line = match self.json {
            true => fields.json(&time, metadata),
            false => fields.text(&time, metadata),
        };
        // Whether anybody listens does not matter.
        writeln!(io::stderr(), "{line}").unwrap_or_default();
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Fields {
    fn text(&self, time: &jiff::Timestamp, metadata: &Metadata<'_>) -> String {
        let (level, target) = (metadata.level(), metadata.target());
        let mut line = format!("{time:.3} {level:5} {target}: {}", self.message);
        for (name, value) in &self.others {
            let written = match value {
                Value::String(text) if !text.contains([' ', '"', '=']) => {
                    write!(line, " {name}={text}")
                }
                value => write!(line, " {name}={value}"),
            };
            written.expect("a string takes what is written to it");
        }
        line
    }

    fn json(self, time: &jiff::Timestamp, metadata: &Metadata<'_>) -> String {
        let mut object = Map::new();
        object.insert("time".into(), format!("{time:.3}").into());
        object.insert("level".into(), metadata.level().as_str().into());
        object.insert("target".into(), metadata.target().into());
        object.insert("message".into(), self.message.into());
        object.insert("fields".into(), self.others.into());
        Value::Object(object).to_string()
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message = format!("{value:?}"),
            name => drop(self.others.insert(name.into(), format!("{value:?}").into())),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.insert(field.name().into(), value.into());
    }
}
