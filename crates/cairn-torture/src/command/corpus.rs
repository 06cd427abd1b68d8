//! `corpus`: the inputs that fuzzing begins with.

use std::path::PathBuf;

use cairn_torture::fuzz;

use super::{Result, Verdict};

#[derive(clap::Args)]
pub(crate) struct Corpus {
    /// The directory, which gets one directory for each target
    #[arg(default_value = "fuzz/corpus")]
    dir: PathBuf,
}

impl Corpus {
    /// Writes the corpus; what fuzzers have added stays.
    pub(super) fn run(&self) -> Result {
        let seeds = fuzz::corpus().map_err(|problem| problem.to_string())?;
        for seed in &seeds {
            let dir = self.dir.join(seed.target);
            std::fs::create_dir_all(&dir)?;
            std::fs::write(dir.join(&seed.name), &seed.bytes)?;
        }
        let bytes: usize = seeds.iter().map(|seed| seed.bytes.len()).sum();
        println!("{} inputs, {bytes} bytes in {}", seeds.len(), self.dir.display());
        Ok(Verdict::plain(true))
    }
}
