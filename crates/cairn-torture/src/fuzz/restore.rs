//! `restore_plan`: any manifest, and any names and bytes beside it, restored onto a disk on which
//! other things lie.

use std::sync::OnceLock;

use cairn_backup::{Manifest, RestoreOptions, restore_from, verify_in};
use cairn_env::Environment;
use cairn_io::{DirRef, MemDisk, Name};
use cairn_log::Digest;
use cairn_sim::SimWorld;

use crate::at_rest::{Subject, subjects};

const BACKUP: &str = "backup";
const TARGET: &str = "target";
/// Lies beside both; whoever leaves the target meets it.
const OUTSIDE: &str = "outside";
/// Between the parts of an input.
const CUT: u8 = 0x1e;

/// The first byte says whether there is an environment in the target, whether the restore is in
/// place, and whether it may put another environment there. What follows is cut into parts at each
/// byte 0x1e. The first one is the manifest (the true one if it is empty); its hash is made right. Each
/// other part is a name, a line feed, and the content of a file that is planted beside those of the
/// backup; or, for a file that is there, a place of two bytes and those that replace its own from there
/// on, whose hash is made right in the manifest, too.
///
/// The restore must end, write nothing outside of the target, and leave the backup as it was. One that
/// succeeds must give an environment that opens with the commit of the manifest, and with what
/// was put, unless a file was changed together with its hash. One in place that does not succeed must
/// leave what was there.
///
/// # Panics
/// If it does anything else.
pub fn restore_plan(input: &[u8]) {
    let Some((&choices, rest)) = input.split_first() else { return };
    let mut parts = rest.split(|byte| *byte == CUT);
    let Ok(stated) = std::str::from_utf8(parts.next().unwrap_or_default()) else { return };
    let Subjects { backup, environment } = Subjects::get();
    let disk = MemDisk::new();
    plant(&disk, BACKUP, backup, "b-0/");
    plant(&disk, OUTSIDE, environment, "");
    let [occupied, in_place, other] = [1, 2, 4].map(|bit| choices & bit != 0);
    if occupied {
        plant(&disk, TARGET, environment, "");
    } else {
        disk.create_dirs(TARGET).expect("nothing is in the way");
    }
    let manifest_path = format!("{BACKUP}/MANIFEST");
    let true_manifest = disk.read(&manifest_path).expect("the backup has one");
    let true_manifest = String::from_utf8_lossy(&true_manifest).into_owned();
    let mut manifest = if stated.is_empty() { true_manifest.clone() } else { with_hash(stated) };
    let mut is_forged = false;
    for part in parts {
        is_forged |= tamper(&disk, part, &mut manifest);
    }
    disk.write(&manifest_path, with_hash(&manifest).into_bytes()).expect("it is a file");

    let before = [BACKUP, OUTSIDE].map(|dir| listing(&disk, dir));
    let world = SimWorld::new(1);
    let (from, to) = (open(&disk, BACKUP), open(&disk, TARGET));
    drop(verify_in(&*from, None));
    let options = RestoreOptions::default()
        .options(environment.options.clone().background(false))
        .in_place(in_place)
        .other_environment(other);
    let restored = restore_from(&from, &to, &world.world(), &options);
    assert_eq!([BACKUP, OUTSIDE].map(|dir| listing(&disk, dir)), before, "only the target changes");
    let known: &[&str] = &[BACKUP, OUTSIDE, TARGET];
    let stranger = disk.files().into_iter().find(|(path, _)| !known.contains(&top(path)));
    assert_eq!(stranger, None, "only the target changes");
    let outcome = match restored {
        Ok(report) => {
            let opened = Environment::open_in(to, world.world(), options.options.clone());
            let (env, found) = opened.expect("what was restored opens");
            assert_eq!(found.sequence, report.commit, "{found}");
            (!is_forged).then_some((env, backup, report.commit))
        }
        Err(_) if occupied => {
            let opened = Environment::open_in(to, world.world(), options.options.clone());
            let (env, found) = opened.expect("what was there is still there");
            Some((env, environment, found.sequence))
        }
        Err(_) => None,
    };
    if let Some((env, subject, commit)) = outcome {
        let contents = usize::try_from(commit).ok().and_then(|commit| subject.history.get(commit));
        let contents = contents.expect("a commit that was made");
        assert_eq!(contents.difference(&env).ok().flatten(), None, "{}", subject.name);
    }
}

/// A backup, and an environment.
struct Subjects {
    backup: Subject,
    environment: Subject,
}

