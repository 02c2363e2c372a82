//! Bytes in, tables out: holds the first lines until they show what form the output has, then
//! gives them and all that follow to the reader of that form.

use super::aligned::Aligned;
use super::form::{Form, Mark};
use super::forms;
use super::gala::Gala;
use super::lines::Lines;
use super::spelled::Spelled;
use super::text::Text;
use super::{Aside, Cell, Format, Heading, Hint, Mode, Sink};

/// Lines held at most before the form is chosen.
const MAX_LINES: usize = 1000;
/// Bytes held at most.
const MAX_BYTES: usize = 256 << 10;
/// Lines of no form that stay held over a pause: a header, what stands above and below it.
const KEPT: usize = 8;
/// How much a form must be like the lines.
const ENOUGH: f32 = 0.6;
/// A line with so many bytes that are no text, and one character in so many, is no text at all.
/// Fewer may be names in another encoding than UTF-8, unless one of the last 32 lines was no text.
const BROKEN: usize = 3;
const ONE_IN: usize = 3;
/// A line among such ones with fewer bytes says nothing.
const LITTLE: usize = 4;
/// From here on nothing else is thought of.
const SURE: f32 = 0.95;

/// Finds tables in a tool's output.
///
/// Without a call of [`Parser::quiet`] any cut of the bytes into reads gives the same calls of
/// the sink. At most [`MAX_LINES`] lines are held back.
pub struct Parser {
    lines: Lines,
    reader: Reader,
}

/// What lines are given to.
struct Reader {
    hint: Hint,
    held: Vec<Held>,
    bytes: usize,
    /// Lines were given as text before a form was found.
    passed: bool,
    /// Which of the last lines were no text, a bit each.
    broken: u32,
    form: Option<Box<dyn Form>>,
}

/// A mark that waits for the form.
enum Held {
    Line(String),
    Cut(String),
    Frame,
}

impl Parser {
    /// For one output of one tool.
    pub fn new(hint: Hint) -> Parser {
        let form: Option<Box<dyn Form>> = match &hint.format {
            Some(Format::Table) => Some(Box::new(Aligned::new(&hint))),
            Some(Format::Columns(names)) => Some(Box::new(Spelled::new(names))),
            Some(Format::Text) => Some(Box::new(Text::new(true))),
            Some(Format::Gala(tables)) => Some(Box::new(Gala::new(tables))),
            _ => None,
        };
        let reader = Reader { hint, held: Vec::new(), bytes: 0, passed: false, broken: 0, form };
        Parser { lines: Lines::default(), reader }
    }

    /// Takes the next bytes, cut anywhere.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn Sink) {
        let Parser { lines, reader } = self;
        lines.feed(bytes, &mut |mark| reader.mark(mark, sink));
    }

    /// Nothing came for a while (a caller's choice; 0.15 s is good): what can be settled is.
    pub fn quiet(&mut self, sink: &mut dyn Sink) {
        let Parser { lines, reader } = self;
        lines.quiet(&mut |mark| reader.mark(mark, sink));
        reader.settle(sink);
        if let Some(line) = lines.unended()
            && reader.takes(&line, sink)
        {
            lines.end(&mut |mark| reader.mark(mark, sink));
            reader.settle(sink);
        }
        // A block that was cut off in the middle of a line goes on.
        if !lines.is_full() {
            reader.quiet(sink);
        }
        lines.resume();
    }

    /// The output has ended.
    pub fn finish(&mut self, sink: &mut dyn Sink) {
        let Parser { lines, reader } = self;
        lines.finish(&mut |mark| reader.mark(mark, sink));
        reader.finish(sink);
    }
}

impl Reader {
    fn mark(&mut self, mark: Mark<'_>, sink: &mut dyn Sink) {
        if let Mark::Line(line) = mark
            && self.is_binary(line)
        {
            return sink.aside(Aside::Noise, line);
        }
        if let Some(form) = &mut self.form {
            let mut told = Told { hint: &self.hint, sink };
            return match mark {
                Mark::Line(line) => form.line(line, &mut told),
                Mark::Cut(line) => told.aside(Aside::Cut, line),
                Mark::Frame => form.frame(&mut told),
            };
        }
        self.bytes += 32;
        self.held.push(match mark {
            Mark::Line(line) => {
                self.bytes += line.len();
                Held::Line(line.to_owned())
            }
            Mark::Cut(line) => {
                self.bytes += line.len();
                Held::Cut(line.to_owned())
            }
            Mark::Frame => Held::Frame,
        });
        if self.held.len() >= MAX_LINES || self.bytes >= MAX_BYTES {
            self.choose(false);
            self.release(KEPT, sink);
        }
    }

