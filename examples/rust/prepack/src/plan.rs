//! What a plan says: its figures, bins and segments.
use crate::error::{call, Result};
use crate::macros::{room, slice, text_of};
use crate::packer::{Objective, Policy};
use crate::sys;
use std::ptr::{null, null_mut, NonNull};

/// Bins and what they hold. Immutable, may be shared by threads.
#[derive(Debug)]
pub struct Plan {
    raw: NonNull<sys::pp_plan>,
}

// "Immutable, may be shared by threads" (bins.h)
unsafe impl Send for Plan {}
unsafe impl Sync for Plan {}

impl Drop for Plan {
    fn drop(&mut self) {
        unsafe { sys::pp_plan_destroy(self.raw.as_ptr()) }
    }
}

/// Figures of a plan. Costs are in units of the cost model: seconds, or tokens without one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PlanInfo {
    /// That found these bins; [`Policy::Auto`]: none of the others alone.
    pub policy: Option<Policy>,
    /// What the bins are.
    pub objective: Objective,
    /// No packing is better by the objective, rounding aside.
    pub proven_optimal: bool,
    /// 1: max_steps, 2: max_seconds ended the search.
    pub limit_reached: i32,
    /// Prompts that were packed.
    pub n_prompts: usize,
    /// Bins they are in.
    pub n_bins: usize,
    /// Tokens of a bin, of the largest where they differ.
    pub capacity: i64,
    /// Sum of all lengths.
    pub tokens: i64,
    /// Its tokens.
    pub longest_prompt: i64,
    /// No packing has fewer bins.
    pub lower_bound: i64,
    /// 1 - placed tokens / capacity of all bins.
    pub waste: f64,
    /// Of bins to the bound, or of costs.
    pub gap: f64,
    /// That the planning took.
    pub seconds: f64,
    /// Places in the bins; prompts unless these are split or shared.
    pub n_segments: usize,
    /// Tokens less those that prefixes share.
    pub placed_tokens: i64,
    /// Placed tokens and what alignment adds to them.
    pub used: i64,
    /// Of all bins.
    pub total_capacity: i64,
    /// Prompts of the bin that has most.
    pub max_bin_prompts: i64,
    /// Prompts of a bin.
    pub mean_bin_prompts: f64,
    /// Of a bin.
    pub max_cost: f64,
    /// Of a bin.
    pub mean_cost: f64,
    /// No packing is cheaper; 0 for fewest bins.
    pub cost_bound: f64,
}

/// Figures of a bin.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct BinInfo {
    /// Which of the bins that there are; None: none were given.
    pub choice: Option<usize>,
    /// Segments of all bins are numbered from 0.
    pub first_segment: usize,
    /// Of this bin.
    pub n_segments: usize,
    /// Sum of the segments.
    pub tokens: i64,
    /// And what alignment adds.
    pub used: i64,
    /// At least `used`.
    pub capacity: i64,
    /// By the plan's cost model.
    pub cost: f64,
}

/// Some tokens of a prompt, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Segment {
    /// Of those that share the tokens, the one with the lowest index.
    pub prompt: usize,
    /// Of the prompt.
    pub first_token: i64,
    /// And how many.
    pub n_tokens: i64,
    /// Place in the bin, alignment included.
    pub start: i64,
    /// The segment, in an earlier bin, whose cache this one continues.
    pub after: Option<usize>,
}

/// Figures of a partition. Costs are in units of the plan's cost model.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PartitionInfo {
    /// No partition's dearest worker is cheaper, rounding aside.
    pub proven_optimal: bool,
    /// The search ended before it was done.
    pub limit_reached: bool,
    /// Workers that were asked for.
    pub n_workers: i64,
    /// Of a worker.
    pub max_bins: i64,
    /// Of a worker.
    pub max_cost: f64,
    /// Of a worker.
    pub mean_cost: f64,
    /// In no partition is the dearest worker cheaper.
    pub cost_bound: f64,
    /// max_cost / cost_bound - 1
    pub gap: f64,
}

impl Plan {
    pub(crate) fn own(raw: *mut sys::pp_plan) -> Self {
        Self {
            raw: NonNull::new(raw).expect("a plan"),
        }
    }

    /// C's handle, valid as long as the plan.
    pub fn as_ptr(&self) -> *const sys::pp_plan {
        self.raw.as_ptr()
    }

