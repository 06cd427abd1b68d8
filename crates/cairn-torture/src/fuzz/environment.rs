//! `environment_image`: several damages at once to a whole environment.

use std::sync::OnceLock;

use cairn_env::Environment;
use cairn_sim::SimWorld;

use crate::at_rest::{Subject, subjects};

/// The first byte chooses the environment; then six bytes are a damage each: the file, two bytes of
/// place, what is done there, and two bytes of how. Opening and reading all of it must end in what
/// was put, or in an error.
///
/// # Panics
/// If anything else is read.
pub fn environment_image(input: &[u8]) {
    static SUBJECTS: OnceLock<Vec<Subject>> = OnceLock::new();
    let subjects = SUBJECTS.get_or_init(|| subjects().expect("the scripts of the subjects run"));
    let environments: Vec<_> = subjects.iter().filter(|subject| !subject.is_backup).collect();
    let Some((choice, damages)) = input.split_first() else { return };
    let subject = environments[usize::from(*choice) % environments.len()];
    let disk = subject.image.to_mem();
    let files = disk.files();
    for damage in damages.as_chunks::<6>().0 {
        let [file, low, high, kind, one, two] = *damage;
        let (path, _) = &files[usize::from(file) % files.len()];
        let at = usize::from(u16::from_le_bytes([low, high]));
        let edited = disk.edit(path, |bytes| {
            let len = bytes.len();
            if len == 0 {
                return;
            }
            let at = at % len;
            let end = len.min(at + 1 + usize::from(two));
            match kind % 6 {
                0 => bytes[at..end.min(at + 1)].iter_mut().for_each(|byte| *byte ^= one),
                1 => bytes[at..end].fill(one),
                2 => bytes.truncate(at),
                3 => bytes.extend(std::iter::repeat_n(one, 1 + usize::from(two))),
                4 => bytes.copy_within(at..end, usize::from(one) % (len - (end - at) + 1)),
                _ => drop(bytes.drain(at..end)),
            }
        });
        edited.expect("the file is there, because nothing removes any");
    }
    let world = SimWorld::new(1);
    let options = subject.options.clone().background(false);
    let Ok((env, report)) = Environment::open_in(disk.root(), world.world(), options) else {
        return;
    };
    let commit = usize::try_from(report.sequence).unwrap_or(usize::MAX);
    let contents = subject.history.get(commit);
    let contents = contents.unwrap_or_else(|| panic!("commit {commit} was never made: {report}"));
    let wrong = match contents.difference(&env) {
        Ok(difference) => difference,
        Err(_) => contents.wrong_value(&env),
    };
    assert_eq!(wrong, None, "{}: {report}", subject.name);
}
