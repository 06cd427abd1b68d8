//! `ShipOptions`, `ShipReport`: how journal is shipped, and what has become of it.

use std::time::Duration;

use cairn_archive::Compression;
use cairn_env::Options;

use super::PointReport;

/// How journal is shipped.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ShipOptions {
    /// With which options the environment is opened for reading when a point has to be made; among them the key of an
    /// encrypted one.
    pub options: Options,
    /// How long to wait until it is looked again whether there is more (default: 500 ms). What was committed
    /// meanwhile is one segment, unless it is more than [`segment_bytes`](Self#structfield.segment_bytes).
    pub every: Duration,
    /// Bytes of the journal after which a segment ends (default: 4 MiB): with the record that reaches them.
    pub segment_bytes: u64,
    /// Bytes of the journal after which another point is made, so that a restore has no more to replay (default: 1 GiB).
    pub base_bytes: u64,
    /// How what is stored is compressed (default: Zstandard, level 1). The journal of an encrypted environment is not:
    /// it would not shrink.
    pub compression: Compression,
}

impl Default for ShipOptions {
    fn default() -> Self {
        Self {
            options: Options::default(),
            every: Duration::from_millis(500),
            segment_bytes: 4 << 20,
            base_bytes: 1 << 30,
            compression: Compression::Zstd(1),
        }
    }
}

impl ShipOptions {
    /// Sets [`ShipOptions::options`](ShipOptions#structfield.options).
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets [`ShipOptions::every`](ShipOptions#structfield.every).
    #[must_use]
    pub fn every(mut self, every: Duration) -> Self {
        self.every = every;
        self
    }

    /// Sets [`ShipOptions::segment_bytes`](ShipOptions#structfield.segment_bytes).
    #[must_use]
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// Sets [`ShipOptions::base_bytes`](ShipOptions#structfield.base_bytes).
    #[must_use]
    pub fn base_bytes(mut self, bytes: u64) -> Self {
        self.base_bytes = bytes;
        self
    }

    /// Sets [`ShipOptions::compression`](ShipOptions#structfield.compression).
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }
}

/// What one step has shipped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShipReport {
    /// The points that were made.
    pub points: Vec<PointReport>,
    /// Why what is shipped now does not go on from what was shipped before.
    pub gap: Option<String>,
    /// How many segments were stored.
    pub segments: u64,
    /// Bytes of the journal in them.
    pub bytes: u64,
    /// Bytes that were stored for them.
    pub stored_bytes: u64,
    /// The newest commit that can be restored, and its time in microseconds since 1970.
    pub newest: Option<(u64, u64)>,
    /// Whether there is more to ship at once.
    pub has_more: bool,
}
