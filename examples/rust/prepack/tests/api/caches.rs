//! Caches: saved and loaded, forked, copied, looked at in place.
use crate::{bits, demo, prompts, session, session_with, Scratch};
use prepack::{
    inspect_cache, DType, ErrorKind, Half, Item, KvCache, KvLayout, Model, Part, RunParams,
    Session, SessionParams, State,
};

fn filled(session: &mut Session, tokens: &[i32]) -> KvCache {
    let mut results = session
        .run(&mut [Item::new(tokens)], RunParams::default())
        .unwrap();
    results[0].cache.take().unwrap()
}

fn next_logits(session: &mut Session, cache: &mut KvCache) -> Vec<u32> {
    let mut items = [Item::new(&[77]).append_to(cache).last_logits()];
    bits(&session.run(&mut items, RunParams::default()).unwrap()[0].logits)
}

#[test]
fn saved_caches_go_on() {
    let scratch = Scratch::new("caches");
    let path = scratch.path("prefix.safetensors");
    let mut one = session();
    let tokens = prompts(5).pop().unwrap();
    let mut cache = filled(&mut one, &tokens);
    cache.save(&mut one, &path, Some(&tokens)).unwrap();
    let bytes = cache.export(&mut one, Some(&tokens)).unwrap();
    assert!(std::fs::read(&path).unwrap() == bytes);
    let info = inspect_cache(&path).unwrap();
    assert_eq!(info.tokens.as_ref(), Some(&tokens));
    assert_eq!(info.model, demo().identity().unwrap());
    let want = next_logits(&mut one, &mut cache);

    let mut other = session();
    let mut loaded = KvCache::load(&mut other, &path).unwrap();
    assert_eq!(next_logits(&mut other, &mut loaded), want);
    let mut imported = KvCache::import(&mut other, &bytes).unwrap();
    assert_eq!(next_logits(&mut other, &mut imported), want);
    let half = KvCache::import(&mut other, &bytes[..bytes.len() / 2]).unwrap_err();
    assert_eq!(half.kind(), ErrorKind::Format);
    let missing = KvCache::load(&mut other, scratch.path("nothing")).unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
    assert_ne!(missing.native_code(), 0);
    let few = loaded.save(&mut other, &path, Some(&[1])).unwrap_err();
    assert_eq!(few.kind(), ErrorKind::Argument);
}

#[test]
fn fork_truncate_and_copies() {
    let mut session = session();
    let tokens = prompts(5).pop().unwrap();
    let mut cache = filled(&mut session, &tokens);
    let mut fork = cache.fork(&mut session, tokens.len()).unwrap();
    assert_eq!(
        next_logits(&mut session, &mut cache),
        next_logits(&mut session, &mut fork)
    );
    fork.truncate(&mut session, 5).unwrap();
    assert_eq!((fork.len(), fork.first_token(0)), (5, 0));
    assert!(fork.size_in_bytes() > 0);
    assert_eq!(
        cache.fork(&mut session, 1000).unwrap_err().kind(),
        ErrorKind::Argument
    );
    let config = session.config().clone();
    let part = Part {
        layer: 0,
        half: Half::Values,
        layout: KvLayout::Hnd,
        first_token: 1,
        n_tokens: 3,
    };
    // bf16 holds these as they are
    let numbers: Vec<_> = (0..3 * config.n_kv_heads * config.head_dim)
        .map(|i| (i % 128) as f32)
        .collect();
    fork.write(&mut session, part, &numbers).unwrap();
    let mut got = vec![0.0; numbers.len()];
    fork.read(&mut session, part, &mut got).unwrap();
    assert_eq!(got, numbers);
    let mut raw = vec![0; 2 * numbers.len()];
    fork.read_raw(&mut session, part, DType::Bf16, &mut raw)
        .unwrap();
    fork.write_raw(&mut session, part, DType::Bf16, &raw)
        .unwrap();
    let short = fork.read(&mut session, part, &mut got[1..]).unwrap_err();
    assert_eq!(short.kind(), ErrorKind::Argument);
    assert_eq!(KvCache::zeros(&mut session, 4, None).unwrap().len(), 4);
    let few = KvCache::zeros(&mut session, 4, Some(&[1])).unwrap_err();
    assert_eq!(few.kind(), ErrorKind::Argument);
}

#[test]
fn a_page_is_the_copy() {
    let mut session = session_with(SessionParams::default().dtype(DType::F32));
    let cache = filled(&mut session, &prompts(5).pop().unwrap());
    let config = session.config().clone();
    let (heads, dims) = (config.n_kv_heads, config.head_dim);
    let part = Part {
        layer: 1,
        half: Half::Keys,
        layout: KvLayout::Nhd,
        first_token: 0,
        n_tokens: 3,
    };
    let mut copy = vec![0.0; 3 * heads * dims];
    cache.read(&mut session, part, &mut copy).unwrap();
    let page = cache.page(&mut session, 1, Half::Keys, 2).unwrap();
    assert_eq!(
        (page.dtype(), page.on_device(), page.first_token()),
        (DType::F32, false, 0)
    );
    assert!(page.n_tokens() >= 3);
    for (i, &number) in copy.iter().enumerate() {
        let (slot, head, dim) = (i / (heads * dims), i / dims % heads, i % dims);
        let element = unsafe {
            *page
                .as_ptr()
                .cast::<f32>()
                .add(page.offset(head, slot, dim))
        };
        assert_eq!(element.to_bits(), number.to_bits(), "{slot} {head} {dim}");
    }
}

const HYBRID: &str = r#"{"model_type": "qwen3_5_text", "num_hidden_layers": 2, "full_attention_interval": 2,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8,
    "linear_value_head_dim": 8, "linear_conv_kernel_dim": 4, "max_position_embeddings": 128,
    "vocab_size": 96, "hidden_size": 48, "intermediate_size": 64, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "dtype": "bfloat16"}"#;

#[test]
fn states_say_where_a_cache_can_be_cut() {
    let model = Model::random(HYBRID, 1).unwrap();
    let mut session = Session::new(&model).unwrap();
    let mut cache = filled(&mut session, &[1, 2, 3, 4, 5]);
    next_logits(&mut session, &mut cache);
    next_logits(&mut session, &mut cache);
    let kept: Vec<_> = (3..9).map(|n| cache.kept(n)).collect();
    let expected = [Some(0), Some(0), Some(5), Some(5), Some(7), None];
    assert_eq!(kept, expected);
    let cut = cache.truncate(&mut session, 6).unwrap_err();
    assert_eq!(cut.kind(), ErrorKind::Argument);
    let fork = cache.fork(&mut session, 4).unwrap_err();
    assert_eq!(fork.kind(), ErrorKind::Argument);
    let mut state = vec![0.0; 4 * 8 * 8];
    cache
        .read_state(&mut session, 0, State::Recurrent, &mut state)
        .unwrap();
    cache
        .write_state(&mut session, 0, State::Recurrent, &state)
        .unwrap();
    let attends = cache.read_state(&mut session, 1, State::ConvInputs, &mut state);
    assert_eq!(attends.unwrap_err().kind(), ErrorKind::Argument);
    cache.truncate(&mut session, 5).unwrap();
    let mut whole = filled(&mut session, &[1, 2, 3, 4, 5]);
    assert_eq!(
        next_logits(&mut session, &mut whole),
        next_logits(&mut session, &mut cache)
    );
}
