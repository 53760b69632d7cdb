//! The planner alone: lengths of prompts in, bins out. It needs no model and no device.
//!
//!     cargo run --example plan -- 512 300 77 210 9 180
use prepack::{Packer, PackerParams, Policy};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut lengths = Vec::new();
    for argument in std::env::args().skip(1) {
        lengths.push(
            argument
                .parse::<i64>()
                .map_err(|e| format!("{argument:?}: {e}"))?,
        );
    }
    if lengths.is_empty() {
        lengths = vec![512, 300, 77, 210, 9, 180];
    }
    let packer = Packer::new(&PackerParams::default().policy(Policy::Auto))?;
    let plan = packer.plan(&lengths)?;
    let info = plan.info()?;
    for (i, bin) in plan.bins()?.iter().enumerate() {
        let tokens = plan.bin_info(i)?.tokens;
        println!(
            "bin {i}: prompts {bin:?}, {tokens} of {} tokens",
            info.capacity
        );
    }
    println!(
        "{} prompts in {} bins, at least {} are needed; {:.1} % are empty, {:.1} % of one row a prompt would be",
        info.n_prompts,
        info.n_bins,
        info.lower_bound,
        100.0 * info.waste,
        100.0 * (1.0 - info.tokens as f64 / (info.longest_prompt * lengths.len() as i64) as f64)
    );
    Ok(())
}
