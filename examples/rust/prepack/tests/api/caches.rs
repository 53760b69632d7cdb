//! Caches: saved and loaded, forked, copied, looked at in place.
use crate::{bits, demo, prompts, session, session_with, Scratch};
use prepack::{
    inspect_cache, DType, ErrorKind, Half, Item, KvCache, KvLayout, Part, RunParams, Session,
    SessionParams,
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
