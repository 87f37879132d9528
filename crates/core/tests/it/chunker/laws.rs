//! What holds for every text: tiling, the limit, clusters, determinism, re-synchronisation.

use std::collections::HashMap;

use contexture_core::domain::chunk::ChunkSpan;
use contexture_core::fault::reason;
use contexture_core::ingest::chunk::{ChunkLimits, NormalisedText, decode_body, split_into_chunks};
use proptest::prelude::*;

use super::tables::difficult_text;
use super::{SentenceGenerator, WordTokenizer, bpe, cut_lawfully, limits, markdown, plain, slice};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn every_text_is_cut_lawfully(
        parts in prop::collection::vec(difficult_text(), 1..6),
        media_type in prop::sample::select(vec!["text/plain", "text/markdown", "text/html", "text/x-rust", "text/x-python"]),
        title in prop::option::of("[a-zA-Zé漢 ]{1,40}"),
        tokens_max in 48_usize..300,
        share in 1_usize..=100,
        by_words in any::<bool>(),
    ) {
        if let Ok(document) = decode_body(parts.concat().as_bytes(), Some(media_type), "it") {
            let limits = limits(tokens_max, tokens_max * share / 100);
            if by_words {
                cut_lawfully(&document, title.as_deref(), &WordTokenizer, &limits);
            } else {
                cut_lawfully(&document, title.as_deref(), &bpe(), &limits);
            }
        }
    }

    #[test]
    fn any_bytes_give_a_text_or_a_reason(body in prop::collection::vec(any::<u8>(), 0..400), html in any::<bool>()) {
        let declared = html.then_some("text/html");
        if let Ok(document) = decode_body(&body, declared, "it") {
            prop_assert!(!document.text.trim().is_empty());
            prop_assert!(!document.text.contains(['\r', '\0']));
        }
    }
}

#[test]
fn a_tiny_window_is_kept_or_refused() {
    let document = markdown("# Heading\n\n漢字 and 👩‍👩‍👧‍👦 words\n");
    for tokens_max in 0..40 {
        let limits = limits(tokens_max, 20);
        match split_into_chunks(&document, Some("Title of it"), &bpe(), &limits) {
            Ok(_) => drop(cut_lawfully(&document, Some("Title of it"), &bpe(), &limits)),
            Err(refused) => assert!(tokens_max < 16, "{tokens_max}: {refused}"),
        }
    }
}

#[test]
fn too_many_chunks_are_refused() {
    let document = plain(&"word and word. ".repeat(2000));
    let limits = ChunkLimits { chunks_max: 10, ..limits(64, 50) };
    assert_eq!(
        split_into_chunks(&document, None, &bpe(), &limits).unwrap_err().code,
        reason::TOO_MANY_CHUNKS
    );
}

#[test]
fn chunks_are_close_to_the_target() {
    let mut author = SentenceGenerator(1);
    let text: Vec<String> = (0..200).map(|_| author.paragraph()).collect();
    let document = plain(&text.join("\n\n"));
    let chunks = cut_lawfully(&document, None, &bpe(), &limits(256, 200));
    let small = chunks.iter().filter(|chunk| chunk.embed_tokens < 100).count();
    assert!(small * 20 < chunks.len(), "{small} of {} chunks are small", chunks.len());
}

#[test]
fn running_text_is_cut_between_sentences() {
    let mut author = SentenceGenerator(2);
    let text: Vec<String> = (0..400).map(|_| author.sentence()).collect();
    let document = plain(&text.join(" "));
    for chunk in cut_lawfully(&document, None, &bpe(), &limits(128, 100)) {
        assert!(slice(&document, chunk.span).trim_end().ends_with('.'));
    }
}

#[test]
fn an_edit_changes_only_chunks_near_it() {
    let worst = [1, 2, 3, 4, 5, 6].map(|seed| {
        let (paragraphs, sections) = write(seed);
        let edited = |texts: &[String]| {
            let mut texts = texts.to_vec();
            let middle = texts.len() / 2;
            texts[middle] = format!(
                "{} One more sentence was put in front of it. {}",
                SentenceGenerator(seed + 99).paragraph(),
                texts[middle]
            );
            texts.join("\n\n")
        };
        let changed_plain = changed(&plain(&paragraphs.join("\n\n")), &plain(&edited(&paragraphs)));
        let changed_markdown = changed(&markdown(&sections.join("\n\n")), &markdown(&edited(&sections)));
        changed_plain.max(changed_markdown)
    });
    assert!(worst.iter().all(|&changed| changed <= 8), "{worst:?}");
}

#[test]
fn an_edit_in_one_endless_paragraph_changes_only_chunks_near_it() {
    let mut author = SentenceGenerator(11);
    let sentences: Vec<String> = (0..4000).map(|_| author.sentence()).collect();
    let before = plain(&sentences.join(" "));
    for at in [400, 1300, 2200, 3100] {
        let mut edited = sentences.clone();
        edited.insert(at, author.sentence());
        let changed = changed(&before, &plain(&edited.join(" ")));
        assert!(changed <= 16, "{changed} chunks after an edit at {at}");
    }
}

#[test]
fn an_edit_in_a_text_without_paragraphs_or_sentences_stays_local_too() {
    let mut author = SentenceGenerator(7);
    let words: Vec<String> =
        (0..2000).map(|_| author.sentence().replace(['.', '\n'], "").to_lowercase()).collect();
    let (mut runs, middle) = (words.clone(), words.len() / 2);
    runs[middle] = "a few other words stand here now instead of those".to_owned();
    let changed = changed(&plain(&words.join(" ")), &plain(&runs.join(" ")));
    assert!(changed <= 8, "{changed}");
}

/// About 500 KB of paragraphs; and the same with headings.
fn write(seed: u64) -> (Vec<String>, Vec<String>) {
    let mut author = SentenceGenerator(seed);
    let paragraphs: Vec<String> = (0..1000).map(|_| author.paragraph()).collect();
    let sections = paragraphs.iter().enumerate().map(|(index, paragraph)| match index % 9 {
        0 => format!("{} Section {index}\n\n{paragraph}", if index % 27 == 0 { "#" } else { "##" }),
        4 => format!("- {}\n- {}\n- {}", author.sentence(), author.sentence(), author.sentence()),
        _ => paragraph.clone(),
    });
    let sections = sections.collect();
    (paragraphs, sections)
}

/// Chunks of the second document whose text the first does not have.
fn changed(before: &NormalisedText, after: &NormalisedText) -> usize {
    let texts = |document: &NormalisedText| -> Vec<String> {
        let chunks: Vec<ChunkSpan> = split_into_chunks(document, None, &bpe(), &limits(256, 200)).unwrap();
        chunks.iter().map(|chunk| slice(document, chunk.span).to_owned()).collect()
    };
    let mut known: HashMap<String, usize> = HashMap::new();
    for text in texts(before) {
        *known.entry(text).or_default() += 1;
    }
    let mut changed = 0;
    for text in texts(after) {
        match known.get_mut(&text) {
            Some(left) if *left > 0 => *left -= 1,
            _ => changed += 1,
        }
    }
    changed
}
