//! Configuration: layers, bounds, secrets.

mod converters;
mod doors;
mod pipelines;

use std::path::Path;

use contexture::config::limits::LIMITS;
use contexture::config::{ContextureConfig, DEFAULT_TOML, Quantization};
use contexture::fault::Refusal;

const CANARY: &str = "canary-5cf0e2a1b7d94433";

fn load(variables: &[(&str, &str)]) -> Result<ContextureConfig, Refusal> {
    ContextureConfig::load(
        None,
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<ContextureConfig, Refusal> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("contexture.toml");
    std::fs::write(&path, text).unwrap();
    ContextureConfig::load(
        Some(&path),
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    )
}

fn variable(key: &str) -> String {
    format!("CONTEXTURE__{}", key.to_uppercase().replace('.', "__"))
}

#[test]
fn defaults_are_what_the_documentation_says() {
    let config = load(&[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:7070");
    assert_eq!(config.limits.body_bytes_max, 64 * 1024 * 1024);
    assert_eq!(config.limits.chunks_per_document_max, 100_000);
    assert_eq!(config.workers.index_commit_documents_max, 1024);
    assert_eq!(config.workers.index_commit_interval_max.as_millis(), 250);
    assert_eq!(config.workers.index_commit_bytes_max, 32 * 1024 * 1024);
    assert!(config.data_dir.is_absolute() && config.data_dir.ends_with("contexture-data"));
    assert!(config.keys.is_empty());
}

#[test]
fn every_key_of_the_defaults_has_a_comment_above_or_shares_one() {
    let mut commented = false;
    for line in DEFAULT_TOML.lines() {
        match line.trim() {
            "" => commented = false,
            text if text.starts_with('#') => commented = true,
            text if text.starts_with('[') => {}
            text => assert!(commented, "no comment before: {text}"),
        }
    }
}

#[test]
fn every_limit_is_in_the_defaults_with_its_unit_in_its_name() {
    let units = ["_bytes", "_ms", "_documents", "_tokens", "_texts", "_submissions", "_questions", "_max"];
    for limit in LIMITS {
        let (section, name) = limit.key.split_once('.').unwrap();
        assert!(units.iter().any(|unit| name.contains(unit)), "{} names no unit", limit.key);
        assert!(DEFAULT_TOML.contains(&format!("[{section}]")), "{}", limit.key);
        assert!(DEFAULT_TOML.contains(&format!("\n{name} = ")), "{}", limit.key);
    }
}

#[test]
fn every_limit_holds_at_its_ends_and_not_beyond() {
    // Wide enough that no rule between two keys speaks first.
    let companions = [
        ("CONTEXTURE__SERVER__REQUEST_BYTES_IN_FLIGHT_MAX", "1099511627776"),
        ("CONTEXTURE__SERVER__REQUEST_DEADLINE_MS_MAX", "600000"),
        ("CONTEXTURE__SERVER__REQUEST_DEADLINE_MS", "10"),
        ("CONTEXTURE__LIMITS__BODY_BYTES_MAX", "1024"),
    ];
    for limit in LIMITS {
        let with = |value: u64| {
            let (name, value) = (variable(limit.key), value.to_string());
            let mut variables: Vec<_> = companions.into_iter().filter(|(other, _)| *other != name).collect();
            variables.push((&name, &value));
            load(&variables)
        };
        with(limit.min).unwrap_or_else(|refusal| panic!("{} at its minimum: {refusal}", limit.key));
        with(limit.max).unwrap_or_else(|refusal| panic!("{} at its maximum: {refusal}", limit.key));
        let mut beyond = vec![limit.max + 1];
        beyond.extend(limit.min.checked_sub(1));
        for value in beyond {
            let refusal = with(value).unwrap_err();
            assert_eq!((refusal.code, refusal.field.as_str()), ("limit_out_of_range", limit.key));
            assert!(refusal.message.starts_with(&variable(limit.key)), "{refusal}");
        }
    }
}

#[test]
fn later_layers_win() {
    let file = "data_dir = \"from-file\"\n[server]\nlisten = \"127.0.0.1:1\"\n";
    let from_file =
        load_file(file, &[("CONTEXTURE_DATA_DIR", "/from-variable"), ("UNRELATED", "x")]).unwrap();
    assert!(from_file.data_dir.ends_with("from-file"));
    assert_ne!(from_file.data_dir.parent(), std::env::current_dir().ok().as_deref(), "relative to its file");
    assert_eq!(from_file.server.listen.port(), 1);

    let all = [
        ("CONTEXTURE_DATA_DIR", "/from-variable"),
        ("CONTEXTURE__DATA_DIR", "/from-key"),
        ("CONTEXTURE__SERVER__LISTEN", "127.0.0.1:2"),
    ];
    let config = load_file(file, &all).unwrap();
    assert_eq!(config.data_dir, Path::new("/from-key"));
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(load(&all[..1]).unwrap().data_dir, Path::new("/from-variable"));
}

#[test]
fn unknown_keys_are_named_with_their_origin() {
    for (text, key) in [
        ("[server]\nlisten_adress = 1\n", "server.listen_adress"),
        ("[sever]\n", "sever"),
        ("[server.deeper]\nkey = 1\n", "server.deeper"),
    ] {
        let refusal = load_file(text, &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("unknown_config_key", key));
        assert!(refusal.message.contains("contexture.toml: "), "{refusal}");
    }
    let refusal = load(&[("CONTEXTURE__SERVER__PROT", "1")]).unwrap_err();
    assert_eq!((refusal.code, refusal.field.as_str()), ("unknown_config_key", "server.prot"));
    assert!(refusal.message.starts_with("CONTEXTURE__SERVER__PROT: "), "{refusal}");
}

#[test]
fn variables_that_miss_an_underscore_are_named() {
    for (variable, right) in [
        ("CONTEXTURE_SERVER__LISTEN", "CONTEXTURE__SERVER__LISTEN"),
        ("CONTEXTURE_SERVER_LISTEN", "CONTEXTURE__SERVER__LISTEN"),
        ("CONTEXTURE_LOG_LEVEL", "CONTEXTURE__LOG__LEVEL"),
        ("CONTEXTURE_AUTH__KEYS", "CONTEXTURE__AUTH__KEYS"),
    ] {
        let refusal = load(&[(variable, "x")]).unwrap_err();
        assert_eq!(refusal.code, "unknown_config_variable", "{variable}");
        assert!(refusal.message.contains(variable) && refusal.message.contains(right), "{refusal}");
    }
    // What orchestrators set for a service of our name, and what we read elsewhere.
    for other in [
        "CONTEXTURE_PORT",
        "CONTEXTURE_SERVICE_HOST",
        "CONTEXTURE_SERVER",
        "CONTEXTURE_API_KEY",
        "CONTEXTURE_VECTORS_API_KEY",
        "CONTEXTURE_LEDGER_PASSWORD",
    ] {
        load(&[(other, "x")]).unwrap();
    }
}

#[test]
fn wrong_types_and_syntax_are_refused_without_quoting_them() {
    for text in [
        format!("[server]\nconnections_max = \"{CANARY}\"\n"),
        format!("[server]\nconnections_max = {CANARY}\n"),
        format!("[auth]\nkeys = \"{CANARY}\"\n"),
        format!("[[auth.keys]]\nname = \"a\"\ntenant = \"acme\"\nscopes = [\"{CANARY}\"]\n"),
        format!("[[auth.keys]]\nname = \"a\"\ntenant = \"acme\"\nscopes = [\"read\"]\nhash = \"{CANARY}\"\n"),
        format!("[log]\nformat = \"{CANARY}\"\n"),
        "[server]\nconnections_max = -1\n".to_owned(),
        "[server]\nlisten = \"nowhere\"\n".to_owned(),
        "[retrieval]\nlexical_weight = 1.5\ndense_weight = -0.5\n".to_owned(),
        "[server]\nrequest_deadline_ms = 70000\n".to_owned(),
        "[log]\nlevel = \"contexture=loud\"\n".to_owned(),
    ] {
        let refusal = load_file(&text, &[]).unwrap_err();
        assert!(!format!("{refusal:?}").contains(CANARY), "{refusal:?}");
        assert!(refusal.message.contains("contexture.toml"), "{refusal:?}");
    }
    let missing = ContextureConfig::load(Some(Path::new("/nonexistent/contexture.toml")), []).unwrap_err();
    assert_eq!(missing.code, "config_unreadable");
}

#[test]
fn keys_that_contradict_each_other_are_both_named() {
    for (text, both) in [
        ("[retrieval]\nlexical_weight = 0.5\n", ["retrieval.lexical_weight", "retrieval.dense_weight"]),
        (
            "[limits]\nbody_bytes_max = 300000000\n",
            ["limits.body_bytes_max", "server.request_bytes_in_flight_max"],
        ),
        (
            "[server]\nrequest_deadline_ms_max = 9999\n",
            ["server.request_deadline_ms_max", "server.request_deadline_ms "],
        ),
    ] {
        let refusal = load_file(text, &[]).unwrap_err();
        assert!(both.iter().all(|key| refusal.message.contains(key)), "{refusal}");
    }
}

#[test]
fn only_loopback_is_served_without_credentials() {
    for address in ["0.0.0.0:7070", "[::]:7070", "192.0.2.1:7070"] {
        let refusal = load(&[("CONTEXTURE__SERVER__LISTEN", address)]).unwrap_err();
        assert_eq!(refusal.field, "server.listen");
        assert!(refusal.message.contains("no credential is configured"), "{refusal}");
    }
    assert!(load(&[("CONTEXTURE__SERVER__LISTEN", "[::1]:7070")]).is_ok());
    let key = format!(r#"[{{name="ci",tenant="acme",scopes=["read"],hash="{}"}}]"#, "ab".repeat(32));
    let open = [("CONTEXTURE__SERVER__LISTEN", "0.0.0.0:7070"), ("CONTEXTURE__AUTH__KEYS", key.as_str())];
    assert!(load(&open).is_ok());
}

#[test]
fn keys_come_as_hash_file_or_variable_and_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("crawler.key"), format!("file-{CANARY}\n")).unwrap();
    let file = folder.path().join("contexture.toml");
    let hash = blake3::hash(format!("hash-{CANARY}").as_bytes());
    let entry = |name: &str, source: &str| {
        format!("[[auth.keys]]\nname = \"{name}\"\ntenant = \"acme\"\nscopes = [\"read\"]\n{source}\n")
    };
    let text = entry("hashed", &format!("hash = \"{hash}\""))
        + &entry("filed", "key_file = \"crawler.key\"")
        + &entry("environed", "key_env = \"CI_KEY\"");
    std::fs::write(&file, text).unwrap();

    let environment = [("CI_KEY".to_owned(), format!("env-{CANARY}"))];
    let config = ContextureConfig::load(Some(&file), environment).unwrap();

    for (key, source) in config.keys.iter().zip(["hash", "file", "env"]) {
        assert_eq!(key.hash, blake3::hash(format!("{source}-{CANARY}").as_bytes()));
    }
    let shown = config.masked_toml();
    let everything = format!("{shown}{config:?}");
    assert!(!everything.contains(CANARY) && !everything.contains(hash.to_hex().as_str()));
    assert!(shown.contains("hash = \"***\"") && shown.contains("key_env = \"CI_KEY\""), "{shown}");
}

#[test]
fn bad_keys_are_refused() {
    let bad = [
        r#"{name="a",tenant="acme",scopes=["read"]}"#,
        r#"{name="a",tenant="acme",scopes=["read"],key_env="UNSET"}"#,
        r#"{name="a",tenant="acme",scopes=["read"],key_env="SHORT"}"#,
        r#"{name="a",tenant="acme",scopes=["read"],key_file="/nonexistent"}"#,
        r#"{name="a",tenant="ACME",scopes=["read"],key_env="LONG"}"#,
        r#"{name="a",tenant="acme",scopes=[],key_env="LONG"}"#,
        r#"{name="",tenant="acme",scopes=["read"],key_env="LONG"}"#,
        r#"{name="a",tenant="acme",scopes=["read"],key_env="LONG",key_file="x"}"#,
        r#"{name="a",tenant="acme",scopes=["read"],key_env="LONG"},{name="b",tenant="acme",scopes=["read"],key_env="LONG"}"#,
    ];
    for entries in bad {
        let keys = format!("[{entries}]");
        let refusal = load(&[
            ("CONTEXTURE__AUTH__KEYS", &keys),
            ("SHORT", "fifteen-bytes-x"),
            ("LONG", "sixteen-bytes-xx"),
        ])
        .unwrap_err();
        assert!(refusal.field.starts_with("auth.keys"), "{entries}: {refusal:?}");
    }
}

#[test]
fn what_is_shown_can_be_loaded() {
    let shown = load(&[("CONTEXTURE__SERVER__LISTEN", "127.0.0.1:9")]).unwrap().masked_toml();
    let again = load_file(&shown, &[]).unwrap();
    assert_eq!(again.server.listen.port(), 9);
    assert_eq!(again.masked_toml(), shown);
}

#[test]
fn engines_are_named_by_url_and_their_secrets_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("pg.url"), format!("postgres://app:{CANARY}@db/app\n")).unwrap();
    let file = folder.path().join("contexture.toml");
    std::fs::write(&file, "[ledger]\nurl_file = \"pg.url\"\n[vectors]\nquantization = \"int8\"\n").unwrap();
    let environment = [
        ("CONTEXTURE__BROKER__URL", format!("amqps://app:{CANARY}@mq:5671/prod?x={CANARY}")),
        ("CONTEXTURE__VECTORS__URL", "https://qdrant:6334".to_owned()),
        ("CONTEXTURE__VECTORS__API_KEY", CANARY.to_owned()),
    ];
    let config =
        ContextureConfig::load(Some(&file), environment.map(|(name, value)| (name.to_owned(), value)))
            .unwrap();
    let backends = &config.backends;
    assert!(backends.ledger.as_ref().unwrap().url.expose().ends_with("@db/app"));
    assert!(backends.broker.as_ref().unwrap().url.expose().contains(CANARY));
    assert_eq!(backends.vectors.as_ref().unwrap().api_key.as_ref().unwrap().expose(), CANARY);
    assert_eq!(backends.vectors.as_ref().unwrap().quantization, Quantization::Int8);
    let shown = config.masked_toml();
    assert!(!format!("{shown}{config:?}").contains(CANARY), "{shown}");
    assert!(shown.contains("amqps://app:***@mq:5671/prod"), "{shown}");

    let embedded = load(&[]).unwrap().backends;
    assert!(embedded.broker.is_none() && embedded.ledger.is_none() && embedded.vectors.is_none());
}

