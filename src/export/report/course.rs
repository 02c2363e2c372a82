//! The overview: what the machine did over time, as pictures of lines with their numbers.
//!
//! A step of a picture is made of all samples in it: the line is their mean, the pale one above it
//! the highest, so that a peak of one sample is seen in a day. A gap stays a gap.

use std::fmt::Write;

use serde::Serialize;

use super::escape::{escaped, rounded};
use super::span::Span;
use crate::export::Sheet;
use crate::table::clock::clock;
use crate::table::quantity::{Style, number};
use crate::table::{Frame, Unit};

/// Steps of a picture at most.
const STEPS: i64 = 480;

/// One picture: what, in which unit, the lowest and the highest top of its axis, and its lines.
struct Plan {
    title: &'static str,
    unit: Unit,
    top: Option<f64>,
    limit: Option<f64>,
    lines: &'static [(&'static str, Figure)],
}

type Figure = fn(&Frame) -> Option<f64>;

/// A share of a time or of a whole has no more than that. The kernel adds the stalls of up to two
/// seconds at once: a sample that is shorter has more of them than it is long.
const WHOLE: Option<f64> = Some(100.0);

/// A cell of the machine's only row.
macro_rules! cell {
    ($id:literal) => {
        |f: &Frame| f.get(0, $id).as_f64()
    };
}

const PLANS: &[Plan] = &[
    Plan {
        title: "CPU, of all",
        unit: Unit::Percent,
        top: Some(100.0),
        limit: WHOLE,
        lines: &[
            ("busy", |f| of_cpus(f, &["user", "nice", "system", "irq", "softirq", "steal"])),
            ("system", |f| of_cpus(f, &["system", "irq", "softirq"])),
            ("waits for I/O", |f| of_cpus(f, &["iowait"])),
        ],
    },
    Plan {
        title: "Memory in use",
        unit: Unit::Percent,
        top: Some(100.0),
        limit: WHOLE,
        lines: &[
            ("memory", |f| used(f, "mem_total_bytes", "mem_available_bytes")),
            ("swap", |f| used(f, "swap_total_bytes", "swap_free_bytes")),
        ],
    },
    Plan {
        title: "Some task waits",
        unit: Unit::Percent,
        top: None,
        limit: WHOLE,
        lines: &[
            ("for a CPU", cell!("cpu_some_stall_ns_rate")),
            ("for memory", cell!("memory_some_stall_ns_rate")),
            ("for I/O", cell!("io_some_stall_ns_rate")),
        ],
    },
    Plan {
        title: "Network, without loopback",
        unit: Unit::BytesPerSec,
        top: None,
        limit: None,
        lines: &[("received", cell!("rx_bytes_rate")), ("sent", cell!("tx_bytes_rate"))],
    },
    Plan {
        title: "TCP trouble",
        unit: Unit::PerSec,
        top: None,
        limit: None,
        lines: &[
            ("retransmits", cell!("tcp_retrans_segs_rate")),
            ("resets sent", cell!("tcp_out_rsts_rate")),
            ("listen drops", cell!("tcp_listen_drops_rate")),
        ],
    },
    Plan {
        title: "Disks",
        unit: Unit::BytesPerSec,
        top: None,
        limit: None,
        lines: &[
            ("read", cell!("disk_read_bytes_rate")),
            ("written", cell!("disk_write_bytes_rate")),
        ],
    },
    Plan {
        title: "Tasks",
        unit: Unit::None,
        top: None,
        limit: None,
        lines: &[
            ("run or wait for a CPU", cell!("procs_running")),
            ("wait for I/O", cell!("procs_blocked")),
            ("load", cell!("load1")),
        ],
    },
    Plan {
        title: "lmptop itself, of one CPU",
        unit: Unit::Percent,
        top: None,
        limit: None,
        lines: &[("CPU", cell!("self_cpu_ns_rate"))],
    },
];

