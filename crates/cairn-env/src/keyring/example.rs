//! The worked example of `docs/format/keyring.md`: a keyring whose random bytes can be foretold.

use std::{
    io,
    path::Path,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use cairn_io::{IoError, IoOp, IoResult, WallTime, Worker, WorkerHandle, World};
use cairn_log::{
    Uuid,
    layout::{example, parts},
};

use super::{
    KeySource, UnlockedKeyring,
    layout::{CRC_LEN, KEY_LEN, TAG_LEN, key_slot, keyring_epoch, keyring_head},
};

/// A world in which the n-th draw of random bytes is nothing but n.
#[derive(Debug, Default)]
struct Foretold(AtomicU8);

impl World for Foretold {
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }

    fn wall(&self) -> WallTime {
        WallTime(1_790_000_000_000_000)
    }

    fn random(&self, buf: &mut [u8]) {
        buf.fill(self.0.fetch_add(1, Ordering::Relaxed) + 1);
    }

    fn process(&self) -> u32 {
        0
    }

    fn pause(&self, _: Duration) {}

    fn start(&self, _: Box<dyn Worker>) -> IoResult<WorkerHandle> {
        Err(IoError::new(IoOp::Start, Path::new("example"), io::ErrorKind::Unsupported))
    }
}

/// A keyring with one key slot, for the raw key 00 01 … 1f, and one key epoch.
pub(crate) fn keyring_example() -> String {
    let mut key = std::array::from_fn(|i| u8::try_from(i).unwrap_or(0));
    let key = KeySource::raw(&mut key);
    let keyring = || {
        let world = Foretold::default();
        let mut keys = UnlockedKeyring::create(Uuid([0xab; 16]), "first", &key, &world)?;
        let bytes = keys.next_write(&world)?;
        Ok::<_, crate::EnvError>((keys, bytes))
    };
    let (keys, bytes) = keyring().expect("it needs nothing that can fail");
    let (head, rest) = bytes.split_at(keyring_head::LEN);
    let (epoch, rest) = rest.split_at(keyring_epoch::LEN);
    let (slot, rest) = rest.split_at(key_slot::LEN);
    let (data_keys, rest) = rest.split_at(KEY_LEN);
    let (tag, crc) = rest.split_at(TAG_LEN);
    let mut all = parts(keyring_head::FIELDS, head);
    all.extend(parts(keyring_epoch::FIELDS, epoch));
    all.extend(parts(key_slot::FIELDS, slot));
    all.extend([("data keys, encrypted", data_keys), ("tag", tag), ("CRC", &crc[..CRC_LEN])]);
    let all_keys = keys.data_keys();
    let data_key: Vec<_> =
        all_keys.newest().1.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    let data_key = data_key.join(" ");
    format!("The data key of its epoch 1 is `{data_key}`.\n\n{}", example(&all))
}
