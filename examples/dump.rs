use contexture::{
    config::Config,
    domain::ids::*,
    ports::embedder::Purpose,
    wiring::{Roles, Stack},
};
use std::io::Write;
#[tokio::main]
async fn main() {
    let a: Vec<String> = std::env::args().collect(); // data collection questions.jsonl out
    let config = Config::load(None, [("CONTEXTURE_DATA_DIR".to_owned(), a[1].clone())]).unwrap();
    let stack = Stack::open(&config, Roles { workers: false }).await.unwrap();
    let open = stack.ensure_collection(&CollectionId::new(&a[2]).unwrap(), None).await.unwrap();
    let snap = open.lexical.snapshot();
    let mut out = std::io::BufWriter::new(std::fs::File::create(&a[4]).unwrap());
    let mut seen = std::collections::HashSet::new();
    for line in std::fs::read_to_string(&a[3]).unwrap().lines() {
        let q: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = q["text"].as_str().unwrap();
        let lex = snap.search(text, None, &["*".to_owned()], 200).unwrap();
        let v = open.embedder.embed(&[text.to_owned()], Purpose::Query).await.unwrap().pop().unwrap();
        let dense = open.vectors.search(v, None, &["*".to_owned()], 200).await.unwrap();
        let ids: Vec<ChunkId> = lex.iter().map(|h| h.id).chain(dense.iter().map(|h| h.id)).collect();
        for c in snap.chunks(&ids).unwrap().into_iter().flatten() {
            if seen.insert(c.id) {
                writeln!(out, "{}", serde_json::json!({"chunk": c.id.to_string(), "doc": c.document_id.as_str(), "ord": c.ordinal, "s": c.span.start, "e": c.span.end, "tok": c.embed_tokens, "text": c.text})).unwrap();
            }
        }
        writeln!(out, "{}", serde_json::json!({"q": q["_id"], "lex": lex.iter().map(|h| (h.id.to_string(), h.score)).collect::<Vec<_>>(), "dense": dense.iter().map(|h| (h.id.to_string(), h.score)).collect::<Vec<_>>()})).unwrap();
    }
}
