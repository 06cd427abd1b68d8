//! The rows of a table, in an order that does not depend on the file.

use std::cmp::Ordering;

use cairn_log::Digest;
use cairn_rdb::{
    TransferError,
    rusqlite::{Connection, Row as SqlRow, Rows, types::ValueRef},
};

use crate::{BackupResult, sql_text};

/// What tells the rows of a table from each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RowKey {
    /// Their number, by a name that no column has.
    Rowid(&'static str),
    /// The columns of the primary key of a table that has no numbers.
    Primary(Vec<String>),
    /// Nothing that both sides have: all of it.
    All,
}

/// What is read of a table, and in which order.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    pub(super) table: String,
    pub(super) key: RowKey,
    /// The columns that are compared.
    pub(super) columns: Vec<String>,
}

/// A row: what tells it from others, and the digest of all that is read of it.
pub(super) struct Row {
    pub(super) key: Vec<Part>,
    pub(super) digest: Digest,
    pub(super) bytes: u64,
}

/// A value of a key. What claims to be text may be none, and has its order all the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
}

impl From<ValueRef<'_>> for Part {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(number) => Self::Integer(number),
            ValueRef::Real(number) => Self::Real(number),
            ValueRef::Text(text) => Self::Text(text.to_vec()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl Part {
    pub(super) fn show(&self) -> String {
        sql_text::show(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        })
    }
}

impl Reading {
    fn key_columns(&self) -> Vec<String> {
        match &self.key {
            RowKey::Rowid(name) => vec![(*name).to_owned()],
            RowKey::Primary(columns) => columns.iter().map(|name| sql_text::quoted(name)).collect(),
            RowKey::All => self.columns.iter().map(|name| sql_text::quoted(name)).collect(),
        }
    }

    /// The query, and how many of its columns are the key.
    pub(super) fn sql(&self) -> (String, usize) {
        let key = self.key_columns();
        let by_bytes = |column: &String| match self.key {
            RowKey::Rowid(_) => column.clone(),
            // Whatever order a column has of its own: here one is needed that is known.
            RowKey::Primary(_) | RowKey::All => format!("{column} COLLATE BINARY"),
        };
        let order: Vec<_> = key.iter().map(by_bytes).collect();
        let rest = match self.key {
            RowKey::All => Vec::new(),
            _ => self.columns.iter().map(|name| sql_text::quoted(name)).collect(),
        };
        let all: Vec<_> = key.iter().chain(&rest).cloned().collect();
        let sql = match all.is_empty() {
            // Rows of which both sides have nothing in common are counted.
            true => format!("SELECT 0 FROM main.{}", sql_text::quoted(&self.table)),
            false => format!(
                "SELECT {} FROM main.{} ORDER BY {}",
                all.join(", "),
                sql_text::quoted(&self.table),
                order.join(", ")
            ),
        };
        (sql, key.len())
    }
}

/// The next row, if there is one.
pub(super) fn next(rows: Option<&mut Rows<'_>>, key: usize) -> BackupResult<Option<Row>> {
    let Some(rows) = rows else { return Ok(None) };
    let row = rows.next().map_err(TransferError::from)?;
    let row = row.map(|row| read(row, key)).transpose();
    Ok(row.map_err(TransferError::from)?)
}

