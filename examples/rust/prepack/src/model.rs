//! Models: configuration and weights, immutable and shared by sessions.
use crate::callbacks::Held;
use crate::dtype::DType;
use crate::error::{call, Result};
use crate::item::Pooling;
use crate::log::{Log, LogLevel};
use crate::macros::{c_path, c_text, static_text};
use crate::session::Weights;
use crate::sys;
use std::ops::ControlFlow;
use std::os::raw::c_void;
use std::path::Path;
use std::ptr::{null_mut, NonNull};
use std::sync::Arc;

c_enum! {
    /// How positions become angles.
    RopeType {
        /// Nothing rotates.
        None = PP_ROPE_NONE,
        /// Frequencies theta^(-2 i / rotary_dim).
        Default = PP_ROPE_DEFAULT,
        /// Positions divided by the factor.
        Linear = PP_ROPE_LINEAR,
        /// Llama 3.1.
        Llama3 = PP_ROPE_LLAMA3,
        /// arXiv 2309.00071.
        Yarn = PP_ROPE_YARN,
        /// arXiv 2402.13753.
        LongRope = PP_ROPE_LONGROPE,
        /// Theta grows with prompts beyond the original length.
        Dynamic = PP_ROPE_DYNAMIC,
        /// The first pairs of a whole head turn.
        Proportional = PP_ROPE_PROPORTIONAL,
    }
}

c_enum! {
    /// What mixes the tokens of a layer.
    LayerKind {
        /// Each token sees keys and values of those before it.
        Attention = PP_LAYER_ATTENTION,
        /// Each token changes a state.
        Linear = PP_LAYER_LINEAR,
    }
}

c_enum! {
    /// How tokens change the state of a linear layer.
    LinearRule {
        /// The gated delta rule, arXiv 2412.06464.
        Delta = PP_LINEAR_DELTA,
        /// arXiv 2405.21060.
        Mamba2 = PP_LINEAR_MAMBA2,
    }
}

params! {
    /// Settings of a model.
    ModelParams {
        /// A window that a GGUF file keeps silent about (see `prepack/model.h`); 0: as the file says.
        sliding_window: i32,
    } hidden {
        log: Option<Log>,
    }
}

impl ModelParams {
    /// Who is told what the library passes over; without it: nobody.
    #[must_use]
    pub fn log(mut self, receive: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Log::new(receive));
        self
    }
}

/// A model. A clone is another reference to the same one.
#[derive(Clone, Debug)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    raw: NonNull<sys::pp_model>,
    _log: Option<Log>, // until C's object is gone: sessions hold a Model
}

// "immutable and counted; may be shared by threads and sessions" (model.h)
unsafe impl Send for Inner {}
unsafe impl Sync for Inner {}

impl Drop for Inner {
    fn drop(&mut self) {
        unsafe { sys::pp_model_unref(self.raw.as_ptr()) }
    }
}

