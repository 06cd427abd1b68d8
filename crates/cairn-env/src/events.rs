//! Events: what happens to an environment beside what it is asked to do, for whoever looks after it.
//!
//! Whoever is interested takes them one by one; nothing is called in the middle of a commit, and who takes none keeps
//! nobody up: beyond so many the oldest go, and it is said how many.

use std::{
    collections::VecDeque,
    fmt,
    path::PathBuf,
    sync::{Arc, Weak},
};

use cairn_io::shared::Mutex;

use crate::{EnvError, EnvResult, Environment, HealedFile, sync::lock, tell};

/// So many events wait for whoever takes them.
const MOST: usize = 1024;

/// Something that happened to an environment: [`Environment::events`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// Commits wait for the replica from now on: every acknowledged one is on it.
    ReplicaAttached {
        /// Where it is.
        path: PathBuf,
    },
    /// The replica is getting a new base: it had none, or was stale.
    ReplicaFilling {
        /// Where it is.
        path: PathBuf,
    },
    /// The replica starts from a newer checkpoint.
    ReplicaRebased {
        /// Where it is.
        path: PathBuf,
        /// The number of that checkpoint.
        checkpoint: u64,
    },
    /// The environment goes on without its replica, and has said so durably.
    ReplicaLost {
        /// Where it is.
        path: PathBuf,
        /// What went wrong.
        error: Arc<EnvError>,
    },
    /// Something for the replica went wrong that commits do not wait for; it is tried again.
    ReplicaTrouble {
        /// Where it is.
        path: PathBuf,
        /// What went wrong.
        error: Arc<EnvError>,
    },
    /// A sink that commits do not wait for did not take what it was given; it is tried again.
    ShippingTrouble {
        /// What went wrong.
        error: Arc<EnvError>,
    },
    /// A file that was damaged has its bytes again.
    Healed(HealedFile),
    /// A file is damaged, and the replica could not help.
    NotHealed {
        /// Its name.
        file: String,
        /// Why not.
        why: String,
    },
    /// So many events that nobody has taken in time are gone.
    Missed(u64),
}

impl Event {
    /// Tells whoever subscribes to `tracing`.
    fn tell(&self) {
        let at = |path: &PathBuf| tell::display(path.display().to_string());
        match self {
            Self::ReplicaAttached { path } => tell::replica_attached(at(path)),
            Self::ReplicaFilling { path } => tell::replica_filling(at(path)),
            Self::ReplicaRebased { path, checkpoint } => {
                tell::replica_rebased(at(path), *checkpoint);
            }
            Self::ReplicaLost { path, error } => tell::replica_lost(at(path), tell::display(error)),
            Self::ReplicaTrouble { path, error } => {
                tell::replica_trouble(at(path), tell::display(error));
            }
            Self::ShippingTrouble { error } => tell::shipping_trouble(tell::display(error)),
            Self::Healed(HealedFile { file, bytes, by_content, .. }) => {
                tell::healed(&**file, *bytes, *by_content);
            }
            Self::NotHealed { file, why } => tell::not_healed(&**file, &**why),
            // Of a queue of somebody who did not take them.
            Self::Missed(_) => {}
        }
    }
}

/// The events of an environment from the moment on in which it was [asked](Environment::events) for them.
pub struct Events(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    events: VecDeque<Event>,
    missed: u64,
}

impl Events {
    /// The oldest event that was not taken yet; `None` if there is none now. Never waits.
    #[must_use]
    pub fn next(&self) -> Option<Event> {
        let mut queue = lock(&self.0);
        match std::mem::take(&mut queue.missed) {
            0 => queue.events.pop_front(),
            missed => Some(Event::Missed(missed)),
        }
    }
}

impl Iterator for &Events {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        Events::next(self)
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({} waiting)", lock(&self.0).events.len())
    }
}

/// Those who want to know.
#[derive(Default)]
pub(crate) struct Listeners(Mutex<Vec<Weak<Mutex<Queue>>>>);

impl Listeners {
    /// Tells everybody. Takes no lock but its own, so it may be called with any.
    pub(crate) fn raise(&self, event: Event) {
        event.tell();
        let mut listeners = lock(&self.0);
        listeners.retain(|listener| {
            let Some(listener) = listener.upgrade() else { return false };
            let mut queue = lock(&listener);
            if queue.events.len() == MOST {
                queue.events.pop_front();
                queue.missed += 1;
            }
            queue.events.push_back(event.clone());
            true
        });
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listeners({})", lock(&self.0).len())
    }
}

impl Environment {
    /// What happens to the environment from now on beside what it is asked to do: to its replica, to sinks, to
    /// damaged files. Up to 1024 events wait; beyond that the oldest go, and [`Event::Missed`] says how many.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use cairn_env::{Environment, Event, Options, ReplicaPolicy};
    /// use cairn_io::{MemDisk, RealWorld};
    ///
    /// let (here, there) = (MemDisk::new().root(), MemDisk::new().root());
    /// let options = Options::new().replica_in(there, ReplicaPolicy::Require);
    /// let (env, _) = Environment::open_in(here, Arc::new(RealWorld::new()), options)?;
    /// let events = env.events()?;
    /// assert!(events.next().is_none(), "all is well");
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    ///
    /// # Errors
    /// If the environment has failed or was closed.
    pub fn events(&self) -> EnvResult<Events> {
        self.core.check()?;
        let queue = Arc::<Mutex<Queue>>::default();
        lock(&self.core.events.0).push(Arc::downgrade(&queue));
        Ok(Events(queue))
    }
}
