//! Drawings of the figures over the size of the cluster.

use crate::contender::Contender;
use crate::figures::{Measured, Row};
use anyhow::{Result, anyhow};
use plotters::prelude::{
    BLACK, ChartBuilder, Circle, IntoDrawingArea as _, IntoLogRange as _, LineSeries, PathElement,
    RGBColor, SVGBackend, WHITE,
};
use plotters::style::Color as _;

const SIZE: (u32, u32) = (760, 380);

/// A drawing.
pub(crate) struct Plot {
    /// The name of its file.
    pub(crate) name: String,
    /// What it shows, in words.
    pub(crate) alt: String,
    pub(crate) svg: String,
}

/// A figure of a row, if it has it.
type Figure = fn(&Row) -> Option<f64>;

/// All drawings of one place; none where nothing was measured.
pub(crate) fn all(place: &str, measured: &Measured) -> Result<Vec<Plot>> {
    const DEAD: Figure = |row| (row.dead.count > 0).then_some(row.dead.p50);
    const JOINED: Figure = |row| (row.joined.count > 0).then_some(row.joined.p50);
    const BYTES: Figure = |row| Some(row.bytes);
    let mut plots = Vec::new();
    for (name, what, loss, figure) in [
        ("joiner", "joiner known to all, median, seconds", 10, JOINED),
        ("death", "death known to all, median, seconds", 10, DEAD),
        ("bytes", "bytes a node and second at rest", 0, BYTES),
    ] {
        let rows: Vec<&Row> = measured.rows.iter().filter(|row| row.loss == loss).collect();
        if rows.iter().filter_map(|row| figure(row)).count() > 1 {
            let alt = format!("{what}, {loss} % loss, {place}");
            let svg = draw(&alt, &rows, figure)
                .map_err(|error| anyhow!("cannot draw {name}: {error}"))?;
            plots.push(Plot { name: format!("{place}-{name}.svg"), alt, svg });
        }
    }
    Ok(plots)
}

fn draw(title: &str, rows: &[&Row], figure: Figure) -> Result<String, Box<dyn std::error::Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let values = || rows.iter().filter_map(|row| figure(row)).filter(|value| *value > 0.0);
        let (least, most) = (values().fold(f64::MAX, f64::min), values().fold(0.0, f64::max));
        let sizes = || rows.iter().map(|row| row.nodes as f64);
        let (few, many) = (sizes().fold(f64::MAX, f64::min), sizes().fold(0.0, f64::max));
        let mut chart = ChartBuilder::on(&root)
            .caption(title, ("sans-serif", 16))
            .margin(10)
            .x_label_area_size(36)
            .y_label_area_size(56)
            .build_cartesian_2d(
                (few * 0.9..many * 1.1).log_scale(),
                (least * 0.7..most * 1.4).log_scale(),
            )?;
        chart
            .configure_mesh()
            .x_desc("members")
            .y_label_formatter(&short)
            .x_label_formatter(&short)
            .draw()?;
        for contender in Contender::ALL {
            let color = color(contender);
            let points: Vec<(f64, f64)> = rows
                .iter()
                .filter(|row| row.contender == contender)
                .filter_map(|row| {
                    figure(row).filter(|value| *value > 0.0).map(|value| (row.nodes as f64, value))
                })
                .collect();
            if points.is_empty() {
                continue;
            }
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
                .label(contender.to_string())
                .legend(move |(x, y)| {
                    PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2))
                });
            chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
        }
        chart
            .configure_series_labels()
            .border_style(BLACK)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        root.present()?;
    }
    Ok(svg)
}

/// A number of two or three digits, or more if it is large.
fn short(value: &f64) -> String {
    if *value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// Colours that people with any kind of colour vision can tell apart (Okabe and Ito).
fn color(contender: Contender) -> RGBColor {
    let (red, green, blue) = match contender {
        Contender::Spore => (0, 158, 115),
        Contender::FocaSame => (86, 180, 233),
        Contender::FocaOwn => (0, 114, 178),
        Contender::Chitchat => (213, 94, 0),
        Contender::MemberlistSame => (204, 121, 167),
        Contender::MemberlistOwn => (230, 159, 0),
    };
    RGBColor(red, green, blue)
}
