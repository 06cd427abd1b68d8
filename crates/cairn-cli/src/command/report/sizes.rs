//! The picture of what points take: what each has added, beside all that it needs.

use super::{
    facts::BackupFacts,
    picture::{Picture, float},
};
use crate::text::size;

const HEIGHT: f64 = 120.0;
/// More would be thinner than can be seen.
const MOST: usize = 200;

/// Points that stand together in a bar.
struct Bar {
    numbers: (u64, u64),
    added: u64,
    needed: u64,
}

/// The picture; `None` if there is nothing to see.
pub(super) fn draw(facts: &BackupFacts) -> Option<String> {
    let points: Vec<_> = facts
        .points
        .iter()
        .filter_map(|listed| Some((listed.number, listed.point.as_ref().ok()?)))
        .collect();
    let bars: Vec<_> = points
        .chunks(points.len().div_ceil(MOST).max(1))
        .map(|some| Bar {
            numbers: (
                some.first().map_or(0, |point| point.0),
                some.last().map_or(0, |point| point.0),
            ),
            added: some.iter().map(|(_, point)| point.new_bytes).sum(),
            needed: some.iter().map(|(_, point)| point.stored_bytes()).max().unwrap_or(0),
        })
        .collect();
    let most = bars.iter().map(|bar| bar.added.max(bar.needed)).max()?.max(1);
    let mut picture = Picture::new("what points have added, and what they need", HEIGHT + 6.0);
    picture.level(10.0, &size(most));
    picture.level(HEIGHT, "0");
    let (left, right) = Picture::across();
    let step = (right - left) / float(bars.len() as u64).max(12.0);
    let height = |bytes: u64| float(bytes) / float(most) * (HEIGHT - 10.0);
    let mut x = left + step * 0.1;
    for Bar { numbers: (first, last), added, needed } in bars {
        let who = if first == last {
            format!("point {first}")
        } else {
            format!("points {first} to {last}")
        };
        let about = format!("{who}: {} new, {} needed", size(added), size(needed));
        picture.rect((x, HEIGHT - height(needed)), (step * 0.8, height(needed)), "needed", &about);
        picture.rect((x, HEIGHT - height(added)), (step * 0.8, height(added)), "added", &about);
        x += step;
    }
    Some(picture.finish())
}
