//! Mistakes as a person reads them: the line, what in it is wrong, and the way out.

use std::fmt;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode,
    SourceSpan, SpanContents,
};

use super::mistakes::{Mistake, Mistakes, Severity};
use super::source_file::{SourceFile, Span, floor_char_boundary};

/// A line longer than this is shown in part, and without its neighbours.
const LINE_BYTES_MAX: usize = 200;
/// How much of a long line is shown before the mistake.
const BYTES_BEFORE: usize = 60;

impl Mistakes {
    /// The finished report: every mistake with its lines, then how many there are. Lines are never wrapped, so that the
    /// text is the same on every terminal.
    pub fn render(&self, colour: bool) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler = GraphicalReportHandler::new_themed(theme).with_wrap_lines(false).with_links(false);
        let mut text = String::new();
        for mistake in self.found() {
            let report = Report { source: self.source(), mistake };
            handler.render_report(&mut text, &report).expect("BUG: writing to a string, from spans within the text");
            text.push('\n');
        }
        text.push_str(&self.summary());
        text
    }

    fn summary(&self) -> String {
        let mistakes = self.found().iter().filter(|mistake| mistake.severity == Severity::Mistake).count();
        let count = |number: usize, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        let counts = match (mistakes, self.found().len() - mistakes) {
            (0, 0) => "nothing wrong".to_string(),
            (mistakes, 0) => count(mistakes, "mistake"),
            (0, warnings) => count(warnings, "warning"),
            (mistakes, warnings) => format!("{}, {}", count(mistakes, "mistake"), count(warnings, "warning")),
        };
        format!("{}: {counts}\n", self.source().name())
    }
}

/// One mistake in miette's terms.
#[derive(Debug)]
struct Report<'m> {
    source: &'m SourceFile,
    mistake: &'m Mistake,
}

impl Report<'_> {
    /// The first line of the span, and no more of it than is shown.
    fn label(&self) -> Option<Span> {
        let span = self.mistake.span?;
        let text = self.source.shown();
        let line = self.source.line_span(self.source.position(span.start).line);
        let start = span.start.min(line.end);
        let end = span
            .end
            .clamp(start, line.end)
            .min(floor_char_boundary(text, (start + LINE_BYTES_MAX / 2).min(text.len())));
        Some(Span { start, end: end.max(start) })
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&printable(&self.mistake.message))?;
        match self.mistake.span {
            Some(_) => Ok(()),
            None => write!(formatter, " ({})", self.source.name()),
        }
    }
}

impl std::error::Error for Report<'_> {}

impl Diagnostic for Report<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.mistake.severity {
            Severity::Mistake => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.mistake.help.as_deref().map(|help| Box::new(printable(help)) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.label()?;
        let label = LabeledSpan::new(None, span.start, span.end - span.start);
        Some(Box::new(std::iter::once(label)))
    }
}

/// Text of a file that goes to a terminal must not steer it.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '\u{fffd}' } else { letter }).collect()
}

/// Whole lines for the snippet, and (asked for no context) the place for its header, with its column in characters.
impl SourceCode for SourceFile {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (text, start) = (self.shown(), span.offset());
        if start + span.len() > text.len() {
            return Err(MietteError::OutOfBounds);
        }
        let place = self.position(start);
        let line = self.line_span(place.line);
        let long = |number: usize| {
            let line = self.line_span(number);
            line.end - line.start > LINE_BYTES_MAX
        };
        let (shown, line_index, column) = if lines_before + lines_after == 0 {
            (Span { start, end: start + span.len() }, place.line - 1, place.column - 1)
        } else if long(place.line) {
            let from = floor_char_boundary(text, start.saturating_sub(BYTES_BEFORE)).max(line.start);
            let to = floor_char_boundary(text, (from + LINE_BYTES_MAX).min(line.end));
            (Span { start: from, end: to.max(start + span.len()) }, place.line - 1, 1)
        } else {
            let neighbour = |number: &usize| !long(*number);
            let first = (1..place.line).rev().take(lines_before).take_while(neighbour).last().unwrap_or(place.line);
            let last = (place.line + 1..=self.lines()).take(lines_after).take_while(neighbour).last();
            let to = self.line_span(last.unwrap_or(place.line)).end;
            (Span { start: self.line_span(first).start, end: to }, first - 1, 0)
        };
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_string(),
            &text.as_bytes()[shown.start..shown.end],
            (shown.start, shown.end - shown.start).into(),
            line_index,
            column,
            self.lines(),
        )))
    }
}
