//! The planner for prompts that arrive one by one.
use crate::cost::CostModel;
use crate::error::{call, Result};
use crate::macros::room;
use crate::packer::Oversize;
use crate::sys;
use std::ptr::{null, null_mut, NonNull};
use std::time::Duration;

params! {
    /// The rules of a queue; what is 0 or None has its default.
    QueueParams {
        /// Tokens of a step; there is no default.
        capacity: i64,
        /// What becomes of prompts longer than that.
        oversize: Oversize,
        /// Prompts leave in the order in which they came.
        keep_order: bool,
        /// Prompts that may wait; 0: 4096.
        max_waiting: i64,
        /// Prompts of a step; 0: no limit.
        max_prompts: i64,
        /// A step's tokens are rounded up to a multiple of this; 0: 1.
        bin_alignment: i64,
        /// Each prompt's room is a multiple of this; 0: 1.
        prompt_alignment: i64,
        /// What a step costs; None: its tokens.
        cost: Option<CostModel>,
        /// That a prompt may wait for company; None: 10 ms.
        max_age: Option<Duration>,
        /// Of waiting that a level of priority is worth; None: 1 s.
        priority_age: Option<Duration>,
    }
}

/// A prompt to wait for its step.
#[derive(Clone, Copy, Debug, Default)]
pub struct WaitingPrompt {
    /// The host's name for it; no two that wait share one.
    pub id: i64,
    /// At least 1.
    pub n_tokens: i64,
    /// Higher goes first.
    pub priority: i32,
    /// From now until it is due; None: the queue's `max_age`.
    pub deadline: Option<Duration>,
}

/// What became of a prompt that was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It waits.
    Waiting,
    /// The queue is full: try again after the next step.
    Full,
}

/// What [`Queue::next`] found.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub enum Taken {
    /// The next step.
    Step(Step),
    /// Nothing waits, or what waits is not due and would not fill a step well.
    NotYet,
    /// The queue is closed and nothing waits any more.
    Closed,
}

/// What runs together.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// Its prompts, or parts of prompts.
    pub prompts: Vec<StepPrompt>,
    /// Their sum.
    pub tokens: i64,
    /// Tokens and what alignment adds.
    pub used: i64,
    /// Tokens it could hold.
    pub capacity: i64,
    /// Prompts that wait on.
    pub n_waiting: i64,
    /// By the queue's cost model.
    pub cost: f64,
}

/// Some tokens of a prompt in a step.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepPrompt {
    /// The host's name for it.
    pub id: i64,
    /// 0 unless the prompt is split.
    pub first_token: i64,
    /// And how many.
    pub n_tokens: i64,
    /// Place in the step, alignment included.
    pub start: i64,
    /// Since it was added.
    pub age: Duration,
    /// Later steps hold the rest of the prompt.
    pub continues: bool,
}

/// What a queue has done so far.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct QueueStats {
    /// After [`Queue::close`].
    pub closed: bool,
    /// Prompts.
    pub waiting: i64,
    /// Theirs.
    pub waiting_tokens: i64,
    /// Prompts.
    pub added: i64,
    /// Prompts; one that is split counts with its last part.
    pub handed_out: i64,
    /// Prompts.
    pub cancelled: i64,
    /// Adds that were answered [`Added::Full`].
    pub refused: i64,
    /// Steps.
    pub steps: i64,
    /// In all steps.
    pub tokens: i64,
    /// And what alignment adds to them.
    pub used: i64,
    /// 1 - tokens / capacity of all steps.
    pub waste: f64,
    /// That the oldest prompt waits.
    pub oldest_age: Duration,
    /// From add to step, of the prompts handed out.
    pub mean_age: Duration,
    /// Half of them waited at most this long.
    pub p50_age: Duration,
    /// 99 of 100.
    pub p99_age: Duration,
    /// The longest of all.
    pub longest_age: Duration,
}

/// Turns prompts that arrive one by one into steps: see `prepack/queue.h`. Any thread may call anything.
#[derive(Debug)]
pub struct Queue {
    raw: NonNull<sys::pp_queue>,
}

// "any thread may call any of these functions at any time but while the queue is destroyed" (queue.h)
unsafe impl Send for Queue {}
unsafe impl Sync for Queue {}

impl Drop for Queue {
    fn drop(&mut self) {
        unsafe { sys::pp_queue_destroy(self.raw.as_ptr()) }
    }
}

/// C's seconds; 0 where it has none.
fn duration(seconds: f64) -> Duration {
    if seconds.is_finite() && seconds > 0.0 {
        Duration::from_secs_f64(seconds.min(1e15))
    } else {
        Duration::ZERO
    }
}