    /// Whether a line is no text: chance makes words and columns of anything.
    fn is_binary(&mut self, line: &str) -> bool {
        let broken = memchr::memmem::find_iter(line.as_bytes(), "\u{fffd}".as_bytes()).count();
        let binary = broken >= BROKEN && broken * ONE_IN >= line.chars().count();
        let lately = self.broken != 0;
        self.broken = self.broken << 1 | u32::from(binary);
        binary || (lately && (broken > 0 || line.len() < LITTLE))
    }

    /// Chooses the form by the lines held, if they show one.
    fn choose(&mut self, end: bool) {
        let window: Vec<&str> = self.held.iter().filter_map(Held::line).collect();
        if window.iter().all(|l| l.trim().is_empty()) {
            return;
        }
        if let Some(format) = &self.hint.format {
            self.form = forms::asked(format, &window);
            if self.form.is_some() {
                return;
            }
        }
        let aligned = Aligned::new(&self.hint);
        let sure = aligned.shows(&window, end);
        // Lines that are more like aligned text stay that, unless there can be no doubt.
        let settled = forms::Settled { end, first: !self.passed };
        let like = |form: f32| form >= SURE || form >= ENOUGH.max(sure);
        self.form = forms::found(&window, settled, like)
            .or_else(|| (sure > 0.0).then(|| Box::new(aligned) as Box<dyn Form>));
    }

    /// Gives what is held to the form; without one all but the last lines are text.
    fn release(&mut self, keep: usize, sink: &mut dyn Sink) {
        if self.form.is_none() {
            let text = self.held.len().saturating_sub(keep);
            for held in self.held.drain(..text) {
                match held {
                    Held::Line(line) if line.trim().is_empty() => {}
                    Held::Line(line) => {
                        self.passed = true;
                        sink.aside(Aside::Text, &line);
                    }
                    Held::Cut(line) => sink.aside(Aside::Cut, &line),
                    Held::Frame => {}
                }
            }
            self.bytes = self.held.iter().map(|h| h.line().map_or(32, |l| l.len() + 32)).sum();
            return;
        }
        self.bytes = 0;
        for held in std::mem::take(&mut self.held) {
            self.mark(held.mark(), sink);
        }
    }

    fn settle(&mut self, sink: &mut dyn Sink) {
        if self.form.is_none() {
            self.choose(false);
            self.release(KEPT, sink);
        }
    }

    fn takes(&mut self, line: &str, sink: &mut dyn Sink) -> bool {
        if let Some(form) = &mut self.form {
            return form.takes(line, &mut Told { hint: &self.hint, sink });
        }
        let held = self.held.iter().filter_map(Held::line);
        let window: Vec<&str> = held.chain([line]).collect();
        self.hint.format.is_none() && Aligned::new(&self.hint).ends_in_row(&window)
    }

    fn quiet(&mut self, sink: &mut dyn Sink) {
        if let Some(form) = &mut self.form {
            form.quiet(&mut Told { hint: &self.hint, sink });
        }
    }

    fn finish(&mut self, sink: &mut dyn Sink) {
        if self.form.is_none() {
            self.choose(true);
            self.release(0, sink);
        }
        if let Some(form) = &mut self.form {
            form.finish(&mut Told { hint: &self.hint, sink });
        }
    }
}

impl Held {
    fn line(&self) -> Option<&str> {
        match self {
            Held::Line(line) => Some(line),
            Held::Cut(_) | Held::Frame => None,
        }
    }

    fn mark(&self) -> Mark<'_> {
        match self {
            Held::Line(line) => Mark::Line(line),
            Held::Cut(line) => Mark::Cut(line),
            Held::Frame => Mark::Frame,
        }
    }
}

/// Puts what the user said in the place of what was found.
struct Told<'a> {
    hint: &'a Hint,
    sink: &'a mut dyn Sink,
}

impl Sink for Told<'_> {
    fn heading(&mut self, heading: &Heading) {
        let Hint { key, mode, time, .. } = self.hint;
        if key.is_empty() && mode.is_none() && time.is_none() {
            return self.sink.heading(heading);
        }
        let mut heading = heading.clone();
        let place = |name: &String| heading.titles.iter().position(|t| t.text == *name);
        let keys: Vec<usize> = key.iter().filter_map(place).collect();
        let clock = time.as_ref().and_then(place);
        if !keys.is_empty() {
            heading.key = keys;
        }
        if time.is_some() {
            heading.time = clock;
        }
        heading.mode = mode.unwrap_or(heading.mode);
        self.sink.heading(&heading);
    }

    fn row(&mut self, table: usize, cells: &[Cell<'_>]) {
        self.sink.row(table, cells);
    }

    fn end(&mut self, table: usize) {
        if self.hint.mode.is_none_or(|m| m == Mode::Snapshot) {
            self.sink.end(table);
        }
    }

    fn clock(&mut self, text: &str) {
        self.sink.clock(text);
    }

    fn aside(&mut self, why: Aside, line: &str) {
        self.sink.aside(why, line);
    }
}

