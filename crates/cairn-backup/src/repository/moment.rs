//! Which points a restore may start from, and with which journal it goes on to its moment.

use cairn_env::RestoreTo;
use cairn_log::Uuid;

use super::{Repository, point::Point, restore::Which};
use crate::{BackupError, BackupResult, RestoreOptions};

/// A point, and what goes on from it.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) number: u64,
    pub(crate) point: Point,
    pub(crate) journal: GoesOn,
}

/// What goes on from a point.
#[derive(Debug)]
pub(crate) enum GoesOn {
    /// Its own journal, and that of the options if they have one.
    Itself,
    /// All that the repository has of its timeline.
    All,
    /// What it has up to the end of a later point.
    Until(Box<Point>),
}

impl Repository {
    /// The points that may lead to a moment, in the order in which they are tried: one is left only for a moment that
    /// is not in it.
    pub(crate) fn choose(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        options: &RestoreOptions<'_>,
    ) -> BackupResult<Vec<Chosen>> {
        let (number, point) = self.find(environment, which)?;
        let with = |number, point, journal| Chosen { number, point, journal };
        if options.journal.is_some() || options.journal_in.is_some() {
            return Ok(vec![with(number, point, GoesOn::Itself)]);
        }
        match (&options.to, which) {
            (RestoreTo::Newest, Which::Newest) => Ok(vec![with(number, point, GoesOn::All)]),
            (RestoreTo::Newest, _) => Ok(vec![with(number, point, GoesOn::Itself)]),
            // The latest mark of a label may be in what goes on.
            (RestoreTo::Label(_), Which::Number(_) | Which::Label(_)) => {
                Ok(vec![with(number, point, GoesOn::All)])
            }
            (_, Which::Number(_) | Which::Label(_)) => Ok(vec![
                with(number, point.clone(), GoesOn::Itself),
                with(number, point, GoesOn::All),
            ]),
            (RestoreTo::Commit(_) | RestoreTo::Time(_), Which::Newest) => {
                self.around(&options.to, (number, point))
            }
            _ => self.backwards((number, point)),
        }
    }

    /// The first point whose cut is not before a moment, alone; then the one before it, with the journal up to there.
    fn around(&self, to: &RestoreTo, newest: (u64, Point)) -> BackupResult<Vec<Chosen>> {
        let is_reached = |point: &Point| match to {
            RestoreTo::Commit(commit) => point.cut.commit >= *commit,
            RestoreTo::Time(time) => point.cut.time > *time,
            _ => true,
        };
        if !is_reached(&newest.1) {
            let (number, point) = newest;
            return Ok(vec![Chosen { number, point, journal: GoesOn::All }]);
        }
        let mut after = newest;
        let mut before = None;
        for (number, earlier) in self.before(&after)? {
            if !is_reached(&earlier) {
                before = Some((number, earlier));
                break;
            }
            after = (number, earlier);
        }
        let until = Box::new(after.1.clone());
        let mut chosen = vec![Chosen { number: after.0, point: after.1, journal: GoesOn::Itself }];
        chosen.extend(before.map(|(number, point)| {
            let journal = GoesOn::Until(until);
            Chosen { number, point, journal }
        }));
        Ok(chosen)
    }

    /// Each point of a timeline with the journal up to the next one, the newest first.
    fn backwards(&self, newest: (u64, Point)) -> BackupResult<Vec<Chosen>> {
        let mut later = newest.1.clone();
        let earlier = self.before(&newest)?;
        let (number, point) = newest;
        let mut chosen = vec![Chosen { number, point, journal: GoesOn::All }];
        for (number, point) in earlier {
            let until = std::mem::replace(&mut later, point.clone());
            chosen.push(Chosen { number, point, journal: GoesOn::Until(Box::new(until)) });
        }
        Ok(chosen)
    }

    /// The other points of the timeline of `newest`, from the newest to the oldest. One that cannot be read is left
    /// out: another one may do, and if none does, the moment is out of reach.
    fn before(&self, newest: &(u64, Point)) -> BackupResult<Vec<(u64, Point)>> {
        let cut = &newest.1.cut;
        let mut points = Vec::new();
        for number in self.store.numbers(cut.environment)?.into_iter().rev() {
            let point = match self.store.point(cut.environment, number) {
                Err(BackupError::Object(_)) => continue,
                read => read?.point,
            };
            if number != newest.0 && point.cut.timeline == cut.timeline {
                points.push((number, point));
            }
        }
        points.sort_by_key(|(number, point)| std::cmp::Reverse((point.cut.commit, *number)));
        Ok(points)
    }
}
