//! Items of a run: tokens, the cache they go to, and what is wanted of them.
use crate::cache::KvCache;
use crate::sys;

c_enum! {
    /// How hidden states of an item's tokens become one vector.
    #[derive(Default)]
    Pooling {
        /// The last token's.
        #[default]
        Last = PP_POOLING_LAST,
        /// The mean over the item's tokens.
        Mean = PP_POOLING_MEAN,
        /// The first token's.
        First = PP_POOLING_FIRST,
    }
}

/// Most of [`Item::top`].
pub const MAX_TOP: usize = sys::PP_MAX_TOP as usize;

/// The log-probability of one token in one row, asked for and given. Row t is what the model gives after an item's
/// token t.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Score(pub(crate) sys::pp_score);

impl Score {
    /// Asks how likely a token id is after the item's token `row`.
    pub fn of(row: usize, target: i32) -> Self {
        Self(sys::pp_score {
            token: i64::try_from(row).unwrap_or(i64::MAX),
            target,
            rank: -1,
            logprob: 0.0,
        })
    }

    /// Asks for the most likely tokens of a row alone ([`Item::top`]).
    pub fn top_of(row: usize) -> Self {
        Self::of(row, sys::PP_NO_TARGET)
    }

    /// The row that was asked for.
    pub fn row(&self) -> usize {
        self.0.token as usize
    }

    /// The token id that was asked for.
    pub fn target(&self) -> Option<i32> {
        Some(self.0.target).filter(|&target| target != sys::PP_NO_TARGET)
    }

    /// How many ids are more likely; None without a target.
    pub fn rank(&self) -> Option<usize> {
        usize::try_from(self.0.rank).ok()
    }

    /// Natural log of the target's probability; 0 without a target.
    pub fn logprob(&self) -> f64 {
        self.0.logprob
    }
}

params! {
    /// How a token is drawn; the default takes the most likely one.
    #[derive(Copy, PartialEq)]
    Sampling {
        /// 0: the most likely token.
        temperature: f32,
        /// 0: no limit.
        top_k: i32,
        /// 0 .. 1; 0 and 1: no limit.
        top_p: f32,
        /// 0 .. 1; 0: no limit.
        min_p: f32,
        /// Of the noise.
        seed: u64,
    }
}

/// What an item's tokens are appended to.
#[derive(Debug)]
pub(crate) enum Target<'a> {
    New,
    Discarded,
    Existing(&'a mut KvCache),
}

/// What is wanted of an item.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Output<'a> {
    Nothing,
    LastLogits,
    AllLogits,
    Token(Sampling),
    Hidden(Option<&'a [i64]>),
    Pooled(Pooling),
    Labels,
}

impl Output<'_> {
    /// Logits that a sink takes where there is one.
    pub(crate) fn is_logits_of_tokens(&self) -> bool {
        matches!(self, Self::LastLogits | Self::AllLogits)
    }
}

/// One prompt's share of a run: made by [`Item::new`], then told what is wanted. An item may run more than once.
#[derive(Debug)]
pub struct Item<'a> {
    pub(crate) tokens: &'a [i32],
    pub(crate) target: Target<'a>,
    pub(crate) output: Output<'a>,
    pub(crate) normalize: bool,
    pub(crate) scores: &'a mut [Score],
    pub(crate) n_top: usize,
}

impl<'a> Item<'a> {
    /// A new cache of these tokens and nothing else.
    pub fn new(tokens: &'a [i32]) -> Self {
        Self {
            tokens,
            target: Target::New,
            output: Output::Nothing,
            normalize: false,
            scores: &mut [],
            n_top: 0,
        }
    }

    /// Appends to a cache of the session instead of making one.
    #[must_use]
    pub fn append_to(mut self, cache: &'a mut KvCache) -> Self {
        self.target = Target::Existing(cache);
        self
    }

    /// No cache is handed out: its pages go back as soon as the item is done.
    #[must_use]
    pub fn discard_cache(mut self) -> Self {
        self.target = Target::Discarded;
        self
    }

    fn output(mut self, output: Output<'a>) -> Self {
        self.output = output;
        self
    }

    /// Wants the most likely token after the last one: [`ItemResult::next`].
    #[must_use]
    pub fn token(self) -> Self {
        self.sample(Sampling::default())
    }

    /// Wants a token drawn after the last one: [`ItemResult::next`].
    #[must_use]
    pub fn sample(self, sampling: Sampling) -> Self {
        self.output(Output::Token(sampling))
    }

    /// Wants the logits of the last token: [`ItemResult::logits`].
    #[must_use]
    pub fn last_logits(self) -> Self {
        self.output(Output::LastLogits)
    }

    /// Wants the logits of every token, `[tokens, vocab_size]`: [`ItemResult::logits`], unless the run has a sink.
    #[must_use]
    pub fn all_logits(self) -> Self {
        self.output(Output::AllLogits)
    }

    /// Wants the hidden states of every token, `[tokens, hidden_size]`: [`ItemResult::hidden`].
    #[must_use]
    pub fn hidden(self) -> Self {
        self.output(Output::Hidden(None))
    }

    /// Wants the hidden states of these tokens of the item, in this order: [`ItemResult::hidden`].
    #[must_use]
    pub fn hidden_of(self, rows: &'a [i64]) -> Self {
        self.output(Output::Hidden(Some(rows)))
    }

    /// Wants one vector, `[hidden_size]`: [`ItemResult::hidden`].
    #[must_use]
    pub fn pooled(self, pooling: Pooling) -> Self {
        self.output(Output::Pooled(pooling))
    }

    /// Wants the scores of the labels of a model with a classification head: [`ItemResult::logits`].
    #[must_use]
    pub fn labels(self) -> Self {
        self.output(Output::Labels)
    }

    /// Vectors of hidden states are divided by their Euclidean norm.
    #[must_use]
    pub fn normalize(mut self) -> Self {
        self.normalize = true;
        self
    }

    /// Wants log-probabilities, besides the output: filled in place. After an error what is given is undefined.
    #[must_use]
    pub fn scores(mut self, scores: &'a mut [Score]) -> Self {
        self.scores = scores;
        self
    }

    /// Wants the n most likely tokens of each score's row: [`ItemResult::top_tokens`]. At most [`MAX_TOP`].
    #[must_use]
    pub fn top(mut self, n: usize) -> Self {
        self.n_top = n;
        self
    }
}

/// What a run gives for an item; what was not asked for is empty.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ItemResult {
    /// The new cache, where the item made one.
    pub cache: Option<KvCache>,
    /// The token that was drawn.
    pub next: Option<i32>,
    /// Logits, or scores of labels.
    pub logits: Vec<f32>,
    /// Hidden states, one behind the other.
    pub hidden: Vec<f32>,
    /// `[scores, top]`, most likely first.
    pub top_tokens: Vec<i32>,
    /// Theirs.
    pub top_logprobs: Vec<f64>,
}
