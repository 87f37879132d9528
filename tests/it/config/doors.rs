//! TLS, origins, the public address, named pipelines and issuers.

use contexture::config::{CollectionCreation, KeySetSource, ScopeRule, TenantRule};
use contexture::domain::principal::AccessScope;

use super::{load, load_file};

const PIPELINE: &str = "[embedder]\nkind = \"hash\"\ndims = 384\ntokens_max = 256\n";

#[test]
fn tls_takes_both_files_or_none() {
    assert_eq!(load(&[]).unwrap().server.tls, None);
    for (given, missing) in
        [("tls_cert_file", "server.tls_key_file"), ("tls_key_file", "server.tls_cert_file")]
    {
        let refusal = load_file(&format!("[server]\n{given} = \"a.pem\"\n"), &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("invalid_config", missing));
    }
    let both = "[server]\ntls_cert_file = \"a.pem\"\ntls_key_file = \"/b.pem\"\n";
    let config = load_file(both, &[]).unwrap();
    let files = config.server.tls.clone().unwrap();
    assert!(files.cert_file.is_absolute() && files.cert_file.ends_with("a.pem"));
    assert_ne!(files.cert_file.parent(), std::env::current_dir().ok().as_deref(), "from the file's folder");
    let again = load_file(&config.masked_toml(), &[]).unwrap();
    assert_eq!(again.server.tls, Some(files));
}

#[test]
fn origins_are_exact_or_all() {
    let config = load_file(
        "[server]\ncors_origins = [\"https://wiki.example\", \"http://localhost:5173\"]\n\
         mcp_origins = [\"https://chat.example\"]\npublic_url = \"https://context.example/\"\n",
        &[],
    )
    .unwrap();
    assert_eq!(config.server.cors_origins.len(), 2);
    assert_eq!(config.server.public_url.as_deref(), Some("https://context.example"));
    assert_eq!(load_file("[server]\ncors_origins = [\"*\"]\n", &[]).unwrap().server.cors_origins, ["*"]);
    for (text, field) in [
        ("cors_origins = [\"*\", \"https://a.example\"]", "server.cors_origins"),
        ("cors_origins = [\"https://a.example\", \"https://a.example/\"]", "server.cors_origins[1]"),
        ("cors_origins = [\"wiki.example\"]", "server.cors_origins[0]"),
        ("cors_origins = [\"https://Wiki.example\"]", "server.cors_origins[0]"),
        ("mcp_origins = [\"*\"]", "server.mcp_origins[0]"),
        ("mcp_origins = [\"https://user@a.example\"]", "server.mcp_origins[0]"),
        ("public_url = \"context.example\"", "server.public_url"),
        ("public_url = \"https://context.example/path\"", "server.public_url"),
    ] {
        let refusal = load_file(&format!("[server]\n{text}\n"), &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("invalid_config", field), "{text}");
    }
}

#[test]
fn collections_are_created_as_configured() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("code.toml"), PIPELINE).unwrap();
    let entry = |name: &str, file: &str| {
        let path = folder.path().join(file);
        format!("[[pipelines]]\nname = \"{name}\"\npath = \"{}\"\n", path.display())
    };
    let creating = |word: &str| {
        let text = format!("{}[server]\ncreate_collections = \"{word}\"\n", entry("code", "code.toml"));
        load_file(&text, &[])
    };
    assert_eq!(load(&[]).unwrap().create_collections, CollectionCreation::Off);
    assert_eq!(creating("on").unwrap().create_collections, CollectionCreation::Default);
    let named = creating("code").unwrap();
    assert_eq!(named.create_collections, CollectionCreation::Named("code".to_owned()));
    assert_eq!((named.pipelines.len(), named.pipelines[0].0.as_str()), (1, "code"));
    assert_eq!(creating("cod").unwrap_err().field, "server.create_collections");

    std::fs::write(folder.path().join("bad.toml"), "[embedder]\nkind = \"none\"\n").unwrap();
    std::fs::write(folder.path().join("large.toml"), "#".repeat(65 * 1024)).unwrap();
    for (name, file) in [
        ("default", "code.toml"),
        ("on", "code.toml"),
        ("Code", "code.toml"),
        ("a.b", "code.toml"),
        ("", "code.toml"),
        ("other", "missing.toml"),
        ("other", "bad.toml"),
        ("other", "large.toml"),
    ] {
        let refusal = load_file(&entry(name, file), &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("invalid_config", "pipelines[0]"), "{name}");
    }
    let twice = entry("code", "code.toml").repeat(2);
    assert_eq!(load_file(&twice, &[]).unwrap_err().field, "pipelines[1]");
}