#[test]
fn engines_that_cannot_work_are_refused_without_their_secrets() {
    let amqp = format!("amqp://app:{CANARY}@mq");
    for (variables, field) in [
        (vec![("CONTEXTURE__LEDGER__URL", format!("postgres://app:{CANARY}@db/app"))], "ledger.url"),
        (vec![("CONTEXTURE__BROKER__URL", format!("https://app:{CANARY}@mq"))], "broker.url"),
        (vec![("CONTEXTURE__BROKER__URL", CANARY.to_owned())], "broker.url"),
        (vec![("CONTEXTURE__VECTORS__URL", format!("qdrant:{CANARY}"))], "vectors.url"),
        (
            vec![("CONTEXTURE__BROKER__URL", amqp.clone()), ("CONTEXTURE__BROKER__URL_FILE", "x".to_owned())],
            "broker.url",
        ),
        (vec![("CONTEXTURE__BROKER__URL_FILE", "/nonexistent/url".to_owned())], "broker.url_file"),
    ] {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let refusal = load(&variables).unwrap_err();
        assert_eq!(refusal.field, field, "{refusal}");
        assert!(!format!("{refusal:?}").contains(CANARY), "{refusal:?}");
    }
}

#[test]
fn producers_are_listed_by_user_and_folders_count_from_the_file() {
    let text = "[broker]\nurl = \"amqp://mq\"\nbody_roots = [\"documents\", \"/srv/more\"]\n\
                create_collections = true\n\
                [[broker.producers]]\nuser = \"crawler\"\ntenants = [\"acme\", \"beta\"]\n\
                [[broker.producers]]\nuser = \"Other\"\ntenants = [\"acme\"]\n";
    let config = load_file(text, &[]).unwrap();
    let broker = config.backends.broker.as_ref().unwrap();
    assert!(broker.create_collections && broker.body_roots[0].is_absolute());
    assert!(broker.body_roots[0].ends_with("documents"));
    assert_ne!(broker.body_roots[0].parent(), std::env::current_dir().ok().as_deref());
    assert_eq!(broker.body_roots[1], Path::new("/srv/more"));
    let users: Vec<_> =
        broker.producers.iter().map(|(user, tenants)| (user.as_str(), tenants.len())).collect();
    assert_eq!(users, [("Other", 1), ("crawler", 2)]);
    assert_eq!(load_file(&config.masked_toml(), &[]).unwrap().masked_toml(), config.masked_toml());

    let none = load(&[("CONTEXTURE__BROKER__URL", "amqp://mq")]).unwrap().backends.broker.unwrap();
    assert!(none.producers.is_empty() && none.body_roots.is_empty() && !none.create_collections);
}

#[test]
fn producers_that_cannot_work_are_refused() {
    let entry = |user: &str, tenants: &str| {
        format!("[[broker.producers]]\nuser = \"{user}\"\ntenants = [{tenants}]\n")
    };
    for (text, field) in [
        (entry("", "\"acme\""), "broker.producers[0]"),
        (entry(&"u".repeat(256), "\"acme\""), "broker.producers[0]"),
        (entry("crawler", ""), "broker.producers[0]"),
        (entry("crawler", "\"Not a tenant\""), "broker.producers[0]"),
        (entry("crawler", "\"a\"") + &entry("crawler", "\"b\""), "broker.producers[1]"),
        (entry("crawler", "\"a\"").replace("tenants", "tenant"), "broker.producers"),
    ] {
        let refusal = load_file(&text, &[]).unwrap_err();
        assert!(refusal.field.starts_with(field), "{text}: {refusal:?}");
    }
}
