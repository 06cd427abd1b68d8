//! The ledger: what a hunt has come to so far, in a file, so that one that was stopped goes on.
//!
//! It belongs to the program that wrote it: with any change of the engine or of a rig it begins anew.
//! Plants that were missed are not in it: they are hunted again.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::{
    Plant,
    hunt::{Found, Hunt},
};

/// The lines of the file by the numbers of the plants; 0 is the engine without any.
#[derive(Debug)]
pub(super) struct Ledger {
    path: PathBuf,
    program: String,
    lines: Mutex<BTreeMap<u32, String>>,
}

impl Ledger {
    /// Reads the ledger at `path`, unless another program wrote it.
    pub(super) fn open(path: &Path, program: String) -> io::Result<Self> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error),
        };
        let mut lines = text.lines();
        let is_ours = lines.next() == Some(&*program);
        let lines = lines.filter(|_| is_ours).filter_map(|line| {
            let number = line.split('\t').next()?.parse().ok()?;
            Some((number, line.to_owned()))
        });
        let lines = Mutex::new(lines.collect());
        Ok(Self { path: path.to_owned(), program, lines })
    }

    /// What became of a plant, if it was found; or of the engine without any, if nobody complained.
    pub(super) fn find(&self, plant: Option<&'static Plant>) -> Option<Hunt> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.get(&plant.map_or(0, |plant| plant.number))?;
        let mut columns = line.splitn(4, '\t').skip(1);
        let millis = columns.next()?.parse().ok()?;
        let found = match (columns.next(), columns.next()) {
            (Some(rig), Some(how)) => Some(Found { rig: rig.to_owned(), how: how.to_owned() }),
            _ => None,
        };
        let is_settled = plant.is_some() == found.is_some();
        is_settled.then_some(Hunt { plant, found, time: Duration::from_millis(millis) })
    }

    /// Takes note of what need not be hunted again.
    pub(super) fn note(&self, hunt: &Hunt) -> io::Result<()> {
        if hunt.plant.is_some() != hunt.found.is_some() {
            return Ok(());
        }
        let number = hunt.plant.map_or(0, |plant| plant.number);
        let mut line = format!("{number}\t{}", hunt.time.as_millis());
        if let Some(Found { rig, how }) = &hunt.found {
            line += &format!("\t{rig}\t{}", how.replace(['\t', '\n'], " "));
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.insert(number, line);
        let mut text = format!("{}\n", self.program);
        for line in lines.values() {
            text += &format!("{line}\n");
        }
        // Whoever is stopped in the middle of this loses lines: those plants are hunted again.
        fs::write(&self.path, text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunt(number: u32, found: Option<&str>) -> Hunt {
        let found = found.map(|how| Found { rig: "crash".to_owned(), how: how.to_owned() });
        Hunt { plant: Plant::find(number), found, time: Duration::from_millis(1500) }
    }

    #[test]
    fn what_was_found_is_known_to_the_same_program_only_and_what_was_missed_to_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path, "one".to_owned()).unwrap();
        ledger.note(&hunt(7, Some("LOST: 3\tof 5"))).unwrap();
        ledger.note(&hunt(8, None)).unwrap();
        ledger.note(&hunt(0, None)).unwrap();
        let again = Ledger::open(&path, "one".to_owned()).unwrap();
        let known = again.find(Plant::find(7)).unwrap();
        assert_eq!(known.found.unwrap().how, "LOST: 3 of 5");
        assert_eq!(known.time, Duration::from_millis(1500));
        assert!(again.find(Plant::find(8)).is_none() && again.find(None).is_some());
        assert!(Ledger::open(&path, "two".to_owned()).unwrap().find(Plant::find(7)).is_none());
    }

    #[test]
    fn a_false_alarm_is_not_passed_over_the_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&folder.path().join("ledger"), "one".to_owned()).unwrap();
        ledger.note(&hunt(0, Some("LOST"))).unwrap();
        assert!(ledger.find(None).is_none());
    }
}
