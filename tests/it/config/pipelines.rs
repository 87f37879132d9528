//! The pipeline files, and the epoch that stands for one.

use contexture::domain::pipeline::{ChunkTokenBounds, EmbedderDefinition, Pipeline};

#[test]
fn pipeline_files_are_valid_and_canonical() {
    let mut read = 0;
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let pipeline = Pipeline::from_toml(&text).unwrap();
        let canonical = pipeline.to_toml().unwrap();
        assert_eq!(Pipeline::from_toml(&canonical).unwrap(), pipeline);
        assert_eq!(Pipeline::from_toml(&canonical).unwrap().to_toml().unwrap(), canonical);
        read += 1;
    }
    assert!(read >= 2);
    let default = Pipeline::from_toml(contexture::domain::pipeline::DEFAULT_PIPELINE_TOML).unwrap();
    assert_eq!(default.embedder, EmbedderDefinition::Bundled {});
    assert_eq!(default.chunk_tokens(128), Ok(ChunkTokenBounds { max: 128, target: 128 }));
    assert_eq!(default.chunk_tokens(512), Ok(ChunkTokenBounds { max: 512, target: 256 }));
}

#[test]
fn a_chunker_beyond_its_embedder_is_refused_with_both_numbers() {
    let text = "[embedder]\nkind = \"hash\"\ndims = 384\ntokens_max = 256\n[chunker]\ntokens_max = 257\n";
    let refusal = Pipeline::from_toml(text).unwrap_err();
    assert_eq!(refusal.field, "chunker.tokens_max");
    assert!(refusal.message.contains("257") && refusal.message.contains("256"), "{refusal}");
    assert!(Pipeline::from_toml(&text.replace("257", "256")).is_ok());

    let bundled =
        Pipeline::from_toml("[embedder]\nkind = \"bundled\"\n[chunker]\ntokens_max = 129\n").unwrap();
    let refusal = bundled.chunk_tokens(128).unwrap_err();
    assert!(refusal.message.contains("129") && refusal.message.contains("128"), "{refusal}");
    assert!(bundled.epoch("model", 384, 128, 1).is_err());
}

#[test]
fn bad_pipelines_are_refused() {
    for text in [
        "",
        "[embedder]\nkind = \"magic\"\n",
        "[embedder]\nkind = \"bundled\"\npath = \"x\"\n",
        "[embedder]\nkind = \"bundled\"\n[chonker]\n",
        "[embedder]\nkind = \"local\"\n",
        "[embedder]\nkind = \"local\"\npath = \"\"\n",
        "[embedder]\nkind = \"hash\"\ndims = 0\ntokens_max = 256\n",
        "[embedder]\nkind = \"hash\"\ndims = 65537\ntokens_max = 256\n",
        "[embedder]\nkind = \"hash\"\ndims = 8\ntokens_max = 63\n",
        "[embedder]\nkind = \"bundled\"\n[chunker]\ntokens_max = 63\n",
        "[embedder]\nkind = \"bundled\"\n[chunker]\ntokens_max = 100\ntokens_target = 101\n",
        "[embedder]\nkind = \"bundled\"\n[analyzer]\nlanguage = \"klingon\"\n",
    ] {
        assert_eq!(Pipeline::from_toml(text).unwrap_err().code, "invalid_pipeline", "{text}");
    }
}

#[test]
fn the_epoch_changes_with_what_it_stands_for_and_with_nothing_else() {
    let of = |text: &str| Pipeline::from_toml(&format!("[embedder]\nkind = \"bundled\"\n{text}")).unwrap();
    let base = of("");
    let epoch = |pipeline: &Pipeline| pipeline.epoch("model", 384, 256, 1).unwrap();
    // Said or left to the defaults, it is the same.
    for same in ["[chunker]\ntokens_max = 256\ntokens_target = 256\n", "[analyzer]\nlanguage = \"english\"\n"]
    {
        assert_eq!(epoch(&of(same)), epoch(&base), "{same}");
    }
    let others = [
        epoch(&base),
        epoch(&of("[chunker]\ntokens_max = 255\n")),
        epoch(&of("[chunker]\ntokens_target = 200\n")),
        epoch(&of("[analyzer]\nstem = false\n")),
        epoch(&of("[analyzer]\nstop_words = false\n")),
        base.epoch("other", 384, 256, 1).unwrap(),
        base.epoch("model", 385, 256, 1).unwrap(),
        base.epoch("model", 384, 257, 1).unwrap(),
        base.epoch("model", 384, 256, 2).unwrap(),
    ];
    let distinct: std::collections::BTreeSet<_> = others.iter().collect();
    assert_eq!(distinct.len(), others.len());
}
