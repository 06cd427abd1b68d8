//! A picture in SVG: a scale of time from left to right, and shapes that say what they are when they are pointed at.

use crate::text::Time;

/// The width of all pictures, and of what stands left of the scale.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 20.0;
/// Room below for the scale.
const BELOW: f64 = 26.0;

#[expect(clippy::cast_precision_loss, reason = "a place in a picture, to a tenth of a pixel")]
pub(super) const fn float(n: u64) -> f64 {
    n as f64
}

/// Text that stands in a page as it is, whoever has written it.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // What could change how the rest is read, or shown.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') =>
            {
                escaped.push('\u{fffd}');
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Times from the left to the right edge, in microseconds since 1970.
#[derive(Clone, Copy)]
pub(super) struct Span {
    from: u64,
    to: u64,
}

impl Span {
    /// From the first of some times to the last.
    pub(super) fn of(times: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        let (from, to) = (times.clone().min()?, times.max()?);
        // One moment has a width, too.
        Some(Self { from, to: to.max(from.saturating_add(1_000_000)) })
    }

    fn x(self, time: u64) -> f64 {
        let share = float(time.clamp(self.from, self.to) - self.from) / float(self.to - self.from);
        LEFT + share * (WIDTH - LEFT - RIGHT)
    }
}

/// A picture that is being drawn.
pub(super) struct Picture {
    what: String,
    height: f64,
    shapes: String,
}

impl Picture {
    /// An empty one; `what` it shows is for who does not see it.
    pub(super) fn new(what: &str, height: f64) -> Self {
        Self { what: what.to_owned(), height, shapes: String::new() }
    }

    /// A text at the left, beside what stands at this height.
    pub(super) fn label(&mut self, y: f64, text: &str) {
        let text = escape(text);
        self.shapes +=
            &format!("<text x=\"{:.1}\" y=\"{y:.1}\" class=\"l\">{text}</text>", LEFT - 8.0);
    }

    /// A bar from one time to another, `y` from above; `about` is said when it is pointed at.
    pub(super) fn bar(
        &mut self,
        span: Span,
        (from, to): (u64, u64),
        (y, height): (f64, f64),
        class: &str,
        about: &str,
    ) {
        let x = span.x(from);
        let width = (span.x(to) - x).max(1.5);
        self.rect((x, y), (width, height), class, about);
    }

    /// A dot at a time.
    pub(super) fn dot(&mut self, span: Span, time: u64, y: f64, class: &str, about: &str) {
        let (x, about) = (span.x(time), escape(about));
        self.shapes += &format!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"{class}\"><title>{about}</title></circle>"
        );
    }

    /// A rectangle; a place is from the left and from above.
    pub(super) fn rect(
        &mut self,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        class: &str,
        about: &str,
    ) {
        let about = escape(about);
        self.shapes += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" class=\"{class}\"><title>{about}</title></rect>"
        );
    }

    /// A thin line from side to side, with what it stands for.
    pub(super) fn level(&mut self, y: f64, text: &str) {
        let right = WIDTH - RIGHT;
        self.shapes +=
            &format!("<line x1=\"{LEFT:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
        self.label(y + 4.0, text);
    }

    /// The picture, with the times of its edges below it.
    pub(super) fn with_times(mut self, span: Span) -> String {
        let y = self.height + 18.0;
        let right = WIDTH - RIGHT;
        let (from, to) = (Time(span.from), Time(span.to));
        self.shapes += &format!("<text x=\"{LEFT:.1}\" y=\"{y:.1}\">{from}</text>");
        self.shapes += &format!("<text x=\"{right:.1}\" y=\"{y:.1}\" class=\"l\">{to}</text>");
        self.height += BELOW;
        self.finish()
    }

    pub(super) fn finish(self) -> String {
        let Self { what, height, shapes } = self;
        let what = escape(&what);
        format!(
            "<svg viewBox=\"0 0 {WIDTH:.0} {height:.0}\" role=\"img\" aria-label=\"{what}\">{shapes}</svg>\n"
        )
    }

    /// The room from left to right for shapes that have no time.
    pub(super) const fn across() -> (f64, f64) {
        (LEFT, WIDTH - RIGHT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_called_how_it_likes_stays_text() {
        let name = "</title><script>alert(1)</script>\u{202e}\"&";
        assert_eq!(
            escape(name),
            "&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;\u{fffd}&quot;&amp;"
        );
        let mut picture = Picture::new(name, 10.0);
        let span = Span::of([5, 9].into_iter()).unwrap();
        picture.bar(span, (5, 9), (0.0, 4.0), "ok", name);
        picture.dot(span, 7, 0.0, "ok", name);
        picture.label(3.0, name);
        let svg = picture.with_times(span);
        assert!(!svg.contains("<script") && svg.matches("<title>").count() == 2, "{svg}");
    }

    #[test]
    fn times_lie_between_the_edges() {
        let span = Span::of([10_000_000, 30_000_000].into_iter()).unwrap();
        let (left, right) = Picture::across();
        let at = |time| span.x(time);
        assert!((at(0) - left).abs() < 0.1 && (at(u64::MAX) - right).abs() < 0.1);
        assert!((at(20_000_000) - f64::midpoint(left, right)).abs() < 0.1);
        let one = Span::of(std::iter::once(7)).unwrap();
        assert!(one.x(7) < one.x(1_000_007));
        assert!(Span::of(std::iter::empty()).is_none());
    }
}
