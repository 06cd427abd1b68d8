//! `Repository::backup`: the objects that are new, and then, last of all, a point.

use std::{fmt, sync::Arc};

use cairn_archive::Compression;
use cairn_env::{BackupSet, Cut, Environment, Snapshot};
use cairn_log::{Digest, FileClass, Timeline, Uuid};

use super::{
    ObjectName, Put, Repository,
    frames::Damaged,
    journal::Journal,
    layout::MAX_PART,
    point::{Point, PointDatabase, PointFile, check_label},
    prune::Tombs,
    statement::{self, Unread},
    store::{MAX_POINT, Origin},
    upload::{Upload, Uploaded},
    view,
};
use crate::{
    BackupError, BackupResult, ObjectError, Pace, Progress,
    crew::{self, Job},
    keyring,
    pace::Others,
    progress::{Counter, Report},
    tell,
};

/// How a point is made.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PointOptions<'a> {
    /// What the point is called (default: nothing). The same label may be used again; the newest point that has it
    /// is then meant. It can be read by whoever can read the repository.
    pub label: Option<&'a str>,
    /// How what is stored is compressed (default: Zstandard, level 1). The files of an encrypted environment are
    /// not: they would not shrink.
    pub compression: Compression,
    /// How many bytes of a log file an object holds at most (default and maximum: 16 MiB).
    pub part_bytes: u64,
    /// Whether objects are not read again after they were stored.
    pub skip_read_back: bool,
    /// Called from time to time.
    pub progress: Report<'a>,
    /// How fast it goes, and whether it goes on.
    pub pace: Pace<'a>,
    /// Called once, before the first file is read, with the state that the point is going to hold: see
    /// [`BackupOptions::at_cut`](crate::BackupOptions#structfield.at_cut).
    pub at_cut: Option<&'a (dyn Fn(Snapshot) + Send + Sync)>,
}

impl Default for PointOptions<'_> {
    fn default() -> Self {
        Self {
            label: None,
            compression: Compression::Zstd(1),
            part_bytes: MAX_PART,
            skip_read_back: false,
            progress: None,
            pace: Pace::default(),
            at_cut: None,
        }
    }
}

impl<'a> PointOptions<'a> {
    /// Sets [`PointOptions::label`](PointOptions#structfield.label).
    #[must_use]
    pub fn label(mut self, label: &'a str) -> Self {
        self.label = Some(label);
        self
    }

    /// Sets [`PointOptions::compression`](PointOptions#structfield.compression).
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Sets [`PointOptions::part_bytes`](PointOptions#structfield.part_bytes).
    #[must_use]
    pub fn part_bytes(mut self, bytes: u64) -> Self {
        self.part_bytes = bytes;
        self
    }

    /// Leaves the second reading out.
    #[must_use]
    pub fn skip_read_back(mut self, skip: bool) -> Self {
        self.skip_read_back = skip;
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }

    /// Sets [`PointOptions::pace`](PointOptions#structfield.pace).
    #[must_use]
    pub fn pace(mut self, pace: Pace<'a>) -> Self {
        self.pace = pace;
        self
    }

    /// Sets [`PointOptions::at_cut`](PointOptions#structfield.at_cut).
    #[must_use]
    pub fn at_cut(mut self, at_cut: &'a (dyn Fn(Snapshot) + Send + Sync)) -> Self {
        self.at_cut = Some(at_cut);
        self
    }
}

impl fmt::Debug for PointOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, compression, part_bytes, skip_read_back, pace, .. } = self;
        write!(
            f,
            "PointOptions(label: {label:?}, {compression:?}, part_bytes: {part_bytes}, \
             skip_read_back: {skip_read_back}, {pace:?})"
        )
    }
}

/// What a point holds, and what it has cost.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointReport {
    /// Its number.
    pub number: u64,
    /// The environment.
    pub environment: Uuid,
    /// The last commit in it.
    pub commit: u64,
    /// The time of that commit, in microseconds since 1970.
    pub time: u64,
    /// Whether nothing of it was in the repository before.
    pub is_full: bool,
    /// Number of files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of these lie in objects that a point before has.
    pub kept_bytes: u64,
    /// How many objects were stored.
    pub new_objects: u64,
    /// Their bytes, without the point and its index.
    pub new_bytes: u64,
    /// How many objects were found that a backup had left which did not come to its end.
    pub adopted_objects: u64,
    /// What was found to be wrong with objects that this point would have used. It has others instead, so it is
    /// whole; points before it may not be.
    pub damaged: Vec<String>,
}

