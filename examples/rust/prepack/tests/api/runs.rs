//! Runs: bits, outputs, callbacks, errors.
use crate::{bits, lengths, prompts, session, session_with, DEMO};
use prepack::{
    Cancel, Continuation, DType, ErrorKind, Half, Item, KvCache, KvLayout, Packer, PackerParams,
    Part, Pooling, RunParams, Score, Session, SessionParams, Tokenizer,
};
use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};

fn keys(session: &mut Session, cache: &KvCache) -> Vec<u32> {
    let config = session.config().clone();
    let n = cache.len();
    let mut to = vec![0.0; n * config.n_kv_heads * config.head_dim];
    let part = Part {
        layer: config.n_layers - 1,
        half: Half::Keys,
        layout: KvLayout::Nhd,
        first_token: 0,
        n_tokens: n,
    };
    cache.read(session, part, &mut to).unwrap();
    bits(&to)
}

#[test]
fn same_bits_alone_and_packed() {
    let mut session = session();
    let all = prompts(12);
    let packer = Packer::new(&PackerParams::default().capacity(128)).unwrap();
    let plan = packer.plan(&lengths(&all)).unwrap();
    assert!(plan.info().unwrap().n_bins > 1);
    let mut items: Vec<_> = all.iter().map(|t| Item::new(t).last_logits()).collect();
    let packed = session
        .run(&mut items, RunParams::default().plan(&plan))
        .unwrap();
    for (i, tokens) in all.iter().enumerate() {
        let mut item = [Item::new(tokens).last_logits()];
        let alone = session.run(&mut item, RunParams::default()).unwrap();
        assert_eq!(
            bits(&alone[0].logits),
            bits(&packed[i].logits),
            "prompt {i}"
        );
        let (a, b) = (
            alone[0].cache.as_ref().unwrap(),
            packed[i].cache.as_ref().unwrap(),
        );
        assert_eq!(b.len(), tokens.len());
        assert_eq!(keys(&mut session, a), keys(&mut session, b), "prompt {i}");
    }
}

#[test]
fn the_demo_answers() {
    let mut session = session();
    let tokenizer = Tokenizer::open(DEMO).unwrap();
    let tokens = tokenizer.encode("The capital of Germany is").unwrap();
    let first = session
        .run(&mut [Item::new(&tokens).token()], RunParams::default())
        .unwrap();
    let mut cache = first.into_iter().next().unwrap();
    let mut ids = vec![cache.next.unwrap()];
    while ids.len() < 4 {
        let token = [*ids.last().unwrap()];
        let mut items = [Item::new(&token)
            .append_to(cache.cache.as_mut().unwrap())
            .token()];
        let results = session.run(&mut items, RunParams::default()).unwrap();
        assert!(results[0].cache.is_none());
        ids.push(results[0].next.unwrap());
    }
    let text = tokenizer.decode(&ids, false).unwrap();
    assert!(text.starts_with("Berlin"), "{text:?}");
}

#[test]
fn outputs_agree() {
    let mut session = session_with(SessionParams::default().dtype(DType::F32).n_threads(1));
    let (vocab, dim) = (session.config().vocab_size, session.config().hidden_size);
    let tokens = prompts(3).pop().unwrap();
    let last = tokens.len() - 1;
    let mut scores = [Score::of(last, 42), Score::top_of(0)];
    let rows = [last as i64, 0];
    let mut items = [
        Item::new(&tokens).all_logits(),
        Item::new(&tokens).token().scores(&mut scores).top(3),
        Item::new(&tokens).hidden().discard_cache(),
        Item::new(&tokens).hidden_of(&rows).discard_cache(),
        Item::new(&tokens).pooled(Pooling::Last).discard_cache(),
        Item::new(&tokens)
            .pooled(Pooling::Mean)
            .normalize()
            .discard_cache(),
        Item::new(&tokens),
    ];
    let results = session.run(&mut items, RunParams::default()).unwrap();
    let row = &results[0].logits[last * vocab..];
    let sum: f64 = row.iter().map(|&x| f64::from(x).exp()).sum();
    let best = (0..vocab).fold(0, |best, id| if row[id] > row[best] { id } else { best }) as i32;
    assert_eq!(results[1].next, Some(best));
    assert_eq!(results[1].top_tokens[0], best);
    assert_eq!(results[1].top_logprobs.len(), 6);
    assert!((scores[0].logprob() - (f64::from(row[42]) - sum.ln())).abs() < 1e-4);
    assert_eq!(
        (scores[0].target(), scores[1].target(), scores[1].rank()),
        (Some(42), None, None)
    );
    let states = &results[2].hidden;
    assert_eq!(bits(&results[3].hidden[..dim]), bits(&states[last * dim..]));
    assert_eq!(bits(&results[3].hidden[dim..]), bits(&states[..dim]));
    assert_eq!(bits(&results[4].hidden), bits(&states[last * dim..]));
    let length: f64 = results[5]
        .hidden
        .iter()
        .map(|&x| f64::from(x).powi(2))
        .sum();
    assert!((length - 1.0).abs() < 1e-5);
    assert!(results[2].cache.is_none() && results[6].cache.is_some());
    assert!(results[6].logits.is_empty() && results[6].next.is_none());
}

