//! The command line as its users meet it: the real binary, its exit codes, its two outputs.

mod contract;
mod editors;
mod explain;
mod garbage;
mod infer;
mod invoke;
pub mod pipelines;
mod test_verb;
mod validate;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The root of the repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary, to be run in the root of the repository.
pub fn kaflowsql(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kaflowsql"));
    command.current_dir(root()).args(arguments).stdin(Stdio::null());
    command
}

/// What a run of the binary left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("the binary writes UTF-8");
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Ran {
    /// Asserts that the run ended with this code, and returns it.
    #[track_caller]
    pub fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Asserts that it was a mistake whose report holds `words`, and that nothing came to stdout.
    #[track_caller]
    pub fn refused(self, words: &[&str]) {
        let ran = self.ended(2);
        assert_eq!(ran.stdout, "");
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is not in\n{}", ran.stderr);
        }
    }
}

/// Runs the binary.
pub fn run(arguments: &[&str]) -> Ran {
    kaflowsql(arguments).output().expect("the binary can be started").into()
}

/// Runs the binary with `input` on its standard input.
pub fn run_with_input(arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = kaflowsql(arguments);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    child.stdin.take().expect("a pipe").write_all(input).expect("the binary reads its input");
    child.wait_with_output().expect("the binary ends").into()
}

/// Asserts that `actual` is what the file at `path` holds. With `KAFLOWSQL_UPDATE=1` in the environment the file is
/// rewritten instead.
#[track_caller]
pub fn golden(path: &str, actual: &str) {
    let path = root().join(path);
    if std::env::var("KAFLOWSQL_UPDATE").is_ok_and(|value| value == "1") {
        std::fs::write(&path, actual).expect("the golden file can be written");
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(actual, expected, "\n{} differs; KAFLOWSQL_UPDATE=1 rewrites it", path.display());
}

/// A folder with the files of a small shop: `orders`, `customers`, and a pipeline that joins them.
pub struct Shop {
    folder: TempDir,
}

pub const ORDERS: &str = r#"{"order_id":1,"customer_id":"c1","amount":19.5}
{"order_id":2,"customer_id":"c2","amount":5}
{"order_id":3,"customer_id":"c9","amount":120}
{"order_id":4,"customer_id":null,"amount":-1}
"#;

const CUSTOMERS: &str = r#"{"customer_id":"c1","name":"Ada"}
{"customer_id":"c2","name":"Grace"}
{"customer_id":"c1","name":"Augusta Ada"}
"#;

pub const ENRICHED: &str = r#"{"order_id":1,"customer":"AUGUSTA ADA","amount":19.5}
{"order_id":2,"customer":"GRACE","amount":5.0}
{"order_id":3,"customer":null,"amount":120.0}
"#;

const PIPELINE: &str = "name: shop
query: |
  SELECT o.order_id, upper(c.name) AS customer, o.amount
  FROM orders o
  LEFT JOIN customers c ON o.customer_id = c.customer_id
  WHERE o.amount > 0
sources:
  orders: { topic: shop.orders, schema: { order_id: bigint, customer_id: string, amount: double } }
  customers: { schema: { customer_id: string, name: string } }
output: { topic: enriched, key: order_id }
state: { dimensions: [{ table: customers, key: [customer_id] }] }
";

impl Shop {
    pub fn new() -> Self {
        let shop = Self { folder: TempDir::new().expect("a temporary folder") };
        shop.write("orders.ndjson", ORDERS);
        shop.write("customers.ndjson", CUSTOMERS);
        shop.write("shop.yaml", PIPELINE);
        shop
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The path of a file as an argument.
    pub fn file(&self, name: &str) -> String {
        self.path(name).to_str().expect("a path in UTF-8").to_string()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), text).expect("a file in a temporary folder");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file that the run has made")
    }

    /// The pipeline with something in it replaced.
    pub fn change(&self, what: &str, instead: &str) {
        let text = self.read("shop.yaml");
        assert!(text.contains(what), "{what} is not in the pipeline");
        self.write("shop.yaml", text.replace(what, instead));
    }

    /// The arguments of `invoke` over the files of the shop, and `more`.
    pub fn arguments(&self, more: &[&str]) -> Vec<String> {
        let mut arguments: Vec<String> = ["invoke", &self.file("shop.yaml")].map(str::to_string).to_vec();
        for table in ["orders", "customers"] {
            arguments.extend(["--input".to_string(), format!("{table}={}", self.file(&format!("{table}.ndjson")))]);
        }
        arguments.extend(more.iter().map(|argument| argument.to_string()));
        arguments
    }

    pub fn invoke(&self, more: &[&str]) -> Ran {
        let arguments = self.arguments(more);
        run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }
}
