//! The level before the last, too: the trees of each point consist of the nodes that they are said to consist of.

use std::collections::BTreeMap;

use cairn_env::{EnvError, EnvResult, StoredTrees, TreeDigest};
use cairn_io::DirRef;
use cairn_log::{FileClass, FileNumber, LogFile, Lsn, Uuid};

use super::{Check, structure::open_log};
use crate::{
    BackupError, BackupResult,
    repository::{
        names::ObjectName,
        point::{Point, PointFile},
        view,
    },
};

/// Points of an environment whose node files are the same wherever two of them have one. What they share is read once.
struct Alike {
    environment: Uuid,
    files: BTreeMap<FileNumber, PointFile>,
    points: Vec<u64>,
}

impl Alike {
    fn fits(&self, environment: Uuid, point: &Point) -> bool {
        self.environment == environment
            && nodes(point).all(|file| {
                let known = self.files.get(&file.name.number);
                known.is_none_or(|known| (known.name, known.digest) == (file.name, file.digest))
            })
    }

    fn add(&mut self, number: u64, point: &Point) {
        self.files.extend(nodes(point).map(|file| (file.name.number, file.clone())));
        self.points.push(number);
    }
}

/// The files of a point in which nodes stand.
fn nodes(point: &Point) -> impl Iterator<Item = &PointFile> {
    point.files.iter().filter(|file| file.name.class == FileClass::Node)
}

impl Check<'_> {
    /// Whether the trees of points are those of their tree digests. A point that has none says nothing of it.
    pub(super) fn trees(&mut self) -> BackupResult<()> {
        let (bad, mut all) = (self.bad(), Vec::<Alike>::new());
        for (&(environment, number), point) in &self.points {
            if point.tree_digest.is_none() || bad.contains(&(environment, number)) {
                continue;
            }
            match all.last_mut().filter(|alike| alike.fits(environment, point)) {
                Some(alike) => alike.add(number, point),
                None => {
                    let mut alike =
                        Alike { environment, files: BTreeMap::new(), points: Vec::new() };
                    alike.add(number, point);
                    all.push(alike);
                }
            }
        }
        all.iter().try_for_each(|alike| self.trees_of(alike))
    }

    fn trees_of(&mut self, alike: &Alike) -> BackupResult<()> {
        let Alike { environment, files, points } = alike;
        let path = self.repository.point_path(*environment, points[0]);
        let store = &self.repository.store;
        let dir = view::of_files(store, &path, *environment, files.values().cloned().collect());
        let mut open = |number| open_file(&dir, alike, number);
        let mut trees = StoredTrees::new(&mut open);
        for &number in points {
            let Some(point) = self.points.get(&(*environment, number)) else { continue };
            let found = look_at_trees(&dir, alike, &mut trees, point).map_err(view::surface);
            if let Some(problem) = self.problem(found, &[number])? {
                let object = ObjectName::Point { environment: *environment, number };
                self.find(object, None, problem, vec![number]);
            }
        }
        Ok(())
    }
}

fn open_file(dir: &DirRef, alike: &Alike, number: FileNumber) -> EnvResult<LogFile> {
    let file = alike.files.get(&number).ok_or_else(|| EnvError::MissingFile {
        name: format!("file {number}"),
        dir: dir.path().to_owned(),
        why: "a node of the trees stands in it".into(),
    })?;
    open_log(dir, alike.environment, file)
}

/// What is wrong with the trees of a point.
fn look_at_trees(
    dir: &DirRef,
    alike: &Alike,
    trees: &mut StoredTrees<'_>,
    point: &Point,
) -> BackupResult<Option<String>> {
    let Some(said) = point.tree_digest else { return Ok(None) };
    let Some(checkpoint) = point.cut.checkpoint else {
        return Ok(Some("it has a tree digest, and no checkpoint".into()));
    };
    if is_encrypted(dir, alike, checkpoint)? {
        return Ok(None); // who opens the point has the key
    }
    let found = trees.read(checkpoint).map_err(BackupError::from)?;
    let has = |number| point.files.iter().any(|file| file.name.number == number);
    if let Some((number, _)) = found.needs.iter().find(|(number, _)| !has(*number)) {
        return Ok(Some(format!("its trees need file {number}, which it does not have")));
    }
    Ok(match found.said {
        Some(of) if of != said => {
            Some(format!("it says the tree digest {said}, its checkpoint says {of}"))
        }
        _ if found.found != said => Some(other_trees(said, found.found)),
        _ => None,
    })
}

/// That the trees are others than is said.
pub(in crate::repository) fn other_trees(said: TreeDigest, found: TreeDigest) -> String {
    format!(
        "its trees have the tree digest {found}, not {said}: a node is not the one that was there when \
         it was made"
    )
}

fn is_encrypted(dir: &DirRef, alike: &Alike, checkpoint: Lsn) -> EnvResult<bool> {
    Ok(open_file(dir, alike, checkpoint.file())?.header().encryption.is_some())
}
