//! Plots as SVG, plain enough to be read as text.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 60.0;
/// How wide one is, more or less.
const LETTER: f64 = 6.5;
/// Told apart also by who does not see all colours (Okabe and Ito).
const COLOURS: [&str; 6] = [
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9",
];

/// A line: its name and its points.
pub(crate) type Line = (String, Vec<(f64, f64)>);

/// What an axis shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis<'t> {
    pub(crate) title: &'t str,
    pub(crate) is_logarithmic: bool,
    /// Where there is a mark, and what stands at it.
    pub(crate) marks: &'t [(f64, &'t str)],
}

impl Axis<'_> {
    /// From 0 at the first mark to 1 at the last.
    fn place(&self, value: f64) -> f64 {
        let scaled = |value: f64| {
            if self.is_logarithmic {
                value.max(f64::MIN_POSITIVE).log10()
            } else {
                value
            }
        };
        let ends = self.marks.first().zip(self.marks.last());
        let (from, to) = ends.map_or((0.0, 1.0), |(first, last)| {
            (scaled(first.0), scaled(last.0))
        });
        ((scaled(value) - from) / (to - from)).clamp(0.0, 1.0)
    }
}

/// Bars from left to right, each with its value at its end.
pub(crate) fn bars(title: &str, bars: &[(String, f64, String)]) -> String {
    let most = bars
        .iter()
        .map(|(_, value, _)| *value)
        .fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = begin(title);
    let step = (HEIGHT - TOP - BOTTOM / 2.0) / bars.len() as f64;
    for (number, (name, value, told)) in bars.iter().enumerate() {
        let y = TOP + number as f64 * step;
        let width = (WIDTH - LEFT - RIGHT - 80.0) * value / most;
        let middle = y + step * 0.5 + 4.0;
        let colour = COLOURS[number % COLOURS.len()];
        push(
            &mut svg,
            format_args!(
                "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{middle:.1}\">{told}</text>",
                LEFT - 8.0,
                escaped(name),
                y + step * 0.15,
                step * 0.7,
                LEFT + width + 6.0,
            ),
        );
    }
    svg + "</svg>\n"
}

/// Lines over two axes, with their names below.
pub(crate) fn lines(title: &str, across: Axis<'_>, up: Axis<'_>, lines: &[Line]) -> String {
    let (left, bottom) = (70.0, HEIGHT - BOTTOM);
    let x = |value: f64| left + across.place(value) * (WIDTH - left - RIGHT);
    let y = |value: f64| bottom - up.place(value) * (bottom - TOP);
    let mut svg = begin(title);
    for (value, mark) in across.marks {
        let x = x(*value);
        push(
            &mut svg,
            format_args!(
                "<path d=\"M{x:.1} {TOP}V{bottom}\" class=\"grid\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>",
                bottom + 16.0
            ),
        );
    }
    for (value, mark) in up.marks {
        let y = y(*value);
        push(
            &mut svg,
            format_args!(
                "<path d=\"M{left} {y:.1}H{}\" class=\"grid\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
                WIDTH - RIGHT,
                left - 6.0,
                y + 4.0
            ),
        );
    }
    push(
        &mut svg,
        format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><text x=\"{left}\" y=\"{}\">{}</text>",
            WIDTH - RIGHT,
            bottom + 32.0,
            escaped(across.title),
            TOP - 8.0,
            escaped(up.title),
        ),
    );
    let mut at = left;
    for (number, (name, points)) in lines.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<_> = points
            .iter()
            .map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up)))
            .collect();
        push(
            &mut svg,
            format_args!(
                "<polyline points=\"{}\" stroke=\"{colour}\"/><rect x=\"{at:.1}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{}\">{}</text>",
                points.join(" "),
                HEIGHT - 15.0,
                at + 14.0,
                HEIGHT - 6.0,
                escaped(name),
            ),
        );
        at += 30.0 + LETTER * name.chars().count() as f64;
    }
    svg + "</svg>\n"
}

fn begin(title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\
         <style>polyline{{fill:none;stroke-width:1.6}}.grid{{stroke:#ddd}}</style>\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\
         <text x=\"10\" y=\"18\" font-size=\"14\" font-weight=\"bold\">{}</text>\n",
        escaped(title)
    )
}

fn push(svg: &mut String, part: std::fmt::Arguments<'_>) {
    // A String takes whatever is written.
    svg.write_fmt(part).ok();
    svg.push('\n');
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_lie_between_the_marks() {
        let axis = Axis {
            title: "ms",
            is_logarithmic: true,
            marks: &[(0.1, "0.1"), (1.0, "1"), (10.0, "10")],
        };
        let places = [0.1, 1.0, 10.0, 100.0, 0.0].map(|value| axis.place(value));
        assert_eq!(places, [0.0, 0.5, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn names_are_escaped() {
        let svg = bars("a < b", &[("x & y".to_owned(), 1.0, "1".to_owned())]);
        assert!(
            svg.contains("a &lt; b") && svg.contains("x &amp; y"),
            "{svg}"
        );
    }
}
