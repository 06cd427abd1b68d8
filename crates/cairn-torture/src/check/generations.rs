//! The generations of an environment that was restored in place: one of them counts, the other one is
//! there to go back to.

use cairn_env::{kept_generation, undo_restore};
use cairn_sim::{Image, Level};

use super::{Allowed, Found, Options, environment};
use crate::{
    model::{Expected, History},
    problem::{Checked, Problem, Wrong},
    run::Generations,
};

/// Checks that an environment opens from `image` as one of what it may be, and that what it is to keep
/// is kept. Returns which it is.
pub(crate) fn check<'h>(
    image: &Image,
    known: &Generations,
    histories: &'h [History],
    level: Level,
    options: &Options,
) -> Checked<(Allowed<'h>, Found, Expected)> {
    // What was written survives the death of the process, and nothing more than that.
    let allowed = |expected: &Expected| {
        let least = if level == Level::KeepAll { expected.written } else { expected.durable };
        Allowed::new(histories, expected, least)
    };
    let any_of = |image: &Image, expected: &[Option<Expected>]| {
        let mut first = None;
        for expected in expected.iter().flatten() {
            let allowed = allowed(expected);
            match environment(image, &allowed, options) {
                Ok(found) => return Ok((allowed, found, *expected)),
                Err(problem) => first = first.or(Some(problem)),
            }
        }
        Err(first.unwrap_or_else(|| Problem::new(Wrong::Run, "nothing is known")))
    };
    let found = any_of(image, &[Some(known.current), known.instead])?;
    let disk = image.to_mem();
    let wrong = |story: String| Problem::new(Wrong::HalfDone, story);
    let has_kept = kept_generation(disk.root()).ok().flatten().is_some();
    if known.kept.is_some() && known.instead.is_none() && !has_kept {
        return Err(wrong("the old generation is not kept".into()));
    }
    if has_kept {
        undo_restore(disk.root()).map_err(|error| wrong(format!("going back: {error}")))?;
        any_of(&Image::of(&disk), &[known.kept, known.let_go, known.instead, Some(known.current)])
            .map_err(|problem| Problem {
                story: format!("gone back: {}", problem.story),
                ..problem
            })?;
    }
    Ok(found)
}
