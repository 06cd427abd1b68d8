//! `Lines`: the lines of a text, counted, and none longer than an entry can be.

use std::io::{BufRead, Read};

use super::{MAX_TEXT_LEN, Text, cannot_read};
use crate::exit::Failure;

/// The lines of a text.
pub(super) struct Lines {
    text: Text,
    line: Vec<u8>,
    number: u64,
    bytes: u64,
}

impl Lines {
    pub(super) fn new(text: Text) -> Self {
        Self { text, line: Vec::new(), number: 0, bytes: 0 }
    }

    /// The next line, without its end.
    pub(super) fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        self.line.clear();
        let mut limited = (&mut self.text.input).take(MAX_TEXT_LEN);
        let read = limited
            .read_until(b'\n', &mut self.line)
            .map_err(|error| cannot_read(self.text.name.as_ref(), &error))?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read as u64;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
        } else if read as u64 == MAX_TEXT_LEN {
            return Err(self.wrong(format_args!("it is longer than any entry can be")));
        }
        Ok(Some(&self.line))
    }

    /// The last line.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The number of the last line.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Where the last line stands.
    pub(super) fn place(&self) -> String {
        format!("{}, line {}", self.text.name, self.number)
    }

    /// The failure of a line that makes no sense.
    pub(super) fn wrong(&self, what: std::fmt::Arguments<'_>) -> Failure {
        Failure::usage(what).at(self.place()).advise("correct the input, or say its --format")
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.bytes
    }

    pub(super) fn bytes_total(&self) -> Option<u64> {
        self.text.total
    }
}
