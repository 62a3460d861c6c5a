//! Drawings of what came of runs.

use super::figures::Group;
use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use spore_sim::Spread;
use spore_sim::trial::{Outcome, Plan, Sample};
use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A curve: its name, its colour and its points.
type Curve = (&'static str, RGBColor, Vec<(f64, f64)>);

const SIZE: (u32, u32) = (900, 960);
const FONT: &str = "sans-serif";

fn wrong(error: impl Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}

/// One run over its time: how much nodes know of each other, how many members they list, and what they send.
pub(super) fn run(plan: &Plan, outcome: &Outcome) -> Result<String> {
    let samples = &outcome.samples;
    let over = |of: &dyn Fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        samples.iter().map(|it| (it.at.as_secs_f64(), of(it))).collect()
    };
    let [datagrams, bytes] = rates(samples);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        let title = if plan.title.is_empty() { "spore sim" } else { &plan.title };
        let title = format!("{title} ({} nodes, seed {})", plan.nodes, outcome.seed);
        let root = titled(&root, &title)?;
        let [known, members, sent, volume] = &root.split_evenly((4, 1))[..] else {
            return Err(wrong("it does not part"));
        };
        let percent = over(&|it| it.known * 100.0);
        chart(known, "known of each other, %", "virtual s", &[("known", BLUE, percent)], false)?;
        let members_curves = [
            ("nodes that run", BLACK, over(&|it| it.running as f64)),
            ("most listed", GREEN, over(&|it| it.most as f64)),
            ("on average", BLUE, over(&|it| it.mean)),
            ("fewest", RED, over(&|it| it.least as f64)),
        ];
        chart(members, "members listed as active", "virtual s", &members_curves, false)?;
        chart(
            sent,
            "datagrams a node and second",
            "virtual s",
            &[("sent", BLUE, datagrams)],
            false,
        )?;
        chart(volume, "bytes a node and second", "virtual s", &[("sent", BLUE, bytes)], false)?;
        root.present().map_err(wrong)?;
    }
    Ok(svg)
}

/// Datagrams and bytes that a node sends in a second, between samples.
fn rates(samples: &[Sample]) -> [Vec<(f64, f64)>; 2] {
    let rate = |of: fn(&Sample) -> u64| {
        let pairs = samples.iter().zip(samples.iter().skip(1));
        let rates = pairs.map(|(before, after)| {
            let up = after.up.saturating_sub(before.up).as_secs_f64();
            let rate = if up > 0.0 { (of(after) - of(before)) as f64 / up } else { 0.0 };
            (after.at.as_secs_f64(), rate)
        });
        rates.collect()
    };
    [rate(|it| it.sent), rate(|it| it.sent_bytes)]
}

