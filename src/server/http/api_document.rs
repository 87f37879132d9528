//! The description of the HTTP API (OpenAPI 3.1), made from the routes themselves.
//!
//! Routes describe their parameters, bodies and good answers. What admission, extractors and operations refuse is
//! the same everywhere, so it is added here, by rules.

use utoipa::openapi::path::{Operation, Parameter, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, ContentBuilder, Header, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, Ref, RefOr,
    Required, Response, ResponseBuilder,
};
use utoipa::{PartialSchema, ToSchema};

use super::problem::{PROBLEM_CONTENT_TYPE, ProblemDetails};
use super::routes;

/// The tags and what they hold.
const TAGS: [(&str, &str); 6] = [
    ("collections", "A collection is a set of documents with one pipeline."),
    ("documents", "Documents, their versions, and what becomes of them."),
    ("questions", "Contexts within a budget, and rankings."),
    ("dead letters", "Documents that were given up."),
    ("administration", "Re-indexing, audits and repairs."),
    ("service", "The service itself, and this description."),
];

/// The refusals: status, the name of the component, and what it means.
const REFUSALS: [(&str, &str, &str); 15] = [
    ("400", "BadRequest", "The request is malformed; code and field say how."),
    ("401", "Unauthorized", "No credential, or not a valid one."),
    ("403", "Forbidden", "The credential lacks a scope, which detail names."),
    ("404", "NotFound", "Unknown, or not yours to know."),
    ("409", "Conflict", "It contradicts what is stored."),
    ("412", "PreconditionFailed", "A condition of the request does not hold, or not yet."),
    ("413", "ContentTooLarge", "The body is larger than the server takes."),
    ("415", "UnsupportedMediaType", "The body is of a type that this does not take."),
    ("422", "DocumentDied", "The document was given up while the call waited for it; detail says why."),
    ("429", "TooManyRequests", "No room now; nothing was accepted."),
    ("431", "HeadersTooLarge", "Path and headers are larger than the server takes."),
    ("500", "InternalServerError", "A defect of the server; its log says more."),
    ("503", "ServiceUnavailable", "A backend is away, or the server stops."),
    ("408", "RequestTimeout", "The deadline passed; the outcome is unknown."),
    ("405", "MethodNotAllowed", "The path does not take this method."),
];

/// What every call may be refused with.
const OF_ALL: [&str; 8] = ["400", "401", "403", "429", "431", "500", "503", "408"];
/// Operations that may contradict what is stored.
const CONFLICTING: [&str; 6] = [
    "create_collection",
    "put_document",
    "delete_document",
    "start_reindex",
    "activate_reindex",
    "rollback_reindex",
];
/// Operations with a condition that may not hold.
const CONDITIONAL: [&str; 13] = [
    "put_document",
    "delete_document",
    "assemble_context",
    "assemble_context_of_many",
    "search",
    "search_many",
    "search_vector_store",
    "start_reindex",
    "activate_reindex",
    "rollback_reindex",
    "drop_generation",
    "compare_generations",
    "audit",
];
/// Operations that wait for a document, which may die.
const WAITING: [&str; 2] = ["put_document", "delete_document"];
/// Operations whose body, not their path, names what may be unknown.
const NAMING: [&str; 6] = [
    "assemble_context_of_many",
    "search_many",
    "list_dead_letters",
    "list_dead_letter_reasons",
    "replay_dead_letters",
    "drop_dead_letters",
];

/// Returns the description.
pub fn api_document() -> OpenApi {
    let (_, described) = routes::operation_routes().split_for_parts();
    let (_, open) = routes::open_routes().split_for_parts();
    let mut document = frame();
    document.merge(described);
    for item in document.paths.paths.values_mut() {
        each_operation(item, describe_refusals);
    }
    document.merge(open);
    // A path in the description has no marks for the rest of a path.
    let paths = std::mem::take(&mut document.paths.paths);
    document.paths.paths = paths.into_iter().map(|(path, item)| (path.replace("{*", "{"), item)).collect();
    document
}

/// Returns the description as JSON.
pub fn api_document_json() -> String {
    // A description always has a JSON form.
    let mut json = api_document().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
}

fn frame() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Contexture")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Ingests documents and answers questions with context for prompts.\n\nErrors are problems \
             (RFC 9457) with a stable `code`. Times are in ms since the Unix epoch, spans in bytes of a document's \
             normalised text. The header `x-timeout-ms` says how long you wait. Answers may get new fields.",
        ))
        .license(Some(LicenseBuilder::new().name("Apache-2.0").identifier(Some("Apache-2.0")).build()))
        .build();
    let mut components = Components::new();
    components.schemas.insert(ProblemDetails::name().into_owned(), ProblemDetails::schema());
    for (status, name, meaning) in REFUSALS {
        components.responses.insert(name.to_owned(), RefOr::T(problem_response(status, meaning)));
    }
    components.add_security_scheme(
        "bearer",
        SecurityScheme::Http(
            HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some("An API key, or a JWT of a configured issuer."))
                .build(),
        ),
    );
    components.add_security_scheme(
        "api_key",
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description("x-api-key", "An API key."))),
    );
    let nothing: [&str; 0] = [];
    let tags = TAGS.map(|(name, meaning)| TagBuilder::new().name(name).description(Some(meaning)).build());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components))
        .tags(Some(tags))
        // The last one: without configured credentials, callers of this machine need none.
        .security(Some([
            SecurityRequirement::new("bearer", nothing),
            SecurityRequirement::new("api_key", nothing),
            SecurityRequirement::default(),
        ]))
        .build()
}

