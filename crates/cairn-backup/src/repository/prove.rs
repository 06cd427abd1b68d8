//! `Repository::prove`: a point is opened where it lies, and everything in it is read.

use std::{collections::BTreeMap, fmt};

use cairn_archive::{DatabaseTotals, database_totals};
use cairn_env::{Environment, Options, VerifyOptions};
use cairn_log::{Digest, Uuid};

use super::{
    CheckLevel, ObjectName, Opened, Point, Proof, Repository, Which, check::other_trees,
    store::MAX_POINT, view,
};
use crate::{
    BackupResult, Progress, RestoreOptions,
    progress::{Counter, Report},
    restore::Source,
    tell,
};

/// What else is to be so in what a point holds: `Err` says what is wrong.
pub type AlsoCheck<'a> = &'a (dyn Fn(&Environment) -> Result<(), String> + Send + Sync);

/// How a point is proved.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct ProveOptions<'a> {
    /// With which options it is opened; among them the key of an encrypted environment.
    pub options: Options,
    /// Whether no proof is to be stored in the repository.
    pub skip_record: bool,
    /// Called with the environment that the point holds, open for reading, when all of it was found to be right: for
    /// what only an application knows.
    pub also: Option<AlsoCheck<'a>>,
    /// Called from time to time.
    pub progress: Report<'a>,
}

impl<'a> ProveOptions<'a> {
    /// Sets [`ProveOptions::options`](ProveOptions#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Stores no proof: for a repository that must not be written.
    #[must_use]
    pub const fn skip_record(mut self, skip: bool) -> Self {
        self.skip_record = skip;
        self
    }

    /// Sets [`ProveOptions::also`](ProveOptions#structfield.also).
    #[must_use]
    pub const fn also(mut self, check: AlsoCheck<'a>) -> Self {
        self.also = Some(check);
        self
    }

    /// Reports progress.
    #[must_use]
    pub fn progress(mut self, progress: &'a (dyn Fn(Progress) + Send + Sync)) -> Self {
        self.progress = Some(progress);
        self
    }
}

impl fmt::Debug for ProveOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { options, skip_record, also, .. } = self;
        f.debug_struct("ProveOptions")
            .field("options", options)
            .field("skip_record", skip_record)
            .field("also", &also.is_some())
            .finish_non_exhaustive()
    }
}

/// What proving a point found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ProveReport {
    /// The number of the point.
    pub number: u64,
    /// Its environment.
    pub environment: Uuid,
    /// The commit that it holds.
    pub commit: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// What is wrong with it, all of it. Then no proof is stored.
    pub findings: Vec<String>,
    /// What is proved, if nothing is wrong.
    pub proof: Option<Proof>,
}

impl Repository {
    /// Proves that a point can be restored, without restoring it: every file is compared with its hash, the point is
    /// opened where it lies ([`open_backup`](Self::open_backup)), its journal is replayed in memory, all trees and large
    /// values are read, its trees are compared with the [tree digest](Point#structfield.tree_digest) that the environment
    /// knew, and the totals of its databases with those of the first proof. What was found is
    /// then recorded in the repository, which is all that is written anywhere; [`points`](Self::points) shows it.
    ///
    /// ```
    /// use cairn_backup::{PointOptions, PointState, ProveOptions, Repository, Which};
    /// # use cairn_env::{DatabaseOptions, Environment, Options};
    /// # let dir = tempfile::tempdir().unwrap();
    /// # let repository = Repository::create(dir.path().join("repo"))?;
    /// # let (env, _) = Environment::in_memory(Options::default())?;
    /// # let users = env.database("users", DatabaseOptions::default())?;
    /// # env.write(|txn| txn.put(&users, b"ada", b"1815"))?;
    /// repository.backup(&env, &PointOptions::default())?;
    /// assert_eq!(repository.points(None)?[0].state(), PointState::Copied);
    ///
    /// let report = repository.prove(None, &Which::Newest, &ProveOptions::default())?;
    /// assert!(report.findings.is_empty());
    /// assert_eq!(repository.points(None)?[0].state(), PointState::Proved);
    /// # Ok::<(), cairn_backup::BackupError>(())
    /// ```
    ///
    /// # Errors
    /// As [`restore`](Self::restore) before it writes: [`BackupError::Object`](crate::BackupError::Object) for an object that is damaged or missing,
    /// and of the key. What is wrong with the content of whole files is a finding.
    pub fn prove(
        &self,
        environment: Option<Uuid>,
        which: &Which,
        options: &ProveOptions<'_>,
    ) -> BackupResult<ProveReport> {
        let (number, point) = self.find(environment, which)?;
        self.prove_point(number, &point, options)
    }

