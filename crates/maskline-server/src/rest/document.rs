//! The OpenAPI document: forms of requests and answers from the types that read and write them, paths from the table of fields.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::{ComponentsBuilder, RefOr, Schema};

use super::about::{ModelBody, ModelsBody};
use super::answer::{AnswerBody, ImageBody, TimingsBody};
use super::ask::AskBody;
use super::export::ExportBody;
use super::fields::{Form, REQUEST, Way};
use super::format::{Format, LINES, ZIP};
use super::object::ObjectBody;
use super::problem::Problem;
use super::server::{ServerBody, StoppingBody};
use super::video::{self, FramesBody, OpenBody, SaidBody, SessionBody, SessionsBody, VideoAnswerBody, VideoObjectBody};

static DOCUMENT: LazyLock<String> = LazyLock::new(|| format!("{:#}\n", made()));

/// The document, as it is served.
pub(crate) fn document() -> &'static str {
    &DOCUMENT
}

pub(super) const JSON: &str = "application/json";
const HASH: &str = "^[0-9a-fA-F]{64}$";

fn made() -> Value {
    let mut forms = Vec::new();
    with::<AskBody>(&mut forms);
    with::<ExportBody>(&mut forms);
    with::<AnswerBody<'_>>(&mut forms);
    with::<ImageBody>(&mut forms);
    with::<ObjectBody>(&mut forms);
    with::<TimingsBody>(&mut forms);
    with::<ModelBody>(&mut forms);
    with::<ModelsBody>(&mut forms);
    with::<ServerBody>(&mut forms);
    with::<StoppingBody>(&mut forms);
    with::<OpenBody>(&mut forms);
    with::<SessionBody>(&mut forms);
    with::<SessionsBody>(&mut forms);
    with::<FramesBody>(&mut forms);
    with::<SaidBody>(&mut forms);
    with::<VideoAnswerBody>(&mut forms);
    with::<VideoObjectBody>(&mut forms);
    with::<Problem>(&mut forms);
    with::<Format>(&mut forms);
    let mut schemas = json!(ComponentsBuilder::new().schemas_from_iter(forms).build())["schemas"].take();
    // What a name stands for in every endpoint is one type; each endpoint takes its own part of it.
    let all = schemas.as_object_mut().and_then(|schemas| schemas.remove("AskBody")).unwrap_or_default();
    let mut paths = Map::new();
    for way in Way::ALL {
        schemas[title(way, "Request")] = request_schema(way, &all);
        schemas[title(way, "Form")] = form_schema(way, &all);
        paths.insert(format!("/v1/{}", way.name()), json!({"post": asking(way, &all)}));
    }
    // Written behind the rest, by hand.
    for answer in ["Answer", "VideoAnswer"] {
        schemas[answer]["properties"]["timings_ms"] = reference("Timings");
        if let Some(required) = schemas[answer]["required"].as_array_mut() {
            required.push(json!("timings_ms"));
        }
    }
    schemas["Timings"]["additionalProperties"] = json!(true);
    paths.extend(others());
    paths.extend(video::paths());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "maskline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Prompts in, masks out. A picture that was sent once is asked about again by its hash: clicks on it skip decoding and encoding.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {"Problem": {
                "description": "Why there is no answer (RFC 9457).",
                "content": {"application/problem+json": {"schema": reference("Problem")}},
            }},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "Where the server was started with keys."}},
        },
        "security": [{}, {"key": []}],
    })
}

/// A type's form, and those of the types in it.
fn with<T: ToSchema>(forms: &mut Vec<(String, RefOr<Schema>)>) {
    forms.push((T::name().into_owned(), T::schema()));
    T::schemas(forms);
}

fn title(way: Way, what: &str) -> String {
    let (first, rest) = way.name().split_at(1);
    format!("{}{rest}{what}", first.to_uppercase())
}

pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The fields of an endpoint, in JSON.
fn request_schema(way: Way, all: &Value) -> Value {
    let own = |name: &String| way.fields().any(|field| field.name == name);
    let mut schema = all.clone();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.retain(|name, _| own(name));
    }
    schema["description"] = json!(format!("What `POST /v1/{}` is asked.", way.name()));
    schema["example"] = match way {
        Way::Segment => {
            json!({"image": {"base64": "…"}, "prompts": [{"box": [75, 275, 1725, 850]}, {"points": [[500, 375], [100, 100, 0]]}]})
        }
        Way::Detect => json!({"image": {"base64": "…"}, "texts": ["a red car", {"text": "a cup", "like_boxes": [[10, 20, 50, 60]]}]}),
        Way::Classify => json!({"image": {"base64": "…"}, "top": 3}),
        Way::Embed => json!({"image": {"base64": "…"}}),
    };
    schema
}

/// The parts of an endpoint's form.
fn form_schema(way: Way, all: &Value) -> Value {
    let parts = words(way, all).into_iter().map(|word| {
        let mut schema = word.schema;
        if matches!(word.name.as_str(), "image" | "mask" | "like") {
            let file = json!({"type": "string", "format": "binary"});
            schema = json!({"type": "array", "items": file});
        }
        schema["description"] = word.description;
        (word.name, schema)
    });
    let mut parts: Map<String, Value> = parts.collect();
    parts.insert(REQUEST.into(), json!({"type": "string", "description": "All of the other fields, as JSON."}));
    json!({"type": "object", "properties": parts, "additionalProperties": false})
}

/// A name in a form or a query string.
struct Word {
    name: String,
    schema: Value,
    description: Value,
}

/// The names of an endpoint in forms and query strings.
fn words(way: Way, all: &Value) -> Vec<Word> {
    let mut words = Vec::new();
    for field in way.fields().filter(|field| field.name != REQUEST) {
        let told = &all["properties"][field.name];
        // Of what may be null, the choice that is not tells what it is.
        let choices = told["oneOf"].as_array().into_iter().flatten();
        let description = std::iter::once(told).chain(choices).find_map(|told| told["description"].as_str()).unwrap_or_default();
        let single = |schema: Value| Word { name: field.name.to_owned(), schema, description: json!(description) };
        match field.form {
            Form::Repeated(names) => words.extend(names.iter().map(|name| repeated(name))),
            Form::List => words.push(single(json!({"type": "string"}))),
            Form::Text | Form::Number | Form::Flag => words.push(single(without_null(told))),
        }
    }
    words
}

/// A name that may be said several times.
fn repeated(name: &str) -> Word {
    let (about, example) = match name {
        "box" => ("`x1,y1,x2,y2`: a box around an object; a second one begins the next object.", "75,275,1725,850"),
        "point" => ("`x,y`, or `x,y,0` beside the object.", "500,375"),
        "mask" => ("A rough mask of the object: a picture of the same size, white on black. Only in forms, as a file.", ""),
        "label" => ("What the object is called.", "mug"),
        "object" => ("What follows belongs to the next object.", ""),
        "text" => ("Words for what is looked for.", "a red car"),
        "like" => ("An example on another picture: its file, or the hash or address of one, with `#x1,y1,x2,y2` for a box on it.", ""),
        "like_box" => ("`x1,y1,x2,y2`: a box around what is looked for; says more of the text before it.", "10,20,50,60"),
        "unlike_box" => ("`x1,y1,x2,y2`: a box around what is not looked for.", "10,20,50,60"),
        _ => ("The picture: its file, or the hash or address of one. Several are answered as JSON lines.", ""),
    };
    let mut item = json!({"type": "string"});
    if !example.is_empty() {
        item["example"] = json!(example);
    }
    Word { name: name.to_owned(), schema: json!({"type": "array", "items": item}), description: json!(about) }
}

/// A schema without the `null` that JSON may have in its place.
fn without_null(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(types) = schema["type"].as_array().cloned() {
        schema["type"] = types.into_iter().find(|kind| kind != "null").unwrap_or_default();
    }
    let not_null = schema["oneOf"].as_array().and_then(|choices| choices.iter().find(|choice| choice["type"] != "null")).cloned();
    let mut schema = not_null.unwrap_or(schema);
    if let Some(fields) = schema.as_object_mut() {
        fields.retain(|name, value| name != "description" && !value.is_null());
    }
    schema
}

fn parameter(word: Word) -> Value {
    json!({"name": word.name, "in": "query", "required": false, "description": word.description, "schema": word.schema})
}

