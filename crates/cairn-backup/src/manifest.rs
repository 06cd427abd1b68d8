//! `Manifest`: what a backup holds, as a text that anybody can read and nobody can change unnoticed.
//!
//! Each thing has one spelling: a manifest is accepted only if writing what was read gives the same
//! bytes. File names are not taken from it: they are rendered from the class, timeline and number that
//! it states, so it can name nothing outside of the backup and of the restored environment.

use std::{fmt::Write as _, io::ErrorKind, str::FromStr};

use cairn_env::Cut;
use cairn_io::{Dir, DirExt, Name};
use cairn_log::{Digest, FileNumber, LogName, Lsn, Predecessor, Timeline, Uuid};

use crate::{BackupError, BackupResult, Piece};

/// The name of the file that makes a directory a backup.
pub const MANIFEST_NAME: &str = "MANIFEST";
pub(crate) const MANIFEST: Name = Name::constant(MANIFEST_NAME);
pub(crate) const MANIFEST_NEW: Name = Name::constant("MANIFEST.new");
/// The directory of the copied files.
pub(crate) const FILES: Name = Name::constant("files");

/// The first line where each file lies in one piece, where one does not, and where there is a keyring.
const TITLES: [&str; 3] = ["CairnDB backup 1", "CairnDB backup 2", "CairnDB backup 3"];
/// A manifest of a million files is smaller.
const MAX_LEN: usize = 128 << 20;

/// One file of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the manifest format")]
pub struct ManifestFile {
    /// Its name.
    pub name: LogName,
    /// The data directory in which it belongs.
    pub directory: u16,
    /// Its length in bytes.
    pub length: u64,
    /// BLAKE3 of its bytes.
    pub digest: Digest,
    /// The pieces in which it lies, in order; none if it lies in one file, under its name.
    pub pieces: Vec<Piece>,
}

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "part of the manifest format")]
pub struct Manifest {
    /// The instant.
    pub cut: Cut,
    /// When the backup was made, in microseconds since 1970: for people.
    pub created: u64,
    /// The version of the library that made it.
    pub library: String,
    /// Length and BLAKE3 of the keyring, if the environment is encrypted.
    pub keyring: Option<Piece>,
    /// The files.
    pub files: Vec<ManifestFile>,
}

