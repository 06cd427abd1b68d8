//! The commands: one file each, with its arguments, its help and its JSON.

mod archive;
mod backup;
mod backups;
mod checkpoint;
mod clean;
mod compare;
mod compression;
mod drill;
mod drop;
mod entries;
mod export;
mod find_last;
mod heal;
mod history;
pub(crate) mod import;
mod info;
mod init;
mod key;
mod kv;
mod log;
mod mark;
mod metrics;
mod pace;
mod prove;
mod prune;
mod rekey;
mod repair;
mod replica;
mod repo;
mod repo_check;
mod repo_keys;
mod report;
mod restore;
mod restore_one;
mod salvage;
mod scrub;
mod shell;
mod ship;
mod sql;
mod standby;
mod stats;
mod tree;
mod trouble;
mod verify;

use std::path::PathBuf;

use clap::{Parser, Subcommand, error::ErrorKind};

use crate::{
    Outcome,
    exit::{Exit, Failure},
    log_option::LogLevel,
    output::Output,
    tour,
};

const CODES: &str = "\
Exit codes:
  0  good
  1  something was found to be wrong, or what was asked for is not there
  2  the call was wrong: an option, a path without an environment, input that makes no sense
  3  files are damaged, missing, foreign, or of a newer version
  4  another process has the environment open
  5  the disk failed, is full, or may not be used

An environment is a directory. `cairn init data` creates one; `cairn tour` shows in a minute
what one survives. With --json, every command prints one JSON object per line; its members
are described in docs/cli.md. With --log error, warn, info or debug (or CAIRN_LOG), what happens
inside is told on standard error.";

/// Look after CairnDB environments: an embedded database whose data can always be brought back
#[derive(Parser)]
#[command(name = "cairn", version, after_help = CODES)]
pub(crate) struct Cli {
    /// Print JSON for programs, one object per line, errors too
    #[arg(long, global = true)]
    json: bool,
    /// Open an environment that is written with its replica in this directory
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    pub(crate) with_replica: Option<PathBuf>,
    /// Tell on standard error what happens inside
    #[arg(long, global = true, hide = true, value_name = "LEVEL")]
    pub(crate) log: Option<LogLevel>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    Tour(tour::Tour),
    Init(init::Init),
    Put(entries::Put),
    Get(entries::Get),
    Delete(entries::Delete),
    Drop(drop::DropDatabase),
    Scan(entries::Scan),
    Import(import::Import),
    Export(export::Export),
    Info(info::Info),
    Stats(stats::StatsCommand),
    Metrics(metrics::Metrics),
    Tree(tree::Tree),
    Verify(verify::Verify),
    Scrub(scrub::Scrub),
    Heal(heal::Heal),
    Log(log::Log),
    Mark(mark::Mark),
    Marks(mark::Marks),
    History(history::History),
    Checkpoint(checkpoint::Checkpoint),
    Clean(clean::Clean),
    Compact(clean::Compact),
    Backup(backup::Backup),
    Backups(backups::Backups),
    Prove(prove::Prove),
    Drill(drill::DrillCommand),
    Diff(compare::Diff),
    FindLast(find_last::FindLast),
    Prune(prune::Prune),
    Unprune(prune::Unprune),
    Restore(restore::Restore),
    Archive(archive::Archive),
    Repair(repair::Repair),
    Salvage(salvage::Salvage),
    Repo(repo::Repo),
    Report(report::Report),
    Ship(ship::Ship),
    Replica(replica::Replica),
    Standby(standby::Standby),
    Key(key::Key),
    Kv(kv::Kv),
    Sql(sql::Sql),
    Rekey(rekey::Rekey),
    Completions(shell::Completions),
    Man(shell::Man),
    #[command(hide = true)]
    TourWriter(tour::TourWriter),
}

impl Command {
    pub(crate) fn run(self, output: &mut Output) -> Outcome {
        match self {
            Self::Tour(command) => command.run(output),
            Self::Init(command) => command.run(output),
            Self::Put(command) => command.run(output),
            Self::Get(command) => command.run(output),
            Self::Delete(command) => command.run(output),
            Self::Drop(command) => command.run(output),
            Self::Scan(command) => command.run(output),
            Self::Import(command) => command.run(output),
            Self::Export(command) => command.run(output),
            Self::Info(command) => command.run(output),
            Self::Stats(command) => command.run(output),
            Self::Metrics(command) => command.run(output),
            Self::Tree(command) => command.run(output),
            Self::Verify(command) => command.run(output),
            Self::Scrub(command) => command.run(output),
            Self::Heal(command) => command.run(output),
            Self::Log(command) => command.run(output),
            Self::Mark(command) => command.run(output),
            Self::Marks(command) => command.run(output),
            Self::History(command) => command.run(output),
            Self::Checkpoint(command) => command.run(output),
            Self::Clean(command) => command.run(output),
            Self::Compact(command) => command.run(output),
            Self::Backup(command) => command.run(output),
            Self::Backups(command) => command.run(output),
            Self::Prove(command) => command.run(output),
            Self::Drill(command) => command.run(output),
            Self::Diff(command) => command.run(output),
            Self::FindLast(command) => command.run(output),
            Self::Prune(command) => command.run(output),
            Self::Unprune(command) => command.run(output),
            Self::Restore(command) => command.run(output),
            Self::Archive(command) => command.run(output),
            Self::Repair(command) => command.run(output),
            Self::Salvage(command) => command.run(output),
            Self::Repo(command) => command.run(output),
            Self::Report(command) => command.run(output),
            Self::Ship(command) => command.run(output),
            Self::Replica(command) => command.run(output),
            Self::Standby(command) => command.run(output),
            Self::Key(command) => command.run(output),
            Self::Kv(command) => command.run(output),
            Self::Sql(command) => command.run(output),
            Self::Rekey(command) => command.run(output),
            Self::Completions(command) => command.run(output),
            Self::Man(command) => command.run(output),
            Self::TourWriter(command) => command.run(output),
        }
    }
}

/// What `clap` has to say: help that was asked for, or what is wrong with the call.
pub(crate) fn help_or_usage(error: &clap::Error, output: &mut Output) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Help is for people, also for those who add it to a command of a program.
            let text = error.render().to_string();
            std::io::Write::write_all(output.raw(), text.as_bytes())
                .map_err(|error| Failure::output(&error))?;
            Ok(Exit::Good)
        }
        _ if output.is_json() => {
            let text = error.render().to_string();
            let first = text.lines().next().unwrap_or_default();
            Err(Failure::usage(first.strip_prefix("error: ").unwrap_or(first)))
        }
        _ => {
            output.complain(format_args!("{}", error.render().to_string().trim_end()));
            Ok(Exit::Usage)
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent_and_each_help_has_an_example() {
        let mut cli = Cli::command();
        cli.clone().debug_assert();
        for command in cli.get_subcommands_mut().filter(|command| !command.is_hide_set()) {
            let name = command.get_name().to_owned();
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("\n  cairn {name}")), "{name} has no example");
            for line in help.lines() {
                assert!(line.chars().count() <= 100, "{name}: {line}");
            }
        }
    }
}
