//! An environment and its repository on one disk that crashes: of both, and of one of them alone.

use std::collections::BTreeSet;

use cairn_io::{DirRef, Name};
use cairn_sim::{Bounds, Image, Level, Trace};

/// What was known when it crashed: whether the repository was made, and the newest that was reported.
pub(crate) type Known = (bool, u64);

pub(crate) fn below(root: &DirRef, name: &str) -> DirRef {
    let name = Name::new(name).unwrap();
    root.open_dir(&name).unwrap_or_else(|_| root.create_dir(&name).unwrap())
}

/// The environment of one image and the repository of another.
fn joined(env: &Image, repository: &Image) -> Image {
    let of = |image: &Image, dir: &str| {
        let dir = format!("{dir}/");
        let files = image.files().filter(|(path, _)| path.starts_with(&dir));
        files.map(|(path, _)| (path.to_owned(), image.read(path).unwrap())).collect::<Vec<_>>()
    };
    let files = of(env, "env").into_iter().chain(of(repository, "repo"));
    files.fold(Image::new(), |image, (path, bytes)| image.with_file(&path, bytes))
}

/// Holds what any crash of an environment and of its repository leaves, of both, and of each alone, against `judge`, which
/// is told what was known before; returns the number of states. `reported` is the mark of what was reported.
pub(crate) fn sweep_both(
    trace: &Trace,
    reported: &str,
    bounds: &Bounds,
    judge: &dyn Fn(&Image, Known) -> Result<(), String>,
) -> Result<usize, String> {
    let mut cuts = trace.cuts();
    let mut seen = BTreeSet::new();
    while let Some(cut) = cuts.next_cut() {
        let known = (cut.mark("made").is_some(), cut.mark(reported).unwrap_or(0));
        let mut judged = |image: &Image, what: String| match seen.insert((image.hash(), known)) {
            true => judge(image, known)
                .map_err(|problem| format!("cut {}, {what}: {problem}", cut.position())),
            false => Ok(()),
        };
        let mut extremes = Vec::new();
        for level in Level::ALL {
            for crashed in cut.crash().images(level, bounds) {
                judged(&crashed.image, crashed.to_string())?;
                if matches!(level, Level::KeepAll | Level::LoseAll) {
                    extremes.push(crashed.image);
                }
            }
        }
        if let [all, nothing] = &*extremes {
            judged(&joined(nothing, all), "of the environment alone".into())?;
            judged(&joined(all, nothing), "of the repository alone".into())?;
        }
    }
    Ok(seen.len())
}