impl Manifest {
    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The manifest as text; its last line is the hash of all lines before.
    #[must_use]
    pub fn encode(&self) -> String {
        let cut = &self.cut;
        let in_pieces = self.files.iter().any(|file| !file.pieces.is_empty());
        let title = match (self.keyring, in_pieces) {
            (Some(_), _) => TITLES[2],
            (None, in_pieces) => TITLES[usize::from(in_pieces)],
        };
        let mut text = format!(
            "{title}\nlibrary {}\ncreated {}\nenvironment {}\ntimeline {}\ncommit {}\ntime {}\n",
            self.library, self.created, cut.environment, cut.timeline, cut.commit, cut.time
        );
        let mut line = |args: std::fmt::Arguments<'_>| {
            text.write_fmt(args).expect("a String takes any text");
            text.push('\n');
        };
        match cut.checkpoint {
            Some(lsn) => line(format_args!("checkpoint {} {lsn}", cut.checkpoint_number)),
            None => line(format_args!("checkpoint none")),
        }
        match &cut.journal_end {
            Some(end) => line(format_args!(
                "journal {} {} {} {} {}",
                end.file, end.directory, end.end, end.last_sequence, end.chain
            )),
            None => line(format_args!("journal none")),
        }
        line(format_args!("next-file {}", cut.next_file));
        if cut.directories > 0 {
            line(format_args!("data-directories {}", cut.directories));
        }
        if let Some(Piece { length, digest }) = self.keyring {
            line(format_args!("keyring {length} {digest}"));
        }
        for file in &self.files {
            line(format_args!(
                "file {} {} {} {}",
                file.name, file.directory, file.length, file.digest
            ));
            for Piece { length, digest } in &file.pieces {
                line(format_args!("piece {length} {digest}"));
            }
        }
        let digest = Digest::of(text.as_bytes());
        text.push_str(&format!("blake3 {digest}\n"));
        text
    }

    /// Reads the manifest of the backup in `dir`.
    ///
    /// # Errors
    /// [`BackupError::NoManifest`], [`BackupError::ManifestDamaged`],
    /// [`BackupError::ManifestUnsupported`], or what the disk answers.
    pub fn read(dir: &dyn Dir) -> BackupResult<Self> {
        let path = dir.path().join(MANIFEST_NAME);
        let damaged = |(line, problem): (usize, &str)| BackupError::ManifestDamaged {
            path: path.clone(),
            line,
            problem: problem.to_owned(),
        };
        let bytes = match dir.read_small(&MANIFEST, MAX_LEN) {
            Ok(bytes) => bytes,
            Err(error) if error.is_not_found() => {
                return Err(BackupError::NoManifest { path: dir.path().to_owned() });
            }
            Err(error) if error.kind() == ErrorKind::FileTooLarge => {
                return Err(damaged((1, "it is longer than any manifest")));
            }
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged((1, "it is not a text")))?;
        let found = text.lines().next().unwrap_or_default();
        if found.starts_with("CairnDB backup ") && !TITLES.contains(&found) && is_intact(text) {
            return Err(BackupError::ManifestUnsupported { path, found: found.to_owned() });
        }
        Self::decode(text).map_err(damaged)
    }

    /// Decodes a manifest; an error has the line and what is wrong with it.
    ///
    /// # Errors
    /// If the text is not exactly what [`Manifest::encode`] gives for some manifest.
    pub fn decode(text: &str) -> Result<Self, (usize, &'static str)> {
        if !is_intact(text) {
            return Err((text.lines().count().max(1), "the hash of the manifest does not match"));
        }
        let mut lines = Lines { lines: text.lines(), number: 0 };
        if !TITLES.contains(&lines.next()?) {
            return Err(lines.wrong());
        }
        let library = lines.field("library ")?.to_owned();
        let created = lines.parse("created ")?;
        let environment: Uuid = lines.parse("environment ")?;
        let timeline = Timeline(lines.hex("timeline ")?);
        let commit = lines.parse("commit ")?;
        let time = lines.parse("time ")?;
        let (checkpoint_number, checkpoint) = match lines.field("checkpoint ")? {
            "none" => (0, None),
            fields => {
                let (number, lsn) = fields.split_once(' ').ok_or(lines.wrong())?;
                let lsn = Lsn::from_str(lsn).map_err(|_| lines.wrong())?;
                (number.parse().map_err(|_| lines.wrong())?, Some(lsn))
            }
        };
        let journal_end = match lines.field("journal ")? {
            "none" => None,
            fields => Some(predecessor(fields).ok_or(lines.wrong())?),
        };
        let next_file = FileNumber::new(lines.hex("next-file ")?).ok_or(lines.wrong())?;
        let mut files: Vec<ManifestFile> = Vec::new();
        let (mut directories, mut keyring) = (0, None);
        loop {
            let line = lines.next()?;
            if let Some(count) = line.strip_prefix("data-directories ") {
                directories = count.parse().map_err(|_| lines.wrong())?;
                continue;
            }
            if let Some(fields) = line.strip_prefix("keyring ") {
                keyring = Some(piece(fields).ok_or(lines.wrong())?);
                continue;
            }
            if let (Some(fields), Some(file)) = (line.strip_prefix("piece "), files.last_mut()) {
                file.pieces.push(piece(fields).ok_or(lines.wrong())?);
                continue;
            }
            let Some(fields) = line.strip_prefix("file ") else { break };
            files.push(manifest_file(fields).ok_or(lines.wrong())?);
        }
        if !files.iter().all(adds_up) {
            return Err((lines.number, "the pieces of a file are not all of it"));
        }
        let ordered = files.is_sorted_by(|a, b| a.name.number < b.name.number);
        let cut = Cut {
            environment,
            timeline,
            commit,
            time,
            checkpoint,
            checkpoint_number,
            journal_end,
            next_file,
            directories,
        };
        let manifest = Self { cut, created, library, keyring, files };
        if !ordered || manifest.encode() != text {
            return Err((lines.number, "it is not written as a manifest is"));
        }
        Ok(manifest)
    }
}

/// Whether the last line is the hash of all lines before.
fn is_intact(text: &str) -> bool {
    let body = text.strip_suffix('\n').and_then(|text| text.rfind('\n')).map(|at| &text[..=at]);
    body.is_some_and(|body| {
        text[body.len()..].strip_prefix("blake3 ").map(str::trim_end)
            == Some(&Digest::of(body.as_bytes()).to_string())
    })
}