impl Queue {
    /// Creates a queue.
    pub fn new(params: &QueueParams) -> Result<Self> {
        let mut c = sized!(sys::pp_queue_params);
        unsafe { sys::pp_queue_params_init(&mut c, std::mem::size_of_val(&c)) };
        let cost = params.cost.as_ref().map(CostModel::to_raw).transpose()?;
        c.cost = cost.as_ref().map_or(null(), |cost| cost);
        c.capacity = params.capacity;
        c.oversize = params.oversize.raw();
        c.keep_order = params.keep_order.into();
        c.max_prompts = params.max_prompts;
        for (to, from) in [
            (&mut c.max_waiting, params.max_waiting),
            (&mut c.bin_alignment, params.bin_alignment),
            (&mut c.prompt_alignment, params.prompt_alignment),
        ] {
            if from != 0 {
                *to = from;
            }
        }
        if let Some(age) = params.max_age {
            c.max_age = age.as_secs_f64();
        }
        if let Some(age) = params.priority_age {
            c.priority_age = age.as_secs_f64();
        }
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_queue_create(&c, &mut raw, err) })?;
        Ok(Self {
            raw: NonNull::new(raw).expect("a queue"),
        })
    }

    /// Lets a prompt wait. Never waits itself.
    pub fn add(&self, prompt: &WaitingPrompt) -> Result<Added> {
        let mut c = sized!(sys::pp_waiting_prompt);
        c.priority = prompt.priority;
        c.id = prompt.id;
        c.n_tokens = prompt.n_tokens;
        c.deadline = prompt
            .deadline
            .map_or(0.0, |deadline| deadline.as_secs_f64());
        match call(|err| unsafe { sys::pp_queue_add(self.raw.as_ptr(), &c, err) })? {
            sys::PP_AGAIN => Ok(Added::Full),
            _ => Ok(Added::Waiting),
        }
    }

    /// Takes the next step, of at most `max_prompts` prompts, and waits for it: at most so long; None: for as long as
    /// it takes.
    pub fn next(&self, max_wait: Option<Duration>, max_prompts: usize) -> Result<Taken> {
        let none = sys::pp_step_prompt {
            id: 0,
            first_token: 0,
            n_tokens: 0,
            start: 0,
            age: 0.0,
            continues: 0,
        };
        let mut prompts = room(max_prompts, none)?;
        let mut c = sized!(sys::pp_step);
        c.prompts = prompts.as_mut_ptr();
        c.room = prompts.len() as i64;
        let wait = max_wait.map_or(f64::INFINITY, |wait| wait.as_secs_f64());
        match call(|err| unsafe { sys::pp_queue_next(self.raw.as_ptr(), wait, &mut c, err) })? {
            sys::PP_AGAIN => return Ok(Taken::NotYet),
            sys::PP_GONE => return Ok(Taken::Closed),
            _ => {}
        }
        Ok(Taken::Step(Step {
            prompts: prompts[..c.n_prompts as usize]
                .iter()
                .map(|p| StepPrompt {
                    id: p.id,
                    first_token: p.first_token,
                    n_tokens: p.n_tokens,
                    start: p.start,
                    age: duration(p.age),
                    continues: p.continues == 1,
                })
                .collect(),
            tokens: c.tokens,
            used: c.used,
            capacity: c.capacity,
            n_waiting: c.n_waiting,
            cost: c.cost,
        }))
    }

    /// Removes a prompt that waits. False: it does not wait.
    pub fn cancel(&self, id: i64) -> Result<bool> {
        let status = call(|err| unsafe { sys::pp_queue_cancel(self.raw.as_ptr(), id, err) })?;
        Ok(status != sys::PP_GONE)
    }

    /// No prompt can be added any more; [`Queue::next`] hands out what waits and answers [`Taken::Closed`] then.
    pub fn close(&self) -> Result<()> {
        call(|err| unsafe { sys::pp_queue_close(self.raw.as_ptr(), err) }).map(drop)
    }

    /// What the queue has done so far.
    pub fn stats(&self) -> Result<QueueStats> {
        let mut c = sized!(sys::pp_queue_stats);
        call(|err| unsafe { sys::pp_queue_get_stats(self.raw.as_ptr(), &mut c, err) })?;
        Ok(QueueStats {
            closed: c.closed == 1,
            waiting: c.waiting,
            waiting_tokens: c.waiting_tokens,
            added: c.added,
            handed_out: c.handed_out,
            cancelled: c.cancelled,
            refused: c.refused,
            steps: c.steps,
            tokens: c.tokens,
            used: c.used,
            waste: c.waste,
            oldest_age: duration(c.oldest_age),
            mean_age: duration(c.mean_age),
            p50_age: duration(c.p50_age),
            p99_age: duration(c.p99_age),
            longest_age: duration(c.longest_age),
        })
    }
}
