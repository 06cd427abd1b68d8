//! `docs/cli.schema.json`: the JSON Schema of what each command prints with `--json`, taken from the sessions whose
//! transcripts are goldens. What a command prints is held against those, and so against the schema.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};

/// Commands of which no session shows what they print: they are groups of others, run until they are stopped, say what
/// differs each time, print a script, or (`repair`, `salvage`) are shown with damage, by tests of their own.
const NOT_SHOWN: &[&str] = &[
    "replica",
    "standby",
    "kv",
    "kv watch",
    "key",
    "archive",
    "repo",
    "repo keys",
    "repair",
    "salvage",
    "tour",
    "completions",
];

/// Members that are null in all sessions, and what they are otherwise.
const SELDOM: &[(&str, &str)] = &[
    ("archive create.databases.index_of", "string"),
    ("archive restore.databases.index_of", "string"),
    ("archive show.databases.index_of", "string"),
    ("checkpoint.number", "integer"),
    ("info.kept", "object"),
    ("info.recovery.older_checkpoint", "string"),
    ("info.recovery.torn_tail", "object"),
    ("key rotate.key.memory", "integer"),
    ("key rotate.key.passes", "integer"),
    ("kv query.index", "string"),
    ("log.damage", "string"),
    ("repo info.environments.timelines.after_point", "integer"),
    ("repo keys add.recovery_key", "string"),
    ("repo keys rotate.key.memory", "integer"),
    ("repo keys rotate.key.passes", "integer"),
    ("ship.gap", "string"),
    ("standby follow.hole", "string"),
    ("standby status.superseded_by", "string"),
];

/// Members that can be null, and are so in no session.
const SOMETIMES_NULL: &[&str] = &[
    "backups.tree_digest",
    "backups.proof.digests",
    "backups.proof.tree_digest",
    "prove.proof.digests",
    "prove.proof.tree_digest",
];

/// What values of one member look like.
#[derive(Default)]
struct Shape {
    types: BTreeSet<&'static str>,
    objects: usize,
    members: BTreeMap<String, (usize, Shape)>,
    items: Option<Box<Shape>>,
}

impl Shape {
    fn see(&mut self, value: &Value) {
        self.types.insert(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        });
        match value {
            Value::Array(items) => {
                let shape = self.items.get_or_insert_default();
                items.iter().for_each(|item| shape.see(item));
            }
            Value::Object(members) => {
                self.objects += 1;
                for (name, value) in members {
                    let (count, shape) = self.members.entry(name.clone()).or_default();
                    *count += 1;
                    shape.see(value);
                }
            }
            _ => {}
        }
    }

    fn schema(&self) -> Map<String, Value> {
        let mut schema = Map::new();
        // A whole number is a number.
        let is_whole = |name: &&&str| !(**name == "integer" && self.types.contains("number"));
        let types: Vec<_> = self.types.iter().filter(is_whole).collect();
        match &*types {
            [] => {}
            [only] => drop(schema.insert("type".into(), json!(only))),
            several => drop(schema.insert("type".into(), json!(several))),
        }
        if self.objects > 0 {
            let members = self.members.iter();
            let properties =
                members.map(|(name, (_, shape))| (name.clone(), shape.schema().into()));
            schema.insert("properties".into(), Value::Object(properties.collect()));
            let always = self.members.iter().filter(|(_, (count, _))| *count == self.objects);
            schema.insert("required".into(), always.map(|(name, _)| name.as_str()).collect());
        }
        if let Some(items) = &self.items {
            schema.insert("items".into(), Value::Object(items.schema()));
        }
        schema
    }

    /// Adds what members are that were null wherever they were seen; tells which are unknown.
    fn complete(&mut self, path: &str, unknown: &mut Vec<String>) {
        if self.types.iter().eq(["null"].iter()) {
            match SELDOM.iter().find(|(name, _)| *name == path) {
                Some((_, kind)) => drop(self.types.insert(kind)),
                None => unknown.push(path.to_owned()),
            }
        }
        self.items.iter_mut().for_each(|items| items.complete(path, unknown));
        for (name, (_, shape)) in &mut self.members {
            let path = format!("{path}.{name}");
            if SOMETIMES_NULL.contains(&&*path) {
                shape.types.insert("null");
            }
            shape.complete(&path, unknown);
        }
    }
}

