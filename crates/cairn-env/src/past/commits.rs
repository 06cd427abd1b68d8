//! The commits in a journal file: where each stands, its number, its time, its label; not what it changes.

use cairn_log::{Damage, LogFile, Lsn, Record, RecordKind, Scan, Scanner, Stop};

use crate::{
    EnvResult,
    commit::{CommitRecord, Decoder, Op},
};

/// A commit as its record says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Commit<'a> {
    /// The record that makes it count.
    pub(crate) lsn: Lsn,
    /// Where that ends in its file.
    pub(crate) end: u64,
    pub(crate) sequence: u64,
    /// Microseconds since 1970; never less than that of an earlier commit.
    pub(crate) time: u64,
    /// Of a mark.
    pub(crate) label: Option<&'a str>,
}

/// Calls `each` for the commits of `file` whose records stand from `from` on and before `to`, until it answers
/// `false`. Returns where the whole records end; `None` if `each` has ended it.
pub(super) fn each_commit(
    file: &LogFile,
    from: u64,
    to: u64,
    each: &mut dyn FnMut(Commit<'_>) -> bool,
) -> EnvResult<Option<Stop>> {
    let mut scanner = Scanner::from(file, from, to);
    loop {
        let record = match scanner.next()? {
            Scan::Record(record) => record,
            Scan::End(stop) => return Ok(Some(stop)),
        };
        if let Some(commit) = commit_of(file, &record)?
            && !each(commit)
        {
            return Ok(None);
        }
    }
}

/// The commit that a record makes count, if it is such a record.
pub(crate) fn commit_of<'a>(file: &LogFile, record: &Record<'a>) -> EnvResult<Option<Commit<'a>>> {
    let Record { lsn, header, body } = *record;
    let malformed =
        |what| move |source| file.corrupt(lsn.offset(), Damage::Malformed { what, source });
    let (time, label) = match header.kind {
        RecordKind::TRANSACTION => {
            let mut decoder = Decoder::new(body).map_err(malformed("transaction"))?;
            let label = match decoder.next().map_err(malformed("transaction"))? {
                Some(Op::Mark { label }) => Some(label),
                _ => None,
            };
            (decoder.head, label)
        }
        RecordKind::COMMIT => (CommitRecord::decode(body).map_err(malformed("commit"))?.time, None),
        _ => return Ok(None),
    };
    let end = lsn.offset() + header.record_len();
    Ok(Some(Commit { lsn, end, sequence: header.sequence, time, label }))
}
