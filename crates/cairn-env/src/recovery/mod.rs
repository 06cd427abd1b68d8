//! Recovery: the order of steps from a directory of files to an environment.
//!
//! 1. The newer valid slot of the state file says where the newest checkpoint is.
//! 2. The checkpoint names every file that it needs; each must be there and be the right one.
//! 3. The journal past the checkpoint is replayed, file after file. Where it ends is decided, never
//!    guessed: `cairn_log::tail`.
//! 4. All of this happens in memory. The disk changes with the first write: cut bytes are set aside,
//!    what a crash left is removed, and a new journal file records where the old one ended.

pub(crate) mod parts;
pub(crate) mod replay;
pub(crate) mod report;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cairn_btree::{Forest, TreeWriter};
use cairn_io::{FileExt, Name};
use cairn_log::{
    FileClass, FileNumber, LogError, LogFile, LogName, Lsn, Predecessor, Scan, Scanner, Spare,
};

use crate::{
    EnvError, EnvResult, Options,
    checkpoint::{self, CheckpointRecord, Durable},
    core::{CommitState, Core},
    directories::DIR,
    files::Files,
    keyring::file::{KEYRING, KEYRING_NEW},
    pin::Gate,
    recovery::{
        parts::Parts,
        replay::{End, Replay},
        report::{RecoveryReport, TornTail},
    },
    ship::replica::ARRIVING,
    sites,
    state::{Found, STATE, State},
    sync::lock,
    utilization::{FileEnd, Utilization},
};

/// Trees up to this number are the environment's own.
pub(crate) const FIRST_USER_TREE: u32 = 16;

/// An environment as recovery found it.
pub(crate) struct Recovered {
    pub(crate) writer: TreeWriter,
    pub(crate) checkpoint: Option<Durable>,
    pub(crate) older_file: Option<FileNumber>,
    pub(crate) utilization: Utilization,
    pub(crate) tail: Option<Predecessor>,
    pub(crate) unfinished: Unfinished,
    pub(crate) ended: Vec<(FileNumber, FileEnd)>,
    pub(crate) oversized: Vec<(FileNumber, u64)>,
    pub(crate) sequence: u64,
    pub(crate) time: u64,
    pub(crate) next_tree: u32,
    pub(crate) report: RecoveryReport,
}

/// What recovery leaves to do before the first write.
#[derive(Debug, Default)]
pub(crate) struct Unfinished {
    /// The journal file that was in use, with the offset at which it ends.
    open_end: Option<(Arc<LogFile>, u64)>,
    torn: Option<TornTail>,
    leftovers: Vec<LogName>,
    /// Spares of a run that did not close, with their data directories: how far they are wiped is not
    /// known. And, of what was a replica, copies that were never finished.
    spares: Vec<(u16, Name)>,
}

impl Unfinished {
    /// The journal file that was in use, and where it ends, unless that is on record.
    pub(crate) fn open_end(&self) -> Option<(&LogFile, u64)> {
        self.open_end.as_ref().map(|(file, end)| (&**file, *end))
    }

    /// Whether the end of a journal is to be recorded.
    pub(crate) fn is_pending(&self) -> bool {
        self.open_end.is_some()
    }
}

/// The log files of an environment, as they were listed.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) logs: BTreeMap<FileNumber, LogName>,
    pub(crate) journals: BTreeMap<FileNumber, LogName>,
    unknown: Vec<String>,
    spares: Vec<(u16, Name)>,
}

impl Listing {
    /// The newest journal file, begun or not.
    pub(crate) fn newest_journal(&self) -> Option<LogName> {
        self.journals.values().next_back().copied()
    }

    /// The journal files, begun or not.
    pub(crate) fn journals(&self) -> impl Iterator<Item = (FileNumber, LogName)> {
        self.journals.iter().map(|(number, name)| (*number, *name))
    }

    /// Leaves out journal files behind the end that the state records.
    pub(crate) fn leave_out_later(&mut self, state: &State) {
        let last = state.tail.map(|tail| tail.file);
        self.journals.retain(|number, _| last.is_some_and(|last| *number <= last));
    }

