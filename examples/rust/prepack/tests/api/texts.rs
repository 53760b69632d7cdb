//! Tokenizers and text streams.
use crate::DEMO;
use prepack::{EncodeParams, ErrorKind, Tokenizer, TokenizerKind};

#[test]
fn round_trips() {
    let tokenizer = Tokenizer::open(DEMO).unwrap();
    let info = tokenizer.info().unwrap();
    assert_eq!((info.kind, info.vocab_size), (TokenizerKind::Bpe, 1024));
    assert_eq!(info.bos_token, Some(1));
    let texts = [
        "The capital of Germany is Berlin.",
        "",
        "3 + 4 = 7",
        "Zürich, 東京 🎉",
    ];
    let params = EncodeParams::default().offsets(true).n_threads(2);
    let all = tokenizer.encode_all(&texts, &params).unwrap();
    assert_eq!(all.len(), texts.len());
    for (i, text) in texts.iter().enumerate() {
        let encoded = all.get(i).unwrap();
        assert_eq!(&tokenizer.decode(encoded.ids, false).unwrap(), text);
        assert_eq!(tokenizer.encode(text).unwrap(), encoded.ids);
        assert_eq!(encoded.offsets.len(), encoded.ids.len());
    }
    assert_eq!(all.get(4).unwrap_err().kind(), ErrorKind::Argument);
    let bare = tokenizer.encode_all(&texts[..1], &EncodeParams::default().no_edges(true));
    let bare = bare.unwrap();
    let bare = bare.get(0).unwrap().ids;
    assert_eq!(bare, &all.get(0).unwrap().ids[1..]);
    let spelled = tokenizer.token(bare[0]).unwrap();
    assert_eq!(tokenizer.id(spelled), Some(bare[0]));
    assert!(tokenizer.token(100_000).is_none() && tokenizer.id("no such token").is_none());
    assert_eq!(
        tokenizer.special_tokens().unwrap().len(),
        info.n_special_tokens
    );
    assert_eq!(
        Tokenizer::open("nowhere").unwrap_err().kind(),
        ErrorKind::Io
    );
}

#[test]
fn a_stream_is_the_text() {
    let tokenizer = Tokenizer::open(DEMO).unwrap();
    let text = "Zürich, 東京 🎉 and Berlin";
    let ids = tokenizer.encode(text).unwrap();
    let mut stream = tokenizer.text_stream(false).unwrap();
    for _ in 0..2 {
        let mut got = String::new();
        for &id in &ids {
            let piece = stream.push(id).unwrap();
            assert!(!piece.contains('\u{fffd}'), "{piece:?}");
            got.push_str(piece);
        }
        got.push_str(stream.finish().unwrap()); // the stream begins anew
        assert_eq!(got, text);
    }
}
