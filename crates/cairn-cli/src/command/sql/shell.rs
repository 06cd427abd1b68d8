//! The shell: statements from whoever types, or from standard input.

use std::{io::BufRead, path::PathBuf};

use cairndb::sql::{
    is_complete,
    rusqlite::{self, Connection},
};
use rustyline::{DefaultEditor, error::ReadlineError};

use super::{
    print::Style,
    query::{self, is_typed},
};
use crate::{
    Outcome,
    exit::{Exit, Failure},
    output::Output,
};

const HELP: &str = "\
Statements end with `;`. Commands:
  .tables      the names of tables and views
  .schema      the statements that made them
  .mode csv    print rows as comma-separated values; .mode table as a table
  .quit        leave (so does Ctrl-D)";

/// What a command of the shell asks for.
pub(super) fn sql_of(command: &str) -> Option<&'static str> {
    match command.trim() {
        "tables" => Some(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' \
             ORDER BY name",
        ),
        "schema" => Some("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"),
        _ => None,
    }
}

/// Lines, from a terminal with what was typed before, or from standard input.
enum Lines {
    Typed(Box<DefaultEditor>, Option<PathBuf>),
    Read(std::io::Lines<std::io::StdinLock<'static>>),
}

impl Lines {
    fn new() -> Self {
        if is_typed()
            && let Ok(mut editor) = DefaultEditor::new()
        {
            let history =
                std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cairn_history"));
            if let Some(history) = &history {
                editor.load_history(history).unwrap_or_default(); // the first time there is none
            }
            return Self::Typed(Box::new(editor), history);
        }
        Self::Read(std::io::stdin().lock().lines())
    }

    /// The next line; `None` at the end.
    fn next(&mut self, is_continued: bool) -> Result<Option<String>, Failure> {
        match self {
            Self::Typed(editor, _) => {
                match editor.readline(if is_continued { "   ...> " } else { "cairn> " }) {
                    Ok(line) => Ok(Some(line)),
                    Err(ReadlineError::Interrupted) => Ok(Some(String::new())),
                    Err(_) => Ok(None),
                }
            }
            Self::Read(lines) => match lines.next().transpose() {
                Ok(line) => Ok(line),
                Err(error) => {
                    Err(Failure::io("read", std::path::Path::new("standard input"), &error))
                }
            },
        }
    }

    fn remember(&mut self, statement: &str) {
        if let Self::Typed(editor, _) = self {
            // What cannot be remembered has run all the same.
            editor.add_history_entry(statement.trim()).unwrap_or_default();
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Self::Typed(editor, Some(history)) = self {
            editor.save_history(history).unwrap_or_default();
        }
    }
}

/// Runs what comes until the end. Where somebody types, a statement that fails is told and the next one is
/// waited for; else it ends there.
pub(super) fn run(connection: &Connection, style: Style, output: &mut Output) -> Outcome {
    let (mut lines, mut style, mut statement) = (Lines::new(), style, String::new());
    if is_typed() {
        output.line(format_args!("SQLite {}; .help for help", rusqlite::version()))?;
    }
    loop {
        output.flush()?;
        let Some(line) = lines.next(!statement.trim().is_empty())? else { break };
        if statement.trim().is_empty()
            && let Some(command) = line.trim().strip_prefix('.')
        {
            match command.trim() {
                "quit" | "exit" => break,
                "help" => output.line(format_args!("{HELP}"))?,
                "mode csv" => style = Style::Csv,
                "mode table" => style = Style::Table,
                other => match sql_of(other) {
                    Some(sql) => query::run(connection, sql, style, output)?,
                    None => output
                        .complain(format_args!("error: no command .{other}; .help lists them")),
                },
            }
            continue;
        }
        statement += &line;
        statement.push('\n');
        if !is_complete(&statement) {
            continue;
        }
        let whole = std::mem::take(&mut statement);
        lines.remember(&whole);
        match query::run(connection, &whole, style, output) {
            Err(failure) if is_typed() => {
                failure.report(output);
            }
            other => other?,
        }
    }
    if !statement.trim().is_empty() {
        query::run(connection, &statement, style, output)?;
    }
    Ok(Exit::Good)
}
