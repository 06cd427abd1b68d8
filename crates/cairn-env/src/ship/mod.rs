//! Shipping: the journal, sent past a base somewhere else while it is written.
//!
//! A *sink* gets the bytes of the journal, in order and without gaps. If commits wait for it, it is a replica:
//! what is acknowledged is then on both, and the replica is a directory that opens as an environment when its
//! source is gone. If they do not, it lags behind, and what it has yet to get stays.
//!
//! | file | what it is about |
//! |---|---|
//! | `sink` | what a sink is given |
//! | `feed` | what one sink has yet to get |
//! | `shipment` | the journal on its way to a sink of the user's own |
//! | `shipping` | where the journal is written, synced, begun and ended |
//! | `syncer` | both syncs at the same time |
//! | `policy` | where a replica is, and what happens without it |
//! | `attachment` | by what an environment and its replica know each other |
//! | `replica` | the directory that is one |
//! | `filling`, `refresh` | its first base, and newer ones |
//! | `reconcile` | both meet again |
//! | `manage` | what tools do while nobody has either open |
//! | `tending` | what is done beside commits, step by step |

pub(crate) mod attachment;
mod feed;
mod filling;
mod manage;
mod policy;
pub(crate) mod reconcile;
mod refresh;
pub(crate) mod replica;
mod shipment;
mod shipping;
mod sink;
mod status;
mod syncer;
mod tending;

pub(crate) use attachment::Attachment;
pub use manage::{
    ReplicaInfo, ReplicaProgress, detach_replica, promote_replica, replica_info, replica_progress,
};
pub use policy::{ReplicaOptions, ReplicaPolicy};
pub use shipment::{ShipMode, Shipment, ShipmentStatus};
pub(crate) use shipping::Shipping;
pub use sink::{JournalPiece, JournalSink};
pub use status::{ReplicaState, ReplicaStatus};
