//! Plots as SVG, without any library: bars one below the other, and lines over an axis of powers of ten.

use std::fmt::Write as _;

const COLOURS: [&str; 6] = ["#3b6ea5", "#8a8a8a", "#c76b29", "#5a9a4a", "#8e5aa8", "#b0a030"];

/// A line of a plot: its name, and its points.
pub(crate) type Series = (String, Vec<(f64, f64)>);

/// Bars, one below the other. Those of one server have one colour; the server's name is the label's last word.
pub(crate) fn bars(title: &str, bars: &[(String, f64)]) -> String {
    const LEFT: usize = 250;
    const WIDE: f64 = 360.0;
    const HIGH: usize = 22;
    let most = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let mut servers: Vec<&str> = Vec::new();
    let mut svg = begin(title, 700, HIGH * (bars.len() + 2));
    for (index, (label, value)) in bars.iter().enumerate() {
        let (y, wide) = (HIGH * (index + 1) + 6, value / most * WIDE);
        let server = label.rsplit(' ').next().unwrap_or_default();
        let place = servers.iter().position(|known| *known == server).unwrap_or_else(|| {
            servers.push(server);
            servers.len() - 1
        });
        let (fill, text_y, text_x) = (COLOURS[place % COLOURS.len()], y + 13, LEFT as f64 + wide + 6.0);
        writeln!(
            svg,
            "<text x=\"10\" y=\"{text_y}\">{label}</text>\
             <rect x=\"{LEFT}\" y=\"{y}\" width=\"{wide:.1}\" height=\"{}\" fill=\"{fill}\"/>\
             <text x=\"{text_x:.1}\" y=\"{text_y}\">{}</text>",
            HIGH - 5,
            number(*value)
        )
        .expect("in memory");
    }
    svg + "</svg>\n"
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
    let mut svg = begin(title, 700, (TOP + HIGH) as usize + 50);
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

fn begin(title: &str, wide: usize, high: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{wide}\" height=\"{high}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{wide}\" height=\"{high}\" fill=\"white\"/>\n<text x=\"10\" y=\"18\">{title}</text>\n"
    )
}

fn number(value: f64) -> String {
    if value == 0.0 || value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
