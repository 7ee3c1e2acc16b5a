//! `explain`: a plan for a person.

use super::{golden, run};

#[test]
fn the_plan_of_flights() {
    let ran = run(&["explain", "pipelines/flights.yaml"]).ended(0);
    assert_eq!(ran.stderr, "");
    golden("testdata/cli/explain-flights.txt", &ran.stdout);
}

#[test]
fn the_plan_of_weather() {
    let ran = run(&["explain", "pipelines/weather.yaml"]).ended(0);
    golden("testdata/cli/explain-weather.txt", &ran.stdout);
}

#[test]
fn a_broken_pipeline_is_reported_and_not_explained() {
    run(&["explain", "testdata/config/broken/sql/column-near.yaml"]).refused(&["there is no column `nmae` in `c`"]);
}
