//! The picture as a table, and the check of one file against it.

use std::collections::BTreeMap;

use crate::source::{named, type_names};

/// The crates of the workspace: where each keeps its source, and which of the others it may name.
pub(crate) const CRATES: &[WorkspaceCrate] = &[
    WorkspaceCrate { name: "contexture_byte_tools", folder: "crates/byte-tools", may_name: &[] },
    WorkspaceCrate { name: "contexture_formats", folder: "crates/formats", may_name: &[] },
    WorkspaceCrate {
        name: "contexture_documents",
        folder: "crates/documents",
        may_name: &["contexture_formats"],
    },
    WorkspaceCrate {
        name: "contexture_core",
        folder: "crates/core",
        may_name: &["contexture_byte_tools", "contexture_formats"],
    },
    WorkspaceCrate {
        name: "contexture_tokenizers",
        folder: "crates/tokenizers",
        may_name: &["contexture_byte_tools", "contexture_core"],
    },
    WorkspaceCrate {
        name: "contexture_adapters",
        folder: "crates/adapters",
        may_name: &[
            "contexture_byte_tools",
            "contexture_core",
            "contexture_documents",
            "contexture_tokenizers",
        ],
    },
    WorkspaceCrate { name: "contexture_lab", folder: "crates/lab", may_name: &["contexture_core"] },
    WorkspaceCrate {
        name: "contexture",
        folder: "",
        may_name: &["contexture_core", "contexture_adapters", "contexture_lab"],
    },
];

/// A crate of the workspace.
pub(crate) struct WorkspaceCrate {
    pub(crate) name: &'static str,
    pub(crate) folder: &'static str,
    pub(crate) may_name: &'static [&'static str],
}

impl WorkspaceCrate {
    /// Its source folder, from the project's root.
    pub(crate) fn source(&self) -> String {
        if self.folder.is_empty() { "src".to_owned() } else { format!("{}/src", self.folder) }
    }

    /// The crate that the file at this path belongs to.
    pub(crate) fn of_file(path: &str) -> &'static Self {
        let own = |one: &&Self| path.starts_with(&format!("{}/", one.source()));
        CRATES.iter().find(own).expect("a file of the workspace")
    }

    /// The room a path inside the crate leads to. Some crates are one room.
    fn room<'a>(&self, first: &'a str) -> &'a str {
        match self.name {
            "contexture_byte_tools" => "byte_tools",
            "contexture_formats" => "formats",
            "contexture_documents" => "documents",
            // Tokenizers are adapters with a crate of their own: the core's tests need them and nothing else.
            "contexture_adapters" | "contexture_tokenizers" => "adapters",
            "contexture_lab" => "lab",
            _ => first,
        }
    }
}

/// Bottom of the house: everybody may use them.
const BOTTOM: &[&str] = &["domain", "fault", "byte_tools", "formats"];
/// Beside the house: for those who assemble and serve it.
const BESIDE: &[&str] = &["config", "telemetry"];
/// The two ways and what they stand on.
const CORE: &[&str] = &["ingest", "context", "jobs", "resilience", "ports"];

