//! `docker-compose.yml` and `Dockerfile` against the program: no engine runs here, so every
//! variable, command, port and path that they name is checked against what the program takes.

use std::collections::BTreeSet;

use contexture::config::ContextureConfig;
use serde_yaml_ng::Value;

const COMPOSE: &str = include_str!("../../docker-compose.yml");
const DOCKERFILE: &str = include_str!("../../Dockerfile");
const API_KEY: &str = "0123456789abcdef0123456789abcdef";

fn compose() -> Value {
    let mut compose: Value = serde_yaml_ng::from_str(COMPOSE).unwrap();
    compose.apply_merge().unwrap();
    compose
}

fn services(compose: &Value) -> Vec<(String, &Value)> {
    let services = compose["services"].as_mapping().unwrap();
    services.iter().map(|(name, service)| (name.as_str().unwrap().to_owned(), service)).collect()
}

/// The services that run this program.
fn ours(compose: &Value) -> Vec<(String, &Value)> {
    services(compose).into_iter().filter(|(_, service)| service.get("build").is_some()).collect()
}

/// What compose makes of `${NAME:-default}` and `${NAME:?message}`.
fn substituted(text: &str) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (expression, behind) = after.split_once('}').unwrap();
        result += before;
        if let Some((_, default)) = expression.split_once(":-") {
            result += default;
        } else {
            assert!(expression.contains(":?"), "{expression} has neither a default nor a refusal");
            result += API_KEY;
        }
        rest = behind;
    }
    result + rest
}

fn environment(service: &Value) -> Vec<(String, String)> {
    let pairs = service["environment"].as_mapping().unwrap();
    pairs
        .iter()
        .map(|(name, value)| (name.as_str().unwrap().to_owned(), substituted(value.as_str().unwrap())))
        .collect()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_sequence().into_iter().flatten().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_variable_is_one_the_program_takes() {
    let compose = compose();
    assert_eq!(ours(&compose).len(), 3);
    for (name, service) in ours(&compose) {
        let mut variables = environment(service);
        let command = texts(&service["command"]);
        if let Some(at) = command.iter().position(|word| word == "--listen") {
            variables.push(("CONTEXTURE__SERVER__LISTEN".to_owned(), command[at + 1].clone()));
        }
        let config =
            ContextureConfig::load(None, variables).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let backends = config.backends;
        assert!(backends.broker.is_some() && backends.ledger.is_some() && backends.vectors.is_some());
        assert_eq!(config.data_dir.to_str(), Some("/data"), "{name}");
    }
}

#[test]
fn engines_are_reached_where_they_stand_with_the_passwords_they_were_given() {
    let compose = compose();
    let (_, service) = ours(&compose).remove(0);
    let backends = ContextureConfig::load(None, environment(service)).unwrap().backends;
    let of = |name: &str| environment(&compose["services"][name]);
    let set = |name: &str, key: &str| {
        of(name).into_iter().find_map(|(found, value)| (found == key).then_some(value)).unwrap()
    };
    let amqp = format!(
        "amqp://{}:{}@rabbitmq:5672/%2f",
        set("rabbitmq", "RABBITMQ_DEFAULT_USER"),
        set("rabbitmq", "RABBITMQ_DEFAULT_PASS")
    );
    assert_eq!(backends.broker.unwrap().url.expose(), amqp);
    let postgres = format!(
        "postgres://{}:{}@postgres:5432/{}",
        set("postgres", "POSTGRES_USER"),
        set("postgres", "POSTGRES_PASSWORD"),
        set("postgres", "POSTGRES_DB")
    );
    assert_eq!(backends.ledger.unwrap().url.expose(), postgres);
    let vectors = backends.vectors.unwrap();
    assert_eq!(vectors.url, "http://qdrant:6334");
    assert_eq!(vectors.api_key.unwrap().expose(), set("qdrant", "QDRANT__SERVICE__API_KEY"));
    for (name, port) in [("rabbitmq", "5672"), ("postgres", "5432"), ("qdrant", "6334"), ("api", "7070")] {
        assert_eq!(texts(&compose["services"][name]["ports"]), [format!("127.0.0.1:{port}:{port}")]);
    }
}

#[test]
fn every_stage_has_a_process_and_every_command_is_understood() {
    let compose = compose();
    let mut worked = BTreeSet::new();
    for (name, service) in ours(&compose) {
        let command = texts(&service["command"]);
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_contexture"))
            .args(&command)
            .arg("--help")
            .output()
            .unwrap();
        assert!(help.status.success(), "{name}: contexture {command:?}");
        if command[0] == "work" {
            worked.extend(command[1..].iter().cloned());
        }
        let check = texts(&service["healthcheck"]["test"]);
        assert_eq!(check[..3], ["CMD", "contexture", "status"], "{name}");
    }
    assert_eq!(worked, ["submit", "chunk", "embed", "index"].map(str::to_owned).into());
}

#[test]
fn images_are_pinned_services_limited_and_volumes_declared() {
    let compose = compose();
    let declared: BTreeSet<_> =
        compose["volumes"].as_mapping().unwrap().keys().map(|name| name.as_str().unwrap()).collect();
    let mut mounted = BTreeSet::new();
    for (name, service) in services(&compose) {
        let image = service["image"].as_str().unwrap();
        let (_, tag) = image.split_once(':').unwrap_or_else(|| panic!("{name}: {image} is not pinned"));
        assert!(tag.trim_start_matches('v').starts_with(|one: char| one.is_ascii_digit()), "{name}: {image}");
        assert!(tag.contains('.'), "{name}: {image} names no minor version");
        let limits = &service["deploy"]["resources"]["limits"];
        assert!(limits["cpus"].is_string() && limits["memory"].is_string(), "{name} is not limited");
        for volume in texts(&service["volumes"]) {
            let (source, _) = volume.split_once(':').unwrap();
            assert!(declared.contains(source), "{name}: {volume}");
            mounted.insert(source.to_owned());
        }
    }
    assert_eq!(mounted.len(), declared.len(), "a declared volume is mounted nowhere");
}

#[test]
fn the_image_is_small_and_runs_as_nobody_special() {
    let stages: Vec<&str> = DOCKERFILE.lines().filter(|line| line.starts_with("FROM ")).collect();
    assert_eq!(stages.len(), 2, "what builds does not run");
    let version = concat!("FROM rust:", env!("CARGO_PKG_RUST_VERSION"), "-");
    assert!(stages[0].starts_with(version), "{}: the toolchain of Cargo.toml", stages[0]);
    assert!(DOCKERFILE.lines().any(|line| line == "USER contexture"));
    assert!(DOCKERFILE.contains("ENV CONTEXTURE_DATA_DIR=/data") && DOCKERFILE.contains("VOLUME /data"));
    assert!(DOCKERFILE.contains("EXPOSE 7070"), "the default port");
}
