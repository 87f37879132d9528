//! Pooling of token states into one vector, as sentence-transformers defines it.

use serde_json::{Map, Value};

/// How token states are combined into one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolingMode {
    /// The mean of all states.
    Mean,
    /// The first token's state.
    Cls,
    /// The maximum of each dimension.
    Max,
}

impl PoolingMode {
    /// Reads `1_Pooling/config.json`. If no mode, several or an unknown one is switched on, the error
    /// names them.
    pub fn from_config(config: &Map<String, Value>) -> Result<Self, String> {
        let mut modes: Vec<&str> = config
            .iter()
            .filter(|(_, value)| **value == Value::Bool(true))
            .filter_map(|(name, _)| name.strip_prefix("pooling_mode_"))
            .collect();
        modes.extend(config.get("pooling_mode").and_then(Value::as_str));
        match modes.as_slice() {
            ["mean_tokens" | "mean"] => Ok(Self::Mean),
            ["cls_token" | "cls"] => Ok(Self::Cls),
            ["max_tokens" | "max"] => Ok(Self::Max),
            [] => Err("none".to_owned()),
            several => Err(several.join(" and ")),
        }
    }

    /// The mode's name in a model's fingerprint.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
            Self::Max => "max",
        }
    }

    /// Pools the states of all tokens of one text, `dims` numbers each.
    pub fn pool(self, states: &[f32], dims: usize) -> Vec<f32> {
        let mut rows = states.chunks_exact(dims);
        let mut pooled = rows.next().map_or_else(|| vec![0.0; dims], <[f32]>::to_vec);
        let combine = match self {
            // The caller scales the vector to unit length, so the sum serves as the mean.
            Self::Mean => |pooled: f32, state: f32| pooled + state,
            Self::Max => f32::max,
            Self::Cls => return pooled,
        };
        for row in rows {
            for (pooled, state) in pooled.iter_mut().zip(row) {
                *pooled = combine(*pooled, *state);
            }
        }
        pooled
    }
}
