//! Files as people write them: good ones to what they mean, broken ones to what is said about them, garbage to no panic.

use std::path::Path;

use arrow::datatypes::{DataType, TimeUnit};
use proptest::prelude::*;

use super::types::{list_of, struct_of, timestamp};
use super::{
    AutoOffsetReset, BatchLimits, Compression, Dimension, EmissionRules, LogLevel, Mistakes, OnError, OnExpire,
    Pipeline, Settings, Severity, compare, load_pipeline, load_settings, parse_pipeline, parse_settings,
};

const BROKEN: &str = "testdata/config/broken";
const GOOD: &str = "testdata/config/good";

/// Files called `config-…` are settings, the others pipelines.
fn is_config(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("config-"))
}

fn report(file: &Path) -> String {
    let mistakes = if is_config(file) { load_settings(file).err() } else { load_pipeline(file).err() };
    mistakes.map_or_else(|| "nothing wrong".to_string(), |mistakes| mistakes.render(false))
}

#[test]
fn broken_files_are_reported_as_expected() {
    let files = compare::compare(Path::new(BROKEN), |file| {
        let report = report(file);
        assert_ne!(report, "nothing wrong", "{}", file.display());
        report
    });
    assert!(files >= 30, "{files}");
}

#[test]
fn no_report_shows_a_secret() {
    for file in compare::yaml_files(Path::new(BROKEN)).iter().filter(|file| is_config(file)) {
        let report = report(file);
        for secret in ["hunter2", "one-secret", "two-secret"] {
            assert!(!report.contains(secret), "{report}");
        }
    }
}

#[test]
fn good_files_load() {
    let files = compare::yaml_files(Path::new(GOOD));
    assert!(files.len() >= 7);
    for file in files {
        assert_eq!(report(&file), "nothing wrong", "{}", file.display());
    }
}

fn good_pipeline(name: &str) -> Pipeline {
    load_pipeline(&Path::new(GOOD).join(name)).expect("a good pipeline")
}

fn good_settings(name: &str) -> Settings {
    load_settings(&Path::new(GOOD).join(name)).expect("good settings")
}

fn pipeline(text: &str) -> Result<Pipeline, Mistakes> {
    parse_pipeline("p.yaml", text.to_string(), &|_| None)
}

#[test]
fn the_full_pipeline_means_what_it_says() {
    let pipeline = good_pipeline("full-pipeline.yaml");
    assert_eq!(pipeline.name, "transaction_enrichment");
    assert!(pipeline.query.starts_with("SELECT t.transaction_id") && pipeline.query.ends_with("t.amount > 0\n"));
    let transactions = &pipeline.sources["transactions"];
    assert_eq!(transactions.topic.as_deref(), Some("prod.transactions"));
    assert_eq!(transactions.event_time.as_deref(), Some("ts"));
    let columns = transactions.schema.as_ref().expect("a schema");
    assert_eq!(columns[3], ("amount".to_string(), DataType::Decimal128(10, 2)));
    assert_eq!(columns[4], ("ts".to_string(), timestamp(TimeUnit::Millisecond)));
    assert_eq!(columns[5], ("tags".to_string(), list_of(DataType::Utf8View)));
    assert_eq!(pipeline.output.key.as_deref(), Some("transaction_id"));
    assert_eq!(pipeline.output.dead_letter, "enriched_transactions.dlq");
    let output: Vec<(&str, DataType)> =
        pipeline.output.schema.iter().flatten().map(|(name, data_type)| (name.as_str(), data_type.clone())).collect();
    assert_eq!(
        output,
        [
            ("transaction_id", DataType::Utf8View),
            ("amount", DataType::Decimal128(10, 2)),
            ("risk_score", DataType::Int32),
            ("merchant_name", DataType::Utf8View),
        ]
    );
    assert_eq!(
        pipeline.dimensions,
        [
            Dimension { table: "users".to_string(), key: None },
            Dimension { table: "merchants".to_string(), key: Some(vec!["merchant_id".to_string()]) },
        ]
    );
    assert_eq!(pipeline.batch, BatchLimits { max_records: 10_000, max_bytes: 16 << 20, max_wait_ms: 0 });
    assert_eq!((pipeline.on_error, pipeline.max_record_bytes), (OnError::DeadLetter, 1 << 20));
    let events = &pipeline.events;
    assert_eq!((events.lateness_ms, events.idle_timeout_ms, events.max_future_ms), (Some(60_000), 30_000, 3_600_000));
}

