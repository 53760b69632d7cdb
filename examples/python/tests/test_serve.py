"""The server: OpenAI's forms, the same bits as without it, and what is refused. (test_serve_ends: how requests end.)"""
from __future__ import annotations

import base64
import socket
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import libprepack
import numpy as np
from support import TEXTS, WINDOW, demo

try:
    import serve_support as serve
    from libprepack.serve.jobs import Job
    from libprepack.serve.texts import StopText
except ModuleNotFoundError as missing:
    if missing.name not in ("uvicorn", "starlette"):
        raise
    raise unittest.SkipTest(f"{missing.name} is not installed") from None

class ServerTest(unittest.TestCase):
    """Tests against one server."""

    options: dict[str, Any] = {}
    server: serve.Running
    session: libprepack.Session

    @classmethod
    def setUpClass(cls) -> None:
        cls.server = serve.Running(**cls.options)
        cls.session = demo()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.server.close()
        cls.session.close()

    def complete(self, prompt: object, **members: object) -> Any:
        answer = self.server.post("completions", {"prompt": prompt, **members})
        self.assertEqual(answer.status, 200, answer.data)
        return answer.json()

    def assert_idle(self) -> None:
        """Nothing is left of any request."""
        serve.until(lambda: self.server.engine.snapshot.info.kv_bytes == 0, "all caches to be given back")
        now = self.server.engine.snapshot
        self.assertEqual((now.n_running, now.n_held, now.promised), (0, 0, 0))


