//! SQLite's own benchmark, `speedtest1`, in a process of its own for each turn.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::engine::Kind;
use crate::Result;

/// The argument that says how much it does.
const SIZE: &str = "100";

/// One turn in this process.
#[derive(clap::Args)]
pub struct Turn {
    kind: Kind,
    dir: PathBuf,
}

/// Whether it was built in.
pub const IS_THERE: bool = cfg!(speedtest1);

/// How many runs would fit into a second.
pub fn measure(kind: Kind, dir: &Path) -> Result<f64> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path(); // of the turn before
        if path.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
    }
    let this = std::env::current_exe()?;
    let output = std::process::Command::new(this)
        .args(["speedtest", kind_argument(kind)])
        .arg(dir)
        .output()?;
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let total = said.lines().find_map(|line| line.trim().strip_prefix("TOTAL"));
    let seconds = total.and_then(|rest| rest.trim_matches(['.', ' ', 's']).parse::<f64>().ok());
    match (output.status.success(), seconds) {
        (true, Some(seconds)) => Ok(1.0 / seconds),
        _ => Err(format!("speedtest1 failed: {said}{complained}").into()),
    }
}

const fn kind_argument(kind: Kind) -> &'static str {
    match kind {
        Kind::Stock => "stock",
        Kind::Cairn => "cairn",
        Kind::Encrypted => "encrypted",
        Kind::Unmapped => "unmapped",
    }
}

/// Runs it in this process; it prints what it has measured.
#[cfg(speedtest1)]
#[expect(unsafe_code, reason = "the benchmark is a program in C")]
pub fn run(turn: &Turn) -> Result {
    use std::ffi::{CString, c_char, c_int};

    use cairn_env::Environment;
    use cairn_rdb::{
        Access, SqliteConnections,
        rusqlite::{Connection, ffi},
    };

    use super::engine::NAME;

    unsafe extern "C" {
        fn cairn_speedtest1(argc: c_int, argv: *mut *mut c_char) -> c_int;
    }

    /// Makes SQLite open files that are opened without more said where those of the connection are.
    fn be_default_for_all(connection: &Connection) -> Result {
        let mut vfs: *mut ffi::sqlite3_vfs = std::ptr::null_mut();
        // SAFETY: the handle is that of an open connection, and this code of SQLite's writes one pointer.
        let code = unsafe {
            let at = std::ptr::from_mut(&mut vfs).cast();
            let handle = connection.handle();
            ffi::sqlite3_file_control(handle, c"main".as_ptr(), ffi::SQLITE_FCNTL_VFS_POINTER, at)
        };
        // SAFETY: it is a VFS that SQLite has given, and stays as long as its environment is open.
        let registered =
            code == ffi::SQLITE_OK && unsafe { ffi::sqlite3_vfs_register(vfs, 1) } == code;
        registered.then_some(()).ok_or_else(|| "the VFS cannot be the default".into())
    }

    let (journal, path, _env) = match turn.kind {
        Kind::Stock => ("wal", turn.dir.join("speedtest.db"), None),
        kind => {
            let options = kind.options(1 << 30);
            let (env, _) = Environment::open(turn.dir.join("speedtest"), options)?;
            let connection = env.sqlite_connection(NAME, Access::Create)?;
            be_default_for_all(&connection)?;
            ("memory", PathBuf::from("speedtest.db"), Some((env, connection)))
        }
    };
    let path =
        path.into_os_string().into_string().map_err(|_| "the directory's name is not UTF-8")?;
    let arguments = ["speedtest1", "--size", SIZE, "--journal", journal, &path];
    let arguments =
        arguments.map(CString::new).into_iter().collect::<std::result::Result<Vec<_>, _>>()?;
    let mut arguments: Vec<_> = arguments.iter().map(|one| one.as_ptr().cast_mut()).collect();
    let count = c_int::try_from(arguments.len())?;
    arguments.push(std::ptr::null_mut());
    // SAFETY: it is the `main` of a program: so many strings that end with zero, which it does not change, and a null
    // pointer behind them. It is called once, since it keeps what it does in static variables.
    let code = unsafe { cairn_speedtest1(count, arguments.as_mut_ptr()) };
    if code == 0 { Ok(()) } else { Err(format!("it ended with {code}").into()) }
}

/// It was not built in.
#[cfg(not(speedtest1))]
pub fn run(turn: &Turn) -> Result {
    let Turn { kind, dir } = turn;
    Err(format!("no speedtest1 of size {SIZE} for {} in {}", kind.name(), dir.display()).into())
}
