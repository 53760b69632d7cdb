//! Caches that outlive their session: files, and memory in the same form.
use crate::cache::{check_ids, KvCache};
use crate::dtype::DType;
use crate::error::{call, Result};
use crate::macros::{array_text, c_path, room};
use crate::session::Session;
use crate::sys;
use std::path::Path;
use std::ptr::{null, null_mut};

impl KvCache {
    fn save_params(&self, tokens: Option<&[i32]>) -> Result<sys::pp_kvcache_save_params> {
        check_ids(self.len(), tokens)?;
        let mut c = sized!(sys::pp_kvcache_save_params);
        c.tokens = tokens.map_or(null(), <[i32]>::as_ptr);
        Ok(c)
    }

    /// Writes the cache to a file, which gets its name when all is written. tokens: the ids that are saved with it.
    pub fn save(
        &self,
        session: &mut Session,
        path: impl AsRef<Path>,
        tokens: Option<&[i32]>,
    ) -> Result<()> {
        let path = c_path(path.as_ref())?;
        let cache = self.of(session)?;
        let params = self.save_params(tokens)?;
        call(|err| unsafe { sys::pp_kvcache_save(cache, path.as_ptr(), &params, err) }).map(drop)
    }

    /// What [`KvCache::save`] writes, in memory.
    pub fn export(&self, session: &mut Session, tokens: Option<&[i32]>) -> Result<Vec<u8>> {
        let cache = self.of(session)?;
        let params = self.save_params(tokens)?;
        let mut size = 0;
        call(|err| unsafe { sys::pp_kvcache_export_size(cache, &params, &mut size, err) })?;
        let mut bytes = room(size, 0u8)?;
        let memory = bytes.as_mut_ptr().cast();
        call(|err| unsafe { sys::pp_kvcache_export(cache, &params, memory, size, err) })?;
        Ok(bytes)
    }

    /// A new cache of the session from a file that [`KvCache::save`] wrote.
    pub fn load(session: &mut Session, path: impl AsRef<Path>) -> Result<Self> {
        let path = c_path(path.as_ref())?;
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_kvcache_load(session.raw(), path.as_ptr(), &mut raw, err) })?;
        Ok(Self::own(session, raw))
    }

    /// A new cache of the session from what [`KvCache::export`] gave.
    pub fn import(session: &mut Session, bytes: &[u8]) -> Result<Self> {
        let mut raw = null_mut();
        call(|err| unsafe {
            let memory = bytes.as_ptr().cast();
            sys::pp_kvcache_import(session.raw(), memory, bytes.len(), &mut raw, err)
        })?;
        Ok(Self::own(session, raw))
    }
}

/// What a saved cache says of itself.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct CacheFileInfo {
    /// Of keys and values.
    pub dtype: DType,
    /// Tokens in the cache.
    pub n_tokens: usize,
    /// Of the file.
    pub bytes: i64,
    /// [`crate::Model::identity`] of its model.
    pub model: u64,
    /// Layers.
    pub n_layers: usize,
    /// Heads of keys and values.
    pub n_kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Of n_layers those that have a state.
    pub n_linear: usize,
    /// Of their states.
    pub state_bytes: i64,
    /// Of the model.
    pub architecture: String,
    /// The format of weights of the session that computed it.
    pub weights: String,
    /// What computed it.
    pub device: String,
    /// And with which library.
    pub producer: String,
    /// The ids of its tokens, where they were saved with it.
    pub tokens: Option<Vec<i32>>,
}

/// Reads what a saved cache says, without a session. Keys, values and the checksum are not looked at.
pub fn inspect_cache(path: impl AsRef<Path>) -> Result<CacheFileInfo> {
    let path = c_path(path.as_ref())?;
    let mut c = sized!(sys::pp_kvcache_file_info);
    let file = path.as_ptr();
    call(|err| unsafe { sys::pp_kvcache_inspect(file, &mut c, null_mut(), 0, err) })?;
    let mut tokens = None;
    if c.has_tokens == 1 {
        let n = c.n_tokens;
        let mut ids = room(n as usize, 0)?;
        call(|err| unsafe { sys::pp_kvcache_inspect(file, &mut c, ids.as_mut_ptr(), n, err) })?;
        tokens = Some(ids);
    }
    Ok(CacheFileInfo {
        dtype: DType::from_raw(c.dtype)?,
        n_tokens: c.n_tokens as usize,
        bytes: c.bytes,
        model: c.model,
        n_layers: c.n_layers as usize,
        n_kv_heads: c.n_kv_heads as usize,
        head_dim: c.head_dim as usize,
        n_linear: c.n_linear as usize,
        state_bytes: c.state_bytes,
        architecture: array_text(&c.architecture),
        weights: array_text(&c.weights),
        device: array_text(&c.device),
        producer: array_text(&c.producer),
        tokens,
    })
}
