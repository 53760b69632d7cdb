//! Continues texts: all prompts are prefilled packed, then those that have not ended go on together, a token each in
//! a run.
//!
//!     cargo run --example prefill -- MODEL "The capital of Germany is" "3 + 4 ="
use prepack::{
    Item, KvCache, Model, Oversize, Packer, PackerParams, Policy, Result, RunParams, Session,
    Tokenizer,
};

const MAX_NEW_TOKENS: usize = 16;

struct Text {
    tokens: Vec<i32>,
    cache: Option<KvCache>, // until it has ended
}

/// Prefills all texts by a plan and gives each its first token.
fn prefill(session: &mut Session, texts: &mut [Text]) -> Result<()> {
    let params = PackerParams::default()
        .capacity(2048)
        .policy(Policy::Auto)
        .oversize(Oversize::OwnBin);
    let lengths: Vec<_> = texts.iter().map(|text| text.tokens.len() as i64).collect();
    let plan = Packer::new(&params)?.plan(&lengths)?;
    let info = plan.info()?;
    eprintln!(
        "{} texts of {} tokens in {} bins",
        info.n_prompts, info.tokens, info.n_bins
    );
    let mut items: Vec<_> = texts
        .iter()
        .map(|text| Item::new(&text.tokens).token())
        .collect();
    let results = session.run(&mut items, RunParams::default().plan(&plan))?;
    for (text, result) in texts.iter_mut().zip(results) {
        text.tokens.extend(result.next);
        text.cache = result.cache;
    }
    Ok(())
}

/// One token more for each text that has not ended; false when all have.
fn decode(session: &mut Session, ends: &[i32], texts: &mut [Text]) -> Result<bool> {
    for text in texts.iter_mut() {
        if text.tokens.last().map_or(true, |last| ends.contains(last)) {
            text.cache = None; // at once: pages are large
        }
    }
    let last: Vec<[i32; 1]> = texts
        .iter()
        .map(|text| [text.tokens[text.tokens.len() - 1]])
        .collect();
    let mut items = Vec::new();
    let mut owners = Vec::new();
    for (i, text) in texts.iter_mut().enumerate() {
        if let Some(cache) = &mut text.cache {
            items.push(Item::new(&last[i]).append_to(cache).token()); // the cache has all before it
            owners.push(i);
        }
    }
    let results = session.run(&mut items, RunParams::default())?;
    for (&i, result) in owners.iter().zip(&results) {
        texts[i].tokens.extend(result.next);
    }
    Ok(!owners.is_empty())
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: prefill MODEL TEXT...")?;
    let tokenizer = Tokenizer::open(&path)?;
    let mut texts = Vec::new();
    for text in arguments {
        let tokens = tokenizer.encode(&text)?;
        texts.push(Text {
            tokens,
            cache: None,
        });
    }
    let mut session = Session::new(&Model::open(&path)?)?;
    let ends = session.config().eos_tokens.clone();
    prefill(&mut session, &mut texts)?;
    for _ in 1..MAX_NEW_TOKENS {
        if !decode(&mut session, &ends, &mut texts)? {
            break;
        }
    }
    for text in &texts {
        println!("{}", tokenizer.decode(&text.tokens, false)?);
    }
    Ok(())
}
