//! The picture of what can be brought back: a row for each timeline, with what can be restored to any commit, the points,
//! and holes.

use cairndb::backup::{ListedPoint, PointState};

use super::{
    facts::BackupFacts,
    picture::{Picture, Span},
};
use crate::text::Time;

const ROW: f64 = 46.0;

/// How far a point is known to be good, as a class of the page and in words.
pub(super) fn state(listed: &ListedPoint) -> (&'static str, String) {
    match (&listed.point, listed.state()) {
        (Err(error), _) => ("bad", format!("cannot be read: {error}")),
        (Ok(_), PointState::Copied) => ("copied", "copied: nobody has looked since".into()),
        (Ok(_), PointState::Checked) => ("checked", "checked: its bytes were read".into()),
        (Ok(_), PointState::Proved) => {
            ("proved", "proved: it was opened and read to its end".into())
        }
    }
}

/// The picture; `None` if there is nothing to see.
pub(super) fn draw(facts: &BackupFacts, now: u64) -> Option<String> {
    let readable = || facts.points.iter().filter_map(|listed| listed.point.as_ref().ok());
    let times = readable().map(|point| point.cut.time);
    let span = Span::of(times.chain(std::iter::once(now)))?;
    let mut timelines: Vec<_> = readable().map(|point| point.cut.timeline).collect();
    timelines.extend(facts.timelines.iter().map(|timeline| timeline.timeline));
    timelines.sort_unstable();
    timelines.dedup();
    let rows = timelines.len().max(1);
    let mut picture =
        Picture::new("which times can be restored", ROW * super::picture::float(rows as u64));
    let mut y = 0.0;
    for timeline in timelines {
        picture.label(y + 22.0, &format!("timeline {}", timeline.0));
        let known = facts.timelines.iter().filter(|known| known.timeline == timeline);
        for known in known {
            for hole in &known.holes {
                let from = hole.after.map_or(0, |moment| moment.time);
                let to = hole.before.map_or(now, |moment| moment.time);
                let about = format!("hole from {} to {}: {}", Time(from), Time(to), hole.why);
                picture.bar(span, (from, to), (y + 12.0, 14.0), "hole", &about);
            }
            for interval in &known.intervals {
                let (from, to) = (interval.from, interval.to);
                let about = format!(
                    "every commit from {} ({}) to {} ({})",
                    from.commit,
                    Time(from.time),
                    to.commit,
                    Time(to.time)
                );
                picture.bar(span, (from.time, to.time), (y + 12.0, 14.0), "ok", &about);
            }
        }
        for listed in &facts.points {
            let Ok(point) = &listed.point else { continue };
            if point.cut.timeline != timeline {
                continue;
            }
            let (class, words) = state(listed);
            let label = point.label.as_ref().map(|label| format!(", {label}")).unwrap_or_default();
            let about = format!(
                "point {}{label}: commit {} of {}; {words}",
                listed.number,
                point.cut.commit,
                Time(point.cut.time)
            );
            picture.dot(span, point.cut.time, y + 35.0, class, &about);
        }
        y += ROW;
    }
    Some(picture.with_times(span))
}
