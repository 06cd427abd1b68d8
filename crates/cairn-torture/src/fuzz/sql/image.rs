//! `sql_image`: any bytes as a SQL file, and damage to the entries that a SQL file lies in, with all checksums right.

use std::sync::OnceLock;

use cairn_env::{Database, DatabaseOptions, EnvResult, Environment};
use cairn_io::MemDisk;
use cairn_rdb::{Access, SqliteConnections, rusqlite::Connection};
use cairn_sim::Image;

use super::{FILE, connect, open, verify};

/// See the page on the format of SQL files.
const DATABASE: &str = "sql/a.db";
const CHUNK: usize = 4096;
/// A file nearby that nobody damages.
const OTHER: &str = "b.db";

/// What a file holds: rows that fill leaves and branches, long ones, an index, a table without row ids.
const CONTENT: &str = "
    CREATE TABLE t (id INTEGER PRIMARY KEY, grp, text);
    CREATE INDEX g ON t (grp);
    CREATE TABLE w (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID;
    INSERT INTO t WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20)
        SELECT n, n % 3, 'row ' || n FROM s;
    INSERT INTO t VALUES (50, 1, hex(zeroblob(800)));
    INSERT INTO w SELECT grp, id FROM t;
    CREATE VIEW v AS SELECT count(*) FROM t WHERE text LIKE 'row%';
    CREATE TRIGGER r AFTER DELETE ON w BEGIN DELETE FROM t WHERE id = old.b; END;
    DELETE FROM t WHERE id = 7;";

/// What is tried with whatever the file is.
const STATEMENTS: [&str; 15] = [
    // A file may claim to have four thousand million pages. SQLite believes it after `ROLLBACK TO`, and its check
    // takes a bit for each.
    "PRAGMA hard_heap_limit = 134217728",
    "PRAGMA quick_check(5)",
    "SELECT * FROM sqlite_schema",
    "SELECT * FROM t",
    "SELECT * FROM t WHERE grp = 1 ORDER BY text DESC",
    "SELECT * FROM w, v",
    "INSERT INTO t VALUES (NULL, 1, hex(zeroblob(3000)))",
    "UPDATE t SET grp = grp + 1",
    "DELETE FROM w WHERE a = 1",
    "SAVEPOINT s",
    "CREATE TABLE more (x UNIQUE)",
    "ROLLBACK TO s",
    "REINDEX",
    "VACUUM",
    "PRAGMA integrity_check(5)",
];

/// The first byte chooses. Even: what follows is the file. Odd: a sound file is written, then each six bytes are a
/// damage to one of its entries, the head included.
///
/// Every statement ends, with rows or an error; the environment stays what it was, and another file of it whole.
///
/// # Panics
/// If it is otherwise.
pub fn sql_image(input: &[u8]) {
    static SOUND: OnceLock<Image> = OnceLock::new();
    let sound = SOUND.get_or_init(|| sound().expect("nothing is wrong with the disk"));
    let Some((choice, rest)) = input.split_first() else { return };
    let disk = sound.to_mem();
    let env = open(&disk);
    let planted = if choice % 2 == 0 { plant(&env, rest) } else { damage(&env, rest) };
    planted.expect("nothing is wrong with the environment");
    for _ in 0..2 {
        // A file may be so damaged that no connection to it can be made ready.
        let Ok(connection) = connect(&env) else { continue };
        for sql in STATEMENTS {
            connection.run(sql).unwrap_or_default(); // or an error
        }
    }
    assert!(env.is_valid());
    let other = env.sqlite_connection(OTHER, Access::ReadOnly).expect("nobody has damaged it");
    let count = other.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0));
    assert_eq!(count, Ok(20));
    drop(other);
    verify(&env);
    env.close().expect("nobody else has it");
}

/// An environment with two sound files.
fn sound() -> Result<Image, Box<dyn std::error::Error>> {
    let disk = MemDisk::new();
    let env = open(&disk);
    for name in [FILE, OTHER] {
        let connection = env.sqlite_connection(name, Access::Create)?;
        connection.execute_batch(CONTENT)?;
        // Few bytes at a time, so that there are deltas.
        connection.execute_batch("UPDATE t SET grp = 2 WHERE id = 3; PRAGMA user_version = 3")?;
    }
    env.close()?;
    Ok(Image::of(&disk))
}