impl Model {
    /// Opens a Hugging Face model directory, a GGUF file, or what [`Model::convert`] wrote. Weights are read when the
    /// first session of the model is created. Nothing is downloaded.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, ModelParams::default())
    }

    /// [`Model::open`] with settings.
    pub fn open_with(path: impl AsRef<Path>, params: ModelParams) -> Result<Self> {
        let path = c_path(path.as_ref())?;
        Self::create(params, |params, model, err| unsafe {
            sys::pp_model_open(path.as_ptr(), params, model, err)
        })
    }

    /// A model with pseudo-random weights of the shape that the text of a config.json describes, such as that of
    /// [`preset`].
    pub fn random(config: &str, seed: u64) -> Result<Self> {
        let config = c_text("the configuration", config)?;
        Self::create(ModelParams::default(), |params, model, err| unsafe {
            sys::pp_model_create_random(config.as_ptr(), seed, params, model, err)
        })
    }

    fn create(
        params: ModelParams,
        create: impl FnOnce(
            *const sys::pp_model_params,
            *mut *mut sys::pp_model,
            *mut sys::pp_error,
        ) -> sys::pp_status,
    ) -> Result<Self> {
        let mut c = sized!(sys::pp_model_params);
        c.sliding_window = params.sliding_window;
        (c.log, c.log_user) = Log::fields(&params.log);
        let mut raw = null_mut();
        call(|err| create(&c, &mut raw, err))?;
        Ok(Self(Arc::new(Inner {
            raw: NonNull::new(raw).expect("a model"),
            _log: params.log,
        })))
    }

    /// C's handle, valid as long as the model.
    pub fn as_ptr(&self) -> *mut sys::pp_model {
        self.0.raw.as_ptr()
    }

    /// What holds for the whole model.
    pub fn config(&self) -> Result<ModelConfig> {
        let mut c = sized!(sys::pp_model_config);
        call(|err| unsafe { sys::pp_model_get_config(self.as_ptr(), &mut c, err) })?;
        ModelConfig::from_raw(&c)
    }

    /// What holds for one layer.
    pub fn layer(&self, i: usize) -> Result<LayerConfig> {
        let mut c = sized!(sys::pp_layer_config);
        let i = i32::try_from(i).unwrap_or(i32::MAX);
        call(|err| unsafe { sys::pp_model_get_layer(self.as_ptr(), i, &mut c, err) })?;
        Ok(LayerConfig {
            sliding_window: c.sliding_window as usize,
            rope_type: RopeType::from_raw(c.rope_type)?,
            rotary_dim: c.rotary_dim as usize,
            rope_theta: c.rope_theta,
            rope_factor: c.rope_factor,
            n_kv_heads: c.n_kv_heads as usize,
            head_dim: c.head_dim as usize,
            kind: LayerKind::from_raw(c.kind)?,
            kv_layer: usize::try_from(c.kv_layer).ok(),
            intermediate_size: c.intermediate_size as usize,
            has_experts: c.has_experts == 1,
        })
    }

    /// Number of parameters; a tied LM head counts once.
    pub fn n_parameters(&self) -> i64 {
        unsafe { sys::pp_model_n_parameters(self.as_ptr()) }
    }

    /// Whether the weights are pseudo-random.
    pub fn is_random(&self) -> bool {
        unsafe { sys::pp_model_is_random(self.as_ptr()) == 1 }
    }

    /// The number by which a saved cache knows its model.
    pub fn identity(&self) -> Result<u64> {
        let mut identity = 0;
        call(|err| unsafe { sys::pp_model_identity(self.as_ptr(), &mut identity, err) })?;
        Ok(identity)
    }

    /// Writes the model as a directory with matrices of another format. The directory is there when all is written;
    /// after an error nothing is left. `progress` is told the weights that are done, of all, and may end it.
    pub fn convert(
        &self,
        directory: impl AsRef<Path>,
        params: ConvertParams,
        mut progress: impl FnMut(i64, i64) -> ControlFlow<()>,
    ) -> Result<()> {
        let directory = c_path(directory.as_ref())?;
        let mut callback = Converting {
            progress: &mut progress,
            held: Held::default(),
        };
        let mut c = sized!(sys::pp_convert_params);
        c.weights = params.weights.raw();
        c.n_threads = params.n_threads;
        c.progress = Some(converting);
        c.user = &mut callback as *mut Converting<'_> as *mut c_void;
        let result = call(|err| unsafe {
            sys::pp_model_convert(self.as_ptr(), directory.as_ptr(), &c, err)
        });
        callback.held.resume();
        result.map(drop)
    }
}

params! {
    /// Settings of [`Model::convert`].
    ConvertParams {
        /// The format of matrices: [`Weights::F32`] to [`Weights::Nf4`].
        weights: Weights,
        /// Threads that quantise; 0: one for each processor.
        n_threads: i32,
    }
}

struct Converting<'a> {
    progress: &'a mut dyn FnMut(i64, i64) -> ControlFlow<()>,
    held: Held,
}

unsafe extern "C" fn converting(user: *mut c_void, done: i64, total: i64) -> i32 {
    let Converting { progress, held } = &mut *(user as *mut Converting<'_>);
    match held.call(|| progress(done, total)) {
        Some(ControlFlow::Continue(())) => 0,
        _ => 1,
    }
}

/// What holds for the whole model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ModelConfig {
    /// model_type in config.json: "llama", "qwen3".
    pub arch: &'static str,
    /// Token ids are below it.
    pub vocab_size: usize,
    /// Elements of a hidden state.
    pub hidden_size: usize,
    /// Of the widest dense MLP or shared expert; where there is neither, of an expert.
    pub intermediate_size: usize,
    /// Layers.
    pub n_layers: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Heads of keys and values.
    pub n_kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Positions that the model has; longer prompts are refused.
    pub max_position: usize,
    /// Whether the LM head is the embedding table.
    pub tie_embeddings: bool,
    /// Of the stored weights.
    pub dtype: DType,
    /// Begins a text.
    pub bos_token: Option<i32>,
    /// End a text.
    pub eos_tokens: Vec<i32>,
    /// Of the norms.
    pub norm_eps: f64,
    /// Whether it gives logits.
    pub has_lm_head: bool,
    /// Rows of a classification or reward head; 0: there is none.
    pub n_labels: usize,
    /// Pooling that the files recommend for embeddings.
    pub pooling: Option<Pooling>,
    /// Whether they want the pooled vector normalised, if they say.
    pub normalize: Option<bool>,
    /// Experts of a mixture; 0: there is none.
    pub n_experts: usize,
    /// Of these a token goes through so many.
    pub n_experts_per_token: usize,
    /// Intermediate size of an expert.
    pub expert_size: usize,
    /// That of the one that every token goes through; 0: there is none.
    pub shared_expert_size: usize,
    /// Layers with a state in the place of keys and values.
    pub n_linear_layers: usize,
    /// Their shape, where there are any.
    pub linear: Option<LinearShape>,
}

