//! What a forward pass costs.
use crate::error::{call, Result};
use crate::macros::{array_text, put_text, text_of};
use crate::session::Session;
use crate::sys;

/// What a forward pass costs on one machine: see `prepack/cost.h`. The default: its tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct CostModel {
    /// Of each pass.
    pub per_pass: f64,
    /// Of each token.
    pub per_token: f64,
    /// Of a token and a token that it may see or not, both of one prompt.
    pub per_square: f64,
    /// Of each prompt.
    pub per_prompt: f64,
    /// Tokens are computed in multiples of this; at least 1.
    pub tile: i64,
    /// Of the fit; 0: not known.
    pub error: f64,
    /// Where it was measured, at most 63 bytes.
    pub device: String,
    /// Of which model, at most 63 bytes.
    pub model: String,
    /// Of the largest pass that was measured; 0: not known.
    pub max_tokens: i64,
}

impl Default for CostModel {
    fn default() -> Self {
        let mut c = sized!(sys::pp_cost_model);
        unsafe { sys::pp_cost_init(&mut c, std::mem::size_of_val(&c)) };
        Self::from_raw(&c)
    }
}

impl CostModel {
    fn from_raw(c: &sys::pp_cost_model) -> Self {
        Self {
            per_pass: c.per_pass,
            per_token: c.per_token,
            per_square: c.per_square,
            per_prompt: c.per_prompt,
            tile: c.tile,
            error: c.error,
            device: array_text(&c.device),
            model: array_text(&c.model),
            max_tokens: c.max_tokens,
        }
    }

    pub(crate) fn to_raw(&self) -> Result<sys::pp_cost_model> {
        let mut c = sized!(sys::pp_cost_model);
        c.per_pass = self.per_pass;
        c.per_token = self.per_token;
        c.per_square = self.per_square;
        c.per_prompt = self.per_prompt;
        c.tile = self.tile;
        c.error = self.error;
        c.max_tokens = self.max_tokens;
        put_text(&mut c.device, "the device of a cost model", &self.device)?;
        put_text(&mut c.model, "the model of a cost model", &self.model)?;
        Ok(c)
    }

    /// The cost of a pass of prompts of these lengths.
    pub fn predict(&self, lengths: &[i64]) -> Result<f64> {
        let c = self.to_raw()?;
        let (lengths, n) = (lengths.as_ptr(), lengths.len() as i64);
        let mut cost = 0.0;
        call(|err| unsafe { sys::pp_cost_predict(&c, lengths, n, &mut cost, err) })?;
        Ok(cost)
    }

    /// As JSON, in the form that `prepack tune` writes.
    pub fn to_json(&self) -> Result<String> {
        let c = self.to_raw()?;
        text_of(|text, room, bytes, err| unsafe {
            sys::pp_cost_to_json(&c, text, room, bytes, err)
        })
    }

    /// Reads what [`CostModel::to_json`] or `prepack tune` wrote.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut c = sized!(sys::pp_cost_model);
        call(|err| unsafe {
            sys::pp_cost_from_json(text.as_ptr().cast(), text.len(), &mut c, err)
        })?;
        Ok(Self::from_raw(&c))
    }
}

params! {
    /// Settings of [`Session::measure_cost`].
    CostParams {
        /// Of passes that only write KV caches, without logits.
        cache_only: bool,
        /// Of a pass; 0: the session's.
        max_tokens: i64,
        /// Tokens of a prompt; 0: as many as the model and a pass hold.
        max_length: i64,
        /// To spend, about; 0: 10.
        seconds: f64,
        /// Of the lengths and token ids.
        seed: u64,
    }
}

impl Session {
    /// Measures the cost model of the session's device and model, in seconds.
    pub fn measure_cost(&mut self, params: &CostParams) -> Result<CostModel> {
        let mut p = sized!(sys::pp_cost_params);
        p.cache_only = params.cache_only.into();
        p.max_tokens = params.max_tokens;
        p.max_length = params.max_length;
        p.seconds = params.seconds;
        p.seed = params.seed;
        let mut c = sized!(sys::pp_cost_model);
        call(|err| unsafe { sys::pp_cost_measure(self.raw(), &p, &mut c, err) })?;
        Ok(CostModel::from_raw(&c))
    }
}
