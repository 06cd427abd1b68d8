//! Plots: a bar for what is ours and dots for the others, line by line, on a logarithmic axis. SVG, the same for the
//! same figures.

use std::fmt::Write as _;

use crate::Result;

/// A plot.
pub struct Chart {
    pub title: String,
    /// What the axis counts.
    pub axis: String,
    /// What the bars are.
    pub bars: String,
    /// What the dots are; none, one or many of them in a line.
    pub dots: Vec<String>,
    /// Where bars begin, if that is not at the left: a figure that others are compared with.
    pub base: Option<f64>,
    pub lines: Vec<Line>,
}

/// A line of it; a heading, if it has no figures.
pub struct Line {
    pub label: String,
    pub bar: Option<f64>,
    pub dots: Vec<Option<f64>>,
}

impl Line {
    pub fn heading(label: &str) -> Self {
        Self { label: label.to_owned(), bar: None, dots: Vec::new() }
    }

    fn figures(&self) -> impl Iterator<Item = f64> + '_ {
        self.bar.iter().chain(self.dots.iter().flatten()).copied()
    }
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 300.0;
const RIGHT: f64 = WIDTH - 70.0;
const LINE: f64 = 20.0;
/// Of the bars; no dot has it.
const OURS: &str = "#d55e00";
/// Of the dots: to be told apart by everybody (Okabe and Ito).
const COLOURS: [&str; 7] =
    ["#0072b2", "#009e73", "#cc79a7", "#56b4e9", "#e6b800", "#000000", "#7f7f7f"];

impl Chart {
    /// The plot as a file. It has a figure that can be drawn, or it is an error.
    pub fn svg(&self) -> Result<String> {
        let axis = Axis::new(self.lines.iter().flat_map(Line::figures).chain(self.base))
            .ok_or("a plot without figures")?;
        let names: Vec<_> = std::iter::once(&self.bars).chain(&self.dots).collect();
        let legend = names.len().div_ceil(5) as f64 * LINE;
        let top = 44.0 + legend;
        let bottom = top + self.lines.len() as f64 * LINE;
        let mut svg = String::new();
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
             height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
             <text x=\"10\" y=\"22\" font-size=\"15\" font-weight=\"bold\">{title}</text>",
            height = bottom + 44.0,
            title = escaped(&self.title),
        )?;
        for (n, name) in names.iter().enumerate() {
            let (x, y) = (18.0 + (n % 5) as f64 * 170.0, 44.0 + (n / 5) as f64 * LINE);
            match n.checked_sub(1) {
                None => bar(&mut svg, x - 6.0, x + 6.0, y)?,
                Some(dot) => mark(&mut svg, dot, x, y)?,
            }
            writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", x + 12.0, y + 4.0, escaped(name))?;
        }
        for tick in axis.ticks() {
            let x = axis.place(tick);
            let colour = if Some(tick) == self.base { "#222" } else { "#ddd" };
            writeln!(
                svg,
                "<path d=\"M{x:.1} {top}V{bottom}\" stroke=\"{colour}\"/>\
                 <text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                shown(tick)
            )?;
        }
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            f64::midpoint(LEFT, RIGHT),
            bottom + 34.0,
            escaped(&self.axis)
        )?;
        for (n, line) in self.lines.iter().enumerate() {
            let y = top + (n as f64 + 0.5) * LINE;
            self.line(&mut svg, line, &axis, y)?;
        }
        svg.push_str("</svg>\n");
        Ok(svg)
    }

    fn line(&self, svg: &mut String, line: &Line, axis: &Axis, y: f64) -> Result {
        let weight = if line.figures().next().is_none() { " font-weight=\"bold\"" } else { "" };
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\"{weight}>{}</text>",
            LEFT - 10.0,
            y + 4.0,
            escaped(&line.label)
        )?;
        if let Some(figure) = line.bar {
            let base = self.base.map_or(LEFT, |base| axis.place(base));
            let at = axis.place(figure);
            bar(svg, base.min(at), base.max(at), y)?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\">{}</text>",
                RIGHT + 8.0,
                y + 4.0,
                shown(figure)
            )?;
        }
        for (n, figure) in line.dots.iter().enumerate() {
            if let Some(figure) = figure {
                mark(svg, n, axis.place(*figure), y)?;
            }
        }
        Ok(())
    }
}

