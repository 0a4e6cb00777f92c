//! A rate by the size of a batch, and a picture of several.

use anyhow::Result;

/// The sides of the picture and its margins, in its units.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 240.0;
const EDGE: f64 = 40.0;
/// One for each curve, in turn.
const COLOURS: [&str; 10] = [
    "#1f77b4", "#6baed6", "#08519c", "#3182bd", "#d62728", "#ff9896", "#2ca02c", "#98df8a", "#9467bd",
    "#c5b0d5",
];

/// What one way reaches.
pub(super) struct Curve {
    /// What it is called: `cpu, …` or `gpu, …`.
    pub(super) name: String,
    /// Sizes, ascending, and signatures a second.
    pub(super) points: Vec<(usize, f64)>,
}

impl Curve {
    /// Measures every size; `figure` gives the nanoseconds of a batch.
    ///
    /// # Errors
    /// The first measurement that fails ends it.
    pub(super) fn measured(
        name: String,
        sizes: &[usize],
        mut figure: impl FnMut(usize) -> Result<f64>,
    ) -> Result<Self> {
        let points = sizes.iter().map(|size| Ok((*size, *size as f64 * 1e9 / figure(*size)?)));
        Ok(Self { name, points: points.collect::<Result<_>>()? })
    }

    /// Whether it is the GPU's.
    pub(super) fn is_gpu(&self) -> bool {
        self.name.starts_with("gpu")
    }

    /// Its name and its rates.
    pub(super) fn line(&self) -> String {
        let points: Vec<String> =
            self.points.iter().map(|(size, rate)| format!("{size}: {rate:.0}")).collect();
        format!("  {:<26} {}", self.name, points.join("  "))
    }

    /// The size from which on it is always faster than all cores of the CPU with the same kind of keys.
    pub(super) fn overtakes(&self, curves: &[Self]) -> Option<usize> {
        let keys = self.name.rsplit(", ").next()?;
        let cpu =
            curves.iter().find(|curve| curve.name.starts_with("cpu, all") && curve.name.ends_with(keys))?;
        let behind = |((_, gpu), (_, cpu)): (&(usize, f64), &(usize, f64))| gpu <= cpu;
        let last_behind = self.points.iter().zip(&cpu.points).rposition(behind);
        self.points.get(last_behind.map_or(0, |at| at + 1)).map(|(size, _)| *size)
    }
}

/// The curves with both axes logarithmic, as SVG.
pub(super) fn svg(title: &str, curves: &[Curve]) -> String {
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let rates = || all().map(|(_, rate)| rate.log10());
    let (low, high) = (rates().fold(f64::INFINITY, f64::min).floor(), rates().fold(1.0, f64::max).ceil());
    let sizes = || all().map(|(size, _)| (*size as f64).log2());
    let (first, last) = (sizes().fold(f64::INFINITY, f64::min), sizes().fold(1.0, f64::max));
    let x = |size: f64| LEFT + (WIDTH - LEFT - RIGHT) * (size - first) / (last - first).max(1.0);
    let y = |rate: f64| HEIGHT - EDGE - (HEIGHT - 2.0 * EDGE) * (rate - low) / (high - low).max(1.0);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"24\">Signatures a second by the size of a batch: {}</text>\n",
        escaped(title)
    );
    let mut rate = low;
    while low <= high && rate <= high {
        let (at, end) = (y(rate), WIDTH - RIGHT);
        text += &format!(
            "<line x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{end}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{:.0}</text>\n",
            LEFT - 8.0,
            at + 4.0,
            10f64.powf(rate)
        );
        rate += 1.0;
    }
    let ticks = curves.first().map_or(&[][..], |curve| &curve.points);
    for (size, _) in ticks.iter().step_by(2) {
        let (at, bottom) = (x((*size as f64).log2()), HEIGHT - EDGE + 18.0);
        text += &format!("<text x=\"{at:.1}\" y=\"{bottom}\" text-anchor=\"middle\">{size}</text>\n");
    }
    for (number, curve) in curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(size, rate)| format!("{:.1},{:.1}", x((*size as f64).log2()), y(rate.log10())))
            .collect();
        let (left, top) = (WIDTH - RIGHT + 14.0, 52.0 + 20.0 * number as f64);
        text += &format!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>\
             <text x=\"{left}\" y=\"{top}\" fill=\"{colour}\">{}</text>\n",
            points.join(" "),
            escaped(&curve.name)
        );
    }
    text + "</svg>\n"
}

/// A text between tags: a driver may call its device anything.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(name: &str, rates: [f64; 3]) -> Curve {
        Curve { name: name.into(), points: [64, 128, 256].into_iter().zip(rates).collect() }
    }

    #[test]
    fn a_curve_overtakes_where_it_stays_ahead() {
        let curves = [
            curve("cpu, one core, fresh keys", [1.0; 3]),
            curve("cpu, all cores, fresh keys", [10.0, 20.0, 30.0]),
            curve("cpu, all cores, known keys", [50.0, 50.0, 50.0]),
        ];
        let from = |name, rates| curve(name, rates).overtakes(&curves);
        assert_eq!(from("gpu, wide, fresh keys", [11.0, 21.0, 31.0]), Some(64));
        assert_eq!(from("gpu, wide, fresh keys", [11.0, 20.0, 31.0]), Some(256));
        assert_eq!(from("gpu, wide, fresh keys", [40.0, 40.0, 30.0]), None);
        assert_eq!(from("gpu, wide, known keys", [11.0, 51.0, 51.0]), Some(128));
    }

    #[test]
    fn a_picture_has_every_curve_and_no_tag_of_a_driver() {
        let curves =
            [curve("cpu, all cores, fresh keys", [100.0, 200.0, 300.0]), curve("gpu, <b>", [1.0, 10.0, 1e6])];
        let picture = svg("A & <B>", &curves);
        assert_eq!(picture.matches("<polyline").count(), 2);
        assert!(picture.contains("A &amp; &lt;B&gt;") && picture.contains("gpu, &lt;b&gt;"));
        assert!(!picture.contains("NaN") && picture.contains(">1000000<"));
        assert!(svg("nothing", &[]).ends_with("</svg>\n"));
    }
}
