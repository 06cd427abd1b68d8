//! The rig on the command line.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that reports")]

use std::{fs::OpenOptions, io::Write as _, path::PathBuf, process::ExitCode};

use cairn_schedules::{PROGRAMS, Plan, Program, RACES, Race};
use clap::Parser as _;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Small programs of threads on an environment, in thousands of orders that a seed decides
#[derive(clap::Parser)]
struct Args {
    /// 10,000 schedules, which is the default
    #[arg(long, conflicts_with = "full")]
    smoke: bool,
    /// 200,000 schedules
    #[arg(long)]
    full: bool,
    /// So many, of all programs together
    #[arg(long, conflicts_with_all = ["smoke", "full"])]
    schedules: Option<u64>,
    /// Only this program; may be repeated
    #[arg(long, value_name = "NAME")]
    program: Vec<String>,
    /// The first seed
    #[arg(long, value_parser = number, default_value = "1")]
    seed: u64,
    /// Run nothing; say what the programs do
    #[arg(long)]
    list: bool,
    /// Plant races in the engine, one after the other: each must be found
    #[arg(long)]
    planted: bool,
    /// How many schedulers run side by side
    #[arg(long)]
    threads: Option<usize>,
    /// Add what was counted to this file, each figure as a line of JSON
    #[arg(long, value_name = "FILE")]
    figures: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = if args.list {
        PROGRAMS.iter().for_each(|program| println!("{:12} {}", program.name, program.about));
        Ok(true)
    } else if args.planted {
        args.hunt()
    } else {
        args.explore()
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

impl Args {
    fn explore(&self) -> Result<bool> {
        let report = cairn_schedules::run(&self.plan(10_000)?)?;
        println!("{report}");
        self.add_figure("schedules of threads", report.schedules(), report.failures.len())?;
        Ok(report.is_good())
    }

    /// Whether each planted race is found.
    fn hunt(&self) -> Result<bool> {
        let plan = self.plan(4_000)?;
        let mut missed = 0;
        for race @ Race { number, about } in RACES {
            let found = race.hunt(&plan)?;
            missed += usize::from(found.is_none());
            match found {
                Some(failure) => println!("{number} {about:52} found: {failure}"),
                None => println!("{number} {about:52} MISSED"),
            }
        }
        self.add_figure("planted races found", (RACES.len() - missed) as u64, missed)?;
        Ok(missed == 0)
    }

    fn plan(&self, smoke: u64) -> Result<Plan> {
        let find = |name: &String| Program::find(name).ok_or(format!("no program `{name}`"));
        let programs = match self.program.is_empty() {
            true => PROGRAMS.iter().collect(),
            false => self.program.iter().map(find).collect::<std::result::Result<_, _>>()?,
        };
        let schedules = self.schedules.unwrap_or(if self.full { 200_000 } else { smoke });
        let parallel = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.unwrap_or_else(parallel);
        Ok(Plan { programs, schedules, seed: self.seed, threads })
    }

    #[expect(clippy::disallowed_methods, reason = "a report for people, not data of an engine")]
    fn add_figure(&self, name: &str, value: u64, wrong: usize) -> Result<()> {
        let Some(path) = &self.figures else { return Ok(()) };
        let mut file = OpenOptions::new().create(true).append(true).open(path)?;
        let seed = self.seed;
        writeln!(
            file,
            r#"{{"goal":"G15","name":"{name}","seed":"{seed:#x}","value":{value},"wrong":{wrong}}}"#
        )?;
        Ok(())
    }
}

/// A number, in decimal or after `0x`.
fn number(text: &str) -> std::result::Result<u64, std::num::ParseIntError> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
}
