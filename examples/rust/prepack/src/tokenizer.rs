//! Text to token ids and back.
use crate::error::{call, Result};
use crate::log::{Log, LogLevel};
use crate::macros::{c_path, slice, text_of};
use crate::sys;
use std::ffi::CStr;
use std::path::Path;
use std::ptr::{null_mut, NonNull};

c_enum! {
    /// How words become tokens.
    TokenizerKind {
        /// Byte pair encoding.
        Bpe = PP_TOKENIZER_BPE,
        /// The longest piece first.
        WordPiece = PP_TOKENIZER_WORDPIECE,
        /// The most likely pieces.
        Unigram = PP_TOKENIZER_UNIGRAM,
        /// Whole words.
        WordLevel = PP_TOKENIZER_WORDLEVEL,
    }
}

params! {
    /// Settings of a tokenizer.
    TokenizerParams {
    } hidden {
        log: Option<Log>,
    }
}

impl TokenizerParams {
    /// Who is told what is passed over; without it: nobody.
    #[must_use]
    pub fn log(mut self, receive: impl Fn(LogLevel, &str) + Send + Sync + 'static) -> Self {
        self.log = Some(Log::new(receive));
        self
    }
}

/// The tokenizer of a model. Immutable; may be used by any number of threads at once.
#[derive(Debug)]
pub struct Tokenizer {
    raw: NonNull<sys::pp_tokenizer>,
    _log: Option<Log>,
}

// "immutable; may be used by any number of threads at once" (tokenizer.h)
unsafe impl Send for Tokenizer {}
unsafe impl Sync for Tokenizer {}

impl Drop for Tokenizer {
    fn drop(&mut self) {
        unsafe { sys::pp_tokenizer_destroy(self.raw.as_ptr()) }
    }
}

/// What a tokenizer is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TokenizerInfo {
    /// How words become tokens.
    pub kind: TokenizerKind,
    /// One more than the largest id; not every id below need be a token.
    pub vocab_size: usize,
    /// Tokens that a text may spell out whole.
    pub n_special_tokens: usize,
    /// Begins a text.
    pub bos_token: Option<i32>,
    /// Ends a text.
    pub eos_token: Option<i32>,
    /// Stands for what no token has.
    pub unk_token: Option<i32>,
    /// Fills rows.
    pub pad_token: Option<i32>,
    /// Texts get their beginning unless the caller declines.
    pub adds_bos: bool,
    /// And their end.
    pub adds_eos: bool,
}

/// A token that a text may spell out whole.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecialToken {
    /// Its id.
    pub id: i32,
    /// Has no text when tokens become text, unless that is asked for.
    pub is_special: bool,
    /// How it is spelled.
    pub text: String,
}

params! {
    /// Settings of [`Tokenizer::encode_all`].
    EncodeParams {
        /// Special tokens that a text spells out are text like any other.
        special_as_text: bool,
        /// Texts get no beginning and end (BOS, EOS).
        no_edges: bool,
        /// The encoding knows where in its text each token came from.
        offsets: bool,
        /// Texts are shared out among so many; 0: 1.
        n_threads: i32,
    }
}

fn token(id: i32) -> Option<i32> {
    Some(id).filter(|&id| id >= 0)
}

