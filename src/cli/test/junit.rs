//! What became of tests as JUnit XML, which every CI system reads. The elements and attributes are those of
//! <https://github.com/testmoapp/junitxml>.

use std::fmt::Write;

use super::report::FileReport;

/// The whole report: a suite a file, a case a test.
pub(super) fn to_xml(reports: &[FileReport]) -> String {
    let mut suites = String::new();
    let (mut all, mut all_failed, mut all_seconds) = (0, 0, 0.0);
    for report in reports.iter().filter(|report| !report.tests.is_empty()) {
        let name = escaped(report.file.name());
        let failed = report.tests.iter().filter(|test| !test.passed()).count();
        let seconds: f64 = report.tests.iter().map(|test| test.took.as_secs_f64()).sum();
        (all, all_failed, all_seconds) = (all + report.tests.len(), all_failed + failed, all_seconds + seconds);
        let mut cases = String::new();
        report.tests.iter().for_each(|test| case(report, &name, test, &mut cases));
        let tests = report.tests.len();
        let counts = format!("tests=\"{tests}\" failures=\"{failed}\" errors=\"0\" time=\"{seconds:.3}\"");
        write(&mut suites, format_args!("  <testsuite name=\"{name}\" {counts}>\n{cases}  </testsuite>\n"));
    }
    let counts = format!("tests=\"{all}\" failures=\"{all_failed}\" errors=\"0\" time=\"{all_seconds:.3}\"");
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"kaflowsql test\" {counts}>\n{suites}</testsuites>\n"
    )
}

fn case(report: &FileReport, file: &str, test: &super::session::Tested, out: &mut String) {
    let line = report.file.position(test.span.start).line;
    let (name, seconds) = (escaped(&test.name), test.took.as_secs_f64());
    let attributes =
        format!("name=\"{name}\" classname=\"{file}\" file=\"{file}\" line=\"{line}\" time=\"{seconds:.3}\"");
    if test.passed() {
        write(out, format_args!("    <testcase {attributes}/>\n"));
        return;
    }
    write(out, format_args!("    <testcase {attributes}>\n"));
    // A case has at most one failure.
    let first = test.failures.first().map(|failure| failure.message.as_str()).unwrap_or_default();
    let mut text = String::new();
    for failure in &test.failures {
        write(&mut text, format_args!("{}: {}\n", report.place(failure), failure.message));
        let lines = failure.list.iter().flat_map(super::session::WrongList::lines);
        lines.for_each(|line| write(&mut text, format_args!("{line}\n")));
        failure.help.iter().for_each(|help| write(&mut text, format_args!("help: {help}\n")));
    }
    let failure = format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(&text));
    write(out, format_args!("      {failure}\n    </testcase>\n"));
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("BUG: writing to a string");
}

/// Text for an element or an attribute; what XML 1.0 can't hold is replaced.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            letter if letter.is_control() || matches!(letter, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_its_element() {
        assert_eq!(
            escaped("a<b> & \"c\"\n\u{1b}[31m\u{ffff}"),
            "a&lt;b&gt; &amp; &quot;c&quot;&#10;\u{fffd}[31m\u{fffd}"
        );
    }
}