    /// Leaves out journal files that the state does not name yet: whoever writes has just created them,
    /// and nothing in them is acknowledged before the state says so.
    pub(crate) fn leave_out_unborn(&mut self, state: &State) {
        let journal = state.journal.map(|(file, _)| file);
        let newest = journal.max(state.tail.map(|tail| tail.file));
        self.journals.retain(|number, _| newest.is_some_and(|newest| *number <= newest));
    }
}

/// Lists the log files, and takes note of where they lie.
pub(crate) fn list(files: &Files) -> EnvResult<Listing> {
    let mut listing = Listing::default();
    let mut entries = Vec::new();
    for (directory, dir) in files.dirs() {
        entries.extend(dir.list()?.into_iter().map(|entry| (directory, entry)));
    }
    for (directory, entry) in entries {
        let ours = [STATE, DIR, KEYRING, KEYRING_NEW];
        let is_ours = entry.name.as_ref().is_some_and(|name| ours.contains(name));
        if is_ours || entry.display.starts_with("torn-") {
            continue;
        }
        let is_ended = Spare::is_name(&entry.display) || entry.display.starts_with(ARRIVING);
        if let Some(name) = entry.name.filter(|_| is_ended) {
            listing.spares.push((directory, name));
            continue;
        }
        let Ok(name) = entry.display.parse::<LogName>() else {
            listing.unknown.push(entry.display);
            continue;
        };
        if let Some(other) = listing.logs.insert(name.number, name) {
            return Err(EnvError::ForeignFile {
                path: files.path_of(directory).join(name.to_string()),
                why: format!("it has the same number as {other}"),
            });
        }
        if name.class == FileClass::Journal {
            listing.journals.insert(name.number, name);
        }
        // Planted: the number of a file given twice.
        if !cairn_io::planted::is(20) {
            files.reserve(name.number);
        }
        files.found(name.number, directory);
    }
    Ok(listing)
}

/// Opens what `found` refers to and replays the journal. Beside a process that `has_writer` says is
/// writing it, replay ends where the journal is known to be durable, and what nothing refers to is none
/// of ours.
pub(crate) fn recover(
    files: &Arc<Files>,
    forest: &Arc<Forest>,
    found: &Found,
    listing: &Listing,
    options: &Options,
    has_writer: bool,
) -> EnvResult<Recovered> {
    let mut report = RecoveryReport {
        state_slot_damaged: found.damaged_slot,
        unknown_files: listing.unknown.clone(),
        ..RecoveryReport::default()
    };
    if !found.newest.clean && !has_writer {
        read_from_device(files, listing, &found.newest);
    }
    if !has_writer {
        check_state_is_newest(files, found, listing)?;
    }
    let (checkpoint, state) = newest_checkpoint(files, listing, found, &mut report)?;
    let root = checkpoint.as_ref().and_then(|checkpoint| checkpoint.record.root);
    let mut writer = TreeWriter::new(Arc::clone(forest), root, 1)?;
    let record = checkpoint.as_ref().map(|checkpoint| &checkpoint.record);
    let mut replay = Replay {
        files,
        forest,
        writer: &mut writer,
        state,
        strict: options.strict_tail,
        read_only: options.read_only,
        has_writer,
        journals: &listing.journals,
        open_ended: record.and_then(CheckpointRecord::first_open_journal),
        sequence: record.map_or(0, |record| record.sequence),
        time: record.map_or(0, |record| record.time),
        next_tree: record.map_or(FIRST_USER_TREE, |record| record.next_tree),
        report: &mut report,
        ended: Vec::new(),
        parts: Parts::default(),
    };
    let end = replay.run(record.and_then(|record| record.replay_start))?;
    let (sequence, time, next_tree) = (replay.sequence, replay.time, replay.next_tree);
    let passed = replay.ended;
    if sequence < state.sequence {
        let newest = listing.journals.values().next_back();
        let newest = newest.map_or_else(String::new, |name| format!(" in {name}"));
        return Err(EnvError::NeedsRepair {
            path: files.path(),
            why: format!(
                "the journal ends{newest} with commit {sequence}, but commit {} was durable",
                state.sequence
            ),
        });
    }
    let mut ended = passed.clone();
    let (tail, open_end, torn) = match end {
        End::Nowhere => (None, None, None),
        End::Recorded(tail) => (Some(tail), None, None),
        End::At(file, offset, torn) => {
            // Planted: a second crash after the first.
            if !options.read_only && !cairn_io::planted::is(15) {
                // Whoever wrote this may have died before the sync, with the system alive: what was
                // read here can then still be lost by a power failure, and with it what is about
                // to be acknowledged as coming after it.
                file.handle().sync(sites::RECOVERED)?;
            }
            ended.push((file.header().number, FileEnd::Cut(offset)));
            (None, Some((file, offset)), torn)
        }
    };
    let mut utilization = record.map(checkpoint::utilization_of).unwrap_or_default();
    if let Some(file) = checkpoint.as_ref().and_then(|found| files.find(found.lsn.file())) {
        // When the nodes have just filled a file, the record begins another one, which its own
        // table does not know. It is no leftover, and was finished before the checkpoint counted.
        utilization.add(&file);
        let len = file.handle().len()?;
        if file.seal(len)?.is_some() {
            utilization.end(file.header().number, FileEnd::Sealed(len));
        }
    }
    if let Some(record) = record {
        // No version in memory is older than what was just opened.
        let replay = record.replay_start.map(Lsn::file);
        utilization.mark_dead(record.number, 0, replay, &BTreeSet::new());
    }
    add_journals(files, listing, record, tail, &mut utilization)?;
    for (number, end) in &passed {
        utilization.end(*number, *end);
    }
    let oversized = oversized(files, &ended, &utilization)?;
    let leftovers = match has_writer {
        true => Vec::new(),
        false => leftovers(files, listing, &utilization)?,
    };
    report.clean = state.clean && report.replayed_commits == 0;
    report.checkpoint = record.map(|record| (record.number, record.sequence));
    report.sequence = sequence;
    report.leftovers = leftovers.iter().map(ToString::to_string).collect();
    let older =
        [&found.newest].into_iter().chain(&found.older).filter_map(|state| state.checkpoint);
    let older_file = older
        .map(Lsn::file)
        .find(|file| checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.lsn.file() != *file));
    Ok(Recovered {
        writer,
        older_file,
        checkpoint,
        utilization,
        tail,
        unfinished: Unfinished { open_end, torn, leftovers, spares: listing.spares.clone() },
        ended,
        oversized,
        sequence,
        time,
        next_tree,
        report,
    })
}

