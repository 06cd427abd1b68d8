//! `Ground`: what a salvage reads: the files, what counts of them, and where leaves stand.

use cairn_btree::{RecordImage, TreeId, ValueRef};
use cairn_io::{DirRef, FileExt};
use cairn_log::{
    FileClass, FileHeader, FileNumber, HEADER_LEN, LogFile, LogName, Lsn, Record, RecordKind,
};

use super::{
    ApartTransaction, DamagedRange, SalvageOptions, SalvagedFile, Standing,
    options::Meter,
    window::{Content, Statement, Window, Witness},
};
use crate::{
    EnvResult, Options, RepairReport,
    checkpoint::CheckpointRecord,
    commit::{CommitRecord, Decoder, Op, pointer},
    repair::{
        journal::{self, Apart, Change, Commits, OpenEnd},
        scan,
        source::Source,
        trees::Trees,
    },
};

/// What is there of an environment.
pub(super) struct Ground {
    pub(super) source: Source,
    pub(super) commits: Commits,
    pub(super) trees: Trees,
    pub(super) files: Vec<SalvagedFile>,
    /// All of them, of whatever time, in the order of trees and keys.
    leaves: Vec<Leaf>,
}

/// A leaf that can be read.
struct Leaf {
    tree: TreeId,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    commit: u64,
    at: Lsn,
}

/// How far back it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Back {
    /// To the newest state of each range of keys that a leaf tells, and what came after it.
    ToNewestState,
    /// As far as anything tells.
    ToBeginning,
}

impl From<Apart> for Standing {
    fn from(why: Apart) -> Self {
        match why {
            Apart::GivenUp => Self::GivenUp,
            Apart::Unfinished => Self::Unfinished,
            Apart::Incomplete => Self::Incomplete,
        }
    }
}

