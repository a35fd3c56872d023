//! Plots as SVG, without any library: bars one below the other, and lines over an axis of powers of ten.

use std::fmt::Write as _;

const COLOURS: [&str; 6] = ["#3b6ea5", "#8a8a8a", "#c76b29", "#5a9a4a", "#8e5aa8", "#b0a030"];

/// A line of a plot: its name, and its points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Bars of one sort: what they show, and the bars themselves. The last word of a bar's label is the server's name.
pub(crate) type Group<'a> = (&'a str, &'a [(String, f64)]);

/// Bars of two pieces each: what they show, and the bars themselves.
pub(crate) type Stack<'a> = (&'a str, &'a [(String, [f64; 2])]);

const LEFT: usize = 340;
const WIDE: f64 = 360.0;
const HIGH: usize = 22;

/// Bars, one below the other; each group has a title and a scale of its own. Those of one server have one colour.
pub(crate) fn bars(groups: &[Group<'_>]) -> String {
    let mut servers: Vec<&str> = Vec::new();
    let (mut svg, mut top) = (String::new(), 0);
    for (title, bars) in groups {
        let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
        heading(&mut svg, top, title);
        for (index, (label, value)) in bars.iter().enumerate() {
            bar(&mut svg, top + HIGH * (index + 1), label, &[*value], most, colour(&mut servers, label));
        }
        top += HIGH * (bars.len() + 2);
    }
    begin(790, top) + &svg + "</svg>\n"
}

/// The same with bars of two pieces, the second of them pale.
pub(crate) fn stacked((title, bars): Stack<'_>) -> String {
    let mut servers: Vec<&str> = Vec::new();
    let most = bars.iter().map(|(_, pieces)| pieces.iter().sum()).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = begin(790, HIGH * (bars.len() + 2));
    heading(&mut svg, 0, title);
    for (index, (label, pieces)) in bars.iter().enumerate() {
        bar(&mut svg, HIGH * (index + 1), label, pieces, most, colour(&mut servers, label));
    }
    svg + "</svg>\n"
}

/// The colour of a label's server.
fn colour<'a>(servers: &mut Vec<&'a str>, label: &'a str) -> &'static str {
    let server = label.rsplit(' ').next().unwrap_or_default();
    let place = servers.iter().position(|known| *known == server).unwrap_or_else(|| {
        servers.push(server);
        servers.len() - 1
    });
    COLOURS[place % COLOURS.len()]
}

/// A bar, each piece paler than the one before.
fn bar(svg: &mut String, top: usize, label: &str, pieces: &[f64], most: f64, fill: &str) {
    let (y, mut x, mut opacity) = (top + 6, LEFT as f64, 1.0);
    let text_y = y + 13;
    write!(svg, "<text x=\"10\" y=\"{text_y}\">{label}</text>").expect("in memory");
    for piece in pieces {
        let (wide, high) = (piece / most * WIDE, HIGH - 5);
        write!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{high}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>"
        )
        .expect("in memory");
        (x, opacity) = (x + wide, opacity / 2.0);
    }
    let words: Vec<String> = pieces.iter().map(|piece| number(*piece)).collect();
    writeln!(svg, "<text x=\"{:.1}\" y=\"{text_y}\">{}</text>", x + 6.0, words.join(" + ")).expect("in memory");
}

/// Lines over a logarithmic axis; upwards it begins at zero.
pub(crate) fn lines(title: &str, across: &str, series: &[Series]) -> String {
    const LEFT: f64 = 60.0;
    const TOP: f64 = 34.0;
    const WIDE: f64 = 420.0;
    const HIGH: f64 = 260.0;
    let points = || series.iter().flat_map(|(_, points)| points);
    let (first, last) = points().fold((f64::MAX, 1.0_f64), |(first, last), (x, _)| (x.min(first), x.max(last)));
    let most = points().map(|(_, y)| *y).fold(f64::MIN_POSITIVE, f64::max) * 1.1;
    let x = |value: f64| LEFT + (value / first).log10() / (last / first).log10().max(f64::MIN_POSITIVE) * WIDE;
    let y = |value: f64| TOP + HIGH - value / most * HIGH;
    let mut svg = begin(700, (TOP + HIGH) as usize + 50);
    heading(&mut svg, 0, title);
    for step in 0..=4 {
        let value = most * f64::from(step) / 4.0;
        let (at, right) = (y(value), LEFT + WIDE);
        writeln!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            number(value)
        )
        .expect("in memory");
    }
    let mut marks: Vec<f64> = points().map(|(x, _)| *x).collect();
    marks.sort_unstable_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let (at, below) = (x(mark), TOP + HIGH + 18.0);
        writeln!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{mark:.0}</text>").expect("in memory");
    }
    writeln!(svg, "<text x=\"{LEFT}\" y=\"{}\">{across}</text>", TOP + HIGH + 38.0).expect("in memory");
    for (index, (name, points)) in series.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let path: Vec<String> = points.iter().map(|(px, py)| format!("{:.1},{:.1}", x(*px), y(*py))).collect();
        let (path, at) = (path.join(" "), TOP + 16.0 * (index + 1) as f64);
        writeln!(
            svg,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{}\" y=\"{at}\" fill=\"{colour}\">{name}</text>",
            LEFT + WIDE + 14.0
        )
        .expect("in memory");
    }
    svg + "</svg>\n"
}

fn begin(wide: usize, high: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{wide}\" height=\"{high}\" fill=\"white\"/>\n"
    )
}

fn heading(svg: &mut String, top: usize, title: &str) {
    writeln!(svg, "<text x=\"10\" y=\"{}\">{title}</text>", top + 18).expect("in memory");
}

fn number(value: f64) -> String {
    if value == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
