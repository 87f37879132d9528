//! The forward pass of BERT for one text, on candle's matrix multiplication.
//!
//! Owns the weights. One text at a time needs no padding and therefore no mask, and the result is exact.
//! candle's own model adds a mask, computes softmax in six tensor operations and calls a scalar `erf`
//! per number, which takes about twice the CPU time.
//! Architecture: Devlin et al. 2018, <https://arxiv.org/abs/1810.04805>.

use candle_core::{CpuStorage, DType, Device, Error, InplaceOp1, InplaceOp2, Layout, Result, Tensor};
use candle_nn::VarBuilder;
use serde::Deserialize;

use super::kernels::{self, LayerNorm};

/// The activation function between the two feed-forward matrices of a layer.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ActivationFunction {
    /// The exact GELU, with the error function.
    Gelu,
    /// Replaces negative numbers with zero.
    Relu,
}

/// The settings in `config.json` that the forward pass needs.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct BertConfig {
    pub(super) model_type: String,
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    hidden_act: ActivationFunction,
    pub(super) max_position_embeddings: usize,
    type_vocab_size: usize,
    layer_norm_eps: f64,
    #[serde(default = "default_position_type")]
    pub(super) position_embedding_type: String,
}

fn default_position_type() -> String {
    "absolute".to_owned()
}

/// A loaded BERT model.
#[derive(Debug)]
pub(super) struct BertEncoder {
    words: Tensor,
    /// Position embeddings, each with that of token type 0 added: a single text has no other type.
    positions: Tensor,
    norm: InPlaceOperation<LayerNorm>,
    layers: Vec<BertEncoderLayer>,
}

#[derive(Debug)]
struct BertEncoderLayer {
    heads: usize,
    query_key_value: LinearLayer,
    attention: LinearLayer,
    attention_norm: LayerNorm,
    widen: LinearLayer,
    activation: ActivationFunction,
    narrow: LinearLayer,
    output_norm: LayerNorm,
}

#[derive(Debug)]
struct LinearLayer {
    /// Input width by output width: transposed once on load, not per product.
    weight: Tensor,
    bias: Vec<f32>,
}

impl BertEncoder {
    /// Loads the weights, whether their names begin with `embeddings` or `bert.embeddings`.
    pub(super) fn load(config: &BertConfig, weights: Vec<u8>) -> Result<Self> {
        let root = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)?;
        let named = "embeddings.word_embeddings.weight";
        let root = if root.contains_tensor(named) { root } else { root.pp(&config.model_type) };
        let hidden = config.hidden_size;
        if config.num_attention_heads == 0 || !hidden.is_multiple_of(config.num_attention_heads) {
            return Err(Error::Msg(format!(
                "hidden size {hidden} is not a multiple of {} heads",
                config.num_attention_heads
            )));
        }
        let embeddings = root.pp("embeddings");
        let table = |name: &str, rows: usize| embeddings.get((rows, hidden), &format!("{name}.weight"));
        let types = table("token_type_embeddings", config.type_vocab_size)?;
        let positions = table("position_embeddings", config.max_position_embeddings)?;
        Ok(Self {
            words: table("word_embeddings", config.vocab_size)?,
            positions: positions.broadcast_add(&types.narrow(0, 0, 1)?)?,
            norm: InPlaceOperation(load_layer_norm(&embeddings.pp("LayerNorm"), config)?),
            layers: (0..config.num_hidden_layers)
                .map(|index| BertEncoderLayer::load(&root.pp(format!("encoder.layer.{index}")), config))
                .collect::<Result<_>>()?,
        })
    }

    /// Computes the last hidden states of one text: `hidden_size` numbers per token.
    pub(super) fn forward(&self, token_ids: &[u32]) -> Result<Vec<f32>> {
        let ids = Tensor::new(token_ids, &Device::Cpu)?;
        let hidden = (self.words.index_select(&ids, 0)? + self.positions.narrow(0, 0, token_ids.len())?)?;
        // The sum above is a tensor of our own, so it can be changed in place.
        hidden.inplace_op1(&self.norm)?;
        let hidden = self.layers.iter().try_fold(hidden, |hidden, layer| layer.forward(&hidden))?;
        hidden.flatten_all()?.to_vec1()
    }
}

impl BertEncoderLayer {
    fn load(root: &VarBuilder<'_>, config: &BertConfig) -> Result<Self> {
        let (hidden, wide) = (config.hidden_size, config.intermediate_size);
        let attention = root.pp("attention");
        let parts = ["query", "key", "value"]
            .map(|name| LinearLayer::load(&attention.pp("self").pp(name), hidden, hidden));
        let [query, key, value] = parts;
        Ok(Self {
            heads: config.num_attention_heads,
            // One matrix for all three, so that a layer computes one product instead of three.
            query_key_value: LinearLayer::concatenate(&[query?, key?, value?])?,
            attention: LinearLayer::load(&attention.pp("output.dense"), hidden, hidden)?,
            attention_norm: load_layer_norm(&attention.pp("output.LayerNorm"), config)?,
            widen: LinearLayer::load(&root.pp("intermediate.dense"), hidden, wide)?,
            activation: config.hidden_act,
            narrow: LinearLayer::load(&root.pp("output.dense"), wide, hidden)?,
            output_norm: load_layer_norm(&root.pp("output.LayerNorm"), config)?,
        })
    }

