//! Files that nobody reads, and links that lead nowhere.

use super::Finding;
use super::code::line_of;
use super::tree::{Kind, Tree};

/// Files in `testdata/` that no code, pipeline or script names, neither by name nor by a folder of theirs.
pub fn unused_test_data(tree: &Tree) -> Vec<Finding> {
    let named = |text: &str| {
        let readers = [Kind::Rust, Kind::Script, Kind::Pipeline].into_iter().flat_map(|kind| tree.of_kind(kind));
        readers.into_iter().any(|file| file.text.contains(text))
    };
    // Rust alone reads whole folders.
    let read_whole = |folder: &str| tree.of_kind(Kind::Rust).any(|file| file.text.contains(folder));
    let is_used = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let folders = path.match_indices('/').skip(1).map(|(end, _)| &path[..end]);
        name == "README.md" || named(name) || folders.into_iter().any(read_whole)
    };
    let unused = tree.of_kind(Kind::TestData).filter(|file| !is_used(&file.path));
    unused.map(|file| Finding::new(&file.path, 1, "no test reads it: use it or delete it")).collect()
}

/// Pipelines that neither a document nor a test names.
pub fn unnamed_pipelines(tree: &Tree) -> Vec<Finding> {
    let named = |name: &str| {
        [Kind::Markdown, Kind::Rust].into_iter().any(|kind| tree.of_kind(kind).any(|file| file.text.contains(name)))
    };
    let unnamed = tree.of_kind(Kind::Pipeline).filter(|file| !named(&file.path));
    unnamed.map(|file| Finding::new(&file.path, 1, "no document and no test names it: show it or test it")).collect()
}

/// Links of documents to files that are not there.
pub fn broken_links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for document in tree.of_kind(Kind::Markdown) {
        for (start, _) in document.text.match_indices("](") {
            let link = document.text[start + 2..].split([')', '#']).next().unwrap_or_default();
            if link.is_empty() || link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let target = resolve(&document.path, link);
            if !tree.files.iter().any(|file| file.path == target || file.path.starts_with(&format!("{target}/"))) {
                let what = format!("the link to {link} leads nowhere: there is no {target}");
                findings.push(Finding::new(&document.path, line_of(&document.text, start), what));
            }
        }
    }
    findings
}

/// The path from the root of a link in the document at `path`.
fn resolve<'a>(path: &'a str, link: &'a str) -> String {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::super::tree::File;
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree {
            files: files.iter().map(|(path, text)| File { path: path.to_string(), text: text.to_string() }).collect(),
        }
    }

    fn paths(findings: &[Finding]) -> Vec<&str> {
        findings.iter().map(|finding| finding.path.as_str()).collect()
    }

    #[test]
    fn unused_test_data_is_found() {
        let tree = tree(&[
            ("testdata/a/one.json", ""),
            ("testdata/b/two.json", ""),
            ("testdata/b/three.json", ""),
            ("testdata/b/README.md", ""),
            ("tests/a.rs", "read(\"testdata/a\"); read(\"testdata\")"),
            ("scripts/b.sh", "cat testdata/b/two.json"),
        ]);
        assert_eq!(paths(&unused_test_data(&tree)), ["testdata/b/three.json"]);
    }

    #[test]
    fn unnamed_pipelines_are_found() {
        let tree = tree(&[
            ("pipelines/a.yaml", ""),
            ("pipelines/b.yaml", ""),
            ("pipelines/c.yaml", ""),
            ("docs/guide.md", "try pipelines/a.yaml"),
            ("tests/it/b.rs", "load(\"pipelines/b.yaml\")"),
        ]);
        assert_eq!(paths(&unnamed_pipelines(&tree)), ["pipelines/c.yaml"]);
    }

    #[test]
    fn broken_links_are_found() {
        let tree = tree(&[
            ("README.md", "[a](docs/guide.md) [b](docs/absent.md)"),
            ("docs/guide.md", "[a](../README.md#top)\n[b](https://kafka.apache.org)\n[c](#here)\n[d](reference.md)\n"),
        ]);
        let findings = broken_links(&tree);
        assert_eq!(paths(&findings), ["README.md", "docs/guide.md"]);
        assert_eq!(findings[1].line, 4);
    }
}
