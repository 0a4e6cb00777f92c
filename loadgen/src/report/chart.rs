//! Charts of the page: SVG whose colours come from the page's style sheet.
//!
//! ```text
//!   points, scales ──> plotters, in colours that stand for classes ──> SVG with classes, twice: wide, and for a phone
//! ```
//!
//! What is drawn in colour `n` gets the class `fn` (filled) or `sn` (a line), so one drawing is good for light, dark
//! and paper. The style sheet shows one of the two sizes.

use super::grouped;
use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::prelude::*;
use std::error::Error;
use std::ops::Range;

/// A class of the style sheet, the size in pixels, and how many labels the axes have.
type Size = (&'static str, (u32, u32), (usize, usize));

/// Width and height; and about how many steps the axes have.
const SIZES: [Size; 2] = [("wide", (820, 300), (8, 5)), ("narrow", (390, 250), (4, 4))];
/// The class of words and axes, and of the grid. Those from 2 on are data.
const INK: usize = 0;
const GRID: usize = 1;
/// More transactions than that are in no run.
const NINES_MAX: f64 = 12.0;
/// No run takes as many microseconds.
const DECADES_MAX: f64 = 15.0;
/// Pixels of a bar with its gap.
const BAR: u32 = 40;

/// What an axis counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things, from 0 on.
    Count,
    /// Seconds of the window.
    Seconds,
    /// Microseconds.
    Duration,
    /// Microseconds of CPU.
    Cpu,
    /// Decimal logarithms of microseconds.
    LogDuration,
    /// Nines of a share: 2 for 99 %.
    Nines,
}

impl Unit {
    fn label(self, value: f64) -> String {
        match self {
            Unit::Count => short(value),
            Unit::Duration | Unit::Cpu if value == 0.0 => "0".to_owned(),
            Unit::Seconds => format!("{value:.0} s"),
            Unit::Duration => round_duration(value),
            Unit::Cpu => format!("{} µs", trimmed(value)),
            Unit::LogDuration => round_duration(10f64.powf(value)),
            Unit::Nines => format!("{} %", trimmed(100.0 - 100.0 * 10f64.powf(-value))),
        }
    }

    /// The end of an axis whose largest value this is, and where it is marked.
    fn ticks(self, (from, to): (f64, f64), steps: usize) -> Vec<f64> {
        match self {
            Unit::Nines => (0..=(to.min(NINES_MAX).floor() as u32))
                .map(f64::from)
                .chain([0.5f64.log10().abs()])
                .collect(),
            Unit::LogDuration => log_ticks(from, to, steps),
            Unit::Count | Unit::Seconds => linear_ticks(to, steps, 1.0),
            Unit::Duration | Unit::Cpu => linear_ticks(to, steps, 0.0),
        }
    }
}

/// An axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    unit: Unit,
    range: (f64, f64),
}

impl Axis {
    /// From 0 to a little more than the largest value.
    pub(super) fn up_to(unit: Unit, most: f64) -> Axis {
        let to = if most > 0.0 && most.is_finite() { most * 1.08 } else { 1.0 };
        Axis { unit, range: (0.0, to) }
    }

    /// Exactly between two values.
    pub(super) fn between(unit: Unit, from: f64, to: f64) -> Axis {
        Axis { unit, range: (from, if to > from { to } else { from + 1.0 }) }
    }

    fn marked(self, steps: usize) -> Marked {
        Marked { axis: self, ticks: self.unit.ticks(self.range, steps), names: Vec::new() }
    }
}

/// An axis with its marks, and what stands at them if that is not their value.
struct Marked {
    axis: Axis,
    ticks: Vec<f64>,
    names: Vec<String>,
}