/// A way of asking about pictures.
fn asking(way: Way, all: &Value) -> Value {
    let summary = match way {
        Way::Segment => "Masks for points, boxes and rough masks, or for everything",
        Way::Detect => "Objects that the model knows, or that words and examples say",
        Way::Classify => "What a picture shows",
        Way::Embed => "Encode a picture ahead of questions about it",
    };
    let words = words(way, all).into_iter().filter(|word| word.name != "mask");
    let picture = json!({"schema": {"type": "string", "format": "binary"}});
    json!({
        "operationId": way.name(),
        "summary": summary,
        "description": "The picture comes as a part of a form, as the body with the options in the query string, or within JSON as base64, by its hash or by its address.",
        "parameters": words.map(parameter).collect::<Vec<Value>>(),
        "requestBody": {"content": {
            JSON: {"schema": reference(&title(way, "Request"))},
            "multipart/form-data": {"schema": reference(&title(way, "Form"))},
            "application/octet-stream": picture,
            "image/jpeg": picture,
            "image/png": picture,
        }},
        "responses": responses(answered(way), &[400, 401, 403, 404, 406, 408, 413, 415, 429, 503, 504]),
    })
}

/// An answer in all its forms.
fn answered(way: Way) -> Value {
    let mut content = Map::new();
    for format in Format::of(way) {
        let schema = match format.media() {
            // All but one are of other programs.
            JSON if Format::of(way).contains(&Format::Coco) => json!({"anyOf": [reference("Answer"), {"type": ["object", "array"]}]}),
            JSON => reference("Answer"),
            kind if kind.starts_with("text/") => json!({"type": "string"}),
            _ => json!({"type": "string", "format": "binary"}),
        };
        content.insert(format.media().to_owned(), json!({"schema": schema}));
    }
    content.insert(LINES.to_owned(), json!({"schema": {"type": "string"}}));
    let timing = json!({"description": "Where the time went, in milliseconds; not of JSON lines.", "schema": {"type": "string"}});
    json!({"200": {"description": "The answer.", "headers": {"Server-Timing": timing}, "content": content}})
}

/// Good responses with the problems that there can be.
pub(super) fn responses(good: Value, problems: &[u16]) -> Value {
    let mut all = good;
    for status in problems {
        all[status.to_string()] = json!({"$ref": "#/components/responses/Problem"});
    }
    all
}

pub(super) fn ok(name: &str) -> Value {
    json!({"200": {"description": "The answer.", "content": {JSON: {"schema": reference(name)}}}})
}

pub(super) fn operation(id: &str, summary: &str, responses: Value) -> Value {
    json!({"operationId": id, "summary": summary, "responses": responses})
}

/// Writing what is seen as files.
fn exporting() -> Value {
    let file = json!({"schema": {"type": "string", "format": "binary"}});
    let mut content = Map::new();
    for media in Format::ALL.map(Format::media).into_iter().chain([ZIP]) {
        let is_text = media == JSON || media.starts_with("text/");
        content.insert(media.to_owned(), if is_text { json!({"schema": {}}) } else { file.clone() });
    }
    let name = json!({"description": "The name that `maskline run` gives the file.", "schema": {"type": "string"}});
    let good = json!({"200": {
        "description": "The file, or several as a zip.", "headers": {"Content-Disposition": name}, "content": content,
    }});
    let mut export = operation(
        "exportObjects",
        "Objects as the files that `maskline run` writes; no model is asked",
        responses(good, &[400, 401, 403, 404, 406, 408, 413, 415, 429, 503, 504]),
    );
    export["requestBody"] = json!({"required": true, "content": {JSON: {"schema": reference("ExportRequest")}}});
    export
}