    pub(super) fn prove_point(
        &self,
        number: u64,
        point: &Point,
        options: &ProveOptions<'_>,
    ) -> BackupResult<ProveReport> {
        let began = self.world.monotonic();
        let (environment, commit) = (point.cut.environment, point.cut.commit);
        let bytes = point.bytes();
        let of =
            Digest::of(&self.store.whole(ObjectName::Point { environment, number }, MAX_POINT)?);
        let (opened, findings) = self.look(number, point, of, options).map_err(view::surface)?;
        let mut report = ProveReport { number, environment, commit, bytes, findings, proof: None };
        let place = || tell::display(self.store.backend.place());
        if !report.findings.is_empty() {
            tell::not_proved(place(), number, report.findings.len() as u64);
            return Ok(report);
        }
        let took = self.world.monotonic().saturating_sub(began);
        let proof = Proof { opened: Some(opened), ..self.proof(CheckLevel::Open, took) };
        if !options.skip_record {
            self.store.put_proof(environment, number, of, &proof)?;
        }
        report.proof = Some(proof);
        tell::proved(place(), number, commit);
        Ok(report)
    }

    /// What is in a point, and what is wrong with it.
    fn look(
        &self,
        number: u64,
        point: &Point,
        of: Digest,
        options: &ProveOptions<'_>,
    ) -> BackupResult<(Opened, Vec<String>)> {
        self.check_present(point)?;
        let environment = point.cut.environment;
        let path = self.point_path(environment, number);
        let how = RestoreOptions::default().options(options.options.clone());
        let source =
            Source::preflight(view::open(&self.store, &path, point.clone()), &self.world, &how)?;
        let counter = Counter::new(point.bytes(), options.progress);
        source.read_all(&counter)?;
        counter.end();
        let (env, _) = source.open(&self.world, &how)?;
        let report = env.verify(&VerifyOptions::new())?;
        let mut findings: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        let mut opened = Opened {
            databases: report.databases,
            entries: report.entries,
            nodes: report.nodes,
            values: report.values,
            totals: None,
            tree_digest: report.tree_digest,
        };
        if !findings.is_empty() {
            return Ok((opened, findings));
        }
        let known = self.store.proofs(environment)?.into_iter().filter_map(|read| {
            let is_its = (read.point, read.of) == (number, of);
            Some((read.proof.made, read.proof.opened.filter(|_| is_its)?))
        });
        let known = known.min_by_key(|(made, _)| *made).map(|(_, opened)| opened);
        let known = known.unwrap_or_default();
        match (point.tree_digest.or(known.tree_digest), opened.tree_digest) {
            (Some(said), Some(found)) if said != found => findings.push(other_trees(said, found)),
            (Some(_), None) => findings.push("it has a tree digest, and no checkpoint".into()),
            _ => {}
        }
        if point.databases.is_some() {
            let (snapshot, mut totals) = (env.snapshot()?, Vec::new());
            for database in snapshot.databases()? {
                totals.push((database.name().to_owned(), database_totals(&snapshot, &database)?));
            }
            totals.sort_by(|one, other| one.0.cmp(&other.0));
            if let Some(known) = known.totals {
                findings.extend(differences(&known, &totals));
            }
            opened.totals = Some(totals);
        }
        if let Some(Err(what)) = options.also.map(|also| also(&env)) {
            findings.push(what);
        }
        Ok((opened, findings))
    }

    /// A proof that is made now.
    pub(super) fn proof(&self, level: CheckLevel, took: std::time::Duration) -> Proof {
        Proof {
            level,
            made: self.world.wall().0,
            took: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            library: env!("CARGO_PKG_VERSION").into(),
            opened: None,
        }
    }
}

/// How databases differ from what they were when the point was proved first.
fn differences(
    first: &[(String, DatabaseTotals)],
    now: &[(String, DatabaseTotals)],
) -> Vec<String> {
    let mut all = BTreeMap::<_, [Option<DatabaseTotals>; 2]>::new();
    first.iter().for_each(|(name, totals)| all.entry(name).or_default()[0] = Some(*totals));
    now.iter().for_each(|(name, totals)| all.entry(name).or_default()[1] = Some(*totals));
    let shown = |totals: Option<DatabaseTotals>| match totals {
        None => "nothing".to_owned(),
        Some(DatabaseTotals { entries, bytes, digest, .. }) => {
            format!("{entries} entries of {bytes} bytes, digest {digest}")
        }
    };
    let others = all.into_iter().filter(|(_, [first, now])| first != now);
    let told = others.map(|(name, [first, now])| {
        let (first, now) = (shown(first), shown(now));
        format!("database {name:?} holds {now}; when the point was proved first it was {first}")
    });
    told.collect()
}
