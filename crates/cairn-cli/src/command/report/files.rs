//! The map of the log files: a square for each, by how much of it is of use.

use cairndb::FileSpace;

use super::picture::{Picture, float};
use crate::text::size;

const CELL: f64 = 14.0;
/// More files than this stand several in a square.
const MOST: usize = 2400;

/// The map; `None` if there are no files.
pub(super) fn draw(files: &[FileSpace]) -> Option<String> {
    let together = files.len().div_ceil(MOST).max(1);
    let (left, right) = Picture::across();
    let columns = ((right - left) / CELL).floor();
    let cells = float(files.len().div_ceil(together) as u64);
    if files.is_empty() {
        return None;
    }
    let mut picture =
        Picture::new("how much of each log file is of use", (cells / columns).ceil() * CELL);
    let (mut x, mut y) = (left, 0.0);
    for some in files.chunks(together) {
        let bytes: u64 = some.iter().map(|file| file.bytes).sum();
        let live: u64 = some.iter().map(|file| file.live).sum();
        let percent = 100 * live / bytes.max(1);
        let class = match percent {
            _ if some.iter().all(|file| file.is_dead) => "dead",
            0..20 => "u0",
            20..40 => "u2",
            40..60 => "u4",
            60..80 => "u6",
            _ => "u8",
        };
        let names = match some {
            [one] => one.name.to_string(),
            [one, .., last] => format!("{} to {}", one.name, last.name),
            [] => continue,
        };
        let dead = if class == "dead" { "; kept for readers only" } else { "" };
        let about = format!("{names}: {}, {percent} % of use{dead}", size(bytes));
        picture.rect((x, y), (CELL - 2.0, CELL - 2.0), class, &about);
        x += CELL;
        if x + CELL > right + 0.1 {
            (x, y) = (left, y + CELL);
        }
    }
    Some(picture.finish())
}
