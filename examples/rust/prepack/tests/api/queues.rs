//! The queue: its answers, and many threads.
use prepack::{Added, ErrorKind, Queue, QueueParams, Taken, WaitingPrompt};
use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

fn waiting(id: i64, n_tokens: i64) -> WaitingPrompt {
    WaitingPrompt {
        id,
        n_tokens,
        ..WaitingPrompt::default()
    }
}

fn queue(params: QueueParams) -> Queue {
    Queue::new(&params.max_age(Duration::from_millis(1))).unwrap()
}

#[test]
fn answers() {
    let queue = queue(QueueParams::default().capacity(10).max_waiting(3));
    for (id, tokens) in [(0, 6), (1, 3), (2, 4)] {
        assert_eq!(queue.add(&waiting(id, tokens)).unwrap(), Added::Waiting);
    }
    assert_eq!(queue.add(&waiting(9, 1)).unwrap(), Added::Full);
    assert!(!queue.cancel(77).unwrap());
    match queue.next(None, 8).unwrap() {
        Taken::Step(step) => {
            assert_eq!(
                (step.tokens, step.prompts.len(), step.n_waiting),
                (10, 2, 1)
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(queue.cancel(1).unwrap());
    let soon = Some(Duration::from_millis(5));
    assert_eq!(queue.next(soon, 8).unwrap(), Taken::NotYet);
    assert_eq!(queue.next(None, 0).unwrap_err().kind(), ErrorKind::Argument);
    assert_eq!(
        queue.add(&waiting(4, 11)).unwrap_err().kind(),
        ErrorKind::TooLong
    );
    queue.close().unwrap();
    assert_eq!(
        queue.add(&waiting(5, 1)).unwrap_err().kind(),
        ErrorKind::Cancelled
    );
    assert_eq!(queue.next(None, 8).unwrap(), Taken::Closed);
    let stats = queue.stats().unwrap();
    assert_eq!((stats.added, stats.handed_out, stats.cancelled), (3, 2, 1));
    assert!(stats.closed);
    assert_eq!(
        Queue::new(&QueueParams::default()).unwrap_err().kind(),
        ErrorKind::Argument
    );
}

#[test]
fn many_threads() {
    let queue = queue(QueueParams::default().capacity(64));
    let seen = Mutex::new(HashSet::new());
    std::thread::scope(|s| {
        for _ in 0..3 {
            s.spawn(|| {
                while let Taken::Step(step) = queue.next(None, 16).unwrap() {
                    seen.lock()
                        .unwrap()
                        .extend(step.prompts.iter().map(|prompt| prompt.id));
                }
            });
        }
        let producers: Vec<_> = (0..4)
            .map(|p| {
                let queue = &queue;
                s.spawn(move || {
                    for i in 0..50 {
                        let added = queue.add(&waiting(p * 50 + i, i % 40 + 1)).unwrap();
                        assert_eq!(added, Added::Waiting);
                    }
                })
            })
            .collect();
        for producer in producers {
            producer.join().unwrap();
        }
        queue.close().unwrap();
    });
    assert_eq!(seen.into_inner().unwrap().len(), 200);
}
