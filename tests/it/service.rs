//! `kaflowsql run` as a user runs it: the real binary against a real broker, stopped, killed and restarted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kaflowsql::clock::Clock;
use tempfile::TempDir;

use crate::broker::{Broker, Record, within_deadline};

const KAFLOWSQL: &str = env!("CARGO_BIN_EXE_kaflowsql");
/// The topics of pipelines/flights.yaml; flights drive.
const TOPICS: [&str; 4] = ["flights", "airlines", "planes", "airports"];

fn flights(topic: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("testdata/flights/{topic}.ndjson"))
}

/// pipelines/flights.yaml with topics of this test's own.
struct Setup {
    folder: TempDir,
    name: &'static str,
    http: String,
}

impl Setup {
    fn new(broker: &Broker, name: &'static str, partitions: i32) -> Self {
        let folder = TempDir::new().unwrap();
        let pipeline =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/flights.yaml")).unwrap();
        let mut pipeline = pipeline.replace("name: flights", &format!("name: {name}"));
        pipeline = pipeline.replace("topic: enriched_flights", &format!("topic: {name}-out"));
        for topic in TOPICS {
            pipeline =
                pipeline.replace(&format!("\n  {topic}:\n"), &format!("\n  {topic}:\n    topic: {name}-{topic}\n"));
            broker.create_topic(&format!("{name}-{topic}"), partitions, &[]);
        }
        fs::write(folder.path().join("pipeline.yaml"), pipeline).unwrap();
        let http = free_address();
        let config = format!(
            "kafka: {{brokers: [\"{}\"], consumer: {{group: it}}, instance: \"0\"}}\nhttp: {{listen: \"{http}\"}}\n",
            broker.cluster().brokers[0]
        );
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        Self { folder, name, http }
    }

    fn topic(&self, topic: &str) -> String {
        format!("{}-{topic}", self.name)
    }

    fn produce(&self, broker: &Broker, topic: &str, partitions: i32) {
        let text = fs::read_to_string(flights(topic)).unwrap();
        let records: Vec<_> = text
            .lines()
            .enumerate()
            .map(|(number, line)| Record {
                key: None,
                ..Record::new(number as i32 % partitions, 1_700_000_000_000, "", line)
            })
            .collect();
        broker.produce(&self.topic(topic), &records);
    }

    fn run(&self) -> Process {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let child = Command::new(KAFLOWSQL)
            .args(["run", "-c", "config.yaml", "pipeline.yaml"])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Process(child)
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(&self.http).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text.split_once("\r\n\r\n")?.1.to_string()))
    }

    /// Waits until metric `line` (name and labels) is at least `value`.
    fn await_metric(&self, line: &str, value: f64) {
        within_deadline(&format!("{line} >= {value}; log: {}", self.log()), || {
            let (_, page) = self.get("/metrics")?;
            let found = page.lines().find_map(|it| it.strip_prefix(line)?.trim().parse::<f64>().ok())?;
            (found >= value).then_some(())
        });
    }

    fn await_events(&self, events: usize) {
        let line = format!(
            "kaflowsql_events_processed_total{{pipeline=\"{}\",topic=\"{}\"}}",
            self.name,
            self.topic("flights")
        );
        self.await_metric(&line, events as f64);
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// What `invoke` says about the same files, as a multiset.
    fn expected(&self) -> BTreeMap<String, usize> {
        let mut command = Command::new(KAFLOWSQL);
        command.args(["invoke", "pipelines/flights.yaml"]).current_dir(env!("CARGO_MANIFEST_DIR"));
        for topic in TOPICS {
            command.arg("--input").arg(format!("{topic}={}", flights(topic).display()));
        }
        let output = command.output().unwrap();
        assert!(output.status.success());
        counted(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned))
    }
}

