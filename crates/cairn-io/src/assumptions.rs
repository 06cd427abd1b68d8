//! What is assumed of the medium and of the system, by name, each with its consequence.
//!
//! This page holds no code. Everything above this crate that relies on one of these points, or
//! works around one, cites it by name; the crash simulator takes every freedom that they leave. A
//! medium that breaks an assumption marked *relied on* can lose data; nothing else can.
//!
//! # Relied on
//!
//! * **`sync-keeps`**: when [`File::sync`](crate::File::sync) has returned `Ok`, the bytes and the
//!   length that the file had when it was called survive a crash and a power cut. Consequence: an
//!   acknowledgement waits for it. A device that says so and does not do it (a lying cache) loses
//!   what it lied about; that is noticed only where a later position is known elsewhere, in a
//!   backup or a replica.
//! * **`dir-sync-keeps`**: when [`Dir::sync`](crate::Dir::sync) has returned `Ok`, the creates,
//!   renames and removes done in that directory survive.
//! * **`rename-is-atomic`**: a crash around a [`Dir::rename`](crate::Dir::rename) over an existing
//!   file leaves the old file or the new one under that name, never neither and never a mixture.
//!   Consequence: a small file is replaced by writing a new one, syncing it, and renaming it.
//! * **`neighbours-stay`**: writing a range of a file damages no other byte of it, and no other
//!   file, not even when the power fails during the write. Consequence: a file may be extended or
//!   overwritten in part without keeping a copy of the rest.
//! * **`reads-see-writes`**: within one system, a read after a write returns what was written, synced
//!   or not.
//! * **`exclusive-create`**: of several creates of one name, one succeeds.
//! * **`locks-die`**: locks belong to the kernel and end with the process, however it ends.
//!   Consequence: there are no stale locks and nothing to clean up. It holds on local file systems;
//!   where a lock cannot be taken, opening is refused.
//!
//! # Not assumed
//!
//! * **`no-atomic-write`**: no write is atomic, of whatever size. What a crash leaves of an
//!   unsynced write may end at any byte, or lack its beginning, and what is missing may hold the
//!   old bytes, zeros, or anything. Consequence: records carry checksums.
//! * **`no-order`**: unsynced writes reach the medium in any order, within a file and across files,
//!   and independently of unsynced directory changes. Consequence: order is made by syncs alone.
//! * **`length-and-bytes-apart`**: the new length of a file may survive without the bytes (which
//!   then read as zeros), and the bytes without the length. Consequence: a length says nothing
//!   about content.
//! * **`sync-of-file-is-not-its-name`**: syncing a new file does not make its name durable: without
//!   a sync of the directory the whole file may be gone. Consequence: the first acknowledgement in
//!   a new file waits for both.
//! * **`unlink-comes-back`**: a removed file may be there again after a crash until its directory has
//!   been synced, with its content whole or in part. Consequence: no file is taken for valid because
//!   it exists.
//! * **`no-second-sync`**: a failed sync must not be repeated. The kernel reports a write error
//!   once and may then mark the pages clean: the second sync says `Ok`, reads return the new bytes
//!   from memory, and the medium holds the old ones (seen on ext4, XFS and btrfs). Consequence:
//!   after the first failed sync nothing more is acknowledged, and bytes past the last position
//!   that is known to be durable are not trusted, not even for a backup.
//! * **`reads-may-lie`**: a read may return damaged, old, or misplaced bytes without an error.
//!   Consequence: every record is checked by what reads it, and its checksum covers its place.
//! * **`short-transfers`**: a read or write may transfer less than was asked.
//!   [`FileExt`](crate::FileExt) loops.
//! * **`no-space-later`**: space that was free when asked for may be gone when needed; a length set
//!   in advance does not reserve it. Writing zeros does, where the file system neither compresses
//!   nor copies on write.
//! * **`clock-jumps`**: the wall clock may jump either way. Consequence: it is metadata and orders
//!   nothing.
//! * **`others-write`**: another program may cut, overwrite, rename, link or replace files
//!   underneath. Consequence: no link is followed, only regular files are opened, a file with a
//!   second name is not written again. What remains: cutting a file that is mapped kills the
//!   process that reads the mapping; see [`RealOptions::mapping`](crate::RealOptions::mapping).