/// The shape of all linear layers of a model.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LinearShape {
    /// How tokens change a state.
    pub rule: LinearRule,
    /// Heads of keys.
    pub n_key_heads: usize,
    /// Heads of values, each with a state of `key_dim` times `value_dim` numbers.
    pub n_value_heads: usize,
    /// Elements of a key.
    pub key_dim: usize,
    /// Elements of a value.
    pub value_dim: usize,
    /// Tokens that the convolution sees.
    pub kernel: usize,
}

impl LinearShape {
    fn from_raw(c: &sys::pp_model_config) -> Result<Option<Self>> {
        if c.n_linear_layers == 0 {
            return Ok(None);
        }
        Ok(Some(Self {
            rule: LinearRule::from_raw(c.linear_rule)?,
            n_key_heads: c.linear_key_heads as usize,
            n_value_heads: c.linear_value_heads as usize,
            key_dim: c.linear_key_dim as usize,
            value_dim: c.linear_value_dim as usize,
            kernel: c.linear_kernel as usize,
        }))
    }
}

impl ModelConfig {
    fn from_raw(c: &sys::pp_model_config) -> Result<Self> {
        Ok(Self {
            arch: unsafe { static_text(sys::pp_arch_name(c.arch)) },
            vocab_size: c.vocab_size as usize,
            hidden_size: c.hidden_size as usize,
            intermediate_size: c.intermediate_size as usize,
            n_layers: c.n_layers as usize,
            n_heads: c.n_heads as usize,
            n_kv_heads: c.n_kv_heads as usize,
            head_dim: c.head_dim as usize,
            max_position: c.max_position as usize,
            tie_embeddings: c.tie_embeddings == 1,
            dtype: DType::from_raw(c.dtype)?,
            bos_token: Some(c.bos_token).filter(|&token| token >= 0),
            eos_tokens: c.eos_tokens[..c.n_eos_tokens as usize].to_vec(),
            norm_eps: c.norm_eps,
            has_lm_head: c.has_lm_head == 1,
            n_labels: c.n_labels as usize,
            pooling: match c.pooling {
                -1 => None,
                value => Some(Pooling::from_raw(value)?),
            },
            normalize: Some(c.normalize == 1).filter(|_| c.normalize >= 0),
            n_experts: c.n_experts as usize,
            n_experts_per_token: c.n_experts_per_token as usize,
            expert_size: c.expert_size as usize,
            shared_expert_size: c.shared_expert_size as usize,
            n_linear_layers: c.n_linear_layers as usize,
            linear: LinearShape::from_raw(c)?,
        })
    }
}

/// What may differ from layer to layer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LayerConfig {
    /// Keys that a token sees, itself included; 0: all before it.
    pub sliding_window: usize,
    /// How positions become angles.
    pub rope_type: RopeType,
    /// Elements of a head that rotate.
    pub rotary_dim: usize,
    /// The base of the frequencies.
    pub rope_theta: f64,
    /// 1 where the type has none.
    pub rope_factor: f64,
    /// Heads of keys and values; 0 in a linear layer.
    pub n_kv_heads: usize,
    /// Elements of a head; 0 in a linear layer.
    pub head_dim: usize,
    /// What mixes tokens.
    pub kind: LayerKind,
    /// The layer whose keys and values it sees, its own number or that of one before it.
    pub kv_layer: Option<usize>,
    /// Of its dense MLP; 0: it has none.
    pub intermediate_size: usize,
    /// Whether it has experts, in the place of the MLP or beside it.
    pub has_experts: bool,
}

/// The text of the config.json of a known shape: "tiny", "llama2-7b".
pub fn preset(name: &str) -> Option<&'static str> {
    let name = c_text("the name", name).ok()?;
    let text = unsafe { sys::pp_model_preset(name.as_ptr()) };
    (!text.is_null()).then(|| unsafe { static_text(text) })
}

/// The names of the known shapes.
pub fn preset_names() -> Vec<&'static str> {
    (0..)
        .map(|i| unsafe { sys::pp_model_preset_name(i) })
        .take_while(|name| !name.is_null())
        .map(|name| unsafe { static_text(name) })
        .collect()
}
