//! The page of benchmarks: each command writes its own part and leaves the others as they are.

use std::{fs, path::Path};

use crate::Result;

/// Puts a part into the page at `path`, in place of what it was or at the end.
pub fn write(path: &Path, part: &str, text: &str) -> Result {
    let page = if path.exists() { fs::read_to_string(path)? } else { String::new() };
    Ok(fs::write(path, with(&page, part, text)?)?)
}

/// Writes a plot of the page at `path`, where the page finds it.
pub fn write_beside(path: &Path, name: &str, plot: &str) -> Result {
    let folder = path.with_file_name("benchmarks");
    fs::create_dir_all(&folder)?;
    Ok(fs::write(folder.join(name), plot)?)
}

fn with(page: &str, part: &str, text: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- part: {part} -->\n"), format!("<!-- end: {part} -->\n"));
    let text = text.trim_end();
    let Some(from) = page.find(&begin) else {
        let gap = if page.is_empty() { "" } else { "\n" };
        return Ok(format!("{page}{gap}{begin}{text}\n{end}"));
    };
    let to = page[from..].find(&end).ok_or_else(|| format!("the part {part} has no end"))?;
    let (before, after) = (&page[..from], &page[from + to..]);
    Ok(format!("{before}{begin}{text}\n{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_takes_the_place_of_what_it_was_and_others_stay() {
        let one = with("", "one", "first\n").unwrap();
        let two = with(&one, "two", "second").unwrap();
        let again = with(&two, "one", "third").unwrap();
        let shown = |one| {
            format!(
                "<!-- part: one -->\n{one}\n<!-- end: one -->\n\n<!-- part: two -->\nsecond\n<!-- end: two -->\n"
            )
        };
        assert_eq!((two, again), (shown("first"), shown("third")));
        assert!(with("<!-- part: one -->\n", "one", "").is_err());
    }
}
