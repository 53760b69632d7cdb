//! Sessions: a model on a device.
use crate::cost::CostModel;
use crate::dtype::DType;
use crate::error::{call, Result};
use crate::log::{Log, LogLevel};
use crate::macros::{array_text, c_text, static_text};
use crate::model::{Model, ModelConfig};
use crate::plan::Plan;
use crate::sys;
use std::cell::Cell;
use std::ffi::CString;
use std::fmt;
use std::marker::PhantomData;
use std::ptr::{null, null_mut, NonNull};
use std::sync::Arc;

c_enum! {
    /// How a session keeps its weight matrices.
    #[derive(Default)]
    Weights {
        /// As they are stored.
        #[default]
        Auto = PP_WEIGHTS_AUTO,
        /// 32-bit floating point; needs [`DType::F32`].
        F32 = PP_WEIGHTS_F32,
        /// Rounds to nearest even what is wider.
        Bf16 = PP_WEIGHTS_BF16,
        /// A scale for each row of a matrix.
        Int8 = PP_WEIGHTS_INT8,
        /// Symmetric, a scale for 32 neighbours of a row.
        Int4 = PP_WEIGHTS_INT4,
        /// The 16 values of QLoRA, a scale for 64.
        Nf4 = PP_WEIGHTS_NF4,
    }
}

impl fmt::Display for Weights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(unsafe { static_text(sys::pp_weights_name(self.raw())) })
    }
}

params! {
    /// Settings of a session.
    SessionParams {
        /// Of products and KV.
        dtype: DType,
        /// "cpu", the default, "cuda", "cuda:1", "cpu:avx2": see `prepack/session.h`.
        device: String,
        /// CPU threads; 0: one for each processor that the process may use.
        n_threads: i32,
        /// Most tokens of one forward pass; 0: the backend's choice.
        max_pass_tokens: i32,
        /// Bytes of the device's memory; 0: nine tenths of what is free.
        memory_limit: i64,
        /// Sliding windows keep the pages behind them.
        keep_window_pages: bool,
        /// The format of the matrices.
        weights: Weights,
    } hidden {
        log: Option<Log>,
    }
}

impl SessionParams {
    /// Who is told what the session passes over; without it: nobody.
    #[must_use]
    pub fn log(mut self, receive: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Log::new(receive));
        self
    }

    /// C's settings, which point into `device`.
    fn to_raw(&self, device: &CString) -> sys::pp_session_params {
        let mut c = sized!(sys::pp_session_params);
        c.dtype = self.dtype.raw();
        c.device = if self.device.is_empty() {
            null()
        } else {
            device.as_ptr()
        };
        c.n_threads = self.n_threads;
        c.max_pass_tokens = self.max_pass_tokens;
        c.memory_limit = self.memory_limit;
        c.keep_window_pages = self.keep_window_pages.into();
        c.weights = self.weights.raw();
        (c.log, c.log_user) = Log::fields(&self.log);
        c
    }
}

/// C's session, which caches need as well.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) raw: NonNull<sys::pp_session>,
    _model: Model,
    _log: Option<Log>,
}

// What is done through a shared one is pp_session_cancel, safe from any thread. The last one destroys: then there is
// neither a Session nor a cache that could be in a call.
unsafe impl Send for Shared {}
unsafe impl Sync for Shared {}

impl Drop for Shared {
    fn drop(&mut self) {
        unsafe { sys::pp_session_destroy(self.raw.as_ptr()) }
    }
}

/// A model on a device: its threads or stream, a workspace and a pool of KV pages. It may be sent to another thread,
/// but not be used by two.
///
/// ```compile_fail,E0277
/// fn share(_: impl Sync) {}
/// fn try_it(session: prepack::Session) {
///     share(session);
/// }
/// ```
#[derive(Debug)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
    pub(crate) config: ModelConfig,
    one_thread: PhantomData<Cell<()>>, // not Sync: info and config take &self
}

impl Session {
    /// Creates a session with the defaults. The first session of a model on a device reads and packs the weights,
    /// which later ones share.
    pub fn new(model: &Model) -> Result<Self> {
        Self::with(model, SessionParams::default())
    }

    /// Creates a session.
    pub fn with(model: &Model, params: SessionParams) -> Result<Self> {
        let config = model.config()?;
        let device = c_text("the device", &params.device)?;
        let c = params.to_raw(&device);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_session_create(model.as_ptr(), &c, &mut raw, err) })?;
        Ok(Self {
            shared: Arc::new(Shared {
                raw: NonNull::new(raw).expect("a session"),
                _model: model.clone(),
                _log: params.log,
            }),
            config,
            one_thread: PhantomData,
        })
    }

    /// What a session with these settings would hold right after its creation, without reading a weight.
    pub fn estimate(model: &Model, params: &SessionParams) -> Result<SessionInfo> {
        let device = c_text("the device", &params.device)?;
        let c = params.to_raw(&device);
        let mut info = sized!(sys::pp_session_info);
        call(|err| unsafe { sys::pp_session_estimate(model.as_ptr(), &c, &mut info, err) })?;
        SessionInfo::from_raw(info)
    }

    pub(crate) fn raw(&self) -> *mut sys::pp_session {
        self.shared.raw.as_ptr()
    }

    /// C's handle, valid as long as the session, for calls of `prepack-sys`.
    pub fn as_ptr(&mut self) -> *mut sys::pp_session {
        self.raw()
    }

    /// What holds for the session's model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// What the session is and holds now.
    pub fn info(&self) -> Result<SessionInfo> {
        let mut info = sized!(sys::pp_session_info);
        call(|err| unsafe { sys::pp_session_get_info(self.raw(), &mut info, err) })?;
        SessionInfo::from_raw(info)
    }

    /// Waits until all that the session has enqueued on a GPU is done.
    pub fn synchronize(&mut self) -> Result<()> {
        call(|err| unsafe { sys::pp_session_synchronize(self.raw(), err) }).map(drop)
    }

    /// Gives KV pages that no cache uses back to the device; returns the bytes.
    pub fn trim(&mut self) -> i64 {
        unsafe { sys::pp_session_trim(self.raw()) }
    }

    /// What ends the session's calls from other threads.
    pub fn canceller(&self) -> SessionCancel {
        SessionCancel(self.shared.clone())
    }
}