/// The checkpoint to start from. If the newest one is damaged, the one before it will do: the journal
/// since then is still there.
fn newest_checkpoint<'a>(
    files: &Files,
    listing: &Listing,
    found: &'a Found,
    report: &mut RecoveryReport,
) -> EnvResult<(Option<Durable>, &'a State)> {
    let first = open_checkpoint(files, listing, &found.newest);
    match (first, &found.older) {
        (Ok(checkpoint), _) => Ok((checkpoint, &found.newest)),
        (Err(error), Some(older))
            if is_damage(&error) && older.checkpoint != found.newest.checkpoint =>
        {
            files.forget_all(); // what the newest checkpoint needs, and the older one may not
            match open_checkpoint(files, listing, older) {
                Ok(checkpoint) => {
                    report.older_checkpoint = Some(error.to_string());
                    Ok((checkpoint, &found.newest))
                }
                Err(_) => Err(error),
            }
        }
        (Err(error), _) => Err(error),
    }
}

fn is_damage(error: &EnvError) -> bool {
    error.kind() == crate::ErrorKind::Corrupt
}

pub(crate) fn open_checkpoint(
    files: &Files,
    listing: &Listing,
    state: &State,
) -> EnvResult<Option<Durable>> {
    let Some(lsn) = state.checkpoint else { return Ok(None) };
    let missing = |number: FileNumber, class: FileClass, dir, why: &str| EnvError::MissingFile {
        name: LogName::new(class, number, files.identity.timeline).to_string(),
        dir,
        why: why.into(),
    };
    let name = listing.logs.get(&lsn.file()).ok_or_else(|| {
        let dir = files.dir_of(lsn.file()).path().to_owned();
        missing(lsn.file(), FileClass::Node, dir, "it holds the newest checkpoint")
    })?;
    let file = files.open(*name)?;
    check_uuid(state, &file)?;
    let mut record = CheckpointRecord::read(&file, lsn)?;
    if record.environment != files.identity.environment {
        return Err(checkpoint::foreign(file.path(), record.environment).into());
    }
    files.reserve(record.next_file);
    for entry in &mut record.files {
        if let Some(tail) = end_of_all(state).filter(|_| entry.class == FileClass::Journal) {
            // Restored to a moment before the checkpoint was written: it knows of more.
            let behind = (entry.number > tail.file).then_some(0);
            let here = (entry.number == tail.file).then_some(tail.end);
            entry.length = entry.length.min(behind.or(here).unwrap_or(u64::MAX));
        }
        let needed = entry.live > 0
            || entry.class == FileClass::Journal
                && record.replay_start.is_some_and(|start| entry.number >= start.file())
                && end_of_all(state).is_none_or(|tail| entry.number <= tail.file)
                && state.tail.is_none_or(|tail| tail.last_sequence != record.sequence);
        let Some(name) = listing.logs.get(&entry.number) else {
            if needed {
                let dir = files.path_of(entry.directory);
                return Err(missing(entry.number, entry.class, dir, "the checkpoint refers to it"));
            }
            continue;
        };
        check_entry(files, *name, entry)?;
        entry.end = end_of(files, entry)?;
    }
    Ok(Some(Durable { lsn, record }))
}

