//! Bars for the groups that people ask about first.
//!
//! Written by hand: a card of its own colour, so that it can be read on a light and on a dark page.

use crate::case::Row;
use crate::meter::Figure;
use crate::queues;
use crate::report::Measured;
use crate::table;

/// Which rows make a picture: the group and the setting.
const PANELS: [(&str, &str); 4] = [
    ("submit-collect", "4 workers"),
    ("latency", "4 workers"),
    ("queue", queues::BOUNDED),
    ("queue", queues::UNBOUNDED),
];

// Pixels.
const WIDTH: f64 = 760.0;
const MARGIN: f64 = 24.0;
const BARS_LEFT: f64 = 244.0;
const BARS_RIGHT: f64 = 664.0;
const HEAD: f64 = 46.0;
const ROW: f64 = 26.0;
const BAR: f64 = 16.0;
const GAP: f64 = 22.0;
const FOOT: f64 = 30.0;

const STYLE: &str = "\
text { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.dim { fill: #59636e }
.card { fill: #ffffff; stroke: #d0d7de }
.peer { fill: #afb8c1 }
.ours { fill: #0969da }
.own { font-weight: 600 }
.spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.dim { fill: #9198a1 }
.card { fill: #0d1117; stroke: #3d444d }
.peer { fill: #59636e }
.ours { fill: #4493f8 }
.spread { stroke: #e6edf3 }
}
";

/// A picture of the medians; lines show the least and the most.
pub(crate) fn svg(measured: &[Measured]) -> String {
    let mut body = String::new();
    let mut y = MARGIN;
    for (group, setting) in PANELS {
        if let Some(one) = measured.iter().find(|one| one.group.name == group) {
            y = panel(&mut body, one, setting, y) + GAP;
        }
    }
    body.push_str(&format!(
        "<text class=\"dim\" x=\"{MARGIN}\" y=\"{}\">Bars: medians; lines: least and most. Less is better.</text>\n",
        y + 4.0,
    ));
    let height = y + FOOT;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"towline-threads beside its peers\">\n\
         <style>\n{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{body}</svg>\n",
        WIDTH - 1.0,
        height - 1.0,
    )
}

/// Draws the rows of a group at one setting, from `top` on; gives where it ends.
fn panel(body: &mut String, measured: &Measured, setting: &str, top: f64) -> f64 {
    let unit = measured.group.unit;
    let rows: Vec<(&Row, f64)> = measured
        .rows
        .iter()
        .filter(|row| row.setting == setting)
        .filter_map(|row| Some((row, row.median(Figure::Main)?)))
        .collect();
    body.push_str(&format!(
        "<text class=\"title\" x=\"{MARGIN}\" y=\"{}\">{}</text>\n\
         <text class=\"dim\" x=\"{MARGIN}\" y=\"{}\">{}, {}</text>\n",
        top + 12.0,
        escaped(measured.group.title),
        top + 30.0,
        escaped(setting),
        unit.label,
    ));
    // A tenth more than the longest bar, for the lines; what is longer still is cut off.
    let full = rows.iter().map(|(_, median)| median * 1.1).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (BARS_RIGHT - BARS_LEFT) / full;
    let mut y = top + HEAD;
    for (row, median) in rows {
        let middle = y + BAR / 2.0;
        let (bar, word) = if row.ours { ("ours", "own") } else { ("peer", "") };
        body.push_str(&format!(
            "<text class=\"{word}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n\
             <rect class=\"{bar}\" x=\"{BARS_LEFT}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{BAR}\" rx=\"2\"/>\n\
             <text class=\"{word}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            BARS_LEFT - 10.0,
            middle + 4.5,
            escaped(row.contender),
            median * scale,
            WIDTH - MARGIN,
            middle + 4.5,
            escaped(&table::figure(median / unit.size)),
        ));
        if let (Some(least), Some(most)) = (row.min(Figure::Main), row.max(Figure::Main)) {
            let most = (most * scale).min(BARS_RIGHT - BARS_LEFT);
            body.push_str(&format!(
                "<line class=\"spread\" x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\"/>\n",
                BARS_LEFT + least * scale,
                BARS_LEFT + most,
            ));
        }
        y += ROW;
    }
    y
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
