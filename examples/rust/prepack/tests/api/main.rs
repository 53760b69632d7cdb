//! The crate on the demo model, examples/demo-model.
mod caches;
mod models;
mod planner;
mod queues;
mod runs;
mod texts;
mod threads;

use prepack::{Model, Session, SessionParams};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../demo-model");

fn demo() -> Model {
    Model::open(DEMO).unwrap()
}

fn session() -> Session {
    Session::new(&demo()).unwrap()
}

fn session_with(params: SessionParams) -> Session {
    Session::with(&demo(), params).unwrap()
}

/// Prompts of different lengths.
fn prompts(n: usize) -> Vec<Vec<i32>> {
    (0..n)
        .map(|i| {
            let tokens = (0..i * 37 % 90 + 3).map(|j| ((i * 131 + j * 17) % 1000 + 10) as i32);
            std::iter::once(1).chain(tokens).collect()
        })
        .collect()
}

fn lengths(prompts: &[Vec<i32>]) -> Vec<i64> {
    prompts.iter().map(|tokens| tokens.len() as i64).collect()
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    assert!(!numbers.is_empty());
    numbers.iter().map(|x| x.to_bits()).collect()
}

/// A path of the test's own in the folder for temporary files; removed when dropped.
struct Scratch(std::path::PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("prepack-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
