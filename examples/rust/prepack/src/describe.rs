//! Items as C has them: structs that point into the items and into the vectors that their results are.
use crate::error::{Error, ErrorKind, Result};
use crate::item::{Item, ItemResult, Output, Target, MAX_TOP};
use crate::macros::room;
use crate::session::Session;
use crate::sys;
use std::ptr::null_mut;
use std::sync::Arc;

/// C's item, valid as long as the item and the result stay where they are. What decides how much room the results
/// take is looked at here; all else C looks at.
pub(crate) fn describe(
    session: &Session,
    i: usize,
    item: &mut Item<'_>,
    has_sink: bool,
    result: &mut ItemResult,
) -> Result<sys::pp_item> {
    let positions = session.config.max_position;
    let refuse = |kind, message: String| Err(Error::at(kind, i, message));
    if item.tokens.len() > positions {
        let n = item.tokens.len();
        let message = format!("item {i} has {n} tokens; the model has {positions} positions");
        return refuse(ErrorKind::TooLong, message);
    }
    if item.n_top > MAX_TOP {
        let n = item.n_top;
        let message = format!("item {i} wants {n} top tokens; allowed: 0 to {MAX_TOP}");
        return refuse(ErrorKind::Argument, message);
    }
    let mut c = sized!(sys::pp_item);
    c.tokens = item.tokens.as_ptr();
    c.n_tokens = item.tokens.len() as i64;
    c.normalize = item.normalize.into();
    match &mut item.target {
        Target::New => {}
        Target::Discarded => c.discard_cache = 1,
        Target::Existing(cache) if Arc::ptr_eq(&cache.shared, &session.shared) => {
            c.cache = cache.raw.as_ptr();
        }
        Target::Existing(_) => {
            let message = format!("the cache of item {i} belongs to another session");
            return refuse(ErrorKind::Argument, message);
        }
    }
    describe_scores(item, result, &mut c)?;
    let (n_logits, n_hidden) = describe_output(session, item, &mut c);
    if n_logits > 0 && !(has_sink && item.output.is_logits_of_tokens()) {
        result.logits = room(n_logits, 0.0)?;
        c.logits = result.logits.as_mut_ptr();
    }
    if n_hidden > 0 {
        result.hidden = room(n_hidden, 0.0)?;
        c.hidden = result.hidden.as_mut_ptr();
    }
    Ok(c)
}

fn describe_scores(
    item: &mut Item<'_>,
    result: &mut ItemResult,
    c: &mut sys::pp_item,
) -> Result<()> {
    let n = item.n_top * item.scores.len();
    c.scores = if item.scores.is_empty() {
        null_mut()
    } else {
        item.scores.as_mut_ptr().cast()
    };
    c.n_scores = item.scores.len() as i64;
    if n > 0 {
        c.n_top = item.n_top as i32;
        result.top_tokens = room(n, 0)?;
        result.top_logprobs = room(n, 0.0)?;
        c.top_tokens = result.top_tokens.as_mut_ptr();
        c.top_logprobs = result.top_logprobs.as_mut_ptr();
    }
    Ok(())
}

/// Gives how many numbers the output takes: logits and hidden states.
fn describe_output(session: &Session, item: &Item<'_>, c: &mut sys::pp_item) -> (usize, usize) {
    let (config, n_tokens) = (&session.config, item.tokens.len());
    match item.output {
        Output::Nothing => (0, 0),
        Output::LastLogits => {
            c.output = sys::PP_OUTPUT_LAST_LOGITS;
            (config.vocab_size, 0)
        }
        Output::AllLogits => {
            c.output = sys::PP_OUTPUT_ALL_LOGITS;
            (n_tokens * config.vocab_size, 0)
        }
        Output::Token(sampling) => {
            c.output = sys::PP_OUTPUT_TOKEN;
            c.temperature = sampling.temperature;
            c.top_k = sampling.top_k;
            c.top_p = sampling.top_p;
            c.min_p = sampling.min_p;
            c.seed = sampling.seed;
            (0, 0)
        }
        Output::Hidden(rows) => {
            c.output = sys::PP_OUTPUT_HIDDEN;
            if let Some(rows) = rows {
                c.hidden_tokens = rows.as_ptr();
                c.n_hidden = rows.len() as i64;
            }
            (0, rows.map_or(n_tokens, <[i64]>::len) * config.hidden_size)
        }
        Output::Pooled(pooling) => {
            c.output = sys::PP_OUTPUT_POOLED;
            c.pooling = pooling.raw();
            (0, config.hidden_size)
        }
        Output::Labels => {
            c.output = sys::PP_OUTPUT_LABELS;
            (config.n_labels.max(1), 0) // without labels C says so
        }
    }
}
