//! Offered: a transaction of the environment that the next commit of SQLite's in this thread takes along, so that both
//! are one commit.

use std::cell::RefCell;

use cairn_env::Transaction;

use super::Files;

thread_local! {
    static OFFERED: RefCell<Option<(*const Files, Transaction)>> = const { RefCell::new(None) };
}

/// Offers a transaction of the environment of `files`, until what is returned is dropped or asked for it.
pub(crate) fn offer(files: &Files, txn: Transaction) -> Offer {
    OFFERED.set(Some((std::ptr::from_ref(files), txn)));
    Offer(())
}

/// A transaction that is offered.
pub(crate) struct Offer(());

impl Offer {
    /// The transaction, if no commit has taken it.
    pub(crate) fn left(self) -> Option<Transaction> {
        OFFERED.take().map(|(_, txn)| txn)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        drop(OFFERED.take());
    }
}

/// What was offered for a commit of these files.
pub(super) fn take(files: &Files) -> Option<Transaction> {
    OFFERED.with_borrow_mut(|offered| {
        let found = offered.take_if(|(of, _)| std::ptr::eq(*of, files));
        found.map(|(_, txn)| txn)
    })
}
