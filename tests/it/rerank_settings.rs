//! `[rerank]`: what is accepted, what is refused, what is shown.

use std::time::Duration;

use contexture::config::{ContextureConfig, RerankShape};
use contexture::fault::Refusal;

const CANARY: &str = "canary-0a7d11c6e2f3";

fn load(variables: &[(&str, &str)]) -> Result<ContextureConfig, Refusal> {
    let named = |(key, value): &(&str, &str)| {
        (format!("CONTEXTURE__{}", key.to_uppercase().replace('.', "__")), (*value).to_owned())
    };
    ContextureConfig::load(None, variables.iter().map(named))
}

#[test]
fn nothing_is_reranked_unless_it_is_said_where() {
    assert_eq!(load(&[]).unwrap().rerank, None);
    assert_eq!(load(&[("rerank.api_key", CANARY), ("rerank.model", "m")]).unwrap().rerank, None);
}

#[test]
fn a_reranker_has_bounds_by_default() {
    let rerank = load(&[("rerank.url", "http://127.0.0.1:8080/rerank")]).unwrap().rerank.unwrap();
    assert_eq!((rerank.shape, rerank.model.as_str()), (RerankShape::Results, ""));
    assert_eq!((rerank.candidates_max, rerank.texts_max), (50, 32));
    assert_eq!((rerank.time_max, rerank.api_key), (Duration::from_secs(2), None));
}

#[test]
fn its_secrets_are_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("reranker.key"), format!("{CANARY}-filed\n")).unwrap();
    let file = folder.path().join("contexture.toml");
    let text =
        "[rerank]\nurl = \"https://host/v2/rerank\"\nshape = \"tei\"\napi_key_file = \"reranker.key\"\n";
    std::fs::write(&file, text).unwrap();
    let filed = ContextureConfig::load(Some(&file), []).unwrap();
    let rerank = filed.rerank.as_ref().unwrap();
    assert_eq!(rerank.api_key.as_ref().unwrap().expose(), format!("{CANARY}-filed"));
    assert_eq!(rerank.shape, RerankShape::Tei);

    let url = format!("https://host/rerank?key={CANARY}");
    let typed = load(&[("rerank.url", &url), ("rerank.api_key", CANARY)]).unwrap();
    assert_eq!(typed.rerank.as_ref().unwrap().api_key.as_ref().unwrap().expose(), CANARY);
    for config in [filed, typed] {
        let shown = config.masked_toml();
        assert!(!format!("{shown}{config:?}").contains(CANARY), "{shown}");
        assert!(shown.contains("[rerank]"), "{shown}");
    }
}

#[test]
fn what_cannot_work_is_refused_by_key() {
    let host = "http://host/rerank";
    for (variables, field) in [
        (vec![("rerank.url", "host/rerank")], "rerank.url"),
        (vec![("rerank.url", "ftp://host/rerank")], "rerank.url"),
        (vec![("rerank.url", "http://")], "rerank.url"),
        (vec![("rerank.url", "http://canary-0a7d11c6e2f3@host/rerank")], "rerank.url"),
        (vec![("rerank.url", host), ("rerank.shape", CANARY)], "rerank.shape"),
        (vec![("rerank.url", host), ("rerank.api_key", "canary-0a7d11c6e2f3 and more")], "rerank.api_key"),
        (vec![("rerank.url", host), ("rerank.api_key_file", "/nonexistent")], "rerank.api_key_file"),
        (
            vec![("rerank.url", host), ("rerank.api_key", CANARY), ("rerank.api_key_file", "/nonexistent")],
            "rerank.api_key",
        ),
    ] {
        let refusal = load(&variables).unwrap_err();
        assert_eq!(refusal.field, field, "{variables:?}: {refusal:?}");
        assert!(!format!("{refusal:?}").contains(CANARY), "{refusal:?}");
    }
    assert!(load(&[("rerank.url", "http://host/a@b")]).is_ok(), "a path may hold an @");
}
