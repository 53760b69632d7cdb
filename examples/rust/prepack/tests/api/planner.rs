//! Packers, plans, batches and costs.
use crate::{lengths, prompts};
use prepack::{
    Batch, BatchParams, CostModel, DType, ErrorKind, Layout, Objective, Packer, PackerParams, Plan,
    PlanInput, Policy,
};

fn packer(params: PackerParams) -> Packer {
    Packer::new(&params).unwrap()
}

#[test]
fn a_plan() {
    let packer = packer(PackerParams::default().capacity(10).policy(Policy::Auto));
    let plan = packer.plan(&[6, 3, 7, 4]).unwrap();
    drop(packer);
    let info = plan.info().unwrap();
    assert_eq!(
        (info.n_bins, info.n_prompts, info.tokens, info.waste),
        (2, 4, 20, 0.0)
    );
    assert!(info.proven_optimal);
    assert_eq!(plan.bins().unwrap(), [&[2, 1], &[0, 3]]);
    let bin = plan.bin_info(0).unwrap();
    assert_eq!((bin.tokens, bin.choice), (10, None));
    let segment = plan.segment(bin.first_segment + 1).unwrap();
    assert_eq!((segment.prompt, segment.start, segment.after), (1, 7, None));
    assert_eq!(plan.ends().unwrap().len(), 4);
    let (workers, figures) = plan.partition(2).unwrap();
    assert_ne!(workers[0], workers[1]);
    assert_eq!(figures.max_cost, 10.0);
    assert_eq!(plan.bin(2).unwrap_err().kind(), ErrorKind::Argument);
}

#[test]
fn too_long() {
    let packer = packer(PackerParams::default().capacity(10));
    let error = packer.plan(&[6, 11]).unwrap_err();
    assert_eq!((error.kind(), error.index()), (ErrorKind::TooLong, Some(1)));
    assert_eq!(packer.plan(&[]).unwrap().info().unwrap().n_bins, 0);
}

#[test]
fn as_json() {
    let plan = packer(PackerParams::default().capacity(10))
        .plan(&[6, 3, 7, 4])
        .unwrap();
    let copy = Plan::from_json(&plan.to_json().unwrap()).unwrap();
    assert_eq!(copy.bins().unwrap(), plan.bins().unwrap());
    assert_eq!(Plan::from_json("{}").unwrap_err().kind(), ErrorKind::Format);
    let cost = CostModel {
        per_pass: 2.0,
        per_token: 0.1,
        device: "here".into(),
        ..CostModel::default()
    };
    assert_eq!(
        CostModel::from_json(&cost.to_json().unwrap()).unwrap(),
        cost
    );
    assert_eq!(CostModel::default().predict(&[3, 4]).unwrap(), 7.0);
    let long = CostModel {
        device: "x".repeat(64),
        ..CostModel::default()
    };
    assert_eq!(long.predict(&[]).unwrap_err().kind(), ErrorKind::Argument);
}

#[test]
fn objectives() {
    let lengths = [6, 3, 7, 4, 5, 5];
    let balanced = PackerParams::default()
        .objective(Objective::Balanced)
        .n_bins(3);
    let info = packer(balanced).plan(&lengths).unwrap().info().unwrap();
    assert_eq!((info.n_bins, info.max_cost), (3, 10.0));
    let cheapest = PackerParams::default()
        .objective(Objective::Cheapest)
        .cost(CostModel::default())
        .row_lens([8, 16]);
    let info = packer(cheapest).plan(&lengths).unwrap().info().unwrap();
    assert_eq!(info.objective, Objective::Cheapest);
    let bins = PackerParams::default().capacities([20, 12]);
    let plan = packer(bins).plan(&lengths).unwrap();
    assert_eq!(
        (
            plan.info().unwrap().n_bins,
            plan.bin_info(0).unwrap().choice
        ),
        (2, Some(0))
    );
    let mixed = Packer::new(&PackerParams::default().n_bins(3)).unwrap_err();
    assert_eq!(mixed.kind(), ErrorKind::Argument);
}

#[test]
fn shared_prefixes_and_constraints() {
    let sharing = packer(PackerParams::default().capacity(40).min_shared_prefix(8));
    let prefix = prompts(2).pop().unwrap()[..20].to_vec();
    let all = [
        [&prefix[..], &[7, 8]].concat(),
        [&prefix[..], &[9]].concat(),
    ];
    let all: Vec<&[i32]> = all.iter().map(|tokens| &tokens[..]).collect();
    let input = PlanInput {
        prompts: Some(&all),
        ..PlanInput::default()
    };
    let info = sharing.plan_input(&input).unwrap().info().unwrap();
    assert_eq!(info.tokens - info.placed_tokens, 20);
    let plain = packer(PackerParams::default().capacity(40));
    let apart = PlanInput {
        lengths: Some(&[5, 5]),
        apart: Some(&[1, 1]),
        ..PlanInput::default()
    };
    assert_eq!(plain.plan_input(&apart).unwrap().info().unwrap().n_bins, 2);
    let uneven = PlanInput {
        together: Some(&[1]),
        ..apart
    };
    assert_eq!(
        plain.plan_input(&uneven).unwrap_err().kind(),
        ErrorKind::Argument
    );
}

#[test]
fn batches() {
    let all = prompts(4);
    let slices: Vec<&[i32]> = all.iter().map(|tokens| &tokens[..]).collect();
    let plan = packer(PackerParams::default().capacity(100))
        .plan(&lengths(&all))
        .unwrap();
    let batch = Batch::new(&plan, &slices, &BatchParams::default()).unwrap();
    let view = batch.view().unwrap();
    assert_eq!(view.prompts.len(), 4);
    assert_eq!(i64::from(view.cu_seqlens[4]), view.n_tokens);
    for (i, &prompt) in view.prompts.iter().enumerate() {
        let (first, last) = (view.starts[i] as usize, view.last_rows[i] as usize);
        assert_eq!(&view.tokens[first..=last], slices[prompt as usize]);
        assert_eq!(view.positions[first], 0);
    }
    let padded = BatchParams::default().layout(Layout::Padded).pad_token(-1);
    let padded = Batch::new(&plan, &all, &padded).unwrap();
    let view = padded.view().unwrap();
    let mask = padded.mask(DType::Bool, None).unwrap();
    assert_eq!(mask.len(), view.n_rows * view.row_len * view.row_len);
    assert_eq!(&mask[..2], [1, 0]);
    let few = Batch::new(&plan, &slices[..2], &BatchParams::default()).unwrap_err();
    assert_eq!(few.kind(), ErrorKind::Argument);
}
