//! The picture of drills: how long it took until an environment was back, and how old its newest commit was.

use std::time::Duration;

use cairndb::backup::Drill;

use super::{
    facts::BackupFacts,
    picture::{Picture, Span, float},
};
use crate::text::{Time, seconds};

const HEIGHT: f64 = 110.0;

/// The picture; `None` if there was no drill.
pub(super) fn draw(facts: &BackupFacts, now: u64) -> Option<String> {
    let drills: Vec<_> = facts
        .points
        .iter()
        .flat_map(|listed| listed.drills.iter().map(|drill| (listed.number, drill)))
        .collect();
    let span = drills.first().map(|_| drills.iter().map(|(_, drill)| drill.made));
    let span = Span::of(span?.chain(std::iter::once(now)))?;
    let micros = |time: Option<Duration>| {
        u64::try_from(time.unwrap_or_default().as_micros()).unwrap_or(u64::MAX)
    };
    let of = |drill: &Drill| [micros(drill.rto()), micros(drill.rpo())];
    let longest = drills.iter().flat_map(|(_, drill)| of(drill)).max()?.max(1);
    let mut picture = Picture::new("how long restores took that were tried", HEIGHT);
    picture.level(10.0, &seconds(Duration::from_micros(longest)));
    picture.level(HEIGHT, "0");
    let y = |micros: u64| HEIGHT - float(micros) / float(longest) * (HEIGHT - 10.0);
    for (number, drill) in drills {
        let on = Time(drill.made);
        if let Some(failed) = &drill.failed {
            let about =
                format!("point {number}, {on}: failed at {}: {}", failed.stage, failed.what);
            picture.dot(span, drill.made, HEIGHT, "bad", &about);
            continue;
        }
        let [back, old] = of(drill);
        let about = format!(
            "point {number}, {on}: back after {}; its newest commit was {} old",
            seconds(Duration::from_micros(back)),
            seconds(Duration::from_micros(old))
        );
        picture.dot(span, drill.made, y(back), "proved", &about);
        picture.dot(span, drill.made, y(old), "copied", &about);
    }
    Some(picture.with_times(span))
}
