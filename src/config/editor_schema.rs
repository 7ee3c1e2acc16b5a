//! The JSON Schema that editors get: what `validate` accepts, said so that a program that knows only JSON Schema says
//! the same.

use serde_json::{Map, Value as Json, json};

use super::schema::to_camel;

/// What `${VAR}` in a scalar looks like: its value is known only when the process starts.
const FROM_ENVIRONMENT: &str = r"\$\{";

/// Both spellings of every key, no key or value that comes with a later version, quantities as patterns, and `${VAR}` where
/// a number or a choice is asked for.
pub fn editor_schema(schema: Json) -> Json {
    let mut schema = schema;
    for_editors(&mut schema);
    schema
}

fn for_editors(schema: &mut Json) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Json::Object(properties)) = object.get_mut("properties") {
        *properties = spelled_both_ways(std::mem::take(properties));
    }
    for key in ["additionalProperties", "items"] {
        object.get_mut(key).into_iter().for_each(for_editors);
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(Json::Array(branches)) = object.get_mut(key) {
            branches.retain(|branch| branch.get("x-later").is_none());
            branches.iter_mut().for_each(for_editors);
        }
    }
    let pattern = object.get("format").and_then(Json::as_str).and_then(quantity);
    if let Some(pattern) = pattern {
        object.remove("format");
        // A pattern is asked of texts only.
        object.insert("pattern".into(), format!("{pattern}|{FROM_ENVIRONMENT}").into());
    } else {
        allow_environment(object);
    }
}

fn spelled_both_ways(properties: Map<String, Json>) -> Map<String, Json> {
    let mut spelled = Map::new();
    for (key, mut property) in properties.into_iter().filter(|(_, property)| property.get("x-later").is_none()) {
        for_editors(&mut property);
        let camel = to_camel(&key);
        if camel != key {
            spelled.insert(camel, property.clone());
        }
        spelled.insert(key, property);
    }
    spelled
}

/// What a quantity looks like.
fn quantity(format: &str) -> Option<&'static str> {
    match format {
        "duration" => Some(r"^(0|([0-9.]+(ns|us|µs|μs|ms|s|m|h|d))+)$"),
        "milliseconds" => Some(r"^([0-9]+|([0-9.]+(ns|us|µs|μs|ms|s|m|h|d))+)$"),
        "size" => Some(r"^[0-9.]+ *([bB]|[kKmMgG][iI]?[bB])?$"),
        _ => None,
    }
}

/// Numbers, booleans and choices may come from the environment, and a text may be written as a number.
fn allow_environment(object: &mut Map<String, Json>) {
    let types: Vec<&str> = match object.get("type") {
        Some(Json::String(name)) => vec![name],
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
        _ => Vec::new(),
    };
    let is_choice = object.get("oneOf").is_some() || object.get("const").is_some() || object.get("enum").is_some();
    if types.contains(&"string") && !is_choice {
        let mut all = vec!["string", "number", "boolean"];
        all.extend(types.contains(&"null").then_some("null"));
        object.insert("type".into(), json!(all));
    } else if types.contains(&"integer") || types.contains(&"boolean") {
        let mut all = types.clone();
        all.push("string");
        object.insert("type".into(), json!(all));
        object.insert("pattern".into(), FROM_ENVIRONMENT.into());
    } else if let Some(Json::Array(choices)) = object.get_mut("oneOf") {
        choices.push(json!({"type": "string", "pattern": FROM_ENVIRONMENT, "description": "From the environment."}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{pipeline_schema, settings_schema};

    #[test]
    fn both_spellings_are_there_and_nothing_of_later() {
        let pipeline = editor_schema(pipeline_schema());
        let properties = &pipeline["properties"];
        assert_eq!(properties["on_error"], properties["onError"]);
        assert!(
            properties["tests"]["items"]["properties"]["steps"]["items"]["properties"]["expectDeadLetters"].is_object()
        );
        let settings = editor_schema(settings_schema());
        assert!(settings["properties"]["kafka"].to_string().contains("fetchMaxWait"));
        for text in [pipeline.to_string(), settings.to_string()] {
            assert!(!text.contains("x-later") && !text.contains("\"duration\""), "{text}");
        }
    }

    #[test]
    fn durations_are_a_pattern_that_the_environment_may_fill() {
        let schema = editor_schema(pipeline_schema());
        let window = &schema["properties"]["window"];
        assert!(window["pattern"].as_str().is_some_and(|pattern| pattern.ends_with(r"|\$\{")), "{window}");
        let records = &schema["properties"]["batch"].to_string();
        assert!(records.contains(r"\\$\\{"), "{records}");
    }
}