/// What came of a sweep, over its values: numbers on an axis of powers of two, or else in their order.
pub(super) fn groups(groups: &[Group], key: &str) -> Result<String> {
    let numbers: Vec<f64> = groups.iter().filter_map(|it| it.label.parse().ok()).collect();
    let logarithmic = numbers.len() == groups.len() && numbers.iter().all(|number| *number > 0.0);
    let at = |index: usize| match numbers.get(index) {
        Some(number) if logarithmic => number.log2(),
        _ => index as f64,
    };
    let curve = |of: &dyn Fn(&Group) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = groups.iter().enumerate();
        points.filter_map(|(index, group)| Some((at(index), of(group)?))).collect()
    };
    let names: Vec<&'static str> = {
        let mut names: Vec<_> =
            groups.iter().flat_map(Group::spans).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let of = |name: &'static str, part: fn(Spread) -> Duration| {
        move |group: &Group| {
            let spread = group.spans().find(|(other, _)| *other == name)?.1;
            Some(part(spread).as_secs_f64())
        }
    };
    let axis = match (key.is_empty(), logarithmic) {
        (true, _) => "all".to_owned(),
        (false, true) => format!("{key}, as a power of two"),
        (false, false) => format!("{key}, in the order of its values"),
    };
    let mut svg = String::new();
    {
        let size = (SIZE.0, 240 * (names.len() as u32 + 3) + 40);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let root = titled(&root, &format!("spore sim, over {axis}"))?;
        let areas = root.split_evenly((names.len() + 3, 1));
        let mut areas = areas.iter();
        let mut next = || areas.next().ok_or_else(|| wrong("it does not part"));
        for name in names {
            let curves = [
                ("max", RED, curve(&of(name, |it| it.max))),
                ("p99", BLUE, curve(&of(name, |it| it.p99))),
                ("p50", GREEN, curve(&of(name, |it| it.p50))),
            ];
            chart(next()?, &format!("{}, s", name.to_lowercase()), &axis, &curves, true)?;
        }
        let datagrams = [("mean", BLUE, curve(&|it| Some(it.datagrams())))];
        chart(next()?, "datagrams a node and second", &axis, &datagrams, true)?;
        let bytes = [("mean", BLUE, curve(&|it| Some(it.bytes())))];
        chart(next()?, "bytes a node and second", &axis, &bytes, true)?;
        let speed = [("log10", BLUE, curve(&|it| Some(it.speed().max(1e-3).log10())))];
        chart(next()?, "speed, times real time (power of ten)", &axis, &speed, true)?;
        root.present().map_err(wrong)?;
    }
    Ok(svg)
}

fn titled<'a>(root: &Area<'a>, title: &str) -> Result<Area<'a>> {
    root.fill(&WHITE).map_err(wrong)?;
    root.titled(title, (FONT, 18)).map_err(wrong)
}

/// A range in which all of it has room.
fn range(values: impl Iterator<Item = f64> + Clone) -> Range<f64> {
    let least = values.clone().fold(f64::INFINITY, f64::min);
    let most = values.fold(f64::NEG_INFINITY, f64::max);
    match least < most {
        true => least..most,
        false if least.is_finite() => least - 0.5..least + 0.5,
        false => 0.0..1.0,
    }
}

fn chart(area: &Area<'_>, what: &str, axis: &str, curves: &[Curve], dots: bool) -> Result<()> {
    let points = curves.iter().flat_map(|(_, _, points)| points);
    let across = range(points.clone().map(|(x, _)| *x));
    let up = range(points.map(|(_, y)| *y).chain([0.0]));
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .caption(what, (FONT, 14))
        .x_label_area_size(32)
        .y_label_area_size(52)
        .build_cartesian_2d(across, up.start..up.end * 1.05)
        .map_err(wrong)?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .label_style((FONT, 11))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(wrong)?;
    for (name, color, points) in curves {
        let color = *color;
        let line = LineSeries::new(points.iter().copied(), color.stroke_width(2));
        let drawn = chart.draw_series(line).map_err(wrong)?;
        if curves.len() > 1 {
            drawn.label(*name).legend(move |(x, y)| {
                PathElement::new([(x, y), (x + 14, y)], color.stroke_width(2))
            });
        }
        if dots {
            let dots = points.iter().map(|point| Circle::new(*point, 3, color.filled()));
            chart.draw_series(dots).map_err(wrong)?;
        }
    }
    if curves.len() > 1 {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .label_font((FONT, 11))
            .background_style(WHITE.mix(0.8))
            .draw()
            .map_err(wrong)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Plan, groups, run};
    use crate::commands::sim::figures::Group;
    use spore_sim::trial::Trial;

    #[test]
    fn a_run_and_a_sweep_become_pictures_also_if_there_is_nothing_in_them() {
        let plan = Plan { nodes: 4, title: "a < b".into(), ..Plan::default() };
        let outcome = Trial::new(&plan, 1).unwrap().run();
        let svg = run(&plan, &outcome).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("a &lt; b") && svg.contains("<polyline"));
        let svg = groups(&[Group::new("8"), Group::new("16")], "nodes").unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    }
}
