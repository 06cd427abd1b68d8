//! The corpus: inputs cut out of real environments and backups, and a few mutations of them.

use std::collections::BTreeMap;

use cairn_io::{Access, FileExt as _, Name};
use cairn_log::{FRAME_LEN, FileClass, HEADER_LEN, LogFile, RecordKind, Scan, Scanner, crc32c};
use cairn_sim::{ChooserExt as _, Image, Seeded, SimWorld};

use super::{TARGETS, mutate, restore, sql};
use crate::{
    at_rest::subjects,
    problem::{Checked, Problem, Wrong},
};

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seed {
    /// The target.
    pub target: &'static str,
    /// The name of its file: a checksum, so that the same input has the same name.
    pub name: String,
    /// The input.
    pub bytes: Vec<u8>,
}

/// An input longer than this is no seed.
const LONGEST: usize = 8192;
/// So many of one target and origin.
const OF_EACH: usize = 5;

/// Texts for `import`, of each format; 0x80 says that a key is named.
const TEXTS: [&[u8]; 12] = [
    b"\x00{\"key\":\"ada\",\"value\":\"1815\"}\n{\"value_hex\":\"00ff\",\"key\":\"\\u00e9\\n\"}\n",
    b"\x00\xef\xbb\xbf{\"a\":[1,2,{\"b\":null}]}\r\n\n  \n1e400\n\"text\"\n",
    b"\x80{\"id\":7,\"name\":\"seven\"}\n{\"name\":\"x\",\"id\":\"\\ud83d\\ude00\"}\n",
    b"\x80{\"id\":-1.5e3,\"i\\u0064\":2}\n",
    b"\x01key,value\nada,1815\n\"a \"\"b\"\"\",\"two\nlines\"\n",
    b"\x01key,value,encoding\r\n00ff,\"\",hex\r\n,plain,\r\n",
    b"\x81id,name,year\n1,Ada,1815\n2,Grace,1906\n",
    b"\x01\xef\xbb\xbfname;year\n\"open quote\n",
    b"\x02VERSION=3\nformat=bytevalue\ntype=btree\nHEADER=END\n 6b\n 76\n 6b32\n \nDATA=END\n",
    b"\x02VERSION=3\nformat=print\nduplicates=1\nHEADER=END\n k\n a\\\\\\0a\n k\n b\nDATA=END\n",
    b"\x02format=bytevalue\nHEADER=END\n 0\n",
    b"\x02VERSION=9\nHEADER=END\nDATA=END\nVERSION=3\n",
];

/// The corpus of all targets.
///
/// # Errors
/// If the environments cannot be made.
pub fn corpus() -> Checked<Vec<Seed>> {
    let mut found: BTreeMap<&'static str, Vec<Vec<u8>>> = BTreeMap::new();
    for subject in subjects()? {
        for (path, _) in subject.image.files() {
            harvest(&subject.image, path, &mut found)?;
        }
    }
    let mut random = Seeded::new(1).stream("corpus");
    // Damage is no part of an environment: it is made up.
    for _ in 0..4 * OF_EACH {
        let mut damage = vec![0; random.range(2..32, "damage")];
        random.bytes(&mut damage, "bytes");
        found.entry("environment_image").or_default().push(damage);
    }
    // Nor are texts, schedules and forged backups.
    found.insert("import_text", TEXTS.iter().map(|text| text.to_vec()).collect());
    found.insert("restore_plan", restore::seeds());
    let keyrings = cairn_env::fuzzing::keyrings(&*SimWorld::new(1).world());
    let keyrings = keyrings.map_err(|error| Problem::new(Wrong::Run, error.to_string()))?;
    found.entry("keyring").or_default().extend(keyrings);
    found.insert("replica_file", cairn_env::fuzzing::replica_files());
    let archives = cairn_archive::fuzzing::archives(&SimWorld::new(1).world());
    let archives = archives.map_err(|error| Problem::new(Wrong::Run, error.to_string()))?;
    found.insert("archive", archives);
    found.insert("sql_script", sql::SCRIPTS.iter().map(|text| text.as_bytes().to_vec()).collect());
    let images = sql::images().map_err(|error| Problem::new(Wrong::Run, error.to_string()))?;
    found.insert("sql_image", images);
    let objects = cairn_backup::fuzzing::repository_objects(&SimWorld::new(1).world());
    let objects = objects.map_err(|error| Problem::new(Wrong::Run, error.to_string()))?;
    found.insert("repository_object", objects);
    let mut schedules = random.stream("schedules");
    for len in (20..=200).step_by(20) {
        let mut schedule = vec![0; len];
        schedules.bytes(&mut schedule, "schedule");
        found.entry("transaction_schedule").or_default().push(schedule);
    }
    for len in [100, 300, 600].into_iter().cycle().take(2 * OF_EACH) {
        let mut choices = vec![0; len];
        schedules.bytes(&mut choices, "choices");
        found.entry("simulation").or_default().push(choices);
    }
    for len in [20, 60, 150].into_iter().cycle().take(2 * OF_EACH) {
        let mut choices = vec![0; len];
        schedules.bytes(&mut choices, "choices");
        found.entry("sink_pieces").or_default().push(choices);
    }
    for len in [100, 200, 400].into_iter().cycle().take(2 * OF_EACH) {
        let mut choices = vec![0; len];
        schedules.bytes(&mut choices, "choices");
        found.entry("store").or_default().push(choices);
    }
    let mut seeds = Vec::new();
    for target in TARGETS {
        let mut inputs = found.remove(target.name).unwrap_or_default();
        inputs.sort();
        inputs.dedup();
        let mutated = 2 * OF_EACH.min(inputs.len());
        for _ in 0..mutated {
            let (one, other) = (random.pick(&inputs, "one"), random.pick(&inputs, "other"));
            let input = mutate(one, other, &mut random.stream("mutation"));
            inputs.push(input);
            random.next_u64();
        }
        inputs.retain(|input| input.len() <= LONGEST);
        inputs.sort();
        inputs.dedup();
        seeds.extend(inputs.into_iter().map(|bytes| {
            let name = format!("{:08x}", crc32c(&bytes));
            Seed { target: target.name, name, bytes }
        }));
    }
    Ok(seeds)
}