    fn forward(&self, hidden: &Tensor) -> Result<Tensor> {
        let context = self.attend(hidden)?;
        let attended = context.matmul(&self.attention.weight)?;
        // In place: both matrices are fresh from a product, and nobody else holds them.
        attended
            .inplace_op2(hidden, &ResidualNorm { bias: &self.attention.bias, norm: &self.attention_norm })?;
        let wide = attended.matmul(&self.widen.weight)?;
        wide.inplace_op1(&InPlaceOperation((&self.widen, self.activation)))?;
        let output = wide.matmul(&self.narrow.weight)?;
        output.inplace_op2(&attended, &ResidualNorm { bias: &self.narrow.bias, norm: &self.output_norm })?;
        Ok(output)
    }

    fn attend(&self, hidden: &Tensor) -> Result<Tensor> {
        let (tokens, width) = hidden.dims2()?;
        let head_width = width / self.heads;
        let all = hidden.matmul(&self.query_key_value.weight)?;
        all.inplace_op1(&InPlaceOperation(self.query_key_value.bias.as_slice()))?;
        // (tokens, 3, heads, head_width) → three views of (heads, tokens, head_width)
        let all = all.reshape((tokens, 3, self.heads, head_width))?;
        let part = |index: usize| all.narrow(1, index, 1)?.squeeze(1)?.transpose(0, 1)?.contiguous();
        let scores = part(0)?.matmul(&part(1)?.t()?)?;
        #[expect(clippy::cast_precision_loss, reason = "head widths are far below 2^24")]
        let scale = 1.0 / (head_width as f32).sqrt();
        scores.inplace_op1(&InPlaceOperation(ScaledSoftmax { columns: tokens, scale }))?;
        scores.matmul(&part(2)?)?.transpose(0, 1)?.reshape((tokens, width))
    }
}

impl LinearLayer {
    fn load(root: &VarBuilder<'_>, input: usize, output: usize) -> Result<Self> {
        let weight = root.get((output, input), "weight")?.t()?.contiguous()?;
        Ok(Self { weight, bias: root.get(output, "bias")?.to_vec1()? })
    }

    fn concatenate(parts: &[Self]) -> Result<Self> {
        let weights: Vec<&Tensor> = parts.iter().map(|part| &part.weight).collect();
        Ok(Self {
            weight: Tensor::cat(&weights, 1)?,
            bias: parts.iter().flat_map(|part| part.bias.iter().copied()).collect(),
        })
    }
}

fn load_layer_norm(root: &VarBuilder<'_>, config: &BertConfig) -> Result<LayerNorm> {
    #[expect(clippy::cast_possible_truncation, reason = "the computation is in f32")]
    let epsilon = config.layer_norm_eps as f32;
    // Old checkpoints say gamma and beta.
    let either = |new: &str, old: &str| {
        root.get(config.hidden_size, new).or_else(|_| root.get(config.hidden_size, old))
    };
    Ok(LayerNorm {
        weight: either("weight", "gamma")?.to_vec1()?,
        bias: either("bias", "beta")?.to_vec1()?,
        epsilon,
    })
}

/// Runs a row operation as an in-place operation of candle.
#[derive(Debug)]
struct InPlaceOperation<RowOperation>(RowOperation);

struct ScaledSoftmax {
    columns: usize,
    scale: f32,
}

trait RowOperation {
    fn run(&self, rows: &mut [f32]);
}

impl RowOperation for LayerNorm {
    fn run(&self, rows: &mut [f32]) {
        self.apply(rows);
    }
}

impl RowOperation for ScaledSoftmax {
    fn run(&self, rows: &mut [f32]) {
        kernels::softmax(rows, self.columns, self.scale);
    }
}

impl RowOperation for &[f32] {
    fn run(&self, rows: &mut [f32]) {
        kernels::add_bias(rows, self);
    }
}

impl RowOperation for (&LinearLayer, ActivationFunction) {
    fn run(&self, rows: &mut [f32]) {
        let (linear, activation) = self;
        match activation {
            ActivationFunction::Gelu => kernels::add_bias_gelu(rows, &linear.bias),
            ActivationFunction::Relu => kernels::add_bias_relu(rows, &linear.bias),
        }
    }
}

impl<S: RowOperation> InplaceOp1 for InPlaceOperation<S> {
    fn name(&self) -> &'static str {
        "bert step"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        self.0.run(contiguous_mut(storage, layout)?);
        Ok(())
    }
}

struct ResidualNorm<'a> {
    bias: &'a [f32],
    norm: &'a LayerNorm,
}

impl InplaceOp2 for ResidualNorm<'_> {
    fn name(&self) -> &'static str {
        "bert residual"
    }

    fn cpu_fwd(
        &self,
        storage: &mut CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> Result<()> {
        let (start, end) = contiguous_bounds(residual_layout)?;
        let residual = &residual.as_slice::<f32>()?[start..end];
        self.norm.add_and_apply(contiguous_mut(storage, layout)?, self.bias, residual);
        Ok(())
    }
}

fn contiguous_bounds(layout: &Layout) -> Result<(usize, usize)> {
    layout.contiguous_offsets().ok_or_else(|| Error::Msg("a step met a strided tensor".to_owned()))
}

fn contiguous_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let (start, end) = contiguous_bounds(layout)?;
    match storage {
        CpuStorage::F32(values) => Ok(&mut values[start..end]),
        _ => Err(Error::Msg("a step met numbers that are not f32".to_owned())),
    }
}
