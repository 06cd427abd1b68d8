//! `KeyArgs`: where the key of an encrypted environment comes from. Never from the command line itself,
//! nor from the environment variables: other users can see both.

use std::{
    fs::File,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use cairndb::{EnvironmentKeys, KdfCost, KeySource, Recipient, backup::Repository};
use zeroize::{Zeroize, Zeroizing};

use crate::{exit::Failure, prompt, text};

/// The options of a key that opens something.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct KeyArgs {
    /// Encrypted environment: take the key from this file (32 bytes, or 64 hexadecimal digits)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["key_fd", "passphrase_fd"])]
    key_file: Option<PathBuf>,
    /// Take the key, as in a key file, from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with = "passphrase_fd")]
    key_fd: Option<u32>,
    /// Take the passphrase, up to its line end, from this file descriptor; else it is asked for
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
    #[command(flatten)]
    pub(crate) repo: RepoKeyArgs,
}

/// The options of the key of an encrypted repository, wherever a backup in one may be meant. `cairn help repo` explains
/// them, once for all commands.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct RepoKeyArgs {
    /// Encrypted repository: take its key from this file
    #[arg(long, value_name = "FILE", hide = true, conflicts_with_all = ["repo_key_fd", "repo_passphrase_fd"])]
    repo_key_file: Option<PathBuf>,
    /// Take the key of the repository, as in a key file, from this open file descriptor
    #[arg(long, value_name = "N", hide = true, conflicts_with = "repo_passphrase_fd")]
    repo_key_fd: Option<u32>,
    /// Take the passphrase of the repository, up to its line end, from this file descriptor
    #[arg(long, value_name = "N", hide = true)]
    repo_passphrase_fd: Option<u32>,
}

/// The options of the key of a repository in commands that are about that alone.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct OwnKeyArgs {
    /// Encrypted repository: take its key from this file (32 bytes, or 64 hexadecimal digits)
    #[arg(long, alias = "repo-key-file", value_name = "FILE", conflicts_with_all = ["key_fd", "passphrase_fd"])]
    key_file: Option<PathBuf>,
    /// Take the key, as in a key file, from this open file descriptor
    #[arg(long, alias = "repo-key-fd", value_name = "N", conflicts_with = "passphrase_fd")]
    key_fd: Option<u32>,
    /// Take the passphrase, up to its line end, from this file descriptor; else it is asked for
    #[arg(long, alias = "repo-passphrase-fd", value_name = "N")]
    passphrase_fd: Option<u32>,
}

impl RepoKeyArgs {
    /// Opens a repository; an encrypted one stays locked if no option says where its key is, and nobody can be asked.
    pub(crate) fn open(&self, path: &Path) -> Result<Repository, Failure> {
        self.unlock(Repository::open(path)?, path)
    }

    /// The same for what takes no key: nobody is asked.
    pub(crate) fn open_without_asking(&self, path: &Path) -> Result<Repository, Failure> {
        let repository = Repository::open(path)?;
        match self.given()? {
            Some(key) => Ok(repository.unlock(&key)?),
            None => Ok(repository),
        }
    }

    /// The repository at `path` with its key.
    pub(crate) fn unlock(
        &self,
        repository: Repository,
        path: &Path,
    ) -> Result<Repository, Failure> {
        match self.given()? {
            Some(key) => Ok(repository.unlock(&key)?),
            None if repository.is_locked() && can_ask() => {
                let question = format!("passphrase of the repository {}: ", path.display());
                let passphrase = prompt::ask(&question)?;
                Ok(repository.unlock(&KeySource::passphrase(&*passphrase)?)?)
            }
            None => Ok(repository),
        }
    }

    fn given(&self) -> Result<Option<KeySource>, Failure> {
        let Self { repo_key_file, repo_key_fd, repo_passphrase_fd } = self;
        given(repo_key_file.as_deref(), *repo_key_fd, *repo_passphrase_fd)
    }
}

impl OwnKeyArgs {
    /// The same options as another command has them.
    pub(crate) fn as_repo(&self) -> RepoKeyArgs {
        let Self { key_file, key_fd, passphrase_fd } = self.clone();
        RepoKeyArgs {
            repo_key_file: key_file,
            repo_key_fd: key_fd,
            repo_passphrase_fd: passphrase_fd,
        }
    }