/// Takes what is on a disk apart.
fn harvest(
    image: &Image,
    path: &str,
    found: &mut BTreeMap<&'static str, Vec<Vec<u8>>>,
) -> Checked<()> {
    let wrong =
        |error: &dyn std::fmt::Display| Problem::new(Wrong::Run, format!("{path}: {error}"));
    let mut add = |target: &'static str, bytes: &[u8]| {
        let inputs = found.entry(target).or_default();
        if inputs.len() < 4 * OF_EACH {
            inputs.push(bytes.to_vec());
        }
    };
    let bytes = image.read(path).unwrap_or_default();
    let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
    match name {
        "STATE" => add("state_file", &bytes),
        "KEYRING" => add("keyring", &bytes),
        "MANIFEST" => add("manifest", &bytes),
        _ => {}
    }
    if !name.ends_with(".log") {
        return Ok(());
    }
    let header = usize::try_from(HEADER_LEN).unwrap_or(0);
    add("file_header", without_zeros(&bytes[..header - 4]));
    let behind = without_zeros(&bytes[header..]);
    if behind.len() <= LONGEST / 2 {
        add("file_scan", behind);
    }
    let mut at = image.to_mem().root();
    for part in dir.split('/').filter(|part| !part.is_empty()) {
        let part = Name::new(part.to_owned()).map_err(|_| wrong(&"a name that is none"))?;
        at = at.open_dir(&part).map_err(|error| wrong(&error))?;
    }
    let name = Name::new(name.to_owned()).map_err(|_| wrong(&"a name that is none"))?;
    let handle = at.open(&name, Access::Read).map_err(|error| wrong(&error))?;
    let file = LogFile::open_any(handle).map_err(|error| wrong(&error))?;
    let mut scanner = Scanner::new(&file, u64::MAX);
    while let Scan::Record(record) = scanner.next().map_err(|error| wrong(&error))? {
        let mut frame = [0; FRAME_LEN];
        let at = record.lsn.offset();
        file.handle().read_exact_at(at, &mut frame).map_err(|error| wrong(&error))?;
        add("record_header", &frame);
        match record.header.kind {
            RecordKind::TRANSACTION => add("transaction_record", record.body),
            RecordKind::CHECKPOINT => add("checkpoint_record", record.body),
            _ if file.header().class == FileClass::Node => add("node_image", record.body),
            _ => {}
        }
    }
    Ok(())
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let len = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    &bytes[..len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_inputs_of_each_target_and_always_the_same() {
        let all = corpus().unwrap();
        for target in TARGETS {
            let count = all.iter().filter(|seed| seed.target == target.name).count();
            assert!(count >= 3, "{}: {count}", target.name);
        }
        assert_eq!(all, corpus().unwrap());
        assert!(all.iter().map(|seed| seed.bytes.len()).sum::<usize>() < 200 << 10);
    }
}