fn problem_response(status: &str, meaning: &str) -> Response {
    let problem = Ref::from_schema_name(ProblemDetails::name());
    let content = ContentBuilder::new().schema(Some(problem)).build();
    let mut response = ResponseBuilder::new().description(meaning).content(PROBLEM_CONTENT_TYPE, content);
    let text = |meaning: &str| {
        let mut header = Header::new(ObjectBuilder::new().schema_type(Type::String));
        header.description = Some(meaning.to_owned());
        header
    };
    match status {
        "401" => response = response.header("WWW-Authenticate", text("`Bearer`")),
        "405" => response = response.header("Allow", text("The methods that the path takes.")),
        "429" | "503" => {
            let mut header = Header::new(ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)));
            header.description = Some("When to come back, in seconds, where the server knows.".to_owned());
            response = response.header("Retry-After", header);
        }
        _ => {}
    }
    response.build()
}

fn each_operation(item: &mut PathItem, change: impl Fn(&mut Operation)) {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten().for_each(change);
}

/// Adds the refusals of an operation, and the header for its deadline.
fn describe_refusals(operation: &mut Operation) {
    let id = operation.operation_id.clone().unwrap_or_default();
    let is_one_of = |ids: &[&str]| ids.contains(&id.as_str());
    let parameters = operation.parameters.get_or_insert_default();
    let is_in_path = |parameter: &RefOr<Parameter>| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Path,
        RefOr::Ref(_) => false,
    };
    let has_path = parameters.iter().any(is_in_path);
    for parameter in parameters.iter_mut() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.parameter_in == ParameterIn::Path {
            parameter.required = Required::True;
        }
        if let Some(schema) = &mut parameter.schema {
            forbid_null(schema);
        }
    }
    parameters.push(RefOr::T(timeout_parameter()));
    let has_body = operation.request_body.is_some();
    let of_some = [
        ("404", has_path || is_one_of(&NAMING)),
        ("409", is_one_of(&CONFLICTING)),
        ("412", is_one_of(&CONDITIONAL)),
        ("413", has_body),
        ("415", has_body),
        ("422", is_one_of(&WAITING)),
    ];
    let of_some = of_some.into_iter().filter_map(|(status, occurs)| occurs.then_some(status));
    for status in OF_ALL.into_iter().chain(of_some) {
        let named = REFUSALS.iter().find(|(of, ..)| *of == status);
        if let Some((_, name, _)) = named {
            let reference = RefOr::Ref(Ref::from_response_name(*name));
            operation.responses.responses.insert(status.to_owned(), reference);
        }
    }
}

/// Takes null out of the schema of a parameter: what may be left out has no way to be null.
fn forbid_null(schema: &mut RefOr<Schema>) {
    let is_null = |schema: &RefOr<Schema>| matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null));
    match schema {
        RefOr::T(Schema::Object(object)) => {
            if let SchemaType::Array(types) = &mut object.schema_type {
                types.retain(|one| *one != Type::Null);
                if let [one] = types.as_slice() {
                    object.schema_type = SchemaType::Type(one.clone());
                }
            }
        }
        RefOr::T(Schema::OneOf(one_of)) => {
            one_of.items.retain(|item| !is_null(item));
            if let [one] = one_of.items.as_slice() {
                *schema = one.clone();
            }
        }
        _ => {}
    }
}

fn timeout_parameter() -> Parameter {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(600_000));
    let mut parameter = Parameter::new("x-timeout-ms");
    parameter.parameter_in = ParameterIn::Header;
    parameter.required = Required::False;
    parameter.description = Some("How long you wait for the answer, in ms.".to_owned());
    parameter.schema = Some(schema.into());
    parameter
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step fails its test")]

    use super::*;
    use crate::server::http::operation_names;

    /// Every operation: its method, its path as the router has it, and its id.
    fn operations() -> Vec<(hyper::Method, String, String)> {
        use hyper::Method;

        let (_, document) = routes::operation_routes().split_for_parts();
        let mut all = Vec::new();
        for (path, item) in document.paths.paths {
            let PathItem { get, put, post, delete, patch, .. } = item;
            let methods = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];
            for (method, operation) in methods.into_iter().zip([get, put, post, delete, patch]) {
                if let Some(operation) = operation {
                    all.push((method, path.clone(), operation.operation_id.unwrap()));
                }
            }
        }
        all
    }

    #[test]
    fn every_operation_is_counted_under_a_name_of_its_own() {
        for (method, path, id) in operations() {
            let counted = operation_names::find(&method, &path).name;
            // Contexts and rankings count under one name, from one collection or from many.
            assert!(
                id.starts_with(counted) && counted != "other",
                "{method} {path}: {id} is counted as {counted}"
            );
        }
    }

    #[test]
    fn rules_name_operations_that_exist() {
        let ids: Vec<String> = operations().into_iter().map(|(.., id)| id).collect();
        for named in CONFLICTING.iter().chain(&CONDITIONAL).chain(&WAITING).chain(&NAMING) {
            assert!(ids.iter().any(|id| id == named), "{named}");
        }
    }
}