    /// And as those of a key that opens something.
    pub(crate) fn as_key(&self) -> KeyArgs {
        let Self { key_file, key_fd, passphrase_fd } = self.clone();
        KeyArgs { key_file, key_fd, passphrase_fd, repo: RepoKeyArgs::default() }
    }
}

/// The options of a key that is to be used from now on.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct NewKeyArgs {
    /// Take the new key from this file (32 bytes, or 64 hexadecimal digits)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["new_key_fd", "new_passphrase_fd", "recipient"])]
    new_key_file: Option<PathBuf>,
    /// Take the new key, as in a key file, from this open file descriptor
    #[arg(long, value_name = "N", conflicts_with_all = ["new_passphrase_fd", "recipient"])]
    new_key_fd: Option<u32>,
    /// Take the new passphrase, up to its line end, from this descriptor; else it is asked for
    #[arg(long, value_name = "N", conflicts_with = "recipient")]
    new_passphrase_fd: Option<u32>,
    /// Let the key file of this recipient open it, which need not be here
    #[arg(long, value_name = "RECIPIENT")]
    recipient: Option<Recipient>,
    #[command(flatten)]
    cost: CostArgs,
}

/// The options of the key of an archive that was made while another key opened its environment.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ArchiveKeyArgs {
    /// Take the key with which the archive was made, if it is another one, from this file
    #[arg(long, value_name = "FILE", conflicts_with = "archive_passphrase_fd")]
    archive_key_file: Option<PathBuf>,
    /// Take the passphrase with which the archive was made from this file descriptor
    #[arg(long, value_name = "N")]
    archive_passphrase_fd: Option<u32>,
}

impl ArchiveKeyArgs {
    pub(crate) fn key(&self) -> Result<Option<KeySource>, Failure> {
        given(self.archive_key_file.as_deref(), None, self.archive_passphrase_fd)
    }
}

/// What a new passphrase is to cost.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct CostArgs {
    /// How much memory it takes to try a passphrase (default: 64MiB, three passes)
    #[arg(long, value_name = "SIZE", value_parser = text::parse_size)]
    kdf_memory: Option<u64>,
}

impl CostArgs {
    fn apply(&self, key: KeySource) -> Result<KeySource, Failure> {
        let Some(bytes) = self.kdf_memory else { return Ok(key) };
        let memory_kib = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        Ok(key.cost(KdfCost::new(memory_kib, KdfCost::default().passes())?))
    }
}

impl KeyArgs {
    /// The key for the environment in the directory `path`: what the options say, else, if it is encrypted and
    /// somebody is there to be asked, a passphrase.
    pub(crate) fn of_environment(&self, path: &Path) -> Result<Option<KeySource>, Failure> {
        self.of(path, || EnvironmentKeys::open(path).is_ok())
    }

    /// The same for whatever lies at `path`.
    pub(crate) fn of(
        &self,
        path: &Path,
        is_encrypted: impl FnOnce() -> bool,
    ) -> Result<Option<KeySource>, Failure> {
        let given = self.given()?;
        if given.is_some() || !can_ask() || !is_encrypted() {
            return Ok(given);
        }
        let passphrase = prompt::ask(&format!("passphrase of {}: ", path.display()))?;
        Ok(Some(KeySource::passphrase(&*passphrase)?))
    }

    fn given(&self) -> Result<Option<KeySource>, Failure> {
        let Self { key_file, key_fd, passphrase_fd, .. } = self;
        given(key_file.as_deref(), *key_fd, *passphrase_fd)
    }

    /// The key for something that is created, by the passphrase that is then asked for twice.
    pub(crate) fn new_key(&self, path: &Path, cost: &CostArgs) -> Result<KeySource, Failure> {
        match self.given()? {
            Some(key) => cost.apply(key),
            None => cost.apply(ask_twice(&format!("passphrase of {}", path.display()))?),
        }
    }

