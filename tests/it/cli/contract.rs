//! What holds for every verb: help, exit codes, and which output is for what.

use super::{Shop, golden, run};

const VERBS: [&str; 10] =
    ["run", "demo", "invoke", "validate", "explain", "test", "infer", "functions", "schema", "completions"];

#[test]
fn help_of_every_verb() {
    let mut text = run(&["--help"]).ended(0).stdout;
    for verb in VERBS {
        assert!(text.contains(&format!("\n  {verb} ")), "{verb} is not in the list of verbs");
        let ran = run(&[verb, "--help"]).ended(0);
        assert_eq!(ran.stderr, "");
        text += &format!("\n$ kaflowsql {verb} --help\n{}", ran.stdout);
    }
    golden("testdata/cli/help.txt", &text);
}

#[test]
fn the_version_is_told() {
    let ran = run(&["--version"]).ended(0);
    assert_eq!((ran.stdout, ran.stderr), (format!("kaflowsql {}\n", env!("CARGO_PKG_VERSION")), String::new()));
}

#[test]
fn mistakes_in_arguments_end_with_2() {
    for (arguments, words) in [
        (&["invok"][..], "similar subcommand exists: 'invoke'"),
        (&["validate"], "<PIPELINE>"),
        (&["validate", "--offlin", "x.yaml"], "similar argument exists: '--offline'"),
        (&["infer"], "--file <FILE>"),
        (&["infer", "--file", "a", "--topic", "b"], "cannot be used with"),
        (&["demo", "--rate", "0"], "0 is not in 1..="),
        (&["test", "no/such.yaml"], "there is no pipeline no/such.yaml"),
        (&["completions", "dosbox"], "possible values: bash"),
        (&["functions", "uper"], "there is no function `uper`; did you mean `upper`?"),
        (&["schema", "piplines"], "similar value exists: 'pipeline'"),
        (&["validate", "no/such.yaml"], "there is no pipeline no/such.yaml"),
        (&["validate", "docs"], "there is no pipeline (*.yaml) in docs"),
        (&["explain", "no/such.yaml"], "can't read the file"),
        (&["validate", "-c", "no/such.yaml", "pipelines"], "can't read the file"),
        (&["explain", "-c", "no/such.yaml", "pipelines/flights.yaml"], "can't read the file"),
    ] {
        run(arguments).refused(&[words]);
    }
    let ran = run(&[]).ended(2);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("Usage: kaflowsql <COMMAND>"), "{}", ran.stderr);
}

#[test]
fn what_fails_without_a_mistake_ends_with_1() {
    let shop = Shop::new();
    let full = shop.invoke(&["--output", "/dev/full"]).ended(1);
    assert!(full.stderr.starts_with("error: /dev/full: can't be written: "), "{}", full.stderr);
    shop.write("garbage.ndjson", "this\nis\nno JSON\n");
    let ran = run(&["infer", "--file", &shop.file("garbage.ndjson")]).ended(1);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("3 records, 3 of them can't be read"), "{}", ran.stderr);
}