fn bar(svg: &mut String, from: f64, to: f64, y: f64) -> Result {
    // One that is at the base is seen as well.
    let (y, width) = (y - 5.0, (to - from).max(1.5));
    Ok(writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"10\" fill=\"{OURS}\"/>"
    )?)
}

/// The dot of the n-th name: its colour and shape.
fn mark(svg: &mut String, n: usize, x: f64, y: f64) -> Result {
    let colour = COLOURS[n % COLOURS.len()];
    match n % 2 {
        0 => writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y}\" r=\"3.5\" fill=\"{colour}\"/>")?,
        _ => writeln!(svg, "<path d=\"M{x:.1} {}l4 4l-4 4l-4-4z\" fill=\"{colour}\"/>", y - 4.0)?,
    }
    Ok(())
}

/// From a round figure below all to one above all, so that equal parts are equally far from each other.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    fn new(figures: impl Iterator<Item = f64>) -> Option<Self> {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        for figure in figures.filter(|figure| figure.is_finite() && *figure > 0.0) {
            (least, most) = (least.min(figure), most.max(figure));
        }
        if most <= 0.0 {
            return None;
        }
        let steps = || (-12..12).flat_map(|power| [1.0, 2.0, 5.0].map(|n| n * 10_f64.powi(power)));
        let from = steps().take_while(|step| *step <= least).last()?;
        let to = steps().find(|step| *step >= most && *step > from)?;
        Some(Self { from, to })
    }

    fn place(&self, figure: f64) -> f64 {
        let part = (figure.max(self.from) / self.from).ln() / (self.to / self.from).ln();
        LEFT + part.min(1.0) * (RIGHT - LEFT)
    }

    /// Powers of ten, and what is between them where there is room.
    fn ticks(&self) -> Vec<f64> {
        let is_wide = self.to / self.from > 1000.0;
        let between: &[f64] = if is_wide { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let all = (-12..12).flat_map(|power| between.iter().map(move |n| n * 10_f64.powi(power)));
        all.filter(|tick| (self.from..=self.to).contains(tick)).collect()
    }
}

/// With three digits, or all there are before the point.
fn shown(figure: f64) -> String {
    let text = match figure {
        small if small < 1.0 => format!("{small:.3}"),
        few if few < 10.0 => format!("{few:.2}"),
        more if more < 100.0 => format!("{more:.1}"),
        many => return format!("{many:.0}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(lines: Vec<Line>) -> Chart {
        let text = |text: &str| text.to_owned();
        Chart {
            title: text("gets & puts"),
            axis: text("times"),
            bars: text("ours"),
            dots: vec![text("one"), text("another")],
            base: Some(1.0),
            lines,
        }
    }

    #[test]
    fn bars_begin_at_the_base_and_figures_lie_where_the_axis_says() {
        let line = Line { label: "get".into(), bar: Some(10.0), dots: vec![Some(0.1), None] };
        let svg = chart(vec![Line::heading("reads"), line]).svg().unwrap();
        let middle = f64::midpoint(LEFT, RIGHT);
        assert!(svg.contains(&format!("<rect x=\"{middle:.1}\"")), "{svg}");
        assert!(svg.contains(&format!("<circle cx=\"{LEFT:.1}\"")), "{svg}");
        assert!(svg.contains("font-weight=\"bold\">reads"), "{svg}");
        assert!(svg.contains("gets &amp; puts") && !svg.contains("gets & puts"), "{svg}");
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }

    #[test]
    fn a_plot_of_nothing_is_an_error() {
        let mut empty = chart(vec![Line::heading("reads")]);
        empty.base = None;
        assert!(empty.svg().is_err());
    }

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let axis = Axis::new([0.3, 7.0].into_iter()).unwrap();
        assert_eq!(
            axis.ticks().iter().map(|tick| shown(*tick)).collect::<Vec<_>>(),
            ["0.2", "0.5", "1", "2", "5", "10"]
        );
    }
}