/// The share of these classes in the time of all CPUs, per cent.
fn of_cpus(f: &Frame, classes: &[&str]) -> Option<f64> {
    let share = |class: &str| f.get(0, &format!("cpu_{class}_ns_rate")).as_f64();
    let all = ["user", "nice", "system", "irq", "softirq", "steal", "idle", "iowait"];
    // The counter of waits for I/O may go back a little: then its rate is missing.
    let whole: f64 =
        all.iter().map(|c| share(c).or((*c == "iowait").then_some(0.0))).sum::<Option<f64>>()?;
    let part: f64 = classes.iter().map(|c| share(c)).sum::<Option<f64>>()?;
    (whole > 0.0).then(|| 100.0 * part / whole)
}

/// What is not left of a total, per cent.
fn used(f: &Frame, total: &str, left: &str) -> Option<f64> {
    let total = f.get(0, total).as_f64().filter(|t| *t > 0.0)?;
    Some(100.0 * (total - f.get(0, left).as_f64()?) / total)
}

/// What one line is in one step.
#[derive(Clone, Copy, Debug, Default)]
struct Step {
    sum: f64,
    count: u32,
    most: f64,
}

impl Step {
    fn add(&mut self, n: f64) {
        self.most = if self.count == 0 { n } else { self.most.max(n) };
        self.sum += n;
        self.count += 1;
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn highest(&self) -> Option<f64> {
        (self.count > 0).then_some(self.most)
    }
}

/// The pictures being made from table `host`.
#[derive(Debug)]
pub(super) struct Courses {
    steps: usize,
    /// Unix time of the first and the last sample of each step, ns.
    ends: Vec<Option<(i64, i64)>>,
    lines: Vec<Vec<Vec<Step>>>,
}

/// The numbers of a picture, for the pointer.
#[derive(Debug, Serialize)]
pub(super) struct Numbers {
    unit: Unit,
    lines: Vec<Line>,
}

/// Name, mean and highest of each step.
type Line = (&'static str, Vec<Option<f64>>, Vec<Option<f64>>);

impl Courses {
    pub(super) fn new(span: &Span) -> Courses {
        let whole = span.to.saturating_sub(span.from).max(1);
        let steps = usize::try_from((whole / span.interval_ns + 1).clamp(1, STEPS)).unwrap_or(1);
        let lines = PLANS.iter().map(|p| vec![vec![Step::default(); steps]; p.lines.len()]);
        Courses { steps, ends: vec![None; steps], lines: lines.collect() }
    }

    /// Adds a sample of the machine.
    pub(super) fn add(&mut self, sheet: &Sheet<'_>, span: &Span) {
        if sheet.frame.is_empty() {
            return;
        }
        let step = (span.share(sheet.wall_ns) * self.steps as f64) as usize;
        let step = step.min(self.steps - 1);
        let wall = sheet.wall_ns;
        let ends = self.ends[step].map_or((wall, wall), |(a, b)| (a.min(wall), b.max(wall)));
        self.ends[step] = Some(ends);
        for (plan, lines) in PLANS.iter().zip(&mut self.lines) {
            for ((_, figure), line) in plan.lines.iter().zip(lines) {
                if let Some(n) = figure(sheet.frame).filter(|n| n.is_finite()) {
                    line[step].add(n);
                }
            }
        }
    }

    /// The pictures that have a number, with the numbers themselves.
    pub(super) fn draw(
        &self,
        out: &mut String,
        span: &Span,
        signs: &[(i64, String)],
    ) -> Vec<Numbers> {
        let mut numbers = Vec::new();
        for (plan, lines) in PLANS.iter().zip(&self.lines) {
            let all = || lines.iter().flatten().filter_map(Step::highest);
            let Some(most) = all().reduce(f64::max) else { continue };
            let limit = plan.limit.unwrap_or(f64::INFINITY);
            let top = plan.top.unwrap_or(0.0).max(most).min(limit);
            let top = if top > 0.0 { top } else { 1.0 };
            self.picture(out, plan, lines, top, span, signs);
            let line = |(name, _): &(&'static str, Figure), steps: &Vec<Step>| {
                let list = |get: fn(&Step) -> Option<f64>| {
                    steps.iter().map(|s| rounded(get(s).map(|n| n.min(limit)))).collect()
                };
                (*name, list(Step::mean), list(Step::highest))
            };
            let lines = plan.lines.iter().zip(lines).map(|(l, s)| line(l, s)).collect();
            numbers.push(Numbers { unit: plan.unit, lines });
        }
        numbers
    }

    fn picture(
        &self,
        out: &mut String,
        plan: &Plan,
        lines: &[Vec<Step>],
        top: f64,
        span: &Span,
        signs: &[(i64, String)],
    ) {
        let (steps, title) = (self.steps, escaped(plan.title));
        let mut high = String::new();
        number(&mut high, top, plan.unit, Style::default());
        if plan.unit == Unit::BytesPerSec {
            high.push_str("/s");
        }
        let _ = write!(
            out,
            "<figure class=\"chart\" tabindex=\"0\"><figcaption><b>{title}</b> \
             <span class=\"legend\">"
        );
        for (i, ((name, _), steps)) in plan.lines.iter().zip(lines).enumerate() {
            if steps.iter().any(|s| s.count > 0) {
                let _ = write!(out, "<span class=\"l{i}\"><i></i>{}</span> ", escaped(name));
            }
        }
        let _ = write!(
            out,
            "</span></figcaption><div class=\"plot\"><span class=\"top\">{}</span>\
             <svg viewBox=\"0 0 {steps} 100\" preserveAspectRatio=\"none\" role=\"img\" \
             aria-label=\"{title}\">",
            escaped(&high)
        );
        for (a, b) in &span.gaps {
            let (a, b) = (span.share(*a) * steps as f64, span.share(*b) * steps as f64);
            let _ = write!(
                out,
                "<rect class=\"gap\" x=\"{a:.2}\" y=\"0\" width=\"{:.2}\" height=\"100\"><title>no samples</title></rect>",
                b - a
            );
        }
        for (wall, what) in signs {
            let x = span.share(*wall) * steps as f64;
            let _ = write!(
                out,
                "<path class=\"sign\" d=\"M{x:.2} 0V100\"><title>{}</title></path>",
                escaped(what)
            );
        }
        for (i, line) in lines.iter().enumerate() {
            if line.iter().any(|s| s.count > 1) {
                let _ = write!(
                    out,
                    "<path class=\"l{i} peak\" d=\"{}\"/>",
                    self.path(line, Step::highest, top, span)
                );
            }
            let _ = write!(
                out,
                "<path class=\"l{i}\" d=\"{}\"/>",
                self.path(line, Step::mean, top, span)
            );
        }
        let [from, to] = [span.from, span.to].map(|t| clock(t, &span.zone()));
        let _ = writeln!(
            out,
            "<path class=\"cursor\" d=\"\"/></svg></div><div class=\"axis\"><span>{from}</span>\
             <span>{to}</span></div><output></output></figure>"
        );
    }

    /// A line through the steps that are known, broken where the recording is.
    fn path(&self, line: &[Step], get: fn(&Step) -> Option<f64>, top: f64, span: &Span) -> String {
        let mut out = String::new();
        let mut before: Option<usize> = None;
        for (i, n) in line.iter().enumerate().filter_map(|(i, s)| Some((i, get(s)?))) {
            let (x, y) = (i as f64 + 0.5, 98.0 - 96.0 * (n / top).clamp(0.0, 1.0));
            let ends = before.and_then(|b| Some((self.ends[b]?.1, self.ends[i]?.0)));
            let joined = ends.is_some_and(|(a, b)| !span.broken(a, b));
            // A point alone is a dot: the line's ends are round.
            let _ = match joined {
                true => write!(out, "L{x:.1} {y:.1}"),
                false => write!(out, "M{x:.1} {y:.1}h.01"),
            };
            before = Some(i);
        }
        out
    }
}
