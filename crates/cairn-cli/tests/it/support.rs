//! Running the command in a directory of its own, and comparing what it prints with a golden.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use cairndb::{DatabaseOptions, Environment, Options, VerifyOptions};
use tempfile::TempDir;

pub(crate) type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Ran {
    /// Standard output, which is text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// The same, if all was well.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }
}

/// A directory in which commands run.
pub(crate) struct Dir(TempDir);

impl Dir {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The command with these arguments, not yet started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cairn"));
        command.args(args).current_dir(self.0.path()).env("TMPDIR", self.0.path());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, b"")
    }

    /// As `run`, with this on standard input.
    pub(crate) fn run_with(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = thread::scope(|scope| {
            // A command that fails early does not read its input.
            scope.spawn(move || stdin.write_all(input).unwrap_or_default());
            child.wait_with_output().unwrap()
        });
        let err = String::from_utf8(output.stderr).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: output.stdout, err }
    }

    /// An environment that holds these entries.
    pub(crate) fn environment(&self, name: &str, entries: &Entries) {
        fs::create_dir_all(self.path(name)).unwrap();
        let (env, _) = Environment::open(self.path(name), Options::default()).unwrap();
        let database = env.database("main", DatabaseOptions::default()).unwrap();
        env.write(|txn| entries.iter().try_for_each(|(key, value)| txn.put(&database, key, value)))
            .unwrap();
        env.close().unwrap();
    }

    /// What an environment holds, which is verified.
    pub(crate) fn entries(&self, name: &str) -> Entries {
        let options = Options::default().read_only(true);
        let (env, _) = Environment::open(self.path(name), options).unwrap();
        let report = env.verify(&VerifyOptions::new()).unwrap();
        assert!(report.findings.is_empty(), "{:?}", report.findings);
        let snapshot = env.snapshot().unwrap();
        let database = snapshot.database("main").unwrap().unwrap();
        let entries = snapshot.iter(&database).unwrap().map(Result::unwrap);
        entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    /// Every file below a directory with its content, locks left out.
    pub(crate) fn files(&self, name: &str) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut dirs = vec![self.path(name)];
        while let Some(dir) = dirs.pop() {
            for entry in fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    dirs.push(path);
                } else if !["LOCK", "PROTECTOR"]
                    .map(Some)
                    .contains(&path.file_name().unwrap().to_str())
                {
                    let content = fs::read(&path).unwrap();
                    files.insert(path, content);
                }
            }
        }
        files
    }
}

/// What was called, printed and returned, as a terminal would show it.
pub(crate) struct Session {
    pub(crate) dir: Dir,
    json: bool,
    transcript: String,
}

impl Session {
    /// With `json` each call gets this option.
    pub(crate) fn new(json: bool) -> Self {
        Self { dir: Dir::new(), json, transcript: String::new() }
    }

    pub(crate) fn run(&mut self, line: &str) {
        self.run_with(line, b"");
    }

    pub(crate) fn run_with(&mut self, line: &str, input: &[u8]) {
        let line = if self.json { format!("{line} --json") } else { line.to_owned() };
        // A `·` is a space within an argument.
        let args: Vec<_> = line.split(' ').map(|arg| arg.replace('·', " ")).collect();
        let ran = self.dir.run_with(&args.iter().map(String::as_str).collect::<Vec<_>>(), input);
        let shown = args.iter().map(|arg| match arg.contains(' ') {
            true => format!("\"{arg}\""),
            false => arg.clone(),
        });
        let shown = shown.collect::<Vec<_>>().join(" ");
        self.transcript.push_str(&format!("$ cairn {shown}\n"));
        for text in [ran.text(), &ran.err] {
            self.transcript.push_str(&redact(text, self.dir.0.path()));
            if !text.is_empty() && !text.ends_with('\n') {
                self.transcript.push('\n');
            }
        }
        if ran.code != 0 {
            self.transcript.push_str(&format!("exit code {}\n", ran.code));
        }
        self.transcript.push('\n');
    }

