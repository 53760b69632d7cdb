"""Tokenizers: text to token ids and back, as the files that come with a model say."""
from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from . import _abi
from ._arrays import integer
from ._ids import Ids, Prompt, to_ids
from ._library import Handle, call, log_to_logging, path_bytes, sized
from ._library import text as library
from ._names import SPECIALS, TOKENIZERS, constant, decoded, name_of
from ._views import SharedHandle
from .errors import MisuseError
from .model import Path


@dataclass(frozen=True)
class SpecialToken:
    """A token that a text may spell out whole: <|im_start|>, [MASK]. is_special: it has no text when tokens become
    text, unless that is asked for."""

    id: int
    text: str
    is_special: bool


@dataclass(frozen=True)
class Encoded:
    """ids: int32 [n]. offsets: int64 [n, 2], where in the text, in bytes of UTF-8, each token came from; zeros for
    a token of no text."""

    ids: Ids
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return int(self.ids.size)


class Tokenizer(SharedHandle):
    """The tokenizer of a model.

    path: a directory (tokenizer.json, tekken.json, tokenizer.model or a GGUF file, with tokenizer_config.json), or one
        of these files.

    The ids are those of the Hugging Face library `tokenizers`, of SentencePiece, mistral_common or llama.cpp,
    whichever the file belongs to. Immutable: threads, and children after fork, may share it.
    Raises FileError where there is none, FormatError, UnsupportedError (the sentence names what the file asks for).
    """

    def __init__(self, path: Path, *, log: bool = True) -> None:
        params = sized(_abi.pp_tokenizer_params)
        if log:
            params.log = log_to_logging
        address = ctypes.c_void_p()
        self._streams: set[int] = set()
        call(library().pp_tokenizer_open, path_bytes(path), ctypes.byref(params), ctypes.byref(address))
        super().__init__(address.value, library().pp_tokenizer_destroy)
        self._path = os.fspath(path)
        self._info = sized(_abi.pp_tokenizer_info)
        self.invoke(library().pp_tokenizer_get_info, ctypes.byref(self._info))
        self._edges: tuple[Ids, Ids] | None = None

    # ---- what it says of itself ----

    @property
    def path(self) -> str:
        """The path that it was opened with."""
        return self._path

    @property
    def kind(self) -> str:
        """"bpe", "wordpiece", "unigram" or "wordlevel"."""
        return name_of(TOKENIZERS, self._info.kind)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id; not every id below need be a token."""
        return self._info.vocab_size

    @property
    def bos_token(self) -> int | None:
        """The id that begins a text; None where none is named."""
        return _known(self._info.bos_token)

    @property
    def eos_token(self) -> int | None:
        """The id that ends a text, or None."""
        return _known(self._info.eos_token)

    @property
    def unk_token(self) -> int | None:
        """The id for what no token has, or None."""
        return _known(self._info.unk_token)

    @property
    def pad_token(self) -> int | None:
        """The id that fills rows, or None."""
        return _known(self._info.pad_token)

    @property
    def adds_bos(self) -> bool:
        """Whether texts get their beginning unless `edges` is False."""
        return bool(self._info.adds_bos)

    @property
    def adds_eos(self) -> bool:
        """Whether they get their end."""
        return bool(self._info.adds_eos)

    @property
    def special_tokens(self) -> list[SpecialToken]:
        """Tokens that a text may spell out whole, by id."""
        tokens: list[SpecialToken] = []
        special = sized(_abi.pp_special_token)
        for i in range(self._info.n_special_tokens):
            self.invoke(library().pp_tokenizer_get_special, i, ctypes.byref(special))
            tokens.append(SpecialToken(special.id, decoded(special.text), bool(special.is_special)))
        return tokens

    @property
    def edges(self) -> tuple[Ids, Ids]:
        """The ids that it puts before and behind a text."""
        if self._edges is None:
            alone, whole = self.encode("a", edges=False), self.encode("a")
            n_edges = whole.size - alone.size
            n = next((k for k in range(n_edges) if np.array_equal(whole[k:k + alone.size], alone)), n_edges)
            self._edges = whole[:n], whole[n + alone.size:]
        return self._edges

    def token(self, id: int) -> str | None:
        """A token as its file spells it ("Ġthe", "▁the", "<0x0A>"); None for an id that no token has."""
        n_bytes = ctypes.c_size_t()
        with self.in_use() as handle:
            spelled: bytes | None = library().pp_tokenizer_token(handle, integer("id", id, 32), ctypes.byref(n_bytes))
        return None if spelled is None else decoded(spelled)

    def id(self, token: str) -> int | None:
        """The id of a token, spelled as its file does; None where there is none."""
        if not isinstance(token, str):
            raise TypeError(f"token is a {type(token).__name__}; it is a str")
        spelled = token.encode("utf-8", "surrogatepass")
        with self.in_use() as handle:
            return _known(int(library().pp_tokenizer_id(handle, spelled, len(spelled))))

    # ---- text to ids ----

    @overload
    def encode(self, text: str, *, special: str = "parse", edges: bool = True, threads: int = 0) -> Ids: ...

    @overload
    def encode(self, text: list[str] | tuple[str, ...], *, special: str = "parse", edges: bool = True,
               threads: int = 0) -> list[Ids]: ...

    def encode(self, text: str | list[str] | tuple[str, ...], *, special: str = "parse", edges: bool = True,
               threads: int = 0) -> Ids | list[Ids]:
        """The ids of a text, int32 [n]; of a list of texts a list of them.

        special: "parse": special tokens that a text spells out become the token; "text": they are text like any
            other, for text that nobody vouches for.
        edges: whether texts get their beginning and end (BOS, EOS, [CLS], [SEP]).
        threads: texts are shared out among so many; 0: 1.
        Raises ArgumentError (a text with a lone surrogate), UnsupportedError, LimitError (a text of 1 GiB or more).
        """
        texts = [text] if isinstance(text, str) else text
        encoded = [each[0] for each in self._encode(texts, special, edges, False, threads)]
        return encoded[0] if isinstance(text, str) else encoded

    def encode_with_offsets(self, text: str, *, special: str = "parse", edges: bool = True) -> Encoded:
        """The ids of a text, and where in its UTF-8 bytes each came from."""
        (ids, offsets), = self._encode([text], special, edges, True, 0)
        return Encoded(ids, offsets)

    def _encode(self, texts: Sequence[str], special: str, edges: bool, offsets: bool,
                threads: int) -> list[tuple[Ids, NDArray[np.int64]]]:
        for i, text in enumerate(texts):
            if not hasattr(text, "encode"):
                raise TypeError(f"text {i} is a {type(text).__name__}; texts are str")
        encoded = [text.encode("utf-8", "surrogatepass") for text in texts]  # the library names the byte
        given = (_abi.pp_text * max(len(encoded), 1))()
        for slot, data in zip(given, encoded):
            slot.bytes, slot.n_bytes = data, len(data)
        params = sized(_abi.pp_encode_params, special=constant(SPECIALS, special, "special"), no_edges=int(not edges),
                       offsets=int(offsets), n_threads=integer("threads", threads, 32))
        encoding = ctypes.c_void_p()
        self.invoke(library().pp_tokenizer_encode, given, len(encoded), ctypes.byref(params), ctypes.byref(encoding))
        try:
            return [_encoded(encoding, i) for i in range(len(encoded))]
        finally:
            library().pp_encoding_destroy(encoding)

    # ---- ids to text ----

    def decode(self, ids: Prompt, *, keep_special: bool = False) -> str:
        """The text of ids. Bytes that are no UTF-8 become U+FFFD; ids that no token has have no text.

        keep_special: whether special tokens are spelled out; else they have no text."""
        array = to_ids(ids, "ids")
        params = sized(_abi.pp_decode_params, keep_special=int(keep_special))
        n_bytes = ctypes.c_size_t()
        room = 8 * array.size + 64
        while True:
            memory = ctypes.create_string_buffer(room)
            n_bytes.value = 0
            try:
                self.invoke(library().pp_tokenizer_decode, array.ctypes.data, array.size, ctypes.byref(params), memory,
                            room, ctypes.byref(n_bytes))
                return memory.raw[:n_bytes.value].decode("utf-8", "replace")
            except ValueError:
                if n_bytes.value < room:
                    raise
                room = n_bytes.value + 1

    def stream(self, *, keep_special: bool = False) -> TextStream:
        """Text from ids that come one by one."""
        return TextStream(self, keep_special)

    def keep_stream(self, address: int) -> None:
        """Its streams end before it does, whichever the collector takes first."""
        self._streams.add(address)

    def end_stream(self, address: int) -> None:
        """Ends a stream, unless it ended with the tokenizer."""
        try:
            self._streams.remove(address)  # of two threads one succeeds
        except KeyError:
            pass
        else:
            library().pp_text_stream_destroy(address)

    def _free(self) -> None:
        for address in list(self._streams):
            self.end_stream(address)
        super()._free()

    def __repr__(self) -> str:
        if self.closed:
            return "<libprepack.Tokenizer: closed>"
        return f"<libprepack.Tokenizer {self.path!r}: {self.kind}, {self.vocab_size} ids>"


class TextStream(Handle):
    """Text from ids that come one by one: the pieces, one behind the other, are what `decode` gives for all the ids.

    One thread at a time: another gets MisuseError."""

    def __init__(self, tokenizer: Tokenizer, keep_special: bool = False) -> None:
        params = sized(_abi.pp_decode_params, keep_special=int(keep_special))
        address = ctypes.c_void_p()
        with tokenizer.in_use() as handle:
            call(library().pp_text_stream_create, handle, ctypes.byref(params), ctypes.byref(address))
            tokenizer.keep_stream(address.value or 0)
        self._tokenizer = tokenizer
        self._turn = threading.Lock()
        super().__init__(address.value, tokenizer.end_stream)
        self._piece = _abi.pp_text()

    def __repr__(self) -> str:
        return self._unusable or f"<libprepack.TextStream of {self._tokenizer!r}>"

    @contextmanager
    def _alone(self) -> Generator[int, None, None]:
        """Its address, while no other thread uses it and its tokenizer is open."""
        if not self._turn.acquire(blocking=False):
            raise MisuseError("another thread uses this TextStream: one at a time does")
        try:
            with self._tokenizer.in_use():
                yield self.handle
        finally:
            self._turn.release()

    def close(self) -> None:
        """Gives back what it holds. Raises MisuseError while another thread uses it."""
        if not self._turn.acquire(blocking=False):
            raise MisuseError("another thread uses this TextStream")
        try:
            with self._tokenizer.in_use():
                super().close()
        except MisuseError:  # the tokenizer is closed, and with it this
            self._address = None
        finally:
            self._turn.release()

    def push(self, id: int) -> str:
        """What the id completes: whole characters, often none."""
        with self._alone() as handle:
            call(library().pp_text_stream_push, handle, integer("id", id, 32), ctypes.byref(self._piece))
            return self._text()

    def finish(self) -> str:
        """What was held back; the stream begins anew."""
        with self._alone() as handle:
            call(library().pp_text_stream_finish, handle, ctypes.byref(self._piece))
            return self._text()

    def _text(self) -> str:
        if not self._piece.n_bytes:
            return ""
        address = ctypes.cast(ctypes.pointer(self._piece), ctypes.POINTER(ctypes.c_void_p))[0]
        return decoded(ctypes.string_at(address or 0, self._piece.n_bytes))


def _known(id: int) -> int | None:
    return id if id >= 0 else None


def _encoded(encoding: ctypes.c_void_p, i: int) -> tuple[Ids, NDArray[np.int64]]:
    """Copies of the ids of a text and their offsets, [0, 2] where none were asked for."""
    view = sized(_abi.pp_encoded)
    call(library().pp_encoding_get, encoding, i, ctypes.byref(view))
    ids: Ids = np.empty(view.n, np.int32)
    offsets: NDArray[np.int64] = np.empty((view.n if view.offsets else 0, 2), np.int64)
    if view.n:
        ctypes.memmove(ids.ctypes.data, view.ids or 0, ids.nbytes)
        if view.offsets:
            ctypes.memmove(offsets.ctypes.data, view.offsets, offsets.nbytes)
    return ids, offsets
