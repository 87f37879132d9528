//! A tiny random BERT folder, and the same model computed the slow and plain way.

#![expect(clippy::cast_precision_loss, reason = "the numbers are small")]

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde_json::{Value, json};

pub(crate) const HIDDEN: usize = 32;
const HEADS: usize = 4;
const WIDE: usize = 64;
pub(crate) const POSITIONS: usize = 24;

/// Weights by name: row-major numbers and their shape.
pub(crate) type TinyModelWeights = BTreeMap<String, (Vec<f32>, Vec<usize>)>;

/// The vocabulary: special tokens, then letters, as first and as continuing pieces.
fn vocabulary() -> Vec<String> {
    let special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ":", "."].map(str::to_owned);
    let letters = ('a'..='z').flat_map(|letter| [letter.to_string(), format!("##{letter}")]);
    special.into_iter().chain(letters).collect()
}

/// Token ids of lower-case words, as the folder's tokenizer gives them.
pub(crate) fn token_ids(text: &str) -> Vec<usize> {
    let letter = |byte: u8, continuing: bool| 6 + 2 * usize::from(byte - b'a') + usize::from(continuing);
    let words = text.split_whitespace().flat_map(|word| {
        word.bytes().enumerate().map(move |(index, byte)| match byte {
            b':' => 4,
            b'.' => 5,
            _ => letter(byte, index > 0),
        })
    });
    [2].into_iter().chain(words).chain([3]).collect()
}

pub(crate) fn weights() -> TinyModelWeights {
    let vocabulary = vocabulary().len();
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![vocabulary, HIDDEN]),
        ("embeddings.position_embeddings.weight".into(), vec![POSITIONS, HIDDEN]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, HIDDEN]),
        ("embeddings.LayerNorm.weight".into(), vec![HIDDEN]),
        ("embeddings.LayerNorm.bias".into(), vec![HIDDEN]),
    ];
    for (name, output, input) in [
        ("attention.self.query", HIDDEN, HIDDEN),
        ("attention.self.key", HIDDEN, HIDDEN),
        ("attention.self.value", HIDDEN, HIDDEN),
        ("attention.output.dense", HIDDEN, HIDDEN),
        ("intermediate.dense", WIDE, HIDDEN),
        ("output.dense", HIDDEN, WIDE),
    ] {
        shapes.push((format!("encoder.layer.0.{name}.weight"), vec![output, input]));
        shapes.push((format!("encoder.layer.0.{name}.bias"), vec![output]));
    }
    for name in ["attention.output.LayerNorm", "output.LayerNorm"] {
        shapes.push((format!("encoder.layer.0.{name}.weight"), vec![HIDDEN]));
        shapes.push((format!("encoder.layer.0.{name}.bias"), vec![HIDDEN]));
    }
    // xorshift64*, fixed seed: the same folder everywhere.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut number = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 40;
        (bits as f32 / (1 << 24) as f32 - 0.5) * 0.6
    };
    let mut filled = TinyModelWeights::new();
    for (name, shape) in shapes {
        let numbers = (0..shape.iter().product()).map(|_| number()).collect();
        filled.insert(name, (numbers, shape));
    }
    filled
}

/// What a test changes in the folder.
pub(crate) struct TinyModelOptions {
    pub(crate) pooling: Value,
    pub(crate) prompts: Value,
    pub(crate) sequence_max: usize,
    pub(crate) root: &'static str,
}

impl Default for TinyModelOptions {
    fn default() -> Self {
        let pooling = json!({ "word_embedding_dimension": HIDDEN, "pooling_mode_mean_tokens": true });
        Self { pooling, prompts: json!({}), sequence_max: 20, root: "" }
    }
}