#[test]
fn camel_case_means_the_same_and_keys_of_the_user_stay() {
    let pipeline = good_pipeline("camel-case-pipeline.yaml");
    let orders = &pipeline.sources["userOrders"];
    assert_eq!(orders.event_time.as_deref(), Some("createdAt"));
    let columns = orders.schema.as_ref().expect("a schema");
    let article = vec![("article".to_string(), DataType::Utf8View), ("count".to_string(), DataType::Int32)];
    assert_eq!(columns[1], ("createdAt".to_string(), timestamp(TimeUnit::Microsecond)));
    assert_eq!(columns[3], ("lines".to_string(), list_of(struct_of(article))));
    assert_eq!(pipeline.events.overrides_ms["userOrders"], 5_400_000);
    assert_eq!(pipeline.events.default_ttl_ms, Some(5_400_000));
    assert_eq!((pipeline.events.idle_timeout_ms, pipeline.events.max_future_ms), (5_000, 0));
    assert_eq!(pipeline.batch, BatchLimits { max_records: 100, max_bytes: 1 << 20, max_wait_ms: 5 });
    assert_eq!((pipeline.on_error, pipeline.max_record_bytes), (OnError::Fail, 16_000));
    assert_eq!(pipeline.output.dead_letter, "copied.bad");
}

#[test]
fn what_is_left_out_has_its_default() {
    let pipeline = good_pipeline("minimal-pipeline.yaml");
    assert_eq!(pipeline.output.dead_letter, "copied.dlq");
    assert_eq!(pipeline.batch, BatchLimits { max_records: 10_000, max_bytes: 16 << 20, max_wait_ms: 0 });
    assert_eq!((pipeline.on_error, pipeline.max_record_bytes), (OnError::DeadLetter, 1 << 20));
    assert_eq!(pipeline.events.ttl_ms("orders", 77), 77);
    assert_eq!(good_settings("config-empty.yaml"), Settings::default());
    assert_eq!(Settings { kafka: Settings::default().kafka, ..good_settings("config-full.yaml") }, Settings::default());
}

#[test]
fn warnings_do_not_keep_a_pipeline_from_loading() {
    let text = "name: n\nquery: q\noutput: {topic: t}\nwindow: 1h\nstate: {events: {default_ttl: 2h}}\n";
    let warnings = pipeline(text).expect("a good pipeline").warnings;
    assert_eq!(warnings.found().len(), 1);
    assert!(!warnings.is_fatal() && warnings.render(false).ends_with("p.yaml: 1 warning\n"), "{warnings}");
}

#[test]
fn an_alias_is_what_its_anchor_is() {
    let pipeline = good_pipeline("anchors-pipeline.yaml");
    assert_eq!(pipeline.sources["a"], pipeline.sources["b"]);
    assert_eq!(pipeline.query, "SELECT id\n  FROM a");
    assert_eq!(pipeline.output.topic, "copied");
}

