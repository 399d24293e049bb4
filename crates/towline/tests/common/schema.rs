//! `docs/events.schema.json`, which says what events are.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// The schema, and one in which a field or an event that it does not name is an error.
static SCHEMAS: LazyLock<[Validator; 2]> = LazyLock::new(|| {
    let schema: Value = serde_json::from_str(include_str!("../../../../docs/events.schema.json")).unwrap();
    let strict = strict(schema.clone());
    [schema, strict].map(|schema| jsonschema::validator_for(&schema).unwrap())
});

/// Fails if an event is not as the schema says.
pub(crate) fn check(event: &Value) {
    for schema in &*SCHEMAS {
        if let Some(error) = schema.iter_errors(event).next() {
            panic!("{error}, at {}: {event}", error.instance_path());
        }
    }
}

/// Readers have to accept what they do not know, and a test must not.
fn strict(mut schema: Value) -> Value {
    let names: Vec<Value> = rules(&mut schema).map(|rule| rule["if"]["properties"]["event"]["const"].clone()).collect();
    schema["properties"]["event"]["enum"] = names.into();
    rules(&mut schema).for_each(|rule| {
        let body = &mut rule["then"];
        if body.get("properties").is_some() {
            body["properties"]["event"] = true.into();
        }
        body["unevaluatedProperties"] = false.into();
    });
    for definition in schema["$defs"].as_object_mut().unwrap().values_mut() {
        definition["properties"]["event"] = true.into();
        definition["unevaluatedProperties"] = false.into();
    }
    schema
}

fn rules(schema: &mut Value) -> impl Iterator<Item = &mut Value> {
    schema["allOf"].as_array_mut().unwrap().iter_mut()
}

#[test]
fn what_the_schema_does_not_name_is_found() {
    let event = serde_json::json!({ "event": "paused", "job": 1 });
    check(&event);
    for (field, value) in [("job", "1".into()), ("more", 1.into()), ("event", "unheard".into())] {
        let mut wrong = event.clone();
        wrong[field] = value;
        assert!(std::panic::catch_unwind(|| check(&wrong)).is_err(), "{wrong}");
    }
}