fn read(row: &SqlRow<'_>, of_key: usize) -> cairn_rdb::rusqlite::Result<Row> {
    let columns = row.as_ref().column_count();
    let key = (0..of_key.min(columns)).map(|n| Ok(row.get_ref(n)?.into()));
    let key = key.collect::<cairn_rdb::rusqlite::Result<Vec<_>>>()?;
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
    for n in 0..columns {
        let value = row.get_ref(n)?;
        let (sort, content): (u8, &[u8]) = match value {
            ValueRef::Null => (0, &[]),
            ValueRef::Integer(number) => (1, &number.to_le_bytes()),
            ValueRef::Real(number) => (2, &number.to_bits().to_le_bytes()),
            ValueRef::Text(text) => (3, text),
            ValueRef::Blob(blob) => (4, blob),
        };
        bytes += content.len() as u64;
        hasher.update(&[sort]);
        hasher.update(&(content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    Ok(Row { key, digest: Digest(*hasher.finalize().as_bytes()), bytes })
}

/// How a file has its texts, on which their order depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    pub(super) fn of(connection: &Connection) -> cairn_rdb::rusqlite::Result<Self> {
        let name: String = connection.pragma_query_value(None, "encoding", |row| row.get(0))?;
        Ok(match &*name {
            "UTF-16le" => Self::Utf16Le,
            "UTF-16be" => Self::Utf16Be,
            _ => Self::Utf8,
        })
    }

    fn text(self, one: &[u8], other: &[u8]) -> Ordering {
        let units = |text: &[u8], bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            String::from_utf8_lossy(text).encode_utf16().flat_map(bytes).collect()
        };
        match self {
            Self::Utf8 => one.cmp(other),
            Self::Utf16Le => units(one, u16::to_le_bytes).cmp(&units(other, u16::to_le_bytes)),
            Self::Utf16Be => units(one, u16::to_be_bytes).cmp(&units(other, u16::to_be_bytes)),
        }
    }

    /// The order in which SQLite gives rows with these keys.
    pub(super) fn order(self, one: &[Part], other: &[Part]) -> Ordering {
        let pairs = one.iter().zip(other);
        let mut orders = pairs.map(|(one, other)| self.values(one, other));
        orders.find(|order| *order != Ordering::Equal).unwrap_or(Ordering::Equal)
    }

    fn values(self, one: &Part, other: &Part) -> Ordering {
        const fn rank(value: &Part) -> u8 {
            match value {
                Part::Null => 0,
                Part::Integer(_) | Part::Real(_) => 1,
                Part::Text(_) => 2,
                Part::Blob(_) => 3,
            }
        }
        match (one, other) {
            (Part::Integer(one), Part::Integer(other)) => one.cmp(other),
            (Part::Real(one), Part::Real(other)) => {
                one.partial_cmp(other).unwrap_or(Ordering::Equal) // SQLite stores no NaN
            }
            (Part::Integer(one), Part::Real(other)) => mixed(*one, *other),
            (Part::Real(one), Part::Integer(other)) => mixed(*other, *one).reverse(),
            (Part::Text(one), Part::Text(other)) => self.text(one, other),
            (Part::Blob(one), Part::Blob(other)) => one.cmp(other),
            (one, other) => rank(one).cmp(&rank(other)),
        }
    }
}

/// A whole number beside another one, exactly.
fn mixed(whole: i64, real: f64) -> Ordering {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0; // 2^63
    if real >= LIMIT {
        return Ordering::Less;
    }
    if real < -LIMIT {
        return Ordering::Greater;
    }
    #[expect(clippy::cast_possible_truncation, reason = "it is in the range of whole numbers")]
    let floor = real.floor() as i64;
    let is_between = real > real.floor();
    match whole.cmp(&floor) {
        Ordering::Equal if is_between => Ordering::Less,
        order => order,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite itself says in which order it gives them.
    #[test]
    fn values_are_in_the_order_in_which_sqlite_gives_them() {
        let values = [
            "NULL",
            "0",
            "-7",
            "7",
            "7.5",
            "-0.5",
            "6.999999999999999",
            "9223372036854775807",
            "-9223372036854775808",
            "9223372036854775808.0",
            "-9223372036854777856.0",
            "9007199254740993",
            "9007199254740992.0",
            "1e300",
            "-1e300",
            "''",
            "'a'",
            "'B'",
            "'aa'",
            "'ﬀ'",
            "'𐐀'",
            "'ÿ'",
            "x''",
            "x'00'",
            "x'ff'",
        ];
        for (name, encoding) in [
            ("UTF-8", Encoding::Utf8),
            ("UTF-16le", Encoding::Utf16Le),
            ("UTF-16be", Encoding::Utf16Be),
        ] {
            let connection = Connection::open_in_memory().unwrap();
            connection.pragma_update(None, "encoding", name).unwrap();
            connection.execute_batch("CREATE TABLE t(v)").unwrap();
            assert_eq!(Encoding::of(&connection).unwrap(), encoding);
            for value in values {
                connection.execute(&format!("INSERT INTO t VALUES ({value})"), []).unwrap();
            }
            let sql = "SELECT v FROM t ORDER BY v COLLATE BINARY";
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| Ok(row.get_ref(0)?.into())).unwrap();
            let sorted: Vec<Part> = rows.map(Result::unwrap).collect();
            assert_eq!(sorted.len(), values.len());
            for pair in sorted.windows(2) {
                assert_eq!(encoding.values(&pair[0], &pair[1]), Ordering::Less, "{name} {pair:?}");
                assert_eq!(encoding.values(&pair[1], &pair[0]), Ordering::Greater, "{pair:?}");
                assert_eq!(encoding.values(&pair[0], &pair[0]), Ordering::Equal, "{pair:?}");
            }
        }
    }
}
