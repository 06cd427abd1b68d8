//! `Databases`: which trees there are, and what each is called or was.

use std::collections::{BTreeMap, BTreeSet};

use cairn_btree::TreeId;

use super::{
    Naming, SalvageOptions, SalvagedDatabase, Standing,
    ground::{Back, Ground},
    options::Meter,
    window::{Content, Wanted, Window},
};
use crate::{
    Database, DatabaseKind, EnvResult, Missing, RepairReport,
    database::{MAX_NAME_LEN, NAMES},
    descriptor::Descriptor,
    repair::{build, missing},
};

/// Which trees there are, and what each is called or was.
#[derive(Default)]
pub(super) struct Databases {
    found: BTreeMap<TreeId, (SalvagedDatabase, Option<Database>)>,
    /// Their entries follow from those of others.
    indexes: BTreeSet<TreeId>,
}

impl Databases {
    /// Those of today as a repair finds them, and what is left of the names of others.
    pub(super) fn find(
        ground: &Ground,
        what: &SalvageOptions<'_>,
        meter: &mut Meter<'_>,
        found: &mut RepairReport,
    ) -> EnvResult<Self> {
        let mut this = Self::default();
        let names = build::names(&ground.source, &ground.commits, &ground.trees, found)?;
        missing::list(&ground.commits, &ground.trees, &names, found);
        for tree in names.trees() {
            let (known, name) = (names.database(tree), names.shown(tree));
            let naming = if known.is_some() { Naming::Current } else { Naming::Lost };
            if naming == Naming::Lost {
                found.missing.push(Missing::Name { database: name.clone() });
            }
            this.add(tree, name, naming, known);
        }
        for (tree, (_, database)) in former_names(ground, what.memory, meter, found)? {
            match database {
                None => drop(this.indexes.insert(tree)),
                Some(known) if !this.found.contains_key(&tree) => {
                    this.add(tree, known.name().to_owned(), Naming::Former, Some(&known));
                }
                Some(_) => {}
            }
        }
        Ok(this)
    }

    fn add(&mut self, tree: TreeId, name: String, naming: Naming, known: Option<&Database>) {
        self.found.insert(tree, (shown(tree, name, naming, known), known.cloned()));
    }

    /// The trees whose entries are handed out.
    pub(super) fn wanted(&self, what: &SalvageOptions<'_>) -> Wanted {
        let is_called_so = |shown: &SalvagedDatabase| {
            what.database.as_ref().is_none_or(|name| *name == shown.name)
                && (what.all_versions || shown.naming != Naming::Former)
        };
        let trees = self.found.iter().filter(|(_, (shown, _))| is_called_so(shown));
        let trees = trees.map(|(tree, _)| *tree).collect();
        let is_all = what.all_versions && what.database.is_none();
        Wanted { trees: (!is_all).then_some(trees), except: self.indexes.clone(), keys: None }
    }

    /// Those that an environment has today and that are asked for.
    pub(super) fn of_today(
        &self,
        wanted: &Wanted,
    ) -> impl Iterator<Item = (TreeId, &str, Option<&Database>)> {
        let of_today = |tree: TreeId, shown: &SalvagedDatabase| {
            wanted.has_tree(tree) && shown.naming != Naming::Former
        };
        let found = self.found.iter().filter(move |(tree, (shown, _))| of_today(**tree, shown));
        found.map(|(tree, (shown, known))| (*tree, &shown.name[..], known.as_ref()))
    }

    /// The database that a tree is.
    pub(super) fn of(&mut self, tree: TreeId) -> &mut SalvagedDatabase {
        let nameless = || {
            let name = format!("recovered-tree-{}", tree.0);
            (shown(tree, name, Naming::Lost, None), None)
        };
        &mut self.found.entry(tree).or_insert_with(nameless).0
    }

    /// Those that anything was handed out of, and those of today that are asked for.
    pub(super) fn end(self, wanted: &Wanted) -> Vec<SalvagedDatabase> {
        let found = self.found.into_iter().filter(|(tree, (shown, _))| {
            shown.versions > 0 || wanted.has_tree(*tree) && shown.naming != Naming::Former
        });
        let mut found: Vec<_> = found.map(|(_, (shown, _))| shown).collect();
        found.sort_by(|a, b| (&a.name, a.tree).cmp(&(&b.name, b.tree)));
        found
    }
}

/// A database of which nothing is handed out so far.
fn shown(tree: TreeId, name: String, naming: Naming, known: Option<&Database>) -> SalvagedDatabase {
    let kind = known.map_or(DatabaseKind::Map, Database::kind);
    SalvagedDatabase { name, naming, kind, tree: tree.0, keys: 0, versions: 0, bytes: 0 }
}

/// What each tree was called last, as far as anything tells, and the commit that says so; `None` for an index.
fn former_names(
    ground: &Ground,
    memory: usize,
    meter: &mut Meter<'_>,
    found: &mut RepairReport,
) -> EnvResult<BTreeMap<TreeId, (u64, Option<Database>)>> {
    let wanted = Wanted { trees: Some([NAMES].into()), ..Wanted::default() };
    let mut names: BTreeMap<TreeId, (u64, Option<Database>)> = BTreeMap::new();
    let mut low = Some((NAMES, Vec::new()));
    while let Some(from) = low {
        let mut window = Window::new(&wanted, from, memory);
        meter.expect(ground.bytes());
        ground.ask(Back::ToBeginning, true, &mut window, meter, found)?;
        let (held, next) = window.end();
        for ((_, name), statements) in held {
            let Ok(name) = String::from_utf8(name) else { continue };
            let counts = |standing| matches!(standing, Standing::Committed | Standing::Unproven);
            for said in statements.into_iter().filter(|said| counts(said.standing)) {
                let Content::Here(bytes) = said.content else { continue };
                let Ok(descriptor) = Descriptor::decode(&name, &bytes) else { continue };
                let tree = descriptor.database.tree;
                if name.len() > MAX_NAME_LEN
                    || names.get(&tree).is_some_and(|(commit, _)| *commit > said.commit)
                {
                    continue;
                }
                let database = descriptor.index.is_none().then_some(descriptor.database);
                names.insert(tree, (said.commit, database));
            }
        }
        low = next;
    }
    Ok(names)
}
