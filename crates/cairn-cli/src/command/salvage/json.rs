//! What a salvage has read, for programs.

use std::path::Path;

use cairndb::{
    SalvageReport,
    backup::{ObjectName, RepositorySalvageReport},
    sql::SalvagedSqlFile,
};
use serde::Serialize;

use crate::{
    command::repair::{MissingJson, missing_json},
    text,
};

/// The report.
#[derive(Serialize)]
pub(super) struct SalvageJson<'a> {
    source: &'a Path,
    target: Option<&'a Path>,
    pub(super) complete: bool,
    /// Of a repository what was found there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) repository: Option<RepositoryJson<'a>>,
    files: Vec<FileJson<'a>>,
    databases: Vec<DatabaseJson<'a>>,
    missing: Vec<MissingJson>,
    substitutes: Vec<SubstituteJson<'a>>,
    apart: Vec<ApartJson>,
    sql_files: Vec<SqlFileJson<'a>>,
    notes: &'a [String],
    newest_commit: u64,
    bytes: u64,
    records: u64,
    keys: u64,
    versions: u64,
    pub(super) seconds: f64,
}

/// What was found in a repository.
#[derive(Serialize)]
pub(super) struct RepositoryJson<'a> {
    environment: String,
    timeline: Option<String>,
    objects: u64,
    bytes: u64,
    damaged: Vec<ObjectJson<'a>>,
    missing: Vec<MissingBytesJson<'a>>,
    points: Vec<PointJson<'a>>,
    left_aside: &'a [String],
    notes: &'a [String],
}

#[derive(Serialize)]
struct ObjectJson<'a> {
    object: String,
    problem: &'a str,
}

#[derive(Serialize)]
struct MissingBytesJson<'a> {
    file: &'a str,
    from: u64,
    to: u64,
}

/// Why a point cannot be restored, if that is so.
#[derive(Serialize)]
struct PointJson<'a> {
    point: u64,
    problem: Option<&'a str>,
}

impl<'a> RepositoryJson<'a> {
    pub(super) fn of(found: &'a RepositorySalvageReport) -> Self {
        let object = |(object, problem): (&ObjectName, &'a String)| ObjectJson {
            object: object.to_string(),
            problem,
        };
        let missing = found.missing.iter().flat_map(|(file, ranges)| {
            ranges.iter().map(|&(from, to)| MissingBytesJson { file, from, to })
        });
        let point = |(point, why): (&u64, &'a Option<String>)| PointJson {
            point: *point,
            problem: why.as_deref(),
        };
        Self {
            environment: found.environment.to_string(),
            timeline: found.timeline.map(|timeline| timeline.to_string()),
            objects: found.objects,
            bytes: found.bytes,
            damaged: found.damaged.iter().map(object).collect(),
            missing: missing.collect(),
            points: found.points.iter().map(point).collect(),
            left_aside: &found.left_aside,
            notes: &found.notes,
        }
    }
}

#[derive(Serialize)]
struct FileJson<'a> {
    file: &'a str,
    bytes: u64,
    records: u64,
    damaged: Vec<RangeJson<'a>>,
}

#[derive(Serialize)]
struct RangeJson<'a> {
    offset: u64,
    bytes: u64,
    problem: &'a str,
}

#[derive(Serialize)]
struct DatabaseJson<'a> {
    database: &'a str,
    naming: &'static str,
    kind: String,
    tree: u32,
    keys: u64,
    versions: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct SubstituteJson<'a> {
    database: &'a str,
    key_hex: String,
    by_commit: u64,
    lost_commit: u64,
    why: &'a str,
}

#[derive(Serialize)]
struct ApartJson {
    commit: u64,
    standing: &'static str,
    at: String,
    changes: u64,
}

#[derive(Serialize)]
struct SqlFileJson<'a> {
    file: &'a str,
    path: &'a Path,
    bytes: u64,
    complete: bool,
    missing: &'a [(u64, u64)],
    doubtful: &'a [(u64, u64)],
}

impl<'a> SalvageJson<'a> {
    pub(super) fn new(
        source: &'a Path,
        target: Option<&'a Path>,
        report: &'a SalvageReport,
        sql_files: &'a [SalvagedSqlFile],
    ) -> Self {
        let complete = report.is_complete() && sql_files.iter().all(SalvagedSqlFile::is_complete);
        let files = report.files.iter().map(|file| FileJson {
            file: &file.name,
            bytes: file.bytes,
            records: file.records,
            damaged: file
                .damaged
                .iter()
                .map(|range| RangeJson {
                    offset: range.offset,
                    bytes: range.len,
                    problem: &range.problem,
                })
                .collect(),
        });
        let databases = report.databases.iter().map(|one| DatabaseJson {
            database: &one.name,
            naming: one.naming.name(),
            kind: one.kind.to_string(),
            tree: one.tree,
            keys: one.keys,
            versions: one.versions,
            bytes: one.bytes,
        });
        let substitutes = report.substitutes.iter().map(|one| SubstituteJson {
            database: &one.database,
            key_hex: text::hex(&one.key),
            by_commit: one.commit,
            lost_commit: one.lost_commit,
            why: &one.why,
        });
        let apart = report.apart.iter().map(|one| ApartJson {
            commit: one.commit,
            standing: one.standing.name(),
            at: one.at.to_string(),
            changes: one.changes,
        });
        let sql_files = sql_files.iter().map(|one| SqlFileJson {
            file: &one.name,
            path: &one.path,
            bytes: one.bytes,
            complete: one.is_complete(),
            missing: &one.missing,
            doubtful: &one.doubtful,
        });
        Self {
            source,
            target,
            complete,
            repository: None,
            files: files.collect(),
            databases: databases.collect(),
            missing: report.missing.iter().map(missing_json).collect(),
            substitutes: substitutes.collect(),
            apart: apart.collect(),
            sql_files: sql_files.collect(),
            notes: &report.notes,
            newest_commit: report.newest_commit,
            bytes: report.bytes(),
            records: report.records(),
            keys: report.keys(),
            versions: report.versions(),
            seconds: 0.0,
        }
    }
}