    /// Removes a directory, as `rm -r` does.
    pub(crate) fn remove(&mut self, path: &str) {
        fs::remove_dir_all(self.dir.path(path)).unwrap();
        self.transcript.push_str(&format!("$ rm -r {path}\n\n"));
    }

    /// Makes a key file, as `openssl rand` does.
    pub(crate) fn key_file(&mut self, name: &str) {
        let digest = cairn_log::Digest::of(name.as_bytes()).to_string();
        self.dir.write(name, digest);
        let only_mine = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(self.dir.path(name), only_mine).unwrap();
        let line = format!("$ (umask 077; openssl rand -hex 32 > {name})\n\n");
        self.transcript.push_str(&line);
    }

    /// A text as the transcript would have it.
    pub(crate) fn redact(&self, text: &str) -> String {
        redact(text, self.dir.0.path())
    }

    pub(crate) fn transcript(&self) -> &str {
        &self.transcript
    }

    /// Compares the transcript with a golden.
    pub(crate) fn compare(self, name: &str) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/goldens").join(name);
        if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some_and(|value| value == "1") {
            fs::write(path, self.transcript).unwrap();
            return;
        }
        let golden = fs::read_to_string(&path).unwrap_or_default();
        for (number, (was, is)) in (1..).zip(golden.lines().zip(self.transcript.lines())) {
            assert_eq!(
                is, was,
                "{name}, line {number}: `cargo xtask goldens` accepts the new text"
            );
        }
        assert_eq!(self.transcript.len(), golden.len(), "{name}: `cargo xtask goldens`");
    }
}

