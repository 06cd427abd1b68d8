//! `PartReader`: bytes of the files of a point, from wherever in them, none of them unchecked.
//!
//! A part is read whole when the first byte of it is needed, and compared with both of its hashes. Later, only the
//! frame that is needed is read, and its checksum compared. So a scan reads each part once, and who looks here and
//! there does not read 16 MiB for each look.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use cairn_log::Uuid;

use super::{
    frames::{self, FramePlace, Ratio},
    layout::FRAME,
    names::{ObjectName, PartName},
    point::Part,
    secrecy::Lying,
    store::Store,
};
use crate::BackupResult;

/// How many frames of 1 MiB are kept: three parts, so that who reads two files in turn reads each part once.
const KEPT_FRAMES: usize = 48;

/// What parts of an environment are read through.
#[derive(Debug)]
pub(super) struct PartReader {
    store: Store,
    environment: Uuid,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The parts that were compared with their hashes, with the places of their frames.
    checked: BTreeMap<PartName, Arc<Checked>>,
    /// The frames that were read last, the newest first.
    kept: VecDeque<(PartName, usize, Arc<Vec<u8>>)>,
}

/// What is known of a part that was compared with its hashes.
#[derive(Debug)]
struct Checked {
    places: Vec<FramePlace>,
    lying: Lying,
}

impl State {
    fn find(&mut self, name: PartName, frame: usize) -> Option<Arc<Vec<u8>>> {
        let is_it = |(part, index, _): &(PartName, usize, _)| (*part, *index) == (name, frame);
        let found = self.kept.iter().position(is_it)?;
        let found = self.kept.remove(found)?;
        let bytes = Arc::clone(&found.2);
        self.kept.push_front(found);
        Some(bytes)
    }

    fn keep(&mut self, name: PartName, frame: usize, bytes: Arc<Vec<u8>>) {
        self.kept.push_front((name, frame, bytes));
        self.kept.truncate(KEPT_FRAMES);
    }
}

impl PartReader {
    pub(super) fn new(store: Store, environment: Uuid) -> Self {
        Self { store, environment, state: Mutex::default() }
    }

    /// The frame of a part that holds its byte `at`, and where that is in it.
    pub(super) fn frame(
        &self,
        name: PartName,
        part: &Part,
        at: u64,
    ) -> BackupResult<(Arc<Vec<u8>>, usize)> {
        let at = usize::try_from(at).unwrap_or(usize::MAX);
        let (frame, inside) = (at / FRAME, at % FRAME);
        let state = || self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let checked = {
            let mut state = state();
            if let Some(bytes) = state.find(name, frame) {
                return Ok((bytes, inside));
            }
            state.checked.get(&name).map(Arc::clone)
        };
        if let Some(checked) = checked.filter(|checked| frame < checked.places.len()) {
            let bytes = Arc::new(self.again(name, &checked, frame)?);
            state().keep(name, frame, Arc::clone(&bytes));
            return Ok((bytes, inside));
        }
        let (content, checked) = self.first(name, part)?;
        let mut state = state();
        state.checked.insert(name, Arc::new(checked));
        let mut wanted = Arc::default();
        for (index, content) in content.chunks(FRAME).enumerate() {
            let bytes = Arc::new(content.to_vec());
            if index == frame {
                wanted = Arc::clone(&bytes);
            }
            state.keep(name, index, bytes);
        }
        Ok((wanted, inside))
    }

    /// All of a part, compared with its hashes, and where its frames are.
    fn first(&self, name: PartName, part: &Part) -> BackupResult<(Vec<u8>, Checked)> {
        let (object, decoded) = self.store.object_and_part(self.environment, name, part)?;
        let places = frames::places(&object, decoded.begin);
        Ok((decoded.content, Checked { places, lying: decoded.lying }))
    }

    /// A frame of a part that was compared with its hashes before.
    fn again(&self, name: PartName, checked: &Checked, frame: usize) -> BackupResult<Vec<u8>> {
        let place = checked.places[frame];
        let object = ObjectName::Part { environment: self.environment, part: name };
        let bytes = self.store.range(object, place.at, place.stored)?;
        let content =
            frames::content(&bytes, 0, place.length, Ratio::Any, &checked.lying, frame as u64);
        content.map_err(|mut damaged| {
            damaged.at += place.at;
            self.store.damaged(object, damaged)
        })
    }
}
