"""Rewards from a server: what is said, what is tried again, and what is an error."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from plaudit import posting
from plaudit.errors import ConfigError, ItemError, RemoteError
from plaudit.rewards.remote import RemoteScorer
from plaudit.scorers import composite_from, parse_reward, resolve_scorer
from reward_server import Server, lengths


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def scorer(server: Server, path: str = "/v1/reward", **options: Any) -> RemoteScorer:
    return RemoteScorer(server.root + path, **({"wait": 0.001, "timeout": 5.0} | options))


def test_responses_of_one_prompt_are_asked_together_and_scores_come_back_in_order(server: Server) -> None:
    talk = [{"role": "user", "content": "q"}]
    prompts = ["a", "b", "a", None, talk, talk]
    texts = ["1", "22", "333", "4444", "55555", "666666"]
    scores = scorer(server).score(prompts, texts)
    assert scores.dtype == np.float32
    assert scores.tolist() == [1, 2, 3, 4, 5, 6]
    assert server.asked == [
        [
            {"prompt": "a", "responses": ["1", "333"]},
            {"prompt": "b", "responses": ["22"]},
            {"prompt": None, "responses": ["4444"]},
            {"prompt": talk, "responses": ["55555", "666666"]},
        ]
    ]


def test_a_bare_object_is_an_answer_for_one_prompt(server: Server) -> None:
    server.answer = lambda body, number: {"scores": [0.25, -1]}
    assert scorer(server).score(["p", "p"], ["x", "y"]).tolist() == [0.25, -1]


@pytest.mark.parametrize("path", ["/v1/reward", "/get_reward"])
def test_requests_hold_at_most_a_batch(server: Server, path: str) -> None:
    prompts = ["a"] * 5 + ["b", "c", "c"]
    texts = ["x" * (i + 1) for i in range(8)]
    found = scorer(server, path, batch_size=2).score(prompts, texts)
    assert (found - (path == "/get_reward")).tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    if path == "/v1/reward":
        sizes = [[len(each["responses"]) for each in body] for body in server.asked]
        assert sizes == [[2], [2], [1, 1], [2]]
    else:
        assert [len(body["query"]) for body in server.asked] == [2, 2, 2, 2]
    assert scorer(server, path).score([], []).shape == (0,)


def test_openrlhf_is_sent_whole_texts_and_its_rewards_are_read(server: Server) -> None:
    remote = scorer(server, "/get_reward")
    assert remote.score(["2+2=", None], ["4", "bare"], references=["4", None]).tolist() == [5, 4]
    assert server.asked == [{"query": ["2+2=4", "bare"], "prompts": ["2+2=", ""], "labels": ["4", ""]}]
    with pytest.raises(ItemError, match="item 1: the prompt is a conversation.*only the model's chat template"):
        remote.score(["a", [{"role": "user", "content": "q"}]], ["x", "y"])
    assert len(server.asked) == 1


def test_texts_that_cannot_be_sent_are_named(server: Server) -> None:
    remote = scorer(server)
    assert remote.score(["p"], [[{"role": "assistant", "content": "abc"}]]).tolist() == [3]
    with pytest.raises(ItemError, match="item 1: the response is empty"):
        remote.score(["p", "p"], ["x", " \n"])
    turns = [{"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"}]
    with pytest.raises(ItemError, match="item 0: the response is more than one turn"):
        remote.score(["p"], [turns])
    with pytest.raises(ConfigError, match="compares with no references"):
        remote.score(["p"], ["x"], references=["r"])
    with pytest.raises(ConfigError, match="as many prompts as responses"):
        remote.score(["p"], ["x", "y"])
    assert remote.score(["\ud800"], ["half a pair \udfff"]).tolist() == [13]


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_server_that_fails_twice_is_asked_a_third_time(server: Server, status: int) -> None:
    server.answer = lambda body, number: (status, {"detail": "busy"}) if number < 3 else lengths(body)
    assert scorer(server).score(["p"], ["xy"]).tolist() == [2]
    assert len(server.asked) == 3


def test_a_server_that_keeps_failing_is_an_error_and_no_score(server: Server) -> None:
    server.answer = lambda body, number: (500, b"out of memory")
    with pytest.raises(RemoteError, match="was asked 3 times and gave no scores: status 500, out of memory"):
        scorer(server, retries=2).score(["p"], ["x"])
    assert len(server.asked) == 3


@pytest.mark.parametrize("status", [400, 404, 422, 302, 307])
def test_a_refusal_is_final(server: Server, status: int) -> None:
    server.answer = lambda body, number: (status, {"detail": "no"})
    with pytest.raises(RemoteError, match=f"refused the request: status {status}") as caught:
        scorer(server).score(["p"], ["x"])
    assert len(server.asked) == 1
    assert ("elsewhere.invalid" in str(caught.value)) == (status < 400)


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (b"<html>hello</html>", "no JSON: <html>hello</html>"),
        (b"", "no JSON: nothing"),
        (b"\xff\xfe", "no JSON"),
        (b'[{"scores": [NaN, 1]}]', "the score nan; expected a finite number"),
        (b'[{"scores": [1, Infinity]}]', "the score inf"),
        (b'[{"scores": [1, 1e39]}]', "the score 1e[+]39"),
        ([{"scores": [1, None]}], "the score None"),
        ([{"scores": ["1", 2]}], "the score '1'"),
        ([{"scores": [True, 2]}], "the score True"),
        ([{"scores": [1]}], "has 1 scores for 2 responses"),
        ([{"scores": [1, 2, 3]}], "has 3 scores for 2 responses"),
        ([{"scores": [1, 2]}, {"scores": [1]}], "has 2 objects for 1 asked"),
        ([], "has 0 objects for 1 asked"),
        ([1.0, 2.0], "has 2 objects for 1 asked"),
        ({"rewards": [1, 2]}, "has no list 'scores'"),
        (7, "has no list 'scores'"),
        (None, "has no list 'scores'"),
    ],
)
def test_nonsense_is_tried_again_and_then_an_error(server: Server, answer: Any, problem: str) -> None:
    server.answer = lambda body, number: answer
    with pytest.raises(RemoteError, match=f"was asked 2 times and gave no scores: the answer.*{problem}"):
        scorer(server, retries=1).score(["p", "p"], ["x", "y"])
    server.asked.clear()
    server.answer = lambda body, number: answer if number == 1 else lengths(body)
    assert scorer(server, retries=1).score(["p", "p"], ["x", "yy"]).tolist() == [1, 2]


def test_openrlhf_scores_are_no_rewards(server: Server) -> None:
    server.answer = lambda body, number: {"scores": [0.5]}
    with pytest.raises(RemoteError, match="has no list 'rewards'"):
        scorer(server, "/get_reward", retries=0).score(["p"], ["x"])


def test_a_slow_server_is_waited_for_so_long_and_no_longer(server: Server) -> None:
    def slow_once(body: Any, number: int) -> Any:
        time.sleep(0.4 if number == 1 else 0)
        return lengths(body)

    server.answer = slow_once
    assert scorer(server, timeout=0.1).score(["p"], ["xyz"]).tolist() == [3]
    assert len(server.asked) == 2
    server.asked.clear()
    with pytest.raises(RemoteError, match=r"was asked once and gave no scores: no answer within 0\.1 s"):
        scorer(server, timeout=0.1, retries=0).score(["p"], ["x"])


def test_a_server_that_is_down_is_an_error() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(RemoteError, match="was asked 3 times and gave no scores: no connection .*refused"):
        RemoteScorer(f"http://127.0.0.1:{port}/v1/reward", retries=2, wait=0.001).score(["p"], ["x"])


def test_a_connection_that_breaks_is_tried_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    import http.client

    real, calls = posting._send, []

    def breaks(url: str, data: bytes, *rest: Any) -> bytes:
        calls.append(data)
        if len(calls) == 1:
            raise http.client.IncompleteRead(b"[{")
        return real(url, data, *rest)

    monkeypatch.setattr(posting, "_send", breaks)
    assert scorer(server).score(["p"], ["xy"]).tolist() == [2]


def test_waits_double_up_to_a_limit(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("plaudit.posting.time.sleep", waits.append)
    monkeypatch.setattr("plaudit.posting.random.uniform", lambda low, high: 1.0)
    server.answer = lambda body, number: (500, b"")
    with pytest.raises(RemoteError):
        scorer(server, wait=4.0, retries=5).score(["p"], ["x"])
    assert waits == [4, 8, 16, 30, 30]


def test_headers_are_sent_and_not_shown(server: Server) -> None:
    remote = scorer(server, headers={"Authorization": "Bearer secret"})
    remote.score(["p"], ["x"])
    assert server.headers[0]["Authorization"] == "Bearer secret"
    assert "secret" not in repr(remote)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://host/score", "'/score' names no known kind of request; known: /v1/reward, /get_reward"),
        ("http://host", "'/' names no known kind"),
        ("ftp://host/v1/reward", "is no address of a server"),
        ("http:///v1/reward", "is no address of a server"),
        ("http://host:x/v1/reward", "is no address of a server"),
        ("http://[/v1/reward", "is no address of a server"),
        ("http://host/v1/reward?model=5", "an address ends with its path"),
        ("http://me:word@host/v1/reward", "^host: an address ends with its path"),
    ],
)
def test_addresses_of_another_kind_are_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RemoteScorer(url)


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": float("nan")}, {"retries": -1}, {"retries": 1.5}, {"batch_size": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is"):
        RemoteScorer("http://host/v1/reward", **options)


def test_an_address_is_a_scorer_wherever_one_is_named(server: Server, tmp_path: Path) -> None:
    url = f"{server.root}/v1/reward"
    assert resolve_scorer(url) == RemoteScorer(url)
    assert resolve_scorer(f"{url}/{{timeout: 5, retries: 0}}") == RemoteScorer(f"{url}/", timeout=5, retries=0)
    assert parse_reward(f"{url}=0.5") == {"model": url, "weight": 0.5}
    with pytest.raises(ConfigError, match="no option 'timout'.*did you mean 'timeout'"):
        resolve_scorer(f"{url}{{timout: 5}}")
    file = tmp_path / "mix.yaml"
    file.write_text(yaml.safe_dump({"rewards": [f"{url}{{retries: 1}}=3", {"reward": "length", "weight": 1}]}))
    composite = resolve_scorer(file)
    raw = composite.raw(["p"], ["four"])
    assert raw[server.root.removeprefix("http://")].tolist() == [4]
    again = composite_from(composite.to_dict())
    assert again.components[0].scorer == RemoteScorer(url, retries=1)
    assert again.score(["p"], ["four"]).tolist() == pytest.approx(composite.score(["p"], ["four"]).tolist())