class CompletionsTest(ServerTest):
    def test_texts_are_those_of_a_session(self) -> None:
        plain = self.session.generate(TEXTS, max_new_tokens=16)
        answer = self.complete(TEXTS, temperature=0)
        self.assertEqual([choice["text"] for choice in answer["choices"]], [one.text for one in plain])
        self.assertEqual([choice["finish_reason"] for choice in answer["choices"]], [one.finish_reason for one in plain])
        self.assertEqual([choice["index"] for choice in answer["choices"]], [0, 1, 2, 3])
        n_prompt, n_drawn = sum(self.ids(text).size for text in TEXTS), sum(one.tokens.size for one in plain)
        self.assertEqual(answer["usage"], {"prompt_tokens": n_prompt, "completion_tokens": n_drawn,
                                           "total_tokens": n_prompt + n_drawn})
        self.assertEqual((answer["object"], answer["model"]), ("text_completion", "demo-model"))
        self.assertTrue(answer["system_fingerprint"].startswith("fp_"))

    def ids(self, text: str) -> Any:
        return self.session.tokenizer.encode(text)

    def test_prompts_of_every_kind_are_the_same_prompt(self) -> None:
        ids = self.ids(TEXTS[0]).tolist()
        texts = [self.complete(prompt, temperature=0)["choices"][0]["text"]
                 for prompt in (TEXTS[0], [TEXTS[0]], ids, [ids])]
        self.assertEqual(len(set(texts)), 1)

    def test_choices_have_seeds_of_their_own(self) -> None:
        for prompt in (TEXTS[0], [5]):  # that of one token has no cache to fork
            members: dict[str, Any] = {"temperature": 1.5, "top_k": 50, "top_p": 0.9, "min_p": 0.01}
            plain = self.session.generate([prompt] * 3, seed=-7, max_new_tokens=16, **members)
            choices = self.complete(prompt, n=3, seed=-7, logprobs=1, echo=True, **members)["choices"]
            whole = self.complete(prompt, n=1, seed=-7, echo=True, **members)["choices"][0]["text"]
            text = prompt if isinstance(prompt, str) else self.session.tokenizer.decode(prompt)
            self.assertEqual([choice["text"] for choice in choices], [text + one.text for one in plain])
            self.assertEqual(whole, text + plain[0].text)
        self.assertNotEqual(self.complete(TEXTS[1], temperature=2)["choices"],
                            self.complete(TEXTS[1], temperature=2)["choices"])

    def test_log_probabilities_of_drawn_tokens_are_exact(self) -> None:
        members = {"temperature": 2.0, "seed": 11, "max_tokens": 40, "ignore_eos": True}  # unlikely tokens come, too
        choice = self.complete(TEXTS[0], logprobs=2, **members)["choices"][0]
        drawn, = self.session.generate(TEXTS[:1], temperature=2.0, seed=11, max_new_tokens=40, ignore_eos=True,
                                       n_logprobs=2)
        given = choice["logprobs"]
        self.assertEqual(given["token_logprobs"], drawn.logprobs.logprobs.tolist())
        self.assertGreater(int(drawn.logprobs.ranks.max()), 255)
        for value, top, best in zip(given["token_logprobs"], given["top_logprobs"], drawn.logprobs.top_logprobs):
            self.assertEqual(sorted({*top.values()}), sorted({value, *best.tolist()}))
        text = choice["text"]
        for token, offset in zip(given["tokens"], given["text_offset"]):
            if not token.startswith(("bytes:", "<")):
                self.assertEqual(text[offset:offset + len(token)], token)

    def test_scores_are_those_of_a_session(self) -> None:
        pairs = [(self.ids("2 + 2 = 4").tolist(), 5), (self.ids("2 + 2 = 5").tolist(), 5), (self.ids(serve.LONG).tolist(), 1)]
        plain = self.session.score_tokens(pairs)
        for max_tokens in (0, 1):  # lm-evaluation-harness asks for 1, and drops it
            answer = self.complete([ids for ids, _ in pairs], max_tokens=max_tokens, temperature=0, logprobs=1, echo=True,
                                   seed=1234)
            for choice, (ids, n_context), score in zip(answer["choices"], pairs, plain):
                values = choice["logprobs"]["token_logprobs"][n_context:len(ids)]
                tops = choice["logprobs"]["top_logprobs"][n_context:len(ids)]
                self.assertEqual(len(choice["logprobs"]["tokens"]), len(ids) + max_tokens)
                self.assertEqual(sum(values), score.logprob)
                self.assertEqual(all(value == max(top.values()) for value, top in zip(values, tops)), score.is_greedy)
                self.assertIsNone(choice["logprobs"]["token_logprobs"][0])
        self.assertEqual(answer["usage"]["completion_tokens"], 3)

    def test_prompt_logprobs(self) -> None:
        plain, = self.session.logprobs([TEXTS[0]], top=2)
        first, *entries = self.complete(TEXTS[0], prompt_logprobs=2, max_tokens=0)["choices"][0]["prompt_logprobs"]
        self.assertIsNone(first)
        for i, entry in enumerate(entries, 1):
            wanted = dict(zip(plain.top_tokens[i].tolist(), plain.top_logprobs[i].tolist()))
            wanted[int(plain.tokens[i])] = float(plain.logprobs[i])
            self.assertEqual({int(id): one["logprob"] for id, one in entry.items()}, wanted)
            self.assertEqual(entry[str(plain.tokens[i])]["rank"], int(plain.ranks[i]) + 1)

    def test_a_prompt_of_one_token_has_nothing_before_it(self) -> None:
        for n in (1, 2):
            answer = self.complete([7], echo=True, logprobs=0, prompt_logprobs=0, max_tokens=1, n=n)
            for choice in answer["choices"]:
                self.assertEqual((choice["prompt_logprobs"], choice["logprobs"]["token_logprobs"][0]), ([None], None))
                self.assertEqual(len(choice["logprobs"]["tokens"]), 2)

    def test_streams_are_the_whole_in_pieces(self) -> None:
        members: dict[str, Any] = {"prompt": TEXTS[:2], "n": 2, "seed": 5, "logprobs": 1, "echo": True, "max_tokens": 12,
                                   "ignore_eos": True}
        whole = self.server.post("completions", members).json()
        answer = self.server.post("completions", {**members, "stream": True, "stream_options": {"include_usage": True}})
        self.assertEqual(answer.headers["Content-Type"], "text/event-stream; charset=utf-8")
        *chunks, last = answer.events()
        self.assertTrue(answer.data.endswith(b"data: [DONE]\n\n"))
        self.assertEqual((last["choices"], last["usage"]), ([], whole["usage"]))
        for choice in whole["choices"]:
            parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == choice["index"]]
            self.assertGreater(len(parts), 1)
            self.assertEqual("".join(part["text"] for part in parts), choice["text"])
            self.assertEqual([part["finish_reason"] for part in parts[:-1]], [None] * (len(parts) - 1))
            self.assertEqual(parts[-1]["finish_reason"], choice["finish_reason"])
            for name, values in choice["logprobs"].items():
                self.assertEqual([value for part in parts for value in part["logprobs"][name]], values)

    def test_stop_strings(self) -> None:
        members = {"temperature": 0, "max_tokens": 30, "ignore_eos": True}
        text = self.complete(TEXTS[0], **members)["choices"][0]["text"]
        stop = text[20:24]
        for is_streamed in (False, True):
            answer = self.server.post("completions", prompt=TEXTS[0], stop=["@@", stop], stream=is_streamed, **members)
            chunks = answer.events() if is_streamed else [answer.json()]
            self.assertEqual("".join(chunk["choices"][0]["text"] for chunk in chunks), text[:text.index(stop)])
            self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "stop")

    def test_what_might_be_a_stop_string_is_held_back(self) -> None:
        text = StopText(["abcd", "bce"])
        self.assertEqual([text.push(piece) for piece in ("xa", "b", "c", "f", "ab")], ["x", "", "", "abcf", ""])
        self.assertEqual((text.holds, text.push("ce..."), text.stopped), (True, "a", "bce"))

    def test_stop_tokens(self) -> None:
        plain, = self.session.generate(TEXTS[:1], max_new_tokens=12, ignore_eos=True)
        token = int(plain.tokens[4])
        choice = self.complete(TEXTS[0], temperature=0, stop_token_ids=[token], logprobs=0)["choices"][0]
        self.assertEqual(choice["finish_reason"], "stop")
        self.assertEqual(len(choice["logprobs"]["tokens"]), plain.tokens.tolist().index(token) + 1)

    def test_the_last_position_can_be_used(self) -> None:
        ids = (self.ids(serve.LONG).tolist() * 20)[:1024]
        self.assertEqual(len(self.complete(ids, max_tokens=1, echo=True, logprobs=0)["choices"][0]["logprobs"]["tokens"]),
                         1025)
        self.assertEqual(self.complete(ids[:1000], ignore_eos=True, max_tokens=25)["usage"]["completion_tokens"], 25)
        error = self.server.post("completions", prompt=ids[:1000], max_tokens=26).error()
        self.assertEqual(error["code"], "context_length_exceeded")

    def test_together_is_as_alone(self) -> None:
        prompts = [serve.LONG[i:i + 40 * (i % 7 + 1)] for i in range(48)]
        plain = self.session.generate(prompts, max_new_tokens=12, temperature=1.0, seed=[7] * 48, n_logprobs=1)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda prompt: self.complete(
                prompt, max_tokens=12, seed=7, logprobs=1)["choices"][0], prompts))
        self.assertEqual([answer["text"] for answer in answers], [one.text for one in plain])
        self.assertEqual([answer["logprobs"]["token_logprobs"] for answer in answers],
                         [one.logprobs.logprobs.tolist() for one in plain])
        self.assert_idle()


