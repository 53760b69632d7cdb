//! Scores texts: the log-probability of each, given its first token, all in one run.
//!
//!     cargo run --example score -- MODEL "The capital of Germany is Berlin." "The capital of Germany is Oslo."
use prepack::{Item, Model, RunParams, Score, Session, Tokenizer};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: score MODEL TEXT...")?;
    let texts: Vec<String> = arguments.collect();
    let tokenizer = Tokenizer::open(&path)?;
    let mut session = Session::new(&Model::open(&path)?)?;
    let mut tokens = Vec::new();
    for text in &texts {
        let ids = tokenizer.encode(text)?;
        if ids.len() < 2 {
            return Err(format!("{text:?} has {} tokens; a score takes two", ids.len()).into());
        }
        tokens.push(ids);
    }
    // Row t tells about token t + 1, so the last token need not be run.
    let mut scores: Vec<Vec<Score>> = tokens
        .iter()
        .map(|ids| (1..ids.len()).map(|t| Score::of(t - 1, ids[t])).collect())
        .collect();
    let mut items: Vec<Item<'_>> = tokens
        .iter()
        .zip(&mut scores)
        .map(|(ids, scores)| {
            Item::new(&ids[..ids.len() - 1])
                .scores(scores)
                .discard_cache()
        })
        .collect();
    session.run(&mut items, RunParams::default())?;
    for (text, scores) in texts.iter().zip(&scores) {
        let sum: f64 = scores.iter().map(Score::logprob).sum();
        println!("{sum:9.4}  {} tokens  {text}", scores.len() + 1);
    }
    Ok(())
}