type Entry = (Vec<u8>, Vec<u8>);

/// What the file lies in: each key with its value.
fn entries(env: &Environment) -> EnvResult<(Database, Vec<Entry>)> {
    let database = env.database(DATABASE, DatabaseOptions::default())?;
    let mut entries = Vec::new();
    let mut cursor = env.snapshot()?.cursor(&database)?;
    while cursor.next()? {
        let value = cursor.value()?.map(|value| value.to_vec());
        entries.push((cursor.key().to_vec(), value.unwrap_or_default()));
    }
    Ok((database, entries))
}

/// Makes these bytes the content of the file.
fn plant(env: &Environment, content: &[u8]) -> EnvResult<()> {
    let (database, entries) = entries(env)?;
    let mut head = vec![1, 0, 0, 0];
    head.extend(u32::try_from(CHUNK).unwrap_or_default().to_le_bytes());
    head.extend((content.len() as u64).to_le_bytes());
    head.extend([9, 0, 0, 0, 0, 0, 0, 0]); // changed so often
    head.extend([0xff, 0, 0, 0, 0xff, 0, 0, 0]);
    env.write(|txn| {
        for (key, _) in &entries {
            txn.delete(&database, key)?;
        }
        txn.put(&database, b"", &head)?;
        for (n, piece) in (0_u32..).zip(content.chunks(CHUNK)) {
            let mut base = vec![0; 8 + CHUNK];
            base[..8].copy_from_slice(&9_u64.to_le_bytes());
            base[8..][..piece.len()].copy_from_slice(piece);
            #[expect(clippy::big_endian_bytes, reason = "keys sort as numbers do")]
            txn.put(&database, &n.to_be_bytes(), &base)?;
        }
        Ok(())
    })
}

/// Changes, cuts, lengthens, moves and removes entries.
fn damage(env: &Environment, damages: &[u8]) -> EnvResult<()> {
    let (database, mut entries) = entries(env)?;
    env.write(|txn| {
        for damage in damages.as_chunks::<6>().0.iter().take(20) {
            let [entry, low, high, kind, one, two] = *damage;
            let index = usize::from(entry) % entries.len();
            let (key, mut value) = entries[index].clone();
            let at = usize::from(u16::from_le_bytes([low, high])) % value.len().max(1);
            let end = value.len().min(at + 1 + usize::from(two));
            match kind % 6 {
                0 => value[at..end.min(at + 1)].iter_mut().for_each(|byte| *byte ^= one),
                1 => value[at..end].fill(one),
                2 => value.truncate(at),
                3 => value.extend(std::iter::repeat_n(one, 1 + usize::from(two))),
                4 => value.clone_from(&entries[usize::from(one) % entries.len()].1),
                _ => {
                    txn.delete(&database, &key)?;
                    continue;
                }
            }
            entries[index].1.clone_from(&value);
            txn.put(&database, &key, &value)?;
        }
        Ok(())
    })
}

/// Some files, to begin with, each after the byte that says what it is.
pub(in super::super) fn images() -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let mut images = vec![
        vec![1, 0, 8, 0, 0, 1, 0],  // the head, its length
        vec![1, 0, 12, 0, 0, 1, 0], // the head, a length of 4 GiB
        vec![1, 1, 0, 0, 2, 0, 0],  // an entry, cut to nothing
        vec![1, 3, 20, 0, 4, 2, 0], // one in the place of another
    ];
    for (page, content) in [(512, CONTENT), (1024, "CREATE TABLE t (id, grp, text)")] {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("file");
        let connection = Connection::open(&path)?;
        connection.pragma_update(None, "page_size", page)?;
        connection.execute_batch(content)?;
        drop(connection);
        images.push([vec![0], std::fs::read(&path)?].concat());
    }
    Ok(images)
}
