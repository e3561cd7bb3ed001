//! The part of JSON Schema (draft 2020-12) that the report's schema uses. A keyword that is not understood is a fault, so that the
//! schema cannot say what nobody checks.

use serde_json::{Map, Value};

const SILENT: [&str; 5] = ["$schema", "$id", "$defs", "title", "description"];

/// What in `value` does not follow `schema`, with its place.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    let mut walk = Walk { root: schema, faults: Vec::new() };
    walk.check(schema, value, "");
    walk.faults
}

struct Walk<'a> {
    root: &'a Value,
    faults: Vec<String>,
}

/// What a keyword is about.
struct Site<'a> {
    /// The keywords beside it.
    rules: &'a Map<String, Value>,
    value: &'a Value,
    place: &'a str,
}

impl Walk<'_> {
    fn fault(&mut self, place: &str, what: impl std::fmt::Display) {
        self.faults.push(format!("{place}: {what}"));
    }

    fn check(&mut self, schema: &Value, value: &Value, place: &str) {
        let rules = match schema {
            Value::Bool(true) => return,
            Value::Object(rules) => rules,
            _ => return self.fault(place, "is not allowed"),
        };
        for (keyword, rule) in rules {
            self.keyword(keyword, rule, &Site { rules, value, place });
        }
    }

    fn keyword(&mut self, keyword: &str, rule: &Value, site: &Site<'_>) {
        let Site { rules, value, place } = *site;
        match keyword {
            "$ref" => {
                let pointer = rule.as_str().and_then(|text| text.strip_prefix('#')).expect("references are local");
                let target = self.root.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is defined"));
                self.check(target, value, place);
            }
            "type" => {
                let types = rule.as_array().map_or(std::slice::from_ref(rule), Vec::as_slice);
                if !types.iter().any(|name| is_a(value, name.as_str().expect("types are names"))) {
                    self.fault(place, format!("expected {rule}, found {value}"));
                }
            }
            "const" if rule != value => self.fault(place, format!("expected {rule}, found {value}")),
            "enum" if !rule.as_array().expect("a list").contains(value) => {
                self.fault(place, format!("expected one of {rule}, found {value}"))
            }
            "minimum" if value.as_f64() < rule.as_f64() && value.is_number() => self.fault(place, format!("{value} is below {rule}")),
            "maximum" if value.as_f64() > rule.as_f64() => self.fault(place, format!("{value} is above {rule}")),
            "minItems" if value.as_array().is_some_and(|items| (items.len() as u64) < rule.as_u64().expect("a count")) => {
                self.fault(place, "has too few items");
            }
            "pattern" => {
                assert_eq!(rule, "^[0-9a-f]{64}$", "the only pattern");
                let is_hash = |text: &str| text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                if !value.as_str().is_some_and(is_hash) {
                    self.fault(place, "is no SHA-256");
                }
            }
            "required" => {
                for name in rule.as_array().expect("a list").iter().filter_map(Value::as_str) {
                    if value.is_object() && value.get(name).is_none() {
                        self.fault(place, format!("{name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, inner) in rule.as_object().expect("a map") {
                    if let Some(field) = value.get(name) {
                        self.check(inner, field, &format!("{place}/{name}"));
                    }
                }
            }
            "additionalProperties" => {
                let known = |name: &String| rules.get("properties").is_some_and(|known| known.get(name).is_some());
                for (name, field) in value.as_object().into_iter().flatten().filter(|(name, _)| !known(name)) {
                    if rule == false {
                        self.fault(place, format!("{name} is not known"));
                    } else {
                        self.check(rule, field, &format!("{place}/{name}"));
                    }
                }
            }
            "prefixItems" => {
                let inner = rule.as_array().expect("a list");
                for (i, (inner, item)) in inner.iter().zip(value.as_array().into_iter().flatten()).enumerate() {
                    self.check(inner, item, &format!("{place}/{i}"));
                }
            }
            "items" => {
                let first = rules.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                for (i, item) in value.as_array().into_iter().flatten().enumerate().skip(first) {
                    self.check(rule, item, &format!("{place}/{i}"));
                }
            }
            "anyOf" => {
                let fits = |inner: &Value| faults_below(self.root, inner, value).is_empty();
                if !rule.as_array().expect("a list").iter().any(fits) {
                    self.fault(place, format!("fits none of {rule}"));
                }
            }
            "const" | "enum" | "minimum" | "maximum" | "minItems" => {}
            _ if SILENT.contains(&keyword) => {}
            _ => panic!("{keyword} is not understood"),
        }
    }
}

fn faults_below(root: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut walk = Walk { root, faults: Vec::new() };
    walk.check(schema, value, "");
    walk.faults
}

fn is_a(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        // 2.0 is an integer too, by the standard.
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => panic!("{name} is no type"),
    }
}