fn predecessor(fields: &str) -> Option<Predecessor> {
    let mut fields = fields.split(' ');
    let mut next = || fields.next();
    Some(Predecessor {
        file: FileNumber::new(u32::from_str_radix(next()?, 16).ok()?)?,
        directory: next()?.parse().ok()?,
        end: next()?.parse().ok()?,
        last_sequence: next()?.parse().ok()?,
        chain: next()?.parse().ok()?,
    })
}

fn manifest_file(fields: &str) -> Option<ManifestFile> {
    let mut fields = fields.split(' ');
    let mut next = || fields.next();
    Some(ManifestFile {
        name: next()?.parse().ok()?,
        directory: next()?.parse().ok()?,
        length: next()?.parse().ok()?,
        digest: next()?.parse().ok()?,
        pieces: Vec::new(),
    })
}

fn piece(fields: &str) -> Option<Piece> {
    let (length, digest) = fields.split_once(' ')?;
    Some(Piece { length: length.parse().ok()?, digest: digest.parse().ok()? })
}

/// Whether a file lies in one piece, or in several that are as long as it is.
fn adds_up(file: &ManifestFile) -> bool {
    let mut lengths = file.pieces.iter().map(|piece| piece.length);
    match file.pieces.len() {
        0 => true,
        1 => false,
        _ => {
            lengths.clone().all(|length| length > 0)
                && lengths.try_fold(0, u64::checked_add) == Some(file.length)
        }
    }
}

struct Lines<'a> {
    lines: std::str::Lines<'a>,
    number: usize,
}

type Wrong = (usize, &'static str);

impl<'a> Lines<'a> {
    fn wrong(&self) -> Wrong {
        (self.number, "it is not what stands in this place")
    }

    fn next(&mut self) -> Result<&'a str, Wrong> {
        self.number += 1;
        self.lines.next().ok_or((self.number, "the manifest ends too early"))
    }

    fn field(&mut self, name: &str) -> Result<&'a str, Wrong> {
        let line = self.next()?;
        line.strip_prefix(name).ok_or(self.wrong())
    }

    fn parse<T: FromStr>(&mut self, name: &str) -> Result<T, Wrong> {
        let field = self.field(name)?;
        field.parse().map_err(|_| self.wrong())
    }

    fn hex(&mut self, name: &str) -> Result<u32, Wrong> {
        let field = self.field(name)?;
        u32::from_str_radix(field, 16).map_err(|_| self.wrong())
    }
}

#[cfg(test)]
mod tests {
    use cairn_log::FileClass;

    use super::*;

    fn example() -> Manifest {
        let number = |n| FileNumber::new(n).unwrap();
        let file = |n, class| ManifestFile {
            name: LogName::new(class, number(n), Timeline::FIRST),
            directory: 0,
            length: 4096 + u64::from(n),
            digest: Digest::of(&n.to_le_bytes()),
            pieces: Vec::new(),
        };
        Manifest {
            cut: Cut {
                environment: Uuid([0xab; 16]),
                timeline: Timeline::FIRST,
                commit: 77,
                time: 1_700_000_000_000_000,
                checkpoint: Lsn::new(number(3), 8192),
                checkpoint_number: 5,
                journal_end: Some(Predecessor {
                    file: number(2),
                    directory: 0,
                    end: 5000,
                    last_sequence: 77,
                    chain: Digest::of(b"chain"),
                }),
                next_file: number(9),
                directories: 3,
            },
            created: 1_700_000_000_000_001,
            library: "0.1.0".into(),
            keyring: None,
            files: vec![file(2, FileClass::Journal), file(3, FileClass::Node)],
        }
    }

    /// The journal of the example, of 4098 bytes, in two pieces.
    fn in_pieces() -> Manifest {
        let mut manifest = example();
        let piece = |length: u64| Piece { length, digest: Digest::of(&length.to_le_bytes()) };
        manifest.files[0].pieces = vec![piece(4000), piece(98)];
        manifest
    }

    /// The same of an encrypted environment.
    fn encrypted() -> Manifest {
        let keyring = Some(Piece { length: 412, digest: Digest::of(b"keyring") });
        Manifest { keyring, ..in_pieces() }
    }