#[test]
fn settings_mean_what_they_say_and_debug_hides_secrets() {
    let settings = good_settings("config-full.yaml");
    assert_eq!(settings.kafka.brokers, ["localhost:9092", "[::1]:9092"]);
    assert_eq!(settings.kafka.instance.as_deref(), Some("0"));
    assert_eq!(settings.kafka.properties["sasl.password"], "hunter2");
    assert_eq!(settings.kafka.properties["socket.keepalive.enable"], "true");
    assert_eq!(settings.http.token, None);

    let other = good_settings("config-snake-case.yaml");
    assert_eq!(other.kafka.brokers, ["kafka-1:9092", "kafka-2:9092"]);
    assert_eq!(other.kafka.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!((other.kafka.fetch_max_wait_ms, other.kafka.linger_ms, other.kafka.batch_size), (1_000, 5, 65_536));
    assert_eq!(other.kafka.compression, Compression::Lz4);
    assert_eq!(other.http.listen.to_string(), "0.0.0.0:9090");
    assert_eq!(other.http.token.as_deref(), Some("12345678"));
    assert_eq!((other.logging.level, other.logging.json), (LogLevel::Debug, true));

    let debug = format!("{settings:?} {other:?}");
    assert!(!debug.contains("hunter2") && !debug.contains("12345678"), "{debug}");
}

#[test]
fn the_ttl_is_the_most_specific_one() {
    let base = "name: n\nquery: q\noutput: {topic: t}\n";
    let ttl =
        |more: &str, table: &str| pipeline(&format!("{base}{more}")).expect("a good pipeline").events.ttl_ms(table, 9);
    assert_eq!(ttl("", "a"), 9);
    assert_eq!(ttl("window: 1s", "a"), 1_000);
    assert_eq!(ttl("window: 1s\nstate: {events: {default_ttl: 2s}}", "a"), 2_000);
    assert_eq!(ttl("state: {events: {default_ttl: 2s, overrides: {a: 3s}}}", "a"), 3_000);
    assert_eq!(ttl("state: {events: {default_ttl: 2s, overrides: {a: 3s}}}", "b"), 2_000);
    let events = pipeline(base).expect("a good pipeline").events;
    assert_eq!((events.lateness_ms(1_000), events.lateness_ms(3_600_000)), (1_000, 60_000));
}

#[test]
fn json_has_every_mistake_with_its_place() {
    let text = "name: ä ö\nquery: q\noutput: {tpic: t}\nwindow: 1h\nstate: {events: {default_ttl: 2h}}\n";
    let json = pipeline(text).expect_err("mistakes").to_json();
    let brief: Vec<String> = json
        .as_array()
        .expect("an array")
        .iter()
        .map(|entry| {
            format!(
                "{} {}:{}-{}:{} {} {} {}",
                entry["file"],
                entry["line"],
                entry["column"],
                entry["end_line"],
                entry["end_column"],
                entry["severity"],
                entry["message"],
                entry["help"]
            )
        })
        .collect();
    assert_eq!(
        brief,
        [
            "\"p.yaml\" 1:7-1:10 \"mistake\" \"`ä ö` can't be a pipeline's name: `ä` is not among its letters\" \"a \
             pipeline's name has 1 to 249 letters (a to z, A to Z), digits, `_`, `-` and `.`\"",
            "\"p.yaml\" 3:10-3:14 \"mistake\" \"unknown key `tpic` in `output`\" \"did you mean `topic`?\"",
            "\"p.yaml\" 4:1-4:7 \"warning\" \"`window` has no effect: `state.events.default_ttl` counts instead\" \"keep \
             one of them\"",
        ]
    );
}

#[test]
fn a_mistake_in_the_sql_is_shown_at_its_place() {
    let text = "name: n\nquery: |\n  SELECT a\n  FROM tabel t\noutput: {topic: t}\n";
    let pipeline = pipeline(text).expect("a good pipeline");
    let mut mistakes = Mistakes::new(pipeline.file.clone());
    mistakes.warn_in_query((1, 8), None, "`a` is never used", None);
    mistakes.in_query((2, 6), Some((2, 11)), "there is no table `tabel`", Some("did you mean `table`?".to_string()));
    mistakes.at_key(&["sources", "x"], "not there", None);
    assert_eq!(
        mistakes.found().iter().map(|mistake| mistake.severity).collect::<Vec<_>>(),
        [Severity::Mistake, Severity::Warning, Severity::Mistake]
    );
    let expected = "  × there is no table `tabel`\n   ╭─[p.yaml:4:8]\n 3 │   SELECT a\n 4 │   FROM tabel t\n   ·        ─────\n 5 │ \
                    output: {topic: t}\n   ╰────\n  help: did you mean `table`?\n\np.yaml: 2 mistakes, 1 warning\n";
    assert!(mistakes.render(false).ends_with(expected), "{mistakes}");
}

#[test]
fn a_file_that_is_not_there_is_a_mistake() {
    let mistakes = load_pipeline(Path::new("testdata/config/none.yaml")).expect_err("no such file");
    assert!(mistakes.to_string().contains("can't read the file"), "{mistakes}");
}

#[test]
fn depth_aliases_and_size_are_bounded() {
    let message = |text: String| pipeline(&text).expect_err("too much").found()[0].message.clone();
    assert_eq!(message(format!("a: {}", "[".repeat(100_000))), "more than 64 levels deep");
    assert_eq!(message(format!("{}x", "- ".repeat(100_000))), "more than 64 levels deep");
    assert!(message("a".repeat((1 << 20) + 1)).starts_with("the file has 1048577 bytes"));
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_string();
    for level in 1..9 {
        let alias = format!("*a{},", level - 1).repeat(10);
        bomb += &format!("a{level}: &a{level} [{alias}]\n");
    }
    assert_eq!(message(bomb), "aliases make the file too large");
    assert_eq!(message("a: &a [*a]".to_string()), "this alias stands inside what it names");
}

#[test]
fn the_schemas_hold_no_references_and_describe_every_key() {
    fn walk(schema: &serde_json::Value, path: &str) {
        for (key, property) in schema["properties"].as_object().into_iter().flatten() {
            assert!(property["description"].is_string(), "{path}.{key}");
            walk(property, &format!("{path}.{key}"));
        }
        for branch in schema["anyOf"].as_array().into_iter().flatten() {
            walk(branch, path);
        }
        walk_some(&schema["items"], path);
        walk_some(&schema["additionalProperties"], path);
        assert!(schema["$ref"].is_null(), "{path}");
    }
    fn walk_some(schema: &serde_json::Value, path: &str) {
        if schema.is_object() {
            walk(schema, path);
        }
    }
    walk(&super::settings_schema(), "config");
    walk(&super::pipeline_schema(), "pipeline");
}

/// Loads a text both ways and renders what is wrong; the places of mistakes must lie within it.
fn load_anything(text: &str) {
    let found = [
        parse_pipeline("p.yaml", text.to_string(), &|_| None).err(),
        parse_settings("c.yaml", text.to_string(), &|_| Some("x: ${y".to_string())).err(),
    ];
    for mistakes in found.into_iter().flatten() {
        assert!(mistakes.is_fatal() && mistakes.render(true).contains("mistake"));
        assert_eq!(mistakes.to_json().as_array().map(Vec::len), Some(mistakes.found().len()));
    }
}

/// The texts of all test files.
fn seeds() -> Vec<String> {
    let files = [BROKEN, GOOD].map(|folder| compare::yaml_files(Path::new(folder)));
    files.into_iter().flatten().map(|file| std::fs::read_to_string(file).expect("a test file")).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text_never_panics(text in "([a-c]|[-?:,\\[\\]{}#&*!|>'\"%@`~ \t\n\r\\\\$]|---\n|\\.\\.\\.|<<: |: |- |ä|\u{85}|\u{feff}|\u{1b}){0,60}") {
        load_anything(&text);
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        load_anything(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn mutated_files_never_panic(
        seed in proptest::sample::select(seeds()),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..6, "[-?:,\\[\\]{}#&*!|>'\" \n\t$a1ä]{0,3}"), 1..6),
    ) {
        let mut letters: Vec<char> = seed.chars().collect();
        for (index, removed, inserted) in edits {
            let at = index.index(letters.len() + 1);
            let end = (at + removed).min(letters.len());
            letters.splice(at..end, inserted.chars());
        }
        load_anything(&letters.into_iter().collect::<String>());
    }
}

#[test]
fn emission_means_what_it_says() {
    assert_eq!(good_pipeline("minimal-pipeline.yaml").emission, EmissionRules::Immediate);
    let smart = |max_wait_ms, on_expire| EmissionRules::Smart {
        require: vec!["name".to_string(), "amount".to_string()],
        max_wait_ms,
        on_expire,
    };
    assert_eq!(good_pipeline("smart-pipeline.yaml").emission, smart(Some(600_000), OnExpire::DeadLetter));
    let defaults = "name: p\nquery: SELECT 1\noutput: {topic: o}\nemission: {type: smart, require: [name, amount]}\n";
    assert_eq!(pipeline(defaults).expect("a pipeline").emission, smart(None, OnExpire::Drop));
}