/// Where all of the journal ends, if the state says so: it has begun no file after that.
fn end_of_all(state: &State) -> Option<Predecessor> {
    let newest = state.journal.map(|(file, _)| file);
    state.tail.filter(|tail| newest.is_none_or(|newest| newest <= tail.file))
}

/// Checks that a file is the one that the state means by its number, where it says.
fn check_uuid(state: &State, file: &LogFile) -> EnvResult<()> {
    let header = file.header();
    if state.uuid_of(header.number).is_none_or(|uuid| uuid == header.file) {
        return Ok(());
    }
    let (path, why) =
        (file.path().to_owned(), "the state file knows another file under this number");
    Err(EnvError::ForeignFile { path, why: why.into() })
}

/// Checks that the state of an encrypted environment is not older than its journal: a journal file gets its
/// first record when the state names it. Damage to a slot explains the same, and is in the report.
fn check_state_is_newest(files: &Files, found: &Found, listing: &Listing) -> EnvResult<()> {
    let state = &found.newest;
    if state.encryption.is_none() || found.damaged_slot {
        return Ok(());
    }
    let named = state.journal.map(|(file, _)| file).max(state.tail.map(|tail| tail.file));
    let unnamed = |number: FileNumber| named.is_none_or(|named| number > named);
    for (_, name) in listing.journals.iter().filter(|(number, _)| unnamed(**number)) {
        let Ok(file) = files.look_at(*name) else { continue }; // replay says what is wrong with it
        if let Scan::Record(_) = Scanner::new(&file, u64::MAX).next()? {
            return Err(EnvError::NotAuthentic {
                path: files.path().join(STATE.as_str()),
                what: format!("{name} has records, and it does not know that file yet"),
            });
        }
    }
    Ok(())
}

/// Checks that a file is the one that the checkpoint means.
fn check_entry(files: &Files, name: LogName, entry: &checkpoint::FileEntry) -> EnvResult<()> {
    let path = files.dir_of(name.number).path().join(name.to_string());
    let foreign = |why: &str| EnvError::ForeignFile { path: path.clone(), why: why.into() };
    if name.class != entry.class {
        return Err(foreign("the checkpoint knows a file of another class under this number"));
    }
    let file = match files.find(name.number) {
        Some(file) => file,
        None => files.open(name)?,
    };
    if file.header().file != entry.file {
        return Err(foreign("the checkpoint knows another file under this number"));
    }
    let len = file.handle().len()?;
    // A journal file may be longer: see `FileEnd`.
    let exact = entry.class != FileClass::Journal && entry.end != FileEnd::Open;
    if len < entry.length || exact && len != entry.length {
        let damage = cairn_log::Damage::Truncated { len, expected: entry.length };
        return Err(LogError::corrupt(&path, len.min(entry.length), damage).into());
    }
    Ok(())
}