/// Ends the call that is running on a session, from any thread.
#[derive(Clone, Debug)]
pub struct SessionCancel(Arc<Shared>);

impl SessionCancel {
    /// Makes the call that is running return [`crate::ErrorKind::Cancelled`] before its next layer; does nothing when none
    /// is.
    pub fn cancel(&self) {
        unsafe { sys::pp_session_cancel(self.0.raw.as_ptr()) }
    }
}

/// What a session is and holds.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Of products and KV.
    pub dtype: DType,
    /// CPU threads, the caller's included.
    pub n_threads: usize,
    /// Most tokens of one forward pass.
    pub max_pass_tokens: usize,
    /// Token slots of a KV page.
    pub page_tokens: usize,
    /// A prompt longer than a pass is cut at multiples of this.
    pub chunk_tokens: usize,
    /// Whether sliding windows keep the pages behind them.
    pub keep_window_pages: bool,
    /// Of a page of every class: what `page_tokens` tokens take at most.
    pub page_bytes: i64,
    /// Of a page of each class of layers.
    pub class_page_bytes: Vec<i64>,
    /// Keys that a token sees in the layers of each class; 0: all.
    pub class_windows: Vec<usize>,
    /// "cpu:avx512bf16".
    pub device: String,
    /// "NVIDIA H200"; empty on the CPU.
    pub device_name: String,
    /// Of the GPU; empty where there is none.
    pub pci_address: String,
    /// The attention kernel.
    pub attention: String,
    /// The format of the matrices.
    pub weights: Weights,
    /// Shared by sessions of the same model, device and dtype.
    pub weight_bytes: i64,
    /// Of the workspace.
    pub workspace_bytes: i64,
    /// Pages and states in use by caches.
    pub kv_bytes: i64,
    /// Those held, in use or free.
    pub kv_pool_bytes: i64,
    /// Of the states of all linear layers of a prompt; 0: there are none.
    pub state_bytes: i64,
    /// Of the device, held by this session now, weights included.
    pub memory_bytes: i64,
    /// The most held so far.
    pub peak_memory_bytes: i64,
    /// Host memory beside it; 0 on the CPU.
    pub host_bytes: i64,
    /// Tokens that went through the model so far.
    pub tokens_computed: i64,
    /// Forward passes so far.
    pub passes: i64,
    raw: sys::pp_session_info,
}

impl SessionInfo {
    fn from_raw(c: sys::pp_session_info) -> Result<Self> {
        let n_classes = (c.n_page_classes.max(0) as usize).min(c.class_windows.len());
        Ok(Self {
            dtype: DType::from_raw(c.dtype)?,
            n_threads: c.n_threads as usize,
            max_pass_tokens: c.max_pass_tokens as usize,
            page_tokens: c.page_tokens as usize,
            chunk_tokens: c.chunk_tokens as usize,
            keep_window_pages: c.keep_window_pages == 1,
            page_bytes: c.page_bytes,
            class_page_bytes: c.class_page_bytes[..n_classes].to_vec(),
            class_windows: c.class_windows[..n_classes]
                .iter()
                .map(|&keys| keys as usize)
                .collect(),
            device: array_text(&c.device),
            device_name: array_text(&c.device_name),
            pci_address: array_text(&c.pci_address),
            attention: array_text(&c.attention),
            weights: Weights::from_raw(c.weights)?,
            weight_bytes: c.weight_bytes,
            workspace_bytes: c.workspace_bytes,
            kv_bytes: c.kv_bytes,
            kv_pool_bytes: c.kv_pool_bytes,
            state_bytes: c.state_bytes,
            memory_bytes: c.memory_bytes,
            peak_memory_bytes: c.peak_memory_bytes,
            host_bytes: c.host_bytes,
            tokens_computed: c.tokens_computed,
            passes: c.passes,
            raw: c,
        })
    }

    /// Predicts a run of new prompts on such a session; nothing is loaded or run. Without a cost model a pass costs
    /// its tokens; without a plan it is prompts of these lengths in this order.
    pub fn predict_run(
        &self,
        cost: Option<&CostModel>,
        plan: Option<&Plan>,
        lengths: &[i64],
    ) -> Result<Prediction> {
        let cost = cost.map(CostModel::to_raw).transpose()?;
        let mut c = sized!(sys::pp_prediction);
        call(|err| unsafe {
            sys::pp_run_predict(
                &self.raw,
                cost.as_ref().map_or(null(), |c| c),
                plan.map_or(null(), |plan| plan.as_ptr()),
                lengths.as_ptr(),
                lengths.len() as i64,
                &mut c,
                err,
            )
        })?;
        Ok(Prediction {
            seconds: c.seconds,
            passes: c.passes,
            kv_bytes: c.kv_bytes,
            state_bytes: c.state_bytes,
        })
    }
}

/// What one run of new prompts takes.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Prediction {
    /// Or the cost model's unit.
    pub seconds: f64,
    /// Forward passes.
    pub passes: i64,
    /// Of the prompts' caches afterwards.
    pub kv_bytes: i64,
    /// Of states of linear layers that the run takes at most.
    pub state_bytes: i64,
}
