//! `Volume`: a file system in a file, mounted, that can lose power.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::problem::{Checked, Problem, Wrong};

/// How the directories begin in which volumes lie: what is left of earlier runs is known by it.
const PREFIX: &str = "cairn-power-cut-";
/// What marks a volume that is to stay.
const KEPT: &str = "kept";
/// Bytes of a volume; the file has holes.
const BYTES: u64 = 512 << 20;
/// Python, since the call has no safe form in Rust: `FS_IOC_SHUTDOWN` without flushing the log.
const PYTHON: &str = "/usr/bin/python3";
const SHUTDOWN: &str = "import fcntl, os, struct, sys\n\
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack('I', 2))";

/// A kind of file system that can lose power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "those whose shutdown loses what was not synced")]
pub enum FileSystem {
    /// ext4, with its journal as it is by default.
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Ext4, Self::Xfs];

    /// Its name, as `mkfs` knows it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
        }
    }

    /// Why there can be none here, if so.
    #[must_use]
    pub fn missing(self) -> Option<String> {
        let can = |program: &str, arg: &str| {
            let mut command = Command::new(program);
            let quiet = command.arg(arg).stdout(Stdio::null()).stderr(Stdio::null());
            quiet.status().is_ok()
        };
        if !rustix::process::geteuid().is_root() {
            return Some("mounting needs root".into());
        }
        if !Path::new("/dev/loop-control").exists() {
            return Some("there are no loop devices".into());
        }
        if !can(PYTHON, "-V") {
            return Some(format!("{PYTHON} is missing, which shuts file systems down"));
        }
        let mkfs = format!("mkfs.{}", self.name());
        (!can(&mkfs, "-V")).then(|| format!("{mkfs} is missing"))
    }
}

/// A mounted file system; unmounted and removed when dropped, unless it is kept.
pub struct Volume {
    dir: PathBuf,
    is_mounted: bool,
    is_kept: bool,
}

impl Volume {
    /// Makes and mounts one within a directory.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn make(within: &Path, kind: FileSystem, number: u32) -> Checked<Self> {
        let process = std::process::id();
        let dir = within.join(format!("{PREFIX}{process}-{}-{number}", kind.name()));
        let mut this = Self { dir, is_mounted: false, is_kept: false };
        std::fs::create_dir_all(this.root()).map_err(|error| failed(&error))?;
        let image = this.image().display().to_string();
        run("truncate", &["-s", &BYTES.to_string(), &image])?;
        run(&format!("mkfs.{}", kind.name()), &["-q", &image])?;
        this.mount()?;
        Ok(this)
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.dir.join("mounted")
    }

    /// Where it lies.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn image(&self) -> PathBuf {
        self.dir.join("image")
    }

    fn mount(&mut self) -> Checked<()> {
        let (image, root) = (self.image(), self.root());
        run("mount", &["-o", "loop", &image.to_string_lossy(), &root.to_string_lossy()])?;
        self.is_mounted = true;
        Ok(())
    }

    /// Cuts the power: whatever is not on the disk yet never will be, and every call fails from now on.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn cut(&self) -> Checked<()> {
        run(PYTHON, &["-I", "-S", "-c", SHUTDOWN, &self.root().to_string_lossy()])
    }

    /// Mounts it again, which recovers what the file system itself has logged.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn remount(&mut self) -> Checked<()> {
        run("umount", &[&self.root().to_string_lossy()])?;
        self.is_mounted = false;
        self.mount()
    }

    /// Leaves the image where it is, for whoever looks into a failure, and later runs too.
    pub fn keep(&mut self) {
        self.is_kept = true;
        std::fs::create_dir(self.dir.join(KEPT)).unwrap_or(());
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        if self.is_mounted {
            // Lazily: a process that is just dying may still be in it.
            run("umount", &["-l", &self.root().to_string_lossy()]).unwrap_or(());
        }
        if !self.is_kept {
            std::fs::remove_dir_all(&self.dir).unwrap_or(()); // only the mount point, if it still is one
        }
    }
}

impl fmt::Debug for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Volume({})", self.dir.display())
    }
}

/// Unmounts and removes what runs have left that could not do so themselves, since they were killed.
pub fn sweep(within: &Path) {
    let Ok(entries) = std::fs::read_dir(within) else { return };
    for dir in entries.flatten().map(|entry| entry.path()) {
        let name = dir.file_name().map(|name| name.to_string_lossy().into_owned());
        let process = name.as_deref().and_then(|name| name.strip_prefix(PREFIX));
        let process = process.and_then(|rest| rest.split('-').next());
        let is_alive = |process| Path::new("/proc").join(process).exists();
        let has_image = dir.join("image").exists() && !dir.join(KEPT).exists();
        if process.is_some_and(|process| !is_alive(process)) && has_image {
            let root = dir.join("mounted");
            let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
            let is_mounted = mounts.lines().any(|line| line.split(' ').nth(1) == root.to_str());
            let unmounted = !is_mounted || run("umount", &["-l", &root.to_string_lossy()]).is_ok();
            if unmounted {
                std::fs::remove_dir_all(&dir).unwrap_or(());
            }
        }
    }
}

fn run(program: &str, args: &[&str]) -> Checked<()> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(&format!("{program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(failed(&format!("{program} {}: {}: {said}", args.join(" "), output.status)))
}

fn failed(error: &dyn fmt::Display) -> Problem {
    Problem::new(Wrong::Run, error)
}