/// Writes the folder; its `tokenizer.json` truncates and pads at 8, which must not matter.
pub(crate) fn write(folder: &Path, options: &TinyModelOptions) {
    let words: HashMap<String, usize> = vocabulary().into_iter().zip(0..).collect();
    let special = |id: usize, content: &str| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": true })
    };
    let tokenizer = json!({
        "version": "1.0",
        "truncation": { "max_length": 8, "strategy": "LongestFirst", "stride": 0, "direction": "Right" },
        "padding": { "strategy": { "Fixed": 8 }, "direction": "Right", "pad_to_multiple_of": null,
                     "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]" },
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                        "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "decoder": null,
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                   "max_input_chars_per_word": 100, "vocab": words },
    });
    let config = json!({
        "model_type": "bert", "vocab_size": words.len(), "hidden_size": HIDDEN, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "intermediate_size": WIDE, "hidden_act": "gelu",
        "max_position_embeddings": POSITIONS, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        "position_embedding_type": "absolute",
    });
    let modules = json!([
        { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
        { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" },
        { "idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize" },
    ]);
    std::fs::create_dir_all(folder.join("1_Pooling")).unwrap();
    for (name, value) in [
        ("tokenizer.json", tokenizer),
        ("config.json", config),
        ("modules.json", modules),
        ("1_Pooling/config.json", options.pooling.clone()),
        ("sentence_bert_config.json", json!({ "max_seq_length": options.sequence_max })),
        ("config_sentence_transformers.json", json!({ "prompts": options.prompts })),
    ] {
        std::fs::write(folder.join(name), serde_json::to_vec(&value).unwrap()).unwrap();
    }
    let tensors: HashMap<String, Tensor> = weights()
        .into_iter()
        .map(|(name, (numbers, shape))| {
            (format!("{}{name}", options.root), Tensor::from_vec(numbers, shape, &Device::Cpu).unwrap())
        })
        .collect();
    candle_core::safetensors::save(&tensors, folder.join("model.safetensors")).unwrap();
}

type FloatMatrix = Vec<Vec<f64>>;

/// The states of all tokens, in double precision and nested loops.
pub(crate) fn states(token_ids: &[usize]) -> FloatMatrix {
    let weights = weights();
    let numbers = |name: &str| -> Vec<f64> { weights[name].0.iter().copied().map(f64::from).collect() };
    let row = |name: &str, index: usize| numbers(name)[index * HIDDEN..(index + 1) * HIDDEN].to_vec();
    let layer = |name: &str| format!("encoder.layer.0.{name}");
    let linear = |rows: &FloatMatrix, name: &str| -> FloatMatrix {
        let weight = numbers(&layer(&format!("{name}.weight")));
        let bias = numbers(&layer(&format!("{name}.bias")));
        let product = |row: &Vec<f64>, output: usize| {
            let weight = &weight[output * row.len()..(output + 1) * row.len()];
            bias[output] + row.iter().zip(weight).map(|(value, weight)| value * weight).sum::<f64>()
        };
        rows.iter().map(|row| (0..bias.len()).map(|output| product(row, output)).collect()).collect()
    };
    let norm = |rows: &FloatMatrix, name: &str| -> FloatMatrix {
        let (weight, bias) = (numbers(&format!("{name}.weight")), numbers(&format!("{name}.bias")));
        rows.iter()
            .map(|row| {
                let mean = row.iter().sum::<f64>() / HIDDEN as f64;
                let variance = row.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / HIDDEN as f64;
                let unit = |index: usize| (row[index] - mean) / (variance + 1e-12).sqrt();
                (0..HIDDEN).map(|index| unit(index) * weight[index] + bias[index]).collect()
            })
            .collect()
    };
    let add = |left: &FloatMatrix, right: &FloatMatrix| -> FloatMatrix {
        let sum =
            |(left, right): (&Vec<f64>, &Vec<f64>)| left.iter().zip(right).map(|(a, b)| a + b).collect();
        left.iter().zip(right).map(sum).collect()
    };
    let embedded: FloatMatrix = token_ids
        .iter()
        .enumerate()
        .map(|(position, id)| {
            let word = row("embeddings.word_embeddings.weight", *id);
            let place = row("embeddings.position_embeddings.weight", position);
            let kind = row("embeddings.token_type_embeddings.weight", 0);
            (0..HIDDEN).map(|index| word[index] + place[index] + kind[index]).collect()
        })
        .collect();
    let hidden = norm(&embedded, "embeddings.LayerNorm");
    let (query, key, value) = (
        linear(&hidden, "attention.self.query"),
        linear(&hidden, "attention.self.key"),
        linear(&hidden, "attention.self.value"),
    );
    let width = HIDDEN / HEADS;
    let mut context = vec![vec![0.0; HIDDEN]; token_ids.len()];
    for head in 0..HEADS {
        let part = head * width..(head + 1) * width;
        for (token, context) in context.iter_mut().enumerate() {
            let score = |other: usize| {
                part.clone().map(|index| query[token][index] * key[other][index]).sum::<f64>()
                    / (width as f64).sqrt()
            };
            let weights: Vec<f64> = (0..token_ids.len()).map(|other| score(other).exp()).collect();
            let total: f64 = weights.iter().sum();
            for index in part.clone() {
                context[index] =
                    weights.iter().zip(&value).map(|(weight, value)| weight / total * value[index]).sum();
            }
        }
    }
    let attended = linear(&context, "attention.output.dense");
    let attended = norm(&add(&attended, &hidden), &layer("attention.output.LayerNorm"));
    let mut wide = linear(&attended, "intermediate.dense");
    for value in wide.iter_mut().flatten() {
        *value = 0.5 * *value * (1.0 + erf(*value / 2.0_f64.sqrt()));
    }
    norm(&add(&linear(&wide, "output.dense"), &attended), &layer("output.LayerNorm"))
}

fn erf(input: f64) -> f64 {
    let (mut term, mut sum) = (input, input);
    for n in 1..100 {
        term *= -input * input / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}
