//! All damages of a subject, in an order that stays: a damage is repeated by its number.

use std::{collections::BTreeSet, sync::Arc};

use super::damage::{BLOCK, Block, Content, Damage, Growth, place};
use crate::at_rest::Subject;

/// All damages, also those that change nothing because all is zeros, say.
pub(crate) fn damages(subject: &Subject) -> Vec<Damage> {
    let files: Vec<(Arc<str>, usize)> = subject
        .image
        .files()
        .map(|(path, len)| (Arc::from(path), usize::try_from(len).unwrap_or(0)))
        .collect();
    let blocks: Vec<Block> = files.iter().flat_map(|(path, len)| blocks(path, *len)).collect();
    let mut damages = Vec::new();
    for block in &blocks {
        of_block(subject, block, &blocks, &mut damages);
    }
    for (path, len) in &files {
        of_file(subject, path, *len, &mut damages);
        for (other, _) in files.iter().filter(|(other, _)| other != path) {
            let from = Block { path: other.clone(), number: 0 };
            damages.push(Damage::File(path.clone(), Content::Here(from)));
            if other > path {
                damages.push(Damage::SwapFiles(path.clone(), other.clone()));
            }
        }
    }
    extras(subject, &files, &mut damages);
    damages
}

fn blocks(path: &Arc<str>, len: usize) -> impl Iterator<Item = Block> + use<'_> {
    (0..len.div_ceil(BLOCK)).map(|number| Block { path: path.clone(), number })
}

fn of_block(subject: &Subject, block: &Block, blocks: &[Block], damages: &mut Vec<Damage>) {
    let mut add = |content| damages.push(Damage::Block(block.clone(), content));
    add(Content::Fill(0));
    add(Content::Fill(0xff));
    add(Content::Foreign(block.clone()));
    let earlier = earlier(subject, block);
    earlier.iter().for_each(|version| add(Content::Earlier(*version)));
    for other in blocks.iter().filter(|other| *other != block) {
        add(Content::Here(other.clone()));
        if other.path != block.path {
            add(Content::Foreign(other.clone()));
        }
    }
    for other in blocks.iter().filter(|other| *other != block && other.path == block.path) {
        let last = earlier.last().copied();
        damages.push(Damage::Misdirected(block.clone(), other.number, last));
        if other.number > block.number {
            damages.push(Damage::SwapBlocks(block.clone(), other.number));
        }
    }
}

/// The versions of its file in which a block was another one than in those before.
fn earlier(subject: &Subject, block: &Block) -> Vec<usize> {
    let mut seen = BTreeSet::new();
    let versions = subject.versions.get(&*block.path).map_or(&[][..], Vec::as_slice);
    let is_new = |(_, content): &(usize, &Arc<Vec<u8>>)| {
        seen.insert(content[place(block.number, content.len())].to_vec())
    };
    versions.iter().enumerate().filter(is_new).map(|(version, _)| version).collect()
}

fn of_file(subject: &Subject, path: &Arc<str>, len: usize, damages: &mut Vec<Damage>) {
    let mut add = |content| damages.push(Damage::File(path.clone(), content));
    add(Content::Fill(0));
    add(Content::Fill(0xff));
    add(Content::Foreign(Block { path: path.clone(), number: 0 }));
    let versions = subject.versions.get(&**path).map_or(0, Vec::len);
    (0..versions).for_each(|version| add(Content::Earlier(version)));
    let name = path.rsplit('/').next();
    let older = subject.older.files().find(|(older, _)| older.rsplit('/').next() == name);
    older.into_iter().for_each(|(older, _)| add(Content::Older(older.into())));
    damages.extend((0..len).map(|end| Damage::Cut(path.clone(), end)));
    for growth in [Growth::Zeros, Growth::Random, Growth::Tail] {
        let by = [1, 8, BLOCK - 1, BLOCK, 8 * BLOCK];
        damages.extend(by.map(|by| Damage::Grown(path.clone(), growth, by)));
    }
    damages.push(Damage::Missing(path.clone()));
}

/// Files that look like the next ones of each kind.
fn extras(subject: &Subject, files: &[(Arc<str>, usize)], damages: &mut Vec<Damage>) {
    for (path, len) in files {
        for next in [1, 2, 0x10] {
            let Some(extra) = later(path, next) else { continue };
            if subject.image.read(&extra).is_some() {
                continue;
            }
            let from = Block { path: path.clone(), number: 0 };
            for (content, len) in [
                (Content::Fill(0), 0),
                (Content::Fill(0), BLOCK),
                (Content::Fill(0), *len),
                (Content::Fill(0xff), *len),
                (Content::Here(from.clone()), *len),
                (Content::Foreign(from), *len),
            ] {
                damages.push(Damage::Extra(extra.clone(), content, len));
            }
        }
    }
}

/// The name of a log file with a number that is higher by `by`.
fn later(path: &str, by: u32) -> Option<Arc<str>> {
    const DIGITS: usize = 8;
    let stem = path.strip_suffix(".log")?;
    let (kind, number) = stem.split_at_checked(stem.len().checked_sub(DIGITS)?)?;
    let number = u32::from_str_radix(number, 16).ok()?.checked_add(by)?;
    Some(format!("{kind}{number:08x}.log").into())
}