impl Ranged for Marked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (low, high): (i32, i32)) -> i32 {
        let (from, to) = self.axis.range;
        low + (f64::from(high - low) * (value - from) / (to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> Range<f64> {
        self.axis.range.0..self.axis.range.1
    }
}

impl ValueFormatter<f64> for Marked {
    fn format_ext(&self, value: &f64) -> String {
        let name = self.ticks.iter().position(|tick| tick == value).and_then(|at| self.names.get(at));
        name.cloned().unwrap_or_else(|| self.axis.unit.label(*value))
    }
}

/// A line of a chart: its class, and its points.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) class: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over two axes.
pub(super) fn lines(says: &str, x: Axis, y: Axis, lines: &[Line]) -> Markup {
    twice(says, |svg, size, steps| {
        let area = SVGBackend::with_string(svg, size).into_drawing_area();
        let mut chart = frame(&area, (x, y), steps, 66)?;
        for Line { class, points } in lines {
            match points[..] {
                [only] => drop(chart.draw_series([Circle::new(only, 4, ink(*class).filled())])?),
                _ => drop(
                    chart
                        .draw_series(LineSeries::new(points.iter().copied(), ink(*class).stroke_width(2)))?,
                ),
            }
        }
        drop(chart);
        Ok(area.present()?)
    })
}

/// Bars, each of several parts: class and length. One bar stands above the other; the first is the highest.
pub(super) fn bars(says: &str, unit: Unit, bars: &[(String, Vec<(usize, f64)>)]) -> Markup {
    let whole = |parts: &[(usize, f64)]| parts.iter().map(|(_, length)| length).sum::<f64>();
    let most = bars.iter().map(|(_, parts)| whole(parts)).fold(0.0, f64::max);
    let x = Axis::up_to(unit, most);
    twice(says, |svg, (width, _), (steps, _)| {
        let area = SVGBackend::with_string(svg, (width, bars.len() as u32 * BAR + 46)).into_drawing_area();
        let y = Marked {
            axis: Axis::between(Unit::Count, 0.0, bars.len() as f64),
            ticks: (0..bars.len()).map(|at| at as f64 + 0.5).collect(),
            names: bars.iter().rev().map(|(name, _)| name.clone()).collect(),
        };
        let mut builder = ChartBuilder::on(&area);
        builder.margin(6).margin_right(22).x_label_area_size(28).y_label_area_size(84);
        let mut chart = builder.build_cartesian_2d(x.marked(steps), y)?;
        chart
            .configure_mesh()
            .disable_y_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(ink(GRID))
            .axis_style(ink(GRID))
            .label_style(words())
            .draw()?;
        for (row, (_, parts)) in bars.iter().rev().enumerate() {
            let (bottom, mut from) = (row as f64, 0.0);
            for (class, length) in parts.iter().filter(|(_, length)| *length > 0.0) {
                let corners = [(from, bottom + 0.16), (from + length, bottom + 0.84)];
                chart.draw_series([Rectangle::new(corners, ink(*class).filled())])?;
                from += length;
            }
        }
        drop(chart);
        Ok(area.present()?)
    })
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Marked, Marked>>;

fn frame<'a, 'b>(
    area: &'a DrawingArea<SVGBackend<'b>, Shift>,
    (x, y): (Axis, Axis),
    (across, up): (usize, usize),
    left: u32,
) -> Result<Chart<'a, 'b>, Box<dyn Error>> {
    let mut builder = ChartBuilder::on(area);
    builder.margin(8).margin_right(22).x_label_area_size(28).y_label_area_size(left);
    let mut chart = builder.build_cartesian_2d(x.marked(across), y.marked(up))?;
    let mut mesh = chart.configure_mesh();
    if x.unit == Unit::Seconds {
        mesh.disable_x_mesh();
    }
    mesh.light_line_style(TRANSPARENT)
        .bold_line_style(ink(GRID))
        .axis_style(ink(GRID))
        .label_style(words())
        .draw()?;
    Ok(chart)
}

fn words() -> TextStyle<'static> {
    ("sans-serif", 16).into_font().color(&ink(INK))
}

/// The colour that stands for a class.
fn ink(class: usize) -> RGBColor {
    RGBColor(1, 2, class as u8)
}

/// Draws in both sizes, and gives the drawings their classes.
fn twice(
    says: &str,
    draw: impl Fn(&mut String, (u32, u32), (usize, usize)) -> Result<(), Box<dyn Error>>,
) -> Markup {
    let drawings = SIZES.map(|(name, size, steps)| {
        let mut svg = String::new();
        let drawn = draw(&mut svg, size, steps);
        (name, drawn.map(|()| PreEscaped(with_classes(&svg))))
    });
    html! {
        @for (name, drawn) in drawings {
            @match drawn {
                Ok(svg) => div class=(name) role="img" aria-label=(says) { (svg) },
                Err(error) => p class=(name) { "This chart cannot be drawn: " (error.to_string()) "." },
            }
        }
    }
}

/// The drawing with classes for colours, without what the page says already. Its words are our own.
fn with_classes(svg: &str) -> String {
    let mut text = svg.replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
    if let Some((start, view)) = text.split_once(" viewBox=") {
        let start = start.split(" width=").next().unwrap_or_default();
        text = format!("{start} aria-hidden=\"true\" focusable=\"false\" viewBox={view}");
    }
    for dull in [" opacity=\"1\"", " font-family=\"sans-serif\"", " stroke=\"none\"", "\n"] {
        text = text.replace(dull, "");
    }
    for class in 0..16 {
        for (attribute, letter) in [("fill", 'f'), ("stroke", 's')] {
            let colour = format!("{attribute}=\"#0102{class:02X}\"");
            text = text.replace(&colour, &format!("class=\"{letter}{class}\""));
        }
    }
    text
}

/// Round steps from 0 on, each at least so long.
fn linear_ticks(to: f64, steps: usize, least: f64) -> Vec<f64> {
    let rough = (to / steps as f64).max(least);
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].map(|n| n * power).into_iter().find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(rough);
    (0..=(to / step).floor() as usize).map(|n| n as f64 * step).collect()
}

/// 1, 2 and 5 of each decade between two logarithms; where these are too many, 1 alone.
fn log_ticks(from: f64, to: f64, steps: usize) -> Vec<f64> {
    let decades = from.floor() as i32..=to.min(DECADES_MAX).ceil() as i32;
    let of = |digits: &[f64]| -> Vec<f64> {
        let all =
            decades.clone().flat_map(|decade| digits.iter().map(move |n| f64::from(decade) + n.log10()));
        all.filter(|tick| (from..=to).contains(tick)).collect()
    };
    let fine = of(&[1.0, 2.0, 5.0]);
    if fine.len() <= steps { fine } else { of(&[1.0]) }
}

/// A round number without zeros behind its point.
fn trimmed(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn round_duration(us: f64) -> String {
    match us {
        ..1_000.0 => format!("{} µs", trimmed(us)),
        ..1_000_000.0 => format!("{} ms", trimmed(us / 1e3)),
        _ => format!("{} s", trimmed(us / 1e6)),
    }
}

fn short(value: f64) -> String {
    match value {
        ..10_000.0 => grouped(value.round() as u64),
        ..1_000_000.0 => format!("{} k", trimmed(value / 1e3)),
        _ => format!("{} M", trimmed(value / 1e6)),
    }
}

#[cfg(test)]
mod tests;