impl Subjects {
    fn get() -> &'static Self {
        static SUBJECTS: OnceLock<Subjects> = OnceLock::new();
        SUBJECTS.get_or_init(|| {
            let all = subjects().expect("the scripts of the subjects run");
            let find = |is_backup: bool| {
                let found = all.iter().find(|subject| subject.is_backup == is_backup);
                found.cloned().expect("there is one of each")
            };
            Self { backup: find(true), environment: find(false) }
        })
    }
}

/// Copies what lies below `from` of a subject to `to`.
fn plant(disk: &MemDisk, to: &str, subject: &Subject, from: &str) {
    for (path, _) in subject.image.files() {
        if let Some(below) = path.strip_prefix(from) {
            let bytes = subject.image.read(path).unwrap_or_default();
            disk.write(&format!("{to}/{below}"), bytes.to_vec()).expect("nothing is in the way");
        }
    }
}

/// Plants or damages a file of the backup, and makes its hash right. Whether it was one that counts.
fn tamper(disk: &MemDisk, part: &[u8], manifest: &mut String) -> bool {
    let Some(end) = part.iter().position(|byte| *byte == b'\n') else { return false };
    let (name, content) = (String::from_utf8_lossy(&part[..end]), &part[end + 1..]);
    let path = format!("{BACKUP}/files/{name}");
    let Ok(old) = disk.read(&path) else {
        // A name that the disk cannot have is none.
        drop(disk.write(&path, content.to_vec()));
        return false;
    };
    let Some((place, bytes)) = content.split_first_chunk::<2>() else { return false };
    let edited = disk.edit(&path, |file| {
        let at = usize::from(u16::from_le_bytes(*place)).min(file.len());
        let end = file.len().min(at + bytes.len());
        file.splice(at..end, bytes.iter().copied());
    });
    edited.expect("it was just read");
    let new = disk.read(&path).expect("it was just read");
    let stated = |bytes: &[u8]| format!("{} {}", bytes.len(), Digest::of(bytes));
    *manifest = manifest.replace(&stated(&old), &stated(&new));
    true
}

/// A manifest whose last line is the hash of those before.
fn with_hash(text: &str) -> String {
    let body = text.rfind("blake3 ").map_or(text, |at| &text[..at]);
    format!("{body}blake3 {}\n", Digest::of(body.as_bytes()))
}

fn open(disk: &MemDisk, name: &'static str) -> DirRef {
    disk.root().open_dir(&Name::constant(name)).expect("it was made")
}

/// What lies below a directory, with hashes.
fn listing(disk: &MemDisk, dir: &str) -> Vec<(String, Digest)> {
    let below = disk.files().into_iter().filter(|(path, _)| top(path) == dir);
    let read = |(path, _): (String, u64)| {
        let digest = Digest::of(&disk.read(&path).expect("it was just listed"));
        (path, digest)
    };
    below.map(read).collect()
}

fn top(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// Inputs that fuzzing begins with: true and forged manifests, hostile names, damage with its hash.
pub(super) fn seeds() -> Vec<Vec<u8>> {
    let Subjects { backup, .. } = Subjects::get();
    let text = backup.image.read("b-0/MANIFEST").unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let manifest = Manifest::decode(&text).expect("the subject is whole");
    let body = &text[..text.rfind("blake3 ").unwrap_or(text.len())];
    let first = body.lines().find_map(|line| line.strip_prefix("file "));
    let first = first.and_then(|fields| fields.split(' ').next()).expect("a backup has files");
    let mut seeds: Vec<Vec<u8>> = (0..8).map(|choices| vec![choices]).collect();
    seeds.push([b"\0", body.as_bytes()].concat());
    for (from, to) in [
        ("data-directories ", "data-directories 99"),
        ("commit ", "commit 1"),
        ("environment ", "environment 0"),
        ("next-file ", "next-file f"),
        ("checkpoint ", "checkpoint none\nwas "),
    ] {
        seeds.push([b"\x03", body.replacen(from, to, 1).as_bytes()].concat());
    }
    for name in [".", "..", "../outside/CURRENT", "../../target/x", "/etc/x", "MANIFEST", ""] {
        let body = body.replace(first, name);
        seeds.push([b"\0", body.as_bytes(), &[CUT], name.as_bytes(), b"\nx"].concat());
    }
    for file in &manifest.files {
        for at in [0_u16, 24, 4090, 4100, 4200, 5000] {
            let name = file.name.to_string();
            seeds
                .push([&[1, CUT], name.as_bytes(), b"\n", &at.to_le_bytes(), b"\xff\x00"].concat());
        }
    }
    seeds
}