/// Where a file ends. A checkpoint stands in a node file that is finished only after it, so it calls
/// that file, and others of its own making, open; but it counts only once they all have their seals.
/// (Taken at its word, such a file could neither be backed up nor ever be removed.)
fn end_of(files: &Files, entry: &checkpoint::FileEntry) -> EnvResult<FileEnd> {
    if entry.class == FileClass::Journal || entry.end != FileEnd::Open {
        return Ok(entry.end);
    }
    let Some(file) = files.find(entry.number) else { return Ok(entry.end) };
    let len = file.handle().len()?;
    Ok(if file.seal(len)?.is_some() { FileEnd::Sealed(len) } else { FileEnd::Open })
}

/// Has the system forget what it holds in memory of the journal files that were in use, as far as it lets
/// one ask for that: where a sync has failed, the bytes that it was to make durable may stand there as if it
/// had not, be lost with the power, and take with them what was built on them ("fsyncgate", 2018; Rebello et
/// al., ATC 2020). What only waits to be written stays. Earlier files were synced, or no later one was begun.
fn read_from_device(files: &Files, listing: &Listing, state: &State) {
    let from = state.journal.map_or(FileNumber::FIRST, |(file, _)| file);
    for name in listing.journals.range(from..).map(|(_, name)| *name) {
        files.read_from_device(name);
    }
}

/// Journal files that came into being after the checkpoint.
fn add_journals(
    files: &Files,
    listing: &Listing,
    record: Option<&CheckpointRecord>,
    tail: Option<Predecessor>,
    utilization: &mut Utilization,
) -> EnvResult<()> {
    let start = record.and_then(|record| record.replay_start).map(Lsn::file);
    // What the journal file behind says that it follows.
    let mut follows = None;
    for (number, name) in listing.journals.iter().rev() {
        if start.is_some_and(|start| *number < start) {
            break;
        }
        // Where nothing had to be replayed, nobody has looked at them. The next journal file follows the
        // tail, so the recovery after it comes by all of them, even if they hold no commit.
        let is_followed = tail.is_some_and(|tail| *number <= tail.file);
        let file = match files.find(*number) {
            None if is_followed => match files.open(*name) {
                // It was given up, and its removal is lost.
                Err(LogError::Corrupt { .. })
                    if tail.is_none_or(|tail| *number != tail.file)
                        && replay::is_unborn(files, name)? =>
                {
                    None
                }
                opened => Some(opened?),
            },
            found => found,
        };
        let Some(file) = file else { continue };
        let previous = Some(file.header().previous);
        match follows == previous {
            // It was given up as well, with a header; the one behind was begun in place of it. Nothing ends it,
            // and nothing needs it: it is a leftover.
            true => files.forget(*number),
            false => utilization.add(&file),
        }
        follows = previous;
    }
    Ok(())
}

/// Journal files that are longer than their ends: a finished one is cut to its length without a sync, and
/// a crash undoes that even when the checkpoint after it knows the file as finished.
fn oversized(
    files: &Files,
    ended: &[(FileNumber, FileEnd)],
    utilization: &Utilization,
) -> EnvResult<Vec<(FileNumber, u64)>> {
    let journals = utilization.files.iter().filter(|(_, file)| file.class == FileClass::Journal);
    let mut ends: BTreeMap<_, _> = journals.map(|(number, file)| (*number, file.end)).collect();
    ends.extend(ended.iter().copied());
    let mut oversized = Vec::new();
    for (number, end) in ends {
        if let (Some(file), Some(end)) = (files.find(number), end.offset())
            && file.handle().len()? > end
        {
            oversized.push((number, end));
        }
    }
    Ok(oversized)
}

