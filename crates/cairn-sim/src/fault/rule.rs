//! `Fault` and `Rule`: what happens to which calls.

use std::{fmt, io, ops::Range, path::Path};

use cairn_io::{IoOp, SyncSite};

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It fails with the system's EIO.
    Eio,
    /// It fails with ENOSPC.
    NoSpace,
    /// It fails with EROFS.
    ReadOnly,
    /// It fails with an error of this kind.
    Kind(io::ErrorKind),
    /// A read or write fails with EINTR. Does nothing to other calls, which every disk repeats by itself.
    Interrupted,
    /// A write does half of it (at least one byte, if there are two) and fails with EIO; other
    /// calls fail with EIO.
    PartThenEio,
    /// A read or write transfers half of the bytes, at least one. Does nothing to other calls.
    Short,
    /// A read or write transfers nothing and says so. Does nothing to other calls.
    Zero,
    /// A write says that all was written, and writes nothing. Does nothing to other calls.
    LostWrite,
    /// A read flips this bit of what it read (counted from the lowest of the first byte, modulo
    /// what there is). Does nothing to other calls.
    FlippedRead(usize),
}

impl Fault {
    /// The error that it makes of a call, unless it does something else.
    pub(super) fn error(self) -> Option<io::Error> {
        const EIO: i32 = 5; // these four on every Unix
        const EINTR: i32 = 4;
        const ENOSPC: i32 = 28;
        const EROFS: i32 = 30;
        match self {
            Self::Eio | Self::PartThenEio => Some(io::Error::from_raw_os_error(EIO)),
            Self::NoSpace => Some(io::Error::from_raw_os_error(ENOSPC)),
            Self::ReadOnly => Some(io::Error::from_raw_os_error(EROFS)),
            Self::Kind(kind) => Some(kind.into()),
            Self::Interrupted => Some(io::Error::from_raw_os_error(EINTR)),
            Self::Short | Self::Zero | Self::LostWrite | Self::FlippedRead(_) => None,
        }
    }

    fn applies_to(self, call: &Call<'_>) -> bool {
        let transfer = call.range.is_some();
        match self {
            Self::Short | Self::Zero | Self::Interrupted => transfer,
            Self::LostWrite => transfer && call.op == IoOp::Write,
            Self::FlippedRead(_) => transfer && call.op == IoOp::Read,
            _ => true,
        }
    }
}

/// Says which calls a fault strikes: those that match every part of the rule, counted from 0.
///
/// ```
/// use cairn_io::{FileExt, MemDisk, Name};
/// use cairn_sim::{Fault, FaultDisk, Rule};
///
/// let disk = FaultDisk::new(MemDisk::new().root());
/// disk.inject(Rule::new(Fault::NoSpace).file(|name| name.ends_with(".log")).nth(1));
/// let root = disk.root();
/// root.create(&Name::new("one.log").unwrap())?; // the first call on such a file
/// let error = root.create(&Name::new("two.log").unwrap()).unwrap_err();
/// assert!(error.is_no_space());
/// # Ok::<(), cairn_io::IoError>(())
/// ```
pub struct Rule {
    pub(super) fault: Fault,
    op: Option<IoOp>,
    site: Option<SyncSite>,
    file: Option<NameTest>,
    range: Option<Range<u64>>,
    nth: u64,
    times: u64,
    matched: u64,
}

type NameTest = Box<dyn Fn(&str) -> bool + Send>;

impl Rule {
    /// `fault` strikes the first call, once.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, op: None, site: None, file: None, range: None, nth: 0, times: 1, matched: 0 }
    }

    /// Only calls of this kind. [`IoOp::Write`] includes changes of a length, [`IoOp::Read`]
    /// includes questions for it.
    #[must_use]
    pub fn op(mut self, op: IoOp) -> Self {
        self.op = Some(op);
        self
    }

    /// Only syncs of this site.
    #[must_use]
    pub fn site(mut self, site: SyncSite) -> Self {
        self.site = Some(site);
        self
    }

    /// Only calls on files and directories with such a name; for a rename, the old one.
    #[must_use]
    pub fn file(mut self, matches: impl Fn(&str) -> bool + Send + 'static) -> Self {
        self.file = Some(Box::new(matches));
        self
    }

    /// Only reads and writes that touch these bytes of a file.
    #[must_use]
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }

    /// Not before call number `n` of those that match, counted from 0.
    #[must_use]
    pub fn nth(mut self, n: u64) -> Self {
        self.nth = n;
        self
    }

    /// And every matching call after it as well.
    #[must_use]
    pub fn and_on(mut self) -> Self {
        self.times = u64::MAX;
        self
    }

    /// Whether this call is struck.
    pub(super) fn strikes(&mut self, call: &Call<'_>) -> bool {
        let overlaps = |wanted: &Range<u64>| {
            let touched = |range: &Range<u64>| range.start < wanted.end && wanted.start < range.end;
            call.range.as_ref().is_some_and(touched)
        };
        let matches = self.op.is_none_or(|op| op == call.op)
            && self.site.is_none_or(|site| call.site == Some(site))
            && self.file.as_ref().is_none_or(|matches| matches(call.name()))
            && self.range.as_ref().is_none_or(overlaps);
        if !matches {
            return false;
        }
        let number = self.matched;
        self.matched += 1;
        number >= self.nth && number - self.nth < self.times && self.fault.applies_to(call)
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({:?} from call {} on, {} times)", self.fault, self.nth, self.times)
    }
}

/// A call about to be made.
pub(super) struct Call<'c> {
    pub(super) op: IoOp,
    pub(super) path: &'c Path,
    pub(super) site: Option<SyncSite>,
    /// The bytes of a read or write.
    pub(super) range: Option<Range<u64>>,
}

impl Call<'_> {
    fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or("")
    }
}