    /// The plan's figures.
    pub fn info(&self) -> Result<PlanInfo> {
        let mut c = sized!(sys::pp_plan_info);
        call(|err| unsafe { sys::pp_plan_get_info(self.as_ptr(), &mut c, err) })?;
        Ok(PlanInfo {
            policy: Policy::from_raw(c.policy).ok(),
            objective: Objective::from_raw(c.objective)?,
            proven_optimal: c.proven_optimal == 1,
            limit_reached: c.limit_reached,
            n_prompts: c.n_prompts as usize,
            n_bins: c.n_bins as usize,
            capacity: c.capacity,
            tokens: c.tokens,
            longest_prompt: c.longest_prompt,
            lower_bound: c.lower_bound,
            waste: c.waste,
            gap: c.gap,
            seconds: c.seconds,
            n_segments: c.n_segments as usize,
            placed_tokens: c.placed_tokens,
            used: c.used,
            total_capacity: c.total_capacity,
            max_bin_prompts: c.max_bin_prompts,
            mean_bin_prompts: c.mean_bin_prompts,
            max_cost: c.max_cost,
            mean_cost: c.mean_cost,
            cost_bound: c.cost_bound,
        })
    }

    /// One bin's prompts, as indices into the lengths that were packed, in the order in which they lie. Where prompts
    /// are split or shared these are segments: a prompt may be in several bins.
    pub fn bin(&self, i: usize) -> Result<&[i32]> {
        let (mut prompts, mut n) = (null(), 0);
        let bin = i64::try_from(i).unwrap_or(i64::MAX);
        call(|err| unsafe {
            sys::pp_plan_get_bin(self.as_ptr(), bin, &mut prompts, &mut n, null_mut(), err)
        })?;
        Ok(unsafe { slice(prompts, n) }) // as long-lived as the plan
    }

    /// All bins, in order.
    pub fn bins(&self) -> Result<Vec<&[i32]>> {
        (0..self.info()?.n_bins).map(|i| self.bin(i)).collect()
    }

    /// Figures of one bin.
    pub fn bin_info(&self, i: usize) -> Result<BinInfo> {
        let mut c = sized!(sys::pp_bin_info);
        let bin = i64::try_from(i).unwrap_or(i64::MAX);
        call(|err| unsafe { sys::pp_plan_get_bin_info(self.as_ptr(), bin, &mut c, err) })?;
        Ok(BinInfo {
            choice: usize::try_from(c.choice).ok(),
            first_segment: c.first_segment as usize,
            n_segments: c.n_segments as usize,
            tokens: c.tokens,
            used: c.used,
            capacity: c.capacity,
            cost: c.cost,
        })
    }

    /// One of the plan's segments.
    pub fn segment(&self, i: usize) -> Result<Segment> {
        let mut c = sys::pp_segment {
            prompt: 0,
            first_token: 0,
            n_tokens: 0,
            start: 0,
            after: -1,
        };
        let i = i64::try_from(i).unwrap_or(i64::MAX);
        call(|err| unsafe { sys::pp_plan_get_segment(self.as_ptr(), i, &mut c, err) })?;
        Ok(Segment {
            prompt: c.prompt as usize,
            first_token: c.first_token,
            n_tokens: c.n_tokens,
            start: c.start,
            after: usize::try_from(c.after).ok(),
        })
    }

    /// The segments that hold each prompt's last token.
    pub fn ends(&self) -> Result<Vec<i64>> {
        let mut ends = room(self.info()?.n_prompts, 0)?;
        let (segments, n) = (ends.as_mut_ptr(), ends.len() as i64);
        call(|err| unsafe { sys::pp_plan_get_ends(self.as_ptr(), segments, n, err) })?;
        Ok(ends)
    }

    /// Gives every bin a worker of 0 .. n_workers - 1, so that the dearest one is cheap.
    pub fn partition(&self, n_workers: usize) -> Result<(Vec<i32>, PartitionInfo)> {
        let mut workers = room(self.info()?.n_bins, 0)?;
        let (worker_of_bin, n) = (workers.as_mut_ptr(), workers.len() as i64);
        let n_workers = i64::try_from(n_workers).unwrap_or(i64::MAX);
        let mut c = sized!(sys::pp_partition_info);
        call(|err| unsafe {
            sys::pp_plan_partition(self.as_ptr(), n_workers, worker_of_bin, n, &mut c, err)
        })?;
        let info = PartitionInfo {
            proven_optimal: c.proven_optimal == 1,
            limit_reached: c.limit_reached == 1,
            n_workers: c.n_workers,
            max_bins: c.max_bins,
            max_cost: c.max_cost,
            mean_cost: c.mean_cost,
            cost_bound: c.cost_bound,
            gap: c.gap,
        };
        Ok((workers, info))
    }

    /// The plan as JSON (docs/plan-format.md).
    pub fn to_json(&self) -> Result<String> {
        text_of(|text, room, bytes, err| unsafe {
            sys::pp_plan_to_json(self.as_ptr(), text, room, bytes, err)
        })
    }

    /// Reads a plan that [`Plan::to_json`], or somebody else, wrote. Nothing in it is believed that can be checked.
    pub fn from_json(text: &str) -> Result<Self> {
        let mut raw = null_mut();
        call(|err| unsafe {
            sys::pp_plan_from_json(text.as_ptr().cast(), text.len(), null(), &mut raw, err)
        })?;
        Ok(Self::own(raw))
    }
}