/// Log files of this environment that nothing refers to: nodes written for a checkpoint that a crash
/// prevented, files that were never begun, removals that did not become durable. Whether the header of such a
/// file can be read does not matter: nobody had to sync what no checkpoint was to refer to, and a crash may have
/// kept any part of it.
fn leftovers(
    files: &Files,
    listing: &Listing,
    utilization: &Utilization,
) -> EnvResult<Vec<LogName>> {
    let mut leftovers = Vec::new();
    for (number, name) in &listing.logs {
        if utilization.files.contains_key(number) {
            continue;
        }
        match files.look_at(*name) {
            Ok(_) | Err(LogError::Corrupt { .. }) => leftovers.push(*name),
            Err(LogError::Foreign { path, what, expected, found }) => {
                let why = format!("{what} is {found}, expected {expected}");
                return Err(EnvError::ForeignFile { path, why });
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(leftovers)
}

impl Core {
    /// Does what recovery has left to do, before the first write of this run.
    pub(crate) fn finish_recovery(&self, commit: &mut CommitState) -> EnvResult<()> {
        let Some(unfinished) = &commit.unfinished else { return Ok(()) };
        if let Some((file, end)) = &unfinished.open_end {
            if let Some(torn) = &unfinished.torn {
                self.set_aside(file, torn)?;
            }
            commit.tail = Some(file.predecessor(*end, commit.sequence)?);
        }
        for (directory, name) in &unfinished.spares {
            match self.files.dir_at(*directory).remove(name) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        self.remove_leftovers(&unfinished.leftovers, commit.tail)?;
        if unfinished.open_end.is_some()
            || unfinished.leftovers.iter().any(|name| name.class == FileClass::Journal)
        {
            // What was set aside gets its name before the next journal file says that it was cut.
            // Whoever created the last journal file may have died before its name was durable: if
            // that is lost and the name of the next one is not, the next one follows nothing. And a
            // journal file without a header is a leftover only as long as it is the last one: if
            // its removal is lost and the name of the next one is not, it looks like damage.
            for (_, dir) in self.files.dirs() {
                let synced = dir.sync(sites::RECOVERED_NAMES);
                synced.map_err(|error| self.sync_failed(error))?;
            }
        }
        let incarnation =
            self.files.identity.incarnation.load(std::sync::atomic::Ordering::Relaxed);
        self.files
            .identity
            .incarnation
            .store(incarnation + 1, std::sync::atomic::Ordering::Relaxed);
        commit.unfinished = None;
        Ok(())
    }

    /// Removes what a crash has left, and the pins of whoever it has ended. What another process pins
    /// goes when that lets go.
    fn remove_leftovers(&self, names: &[LogName], tail: Option<Predecessor>) -> EnvResult<()> {
        let gate = self.gate()?;
        let mut deferred = Vec::new();
        for name in names {
            // Nobody reads a journal file that was never begun, and in front of the next one it would
            // look like damage.
            let is_unborn =
                name.class == FileClass::Journal && tail.is_none_or(|tail| name.number > tail.file);
            if !is_unborn && gate.as_ref().is_none_or(|gate| gate.is_pinned(name.number)) {
                deferred.push(*name);
                continue;
            }
            match self.files.dir_of(name.number).remove(&name.to_name()) {
                Err(error) if !error.is_not_found() => return Err(error.into()),
                _ => {}
            }
        }
        match gate {
            Some(mut gate) => gate.pins.deferred = deferred,
            None => lock(&self.pins).deferred = deferred,
        }
        Ok(())
    }

    /// Removes what was deferred and is not pinned any more.
    pub(crate) fn remove_deferred(&self, gate: &mut Gate<'_>) {
        let deferred = std::mem::take(&mut gate.pins.deferred);
        for name in deferred {
            let stays = gate.is_pinned(name.number);
            let removed = || self.files.dir_of(name.number).remove(&name.to_name());
            if stays || removed().is_err_and(|error| !error.is_not_found()) {
                gate.pins.deferred.push(name);
            }
        }
    }

    /// Copies what is cut from the end of a journal into a file of its own.
    fn set_aside(&self, file: &LogFile, torn: &TornTail) -> EnvResult<()> {
        let name = Name::new(torn.set_aside.clone())
            .map_err(|_| EnvError::internal("the name for cut bytes"))?;
        match self.files.dir.remove(&name) {
            Err(error) if !error.is_not_found() => return Err(error.into()),
            _ => {} // an attempt that a crash or a full disk ended
        }
        let copy = self.files.dir.create(&name)?;
        let mut buf = vec![0; 1 << 18];
        let (mut at, end) = (torn.lsn.offset(), torn.lsn.offset() + torn.bytes);
        while at < end {
            let want = usize::try_from(end - at).map_or(buf.len(), |left| left.min(buf.len()));
            file.handle().read_exact_at(at, &mut buf[..want])?;
            copy.write_all_at(at - torn.lsn.offset(), &buf[..want])?;
            at += want as u64;
        }
        // Its name becomes durable together with other changes: see `finish_recovery`.
        Ok(copy.sync(sites::SET_ASIDE)?)
    }
}
