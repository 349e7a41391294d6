//! Marks in the source: `//= ID: the rule`, over the line that obeys it and over the test that shows it.

use std::fs;
use std::path::{Path, PathBuf};

/// A mark and, when it stands over one, the test (`file::function`).
#[derive(Clone, Debug)]
pub(super) struct Mark {
    pub(super) id: String,
    pub(super) test: Option<String>,
    pub(super) file: PathBuf,
}

/// The marks of all Rust files in a folder and below.
pub(super) fn under(folder: &Path) -> Vec<Mark> {
    let mut marks = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            marks.extend(under(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source");
            marks.extend(within(&path, &text));
        }
    }
    marks
}

/// The marks of one file. Attributes and comments may stand between a mark and its function, which is
/// a test only if an attribute says so, and none if another says that it is not run.
pub(super) fn within(file: &Path, text: &str) -> Vec<Mark> {
    let module = module(file);
    let (mut marks, mut waiting) = (Vec::new(), Vec::new());
    let (mut is_test, mut is_run) = (false, true);
    let mark = |id, test| Mark {
        id,
        test,
        file: file.to_owned(),
    };
    for line in text.lines().map(str::trim_start) {
        if let Some(rule) = line.strip_prefix("//= ") {
            waiting.push(rule.split(':').next().unwrap_or(rule).trim().to_owned());
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            is_run &= !line.starts_with("#[ignore");
        } else if !line.starts_with("//") {
            let test = function(line).filter(|_| is_test && is_run);
            let test = test.map(|name| format!("{module}::{name}"));
            marks.extend(waiting.drain(..).map(|id| mark(id, test.clone())));
            (is_test, is_run) = (false, true);
        }
    }
    marks.extend(waiting.into_iter().map(|id| mark(id, None)));
    marks
}

fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split('(').next()
}

/// The module of a file; that of `x/tests.rs` is `x`.
fn module(file: &Path) -> String {
    let file = file.with_extension("");
    let is_tests = file.ends_with("tests");
    let named = if is_tests {
        file.parent()
    } else {
        Some(&*file)
    };
    let name = named.and_then(Path::file_name).expect("a file has a name");
    name.to_string_lossy().into_owned()
}
