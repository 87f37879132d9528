//! The picture as a table, and the check of one file against it.

use crate::source::named;

/// Bottom of the house: everybody may use them.
const BOTTOM: &[&str] = &["domain", "fault"];
/// Beside the house: for those who assemble and serve it.
const BESIDE: &[&str] = &["config", "telemetry"];

/// The rooms a room may use besides itself; none for a room that is not in the picture.
fn may_use(room: &str) -> Option<Vec<&'static str>> {
    let rooms: &[&[&str]] = match room {
        "lib" | "fault" => &[],
        "main" => &[&["cli"]],
        "cli" => &[&["wiring", "server", "ingest", "context", "jobs", "resilience", "ports"], BESIDE, BOTTOM],
        "wiring" => {
            &[&["adapters", "server", "ingest", "context", "jobs", "resilience", "ports"], BESIDE, BOTTOM]
        }
        "server" => &[&["ingest", "context", "jobs", "resilience", "ports"], BESIDE, BOTTOM],
        "jobs" => &[&["ingest", "context", "resilience", "ports"], BOTTOM],
        "ingest" | "context" | "adapters" => &[&["resilience", "ports"], BOTTOM],
        "config" => &[&["telemetry", "ports"], BOTTOM],
        "resilience" | "telemetry" => &[&["ports"], BOTTOM],
        "ports" => &[BOTTOM],
        "domain" => &[&["fault"]],
        _ => return None,
    };
    Some(rooms.concat())
}

/// Crates of outside systems and the only rooms that name them.
const OUTSIDE: &[(&[&str], &[&str])] = &[
    (
        &[
            "tantivy",
            "qdrant_edge",
            "qdrant_client",
            "rusqlite",
            "sqlx",
            "lapin",
            "reqwest",
            "rustls",
            "candle_core",
            "candle_nn",
            "candle_transformers",
            "tokenizers",
            "pocket_encoder",
            "bpe",
            "bpe_openai",
            "tiktoken_rs",
        ],
        &["adapters"],
    ),
    (
        &[
            "tonic",
            "tonic_health",
            "tonic_prost",
            "tonic_reflection",
            "hyper",
            "hyper_util",
            "axum",
            "prost",
            "prost_types",
        ],
        &["server"],
    ),
    (&["prometheus_client"], &["telemetry"]),
    (&["clap", "indicatif"], &["cli", "main"]),
    (&["figment"], &["config"]),
];

/// What the domain must not touch: it is pure.
const IMPURE: &[&[&str]] = &[
    &["std", "fs"],
    &["std", "net"],
    &["std", "env"],
    &["std", "process"],
    &["std", "thread"],
    &["std", "time", "Instant"],
    &["std", "time", "SystemTime"],
    &["tokio"],
    &["futures"],
    &["rand"],
    &["getrandom"],
    &["tracing"],
];

/// The longest file of the house, in lines.
pub(crate) const FILE_LINES_MAX: usize = 400;

/// Everything that is wrong with the file at `path`, which is relative to `src/`.
pub(crate) fn faults(path: &str, source: &str) -> Vec<String> {
    let room = path.split('/').next().unwrap_or(path).trim_end_matches(".rs");
    let Some(allowed) = may_use(room) else {
        return vec![format!("{path}: room '{room}' is not in the picture")];
    };
    let mut faults = Vec::new();
    let named = named(source);
    for path_named in &named.paths {
        if let Some(used) = room_of(path, path_named)
            && used != room
            && may_use(used).is_some()
            && !allowed.contains(&used)
        {
            faults.push(format!("{path}: {room} must not use {used} ({})", path_named.join("::")));
        }
        let outside = OUTSIDE.iter().find(|(crates, _)| crates.contains(&path_named[0].as_str()));
        if let Some((_, rooms)) = outside
            && !named.own.contains(&path_named[0])
            && !rooms.contains(&room)
        {
            faults.push(format!("{path}: {} is named only under {}", path_named[0], rooms.join(", ")));
        }
        if room == "domain" && IMPURE.iter().any(|impure| starts_with(path_named, impure)) {
            faults.push(format!("{path}: the domain is pure, and this is not: {}", path_named.join("::")));
        }
    }
    let lines = source.lines().count();
    if lines > FILE_LINES_MAX {
        faults.push(format!("{path}: {lines} lines; at most {FILE_LINES_MAX}: which wall is missing?"));
    }
    faults
}

fn starts_with(path: &[String], start: &[&str]) -> bool {
    path.len() >= start.len() && path.iter().zip(start).all(|(segment, wanted)| segment == wanted)
}

/// The room a path leads to: from `crate`, from our name in `main`, or up through `super`.
fn room_of<'a>(file: &str, path: &'a [String]) -> Option<&'a str> {
    let segment = |index: usize| path.get(index).map(String::as_str);
    match path[0].as_str() {
        "crate" | "contexture" => segment(1),
        "super" => {
            let up = path.iter().take_while(|segment| *segment == "super").count();
            let folders = file.split('/').count();
            let depth = if file.ends_with("/mod.rs") { folders - 1 } else { folders };
            (up == depth).then(|| segment(up)).flatten()
        }
        _ => None,
    }
}

/// The folders that the fenced picture in a module header names, as `name/`.
pub(crate) fn pictured(header: &str) -> Vec<String> {
    let lines = header.lines().map_while(|line| line.strip_prefix("//!"));
    let mut inside = false;
    let mut folders = Vec::new();
    for line in lines {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if inside {
            let names = line.split_whitespace().filter_map(|word| word.strip_suffix('/'));
            folders.extend(
                names
                    .filter(|name| name.chars().all(|one| one.is_alphanumeric() || one == '_'))
                    .map(str::to_owned),
            );
        }
    }
    folders
}