#[cfg(test)]
mod tests {
    use super::super::trail::Trail;
    use super::*;

    /// What bursts with a pause behind each give.
    fn bursts(bursts: &[&str]) -> Vec<String> {
        let (mut parser, mut trail) = (Parser::new(Hint::default()), Trail::default());
        for burst in bursts {
            parser.feed(burst.as_bytes(), &mut trail);
            parser.quiet(&mut trail);
        }
        parser.finish(&mut trail);
        trail.lines
    }

    #[test]
    fn random_bytes_are_no_table() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut noise = Vec::new();
        while noise.len() < 300_000 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            noise.extend_from_slice(&state.to_le_bytes());
        }
        let (mut parser, mut trail) = (Parser::new(Hint::default()), Trail::default());
        noise.chunks(4096).for_each(|piece| parser.feed(piece, &mut trail));
        parser.finish(&mut trail);
        let said = |t: &&String| t.starts_with("Noise") || t.starts_with("Text");
        let rows: Vec<&String> = trail.lines.iter().filter(|t| !said(t)).collect();
        assert!(rows.is_empty() && trail.lines.len() > 900, "{rows:?}");
        // A few letters in another encoding are none of that.
        let (mut parser, mut trail) = (Parser::new(Hint::default()), Trail::default());
        let latin = b"Gr\xf6\xdfe  \xdcbrig  T\xfcr\n   11     22   ja\n    5      6   nein\n";
        parser.feed(latin, &mut trail);
        parser.finish(&mut trail);
        assert_eq!(trail.lines[1..3], ["0: 11|22|ja", "0: 5|6|nein"]);
    }

    #[test]
    fn a_last_row_without_its_line_end_belongs_to_the_block_before_the_pause() {
        let block = "\n  PID USER  %CPU COMMAND\n    1 root   0.5 init\n    2 root   0.0 kthreadd\n   22 root   1.5 top -b";
        let rows =
            ["0: 1|root|0.5|init", "0: 2|root|0.0|kthreadd", "0: 22|root|1.5|top -b", "end 0"];
        let mut want = vec!["#0 snapshot PID|USER|%CPU|COMMAND"];
        for _ in 0..3 {
            want.extend(rows);
        }
        let first = format!("Tasks: 2 total{block}");
        let next = format!("\nTasks: 2 total{block}");
        let got = bursts(&[&first, &next, &next, "\n"]);
        let got: Vec<&String> = got.iter().filter(|l| !l.starts_with("Noise")).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_first_row_without_its_line_end_is_shown_at_once() {
        let mut parser = Parser::new(Hint::default());
        let mut trail = Trail::default();
        let head = "usr sys idl| read  writ\n 55  11  34|3105k 8173k";
        for (burst, rows) in [(head, 1), ("\n 74  25   0|   0     0 ", 2), ("\n", 2)] {
            parser.feed(burst.as_bytes(), &mut trail);
            parser.quiet(&mut trail);
            assert_eq!(trail.lines.iter().filter(|l| l.starts_with("0:")).count(), rows);
        }
        // A line that is drawn again and again is not there yet.
        let got = bursts(&["FILE  RATE\n\ra      10", "\ra      99", "\ra     100\n"]);
        assert_eq!(got, ["#0 append FILE|RATE", "0: a|100"]);
        // A question is no row.
        let got = bursts(&["NAME  SIZE\nGo on? [Y/n]  ", "y\n"]);
        assert!(got.iter().all(|l| l.starts_with("Text")), "{got:?}");
    }

    #[test]
    fn what_a_full_buffer_cut_off_waits_for_its_rest() {
        let rows: String = (1..60).map(|n| format!("{n:5} {:6}\n", n * 100)).collect();
        let block = format!("  PID    RSS\n{rows}\n");
        let (buffer, rest) = block.split_at(512);
        assert!(!buffer.ends_with('\n') && !rest.starts_with('\n'));
        let got = bursts(&[&block, buffer, rest]);
        assert_eq!(got.iter().filter(|l| l.starts_with("0:")).count(), 2 * 59);
        assert_eq!(got.iter().filter(|l| l.starts_with("end")).count(), 2);
        let got = bursts(&["  PID    RSS\n    1    100\n", "    3    ", "300\n"]);
        assert!(got.contains(&"0: 3|300".to_owned()));
    }

    #[test]
    fn what_fuzzing_found_stays_found() {
        let told = bursts(&[
            "Attaching {\n \t\"blockdevices\": [\n      {\n         \"name\": \"zram0\",\n\
                             \x20        \"maj:min\": \"25\u{fffd}3:0\",\n #        \"rm ",
        ]);
        assert!(told.iter().all(|l| l.starts_with("Noise")), "{told:?}");
    }
}