    /// An error if the key comes from standard input, and so does something else.
    pub(crate) fn leave_stdin_alone(&self) -> Result<(), Failure> {
        let RepoKeyArgs { repo_key_fd, repo_passphrase_fd, .. } = self.repo;
        let fds = [self.key_fd, self.passphrase_fd, repo_key_fd, repo_passphrase_fd];
        if fds.contains(&Some(0)) {
            return Err(Failure::usage(
                "standard input cannot be both the key and the data: use another descriptor, as in \
                 `--passphrase-fd 3 3< FILE`",
            ));
        }
        Ok(())
    }

    /// Whether an option says where the key comes from.
    pub(crate) fn is_given(&self) -> bool {
        self.key_file.is_some() || self.key_fd.is_some() || self.passphrase_fd.is_some()
    }
}

impl NewKeyArgs {
    /// The new key, beside that of `old`.
    pub(crate) fn key(&self, path: &Path, old: &KeyArgs) -> Result<KeySource, Failure> {
        let Self { new_key_file, new_key_fd, new_passphrase_fd, recipient, cost } = self;
        if let Some(recipient) = recipient {
            return cost.apply(KeySource::for_recipient(*recipient));
        }
        for fd in [new_key_fd, new_passphrase_fd].into_iter().flatten() {
            if [old.key_fd, old.passphrase_fd].contains(&Some(*fd)) {
                return Err(Failure::usage(format_args!(
                    "descriptor {fd} cannot be both the key and the new key"
                )));
            }
        }
        match given(new_key_file.as_deref(), *new_key_fd, *new_passphrase_fd)? {
            Some(key) => cost.apply(key),
            None => cost.apply(ask_twice(&format!("new passphrase of {}", path.display()))?),
        }
    }
}

fn given(
    key_file: Option<&Path>,
    key_fd: Option<u32>,
    passphrase_fd: Option<u32>,
) -> Result<Option<KeySource>, Failure> {
    if let Some(path) = key_file {
        return Ok(Some(KeySource::key_file(path)));
    }
    if let Some(fd) = key_fd {
        let content = read_fd(fd, 66, None)?;
        return Ok(Some(KeySource::from_key_file_content(&content)?));
    }
    if let Some(fd) = passphrase_fd {
        let line = read_fd(fd, 4096, Some(b'\n'))?;
        let passphrase = line.strip_suffix(b"\r").unwrap_or(&line);
        return Ok(Some(KeySource::passphrase(passphrase)?));
    }
    Ok(None)
}

/// Reads an open file descriptor, byte by byte, so that what comes after `end` is left to whoever reads it
/// next. More than `limit` bytes are an error.
fn read_fd(fd: u32, limit: usize, end: Option<u8>) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = PathBuf::from(format!("/dev/fd/{fd}"));
    let failed = |error: &io::Error| Failure::io("read", &path, error);
    let mut file = File::open(&path).map_err(|error| {
        failed(&error).advise(format!("is descriptor {fd} open? as in `--key-fd {fd} {fd}< FILE`"))
    })?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
    let mut byte = [0];
    loop {
        match file.read(&mut byte) {
            Ok(0) => return Ok(bytes),
            Ok(_) if Some(byte[0]) == end => return Ok(bytes),
            Ok(_) if bytes.len() == limit => {
                return Err(Failure::usage(format_args!(
                    "descriptor {fd} gives more than {limit} bytes, which are no key"
                )));
            }
            Ok(_) => bytes.push(byte[0]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(&error)),
        }
        byte.zeroize();
    }
}

/// Whether somebody sits there who can be asked.
fn can_ask() -> bool {
    io::stderr().is_terminal()
}

fn ask_twice(what: &str) -> Result<KeySource, Failure> {
    if !can_ask() {
        return Err(Failure::usage("there is no terminal to ask for a passphrase").advise(
            "say where the key comes from: --key-file, --key-fd or --passphrase-fd (for a new key \
             beside an old one with `new-` before, as in --new-key-file)",
        ));
    }
    let first = prompt::ask(&format!("{what}: "))?;
    let second = prompt::ask(&format!("{what}, once more: "))?;
    if first != second {
        return Err(Failure::usage("the two passphrases differ").advise("nothing was changed"));
    }
    Ok(KeySource::passphrase(&*first)?)
}
