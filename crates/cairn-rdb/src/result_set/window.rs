//! `Window`: rows that follow each other, as many as memory allows.

use std::collections::VecDeque;

use crate::{Row, Value};

/// Rows are kept until they have about so many bytes. One that is larger is kept alone.
pub(super) const MAX_BYTES: usize = 2 << 20;

/// Some of the rows of a result.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// The number of the first one.
    start: u64,
    rows: VecDeque<Row>,
    bytes: usize,
}

impl Window {
    /// Puts a row behind the last one. Rows before the row `kept` may go for it.
    pub(super) fn push(&mut self, row: Row, kept: u64) {
        self.bytes += size(&row);
        self.rows.push_back(row);
        while self.bytes > MAX_BYTES && self.rows.len() > 1 && self.start < kept {
            if let Some(gone) = self.rows.pop_front() {
                self.bytes -= size(&gone);
                self.start += 1;
            }
        }
    }

    /// A row, by its number.
    pub(super) fn row(&self, number: u64) -> Option<&Row> {
        let at = usize::try_from(number.checked_sub(self.start)?).ok()?;
        self.rows.get(at)
    }

    /// Whether a row was here and has gone.
    pub(super) const fn is_past(&self, number: u64) -> bool {
        number < self.start
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

fn size(row: &Row) -> usize {
    size_of::<Row>() + row.values().iter().map(Value::size_bytes).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bytes: usize) -> Row {
        Row::new(["b".into()].into(), vec![Value::from(vec![0; bytes])])
    }

    #[test]
    fn rows_go_for_others_but_not_those_that_are_kept() {
        let mut window = Window::default();
        for number in 0..10 {
            window.push(row(MAX_BYTES / 4), number);
        }
        assert!(window.row(9).is_some() && window.row(7).is_some() && window.row(6).is_none());
        assert!(window.is_past(6) && !window.is_past(7) && !window.is_past(10));
        window.push(row(2 * MAX_BYTES), 9);
        assert!(window.row(9).is_some() && window.row(10).is_some() && window.row(8).is_none());
        window.push(row(0), 11);
        assert!(window.row(11).is_some() && window.row(10).is_none());
        assert!(window.bytes < 1000);
        window.clear();
        assert!(window.row(0).is_none() && !window.is_past(0));
    }
}
