//! Sweeps: what every crash of a run may leave, held against what there was after each of its steps.

use std::collections::BTreeSet;

use cairn_io::DirRef;

use crate::{Bounds, Level, Trace};

impl Trace {
    /// Lets `look` see what each crash may leave, once for each step that was promised then: it gets the states that may
    /// be found, that of the last step whose end `mark` has noted and the next one, and says which of them it has found.
    /// States are numbered as the values of the mark are. Returns the numbers of those that were found, and how many
    /// different crashes there were.
    ///
    /// # Errors
    /// What `look` says, with the place of the crash.
    pub fn sweep_steps<S>(
        &self,
        mark: &'static str,
        states: &[S],
        bounds: &Bounds,
        mut look: impl FnMut(&DirRef, &[S]) -> Result<usize, String>,
    ) -> Result<(BTreeSet<usize>, usize), String> {
        let (mut cuts, mut seen, mut reached) = (self.cuts(), BTreeSet::new(), BTreeSet::new());
        while let Some(cut) = cuts.next_cut() {
            let Some(step) = cut.mark(mark).and_then(|step| usize::try_from(step).ok()) else {
                continue;
            };
            let may_be_found = states.iter().skip(step).take(2).count();
            for level in Level::ALL {
                for crashed in cut.crash().images(level, bounds) {
                    if !seen.insert((crashed.image.hash(), step)) {
                        continue;
                    }
                    let root = crashed.image.to_mem().root();
                    let found =
                        look(&root, &states[step..step + may_be_found]).map_err(|what| {
                            format!("cut {}, step {step}, {crashed}: {what}", cut.position())
                        })?;
                    reached.insert(step + found);
                }
            }
        }
        Ok((reached, seen.len()))
    }
}
