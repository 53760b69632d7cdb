//! The planner: lengths in, bins out.
use crate::cost::CostModel;
use crate::error::{call, Error, ErrorKind, Result};
use crate::plan::Plan;
use crate::sys;
use std::ptr::{null, null_mut, NonNull};

c_enum! {
    /// What the bins shall be.
    #[derive(Default)]
    Objective {
        /// As few bins of the capacity as possible.
        #[default]
        FewestBins = PP_OBJECTIVE_FEWEST_BINS,
        /// So many bins, the dearest as cheap as possible.
        Balanced = PP_OBJECTIVE_BALANCED,
        /// Rows of a few lengths, each computed in full, the cheapest in all.
        Cheapest = PP_OBJECTIVE_CHEAPEST,
    }
}

c_enum! {
    /// Policies of [`Objective::FewestBins`]: see `prepack/packer.h`.
    Policy {
        /// First-fit decreasing.
        Ffd = PP_POLICY_FFD,
        /// Best-fit decreasing.
        Bfd = PP_POLICY_BFD,
        /// Next fit, keeps the order of the prompts.
        Arrival = PP_POLICY_ARRIVAL,
        /// In order of arrival, each into the first bin with room.
        FirstFit = PP_POLICY_FIRST_FIT,
        /// In order of arrival, each into the fullest bin with room.
        BestFit = PP_POLICY_BEST_FIT,
        /// Until the plan is proven optimal or the limits are reached.
        Exact = PP_POLICY_EXACT,
        /// Ffd, then as Exact while the gap is open, within limits for planning on the fly.
        Auto = PP_POLICY_AUTO,
    }
}

c_enum! {
    /// What becomes of prompts longer than the capacity.
    #[derive(Default)]
    Oversize {
        /// [`ErrorKind::TooLong`].
        #[default]
        Error = PP_OVERSIZE_ERROR,
        /// Alone in a bin as large as they are.
        OwnBin = PP_OVERSIZE_OWN_BIN,
        /// Into chunks, in bins that run one after another.
        Split = PP_OVERSIZE_SPLIT,
    }
}

params! {
    /// Limits and policy of a packer; what is 0, empty or None has its default.
    PackerParams {
        /// What the bins shall be.
        objective: Objective,
        /// Tokens of a bin; 0: the longest prompt of each call.
        capacity: i64,
        /// What becomes of prompts longer than that.
        oversize: Oversize,
        /// Bins are runs of prompts in order of arrival.
        keep_order: bool,
        /// Prompts of a bin; 0: no limit.
        max_prompts: i64,
        /// A bin's tokens are rounded up to a multiple of this; 0: 1.
        bin_alignment: i64,
        /// Each prompt's room is a multiple of this; 0: 1.
        prompt_alignment: i64,
        /// Of a search; -1: no limit.
        max_steps: i64,
        /// Also stop searching after this time; 0: no such limit.
        max_seconds: f64,
        /// What a bin costs; None: its tokens.
        cost: Option<CostModel>,
        /// Of [`Objective::FewestBins`]; None: [`Policy::Ffd`].
        policy: Option<Policy>,
        /// Of [`Objective::FewestBins`]: of the bins there are; none: as many of `capacity` as it takes.
        capacities: Vec<i64>,
        /// Of [`Objective::FewestBins`]: prefixes of so many tokens that prompts share are placed once; 0: none.
        min_shared_prefix: i64,
        /// Of [`Objective::Balanced`]: bins to make.
        n_bins: i64,
        /// Of [`Objective::Cheapest`]: lengths that a row may have.
        row_lens: Vec<i64>,
    }
}

impl PackerParams {
    fn plain(&self) -> sys::pp_packer_params {
        let mut c = sized!(sys::pp_packer_params);
        unsafe { sys::pp_packer_params_init(&mut c, std::mem::size_of_val(&c)) };
        c.objective = self.objective.raw();
        c.capacity = self.capacity;
        c.oversize = self.oversize.raw();
        c.keep_order = self.keep_order.into();
        c.max_prompts = self.max_prompts;
        if self.bin_alignment != 0 {
            c.bin_alignment = self.bin_alignment;
        }
        if self.prompt_alignment != 0 {
            c.prompt_alignment = self.prompt_alignment;
        }
        c.max_steps = self.max_steps;
        c.max_seconds = self.max_seconds;
        c
    }
}

