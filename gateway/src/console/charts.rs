//! Charts: some minutes of one figure as SVG, whose colours come from the style sheet of the page.
//!
//! They are drawn once for all visitors, at most once a second, and only while somebody looks.

use maud::PreEscaped;
use plotters::prelude::*;

/// How far a chart goes back, in seconds.
pub const SECONDS: f64 = 300.0;
const SIZE: (u32, u32) = (460, 180);

/// What is drawn in these colours gets a class of the style sheet instead.
const INK: RGBColor = RGBColor(1, 2, 3);
const GRID: RGBColor = RGBColor(1, 2, 4);
const LINE: RGBColor = RGBColor(1, 2, 5);
const CLASSES: [(&str, &str); 6] = [
    ("fill=\"#010203\"", "class=\"ink\""),
    ("stroke=\"#010203\"", "class=\"grid\""),
    ("fill=\"#010204\"", "class=\"ink\""),
    ("stroke=\"#010204\"", "class=\"grid\""),
    ("fill=\"#010205\"", "class=\"area\""),
    ("stroke=\"#010205\"", "class=\"line\""),
];

/// A chart of a figure: each point is a time in seconds, at most 0, and a value.
pub fn chart(points: &[(f64, f64)], label: fn(f64) -> String) -> PreEscaped<String> {
    let mut svg = String::new();
    let drawn = draw(&mut svg, points, label);
    if let Err(error) = drawn {
        tracing::debug!("a chart cannot be drawn: {error}");
        return PreEscaped(String::new());
    }
    let svg = CLASSES.iter().fold(svg, |svg, (colour, class)| svg.replace(colour, class));
    let size = format!("width=\"{}\" height=\"{}\"", SIZE.0, SIZE.1);
    // What it shows stands in the caption, so it says nothing to a screen reader.
    PreEscaped(svg.replacen(&size, "aria-hidden=\"true\" focusable=\"false\"", 1))
}

fn draw(
    svg: &mut String,
    points: &[(f64, f64)],
    label: fn(f64) -> String,
) -> Result<(), Box<dyn std::error::Error>> {
    let recent: Vec<_> = points.iter().copied().filter(|(at, _)| *at >= -SECONDS).collect();
    let top = recent.iter().map(|(_, value)| *value).fold(0.0, f64::max);
    let top = if top > 0.0 { top * 1.15 } else { 1.0 };
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let mut builder = ChartBuilder::on(&area);
    builder.margin(6).margin_right(14).x_label_area_size(26).y_label_area_size(78);
    let mut chart = builder.build_cartesian_2d(-SECONDS..0.0, 0.0..top)?;
    let words = ("sans-serif", 17).into_font().color(&INK);
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(6)
        .y_labels(4)
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GRID)
        .label_style(words)
        .x_label_formatter(&|at| format!("{at:.0} s"))
        .y_label_formatter(&|value| label(*value))
        .draw()?;
    chart.draw_series(AreaSeries::new(recent, 0.0, LINE.mix(0.2)).border_style(LINE.stroke_width(2)))?;
    area.present()?;
    drop(chart);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_has_no_colours_of_its_own_and_no_styles() {
        let points: Vec<_> = (0..100).map(|at| (f64::from(at) - 99.0, f64::from(at % 7))).collect();
        let svg = chart(&points, crate::console::shown::rate).0;
        assert!(svg.starts_with("<svg aria-hidden=\"true\""), "{svg}");
        for class in ["ink", "grid", "area", "line"] {
            assert!(svg.contains(&format!("class=\"{class}\"")), "{class}: {svg}");
        }
        assert!(!svg.contains("style=") && !svg.contains("#0102"), "{svg}");
        assert!(svg.len() < 16_000, "{} bytes", svg.len());
    }

    #[test]
    fn nothing_and_one_point_are_charts_as_well() {
        for points in [&[][..], &[(0.0, 0.0)], &[(-1e9, 5.0), (0.0, f64::MIN_POSITIVE)]] {
            assert!(chart(points, crate::console::shown::rate).0.contains("</svg>"));
        }
    }
}
