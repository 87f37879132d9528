//! Two generations compared by a command of its own, beside the processes that work.

use serde_json::Value;

use super::world::{COLLECTION, StormWorld, run};

const OTHER: &str = "[embedder]\nkind = \"hash\"\ndims = 64\ntokens_max = 128\n[chunker]\ntokens_max = 64\ntokens_target = 64\n";

/// What a command prints with `--json`, its files in a folder of that name.
async fn json(world: &StormWorld, data: &str, arguments: &[&str]) -> Value {
    let mut command = world.command(data);
    command.arg("--json").args(arguments);
    serde_json::from_str(&run(command).await).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generations_are_compared_beside_an_index_that_another_process_writes() {
    let world = StormWorld::new("comparing").await;
    let _worker = world.worker("writer", &["submit", "chunk", "embed", "index"]);
    let texts = ["anchor", "bread", "comet"].map(|thing| {
        let name = format!("{thing}.md");
        let paragraph = format!("Of the {thing} much has been said by those who came before us.\n\n");
        std::fs::write(world.path(&name), format!("# The {thing}\n\n{}", paragraph.repeat(20))).unwrap();
        world.path(&name).display().to_string()
    });
    std::fs::write(world.path("other.toml"), OTHER).unwrap();
    std::fs::write(world.path("questions.txt"), "what is an anchor?\nwhat is bread?\n").unwrap();
    let home = ["--collection", COLLECTION];
    let ingest = [&["ingest"], &home[..], &texts.each_ref().map(String::as_str)].concat();
    json(&world, "client", &ingest).await;
    let other = world.path("other.toml").display().to_string();
    let start = [&["reindex", "start"], &home[..], &["--pipeline", &other]].concat();
    json(&world, "client", &start).await;

    let questions = world.path("questions.txt").display().to_string();
    let compare = [&["reindex", "compare"], &home[..], &["--questions", &questions]].concat();
    let beside = json(&world, "writer", &compare).await;
    let alone = json(&world, "late replica", &compare).await;
    for report in [&beside, &alone] {
        assert_eq!((&report["questions"], &report["failed"]), (&2.into(), &0.into()), "{report}");
        assert_eq!(report["generations"], serde_json::json!({"a": 1, "b": 2}));
    }
    for figure in ["overlap", "rbo", "kendall_tau", "context_overlap"] {
        assert_eq!(beside[figure], alone[figure], "{figure}");
    }

    let gate = ["--questions", &questions, "--require", "overlap@10>=0.1"];
    let done = json(&world, "writer", &[&["reindex", "activate"], &home[..], &gate].concat()).await;
    assert_eq!((&done["generation"], &done["done"]), (&2.into(), &"active".into()));
}
