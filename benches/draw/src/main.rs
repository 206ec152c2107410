//! Makes pictures of `target/bench/results.json`: the parts that were run, a picture each.
//!
//!     rets-bench-draw RESULTS FOLDER

use plotters::coord::ranged1d::{IntoSegmentedCoord, SegmentValue};
use plotters::prelude::*;
use serde_json::Value;
use std::error::Error;
use std::path::Path;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const WIDTH: u32 = 860;
const ROW: u32 = 24;
const OURS: RGBColor = RGBColor(196, 78, 42);
const THEIRS: RGBColor = RGBColor(120, 140, 160);
const FONT: &str = "sans-serif";

/// One bar.
struct Bar {
    label: String,
    value: f64,
}

/// Figures of one table of a part; none where the part was not run.
fn figures<'a>(results: &'a Value, part: &str, table: usize) -> &'a [Value] {
    results[part][table]["figures"].as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn median(value: &Value) -> f64 {
    value["median"].as_f64().unwrap_or(f64::NAN)
}

fn shown(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", rounded(v / 1e6)),
        v if v >= 1e4 => format!("{} k", rounded(v / 1e3)),
        v => rounded(v),
    }
}

fn rounded(value: f64) -> String {
    match value {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// Bars on a logarithmic scale, one below the other, each with its number.
fn bars(file: &Path, title: &str, bars: &[Bar]) -> Result<()> {
    let bars: Vec<&Bar> =
        bars.iter().filter(|bar| bar.value.is_finite() && bar.value > 0.0).collect();
    if bars.is_empty() {
        return Ok(());
    }
    let height = 80 + ROW * bars.len() as u32;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let least = bars.iter().map(|bar| bar.value).fold(f64::MAX, f64::min);
    let most = bars.iter().map(|bar| bar.value).fold(0.0, f64::max);
    let from = 10_f64.powf(least.log10().floor());
    let from = if least / from < 1.5 { from / 10.0 } else { from };
    let rows = bars.len() as i32;
    let mut chart = ChartBuilder::on(&root)
        .caption(title, (FONT, 18))
        .margin(8)
        .margin_right(60)
        .x_label_area_size(24)
        .y_label_area_size(250)
        .build_cartesian_2d((from..most * 1.6).log_scale(), (0..rows - 1).into_segmented())?;
    // The first is on top.
    let at = |row: i32| (rows - 1 - row) as usize;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .y_labels(bars.len())
        .y_label_formatter(&|segment| match segment {
            SegmentValue::CenterOf(row) if *row < rows => bars[at(*row)].label.clone(),
            _ => String::new(),
        })
        .x_label_formatter(&|value| shown(*value))
        .label_style((FONT, 13))
        .draw()?;
    for row in 0..rows {
        let bar = bars[at(row)];
        let color = if bar.label.contains("rets") { OURS } else { THEIRS };
        let corners = [(from, SegmentValue::Exact(row)), (bar.value, SegmentValue::Exact(row + 1))];
        let mut rectangle = Rectangle::new(corners, color.filled());
        rectangle.set_margin(3, 3, 0, 0);
        let number = Text::new(
            format!(" {}", shown(bar.value)),
            (bar.value, SegmentValue::CenterOf(row)),
            (FONT, 13).into_font().color(&BLACK).pos(plotters::style::text_anchor::Pos::new(
                plotters::style::text_anchor::HPos::Left,
                plotters::style::text_anchor::VPos::Center,
            )),
        );
        chart.draw_series([rectangle])?;
        chart.draw_series([number])?;
    }
    root.present()?;
    Ok(())
}

fn lookups(results: &Value, folder: &Path) -> Result<()> {
    let case = |case: &str| -> Vec<Bar> {
        let of_case = figures(results, "lookups", 0).iter().filter(|f| f["case"] == case);
        of_case.map(|f| Bar { label: text(&f["contender"]), value: median(&f["ns"]) }).collect()
    };
    let title = "One lookup among a million keys, cold, ns (less is better)";
    bars(&folder.join("lookups.svg"), title, &case("cold"))?;
    let title = "The same beside a writer at full speed, ns (less is better)";
    bars(&folder.join("lookups-writer.svg"), title, &case("cold, writer"))
}

fn sync(results: &Value, folder: &Path) -> Result<()> {
    let mut all = Vec::new();
    for table in 0..2 {
        for figure in figures(results, "sync", table) {
            let (who, data) = (text(&figure["contender"]), text(&figure["data"]));
            for (what, how) in [("fed_s", "fed"), ("attached_s", "attached")] {
                let label = format!("{data}, {how}: {who}");
                all.push(Bar { label, value: median(&figure[what]) });
            }
        }
    }
    all.sort_by(|one, other| {
        let kind = |bar: &Bar| bar.label.split(':').next().unwrap_or("").to_owned();
        kind(one).cmp(&kind(other))
    });
    bars(&folder.join("sync.svg"), "The first sync, seconds (less is better)", &all)
}

fn stream(results: &Value, folder: &Path) -> Result<()> {
    let mut all = Vec::new();
    for stream in ["SET", "mix"] {
        let figures = figures(results, "stream", 0).iter().filter(|f| f["stream"] == stream);
        all.extend(figures.map(|f| Bar {
            label: format!("{stream}: {}", text(&f["contender"])),
            value: median(&f["per_second"]),
        }));
    }
    bars(&folder.join("stream.svg"), "Commands applied a second (more is better)", &all)
}

fn latency(results: &Value, folder: &Path) -> Result<()> {
    let figures = figures(results, "latency", 0);
    let bar = |f: &Value, what: &str, name: &str| Bar {
        label: format!("{}, {}: {name}", text(&f["contender"]), text(&f["primary"])),
        value: median(&f[what]) / 1000.0,
    };
    let both = |f| [bar(f, "median_ns", "median"), bar(f, "p99_ns", "p99")];
    let all: Vec<Bar> = figures.iter().flat_map(both).collect();
    let title = "From a writer's reply until the value is seen, us (less is better)";
    bars(&folder.join("latency.svg"), title, &all)
}

fn memory(results: &Value, folder: &Path) -> Result<()> {
    let mut all = Vec::new();
    for figure in figures(results, "memory", 0) {
        let data = text(&figure["data"]);
        all.push(Bar { label: format!("{data}: rets"), value: median(&figure["rets"]) });
        for (name, server) in figure["servers"].as_object().into_iter().flatten() {
            let value = server["resident"].as_f64().unwrap_or(f64::NAN);
            all.push(Bar { label: format!("{data}: {name}"), value });
        }
    }
    bars(&folder.join("memory.svg"), "Resident bytes per key or element (less is better)", &all)
}

/// Cost against size, both logarithmic.
fn scale(results: &Value, folder: &Path) -> Result<()> {
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for figure in figures(results, "scale", 0) {
        let name = text(&figure["what"]);
        let point = (figure["size"].as_f64().unwrap_or(f64::NAN), median(&figure["ns"]));
        match lines.last_mut() {
            Some((last, points)) if *last == name => points.push(point),
            _ => lines.push((name, vec![point])),
        }
    }
    let points = || lines.iter().flat_map(|(_, points)| points);
    if points().next().is_none() {
        return Ok(());
    }
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::MAX, 0.0), |(least, most): (f64, f64), v| (least.min(v), most.max(v)))
    };
    let (x_least, x_most) = span(&mut points().map(|point| point.0));
    let (y_least, y_most) = span(&mut points().map(|point| point.1));
    let file = folder.join("scale.svg");
    let root = SVGBackend::new(&file, (WIDTH, 480)).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption("What it costs against how much there is, ns", (FONT, 18))
        .margin(8)
        .margin_right(250)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d(
            (x_least..x_most * 1.1).log_scale(),
            (y_least / 2.0..y_most * 2.0).log_scale(),
        )?;
    chart
        .configure_mesh()
        .x_desc("keys, fields, bytes of a value, databases")
        .x_label_formatter(&|value| shown(*value))
        .y_label_formatter(&|value| shown(*value))
        .label_style((FONT, 13))
        .draw()?;
    for (at, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(at).to_rgba();
        chart.draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?;
        let dots = points.iter().map(|point| Circle::new(*point, 3, color.filled()));
        chart.draw_series(dots)?;
        let (x, y) = (WIDTH as i32 - 236, 48 + 18 * at as i32);
        root.draw(&Circle::new((x, y), 4, color.filled()))?;
        root.draw(&Text::new(name.as_str(), (x + 10, y - 7), (FONT, 13)))?;
    }
    root.present()?;
    Ok(())
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [results, folder] = words.as_slice() else {
        return Err("usage: rets-bench-draw RESULTS FOLDER".into());
    };
    let results: Value = serde_json::from_str(&std::fs::read_to_string(results)?)?;
    let folder = Path::new(folder);
    std::fs::create_dir_all(folder)?;
    for draw in [lookups, sync, stream, latency, memory, scale] {
        draw(&results, folder)?;
    }
    Ok(())
}
