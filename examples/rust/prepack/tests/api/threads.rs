//! What may be sent and shared is what the headers say, and objects may go in any order.
use crate::{demo, prompts, session, DEMO};
use prepack::{
    Batch, Cancel, Encoding, Error, ErrorKind, Item, KvCache, Model, Packer, Plan, Queue,
    RunParams, Session, SessionCancel, TextStream, Tokenizer,
};

fn is_send<T: Send>() {}
fn is_sync<T: Sync>() {}

#[test]
fn what_may_be_sent_and_shared() {
    is_send::<Session>();
    is_send::<KvCache>();
    is_send::<TextStream<'_>>();
    is_sync::<KvCache>();
    is_sync::<Model>();
    is_send::<Model>();
    is_sync::<Packer>();
    is_sync::<Plan>();
    is_sync::<Batch>();
    is_sync::<Queue>();
    is_sync::<Tokenizer>();
    is_sync::<Encoding>();
    is_sync::<Cancel>();
    is_sync::<SessionCancel>();
    is_sync::<Error>();
}

/// Compiles only while Session is not Sync: else there are two `here` for it.
trait NotSync<Marker> {
    fn here() {}
}
struct BecauseSync;
impl<T: ?Sized> NotSync<()> for T {}
impl<T: ?Sized + Sync> NotSync<BecauseSync> for T {}
const _: fn() = <Session as NotSync<_>>::here;

#[test]
fn a_session_goes_to_another_thread() {
    let mut session = session();
    let tokens = prompts(2).pop().unwrap();
    let mut results = session
        .run(&mut [Item::new(&tokens)], RunParams::default())
        .unwrap();
    let mut cache = results[0].cache.take().unwrap();
    let (session, cache) = std::thread::spawn(move || {
        let mut items = [Item::new(&[7]).append_to(&mut cache).token()];
        session.run(&mut items, RunParams::default()).unwrap();
        (session, cache)
    })
    .join()
    .unwrap();
    assert_eq!(cache.len(), tokens.len() + 1);
    drop(session);
    assert_eq!(cache.len(), tokens.len() + 1); // it outlives its session
}

#[test]
fn caches_are_dropped_anywhere() {
    let mut session = session();
    let tokens = prompts(3).pop().unwrap();
    std::thread::scope(|s| {
        for _ in 0..20 {
            let mut items = [Item::new(&tokens), Item::new(&tokens)];
            let results = session.run(&mut items, RunParams::default()).unwrap();
            s.spawn(move || drop(results));
        }
    });
    assert_eq!(session.info().unwrap().kv_bytes, 0);
}

#[test]
fn a_cache_of_another_session_is_refused() {
    let model = demo();
    let (mut one, mut other) = (Session::new(&model).unwrap(), Session::new(&model).unwrap());
    drop(model);
    let tokens = [1, 2, 3];
    let mut results = one
        .run(&mut [Item::new(&tokens)], RunParams::default())
        .unwrap();
    let cache = results[0].cache.as_mut().unwrap();
    assert_eq!(
        cache.fork(&mut other, 2).unwrap_err().kind(),
        ErrorKind::Argument
    );
    assert_eq!(
        cache.truncate(&mut other, 2).unwrap_err().kind(),
        ErrorKind::Argument
    );
    let mut items = [Item::new(&tokens), Item::new(&tokens).append_to(cache)];
    let error = other.run(&mut items, RunParams::default()).unwrap_err();
    assert_eq!(
        (error.kind(), error.index()),
        (ErrorKind::Argument, Some(1))
    );
    assert_eq!(cache.len(), 3);
}

#[test]
fn tokenizers_are_shared() {
    let tokenizer = Tokenizer::open(DEMO).unwrap();
    let ids = tokenizer.encode("The capital of Germany").unwrap();
    std::thread::scope(|s| {
        for _ in 0..4 {
            s.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(tokenizer.encode("The capital of Germany").unwrap(), ids);
                }
            });
        }
    });
}