class OtherModelsTest(unittest.TestCase):
    """Models without a tokenizer: one with a sliding window, one whose rotation depends on a prompt's length."""

    def test_ids_come_and_go(self) -> None:
        dynamic = {**WINDOW, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
                   "sliding_window": None,
                   "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}, "max_position_embeddings": 48}
        for config in (WINDOW, dynamic):
            model = libprepack.Model.random(config)
            session = libprepack.Session(model, threads=2)
            server = serve.Running(lambda _: (libprepack.Session(model, threads=2), 0), step_tokens=32)
            self.addCleanup(server.close)
            prompts = [[(7 * i + 13 * j) % 256 for j in range(n)] for i, n in enumerate((1, 20, 33, 90))]
            plain = session.generate(prompts * 2, max_new_tokens=40, seed=[3] * 4 + [4] * 4, temperature=1.0, n_logprobs=2)
            answer = server.post("completions", prompt=prompts, max_tokens=40, n=2, seed=3, logprobs=2, echo=True).json()
            for i, one in enumerate(plain):
                given = answer["choices"][2 * (i % 4) + i // 4]["logprobs"]
                n = len(prompts[i % 4])
                self.assertEqual(given["tokens"][n:], [f"token_id:{id}" for id in one.tokens])
                self.assertEqual(given["token_logprobs"][n:], one.logprobs.logprobs.tolist())
            vectors = server.post("embeddings", input=prompts).json()["data"]
            self.assertEqual([one["embedding"] for one in vectors], session.embed(prompts).tolist())
            error = server.post("completions", prompt="text").error()
            self.assertEqual(error["code"], "no_tokenizer")
            session.close()


class EmbeddingsTest(ServerTest):
    options = {"step_tokens": 64}  # so that texts go through in pieces

    def test_vectors_are_those_of_a_session(self) -> None:
        plain = self.session.embed([*TEXTS, serve.LONG])
        for encoding in (None, "float", "base64"):
            answer = self.server.post("embeddings", input=[*TEXTS, serve.LONG], encoding_format=encoding).json()
            vectors = [np.frombuffer(base64.b64decode(one["embedding"]), "<f4") if encoding == "base64" else
                       np.array(one["embedding"], np.float32) for one in answer["data"]]
            np.testing.assert_array_equal(np.stack(vectors), plain)
            self.assertEqual([one["index"] for one in answer["data"]], list(range(5)))
        self.assertEqual(answer["usage"]["prompt_tokens"], answer["usage"]["total_tokens"])
        ids = self.session.tokenizer.encode(TEXTS[0]).tolist()
        for one in (ids, [ids], TEXTS[0]):
            self.assertEqual(self.server.post("embeddings", input=one, dimensions=192).json()["data"][0]["embedding"],
                             plain[0].tolist())

    def test_a_mean_needs_the_whole_prompt(self) -> None:
        plain = self.session.embed([serve.LONG], pooling="mean", normalize=False)
        done = threading.Event()
        vectors: list[Any] = []

        class Receiver:
            def receive(self, job: Job, events: list[Any]) -> None:
                vectors.extend(event.values for event in events)
                done.set()

        ids = self.session.tokenizer.encode(serve.LONG)
        self.server.engine.submit([Job(ids, Receiver(), vector=("mean", False))])
        self.assertTrue(done.wait(serve.PATIENCE))
        np.testing.assert_array_equal(vectors[0], plain[0])

    def test_what_is_refused(self) -> None:
        for members, word in (({}, "missing"), ({"input": []}, "allowed"), ({"input": "x", "dimensions": 5}, "192"),
                              ({"input": "x", "encoding_format": "int8"}, "base64"), ({"input": [[]]}, "entry 0"),
                              ({"input": "x", "truncate": 4}, "no parameter"), ({"input": ["x", 3]}, "entry 1")):
            answer = self.server.post("embeddings", members)
            self.assertEqual(answer.status, 400, members)
            self.assertIn(word, answer.error()["message"])


class RefusalsTest(ServerTest):
    options = {"max_n": 4, "max_prompts": 8, "max_tokens": 100, "max_body_bytes": 10000, "allowed_hosts": ("box.lan",)}

    def test_parameters(self) -> None:
        for members, param, word in (
                ({"prompt": None}, "prompt", "missing"), ({"prompt": {}}, "prompt", "a list of token ids"),
                ({"prompt": []}, "prompt", "allowed"), ({"prompt": ["a", [1]]}, "prompt", "entry 1"),
                ({"prompt": [1, True]}, "prompt", "entry 0"), ({"prompt": [1, 1024]}, "prompt", "0 to 1023"),
                ({"prompt": [-1]}, "prompt", "0 to 1023"), ({"prompt": [2 ** 70]}, "prompt", "prompt"),
                ({"prompt": "\ud800"}, "prompt", "UTF-8"), ({"prompt": ["x"] * 9}, "prompt", "at most 8"),
                ({"max_tokens": -1}, "max_tokens", "0 to 100"), ({"max_tokens": 101}, "max_tokens", "0 to 100"),
                ({"max_tokens": True}, "max_tokens", "whole number"), ({"temperature": "hot"}, "temperature", "0 to 2"),
                ({"temperature": 2.5}, "temperature", "0 to 2"), ({"top_p": -0.1}, "top_p", "0 to 1"),
                ({"top_k": 5000}, "top_k", "1024"), ({"min_p": 1.5}, "min_p", "0 to 1"), ({"n": 5}, "n", "1 to 4"),
                ({"n": 0}, "n", "1 to 4"), ({"seed": 2 ** 64}, "seed", "whole number"), ({"stop": [""]}, "stop", "not empty"),
                ({"stop": ["x"] * 17}, "stop", "at most 16"), ({"logprobs": 300}, "logprobs", "0 to 256"),
                ({"logprobs": True}, "logprobs", "whole number"), ({"echo": 1}, "echo", "true and false"),
                ({"suffix": "end"}, "suffix", "not put in between"), ({"best_of": 3}, "best_of", "drawn once"),
                ({"presence_penalty": 0.5}, "presence_penalty", "own probabilities"),
                ({"logit_bias": {"5": 1}}, "logit_bias", "own probabilities"),
                ({"response_format": {"type": "json_object"}}, "response_format", "form"),
                ({"stream_options": {"include_usage": True}}, "stream_options", "without stream"),
                ({"stream": True, "stream_options": {"often": 1}}, "often", "include_usage"),
                ({"stop_token_ids": [9999]}, "stop_token_ids", "1023"),
                ({"temprature": 0}, "temprature", "did you mean temperature")):
            answer = self.server.post("completions", {"prompt": "x", **members})
            error = answer.error()
            self.assertEqual((answer.status, error["param"], error["type"]), (400, param, "invalid_request_error"), error)
            self.assertIn(word, error["message"])
        self.assertEqual(self.server.post("completions", prompt="x", model="gpt-4").error()["code"], "model_not_found")

    def test_what_changes_nothing_is_taken(self) -> None:
        answer = self.server.post("completions", prompt="x", model="demo-model", user="me", metadata={"a": "b"}, suffix=None,
                                  best_of=1, presence_penalty=0, frequency_penalty=0.0, logit_bias={}, max_tokens=1.0,
                                  other=None, top_p=0)
        self.assertEqual(answer.status, 200, answer.data)

    def test_requests_that_are_none(self) -> None:
        request = self.server.request
        kind = {"Content-Type": "application/json"}
        deep = b"[" * 9000
        for status, method, path, body, headers in (
                (404, "GET", "/v1/nothing", None, {}), (405, "GET", "/v1/completions", None, {}),
                (404, "GET", "/v1/models/other", None, {}), (415, "POST", "/v1/completions", b"{}", {"Content-Type": "text/plain"}),
                (400, "POST", "/v1/completions", b"{", kind), (400, "POST", "/v1/completions", b"[1]", kind),
                (400, "POST", "/v1/completions", b"\xff\xfe", kind), (400, "POST", "/v1/completions", deep, kind),
                (413, "POST", "/v1/completions", b" " * 10001, kind), (403, "GET", "/health", None, {"Host": "evil.example"}),
                (403, "POST", "/v1/completions", b"{}", {**kind, "Host": "evil.example:80"})):
            answer = request(method, path, body, headers)
            self.assertEqual(answer.status, status, (method, path, answer.data))
            self.assertIn("allowed" if status != 400 else "JSON", answer.error()["message"])
        for host in ("localhost", "LOCALHOST:1", "[::1]:80", "127.0.0.1", "box.lan"):
            self.assertEqual(request("GET", "/health", None, {"Host": host}).status, 200, host)
        chunks = socket.create_connection(("127.0.0.1", self.server.port), serve.PATIENCE)
        with chunks:
            chunks.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                           b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b" " * 4096 + b"\r\n1000\r\n" + b" " * 4096
                           + b"\r\n1000\r\n" + b" " * 4096 + b"\r\n")
            self.assertIn(b" 413 ", chunks.recv(100))

    def test_models_health_and_metrics(self) -> None:
        self.server.post("completions", prompt="x", max_tokens=3, ignore_eos=True)
        models = self.server.get("/v1/models").json()["data"]
        self.assertEqual([model["id"] for model in models], ["demo-model"])
        self.assertEqual(self.server.get("/v1/models/demo-model").json(), models[0])
        self.assertEqual(self.server.get("/health").json(), {"status": "ready"})
        self.assertEqual(self.server.get("/metrics").headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        figures = self.server.figures()
        self.assertGreater(figures['prepack_requests_total{endpoint="/v1/completions",status="200"}'], 0)
        self.assertGreaterEqual(figures["prepack_generated_tokens_total"], 3)
        for name in ("prepack_queue_waiting", "prepack_queue_waste_ratio", "prepack_queue_p99_age_seconds", "prepack_kv_bytes",
                     "prepack_passes_total", 'prepack_step_seconds_bucket{le="+Inf"}'):
            self.assertIn(name, figures)


if __name__ == "__main__":
    unittest.main()