/// A value in place of what the golden leaves out.
fn filled_in(line: &str) -> String {
    let mut line = line.to_owned();
    while let Some(at) = line.find(":…") {
        let name = line[..at].trim_end_matches('"').rsplit('"').next().unwrap();
        let value = match name {
            "value" => "0.5",
            name if name.ends_with("seconds") => "0.5",
            name if name.ends_with("bytes") || name == "records" => "0",
            _ => "\"\"",
        };
        line.replace_range(at..at + ":…".len(), &format!(":{value}"));
    }
    line
}

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/goldens")
}

fn golden(name: &str) -> String {
    fs::read_to_string(goldens().join(name)).unwrap()
}

/// All commands, as the help names them.
fn commands() -> BTreeSet<String> {
    let help = golden("help.txt");
    let lines = help.lines().filter_map(|line| line.strip_prefix("$ cairn help "));
    lines.map(str::to_owned).collect()
}

/// What each command prints, and errors under the name `error`.
fn shapes() -> BTreeMap<String, Shape> {
    let commands = commands();
    let mut shapes = BTreeMap::<String, Shape>::new();
    for entry in fs::read_dir(goldens()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.ends_with("json.txt") {
            continue;
        }
        let mut command = String::new();
        for line in golden(&name).lines() {
            if let Some(words) = line.strip_prefix("$ cairn ") {
                let words: Vec<_> = words.split(' ').collect();
                let named = [3, 2, 1].map(|count| words[..count.min(words.len())].join(" "));
                command =
                    named.into_iter().find(|name| commands.contains(name)).unwrap_or_default();
            } else if line.starts_with('{')
                && let Ok(value) = serde_json::from_str::<Value>(&filled_in(line))
            {
                let is_error = value.get("error").is_some_and(Value::is_object);
                let of = if is_error { "error".to_owned() } else { command.clone() };
                shapes.entry(of).or_default().see(&value);
            }
        }
    }
    shapes
}

#[test]
fn the_published_schema_is_of_what_commands_print() {
    let mut shapes = shapes();
    let mut definitions = Map::new();
    for (command, shape) in &mut shapes {
        shape.complete(command, &mut Vec::new());
        let mut schema = shape.schema();
        schema.insert("title".into(), json!(format!("cairn {command} --json")));
        definitions.insert(command.replace(' ', "-"), schema.into());
    }
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lines that the command cairn prints with --json, by command",
        "$defs": definitions,
    });
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.schema.json");
    if std::env::var_os("CAIRN_UPDATE_GOLDENS").is_some_and(|value| value == "1") {
        fs::write(path, text).unwrap();
        return;
    }
    assert!(
        fs::read_to_string(path).unwrap() == text,
        "`cargo xtask goldens` publishes the new schema"
    );
}

#[test]
fn every_command_has_a_schema_and_every_member_a_type() {
    let mut shapes = shapes();
    let not_shown: BTreeSet<_> = NOT_SHOWN.iter().map(|&name| name.to_owned()).collect();
    let shown: BTreeSet<_> = shapes.keys().cloned().collect();
    let missing: Vec<_> =
        commands().difference(&not_shown).filter(|name| !shown.contains(*name)).cloned().collect();
    assert_eq!(missing, Vec::<String>::new(), "no session shows what they print with --json");
    let mut unknown = Vec::new();
    shapes.iter_mut().for_each(|(command, shape)| shape.complete(command, &mut unknown));
    assert_eq!(unknown, Vec::<String>::new(), "members that were null wherever they were seen");
}
