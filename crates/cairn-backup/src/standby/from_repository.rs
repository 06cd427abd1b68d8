//! What a repository has for a standby: points as bases, segments as journal.

use cairn_env::{StandbyTarget, forget_old_generation};
use cairn_io::{DirRef, WorldRef};
use cairn_log::{Timeline, Uuid};

use super::{
    StandbyOptions, StandbyStatus,
    source::{Arrived, Base, STEP},
};
use crate::{
    BackupError, BackupResult, Repository, RestoreOptions, Which,
    repository::past::{Cursor, Next, reaches},
};

/// A repository, and how far it was read.
#[derive(Debug)]
pub(super) struct FromRepository {
    pub(super) repository: Repository,
    environment: Option<Uuid>,
    options: StandbyOptions,
    world: WorldRef,
    /// Behind the last segment that has arrived.
    cursor: Option<Cursor>,
}

impl FromRepository {
    pub(super) fn new(
        repository: Repository,
        environment: Option<Uuid>,
        options: &StandbyOptions,
        world: &WorldRef,
    ) -> Self {
        let (options, world) = (options.clone(), WorldRef::clone(world));
        Self { repository, environment, options, world, cursor: None }
    }

    pub(super) fn newest_line(&self) -> BackupResult<(Uuid, Timeline)> {
        let (_, point) = self.repository.find(self.environment, &Which::Newest)?;
        Ok((point.cut.environment, point.cut.timeline))
    }

    pub(super) fn forget_place(&mut self) {
        self.cursor = None;
    }

    /// Restores the newest point of the timeline.
    pub(super) fn bring(
        &mut self,
        root: &DirRef,
        of: &StandbyStatus,
        than: Option<u64>,
    ) -> BackupResult<Option<Base>> {
        let (environment, follows) = (of.environment, of.follows);
        let newest = self.repository.newest_of(environment, follows)?;
        let is_news = |commit: u64| than.is_none_or(|than| commit > than);
        let newest = newest.filter(|(_, point)| is_news(point.cut.commit));
        let Some((number, point)) = newest else {
            let what = format!("backup of timeline {follows} of the environment {environment}");
            return match than {
                Some(_) => Ok(None),
                None => Err(self.repository.no_point(what)),
            };
        };
        let how = RestoreOptions::default().options(self.options.options.clone());
        let how = how.in_place(than.is_some()).delta(than.is_some());
        let which = Which::Number(number);
        self.repository.restore_in(Some(environment), &which, root, &self.world, &how)?;
        if than.is_some() {
            let options = self.options.options.clone();
            forget_old_generation(DirRef::clone(root), &self.world, options)?;
        }
        self.cursor = None;
        Ok(Some(Base { point: Some(number), commit: point.cut.commit }))
    }

    pub(super) fn arrive(&mut self, target: &mut StandbyTarget) -> BackupResult<Arrived> {
        let info = target.info();
        let (environment, follows) = (info.environment, info.follows);
        let mut cursor = match self.cursor {
            Some(cursor) => cursor,
            None => self.repository.cursor_at(environment, follows, target.position())?,
        };
        let mut arrived = Arrived::default();
        let is_new = self.cursor.is_none();
        loop {
            let read = match self.repository.next_segment(environment, follows, cursor)? {
                Next::Nothing => break,
                Next::Hole(why) => {
                    arrived.hole = Some(why);
                    break;
                }
                Next::Segment(read) => read,
            };
            let segment = &read.segment;
            if arrived.bytes >= STEP {
                arrived.has_more = true;
                break;
            }
            let lies = reaches(segment, target.position());
            if lies.goes_on() {
                if let Some(keyring) = &segment.keyring {
                    target.take_keyring(keyring, &self.options.options)?;
                }
                let file = segment.file.number;
                let given = self.repository.each_part(environment, segment, |start, bytes| {
                    arrived.bytes += bytes.len() as u64;
                    Ok(target.append(file, start, bytes)?)
                });
                match given {
                    Err(BackupError::Object(error)) => {
                        // What has arrived of it counts for nothing, and comes again.
                        arrived.hole = Some(error.to_string());
                        break;
                    }
                    given => given?,
                }
                target.sync()?;
            } else if !lies.is_before() {
                let number = read.number;
                let why = format!("segment {number} does not go on from what the standby has");
                arrived.hole = Some(segment.gap.clone().unwrap_or(why));
                break;
            }
            arrived.newest = Some(segment.newest);
            cursor = Cursor::behind(&read);
            self.cursor = Some(cursor);
        }
        if arrived.hole.is_some() || arrived.has_more || is_new {
            let newest = self.repository.newest_moment(environment, follows)?;
            arrived.newest = newest.or(arrived.newest);
        }
        if cursor.is_first() && arrived.hole.is_none() {
            self.look_for_points(target, &mut arrived)?; // nothing is shipped: what there is are points
        }
        Ok(arrived)
    }

    pub(super) fn look_for_points(
        &self,
        target: &StandbyTarget,
        arrived: &mut Arrived,
    ) -> BackupResult<()> {
        let info = target.info();
        let newest = self.repository.newest_of(info.environment, info.follows)?;
        let newest = newest.map(|(_, point)| (point.cut.commit, point.cut.time));
        if newest.is_some_and(|(commit, _)| commit > target.newest().0) {
            arrived.newest = newest;
            arrived.hole = Some("a point is newer than the journal that is shipped".into());
        }
        Ok(())
    }
}
