//! How long things may be.

use super::Finding;
use super::code::{Code, body};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;

/// A file that is too long without its tests.
pub fn long_file(code: &Code) -> Vec<Finding> {
    if code.lines <= FILE_LINES_MAX {
        return Vec::new();
    }
    let what = format!("{} lines without tests, at most {FILE_LINES_MAX}: split it by what it does", code.lines);
    vec![Finding::new(&code.path, 1, what)]
}

/// Functions that don't fit a screen.
pub fn long_functions(code: &Code) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (start, _) in code.words().filter(|(_, word)| *word == "fn") {
        let name: String = code.after(start, "fn").chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        // The type of a function has no name.
        let Some((_, end)) = body(&code.text, start).filter(|_| !name.is_empty()) else { continue };
        let lines = 1 + code.text[start..end].matches('\n').count();
        if lines > FUNCTION_LINES_MAX {
            let what = format!(
                "fn {name} has {lines} lines, at most {FUNCTION_LINES_MAX}: branch in the parent, loop in the leaf"
            );
            findings.push(Finding::new(&code.path, code.line_of(start), what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::expect_lines;
    use super::*;

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let lines = |count: usize| "const A: u8 = 1;\n".repeat(count);
        expect_lines(&long_file(&Code::new("src/a.rs", &lines(601))), &[1]);
        expect_lines(&long_file(&Code::new("src/a.rs", &lines(600))), &[]);
        let with_tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(599), lines(300));
        expect_lines(&long_file(&Code::new("src/a.rs", &with_tests)), &[]);
    }

    #[test]
    fn a_long_function_is_found() {
        let function = |lines: usize| format!("fn a(x: [u8; 2]) {{\n{}}}\n", "    b();\n".repeat(lines - 2));
        expect_lines(&long_functions(&Code::new("src/a.rs", &function(70))), &[]);
        expect_lines(&long_functions(&Code::new("src/a.rs", &format!("\n{}", function(71)))), &[2]);
        let declared = format!("trait A {{\n    fn a();\n{}}}\n", "    const B: u8;\n".repeat(90));
        expect_lines(&long_functions(&Code::new("src/a.rs", &declared)), &[]);
        let typed = format!("struct A {{ b: fn(&str) -> String }}\nimpl A {{\n{}}}\n", "    const B: u8;\n".repeat(90));
        expect_lines(&long_functions(&Code::new("src/a.rs", &typed)), &[]);
    }
}
