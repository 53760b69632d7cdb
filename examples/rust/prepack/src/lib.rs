//! libprepack for Rust: prompts are packed into bins, run through a model in forward passes without padding, and each
//! gets its own result, the same bits as if it had run alone.
//!
//! ```no_run
//! use prepack::{Item, Model, RunParams, Session};
//!
//! # fn main() -> prepack::Result<()> {
//! let model = Model::open("model-dir")?;
//! let mut session = Session::new(&model)?;
//! let mut items = [Item::new(&[1, 15, 27]).token(), Item::new(&[1, 9])];
//! let results = session.run(&mut items, RunParams::default())?;
//! // results[0].next was drawn, results[1].cache holds the prompt's keys and values
//! # Ok(())
//! # }
//! ```
//!
//! * **Memory.** Everything of C is freed by Drop, in any order. Slices that calls take are read in place; results
//!   are written into vectors of the caller's, and [`Plan::bin`], [`Batch::view`], [`KvCache::page`] and
//!   [`TextStream::push`] lend the library's own memory.
//! * **Threads.** A [`Session`] is for one thread at a time: it is Send, not Sync, and what computes takes `&mut`. A
//!   [`KvCache`] may be dropped anywhere; what else it does takes its session's `&mut`. [`Model`], [`Packer`],
//!   [`Plan`], [`Batch`], [`Queue`] and [`Tokenizer`] are Sync. [`Cancel`] and [`SessionCancel`] end a call from
//!   another thread.
//! * **Errors** are an [`ErrorKind`], the index of the prompt or item at fault and one sentence that names the
//!   numbers. After an error every object is as it was before the call.
//! * **Panics** of callbacks do not unwind through C: those of a run or a conversion end it and go on from there,
//!   those of a log are lost.
//!
//! What is about memory and streams of the host's own (`attention.h`, `kvcache_blocks.h`, allocators) is in the crate
//! `prepack-sys`, beside which this one can be used: [`Session::as_ptr`].
#![deny(missing_docs)]
#![warn(missing_debug_implementations)]

pub use prepack_sys as sys;

#[macro_use]
mod macros;

mod batch;
mod cache;
mod cache_file;
mod callbacks;
mod cancel;
mod continuations;
mod cost;
mod describe;
mod device;
mod dtype;
mod error;
mod item;
mod log;
mod model;
mod packer;
mod plan;
mod queue;
mod run;
mod session;
#[cfg(feature = "tokenizer")]
mod text_stream;
#[cfg(feature = "tokenizer")]
mod tokenizer;

pub use batch::{Batch, BatchParams, BatchView, Layout};
pub use cache::{Half, KvCache, KvLayout, Page, Part, State};
pub use cache_file::{inspect_cache, CacheFileInfo};
pub use cancel::Cancel;
pub use continuations::{Continuation, ContinuationScore};
pub use cost::{CostModel, CostParams};
pub use device::{devices, DeviceInfo};
pub use dtype::DType;
pub use error::{Error, ErrorKind, Result};
pub use item::{Item, ItemResult, Pooling, Sampling, Score, MAX_TOP};
pub use log::LogLevel;
pub use model::{
    preset, preset_names, ConvertParams, LayerConfig, LayerKind, LinearRule, LinearShape, Model,
    ModelConfig, ModelParams, RopeType,
};
pub use packer::{Objective, Oversize, Packer, PackerParams, PlanInput, Policy};
pub use plan::{BinInfo, PartitionInfo, Plan, PlanInfo, Segment};
pub use queue::{Added, Queue, QueueParams, QueueStats, Step, StepPrompt, Taken, WaitingPrompt};
pub use run::{Logits, RunParams};
pub use session::{Prediction, Session, SessionCancel, SessionInfo, SessionParams, Weights};
#[cfg(feature = "tokenizer")]
pub use text_stream::TextStream;
#[cfg(feature = "tokenizer")]
pub use tokenizer::{
    EncodeParams, Encoded, Encoding, SpecialToken, TextRange, Tokenizer, TokenizerInfo,
    TokenizerKind, TokenizerParams,
};

/// The version of the library that is loaded, such as "0.1.0".
pub fn version() -> &'static str {
    unsafe { macros::static_text(sys::pp_version()) }
}