/// Packs lengths into bins. Immutable, may be shared by threads.
#[derive(Debug)]
pub struct Packer {
    raw: NonNull<sys::pp_packer>,
}

// "immutable, may be shared by threads" (packer.h)
unsafe impl Send for Packer {}
unsafe impl Sync for Packer {}

impl Drop for Packer {
    fn drop(&mut self) {
        unsafe { sys::pp_packer_destroy(self.raw.as_ptr()) }
    }
}

/// Prompts and what is known of them besides their lengths.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanInput<'a> {
    /// Tokens of each prompt; None: those of `prompts`.
    pub lengths: Option<&'a [i64]>,
    /// Token ids, looked at where prefixes are shared.
    pub prompts: Option<&'a [&'a [i32]]>,
    /// Prompts with the same number, not negative, go into the same bin.
    pub together: Option<&'a [i32]>,
    /// Prompts with the same number, not negative, go into different bins.
    pub apart: Option<&'a [i32]>,
}

impl PlanInput<'_> {
    /// The number of prompts, by which C reads every array.
    fn count(&self) -> Result<usize> {
        let sizes = [
            self.lengths.map(<[i64]>::len),
            self.prompts.map(<[&[i32]]>::len),
            self.together.map(<[i32]>::len),
            self.apart.map(<[i32]>::len),
        ];
        let n = sizes[0].or(sizes[1]).unwrap_or(0);
        if sizes.iter().flatten().any(|&size| size != n) {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("the arrays of {n} prompts have {sizes:?} elements"),
            ));
        }
        Ok(n)
    }
}

impl Packer {
    /// Creates a packer.
    pub fn new(params: &PackerParams) -> Result<Self> {
        let mut c = params.plain();
        let cost = params.cost.as_ref().map(CostModel::to_raw).transpose()?;
        c.cost = cost.as_ref().map_or(null(), |cost| cost);
        let mut fewest = sized!(sys::pp_fewest_params);
        if params.policy.is_some() || !params.capacities.is_empty() || params.min_shared_prefix != 0
        {
            fewest.policy = params.policy.map_or(0, Policy::raw);
            fewest.capacities = params.capacities.as_ptr();
            fewest.n_capacities = params.capacities.len() as i64;
            fewest.min_shared_prefix = params.min_shared_prefix;
            c.fewest = &fewest;
        }
        let mut balanced = sized!(sys::pp_balanced_params);
        if params.n_bins != 0 {
            balanced.n_bins = params.n_bins;
            c.balanced = &balanced;
        }
        let mut cheapest = sized!(sys::pp_cheapest_params);
        if !params.row_lens.is_empty() {
            cheapest.row_lens = params.row_lens.as_ptr();
            cheapest.n_row_lens = params.row_lens.len() as i64;
            c.cheapest = &cheapest;
        }
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_packer_create(&c, &mut raw, err) })?;
        Ok(Self {
            raw: NonNull::new(raw).expect("a packer"),
        })
    }

    /// Packs prompts of these lengths into bins.
    pub fn plan(&self, lengths: &[i64]) -> Result<Plan> {
        let (packer, n) = (self.raw.as_ptr(), lengths.len() as i64);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_packer_plan(packer, lengths.as_ptr(), n, &mut raw, err) })?;
        Ok(Plan::own(raw))
    }

    /// Packs prompts by more than their lengths.
    pub fn plan_input(&self, input: &PlanInput<'_>) -> Result<Plan> {
        let mut c = sized!(sys::pp_plan_input);
        c.n = input.count()? as i64;
        let prompts = input.prompts.map(raw_prompts);
        c.lengths = input.lengths.map_or(null(), <[i64]>::as_ptr);
        c.prompts = prompts.as_ref().map_or(null(), |all| all.as_ptr());
        c.together = input.together.map_or(null(), <[i32]>::as_ptr);
        c.apart = input.apart.map_or(null(), <[i32]>::as_ptr);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_packer_plan_input(self.raw.as_ptr(), &c, &mut raw, err) })?;
        Ok(Plan::own(raw))
    }
}

/// C's slices of the prompts, as long-lived as these.
pub(crate) fn raw_prompts(prompts: &[impl AsRef<[i32]>]) -> Vec<sys::pp_prompt> {
    prompts
        .iter()
        .map(AsRef::as_ref)
        .map(|tokens| sys::pp_prompt {
            tokens: tokens.as_ptr(),
            n_tokens: tokens.len() as i64,
        })
        .collect()
}