/// The paths that ask about no picture.
fn others() -> Map<String, Value> {
    let name = json!({"name": "name", "in": "path", "required": true, "schema": {"type": "string"}});
    let hash = json!({
        "name": "sha256", "in": "path", "required": true, "description": "SHA-256 of the picture's file.",
        "schema": {"type": "string", "pattern": HASH},
    });
    let empty = |status: &str, about: &str| json!({status: {"description": about}});
    let mut keep = operation(
        "keepImage",
        "Send a picture, to ask about it by its hash",
        responses(
            json!({
                "200": {"description": "It was there.", "content": {JSON: {"schema": reference("ImageBody")}}},
                "201": {"description": "It is there now.", "content": {JSON: {"schema": reference("ImageBody")}}},
            }),
            &[400, 401, 403, 408, 413, 429],
        ),
    );
    let picture = json!({"schema": {"type": "string", "format": "binary"}});
    keep["requestBody"] =
        json!({"required": true, "content": {"application/octet-stream": picture, "image/jpeg": picture, "image/png": picture}});
    let mut stop = operation(
        "stopServer",
        "End the server once what it accepted is answered; from its own machine, or with a key",
        responses(json!({"202": {"description": "It ends.", "content": {JSON: {"schema": reference("Stopping")}}}}), &[401, 403, 415]),
    );
    stop["requestBody"] = json!({"required": true, "content": {JSON: {"schema": {"type": "object"}}}});
    let has = operation("hasImage", "Whether a picture is kept", responses(empty("200", "It is."), &[400, 401, 403, 404]));
    let mut shown = operation(
        "showImage",
        "A picture that is kept, turned upright and in 8 bits, for browsers that cannot show its file",
        responses(
            json!({"200": {"description": "The picture.", "content": {"image/jpeg": picture, "image/png": picture}}}),
            &[400, 401, 403, 404, 406, 413, 429, 504],
        ),
    );
    shown["parameters"] = json!([{
        "name": "side", "in": "query", "required": false, "schema": {"type": "integer", "minimum": 1},
        "description": "Scaled down so that the longer side has at most so many pixels.",
    }]);
    let forget = operation("forgetImage", "Keep a picture no longer", responses(empty("204", "It is gone."), &[400, 401, 403, 404]));
    let paths = json!({
        "/v1/export": {"post": exporting()},
        "/v1/images": {"put": keep},
        "/v1/images/{sha256}": {"parameters": [hash], "head": has, "get": shown, "delete": forget},
        "/v1/models": {"get": operation("models", "All models, with what each takes", responses(ok("Models"), &[401, 403]))},
        "/v1/models/{name}": {
            "parameters": [name],
            "get": operation("model", "One model", responses(ok("Model"), &[400, 401, 403, 404])),
        },
        "/v1/models/{name}/load": {
            "parameters": [name],
            "post": operation("loadModel", "Load a model; answers when it is ready", responses(ok("Model"), &[400, 401, 403, 404, 503])),
        },
        "/v1/models/{name}/unload": {
            "parameters": [name],
            "post": operation("unloadModel", "Unload a model", responses(ok("Model"), &[400, 401, 403, 404])),
        },
        "/v1/server": {"get": operation("server", "The server and its models, in short", responses(ok("Server"), &[401, 403]))},
        "/v1/server/stop": {"post": stop},
    });
    match paths {
        Value::Object(paths) => paths,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use utoipa::PartialSchema;

    use super::*;

    /// `MASKLINE_RENEW=1 cargo test -p maskline-server --lib openapi` writes it.
    #[test]
    fn the_openapi_document_that_is_checked_in_is_the_one_that_is_served() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        if std::env::var_os("MASKLINE_RENEW").is_some_and(|value| value == "1") {
            std::fs::write(path, document()).expect("it can be written");
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == document(), "renew it: MASKLINE_RENEW=1 cargo test -p maskline-server --lib openapi");
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere() {
        let document = made();
        let mut references = BTreeSet::new();
        collect(&document, &mut references);
        assert!(references.len() > 20, "{references:?}");
        for reference in references {
            assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
        }
    }

    fn collect(value: &Value, references: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                references.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| collect(value, references));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_the_requests_is_known_to_the_table_of_fields() {
        let schemas = made()["components"]["schemas"].take();
        let names = json!(AskBody::schema())["properties"].take();
        let names: BTreeSet<String> = names.as_object().expect("fields").keys().cloned().collect();
        let told: BTreeSet<String> =
            Way::ALL.iter().flat_map(|way| way.fields()).map(|field| field.name.to_owned()).filter(|name| name != REQUEST).collect();
        assert_eq!(names, told);
        assert!(
            schemas["EmbedRequest"]["properties"].get("prompts").is_none()
                && schemas["SegmentRequest"]["properties"].get("prompts").is_some()
        );
        assert_eq!(schemas["SegmentRequest"]["additionalProperties"], json!(false));
    }
}
