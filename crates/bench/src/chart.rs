//! Pictures: bars with their spread, and curves over the number of files. Each is a card of its own
//! colour, so that it can be read on a light and on a dark page.

use std::collections::BTreeMap;

use crate::harness::{Figure, Role, Row};

// Pixels.
const WIDTH: f64 = 760.0;
const MARGIN: f64 = 24.0;
const LEFT: f64 = 210.0;
const RIGHT: f64 = 664.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const TITLE: f64 = 34.0;
const HEAD: f64 = 22.0;
const GAP: f64 = 18.0;
const PLOT: f64 = 260.0;

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.dim { fill: #59636e }
.card { fill: #ffffff; stroke: #d0d7de }
.peer { fill: #afb8c1 }
.floor { fill: #d8c9a8 }
.ours { fill: #0969da }
.own { font-weight: 600 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.grid { stroke: #d0d7de; stroke-width: 1 }
.curve { fill: none; stroke: #818b98; stroke-width: 2 }
.curve.mine { stroke: #0969da; stroke-width: 3 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.dim { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d }
.peer { fill: #59636e }
.floor { fill: #6b5f43 }
.ours { fill: #4493f8 }
.spread { stroke: #e6edf3 }
.grid { stroke: #3d444d }
.curve.mine { stroke: #4493f8 }
}
";

/// Bars of the medians, setting by setting; lines show the least and the most.
#[must_use]
pub fn bars(title: &str, rows: &[Row], figure: Figure) -> String {
    let mut settings: Vec<&str> = rows.iter().map(|row| row.setting.as_str()).collect();
    settings.dedup();
    let mut body = String::new();
    let mut y = MARGIN + TITLE;
    for setting in settings {
        y = panel(&mut body, setting, rows, figure, y) + GAP;
    }
    body.push_str(&note(y, "Bars: medians, in seconds; lines: least and most. Less is better."));
    card(title, &body, y + MARGIN)
}

fn panel(body: &mut String, setting: &str, rows: &[Row], figure: Figure, top: f64) -> f64 {
    let rows: Vec<_> =
        rows.iter().filter(|row| row.setting == setting).filter_map(|row| Some((row, row.spread(figure)?))).collect();
    body.push_str(&format!("<text class=\"dim\" x=\"{MARGIN}\" y=\"{:.1}\">{}</text>\n", top + 12.0, escaped(setting)));
    let most = rows.iter().map(|(_, spread)| spread.max).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (RIGHT - LEFT) / most;
    let mut y = top + HEAD;
    for (row, spread) in rows {
        let middle = y + BAR / 2.0;
        let (class, word) = match row.role {
            Role::Ours => ("ours", "own"),
            Role::Peer | Role::Beside => ("peer", ""),
            Role::Floor => ("floor", "dim"),
        };
        body.push_str(&format!(
            "<text class=\"{word}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\n\
             <line class=\"spread\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\n\
             <text class=\"{word}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.3}</text>\n",
            LEFT - 10.0,
            middle + 4.5,
            escaped(&row.contender),
            spread.median * scale,
            LEFT + spread.min * scale,
            LEFT + spread.max * scale,
            WIDTH - MARGIN,
            middle + 4.5,
            spread.median,
        ));
        y += ROW;
    }
    y
}

/// A curve for each program over the number that its settings begin with; both axes are logarithmic.
#[must_use]
pub fn curves(title: &str, rows: &[Row], figure: Figure) -> String {
    let mut lines: BTreeMap<(String, bool), Vec<(f64, f64)>> = BTreeMap::new();
    for row in rows {
        let Some((count, value)) = number(&row.setting).zip(row.median(figure)) else { continue };
        let suffix = if row.setting.ends_with("again") { ", again" } else { "" };
        let key = (format!("{}{suffix}", row.contender), row.role == Role::Ours);
        lines.entry(key).or_default().push((count, value));
    }
    let points = || lines.values().flatten();
    let Some(x) = Axis::of(points().map(|point| point.0), LEFT, RIGHT) else { return card(title, "", MARGIN) };
    let top = MARGIN + TITLE;
    let Some(y) = Axis::of(points().map(|point| point.1), top + PLOT, top) else { return card(title, "", MARGIN) };
    let mut body = String::new();
    for decade in x.decades() {
        let at = x.place(decade);
        body.push_str(&format!(
            "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{:.1}\"/>\n\
             <text class=\"dim\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{decade:.0}</text>\n",
            top + PLOT,
            top + PLOT + 18.0,
        ));
    }
    for decade in y.decades() {
        let at = y.place(decade);
        body.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{RIGHT}\" y2=\"{at:.1}\"/>\n\
             <text class=\"dim\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{decade} s</text>\n",
            LEFT - 10.0,
            at + 4.5,
        ));
    }
    for ((name, is_ours), points) in &lines {
        let path: Vec<_> = points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.place(*a), y.place(*b))).collect();
        let class = if *is_ours { "curve mine" } else { "curve" };
        body.push_str(&format!("<polyline class=\"{class}\" points=\"{}\"/>\n", path.join(" ")));
        if let Some((a, b)) = points.last() {
            body.push_str(&format!(
                "<text class=\"{}\" x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
                if *is_ours { "own" } else { "dim" },
                x.place(*a) + 6.0,
                y.place(*b) + 4.5,
                escaped(name),
            ));
        }
    }
    let end = top + PLOT + 44.0;
    body.push_str(&note(end, "Median seconds over the number of files; both axes are logarithmic."));
    card(title, &body, end + MARGIN)
}

/// The number that a setting begins with, such as `10,000 files`.
fn number(setting: &str) -> Option<f64> {
    setting.split_whitespace().next()?.replace(',', "").parse().ok()
}

/// A logarithmic axis.
struct Axis {
    /// Exponents of ten.
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Option<Self> {
        let exponents: Vec<f64> = values.filter(|value| *value > 0.0).map(f64::log10).collect();
        let low = exponents.iter().copied().reduce(f64::min)?.floor();
        let high = exponents.iter().copied().reduce(f64::max)?.ceil().max(low + 1.0);
        Some(Self { low, high, from, to })
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|exponent| 10_f64.powi(exponent))
    }
}

fn note(y: f64, text: &str) -> String {
    format!("<text class=\"dim\" x=\"{MARGIN}\" y=\"{:.1}\">{text}</text>\n", y + 4.0)
}

fn card(title: &str, body: &str, height: f64) -> String {
    let title = escaped(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\">\n<style>\n{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{:.1}\" rx=\"8\"/>\n\
         <text class=\"title\" x=\"{MARGIN}\" y=\"{:.1}\">{title}</text>\n{body}</svg>\n",
        WIDTH - 1.0,
        height.floor() - 1.0,
        MARGIN + 12.0,
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