fn counted(rows: impl Iterator<Item = String>) -> BTreeMap<String, usize> {
    rows.fold(BTreeMap::new(), |mut counts, row| {
        *counts.entry(row).or_default() += 1;
        counts
    })
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A running process; killed if the test ends before it.
struct Process(Child);

impl Process {
    fn terminate(mut self) -> Option<i32> {
        assert!(Command::new("kill").arg(self.0.id().to_string()).status().unwrap().success());
        self.0.wait().unwrap().code()
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended already, as a rule.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn flights_come_out_enriched_and_a_restart_repeats_nothing() {
    let Some(broker) = Broker::shared() else { return };
    let setup = Setup::new(broker, "flights-run", 4);
    for topic in TOPICS {
        setup.produce(broker, topic, 4);
    }
    let events = fs::read_to_string(flights("flights")).unwrap().lines().count();
    let process = setup.run();
    setup.await_events(events);
    let (status, body) = setup.get("/readyz").unwrap();
    assert_eq!(status, 200, "{body}");
    let (_, page) = setup.get("/metrics").unwrap();
    for name in
        ["kaflowsql_join_hit_rate", "kaflowsql_sql_execution_duration_bucket", "kaflowsql_stage_duration_bucket"]
    {
        assert!(page.contains(name), "{name} is not among\n{page}");
    }
    assert_eq!(process.terminate(), Some(0), "{}", setup.log());
    let committed: i64 =
        broker.committed(&format!("it-{}", setup.name), &setup.topic("flights"), 4).into_iter().flatten().sum();
    assert_eq!(committed, events as i64, "a graceful stop commits all");

    let written = broker.read_all(&setup.topic("out"));
    let expected = setup.expected();
    assert_eq!(counted(written.iter().map(Record::text)), expected);
    let row: serde_json::Value = serde_json::from_str(&written[0].text()).unwrap();
    assert_eq!(written[0].key.as_deref(), row["flight_id"].as_str().map(str::as_bytes));
    assert_eq!(written[0].timestamp, 1_700_000_000_000, "a result has the timestamp of its driving record");

    let again = setup.run();
    within_deadline("the restarted process to be ready", || setup.get("/readyz").filter(|(status, _)| *status == 200));
    assert_eq!(again.terminate(), Some(0));
    assert_eq!(broker.read_all(&setup.topic("out")).len(), written.len());
}

#[test]
fn killed_at_any_moment_nothing_is_lost() {
    let Some(broker) = Broker::shared() else { return };
    let setup = Setup::new(broker, "flights-killed", 2);
    for topic in ["airlines", "planes", "airports", "flights"] {
        setup.produce(broker, topic, 2);
    }
    let expected = setup.expected();
    for _ in 0..3 {
        let process = setup.run();
        // Some of it is done, more is under way.
        within_deadline("output", || setup.get("/metrics").filter(|(_, page)| page.contains("rows_emitted_total")));
        process.kill();
    }
    let process = setup.run();
    within_deadline("everything to be committed", || {
        let committed = broker.committed(&format!("it-{}", setup.name), &setup.topic("flights"), 2);
        let read: i64 = committed.into_iter().flatten().sum();
        (read == fs::read_to_string(flights("flights")).unwrap().lines().count() as i64).then_some(())
    });
    assert_eq!(process.terminate(), Some(0), "{}", setup.log());
    let written = counted(broker.read_all(&setup.topic("out")).iter().map(Record::text));
    for (row, count) in &expected {
        assert!(written.get(row).is_some_and(|written| written >= count), "lost: {row}");
    }
    assert_eq!(written.len(), expected.len(), "at least once repeats rows, it invents none");
}

/// Orders wait for their payments: what is paid later comes out then, and what is not paid when its wait is over by the wall
/// clock, though no record comes any more.
#[test]
fn an_order_waits_for_its_payment_and_no_longer_than_it_should() {
    let Some(broker) = Broker::shared() else { return };
    let name = "orders-wait";
    let folder = TempDir::new().unwrap();
    let pipeline = format!(
        "name: {name}\n\
         query: SELECT o.id, p.amount FROM orders o LEFT JOIN payments p ON o.id = p.order_id\n\
         sources:\n\
         \x20 orders: {{topic: {name}-orders, schema: {{id: int}}}}\n\
         \x20 payments: {{topic: {name}-payments, schema: {{order_id: int, amount: int}}}}\n\
         output: {{topic: {name}-out, key: id}}\n\
         emission: {{type: smart, require: [amount], max_wait: 2s, on_expire: emit}}\n"
    );
    fs::write(folder.path().join("pipeline.yaml"), pipeline).unwrap();
    let http = free_address();
    let brokers = &broker.cluster().brokers[0];
    let config =
        format!("kafka: {{brokers: [\"{brokers}\"], consumer: {{group: it}}}}\nhttp: {{listen: \"{http}\"}}\n");
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    let setup = Setup { folder, name, http };
    for topic in ["orders", "payments"] {
        broker.create_topic(&setup.topic(topic), 2, &[]);
    }
    let now_ms = Clock::System.now_ms();
    let order = |id: i32| Record::new(id % 2, now_ms, "", &format!("{{\"id\":{id}}}"));
    broker.produce(&setup.topic("orders"), &[order(1), order(2)]);
    let process = setup.run();
    setup.await_metric(&format!("kaflowsql_parked_total{{pipeline=\"{name}\"}}"), 2.0);
    // The other partition than the order's: co-partitioning is not needed.
    broker.produce(&setup.topic("payments"), &[Record::new(0, now_ms, "", "{\"order_id\":1,\"amount\":7}")]);
    setup.await_metric(&format!("kaflowsql_expired_total{{pipeline=\"{name}\"}}"), 1.0);
    setup.await_metric(&format!("kaflowsql_rows_emitted_total{{pipeline=\"{name}\"}}"), 2.0);
    let (_, page) = setup.get("/metrics").unwrap();
    for line in [
        format!("kaflowsql_withdrawn_total{{pipeline=\"{name}\"}} 1"),
        format!("kaflowsql_pending{{pipeline=\"{name}\"}} 0"),
        format!("kaflowsql_state_entries_total{{pipeline=\"{name}\",topic=\"{name}-payments\"}} 1"),
    ] {
        assert!(page.contains(&line), "{line} is not among\n{page}");
    }
    assert_eq!(process.terminate(), Some(0), "{}", setup.log());
    let written = counted(broker.read_all(&setup.topic("out")).iter().map(Record::text));
    let expected = ["{\"id\":1,\"amount\":7}", "{\"id\":2,\"amount\":null}"].map(str::to_owned);
    assert_eq!(written, counted(expected.into_iter()));
}

#[test]
fn a_broker_that_is_not_there_is_waited_for() {
    let folder = TempDir::new().unwrap();
    let http = free_address();
    let config = format!("kafka: {{brokers: [\"127.0.0.1:1\"]}}\nhttp: {{listen: \"{http}\"}}\n");
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    let setup = Setup { folder, name: "none", http };
    fs::copy(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/flights.yaml"),
        setup.folder.path().join("pipeline.yaml"),
    )
    .unwrap();
    let process = setup.run();
    let (_, body) = within_deadline("an answer", || setup.get("/readyz").filter(|(status, _)| *status == 503));
    assert!(body.contains("\"ready\":false"), "{body}");
    assert_eq!(setup.get("/livez").unwrap().0, 200);
    assert_eq!(process.terminate(), Some(0), "{}", setup.log());
}

#[test]
fn a_mistake_in_the_sql_ends_the_run_before_it_begins() {
    let folder = TempDir::new().unwrap();
    let pipeline = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/flights.yaml")).unwrap();
    fs::write(folder.path().join("pipeline.yaml"), pipeline.replace("p.manufacturer", "p.manufactuer")).unwrap();
    let output = Command::new(KAFLOWSQL).args(["run", "pipeline.yaml"]).current_dir(folder.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("pipeline.yaml:19:") && text.contains("`manufacturer`"), "{text}");
}