    #[test]
    fn a_manifest_survives_its_text() {
        let manifest = example();
        assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest.clone()));
        let cut = Cut { checkpoint: None, checkpoint_number: 0, journal_end: None, ..manifest.cut };
        let empty = Manifest { cut, files: Vec::new(), ..manifest };
        assert_eq!(Manifest::decode(&empty.encode()), Ok(empty));
        for manifest in [in_pieces(), encrypted()] {
            assert_eq!(Manifest::decode(&manifest.encode()), Ok(manifest));
        }
    }

    #[test]
    fn each_flipped_bit_and_each_truncation_is_refused() {
        let text = encrypted().encode();
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            if let Ok(flipped) = std::str::from_utf8(&bytes) {
                assert!(Manifest::decode(flipped).is_err(), "bit {bit}");
            }
        }
        for len in 0..text.len() {
            assert!(Manifest::decode(&text[..len]).is_err(), "length {len}");
        }
    }

    /// Replaces a text and makes the hash right again, as an attacker would.
    fn forged(from: &str, to: &str) -> String {
        forged_from(&example(), from, to)
    }

    fn forged_from(manifest: &Manifest, from: &str, to: &str) -> String {
        let text = manifest.encode();
        assert!(text.contains(from));
        let text = text.replacen(from, to, 1);
        let body = &text[..text.trim_end().rfind('\n').unwrap() + 1];
        format!("{body}blake3 {}\n", Digest::of(body.as_bytes()))
    }

    #[test]
    fn hostile_names_lengths_and_counts_are_refused() {
        assert!(Manifest::decode(&forged("timeline 00000001", "timeline 00000001")).is_ok());
        for (from, to) in [
            ("N-00000003.log", "../../etc/passwd"),
            ("N-00000003.log", "/etc/passwd"),
            ("N-00000003.log", "N-00000003.log/x"),
            ("N-00000003.log", "N-00000000.log"),
            ("N-00000003.log", "N-0000000A.log"),
            ("N-00000003.log", "J-00000001-00000002.log"),
            ("N-00000003.log 0 4099", "N-00000003.log 0 -1"),
            ("N-00000003.log 0 4099", "N-00000003.log 0 99999999999999999999"),
            ("N-00000003.log 0 4099", "N-00000003.log 70000 4099"),
            ("N-00000003.log 0 4099", "N-00000003.log  4099"),
            ("commit 77", "commit +77"),
            ("commit 77", "commit 077"),
            ("checkpoint 5", "checkpoint five"),
            ("next-file 00000009", "next-file 00000000"),
            ("library 0.1.0", "library 0.1.0\nlibrary 0.1.0"),
        ] {
            assert!(Manifest::decode(&forged(from, to)).is_err(), "{to}");
        }
    }

    #[test]
    fn pieces_that_are_not_the_file_are_refused() {
        let digest = Digest::of(&4000u64.to_le_bytes());
        let first = format!("piece 4000 {digest}\n");
        assert!(Manifest::decode(&forged_from(&in_pieces(), &first, &first)).is_ok());
        for (from, to) in [
            (&*first, ""),
            (&first, &*format!("{first}{first}")),
            (&first, &format!("{first}piece 0 {digest}\n")),
            ("piece 4000", "piece 3999"),
            ("piece 4000", "piece 4000 "),
            ("piece 98", "piece 18446744073709551615"),
            ("backup 2", "backup 1"),
            ("next-file 00000009\n", &format!("next-file 00000009\n{first}")),
        ] {
            assert!(Manifest::decode(&forged_from(&in_pieces(), from, to)).is_err(), "{to}");
        }
        assert!(Manifest::decode(&forged("backup 1", "backup 2")).is_err());
    }

    #[test]
    fn a_manifest_says_once_and_in_its_place_that_there_is_a_keyring() {
        let line = format!("keyring 412 {}\n", Digest::of(b"keyring"));
        assert!(Manifest::decode(&forged_from(&encrypted(), &line, &line)).is_ok());
        for (from, to) in [
            (&*line, ""),
            (&line, &*format!("{line}{line}")),
            ("backup 3", "backup 1"),
            ("backup 3", "backup 2"),
            ("keyring 412", "keyring 0412"),
            ("keyring 412", "keyring"),
            ("data-directories 3\n", &format!("{line}data-directories 3\n")),
        ] {
            assert!(Manifest::decode(&forged_from(&encrypted(), from, to)).is_err(), "{to}");
        }
        assert!(Manifest::decode(&forged("backup 1", "backup 3")).is_err());
    }
}
