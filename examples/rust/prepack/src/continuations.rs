//! How likely texts go on in given ways.
use crate::error::{call, Error, ErrorKind, Result};
use crate::run::RunParams;
use crate::session::Session;
use crate::sys;

/// Tokens, the first `n_context` of which are given and the others continue them.
#[derive(Clone, Copy, Debug)]
pub struct Continuation<'a> {
    /// Context, then continuation.
    pub tokens: &'a [i32],
    /// 1 .. tokens - 1.
    pub n_context: usize,
}

/// What is given for a continuation.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ContinuationScore {
    /// log p(continuation | context), natural.
    pub logprob: f64,
    /// Every token of it was the most likely one.
    pub is_greedy: bool,
}

impl Session {
    /// Scores continuations in one run; contexts that they have in common are computed once, from 16 tokens on unless
    /// the settings say another number. No cache is kept.
    pub fn score_continuations(
        &mut self,
        all: &[Continuation<'_>],
        params: RunParams<'_>,
    ) -> Result<Vec<ContinuationScore>> {
        if params.has_plan_or_sink() {
            return Err(Error::new(
                ErrorKind::Argument,
                "continuations are scored without a plan and a sink",
            ));
        }
        let mut raw: Vec<_> = all
            .iter()
            .map(|one| sys::pp_continuation {
                tokens: one.tokens.as_ptr(),
                n_tokens: one.tokens.len() as i64,
                n_context: i64::try_from(one.n_context).unwrap_or(i64::MAX),
                logprob: 0.0,
                is_greedy: 0,
            })
            .collect();
        let session = self.raw();
        params.with_raw(session, 16, |_, c| {
            call(|err| unsafe {
                sys::pp_score_continuations(session, raw.as_mut_ptr(), raw.len() as i64, c, err)
            })
        })?;
        Ok(raw
            .iter()
            .map(|c| ContinuationScore {
                logprob: c.logprob,
                is_greedy: c.is_greedy == 1,
            })
            .collect())
    }
}
