//! What crates above this one keep with an open environment.

use std::{
    any::{Any, TypeId},
    collections::BTreeMap,
    sync::Arc,
};

use cairn_io::shared::Mutex;

use crate::{Environment, sync::lock};

/// One value of each type.
#[derive(Debug, Default)]
pub(crate) struct Attached(Mutex<BTreeMap<TypeId, Arc<dyn Any + Send + Sync>>>);

impl Environment {
    /// The one value of type `T` that all handles of this open environment share; its default at the
    /// first call. It lives until the environment does not any more.
    ///
    /// This is for what is built on an environment and must know what others in the process do with the
    /// same one: which stores are open, above all. It must not hold a handle of the environment, which
    /// would then never come to its end: a [`Weak`](std::sync::Weak) of what holds one is fine.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU64, Ordering};
    /// use cairn_env::{Environment, Options};
    ///
    /// #[derive(Default)]
    /// struct Calls(AtomicU64);
    ///
    /// let (env, _) = Environment::in_memory(Options::default())?;
    /// env.attached::<Calls>().0.fetch_add(1, Ordering::Relaxed);
    /// env.clone().attached::<Calls>().0.fetch_add(1, Ordering::Relaxed);
    /// assert_eq!(env.attached::<Calls>().0.load(Ordering::Relaxed), 2);
    ///
    /// let (other, _) = Environment::in_memory(Options::default())?;
    /// assert_eq!(other.attached::<Calls>().0.load(Ordering::Relaxed), 0);
    /// # Ok::<(), cairn_env::EnvError>(())
    /// ```
    #[must_use]
    pub fn attached<T: Any + Default + Send + Sync>(&self) -> Arc<T> {
        let mut attached = lock(&self.core.attached.0);
        let new = || Arc::new(T::default()) as Arc<dyn Any + Send + Sync>;
        let found = attached.entry(TypeId::of::<T>()).or_insert_with(new);
        Arc::clone(found).downcast().expect("it is found by its type")
    }
}
