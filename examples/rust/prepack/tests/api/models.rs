//! Models, sessions and devices.
use crate::{demo, session, Scratch};
use prepack::{
    devices, preset, preset_names, ConvertParams, CostModel, DType, ErrorKind, Model, ModelParams,
    RopeType, Session, SessionParams, Weights,
};
use std::ops::ControlFlow;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};

#[test]
fn the_demo() {
    let model = demo();
    let config = model.config().unwrap();
    assert_eq!(
        (config.arch, config.vocab_size, config.n_layers),
        ("llama", 1024, 6)
    );
    assert_eq!(
        (config.bos_token, &config.eos_tokens[..]),
        (Some(1), &[2][..])
    );
    assert_eq!(
        (config.dtype, config.pooling, config.normalize),
        (DType::Bf16, None, None)
    );
    let layer = model.layer(5).unwrap();
    assert_eq!((layer.rope_type, layer.n_kv_heads), (RopeType::Default, 2));
    assert_eq!(model.layer(6).unwrap_err().kind(), ErrorKind::Argument);
    assert!(model.n_parameters() > 2_000_000 && !model.is_random());
    assert_eq!(prepack::version().split('.').count(), 3);
    assert_eq!(DType::Bf16.to_string(), "bf16");
    assert_eq!(
        (DType::F32.size(), Weights::Nf4.to_string().as_str()),
        (4, "nf4")
    );
}

#[test]
fn what_cannot_be_opened() {
    let missing = Model::open("no-such-directory").unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Io);
    assert!(missing.to_string().contains("no-such-directory"));
    assert_eq!(Model::open("a\0b").unwrap_err().kind(), ErrorKind::Argument);
    let abacus = SessionParams::default().device("abacus");
    assert!(Session::with(&demo(), abacus).is_err());
}

#[test]
fn random_models_and_estimates() {
    assert!(preset_names().contains(&"tiny") && preset("nothing of the kind").is_none());
    let model = Model::random(preset("tiny").unwrap(), 7).unwrap();
    assert!(model.is_random());
    let estimate = Session::estimate(&model, &SessionParams::default().device("cpu:ref")).unwrap();
    assert_eq!(estimate.device, "cpu:ref");
    assert!(estimate.weight_bytes > 0 && estimate.page_tokens > 0);
    let info = session().info().unwrap();
    assert_eq!((info.passes, info.weights), (0, Weights::Bf16));
    let cost = CostModel::default();
    let prediction = info.predict_run(Some(&cost), None, &[30, 40]).unwrap();
    assert_eq!(prediction.passes, 1);
    assert!(prediction.seconds >= 70.0 && prediction.kv_bytes > 0);
    assert_eq!(devices().unwrap()[0].device, "cpu");
}

#[test]
fn conversion_and_its_callback() {
    let scratch = Scratch::new("convert");
    let model = demo();
    let params = ConvertParams::default().weights(Weights::Int8);
    let mut calls = 0;
    let count = |_, _| {
        calls += 1;
        ControlFlow::Continue(())
    };
    model
        .convert(scratch.path("int8"), params.clone(), count)
        .unwrap();
    assert!(calls > 0);
    Session::new(&Model::open(scratch.path("int8")).unwrap()).unwrap();
    let stop = |_, _| ControlFlow::Break(());
    let error = model
        .convert(scratch.path("other"), params.clone(), stop)
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        model.convert(scratch.path("other"), params, |_, _| {
            std::panic::panic_any(3)
        })
    }));
    assert_eq!(panicked.unwrap_err().downcast_ref(), Some(&3));
    assert!(!scratch.path("other").exists());
}

/// A stored tensor that no architecture has is said aloud, to the log that was given.
#[test]
fn the_log_is_told() {
    let scratch = Scratch::new("log");
    let config = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../demo-model/config.json"
    ));
    let file = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../demo-model/model.safetensors"
    ));
    std::fs::write(scratch.path("config.json"), config.unwrap()).unwrap();
    std::fs::write(
        scratch.path("model.safetensors"),
        with_one_more_tensor(&file.unwrap()),
    )
    .unwrap();
    let lines = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&lines);
    let params =
        ModelParams::default().log(move |_, line| to.lock().unwrap().push(line.to_string()));
    let model = Model::open_with(&scratch.0, params).unwrap();
    drop(model);
    assert!(
        lines
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.contains("one.too.many")),
        "{lines:?}"
    );
    assert_eq!(Arc::strong_count(&lines), 1); // the log went with the model
}

/// A safetensors file with a name more for the bytes of its first tensor's beginning.
fn with_one_more_tensor(file: &[u8]) -> Vec<u8> {
    let n = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header = std::str::from_utf8(&file[8..8 + n]).unwrap().trim_end();
    let end = file.len() - 8 - n;
    let more = format!(
        r#","one.too.many":{{"dtype":"F32","shape":[1],"data_offsets":[{end},{}]}}}}"#,
        end + 4
    );
    let header = format!("{}{more}", &header[..header.len() - 1]);
    let mut changed = (header.len() as u64).to_le_bytes().to_vec();
    changed.extend_from_slice(header.as_bytes());
    changed.extend_from_slice(&file[8 + n..]);
    changed.extend_from_slice(&[0; 4]);
    changed
}
