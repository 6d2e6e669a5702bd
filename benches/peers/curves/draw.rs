//! Curves as a picture and as a table.

use plotters::prelude::*;

use crate::figures::Figures;
use crate::support::in_words;

pub struct Curve {
    pub name: &'static str,
    /// The second is in seconds.
    pub points: Vec<(f64, f64)>,
}

/// How curves are shown. Both axes are logarithmic.
pub struct Picture<'a> {
    pub file: &'static str,
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    /// Its marks are at powers of this.
    pub base: f64,
    /// What 1 on the second axis is, in seconds.
    pub unit: f64,
    /// How a place on the first axis is told.
    pub scale: &'a dyn Fn(usize) -> String,
}

/// Told apart without colours, too: by the legend's order, which is that of the curves at the left.
const COLOURS: [RGBColor; 5] = [
    RGBColor(0, 90, 160),
    RGBColor(210, 90, 0),
    RGBColor(0, 140, 100),
    RGBColor(170, 60, 140),
    RGBColor(110, 110, 110),
];
const SIZE: (u32, u32) = (860, 480);

impl Picture<'_> {
    /// Prints a table, and adds it with the picture to the document.
    pub fn show(&self, figures: &mut Figures, curves: &[Curve]) {
        println!("\n{}", self.title);
        let width = |curve: &Curve| curve.name.chars().count().max(10) + 2;
        let names: String = curves.iter().map(|curve| format!("{:>1$}", curve.name, width(curve))).collect();
        println!("{:<20}{names}", self.x);
        let mut table = format!("| {} |", self.x);
        curves.iter().for_each(|curve| table += &format!(" {} |", curve.name));
        table += &format!("\n|---:|{}\n", "---:|".repeat(curves.len()));
        for (row, &(x, _)) in curves[0].points.iter().enumerate() {
            let x = (self.scale)(x as usize);
            let cells: Vec<_> = curves.iter().map(|curve| in_words(curve.points[row].1)).collect();
            let in_columns = cells.iter().zip(curves).map(|(cell, curve)| format!("{cell:>0$}", width(curve)));
            println!("{x:<20}{}", in_columns.collect::<String>());
            table += &format!("| {x} | {} |\n", cells.join(" | "));
        }
        figures.add(&format!("## {}\n", self.title));
        figures.picture(self.file, self.title, &self.draw(curves));
        figures.add(&table);
    }

    fn draw(&self, curves: &[Curve]) -> String {
        let mut svg = String::new();
        self.draw_into(&mut svg, curves).expect("a picture in memory can be drawn");
        svg
    }

    fn draw_into(&self, svg: &mut String, curves: &[Curve]) -> Result<(), Box<dyn std::error::Error>> {
        let points = || curves.iter().flat_map(|curve| &curve.points);
        let bounds = |of: &dyn Fn(&(f64, f64)) -> f64| {
            points().map(of).fold((f64::MAX, f64::MIN), |(least, most), v| (least.min(v), most.max(v)))
        };
        let (x, y) = (bounds(&|point| point.0), bounds(&|point| point.1 / self.unit));
        let most = |place: fn(&Curve) -> f64| curves.iter().map(place).fold(0.0, f64::max);
        let free_corner = match most(|curve| curve.points[0].1) < most(|curve| curve.points[curve.points.len() - 1].1) {
            true => SeriesLabelPosition::UpperLeft,
            false => SeriesLabelPosition::UpperRight,
        };
        let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&root)
            .caption(self.title, ("sans-serif", 18))
            .margin(12)
            .margin_right(30)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((x.0..x.1).log_scale().base(self.base), (y.0 * 0.7..y.1 * 1.5).log_scale())?;
        let number = |v: &f64| if *v < 1.0 { format!("{v}") } else { format!("{v:.0}") };
        chart
            .configure_mesh()
            .x_max_light_lines(0)
            .x_labels(15)
            .light_line_style(BLACK.mix(0.05))
            .bold_line_style(BLACK.mix(0.15))
            .x_desc(self.x)
            .y_desc(self.y)
            .x_label_formatter(&|&x| (self.scale)(x.round() as usize))
            .y_label_formatter(&number)
            .label_style(("sans-serif", 13))
            .draw()?;
        for (curve, colour) in curves.iter().zip(COLOURS) {
            let points = || curve.points.iter().map(|&(x, y)| (x, y / self.unit));
            chart
                .draw_series(LineSeries::new(points(), colour.stroke_width(2)))?
                .label(curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
            chart.draw_series(points().map(|point| Circle::new(point, 3, colour.filled())))?;
        }
        chart
            .configure_series_labels()
            .position(free_corner)
            .background_style(WHITE.mix(0.8))
            .border_style(BLACK.mix(0.3))
            .label_font(("sans-serif", 13))
            .draw()?;
        root.present()?;
        drop(chart);
        Ok(())
    }
}