impl Ground {
    /// Reads all files once.
    pub(super) fn open<'a>(
        dir: DirRef,
        options: &Options,
        what: &SalvageOptions<'a>,
        found: &mut RepairReport,
    ) -> EnvResult<(Self, Meter<'a>)> {
        let before = found.notes.len();
        let source = Source::open(dir, options, found)?;
        if what.log_files_only {
            // All that was noted is what is missing beside them.
            found.notes.truncate(before);
        }
        let mut meter = Meter::new(what, 2 * bytes_of(&source));
        let mut commits = Commits::find(&source, OpenEnd::Whole, found)?;
        let trees = Trees::find(&source, &mut commits, found)?;
        let is_lost = |name: &LogName| !source.headless.contains_key(&name.number);
        let lost = source.left_aside.iter().filter(|(name, ..)| is_lost(name));
        let lost = lost.map(|(name, bytes, problem)| {
            let (len, problem) = (*bytes, problem.clone());
            let damaged = vec![DamagedRange { offset: 0, len, problem }];
            SalvagedFile { name: name.to_string(), bytes: *bytes, records: 0, damaged }
        });
        let (mut files, mut leaves) = (lost.collect::<Vec<_>>(), Vec::new());
        for file in source.files.values() {
            files.push(look_at(file, &commits, &mut leaves, &mut meter, found)?);
        }
        for file in source.headless.values() {
            let looked_at = look_at(file, &commits, &mut Vec::new(), &mut meter, found)?;
            found.note(format!(
                "{}: its header is lost, so nothing proves that its {} records belong here; they are handed out \
                 as unproven, where that is asked for",
                looked_at.name, looked_at.records
            ));
            files.push(looked_at);
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        leaves.sort_by(|a, b| (a.tree, &a.lower, a.at).cmp(&(b.tree, &b.lower, b.at)));
        Ok((Self { source, commits, trees, files, leaves }, meter))
    }

    /// Bytes of all files that can be read.
    pub(super) fn bytes(&self) -> u64 {
        bytes_of(&self.source)
    }

    /// A number above those of all files, so that no new one is ever taken for one of these.
    pub(super) fn next_file(&self) -> FileNumber {
        let stated = self.source.states.iter().map(|state| state.next_file);
        let there = self.source.files.keys().chain(self.source.unreadable.keys());
        let there = there.filter_map(|number| number.next());
        stated.chain(there).max().unwrap_or(FileNumber::FIRST)
    }

    /// The transactions that do not count.
    pub(super) fn apart(&self) -> EnvResult<Vec<ApartTransaction>> {
        let mut found: Vec<ApartTransaction> = Vec::new();
        self.commits.apart(&mut |why, change, mut decoder| {
            let is_next = change.in_parts && decoder.head > 0;
            let (commit, standing, at) = (change.sequence, Standing::from(why), change.lsn);
            let mut changes = 0;
            while let Ok(Some(_)) = decoder.next() {
                changes += 1;
            }
            let same = |last: &&mut ApartTransaction| {
                is_next && (last.commit, last.standing) == (commit, standing)
            };
            match found.last_mut().filter(same) {
                Some(last) => last.changes += changes,
                None => found.push(ApartTransaction { commit, standing, at, changes }),
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Adds everything to a window that is said of the keys in it.
    pub(super) fn ask(
        &self,
        back: Back,
        uncommitted: bool,
        window: &mut Window<'_>,
        meter: &mut Meter<'_>,
        found: &mut RepairReport,
    ) -> EnvResult<()> {
        self.commits.replay(&mut |change, decoder| {
            each_said(decoder, change, Standing::Committed, window, |tree, key| {
                back == Back::ToBeginning || self.is_news(change, tree, key)
            });
            Ok(())
        })?;
        if uncommitted {
            self.commits.apart(&mut |why, change, decoder| {
                each_said(decoder, change, why.into(), window, |_, _| true);
                Ok(())
            })?;
        }
        let of_class = |class| self.source.of_class(class).map(|file| file.end()).sum::<u64>();
        meter.add(of_class(FileClass::Journal));
        if uncommitted {
            self.ask_headless(window, meter)?;
        }
        if back == Back::ToNewestState {
            self.ask_newest_leaves(window, found);
        }
        for leaf in &self.leaves {
            let standing = self.standing(leaf.at, leaf.commit);
            let is_asked = match standing {
                Standing::Committed => back == Back::ToBeginning,
                _ => uncommitted,
            };
            if is_asked && window.overlaps(leaf.tree, &leaf.lower, leaf.upper.as_deref()) {
                let piece = (&leaf.lower[..], leaf.upper.as_deref(), leaf.commit);
                self.ask_leaf(leaf.at, piece, standing, window, found);
            }
        }
        meter.add(of_class(FileClass::Node));
        self.ask_moved_values(back, uncommitted, window, meter)
    }

    /// Whether a change came after the state that the leaves tell.
    fn is_news(&self, change: Change, tree: TreeId, key: &[u8]) -> bool {
        let base = self.trees.trees.get(&tree);
        base.is_none_or(|pieces| change.counts_after(pieces.commit_of(key)))
    }

    /// What the file at a place says of this commit.
    fn standing(&self, at: Lsn, commit: u64) -> Standing {
        let file = self.source.file(at.file());
        match file.is_ok_and(|file| self.commits.is_proven(&self.source, file, commit)) {
            true => Standing::Committed,
            false => Standing::Unproven,
        }
    }

    fn ask_newest_leaves(&self, window: &mut Window<'_>, found: &mut RepairReport) {
        for (tree, pieces) in &self.trees.trees {
            for piece in pieces.iter() {
                let Some(leaf) = piece.leaf else { continue };
                if window.overlaps(*tree, &piece.lower, piece.upper.as_deref()) {
                    let piece = (&piece.lower[..], piece.upper.as_deref(), piece.commit);
                    self.ask_leaf(leaf, piece, Standing::Committed, window, found);
                }
            }
        }
    }

    /// Adds what a leaf says of a range of keys, which is as of some commit.
    fn ask_leaf(
        &self,
        at: Lsn,
        (lower, upper, commit): (&[u8], Option<&[u8]>, u64),
        standing: Standing,
        window: &mut Window<'_>,
        found: &mut RepairReport,
    ) {
        let mut add = |tree, key: Vec<u8>, value: Option<ValueRef<'_>>| {
            let is_inside = &key[..] >= lower && upper.is_none_or(|upper| &key[..] < upper);
            if is_inside && window.has(tree, &key) {
                let content = value.map_or(Content::Deleted, Content::of);
                let witness = Witness::Leaf;
                window.add(tree, &key, Statement { commit, witness, at, standing, content });
            }
        };
        match self.source.node(at) {
            Ok(node) => {
                node.entries().for_each(|(key, value)| add(node.tree(), key, Some(value)));
            }
            // Without its base a delta says what has changed.
            Err(error) => match self.source.record_image(at) {
                Some(image @ RecordImage::Delta(_)) => {
                    image.said().for_each(|(key, value)| add(image.tree(), key, value));
                }
                _ => found.note(format!("a leaf could be read once only: {error}")),
            },
        }
    }

    /// Adds what files say that nothing proves to belong here.
    fn ask_headless(&self, window: &mut Window<'_>, meter: &mut Meter<'_>) -> EnvResult<()> {
        let standing = Standing::Unproven;
        for file in self.source.headless.values() {
            scan::records(file, u64::MAX, &mut |record| {
                let (kind, commit, at) = (record.header.kind, record.header.sequence, record.lsn);
                meter.add(record.header.record_len());
                if let RecordKind::TRANSACTION | RecordKind::PART | RecordKind::VALUE = kind
                    && let Ok(decoder) = Decoder::new(record.body)
                {
                    let change = Change { sequence: commit, in_parts: false, lsn: at };
                    each_said(decoder, change, standing, window, |_, _| true);
                } else if let Ok(Some(image)) =
                    RecordImage::read(kind, commit, record.body.to_vec())
                {
                    for (key, value) in image.said() {
                        let content = value.map_or(Content::Deleted, Content::of);
                        let witness = Witness::Leaf;
                        let said = Statement { commit, witness, at, standing, content };
                        window.add(image.tree(), &key, said);
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Adds what the records of moved values say: of what a lost leaf has held, they may be all that is left.
    fn ask_moved_values(
        &self,
        back: Back,
        uncommitted: bool,
        window: &mut Window<'_>,
        meter: &mut Meter<'_>,
    ) -> EnvResult<()> {
        for file in self.source.of_class(FileClass::Value) {
            scan::records(file, u64::MAX, &mut |record| {
                let (header, at) = (record.header, record.lsn);
                meter.add(header.record_len());
                if header.kind != RecordKind::VALUE {
                    return Ok(());
                }
                let Ok(mut decoder) = Decoder::new(record.body) else { return Ok(()) };
                let Ok(Some(op)) = decoder.next() else { return Ok(()) };
                let Some((tree, key, content)) = said(op, at) else { return Ok(()) };
                let (commit, witness) = (header.sequence, Witness::MovedValue);
                let change = Change { sequence: commit, in_parts: false, lsn: at };
                let standing = self.standing(at, commit);
                let is_asked = match standing {
                    Standing::Committed => {
                        back == Back::ToBeginning || self.is_news(change, tree, key)
                    }
                    _ => uncommitted,
                };
                if is_asked {
                    window.add(tree, key, Statement { commit, witness, at, standing, content });
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

fn bytes_of(source: &Source) -> u64 {
    source.files.values().chain(source.headless.values()).map(|file| file.end()).sum()
}

/// Adds the changes of a commit that are about keys in the window, and that are `asked` for.
fn each_said(
    mut decoder: Decoder<'_>,
    change: Change,
    standing: Standing,
    window: &mut Window<'_>,
    asked: impl Fn(TreeId, &[u8]) -> bool,
) {
    while let Ok(Some(op)) = decoder.next() {
        let (Op::Put { tree, key, .. } | Op::PutLarge { tree, key, .. } | Op::Delete { tree, key }) =
            op
        else {
            continue;
        };
        if !window.has(tree, key) || !asked(tree, key) {
            continue;
        }
        let Some((_, _, content)) = said(op, change.lsn) else { continue };
        let (commit, witness, at) = (change.sequence, Witness::Journal, change.lsn);
        window.add(tree, key, Statement { commit, witness, at, standing, content });
    }
}

/// What a change in the record at a place says of a key.
fn said(op: Op<'_>, at: Lsn) -> Option<(TreeId, &[u8], Content)> {
    match op {
        Op::Put { tree, key, value } => Some((tree, key, Content::Here(value.into()))),
        Op::PutLarge { tree, key, value, crc, offset } => {
            let place = pointer(at, offset, value.len(), crc)?;
            Some((tree, key, Content::There(vec![place])))
        }
        Op::Delete { tree, key } => Some((tree, key, Content::Deleted)),
        Op::Create { .. } | Op::Drop { .. } | Op::Mark { .. } => None,
    }
}

/// Reads a file record by record, and takes note of its leaves and of what is damaged.
fn look_at(
    file: &LogFile,
    commits: &Commits,
    leaves: &mut Vec<Leaf>,
    meter: &mut Meter<'_>,
    found: &mut RepairReport,
) -> EnvResult<SalvagedFile> {
    let (name, len) = (file.name().to_string(), file.end());
    let mut this = SalvagedFile { name, bytes: len, ..SalvagedFile::default() };
    let mut damage = |offset, len, problem| {
        this.damaged.push(DamagedRange { offset, len, problem });
    };
    let mut block = vec![0; usize::try_from(HEADER_LEN).unwrap_or(0)];
    let header = file.handle().read_exact_at(0, &mut block).map_err(Into::into);
    if let Err(error) = header.and_then(|()| FileHeader::decode(&block, file.path())) {
        damage(0, HEADER_LEN, format!("{error}; it was told from what is left of it"));
    }
    let (mut records, mut told) = (0, 0);
    let scanned = scan::records(file, u64::MAX, &mut |record| {
        records += 1;
        told += record.header.record_len();
        meter.add(record.header.record_len());
        match take_apart(&record) {
            Ok(leaf) => leaves.extend(leaf),
            Err(problem) => damage(record.lsn.offset(), record.header.record_len(), problem),
        }
        Ok(())
    })?;
    meter.add(len.saturating_sub(told));
    let header = file.header();
    let is_journal = header.class == FileClass::Journal;
    let limit = commits.limit_of(header.number).unwrap_or(0);
    for gap in scanned.gaps {
        // Zeros stand ahead of what a journal file is to hold.
        if !(is_journal && gap.is_blank && gap.at >= limit) {
            damage(gap.at, gap.end - gap.at, gap.problem);
        }
    }
    if len < limit {
        damage(len, limit - len, format!("the file has {len} bytes, and once had {limit}"));
    }
    if !is_journal && !scanned.sealed {
        found.note(format!("{}: it was never finished, or its end is gone", this.name));
    }
    this.records = records;
    this.damaged.sort_by_key(|range| range.offset);
    Ok(this)
}

/// The leaf that a record is, if it is one; what is wrong with it if it makes no sense.
fn take_apart(record: &Record<'_>) -> Result<Option<Leaf>, String> {
    let (kind, commit) = (record.header.kind, record.header.sequence);
    match kind {
        RecordKind::TRANSACTION | RecordKind::PART | RecordKind::VALUE => {
            journal::check(record.body).map_err(|error| error.to_string())?;
        }
        RecordKind::COMMIT => {
            CommitRecord::decode(record.body).map_err(|error| error.to_string())?;
        }
        RecordKind::CHECKPOINT => {
            CheckpointRecord::decode(record.body).map_err(|error| error.to_string())?;
        }
        _ => {}
    }
    let node = RecordImage::read(kind, commit, record.body.to_vec());
    let Some(node) = node.map_err(|damage| damage.to_string())? else { return Ok(None) };
    let is_leaf = node.level() == 0 && node.tree() != TreeId(0);
    Ok(is_leaf.then(|| Leaf {
        tree: node.tree(),
        lower: node.lower().to_vec(),
        upper: node.upper().map(<[u8]>::to_vec),
        commit,
        at: record.lsn,
    }))
}