#[test]
fn sink_and_progress() {
    let mut session = session();
    let tokens = prompts(6).pop().unwrap();
    let mut items = [Item::new(&tokens).all_logits()];
    let direct = session.run(&mut items, RunParams::default()).unwrap();
    let (mut got, mut last) = (Vec::new(), (0, 0));
    let params = RunParams::default()
        .sink(|piece| {
            assert_eq!(piece.first_token * piece.vocab_size, got.len());
            got.extend_from_slice(piece.logits);
            ControlFlow::Continue(())
        })
        .progress(|done, all| last = (done, all));
    session.run(&mut items, params).unwrap();
    assert_eq!(bits(&direct[0].logits), bits(&got));
    assert_eq!(last, (tokens.len() as i64, tokens.len() as i64));
    let params = RunParams::default().sink(|_| ControlFlow::Break(()));
    let error = session.run(&mut items, params).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[test]
fn continuations() {
    let mut session = session();
    let tokenizer = Tokenizer::open(DEMO).unwrap();
    let n_context = tokenizer.encode("The capital of Germany is").unwrap().len();
    let berlin = tokenizer
        .encode("The capital of Germany is Berlin")
        .unwrap();
    let oslo = tokenizer.encode("The capital of Germany is Oslo").unwrap();
    let mut all = [&berlin, &oslo].map(|tokens| Continuation { tokens, n_context });
    let scores = session
        .score_continuations(&all, RunParams::default())
        .unwrap();
    assert!(scores[0].logprob > scores[1].logprob && scores[0].logprob < 0.0);
    assert!(scores[0].is_greedy && !scores[1].is_greedy);
    all[1].n_context = 0;
    let error = session
        .score_continuations(&all, RunParams::default())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.index()),
        (ErrorKind::Argument, Some(1))
    );
}

#[test]
fn errors_tell_kind_and_item() {
    let mut session = session();
    let (good, wrong, long) = ([1], [99_999], vec![1; 5000]);
    let none: [i32; 0] = [];
    for (name, item, kind) in [
        ("no tokens", Item::new(&none), ErrorKind::Argument),
        ("a wrong token", Item::new(&wrong), ErrorKind::Argument),
        (
            "too long",
            Item::new(&long).all_logits(),
            ErrorKind::TooLong,
        ),
        (
            "no labels",
            Item::new(&good).labels(),
            ErrorKind::Unsupported,
        ),
        ("too many", Item::new(&good).top(1000), ErrorKind::Argument),
        (
            "a wrong row",
            Item::new(&good).hidden_of(&[1]),
            ErrorKind::Argument,
        ),
    ] {
        let mut items = [Item::new(&good), item];
        let error = session.run(&mut items, RunParams::default()).unwrap_err();
        assert_eq!(
            (error.kind(), error.index()),
            (kind, Some(1)),
            "{name}: {error}"
        );
        assert!(!error.message().is_empty());
    }
    session
        .run(&mut [Item::new(&good)], RunParams::default())
        .unwrap();
}

#[test]
fn a_token_cancels() {
    let mut session = session_with(SessionParams::default().max_pass_tokens(64));
    let tokens = prompts(3).pop().unwrap();
    let mut items: Vec<_> = (0..16).map(|_| Item::new(&tokens).token()).collect();
    let cancel = Cancel::new().unwrap();
    let mut passes = 0;
    let params = RunParams::default().cancel(&cancel).progress(|_, _| {
        passes += 1;
        std::thread::scope(|s| {
            s.spawn(|| cancel.request());
        });
    });
    let error = session.run(&mut items, params).unwrap_err();
    assert_eq!((error.kind(), passes), (ErrorKind::Cancelled, 1));
    assert!(cancel.is_requested());
    let session_cancel = session.canceller();
    let params = RunParams::default().progress(|_, _| session_cancel.cancel());
    assert_eq!(
        session.run(&mut items, params).unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    session.run(&mut items[..1], RunParams::default()).unwrap(); // the session is usable
}

#[test]
fn a_panic_goes_through_a_run() {
    let mut session = session_with(SessionParams::default().max_pass_tokens(64));
    let tokens = prompts(3).pop().unwrap();
    let mut items: Vec<_> = (0..4).map(|_| Item::new(&tokens).all_logits()).collect();
    let mut passes = 0;
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let params = RunParams::default().progress(|_, _| {
            passes += 1;
            std::panic::panic_any("mine");
        });
        session.run(&mut items, params)
    }))
    .unwrap_err();
    assert_eq!((payload.downcast_ref(), passes), (Some(&"mine"), 1));
    catch_unwind(AssertUnwindSafe(|| {
        let params = RunParams::default().sink(|_| std::panic::panic_any("mine"));
        session.run(&mut items, params)
    }))
    .unwrap_err();
    session.run(&mut items, RunParams::default()).unwrap();
    assert_eq!(session.info().unwrap().kv_bytes, 0); // and no cache was left behind
}
