//! Transactions that are open at the same time, interleaved as the script says.

use cairn_env::{Durability, EnvError};

use super::{Process, Runner, commits::acknowledge, failed, lock};
use crate::{
    client::Client,
    operation::Act,
    problem::{Checked, Problem, Wrong},
    row::Row,
};

impl Runner<'_> {
    pub(super) fn client(&mut self, number: u8, act: &Act) -> Checked<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        if *act == Act::Begin {
            let since = lock(&self.book).expected.begun;
            let txn = process.env.begin_write().map_err(failed)?;
            process.clients.insert(number, Client::new(txn, since));
            return Ok(());
        }
        let Some(mut client) = process.clients.remove(&number) else { return Ok(()) };
        let done = match act {
            Act::Begin | Act::Abort => return Ok(()),
            Act::End(durability) => return self.end(client, *durability),
            Act::Get(database, key) => client.get(*database, *key),
            Act::Scan(database) => client.scan(*database),
            Act::Change(changes) => client.change(changes),
            Act::Save => {
                client.save();
                Ok(())
            }
            Act::Back => client.back(),
        };
        done.map_err(failed)?;
        process.clients.insert(number, client);
        Ok(())
    }

    /// Commits, and looks whether what the transaction has read is what was there before its commit.
    fn end(&mut self, client: Client, durability: Durability) -> Checked<()> {
        let disk = self.disk();
        let Some(Process { env, fresh, .. }) = &mut self.process else { return Ok(()) };
        let _doing = disk.operation(fresh.take().unwrap_or(Row::Concurrent).name());
        let (newest, since) = (lock(&self.book).expected.begun, client.since);
        let state = |commit| lock(&self.book).state(commit).clone();
        let unexplained = |story: String| Err(Problem::new(Wrong::Anomaly, story));
        if client.txn.is_unchanged() {
            if (since..=newest).any(|commit| client.is_explained_by(&state(commit))) {
                return Ok(());
            }
            return unexplained(format!(
                "no commit from {since} to {newest} explains what a reading transaction saw"
            ));
        }
        let is_explained = client.is_explained_by(&state(newest));
        let begun = lock(&self.book).begin(&client.changes);
        match client.txn.commit_with(durability) {
            Ok(done) if is_explained => {
                assert_eq!(done.commit, begun, "commits are numbered without gaps");
                acknowledge(&self.book, env, durability, begun).map_err(failed)?;
                self.committed(durability, &client.changes);
                Ok(())
            }
            Ok(_) => unexplained(format!("commit {begun} saw what commit {newest} did not leave")),
            Err(EnvError::Conflict { .. }) => {
                lock(&self.book).take_back();
                if since == newest {
                    return unexplained("a conflict, and nobody else has committed".into());
                }
                Ok(())
            }
            Err(error) => Err(failed(error)),
        }
    }
}
