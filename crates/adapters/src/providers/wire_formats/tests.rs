//! Requests to every provider, and what is parsed from good and broken responses.

#![expect(clippy::unwrap_used, reason = "a test fails where one does")]

use serde_json::{Value, json};

use contexture_core::ports::embedder::EmbeddingPurpose;

use super::*;

const ALL_APIS: [ProviderApi; 5] =
    [ProviderApi::OpenAi, ProviderApi::Azure, ProviderApi::Cohere, ProviderApi::Voyage, ProviderApi::Gemini];

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|place| format!("text {place}")).collect()
}

fn requested(shape: ProviderApi, call: &EmbedCall<'_>) -> Value {
    serde_json::from_slice(&shape.request(call).unwrap()).unwrap()
}

fn call(texts: &[String], purpose: EmbeddingPurpose) -> EmbedCall<'_> {
    EmbedCall { model: "model", dims: None, texts, purpose, input_types: None }
}

fn refusal_reason(shape: ProviderApi, body: &str, texts: usize) -> String {
    shape.read(body.as_bytes(), texts, &SentSecrets::default()).unwrap_err()
}

/// An answer of each shape with these vectors, written as JSON.
fn body(shape: ProviderApi, vectors: &[&str]) -> String {
    let listed: Vec<String> = match shape {
        ProviderApi::OpenAi | ProviderApi::Azure | ProviderApi::Voyage => (vectors.iter().enumerate())
            .map(|(index, vector)| {
                format!(r#"{{"object":"embedding","index":{index},"embedding":{vector}}}"#)
            })
            .collect(),
        ProviderApi::Cohere => vectors.iter().map(|&vector| vector.to_owned()).collect(),
        ProviderApi::Gemini => vectors.iter().map(|vector| format!(r#"{{"values":{vector}}}"#)).collect(),
    };
    let listed = listed.join(",");
    match shape {
        ProviderApi::OpenAi | ProviderApi::Azure | ProviderApi::Voyage => {
            format!(r#"{{"object":"list","data":[{listed}]}}"#)
        }
        ProviderApi::Cohere => format!(r#"{{"id":"1","texts":["NaN"],"embeddings":{{"float":[{listed}]}}}}"#),
        ProviderApi::Gemini => format!(r#"{{"embeddings":[{listed}]}}"#),
    }
}

#[test]
fn urls_have_no_double_slash() {
    for (shape, base, model, expected) in [
        (ProviderApi::OpenAi, "https://api.openai.com/v1", "m", "https://api.openai.com/v1/embeddings"),
        (ProviderApi::OpenAi, "http://localhost:8080/v1//", "m", "http://localhost:8080/v1/embeddings"),
        (ProviderApi::Cohere, "https://api.cohere.com/v2/", "m", "https://api.cohere.com/v2/embed"),
        (ProviderApi::Voyage, "https://api.voyageai.com/v1", "m", "https://api.voyageai.com/v1/embeddings"),
        (
            ProviderApi::Azure,
            "https://one.openai.azure.com/",
            "text-embedding-3-large",
            "https://one.openai.azure.com/openai/deployments/text-embedding-3-large/embeddings?api-version=2024-10-21",
        ),
        (
            ProviderApi::Azure,
            "https://one.openai.azure.com",
            "a b/ü?#%",
            "https://one.openai.azure.com/openai/deployments/a%20b%2F%C3%BC%3F%23%25/embeddings?api-version=2024-10-21",
        ),
        (
            ProviderApi::Gemini,
            "https://g.example/v1beta",
            "gemini-embedding-001",
            "https://g.example/v1beta/models/gemini-embedding-001:batchEmbedContents",
        ),
        (
            ProviderApi::Gemini,
            "https://g.example",
            "models/a:b",
            "https://g.example/models/a%3Ab:batchEmbedContents",
        ),
    ] {
        assert_eq!(shape.url(base, model, None), expected);
    }
    let preview = ProviderApi::Azure.url("https://a.example", "m", Some("2025-04-01-preview&x=1"));
    assert!(preview.ends_with("?api-version=2025-04-01-preview%26x%3D1"), "{preview}");
}

#[test]
fn defaults_and_limits_are_the_documented_ones() {
    for shape in ALL_APIS {
        let base = shape.base_url_default();
        assert_eq!(base.is_none(), shape == ProviderApi::Azure);
        assert!(base.is_none_or(|base| base.starts_with("https://") && !base.ends_with('/')));
        let (header, prefix) = shape.key_header();
        assert_eq!(prefix.is_empty(), header != AUTHORIZATION, "{header}");
    }
    assert_eq!(ALL_APIS.map(ProviderApi::texts_max), [2048, 2048, 96, 1000, 100]);
    let tokens_max = [Some(300_000), Some(300_000), None, Some(120_000), None];
    assert_eq!(ALL_APIS.map(ProviderApi::tokens_max_per_call), tokens_max);
    assert_eq!(ProviderApi::Azure.key_header().0, "api-key");
    assert_eq!(ProviderApi::Gemini.key_header().0, "x-goog-api-key");
    assert_eq!(ProviderApi::token_header(), (AUTHORIZATION, "Bearer "));
}

#[test]
fn requests_forbid_cutting() {
    let texts = texts(2);
    let passage = call(&texts, EmbeddingPurpose::Passage);
    let open = json!({"model": "model", "input": ["text 0", "text 1"]});
    assert_eq!(requested(ProviderApi::OpenAi, &passage), open);
    assert_eq!(requested(ProviderApi::Azure, &passage), open);
    let cohere = json!({
        "model": "model", "texts": ["text 0", "text 1"], "input_type": "search_document",
        "embedding_types": ["float"], "truncate": "NONE",
    });
    assert_eq!(requested(ProviderApi::Cohere, &passage), cohere);
    let voyage = json!({
        "model": "model", "input": ["text 0", "text 1"], "input_type": "document", "truncation": false,
    });
    assert_eq!(requested(ProviderApi::Voyage, &passage), voyage);
    let entry = |text: &str| {
        json!({
            "model": "models/model", "content": {"parts": [{"text": text}]},
            "embedContentConfig": {"taskType": "RETRIEVAL_DOCUMENT", "autoTruncate": false},
        })
    };
    let gemini = json!({"requests": [entry("text 0"), entry("text 1")]});
    assert_eq!(requested(ProviderApi::Gemini, &passage), gemini);
    let listed = EmbedCall { model: "models/model", ..passage };
    assert_eq!(requested(ProviderApi::Gemini, &listed), gemini);
}

#[test]
fn queries_and_dimensions_are_said() {
    let texts = texts(1);
    let query = EmbedCall { dims: Some(256), ..call(&texts, EmbeddingPurpose::Query) };
    for (shape, dims, purpose) in [
        (ProviderApi::OpenAi, "/dimensions", None),
        (ProviderApi::Azure, "/dimensions", None),
        (ProviderApi::Cohere, "/output_dimension", Some(("/input_type", "search_query"))),
        (ProviderApi::Voyage, "/output_dimension", Some(("/input_type", "query"))),
        (
            ProviderApi::Gemini,
            "/requests/0/embedContentConfig/outputDimensionality",
            Some(("/requests/0/embedContentConfig/taskType", "RETRIEVAL_QUERY")),
        ),
    ] {
        let body = requested(shape, &query);
        assert_eq!(body.pointer(dims), Some(&json!(256)), "{body}");
        if let Some((place, word)) = purpose {
            assert_eq!(body.pointer(place), Some(&json!(word)), "{body}");
        }
    }
}

#[test]
fn other_words_for_the_purpose_can_be_said_or_none() {
    let texts = texts(1);
    let place = |shape| match shape {
        ProviderApi::Gemini => "/requests/0/embedContentConfig/taskType",
        _ => "/input_type",
    };
    for shape in ALL_APIS {
        for (purpose, word) in [(EmbeddingPurpose::Passage, "passage"), (EmbeddingPurpose::Query, "query")] {
            let own = EmbedCall { input_types: Some(("passage", "query")), ..call(&texts, purpose) };
            assert_eq!(requested(shape, &own).pointer(place(shape)), Some(&json!(word)));
            let none = EmbedCall { input_types: Some(("", "")), ..own };
            assert_eq!(requested(shape, &none).pointer(place(shape)), None);
        }
    }
}

#[test]
fn texts_are_escaped() {
    let texts = vec!["\"\\\u{0}\n\u{2028}😀".to_owned()];
    for shape in ALL_APIS {
        let body = requested(shape, &call(&texts, EmbeddingPurpose::Passage));
        assert!(body.to_string().contains(&json!(texts[0]).to_string()), "{body}");
    }
}

#[test]
fn answers_of_the_documentation_are_read() {
    let openai = r#"{"object":"list","data":[{"object":"embedding","embedding":[0.0023064255,-0.009327292,-0.0028842222],"index":0}],"model":"text-embedding-ada-002","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let first = vec![vec![0.002_306_425_5, -0.009_327_292, -0.002_884_222_2]];
    let expected = EmbedResponse { vectors: first.clone(), tokens: Some(8) };
    assert_eq!(ProviderApi::OpenAi.answer(openai.as_bytes(), 1).unwrap(), expected);
    assert_eq!(ProviderApi::Azure.answer(openai.as_bytes(), 1).unwrap(), expected);
    // LM Studio does not count.
    let uncounted = openai.replace('8', "0");
    assert_eq!(ProviderApi::OpenAi.answer(uncounted.as_bytes(), 1).unwrap().tokens, None);

    let voyage = r#"{"object":"list","data":[{"object":"embedding","embedding":[0.25,0.5],"index":0},{"object":"embedding","embedding":[-1,1e-3],"index":1}],"model":"voyage-3.5","usage":{"total_tokens":10}}"#;
    let expected = EmbedResponse { vectors: vec![vec![0.25, 0.5], vec![-1.0, 0.001]], tokens: Some(10) };
    assert_eq!(ProviderApi::Voyage.answer(voyage.as_bytes(), 2).unwrap(), expected);

    let cohere = r#"{"id":"da6e531f","embeddings":{"float":[[0.016296387,-0.008354187],[0.04663086,-0.023239136]]},"texts":["hello","goodbye"],"meta":{"api_version":{"version":"2","is_experimental":true},"billed_units":{"input_tokens":2.0},"warnings":["experimental"]},"response_type":"embeddings_by_type"}"#;
    let vectors = vec![vec![0.016_296_387, -0.008_354_187], vec![0.046_630_86, -0.023_239_136]];
    let expected = EmbedResponse { vectors, tokens: Some(2) };
    assert_eq!(ProviderApi::Cohere.answer(cohere.as_bytes(), 2).unwrap(), expected);

    let gemini = r#"{"embeddings":[{"values":[-0.010632273,0.019375853]},{"values":[0.018467998]}],"usageMetadata":{"promptTokenCount":7}}"#;
    let expected = EmbedResponse {
        vectors: vec![vec![-0.010_632_273, 0.019_375_853], vec![0.018_467_998]],
        tokens: Some(7),
    };
    assert_eq!(ProviderApi::Gemini.answer(gemini.as_bytes(), 2).unwrap(), expected);
    assert!(ProviderApi::Gemini.answer(br#"{"embeddings":[{"values":[1]}]}"#, 1).unwrap().tokens.is_none());
}

#[test]
fn counts_of_tokens_are_never_a_reason_to_refuse() {
    for (usage, expected) in [
        (r#"{"prompt_tokens":5}"#, Some(5)),
        (r#"{"prompt_tokens":5,"total_tokens":9}"#, Some(9)),
        (r#"{"total_tokens":0}"#, None),
        (r#"{"total_tokens":-4}"#, None),
        (r#"{"total_tokens":1e300}"#, None),
        (r#"{"total_tokens":"5"}"#, None),
        ("[]", None),
        ("null", None),
        ("7", None),
    ] {
        let body = format!(r#"{{"data":[{{"index":0,"embedding":[1]}}],"usage":{usage}}}"#);
        assert_eq!(ProviderApi::OpenAi.answer(body.as_bytes(), 1).unwrap().tokens, expected, "{usage}");
    }
}

#[test]
fn order_is_by_index() {
    let data = |entries: &[(&str, &str)]| {
        let entries = entries.iter().map(|(index, vector)| {
            format!(r#"{{"embedding":[{vector}]{}}}"#, index.replace('=', r#","index":"#))
        });
        format!(r#"{{"data":[{}]}}"#, entries.collect::<Vec<_>>().join(","))
    };
    let reordered = data(&[("=2", "3"), ("=0", "1"), ("=1", "2")]);
    for shape in [ProviderApi::OpenAi, ProviderApi::Azure, ProviderApi::Voyage] {
        let vectors = shape.answer(reordered.as_bytes(), 3).unwrap().vectors;
        assert_eq!(vectors, [[1.0], [2.0], [3.0]]);
        assert_eq!(refusal_reason(shape, &data(&[("=0", "1"), ("=0", "2")]), 2), "embeds text 0 twice");
        assert_eq!(refusal_reason(shape, &data(&[("=0", "1"), ("=2", "2")]), 2), "embeds text 2 of 2");
        for odd in ["=-1", "=0.5", "=\"0\"", "=null", "=99999999999999999999", ""] {
            let body = data(&[(odd, "1"), ("=1", "2")]);
            assert_eq!(refusal_reason(shape, &body, 2), "is no list of embeddings", "{odd}");
        }
    }
}

#[test]
fn every_text_has_one_vector() {
    for shape in ALL_APIS {
        let two = body(shape, &["[1]", "[2]"]);
        assert_eq!(shape.answer(two.as_bytes(), 2).unwrap().vectors, [[1.0], [2.0]]);
        assert_eq!(refusal_reason(shape, &two, 1), "embeds 2 texts of 1");
        assert_eq!(refusal_reason(shape, &two, 3), "embeds 2 texts of 3");
        assert_eq!(refusal_reason(shape, &body(shape, &[]), 1), "embeds 0 texts of 1");
        assert!(shape.answer(body(shape, &[]).as_bytes(), 0).unwrap().vectors.is_empty());
    }
}

#[test]
fn a_bad_number_costs_its_vector_only() {
    for shape in ALL_APIS {
        for bad in [
            "null",
            "[]",
            "[null]",
            "[1,null,2]",
            "[NaN]",
            "[1,NaN,2]",
            "[Infinity,1]",
            "[-Infinity]",
            "[nan]",
            "[1e999]",
            "[-1e999]",
            "[1e39]",
            "[-1e39]",
            "[3.5e38]",
            "[\"NaN\"]",
            "[\"-Infinity\"]",
        ] {
            let body = body(shape, &["[1,2]", bad, "[3,4]"]);
            let vectors = shape.answer(body.as_bytes(), 3).unwrap().vectors;
            assert_eq!(vectors, [vec![1.0, 2.0], vec![], vec![3.0, 4.0]], "{body}");
        }
    }
    let nothing = ProviderApi::Gemini.answer(br#"{"embeddings":[{"values":[1]},{}]}"#, 2).unwrap();
    assert_eq!(nothing.vectors, [vec![1.0], vec![]]);
}

#[test]
fn odd_numbers_are_numbers() {
    for shape in ALL_APIS {
        let body = body(
            shape,
            &[
                "[0,-0.0,1e-999,1e38,18446744073709551615,-9223372036854775808,123456789012345678901234567890]",
            ],
        );
        let vectors = shape.answer(body.as_bytes(), 1).unwrap().vectors;
        let expected =
            [0.0, 0.0, 0.0, 1e38, 18_446_744_073_709_551_615.0, -9_223_372_036_854_775_808.0, 1.234_567_9e29];
        assert_eq!(vectors, [expected]);
    }
}

#[test]
fn what_is_no_number_spoils_the_answer() {
    for shape in ALL_APIS {
        for bad in ["[\"1\"]", "[true]", "[[1]]", "[{}]", "7", "\"AACAPw==\"", "{}", "true"] {
            assert_eq!(
                refusal_reason(shape, &body(shape, &[bad, "[1]"]), 2),
                "is no list of embeddings",
                "{bad}"
            );
        }
    }
}

#[test]
fn an_error_is_an_error_whatever_its_status() {
    for shape in ALL_APIS {
        let lm_studio = r#"{"error":"Unexpected endpoint or method. (POST /embeddings)"}"#;
        let expected = "is an error: Unexpected endpoint or method. (POST /embeddings)";
        assert_eq!(refusal_reason(shape, lm_studio, 1), expected);
        assert_eq!(refusal_reason(shape, r#"{"message":"no such model"}"#, 1), "is an error: no such model");
        assert_eq!(refusal_reason(shape, r#"{"detail":"no"}"#, 1), "is an error: no");
        let listed = r#"[{"error":{"message":"no","status":"UNAVAILABLE"}}]"#;
        assert_eq!(refusal_reason(shape, listed, 1), "is an error: no (UNAVAILABLE)");
    }
    let partial = r#"{"data":[],"error":{"message":"overloaded","type":null}}"#;
    assert_eq!(refusal_reason(ProviderApi::OpenAi, partial, 1), "is an error: overloaded");
}

#[test]
fn garbage_is_refused() {
    for shape in ALL_APIS {
        let whole = body(shape, &["[1,2]", "[3,4]"]);
        for end in 1..whole.len() {
            assert_eq!(refusal_reason(shape, &whole[..end], 2), "is not JSON", "{}", &whole[..end]);
        }
        for garbage in ["", " ", "null", "7", "<html>", "[[1,2],[3,4]]", "\u{feff}{}"] {
            assert_eq!(refusal_reason(shape, garbage, 2), "is no JSON object", "{garbage:?}");
        }
        for garbage in ["{", "{]", "{\"data\"", "{NaN}", "{\"a\":\"\\"] {
            assert_eq!(refusal_reason(shape, garbage, 2), "is not JSON", "{garbage:?}");
        }
        assert_eq!(refusal_reason(shape, "{}", 2), "is no list of embeddings");
        assert!(shape.answer(b"\xff\xfe{}", 2).is_err());
        assert!(shape.answer(b"{\"embeddings\":\"\xff\",\"data\":\"\xff\"}", 2).is_err());
        assert!(shape.answer(&whole.repeat(2).into_bytes(), 2).is_err());
    }
}

#[test]
fn deep_nesting_does_not_overflow() {
    let deep = "[".repeat(100_000);
    for shape in ALL_APIS {
        for body in [
            deep.clone(),
            "{\"a\":".repeat(100_000),
            format!(r#"{{"data":{deep}"#),
            format!(r#"{{"embeddings":{deep}"#),
            format!(r#"{{"usage":{deep}"#),
            format!(r#"{{"error":{deep}"#),
            format!(r#"{{"anything":{deep}{}}}"#, "]".repeat(100_000)),
            body(shape, &[&deep]),
        ] {
            assert!(shape.answer(body.as_bytes(), 1).is_err(), "{body:.60}");
        }
    }
}
