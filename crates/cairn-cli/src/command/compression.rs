//! How an archive is compressed, as arguments of the commands that write one.

use cairndb::archive::Compression;

#[derive(clap::Args)]
pub(super) struct CompressionArgs {
    /// How hard to compress, 1 to 19
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Do not compress
    #[arg(long, conflicts_with = "level")]
    no_compression: bool,
}

impl From<CompressionArgs> for Compression {
    fn from(args: CompressionArgs) -> Self {
        match args.no_compression {
            true => Self::None,
            false => Self::Zstd(args.level),
        }
    }
}