impl Tokenizer {
    /// Opens the tokenizer of a model: its directory, or a tokenizer.json, a SentencePiece model, a tekken.json or a
    /// GGUF file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, TokenizerParams::default())
    }

    /// [`Tokenizer::open`] with settings.
    pub fn open_with(path: impl AsRef<Path>, params: TokenizerParams) -> Result<Self> {
        let path = c_path(path.as_ref())?;
        let mut c = sized!(sys::pp_tokenizer_params);
        (c.log, c.log_user) = Log::fields(&params.log);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_tokenizer_open(path.as_ptr(), &c, &mut raw, err) })?;
        Ok(Self {
            raw: NonNull::new(raw).expect("a tokenizer"),
            _log: params.log,
        })
    }

    /// C's handle, valid as long as the tokenizer.
    pub fn as_ptr(&self) -> *mut sys::pp_tokenizer {
        self.raw.as_ptr()
    }

    /// What the tokenizer is.
    pub fn info(&self) -> Result<TokenizerInfo> {
        let mut c = sized!(sys::pp_tokenizer_info);
        call(|err| unsafe { sys::pp_tokenizer_get_info(self.as_ptr(), &mut c, err) })?;
        Ok(TokenizerInfo {
            kind: TokenizerKind::from_raw(c.kind)?,
            vocab_size: c.vocab_size as usize,
            n_special_tokens: c.n_special_tokens as usize,
            bos_token: token(c.bos_token),
            eos_token: token(c.eos_token),
            unk_token: token(c.unk_token),
            pad_token: token(c.pad_token),
            adds_bos: c.adds_bos == 1,
            adds_eos: c.adds_eos == 1,
        })
    }

    /// Tokens that a text may spell out whole, by id.
    pub fn special_tokens(&self) -> Result<Vec<SpecialToken>> {
        (0..self.info()?.n_special_tokens as i32)
            .map(|i| {
                let mut c = sized!(sys::pp_special_token);
                call(|err| unsafe {
                    sys::pp_tokenizer_get_special(self.as_ptr(), i, &mut c, err)
                })?;
                let text = unsafe { CStr::from_ptr(c.text) };
                Ok(SpecialToken {
                    id: c.id,
                    is_special: c.is_special == 1,
                    text: text.to_string_lossy().into_owned(),
                })
            })
            .collect()
    }

    /// A token as its file spells it ("Ġthe", "▁the"), which need not be UTF-8; None for an id that no token has.
    pub fn token(&self, id: i32) -> Option<&[u8]> {
        let mut n = 0;
        let text = unsafe { sys::pp_tokenizer_token(self.as_ptr(), id, &mut n) };
        (!text.is_null()).then(|| unsafe { std::slice::from_raw_parts(text.cast(), n) })
    }

    /// The id of a token that is spelled this way.
    pub fn id(&self, spelled: impl AsRef<[u8]>) -> Option<i32> {
        let spelled = spelled.as_ref();
        token(unsafe {
            sys::pp_tokenizer_id(self.as_ptr(), spelled.as_ptr().cast(), spelled.len())
        })
    }

    /// The tokens of one text.
    pub fn encode(&self, text: &str) -> Result<Vec<i32>> {
        let encoding = self.encode_all(&[text], &EncodeParams::default())?;
        Ok(encoding.get(0)?.ids.to_vec())
    }

    /// The tokens of texts, each by itself.
    pub fn encode_all(&self, texts: &[impl AsRef<str>], params: &EncodeParams) -> Result<Encoding> {
        let mut c = sized!(sys::pp_encode_params);
        if params.special_as_text {
            c.special = sys::PP_SPECIAL_TEXT;
        }
        c.no_edges = params.no_edges.into();
        c.offsets = params.offsets.into();
        c.n_threads = params.n_threads;
        let texts: Vec<_> = texts
            .iter()
            .map(AsRef::as_ref)
            .map(|text: &str| sys::pp_text {
                bytes: text.as_ptr().cast(),
                n_bytes: text.len(),
            })
            .collect();
        let (all, n) = (texts.as_ptr(), texts.len() as i64);
        let mut raw = null_mut();
        call(|err| unsafe { sys::pp_tokenizer_encode(self.as_ptr(), all, n, &c, &mut raw, err) })?;
        Ok(Encoding {
            raw: NonNull::new(raw).expect("an encoding"),
        })
    }

    /// The text of ids. keep_special: special tokens are spelled out, else they have no text.
    pub fn decode(&self, ids: &[i32], keep_special: bool) -> Result<String> {
        let c = decode_params(keep_special);
        let n = ids.len() as i64;
        text_of(|text, room, bytes, err| unsafe {
            sys::pp_tokenizer_decode(self.as_ptr(), ids.as_ptr(), n, &c, text, room, bytes, err)
        })
    }
}

pub(crate) fn decode_params(keep_special: bool) -> sys::pp_decode_params {
    let mut c = sized!(sys::pp_decode_params);
    c.keep_special = keep_special.into();
    c
}

/// The tokens of texts. Immutable, may be shared by threads.
#[derive(Debug)]
pub struct Encoding {
    raw: NonNull<sys::pp_encoding>,
}

// "Thread-safety: immutable"; destroyed "before or after the tokenizer" (tokenizer.h)
unsafe impl Send for Encoding {}
unsafe impl Sync for Encoding {}

impl Drop for Encoding {
    fn drop(&mut self) {
        unsafe { sys::pp_encoding_destroy(self.raw.as_ptr()) }
    }
}

/// Bytes [begin, end) of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct TextRange {
    /// The first byte.
    pub begin: i64,
    /// The one behind the last.
    pub end: i64,
}

/// The tokens of one text, which are the encoding's.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Encoded<'a> {
    /// Token ids.
    pub ids: &'a [i32],
    /// Where in the text each came from; empty unless asked for.
    pub offsets: &'a [TextRange],
}

impl Encoding {
    /// The number of texts.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        unsafe { sys::pp_encoding_count(self.raw.as_ptr()) as usize }
    }

    /// The tokens of one of the texts.
    pub fn get(&self, i: usize) -> Result<Encoded<'_>> {
        let mut c = sized!(sys::pp_encoded);
        let i = i64::try_from(i).unwrap_or(i64::MAX);
        call(|err| unsafe { sys::pp_encoding_get(self.raw.as_ptr(), i, &mut c, err) })?;
        Ok(unsafe {
            Encoded {
                ids: slice(c.ids, c.n),
                offsets: slice(c.offsets.cast(), c.n),
            }
        })
    }
}