fn issuer(rest: &str) -> String {
    format!("[[auth.issuers]]\nissuer = \"https://login.example\"\naudience = \"contexture\"\n{rest}\n")
}

#[test]
fn issuers_say_where_keys_are_and_what_claims_mean() {
    let config = load_file(&issuer("jwks_url = \"https://login.example/keys\"\ntenant = \"acme\""), &[]);
    let config = config.unwrap();
    let plain = &config.issuers[0];
    assert_eq!(plain.groups_claim, "groups");
    assert_eq!(plain.scopes, ScopeRule::Claim("scope".to_owned()));
    assert!(matches!(&plain.tenant, TenantRule::Fixed(tenant) if tenant.as_str() == "acme"));
    assert_eq!(plain.keys, KeySetSource::Url("https://login.example/keys".to_owned()));
    let again = load_file(&config.masked_toml(), &[]).unwrap();
    assert_eq!(again.issuers, config.issuers);

    let rest =
        "jwks_file = \"keys.json\"\ntenant_claim = \"org\"\ngroups_claim = \"roles\"\nscopes = [\"read\"]";
    let config = load_file(&issuer(rest), &[("CONTEXTURE__SERVER__LISTEN", "0.0.0.0:7070")]).unwrap();
    let claimed = &config.issuers[0];
    assert_eq!(claimed.tenant, TenantRule::Claim("org".to_owned()));
    assert_eq!(claimed.scopes, ScopeRule::Fixed([AccessScope::Read].into()));
    assert!(matches!(&claimed.keys, KeySetSource::File(path) if path.is_absolute()));
}

#[test]
fn issuers_that_cannot_be_trusted_are_refused() {
    let tenant = "tenant = \"acme\"";
    for rest in [
        tenant.to_owned(),
        format!("{tenant}\njwks_url = \"http://login.example/keys\""),
        format!("{tenant}\njwks_url = \"http://127.0.0.1.evil.example/keys\""),
        format!("{tenant}\njwks_url = \"http://127.0.0.1:80@evil.example/keys\""),
        format!("{tenant}\njwks_url = \"https://user:secret@login.example/keys\""),
        format!("{tenant}\njwks_url = \"https://login.example/keys\"\njwks_file = \"keys.json\""),
        format!("{tenant}\njwks_file = \"keys.json\"\ntenant_claim = \"org\""),
        "jwks_file = \"keys.json\"".to_owned(),
        "jwks_file = \"keys.json\"\ntenant = \"Not a tenant\"".to_owned(),
        format!("{tenant}\njwks_file = \"keys.json\"\nscopes = []"),
        format!("{tenant}\njwks_file = \"keys.json\"\nscopes = [\"read\"]\nscopes_claim = \"scope\""),
        format!("{tenant}\njwks_file = \"keys.json\"\ngroups_claim = \"\""),
    ] {
        let refusal = load_file(&issuer(&rest), &[]).unwrap_err();
        assert_eq!((refusal.code, refusal.field.as_str()), ("invalid_config", "auth.issuers[0]"), "{rest}");
    }
    let loopback = issuer(&format!("{tenant}\njwks_url = \"http://127.0.0.1:8080/keys\""));
    assert!(load_file(&loopback, &[]).is_ok());
    assert_eq!(load_file(&loopback.repeat(2), &[]).unwrap_err().field, "auth.issuers[1]");
}
