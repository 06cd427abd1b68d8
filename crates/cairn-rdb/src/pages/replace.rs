//! Replace: a file that has taken the place of another one is made one that no connection takes for that.

use cairn_env::{Database, EnvError, EnvResult, ExclusiveTransaction};

use super::{
    Head, delta,
    header::Header,
    layout::{CHUNK, HEAD, STAMP, base_key, delta_key},
};

/// Sets the counters of a new file above those of the one `before` it: SQLite goes by them when it decides whether
/// what it remembers of a file, and of its schema, still holds.
///
/// # Errors
/// [`EnvError::InvalidInput`] if what has taken the place is no SQL file.
pub(crate) fn outrun(
    txn: &mut ExclusiveTransaction,
    database: &Database,
    before: Head,
) -> EnvResult<Head> {
    let refused = |why: &str| {
        let what = format!("what is to become {:?} is no SQL file: {why}", database.name());
        EnvError::InvalidInput { what }
    };
    let head = txn.get(database, HEAD)?.ok_or_else(|| refused("it has no head"))?;
    let mut head = Head::decode(&head).map_err(refused)?;
    let change = head.change.max(before.change) + 1;
    head.change = change;
    if head.len > 0 {
        let stored =
            txn.get(database, &base_key(0))?.ok_or_else(|| refused("it has no beginning"))?;
        let Some((stamp, image)) = stored.split_first_chunk::<STAMP>() else {
            return Err(refused("its beginning is cut"));
        };
        let mut image = match image.len() {
            0 => vec![0; CHUNK],
            CHUNK => image.to_vec(),
            _ => return Err(refused("its beginning has another length")),
        };
        if let Some(changes) = txn.get(database, &delta_key(0))? {
            delta::apply(u64::from_le_bytes(*stamp), &mut image, &changes).map_err(refused)?;
            txn.delete(database, &delta_key(0))?;
        }
        let counter = head.counter.max(before.counter);
        let cookie = head.cookie.max(before.cookie);
        let mut header = Header(image);
        header.outrun(counter, cookie);
        head.count(Header(&header.0[..]));
        let stored = [&change.to_le_bytes()[..], &header.0].concat();
        txn.put(database, &base_key(0), &stored)?;
    }
    txn.put(database, HEAD, &head.encode())?;
    Ok(head)
}