/// The rooms a room may use besides itself; none for a room that is not in the picture.
fn may_use(room: &str) -> Option<Vec<&'static str>> {
    let rooms: &[&[&str]] = match room {
        "fault" | "byte_tools" | "formats" => &[],
        "documents" => &[&["formats"]],
        "lib" => &[&["adapters", "lab"], CORE, BOTTOM],
        "main" => &[&["cli"]],
        "cli" => &[&["wiring", "server", "operations", "lab"], CORE, BESIDE, BOTTOM],
        "wiring" => &[&["adapters", "server", "operations", "lab"], CORE, BESIDE, BOTTOM],
        "server" => &[&["operations", "lab"], CORE, BESIDE, BOTTOM],
        "operations" => &[&["lab"], CORE, BOTTOM],
        "lab" => &[CORE, BOTTOM],
        "jobs" => &[&["ingest", "context", "resilience", "ports"], BOTTOM],
        "adapters" => &[&["resilience", "ports", "documents"], BOTTOM],
        "ingest" | "context" => &[&["resilience", "ports"], BOTTOM],
        "config" => &[&["telemetry", "ports"], BOTTOM],
        "resilience" | "telemetry" => &[&["ports"], BOTTOM],
        "ports" => &[BOTTOM],
        "domain" => &[&["fault", "byte_tools", "formats"]],
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
    // The adapters call out; the server is called, and fetches the keys of issuers.
    (&["reqwest", "rustls"], &["adapters", "server", "cli"]),
    (
        &[
            "tonic",
            "tonic_health",
            "tonic_prost",
            "tonic_reflection",
            "hyper",
            "hyper_util",
            "axum",
            "rmcp",
            "utoipa_axum",
            "utoipa_swagger_ui",
            "tower",
            "tower_http",
            "tokio_rustls",
            "jsonwebtoken",
            "prost",
            "prost_types",
        ],
        &["server"],
    ),
    (&["utoipa"], &["server", "operations"]),
    (&["prometheus_client"], &["telemetry"]),
    (
        &[
            "chardetng",
            "csv_core",
            "encoding_rs",
            "html5ever",
            "html5gum",
            "mailparse",
            "quick_xml",
            "saphyr_parser",
            "serde_yaml_ng",
            "toml_parser",
        ],
        &["formats"],
    ),
    (&["docling", "landlock", "libc", "rlimit", "seccompiler", "unpdf", "zip"], &["documents"]),
    (&["rustix"], &["adapters", "documents"]),
    (&["fs4"], &["adapters"]),
    (&["clap", "ignore", "indicatif"], &["cli", "main"]),
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

/// Everything that is wrong with the file at `path`, from the project's root.
pub(crate) fn faults(path: &str, source: &str) -> Vec<String> {
    let home = WorkspaceCrate::of_file(path);
    let inner = &path[home.source().len() + 1..];
    let first = inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs");
    let room = home.room(first);
    let Some(allowed) = may_use(room) else {
        return vec![format!("{path}: room '{room}' is not in the picture")];
    };
    let mut faults = Vec::new();
    let named = named(source);
    for path_named in &named.paths {
        if let Some(used) = room_of(home, inner, path_named)
            && used != room
            && may_use(used).is_some()
            && !allowed.contains(&used)
        {
            faults.push(format!("{path}: {room} must not use {used} ({})", path_named.join("::")));
        }
        let reached = CRATES.iter().find(|one| one.name == path_named[0] && one.name != home.name);
        if let Some(reached) = reached
            && !home.may_name.contains(&reached.name)
            && room != "main"
        {
            faults.push(format!("{path}: {} must not reach across into {}", home.name, reached.name));
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

/// The room a path leads to: from `crate`, from a crate of ours, or up through `super`.
fn room_of<'a>(home: &WorkspaceCrate, inner: &str, path: &'a [String]) -> Option<&'a str> {
    let segment = |index: usize| path.get(index).map(String::as_str);
    let first = path[0].as_str();
    if first == "crate" {
        return segment(1).map(|next| home.room(next));
    }
    if let Some(named) = CRATES.iter().find(|one| one.name == first) {
        return segment(1).map(|next| named.room(next));
    }
    if first != "super" {
        return None;
    }
    let up = path.iter().take_while(|segment| *segment == "super").count();
    let folders = inner.split('/').count();
    let depth = if inner.ends_with("/mod.rs") { folders - 1 } else { folders };
    (up == depth).then(|| segment(up)).flatten().map(|next| home.room(next))
}

/// The crates of ours that a manifest names as dependencies and must not.
pub(crate) fn manifest_faults(home: &WorkspaceCrate, manifest: &str) -> Vec<String> {
    let mut in_dependencies = false;
    let mut faults = Vec::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            in_dependencies = line.starts_with("[dependencies");
        }
        let dependency = line.split(['.', ' ', '=']).next().unwrap_or_default().replace('-', "_");
        let reached = CRATES.iter().find(|one| one.name == dependency && in_dependencies);
        if let Some(reached) = reached
            && !home.may_name.contains(&reached.name)
        {
            faults.push(format!("{}/Cargo.toml: must not depend on {}", home.folder, reached.name));
        }
    }
    faults
}

/// Names of types that are defined more than once, with the files that define them.
pub(crate) fn shared_type_names(files: &[(String, String)]) -> Vec<String> {
    let mut by_name: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (path, source) in files {
        for name in type_names(source) {
            by_name.entry(name).or_default().push(path);
        }
    }
    let shared = by_name.into_iter().filter(|(_, paths)| paths.len() > 1);
    shared.map(|(name, paths)| format!("{name}: {}", paths.join(", "))).collect()
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
