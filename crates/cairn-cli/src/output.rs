//! What a command prints: text for people or JSON for programs on standard output, everything else
//! on standard error.

use std::{
    fmt,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::exit::Failure;

/// Standard output of a command. A reader that has gone is a quiet failure: see [`Failure::output`].
pub(crate) struct Output {
    json: bool,
    out: BufWriter<StdoutLock<'static>>,
    /// The replica with which an environment that is written is opened: said once, for whatever command.
    replica: Option<PathBuf>,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        let out = BufWriter::with_capacity(1 << 16, io::stdout().lock());
        Self { json, out, replica: None }
    }

    /// Commands that write open the environment with this replica.
    pub(crate) fn take_replica(&mut self, replica: Option<PathBuf>) {
        self.replica = replica;
    }

    /// The replica with which commands that write open the environment.
    pub(crate) fn replica(&self) -> Option<&Path> {
        self.replica.as_deref()
    }

    /// Whether programs read this.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether people read this, at a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        !self.json && io::stdout().is_terminal()
    }

    /// Prints a line for people; nothing where programs read.
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        writeln!(self.out, "{line}").map_err(|error| Failure::output(&error))
    }

    /// Prints a heading: bold at a terminal.
    pub(crate) fn heading(&mut self, line: fmt::Arguments<'_>) -> Result<(), Failure> {
        if self.is_terminal() && std::env::var_os("NO_COLOR").is_none() {
            self.line(format_args!("\x1b[1m{line}\x1b[0m"))
        } else {
            self.line(line)
        }
    }

    /// Prints an object for programs, on a line of its own; nothing where people read.
    pub(crate) fn json(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        if !self.json {
            return Ok(());
        }
        let printed = serde_json::to_writer(&mut self.out, object).map_err(io::Error::from);
        let printed = printed.and_then(|()| self.out.write_all(b"\n"));
        printed.map_err(|error| Failure::output(&error))
    }

    /// As [`Output::json`], and it has left this process when this returns.
    pub(crate) fn event(&mut self, object: &impl Serialize) -> Result<(), Failure> {
        self.json(object)?;
        if self.json { self.flush() } else { Ok(()) }
    }

    /// Standard output itself, for content.
    pub(crate) fn raw(&mut self) -> &mut impl Write {
        &mut self.out
    }

    /// Lets everything leave this process.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| Failure::output(&error))
    }

    /// Says something on standard error, whoever reads standard output. Whether anybody listens does
    /// not matter.
    pub(crate) fn complain(&self, lines: fmt::Arguments<'_>) {
        writeln!(io::stderr(), "{lines}").unwrap_or_default();
    }

    /// As [`Output::complain`], for what is worth knowing but no failure; not where programs read.
    pub(crate) fn note(&self, line: fmt::Arguments<'_>) {
        if !self.json {
            self.complain(format_args!("note: {line}"));
        }
    }
}
