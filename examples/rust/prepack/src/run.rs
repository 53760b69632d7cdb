//! The one way tokens go through a model.
use crate::cache::KvCache;
use crate::callbacks::Held;
use crate::cancel::Cancel;
use crate::describe::describe;
use crate::error::{call, Error, ErrorKind, Result};
use crate::item::{Item, ItemResult, Output, Target};
use crate::macros::slice;
use crate::plan::Plan;
use crate::session::Session;
use crate::sys;
use std::fmt;
use std::ops::ControlFlow;
use std::os::raw::c_void;
use std::ptr::{null, NonNull};
use std::sync::Arc;

type ProgressFn<'a> = dyn FnMut(i64, i64) + 'a;
type SinkFn<'a> = dyn FnMut(&Logits<'_>) -> ControlFlow<()> + 'a;

/// Some rows of logits of one item, lent to the sink for a call.
#[derive(Debug)]
#[non_exhaustive]
pub struct Logits<'a> {
    /// Index of the item.
    pub i_item: usize,
    /// Row i is what follows the item's token `first_token` + i.
    pub first_token: usize,
    /// At most 64.
    pub n_rows: usize,
    /// Of each row.
    pub vocab_size: usize,
    /// `[n_rows, vocab_size]`
    pub logits: &'a [f32],
}

/// Settings of a run.
#[derive(Default)]
pub struct RunParams<'a> {
    plan: Option<&'a Plan>,
    cancel: Option<&'a Cancel>,
    min_shared_prefix: Option<i64>,
    progress: Option<Box<ProgressFn<'a>>>,
    sink: Option<Box<SinkFn<'a>>>,
}

impl<'a> RunParams<'a> {
    /// A plan made from the items' numbers of tokens: its bins say which items share a pass.
    #[must_use]
    pub fn plan(mut self, plan: &'a Plan) -> Self {
        self.plan = Some(plan);
        self
    }

    /// A token that ends the call.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Without a plan: what items that have no tokens yet begin with alike is computed once, where it is at least so
    /// many tokens. 0, the default of a run: never.
    #[must_use]
    pub fn min_shared_prefix(mut self, tokens: i64) -> Self {
        self.min_shared_prefix = Some(tokens);
        self
    }

    /// Called after each forward pass: tokens computed so far, and in all.
    #[must_use]
    pub fn progress(mut self, progress: impl FnMut(i64, i64) + 'a) -> Self {
        self.progress = Some(Box::new(progress));
        self
    }

    /// Gets logits in pieces instead of [`ItemResult::logits`], those of an item in order. Break ends the run with
    /// [`ErrorKind::Cancelled`].
    #[must_use]
    pub fn sink(mut self, sink: impl FnMut(&Logits<'_>) -> ControlFlow<()> + 'a) -> Self {
        self.sink = Some(Box::new(sink));
        self
    }

    pub(crate) fn has_plan_or_sink(&self) -> bool {
        self.plan.is_some() || self.sink.is_some()
    }

    /// Makes a call of a session with C's form of the settings and hands a panic of a callback on.
    pub(crate) fn with_raw<T>(
        self,
        session: *mut sys::pp_session,
        default_prefix: i64,
        make: impl FnOnce(*const sys::pp_plan, &sys::pp_run_params) -> Result<T>,
    ) -> Result<T> {
        let (has_progress, has_sink) = (self.progress.is_some(), self.sink.is_some());
        let mut callbacks = Callbacks {
            progress: self.progress,
            sink: self.sink,
            session,
            held: Held::default(),
        };
        let user = &mut callbacks as *mut Callbacks<'_> as *mut c_void;
        let mut c = sized!(sys::pp_run_params);
        c.cancel = self.cancel.map_or(null(), Cancel::as_ptr);
        c.min_shared_prefix = self.min_shared_prefix.unwrap_or(default_prefix);
        if has_progress {
            c.progress = Some(progress);
            c.progress_user = user;
        }
        if has_sink {
            c.sink = Some(sink);
            c.sink_user = user;
        }
        let result = make(self.plan.map_or(null(), |plan| plan.as_ptr()), &c);
        callbacks.held.resume();
        result
    }
}

impl fmt::Debug for RunParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunParams")
            .field("plan", &self.plan)
            .field("cancel", &self.cancel)
            .field("min_shared_prefix", &self.min_shared_prefix)
            .finish_non_exhaustive()
    }
}

struct Callbacks<'a> {
    progress: Option<Box<ProgressFn<'a>>>,
    sink: Option<Box<SinkFn<'a>>>,
    session: *mut sys::pp_session,
    held: Held,
}

unsafe extern "C" fn progress(user: *mut c_void, n_tokens: i64, n_all: i64) {
    let callbacks = &mut *(user as *mut Callbacks<'_>);
    if let Some(progress) = &mut callbacks.progress {
        if callbacks.held.call(|| progress(n_tokens, n_all)).is_none() {
            sys::pp_session_cancel(callbacks.session); // it panicked
        }
    }
}

unsafe extern "C" fn sink(user: *mut c_void, piece: *const sys::pp_logits) -> i32 {
    let callbacks = &mut *(user as *mut Callbacks<'_>);
    let piece = &*piece;
    let logits = Logits {
        i_item: piece.i_item as usize,
        first_token: piece.first_token as usize,
        n_rows: piece.n_rows as usize,
        vocab_size: piece.vocab_size as usize,
        logits: slice(piece.logits, piece.n_rows * i64::from(piece.vocab_size)),
    };
    match &mut callbacks.sink {
        Some(sink) => match callbacks.held.call(|| sink(&logits)) {
            Some(ControlFlow::Continue(())) => 0,
            _ => 1,
        },
        None => 1,
    }
}

impl Session {
    /// Runs items in packed forward passes and gives what each asked for. After an error every cache has its length
    /// of before and none was created.
    pub fn run(
        &mut self,
        items: &mut [Item<'_>],
        params: RunParams<'_>,
    ) -> Result<Vec<ItemResult>> {
        let has_sink = params.sink.is_some();
        let mut results = room_for_results(items.len())?;
        let mut raw = Vec::new();
        for (i, item) in items.iter_mut().enumerate() {
            raw.push(describe(self, i, item, has_sink, &mut results[i])?);
        }
        let session = self.raw();
        params.with_raw(session, 0, |plan, c| {
            call(|err| unsafe {
                sys::pp_run(session, plan, raw.as_mut_ptr(), raw.len() as i64, c, err)
            })?;
            for (i, (item, c)) in items.iter().zip(&raw).enumerate() {
                if let Target::New = item.target {
                    results[i].cache = NonNull::new(c.cache).map(|raw| KvCache {
                        raw,
                        shared: Arc::clone(&self.shared),
                    });
                }
                if let Output::Token(_) = item.output {
                    results[i].next = Some(c.next);
                }
            }
            Ok(results)
        })
    }
}

fn room_for_results(n: usize) -> Result<Vec<ItemResult>> {
    let mut results = Vec::new();
    results.try_reserve_exact(n).map_err(|_| {
        Error::new(
            ErrorKind::OutOfMemory,
            format!("no memory for the results of {n} items"),
        )
    })?;
    results.resize_with(n, ItemResult::default);
    Ok(results)
}