/// The text without what differs from run to run: places, times, rates, uuids, digests, and how many records
/// were verified: a log that waits for its disk has one more, its watermark.
fn redact(text: &str, dir: &Path) -> String {
    let text = text.replace(dir.canonicalize().unwrap().to_str().unwrap(), "DIR");
    let text = text.replace(dir.to_str().unwrap(), "DIR");
    let lines = text.split('\n').map(|line| match line.strip_prefix('{') {
        Some(_) => redact_json(line),
        None => redact_words(line),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn redact_json(line: &str) -> String {
    const MEMBERS: [&str; 21] = [
        "follows",
        "superseded",
        "seconds",
        "rto_seconds",
        "rpo_seconds",
        "uuid",
        "environment",
        "time",
        "created",
        "made",
        "since",
        "timeline",
        "archive_bytes",
        "records",
        "new_bytes",
        "stored_bytes",
        "kept_bytes",
        "taken_bytes",
        "journal_bytes",
        "going_bytes",
        "until",
    ];
    // Of files with watermarks in them, and of what is compressed.
    const SIZED: [&str; 10] = [
        "\"verified\":\"environment\"",
        "\"generations\":",
        "\"unused_bytes\":",
        "\"kept_bytes\":",
        "\"stored_bytes\":",
        "\"kept_generation\":",
        "\"since\":",
        "\"findings\":",
        "\"until\":",
        "\"html\":",
    ];
    let mut line = line.to_owned();
    let bytes = SIZED.iter().any(|sized| line.contains(sized)).then_some("bytes");
    let value = is_varying_metric(&line).then_some("value");
    for member in MEMBERS.into_iter().chain(bytes).chain(value) {
        let name = format!("\"{member}\":");
        let mut from = 0;
        while let Some(at) = line[from..].find(&name) {
            let value = from + at + name.len();
            let end = value + line[value..].find([',', '}']).unwrap();
            line.replace_range(value..end, "…");
            from = value;
        }
    }
    redact_words(&line)
}

/// Whether a line has a figure of `cairn metrics` that is a time or a size.
fn is_varying_metric(line: &str) -> bool {
    let is_metric = line.starts_with("cairn_") || line.starts_with("{\"metric\":");
    let name = line.split(['{', ' ', ',']).find(|part| part.contains("cairn_"));
    let ends = |name: &str| {
        ["_seconds", "_bytes"].iter().any(|unit| name.trim_end_matches('"').ends_with(unit))
    };
    is_metric && name.is_some_and(ends)
}

/// Whether sizes in a line are of files that have one record more if their log had to wait: its watermark.
fn has_watermarks(line: &str) -> bool {
    let begins = [
        "history  ",
        "backed up commit",
        "point ",
        "data: point ",
        "restored commit",
        "data opens;",
    ];
    begins.iter().any(|begin| line.starts_with(begin)) || line.contains(": backup of commit")
}

fn redact_words(line: &str) -> String {
    let line = match line.rsplit_once(' ') {
        Some((figure, _)) if is_varying_metric(line) => &format!("{figure} VALUE"),
        _ => line,
    };
    // What random uuids are compressed to: `1915 of 3800 bytes would go`.
    let line = match line.split_once(" bytes would go") {
        Some((before, after)) => {
            let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
            let (of, _) = before.split_at(digits(before));
            let going = of.trim_end_matches(" of ");
            let (before, _) = going.split_at(digits(going));
            &format!("{before}SIZE of SIZE bytes would go{after}")
        }
        None => line,
    };
    let words: Vec<_> = line.split(' ').collect();
    let mut redacted: Vec<String> = Vec::new();
    let mut i = 0;
    while i < words.len() {
        let word = words[i];
        let core = |word: &str| word.trim_matches(|c| "(),;:\"}".contains(c)).to_owned();
        let (this, next) = (core(word), words.get(i + 1).map_or(String::new(), |word| core(word)));
        let number = this.parse::<f64>().is_ok();
        if number && ["µs", "ms", "s"].contains(&&*next) {
            let end = words[i + 1].trim_start_matches(&*next);
            redacted.push(word.replace(&this, "TIME") + end);
            i += 1;
        } else if number && next.ends_with("/s") {
            let end = words[i + 1].trim_start_matches(&*next);
            redacted.push(word.replace(&this, "RATE") + end);
            i += 1;
        } else if number && next.ends_with('B') && has_watermarks(line) {
            let end = words[i + 1].trim_start_matches(&*next);
            redacted.push(word.replace(&this, "SIZE") + end);
            i += 1;
        } else if number
            && words.get(i + 2).is_some_and(|word| word.trim_end_matches([',', ';']) == "stored")
        {
            // What random uuids are compressed to.
            redacted.push("SIZE".into());
            i += 1;
        } else if number && words.get(i + 1) == Some(&"records,") {
            redacted.push(word.replace(&this, "COUNT"));
        } else if this.len() == 10 && this.split('-').all(|part| part.parse::<u16>().is_ok()) {
            // The time of day follows, and UTC with whatever stands behind it.
            let end = words.get(i + 2).map_or("", |word| word.trim_start_matches("UTC"));
            redacted.push(word.replace(&this, "DATE") + end);
            i += 2;
        } else if let Some(instant) = instant(word) {
            redacted.push(word.replace(instant, "DATE"));
        } else if this == "timeline" && is_random(&next) {
            let after = words[i + 1].replace(&next, "TIMELINE");
            redacted.extend([word.to_owned(), after]);
            i += 1;
        } else if let Some(long) = this.split(['"', '=', '/']).find(|text| is_hex(text)) {
            redacted.push(word.replace(long, if long.len() == 64 { "DIGEST" } else { "UUID" }));
        } else {
            redacted.push(word.to_owned());
        }
        i += 1;
    }
    redacted.join(" ")
}

/// A time as the message of an error has it.
fn instant(word: &str) -> Option<&str> {
    let found = word.get(word.find(|c: char| c.is_ascii_digit())?..=word.find('Z')?)?;
    // Those of the sessions themselves are always the same.
    let is_own =
        ["2000-", "2999-", "2026-05-04T10:30:00Z"].iter().any(|year| found.starts_with(year));
    (found.len() >= 20 && found.as_bytes()[10] == b'T' && !is_own).then_some(found)
}

/// Whether this is the number of a timeline after the first.
fn is_random(text: &str) -> bool {
    text.len() == 8 && u32::from_str_radix(text, 16).is_ok_and(|timeline| timeline > 1)
}

fn is_hex(text: &str) -> bool {
    [32, 64].contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
