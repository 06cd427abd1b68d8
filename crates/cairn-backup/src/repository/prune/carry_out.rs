//! A plan is carried out: what goes is put into a tomb, can be taken back, and is deleted at last.

use std::collections::BTreeSet;

use cairn_env::EnvError;
use cairn_log::Uuid;

use super::{
    beside::is_busy,
    plan::PrunePlan,
    tombs::{Tomb, TombStage, Tombs},
};
use crate::{
    BackupError, BackupResult,
    repository::{
        Repository,
        frames::Damaged,
        names::{Folder, ObjectName, PartName},
    },
    tell,
};

/// How often a tomb is closed again because somebody has stored a point meanwhile.
const TRIES: u32 = 16;

/// What was deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Deleted {
    /// The tombs that are gone.
    pub tombs: Vec<u64>,
    /// How many points were in them.
    pub points: u64,
    /// How many segments were deleted.
    pub segments: u64,
    /// How many objects with bytes of log files were deleted.
    pub objects: u64,
    /// The bytes of these.
    pub bytes: u64,
    /// How many objects of the tombs stay, because points need them that came after the plan.
    pub spared: u64,
}

impl Repository {
    /// Puts into a tomb what a plan says: its points are not listed any more, and can be [taken back](Self::take_back)
    /// until the grace of the plan has ended. Returns the tomb, or nothing if nothing goes.
    ///
    /// # Errors
    /// [`BackupError::PruneRefused`]; of the kind `Busy` if somebody else has removed anything since the plan was made; if
    /// the place fails.
    pub fn prune(&self, plan: &PrunePlan) -> BackupResult<Option<Tomb>> {
        if !plan.refusals.is_empty() {
            let (place, refusals) = (self.store.backend.place(), plan.refusals.clone());
            return Err(BackupError::PruneRefused { place, refusals });
        }
        self.check_writable()?;
        if plan.is_empty() {
            return Ok(None);
        }
        let mut next = self.next_tombs(&plan.tombs);
        next.tombs.push(plan.tomb.clone());
        self.store.put_tombs(plan.environment, next)?;
        let (tomb, place) = (&plan.tomb, tell::display(self.store.backend.place()));
        let (points, parts) = (tomb.points.len() as u64, tomb.parts.len() as u64);
        tell::pruned(place, points, parts, tomb.bytes());
        Ok(Some(tomb.clone()))
    }

    /// The tombs of an environment: what is about to be deleted.
    ///
    /// # Errors
    /// [`BackupError::SeveralEnvironments`], [`BackupError::NoPoint`] if there is nothing of it; if the place fails.
    pub fn tombs(&self, environment: Option<Uuid>) -> BackupResult<Vec<Tomb>> {
        let environment = self.environment(environment)?;
        Ok(self.store.readable_tombs(environment)?.tombs)
    }

    /// Takes a tomb back, or all that can be: its points are listed again. Returns which ones.
    ///
    /// # Errors
    /// [`BackupError::NoPoint`] if there is no such tomb any more of which nothing was deleted; if the place fails.
    pub fn take_back(
        &self,
        environment: Option<Uuid>,
        tomb: Option<u64>,
    ) -> BackupResult<Vec<Tomb>> {
        self.check_writable()?;
        let environment = self.environment(environment)?;
        loop {
            let tombs = self.store.tombs(environment)?;
            let mut next = self.next_tombs(&tombs);
            let is_meant =
                |of: &Tomb| tomb.is_none_or(|id| of.id == id) && of.stage != TombStage::Deleting;
            next.tombs.retain(|of| !is_meant(of));
            let back: Vec<_> = tombs.tombs.iter().filter(|of| is_meant(of)).cloned().collect();
            if back.is_empty() {
                let which = tomb.map_or("tomb".into(), |id| format!("tomb {id}"));
                return Err(self.no_point(format!("{which} that can be taken back")));
            }
            match self.store.put_tombs(environment, next) {
                Err(error) if is_busy(&error) => {}
                put => return put.map(|_| back),
            }
        }
    }

    /// Deletes what is in the tombs whose grace has ended at the time `now`, and goes on with those of which deleting was
    /// cut short. What points need that were stored meanwhile stays.
    ///
    /// # Errors
    /// [`BackupError::Object`] if a point cannot be read: then nothing is deleted; of the kind `Busy` if others keep
    /// storing points; if the place fails. The same call goes on.
    pub fn delete_pruned(&self, environment: Option<Uuid>, now: u64) -> BackupResult<Deleted> {
        if self.is_locked() {
            return Err(self.store.locked());
        }
        self.check_writable()?;
        let environment = self.environment(environment)?;
        let mut deleted = Deleted::default();
        for _ in 0..TRIES {
            let tombs = self.store.tombs(environment)?;
            let is_due = |tomb: &&Tomb| {
                // Who has set the clock back does not know how long it has been.
                tomb.stage == TombStage::Deleting || tomb.made <= now && tomb.until <= now
            };
            // Those first that were begun.
            let due = tombs.tombs.iter().filter(is_due).max_by_key(|tomb| (tomb.stage, tomb.id));
            let Some(due) = due.map(|tomb| tomb.id) else { return Ok(deleted) };
            match self.delete_tomb(environment, tombs, due, &mut deleted) {
                Err(error) if is_busy(&error) => {}
                done => done?,
            }
        }
        let holders = vec!["others, who keep storing points or removing them".into()];
        Err(EnvError::Busy { holders }.into())
    }

