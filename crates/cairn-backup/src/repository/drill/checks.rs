//! `DrillCheck`: what else is to be so in what a drill has restored.

use std::{fmt, path::Path};

use cairn_env::Environment;

use crate::AlsoCheck;

/// A look at the directory of what was restored: `Err` says what is wrong.
pub type DirectoryCheck<'a> = &'a (dyn Fn(&Path) -> Result<(), String> + Send + Sync);

/// What else is to be so in what a drill has restored, by the user: what only an application knows.
#[derive(Clone)]
pub struct DrillCheck<'a> {
    name: String,
    kind: Kind<'a>,
}

#[derive(Clone)]
enum Kind<'a> {
    Environment(AlsoCheck<'a>),
    Directory(DirectoryCheck<'a>),
    #[cfg(feature = "sql")]
    Sql {
        file: String,
        query: String,
        row: String,
    },
}

impl<'a> DrillCheck<'a> {
    /// A look at the environment that was restored, open for reading and writing: nothing of it stays.
    #[must_use]
    pub fn environment(name: impl Into<String>, check: AlsoCheck<'a>) -> Self {
        Self { name: name.into(), kind: Kind::Environment(check) }
    }

    /// A look at the directory of the environment that was restored, which nobody has open then: a command, for example.
    /// What it does there does not stay either.
    #[must_use]
    pub fn directory(name: impl Into<String>, check: DirectoryCheck<'a>) -> Self {
        Self { name: name.into(), kind: Kind::Directory(check) }
    }

    /// A query of a SQL file, which is to give one row, and this one: its columns with `|` between them, a null as `NULL`,
    /// bytes in hexadecimal. It changes nothing: what would, fails.
    #[cfg(feature = "sql")]
    #[must_use]
    pub fn sql(file: impl Into<String>, query: impl Into<String>, row: impl Into<String>) -> Self {
        let (file, query, row) = (file.into(), query.into(), row.into());
        Self { name: format!("{file}: {query}"), kind: Kind::Sql { file, query, row } }
    }

    /// Whether it needs the environment to be closed.
    pub(super) const fn wants_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory(_))
    }

    /// What is wrong, if anything is.
    pub(super) fn look(&self, env: Option<&Environment>, path: &Path) -> Result<(), String> {
        let found = match (&self.kind, env) {
            (Kind::Directory(check), _) => check(path),
            (Kind::Environment(check), Some(env)) => check(env),
            #[cfg(feature = "sql")]
            (Kind::Sql { file, query, row }, Some(env)) => sql(env, file, query, row),
            _ => Err("the environment is not open".into()),
        };
        found.map_err(|what| format!("{}: {what}", self.name))
    }
}

impl fmt::Debug for DrillCheck<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DrillCheck({:?})", self.name)
    }
}

#[cfg(feature = "sql")]
fn sql(env: &Environment, file: &str, query: &str, expected: &str) -> Result<(), String> {
    use cairn_rdb::{Access, SqlFiles, SqliteConnections};

    use crate::sql_text;

    let there = SqlFiles::of(env).exists(file).map_err(|error| error.to_string())?;
    if !there {
        return Err("there is no such SQL file".into());
    }
    let rows = || {
        let connection = env.sqlite_connection(file, Access::ReadOnly)?;
        let mut statement = connection.prepare(query)?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        let (mut first, mut more) = (None, false);
        while let Some(row) = rows.next()? {
            if first.is_some() {
                more = true;
                break;
            }
            let texts = (0..columns).map(|n| Ok(sql_text::show(row.get_ref(n)?)));
            first = Some(texts.collect::<cairn_rdb::rusqlite::Result<Vec<_>>>()?.join("|"));
        }
        Ok((first, more))
    };
    match rows().map_err(|error: cairn_rdb::rusqlite::Error| error.to_string())? {
        (None, _) => Err(format!("no row came, not {expected}")),
        (Some(_), true) => Err("several rows came, and one was to".into()),
        (Some(row), false) if row != expected => Err(format!("{row} came, not {expected}")),
        (Some(_), false) => Ok(()),
    }
}
