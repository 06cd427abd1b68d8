//! The picture of proofs: when somebody has looked, how closely, and how long it took.

use std::time::Duration;

use cairndb::backup::PointState;

use super::{
    facts::BackupFacts,
    picture::{Picture, Span, float},
};
use crate::text::{Time, seconds};

const HEIGHT: f64 = 110.0;

/// The picture; `None` if nobody has looked.
pub(super) fn draw(facts: &BackupFacts, now: u64) -> Option<String> {
    let proofs: Vec<_> = facts
        .points
        .iter()
        .flat_map(|listed| listed.proofs.iter().map(|proof| (listed.number, proof)))
        .collect();
    let longest = proofs.iter().map(|(_, proof)| proof.took).max()?.max(1);
    let span = Span::of(proofs.iter().map(|(_, proof)| proof.made).chain(std::iter::once(now)))?;
    let mut picture =
        Picture::new("when points were checked and proved, and how long it took", HEIGHT);
    picture.level(10.0, &seconds(Duration::from_micros(longest)));
    picture.level(HEIGHT, "0");
    for (number, proof) in proofs {
        let (class, what) = match proof.state() {
            PointState::Proved => ("proved", "proved"),
            _ => ("checked", "checked"),
        };
        let took = seconds(Duration::from_micros(proof.took));
        let about = format!("point {number} {what} on {} in {took}", Time(proof.made));
        let y = HEIGHT - float(proof.took) / float(longest) * (HEIGHT - 10.0);
        picture.dot(span, proof.made, y, class, &about);
    }
    Some(picture.with_times(span))
}
