//! The plots of docs/fleet.md, as SVG.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::prelude::*;

use crate::simulation::bins;
use crate::simulation::rules::Rule;
use crate::simulation::target::Until;
use crate::tables::{self, ALONE, PAUSES, READY, SETTLES, STEADY, restarted, s};

type Done = Result<(), Box<dyn Error>>;
type Points = Vec<(f64, f64)>;

const SIZE: (u32, u32) = (760, 420);
const FONT: &str = "sans-serif";
/// Colours that people with any kind of colour vision tell apart (Okabe and Ito).
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(90, 90, 90),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

pub(crate) fn all(folder: &Path) -> Done {
    std::fs::create_dir_all(folder)?;
    attempts(&folder.join("attempts.svg"))?;
    recovery(&folder.join("recovery.svg"))?;
    frontier(&folder.join("frontier.svg"))?;
    release(&folder.join("release.svg"))
}

fn plain(rule: Rule) -> String {
    rule.name().replace('`', "")
}

/// The words beside the axes, and how far they reach.
struct Axes {
    title: &'static str,
    x: &'static str,
    y: &'static str,
    /// Where the names of the lines hide none of them.
    names: SeriesLabelPosition,
}

/// Lines over a chart whose axes may be of any kind.
fn draw<X, Y>(path: &Path, axes: &Axes, x: X, y: Y, lines: &[(String, Points)], marks: &[(String, (f64, f64))]) -> Done
where
    X: AsRangedCoord<Value = f64>,
    Y: AsRangedCoord<Value = f64>,
    X::CoordDescType: ValueFormatter<f64>,
    Y::CoordDescType: ValueFormatter<f64>,
{
    let root = SVGBackend::new(path, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(axes.title, (FONT, 16))
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(66)
        .build_cartesian_2d(x, y)?;
    let number = |value: &f64| if *value >= 1.0 { format!("{value:.0}") } else { format!("{value}") };
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .x_desc(axes.x)
        .y_desc(axes.y)
        .x_label_formatter(&number)
        .y_label_formatter(&number)
        .label_style((FONT, 12))
        .draw()?;
    for ((name, points), color) in lines.iter().zip(COLORS) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    for (at, (name, point)) in marks.iter().enumerate() {
        let color = COLORS[(at + lines.len()) % COLORS.len()];
        chart
            .draw_series([Circle::new(*point, 5, color.filled())])?
            .label(name)
            .legend(move |(x, y)| Circle::new((x + 9, y), 5, color.filled()));
    }
    chart
        .configure_series_labels()
        .position(axes.names.clone())
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font((FONT, 12))
        .draw()?;
    root.present()?;
    Ok(())
}

/// Attempts a second from the start of the Pods, all at once.
fn attempts(path: &Path) -> Done {
    let axes = Axes {
        title: "10,000 Pods start at once and wait for a port that refuses",
        x: "seconds since the start",
        y: "attempts a second",
        names: SeriesLabelPosition::UpperRight,
    };
    let rules = [Rule::Loop(s(2)), Rule::Waitgate(None), Rule::Waitgate(Some(s(5))), Rule::Holdon, Rule::Grpc];
    let line = |rule: Rule| {
        let outcome = tables::run(10_000, rule, Duration::ZERO, &mut Until::refused(s(16)));
        // A logarithm has no zero.
        let points = tables::points(&outcome.attempts).into_iter().map(|(x, y)| (x, y.max(100.0)));
        (plain(rule), points.collect())
    };
    draw(path, &axes, 0.0..16.0, (100.0..120_000.0).log_scale(), &rules.map(line), &[])
}

/// How long a recovery takes while Pods wait for it.
fn recovery(path: &Path) -> Done {
    let axes = Axes {
        title: "A recovery that takes 10 s alone, on one core",
        x: "Pods that wait",
        y: "seconds until it is ready",
        names: SeriesLabelPosition::UpperLeft,
    };
    let rules = [
        Rule::Waitgate(None),
        Rule::Waitgate(Some(s(5))),
        Rule::Loop(s(2)),
        Rule::Loop(s(1)),
        Rule::Holdon,
        Rule::Grpc,
    ];
    let line = |rule: Rule| {
        let pods = (0..=20).map(|step| step * 25);
        let point = |pods: u32| (f64::from(pods), restarted(pods.max(1), rule, ALONE, 1).0.as_secs_f64());
        (plain(rule), pods.map(point).collect())
    };
    draw(path, &axes, 0.0..500.0, 0.0..60.0, &rules.map(line), &[])
}

/// Attempts against delay.
fn frontier(path: &Path) -> Done {
    let axes = Axes {
        title: "What a shorter delay costs: 1,000 Pods",
        x: "attempts a second",
        y: "seconds until 99 % have seen it",
        names: SeriesLabelPosition::UpperRight,
    };
    let point = |rule: Rule| {
        let outcome = tables::frontier_point(rule);
        (outcome.attempts_per_second(STEADY), outcome.delay(99).as_secs_f64())
    };
    let longest = |millis: u64| point(Rule::Waitgate(Some(Duration::from_millis(millis))));
    let line = ("waitgate, --max-pause from 100ms to 10s".to_owned(), PAUSES.map(longest).to_vec());
    let mut marks = vec![
        ("its default after a refusal: 250ms".to_owned(), longest(250)),
        ("where attempts cost work: 1s at first".to_owned(), longest(1000)),
        ("and 5s in a long wait".to_owned(), longest(5000)),
    ];
    marks.extend([Rule::Loop(s(2)), Rule::Holdon, Rule::Grpc].map(|rule| (plain(rule), point(rule))));
    draw(path, &axes, (20.0..20_000.0).log_scale(), (0.05..60.0).log_scale(), &[line], &marks)
}

/// How many applications start in each second.
fn release(path: &Path) -> Done {
    let axes = Axes {
        title: "A server has started: 10,000 applications follow",
        x: "seconds since the server is ready",
        y: "applications that start, a second",
        names: SeriesLabelPosition::UpperRight,
    };
    let outcome = tables::released();
    let line = |settle: u64| {
        let name = if settle == 0 { "without --settle".to_owned() } else { format!("--settle={settle}s") };
        let points = tables::points(&bins(&outcome.released(s(settle)), READY));
        (name, points.into_iter().map(|(x, y)| (x, y.max(10.0))).collect())
    };
    let lines: Vec<_> = SETTLES.into_iter().filter(|settle| *settle != 60).map(line).collect();
    draw(path, &axes, 0.0..32.0, (10.0..100_000.0).log_scale(), &lines, &[])
}