    /// Leads a tomb to its end, stage by stage.
    fn delete_tomb(
        &self,
        environment: Uuid,
        mut tombs: Tombs,
        id: u64,
        deleted: &mut Deleted,
    ) -> BackupResult<()> {
        let stage = |tombs: &Tombs| tombs.tomb(id).map(|tomb| tomb.stage);
        if stage(&tombs) == Some(TombStage::Waiting) {
            let mut next = self.next_tombs(&tombs);
            let of_it = next.tombs.iter_mut().filter(|tomb| tomb.id == id);
            of_it.for_each(|tomb| tomb.stage = TombStage::Closing);
            tombs = self.store.put_tombs(environment, next)?;
        }
        if stage(&tombs) == Some(TombStage::Closing) {
            let (next, spared) = self.closed(environment, &tombs, id)?;
            tombs = self.store.put_tombs(environment, next)?;
            deleted.spared += spared;
        }
        let Some(tomb) = tombs.tomb(id).cloned() else { return Ok(()) };
        self.delete_all(environment, &tombs, &tomb, deleted)?;
        let mut next = self.next_tombs(&tombs);
        next.tombs.retain(|tomb| tomb.id != id);
        self.store.put_tombs(environment, next)?;
        deleted.tombs.push(id);
        deleted.points += tomb.points.len() as u64;
        deleted.objects += tomb.parts.len() as u64;
        deleted.bytes += tomb.bytes();
        let place = tell::display(self.store.backend.place());
        let (points, parts) = (tomb.points.len() as u64, tomb.parts.len() as u64);
        tell::deleted(place, points, parts, tomb.bytes());
        Ok(())
    }

    /// What comes after tombs one of which was closed: what is deleted of it, and which points stay. Says how many parts
    /// are spared.
    fn closed(&self, environment: Uuid, tombs: &Tombs, id: u64) -> BackupResult<(Tombs, u64)> {
        // Points of other tombs may be taken back.
        let mut without = tombs.clone();
        without.tombs.retain(|tomb| tomb.id == id || tomb.stage == TombStage::Deleting);
        let reach = self.reach_points(environment, &without)?;
        let is_point_that_stays = |object: &ObjectName| match *object {
            ObjectName::Point { number, .. } => tombs.counts(number),
            _ => false,
        };
        let unreadable = reach.unreadable.iter().find(|(object, _)| is_point_that_stays(object));
        if let Some((object, problem)) = unreadable.cloned() {
            return Err(self.store.damaged(object, Damaged { at: 0, problem }));
        }
        let mut next = self.next_tombs(tombs);
        next.boundary = reach.last.saturating_add(1);
        next.closed += 1;
        next.left = reach.points.iter().map(|point| (point.number, point.hash)).collect();
        next.left.sort_unstable_by_key(|(number, _)| *number);
        let (closed, mut spared) = (next.closed, 0);
        for tomb in next.tombs.iter_mut().filter(|tomb| tomb.id == id) {
            tomb.stage = TombStage::Deleting;
            tomb.closed = closed;
            let before = tomb.parts.len();
            tomb.parts.retain(|(part, _)| reach.place_of(part).is_none());
            spared += (before - tomb.parts.len()) as u64;
            for (timeline, first) in &tomb.segments {
                let known = next.segments.iter_mut().find(|(of, _)| of == timeline);
                match known {
                    Some((_, known)) => *known = (*first).max(*known),
                    None => next.segments.push((*timeline, *first)),
                }
            }
        }
        next.segments.sort_unstable();
        Ok((next, spared))
    }

    /// Deletes what the tombs say is gone; again, if somebody else has.
    fn delete_all(
        &self,
        environment: Uuid,
        tombs: &Tombs,
        tomb: &Tomb,
        deleted: &mut Deleted,
    ) -> BackupResult<()> {
        let backend = &self.store.backend;
        for folder in [Folder::Points(environment), Folder::Proofs(environment)] {
            for listed in backend.list(&folder)? {
                let Some(name) = folder.object(&listed.name) else { continue };
                let number = match name {
                    ObjectName::Point { number, .. } | ObjectName::Index { number, .. } => number,
                    ObjectName::Proof { point, .. } => point,
                    // Drills stay: they say how long restores have taken.
                    _ => continue,
                };
                if tombs.is_gone(number) {
                    backend.delete(&name)?;
                }
            }
        }
        for (timeline, _) in &tomb.segments {
            let (folder, first) =
                (Folder::Segments(environment, *timeline), tombs.first_segment(*timeline));
            for listed in backend.list(&folder)? {
                match folder.object(&listed.name) {
                    Some(name @ ObjectName::Segment { number, .. }) if number < first => {
                        backend.delete(&name)?;
                        deleted.segments += 1;
                    }
                    _ => {}
                }
            }
        }
        let parts: BTreeSet<&PartName> = tomb.parts.iter().map(|(part, _)| part).collect();
        for part in parts {
            backend.delete(&ObjectName::Part { environment, part: *part })?;
        }
        Ok(())
    }
}