impl Repository {
    /// Backs `env` up: the state at one commit of all databases becomes the next point. Writers, checkpoints and
    /// snapshots go on meanwhile, also if another process has the environment open for writing and this one for
    /// reading.
    ///
    /// What the point before has is not stored again: files that have not changed (they end with the same seal) and
    /// the beginning of a journal file that has grown. Every file that is read is verified, record by record; every
    /// object that is stored is read back and decompressed; then the point is stored, read back, and compared.
    /// Until then there is no backup. A backup that was killed is simply made again, and uses what the
    /// killed one has stored.
    ///
    /// Of an encrypted environment ciphertext is stored, and the keyring with it, after that was unlocked with the
    /// key with which the environment is open and a record of each key epoch was decrypted from the repository.
    ///
    /// # Errors
    /// Errors of the kind `Corrupt` if the environment is damaged; [`BackupError::OtherPast`] if the repository has
    /// backups of another history of it; [`BackupError::Superseded`] if a standby was promoted in its place, before or
    /// meanwhile; [`BackupError::Overtaken`] if what it has stored, or found stored, was
    /// removed before it came to its end; if the place fails. Then there is no new point, unless the place
    /// failed after it was stored.
    pub fn backup(
        &self,
        env: &Environment,
        options: &PointOptions<'_>,
    ) -> BackupResult<PointReport> {
        self.check_writable()?;
        options.pace.check()?;
        options.compression.check().map_err(|what| BackupError::InvalidInput { what })?;
        if let Some(label) = options.label {
            check_label(label).map_err(|what| BackupError::InvalidInput { what })?;
        }
        let environment = env.identity().environment;
        let set = env.begin_backup()?;
        let keys = keyring::unlock_own(&set, env)?;
        let snapshot = set.snapshot();
        // Its keys may be kept elsewhere.
        let is_encrypted = set.keyring().is_some() || env.options().encryption.is_some();
        let databases = match &snapshot {
            Some(snapshot) if !is_encrypted => Some(databases(snapshot)?),
            _ => None,
        };
        if let (Some(at_cut), Some(snapshot)) = (options.at_cut, snapshot) {
            at_cut(snapshot);
        }
        let (cut, tree_digest) = (set.cut().clone(), set.tree_digest());
        self.check_fence(environment, cut.timeline)?;
        let tombs = Arc::new(self.store.tombs(environment)?);
        let tip = self.tip(environment)?;
        let previous = self.previous(environment, cut.timeline)?.map(Arc::new);
        let shipped = self.shipped_for(&cut, previous.as_deref(), &set)?;
        let had = (previous.clone(), shipped);
        let upload = Arc::new(Upload::new(&self.store, &cut, had, &tombs, options, is_encrypted)?);
        let total = set.files().iter().map(|file| file.length).sum();
        let to = || tell::display(self.store.backend.place());
        tell::backup_begun(to(), cut.commit, set.files().len() as u64, total);
        let counter = Counter::paced(total, options.progress, &options.pace, &self.world)?;
        let jobs = set.files().iter().cloned().map(|file| -> Job<(PointFile, Uploaded)> {
            let upload = Arc::clone(&upload);
            Box::new(move |counter: &Counter<'_>| upload.file(&file, counter))
        });
        let (mut files, mut uploaded) = (Vec::new(), Uploaded::default());
        let threads = options.pace.crew(Others::Users);
        crew::run(&self.world, threads, jobs.collect(), &counter, |place, (file, done)| {
            files.push(file);
            uploaded.add(done);
            set.release(&set.files()[place]);
            Ok(())
        })?;
        uploaded.settle(&self.store)?;
        let keyring = set.keyring().map(<[u8]>::to_vec);
        drop(set);
        let mut writer = [0; 16];
        self.world.random(&mut writer);
        let Uploaded { new_objects, new_bytes, kept_bytes, adopted_objects, damaged, .. } =
            uploaded;
        let is_read_back = !options.skip_read_back && kept_bytes == 0;
        files.sort_by_key(|file| file.name.number);
        let mut point = Point {
            cut,
            created: self.world.wall().0,
            library: env!("CARGO_PKG_VERSION").into(),
            label: options.label.map(str::to_owned),
            writer: Uuid(writer),
            new_objects,
            new_bytes,
            is_read_back,
            keyring,
            configuration: configuration(env),
            databases,
            index: (0, Digest([0; 32])),
            files,
            tree_digest,
            unknown: Vec::new(),
        };
        if let Some(keys) = keys {
            let dir = view::open(&self.store, &self.point_path(environment, 0), point.clone());
            let files = dir.open_dir(&crate::manifest::FILES)?;
            keyring::try_files(&*files, &view::manifest(&point), &keys).map_err(view::surface)?;
        }
        counter.check()?;
        let number = self.publish(&mut point, &tombs, tip, previous.as_deref())?;
        self.check_fence(environment, point.cut.timeline)?;
        counter.end();
        tell::point_stored(to(), number, point.cut.commit, new_objects, new_bytes);
        Ok(PointReport {
            number,
            environment,
            commit: point.cut.commit,
            time: point.cut.time,
            // What backups have left that were cut short is of no point.
            is_full: point.is_full() || tip.0 == 0,
            files: point.files.len() as u64,
            bytes: point.bytes(),
            kept_bytes,
            new_objects,
            new_bytes,
            adopted_objects,
            damaged,
        })
    }

    /// Number and hash of the newest point, whatever it says; zeros if there is none.
    fn tip(&self, environment: Uuid) -> BackupResult<(u64, Digest)> {
        match self.store.numbers(environment)?.last() {
            None => Ok((0, Digest([0; 32]))),
            Some(number) => Ok((*number, Digest::of(&self.raw(environment, *number)?))),
        }
    }

    /// A point as it lies there, if this version may write one behind it. One that is damaged is what it is if two
    /// readings say so: the next one would go on from something else than what is there.
    fn raw(&self, environment: Uuid, number: u64) -> BackupResult<Vec<u8>> {
        let name = ObjectName::Point { environment, number };
        let bytes = self.store.whole(name, MAX_POINT)?;
        match self.store.decode_point(environment, number, &bytes) {
            Ok(_) => {}
            Err(BackupError::Object(ObjectError::Damaged { .. }))
                if self.store.whole(name, MAX_POINT)? == bytes =>
            {
                return Ok(bytes);
            }
            Err(error) => return Err(error),
        }
        match statement::features_to_write(&bytes) {
            0 => Ok(bytes),
            features => {
                let what = format!("to write behind it needs the features {features:#x}");
                Err(self.store.unread(name, Unread::Unsupported(what)))
            }
        }
    }

    /// The point whose objects are used again: the newest one of the timeline, or, where that has none, of all. (The
    /// newest one of all may be of another timeline, since a restore in place can be undone.) One that is
    /// damaged is passed over.
    fn previous(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<(u64, Point)>> {
        let mut newest = None;
        let name = ObjectName::Timeline { environment, timeline };
        let is_known = self.store.backend.length(&name)?.is_some();
        for number in self.store.numbers(environment)?.into_iter().rev() {
            let point = match self.store.point(environment, number) {
                Err(BackupError::Object(
                    ObjectError::Damaged { .. } | ObjectError::Missing { .. },
                )) => continue,
                read => read?.point,
            };
            if point.cut.timeline == timeline {
                return Ok(Some((number, point)));
            }
            newest.get_or_insert((number, point));
            if !is_known {
                break;
            }
        }
        Ok(newest)
    }

    /// The journal that was shipped of files that the point before does not have to their ends.
    fn shipped_for(
        &self,
        cut: &Cut,
        previous: Option<&(u64, Point)>,
        set: &BackupSet,
    ) -> BackupResult<Journal> {
        let previous = previous.filter(|(_, point)| point.cut.timeline == cut.timeline);
        let end = previous.and_then(|(_, point)| point.cut.journal_end).map(|end| end.file);
        let files = set.files().iter().map(|file| file.name);
        let journals = files.filter(|name| name.class == FileClass::Journal);
        let first = journals.map(|name| name.number).filter(|number| Some(*number) >= end).min();
        let Some(first) = first else { return Ok(Journal::default()) };
        let mut journal = self.shipped_from(cut.environment, cut.timeline, first)?;
        previous.iter().for_each(|(_, point)| journal.add_point(point, first));
        Ok(journal)
    }

    /// The newest point of a timeline that can be read, and its number.
    pub(crate) fn newest_of(
        &self,
        environment: Uuid,
        timeline: Timeline,
    ) -> BackupResult<Option<(u64, Point)>> {
        let newest = self.previous(environment, timeline)?;
        Ok(newest.filter(|(_, point)| point.cut.timeline == timeline))
    }

    /// Gives the point the next number, and stores it: from then on it is a backup. What it needs was stored, or found
    /// stored, when there were the tombs `begun`.
    fn publish(
        &self,
        point: &mut Point,
        begun: &Tombs,
        tip: (u64, Digest),
        before: Option<&(u64, Point)>,
    ) -> BackupResult<u64> {
        let environment = point.cut.environment;
        let before = before.map(|(number, point)| (*number, point.cut.timeline, point.cut.commit));
        let origin = Origin { created: point.created, commit: point.cut.commit, before };
        let (name, bytes) = self.store.encode_timeline(environment, point.cut.timeline, &origin)?;
        if self.store.backend.put(&name, &bytes)? == Put::Stored {
            self.store.timeline(environment, point.cut.timeline)?;
        }
        let (mut number, mut previous) = (tip.0 + 1, tip.1);
        loop {
            // Asked before each number that is tried: who deletes burns the one behind the last that is there.
            let tombs = self.unclosed_tombs(environment)?;
            self.check_overtaken(point, begun, &tombs)?;
            if number <= tombs.boundary {
                number = tombs.boundary.saturating_add(1);
                previous = tombs.left.last().map_or(Digest([0; 32]), |(_, hash)| *hash);
            }
            let (name, bytes) = self.store.encode_index(number, point)?;
            point.index = (bytes.len() as u64, Digest::of(&bytes));
            self.store.backend.put(&name, &bytes)?;
            let index = self.store.index(name, point.index);
            let bytes = self.store.encode_point(number, previous, point)?;
            let name = ObjectName::Point { environment, number };
            // Nobody is told of a point that could not be read.
            self.store.decode_point(environment, number, &bytes)?;
            let put = match index {
                Ok(_) => self.store.backend.put(&name, &bytes)?,
                Err(_) if self.is_burnt(environment, (number, &bytes), &tombs)? => continue,
                Err(error) => return Err(error),
            };
            if self.is_burnt(environment, (number, &bytes), &tombs)? {
                continue;
            }
            let stored = self.raw(environment, number)?;
            if stored == bytes {
                return Ok(number);
            }
            match put {
                // Another writer has this number, whether a listing had it or not.
                Put::Existed => (number, previous) = (number + 1, Digest::of(&stored)),
                Put::Stored => {
                    let problem = "it was read back as another one than was stored".into();
                    return Err(self.store.damaged(name, Damaged { at: 0, problem }));
                }
            }
        }
    }

    /// Where a point lies: for messages.
    pub(super) fn point_path(&self, environment: Uuid, number: u64) -> std::path::PathBuf {
        let name = ObjectName::Point { environment, number };
        std::path::Path::new(&self.store.backend.place()).join(name.to_string())
    }
}

/// The databases, with what is known of them without reading them.
fn databases(snapshot: &Snapshot) -> BackupResult<Vec<PointDatabase>> {
    let mut databases = Vec::new();
    for database in snapshot.databases()? {
        databases.push(PointDatabase {
            name: database.name().to_owned(),
            kind: database.kind().to_string(),
            entries: snapshot.len(&database)?,
        });
    }
    databases.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(databases)
}

/// What of the options is worth knowing when the environment is gone. None of it is a secret.
fn configuration(env: &Environment) -> Vec<(String, String)> {
    let options = env.options();
    let mut configuration = vec![
        ("checkpoint-bytes".into(), options.checkpoint_bytes.to_string()),
        ("journal-file-bytes".into(), options.journal_file_bytes.to_string()),
        ("leaf-bytes".into(), options.leaf_bytes.to_string()),
        ("node-file-bytes".into(), options.node_file_bytes.to_string()),
        ("space-target".into(), options.space_target.to_string()),
    ];
    configuration.sort();
    configuration
}
