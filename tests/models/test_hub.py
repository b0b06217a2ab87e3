"""Publishing: only what verifies is uploaded, and every refusal says what to do. No network: the Hub is a stand-in."""

from __future__ import annotations

import inspect
import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled
from typer.testing import CliRunner

from plaudit.cli import app
from plaudit.errors import ConfigError, ContractError, ModelError, OutputError
from plaudit.formatting import default_spec
from plaudit.models.build import load_model
from plaudit.models.hub import check_hub_access, push_folder
from plaudit.models.reward_model import RewardModel

CARD = 'RewardModel.from_pretrained("runs/my \\"rm\\"")\nAutoTokenizer.from_pretrained("runs/my-rm").eval()\n'


class Hub:
    """The Hub, as far as `HfApi` shows it: one user, one organisation, repositories as file lists."""

    def __init__(self) -> None:
        self.user: dict[str, Any] = {
            "name": "ann",
            "orgs": [{"name": "Lab"}],
            "auth": {"accessToken": {"role": "write"}},
        }
        self.repos: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.failure: tuple[str, BaseException] | None = None

    def called(self, name: str) -> None:
        self.calls.append(name)
        if self.failure is not None and self.failure[0] == name:
            raise self.failure[1]


def api_of(hub: Hub) -> type:
    class Api:
        def whoami(self) -> dict[str, Any]:
            hub.called("whoami")
            return hub.user

        def create_repo(self, repo_id: str, *, private: bool | None = None, exist_ok: bool = False) -> SimpleNamespace:
            hub.called("create_repo")
            full = repo_id if "/" in repo_id else f"{hub.user['name']}/{repo_id}"
            hub.repos.setdefault(full, {"private": bool(private), "files": {"model-00001-of-00002.safetensors": b""}})
            return SimpleNamespace(repo_id=full, url=f"https://huggingface.co/{full}")

        def repo_info(self, repo_id: str) -> SimpleNamespace:
            hub.called("repo_info")
            return SimpleNamespace(private=hub.repos[repo_id]["private"])

        def upload_folder(
            self,
            *,
            repo_id: str,
            folder_path: str | Path,
            commit_message: str | None = None,
            ignore_patterns: list[str] | None = None,
            delete_patterns: list[str] | None = None,
        ) -> None:
            hub.called("upload_folder")
            files = hub.repos[repo_id]["files"]
            for name in [name for name in files if any(fnmatch(name, p) for p in delete_patterns or [])]:
                del files[name]
            for path in filter(Path.is_file, Path(folder_path).rglob("*")):
                name = path.relative_to(folder_path).as_posix()
                if not any(fnmatch(name, p) for p in ignore_patterns or []):
                    files[name] = path.read_bytes()

        def upload_file(
            self, *, path_or_fileobj: bytes, path_in_repo: str, repo_id: str, commit_message: str | None = None
        ) -> None:
            hub.called("upload_file")
            hub.repos[repo_id]["files"][path_in_repo] = path_or_fileobj

    return Api


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub = Hub()
    monkeypatch.setattr(huggingface_hub, "HfApi", api_of(hub))
    return hub


@pytest.fixture(scope="module")
def saved_once(saved, tmp_path_factory: pytest.TempPathFactory) -> Path:
    loaded = load_model(saved("bert", "base"), training=True, seed=1)
    folder = tmp_path_factory.mktemp("hub") / "my-rm"
    model = RewardModel(loaded.model, loaded.tokenizer, default_spec(loaded.tokenizer, 64), base_model="tiny")
    model.save_pretrained(folder, README__md=CARD)
    return folder


@pytest.fixture
def folder(saved_once: Path, tmp_path: Path) -> Path:
    """A reward model as a run leaves it, a checkpoint beside the weights."""
    folder = Path(shutil.copytree(saved_once, tmp_path / "my-rm"))
    (folder / "checkpoint-5").mkdir()
    (folder / "checkpoint-5" / "optimizer.pt").write_bytes(b"much")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "x").write_bytes(b"")
    return folder


def http_error(status: int, text: str) -> HfHubHTTPError:
    response = SimpleNamespace(status_code=status, headers={}, request=None, text=text)
    return HfHubHTTPError(text, response=response)


def test_the_stand_in_has_the_signatures_of_the_real_api() -> None:
    for name, method in inspect.getmembers(api_of(Hub()), inspect.isfunction):
        real = inspect.signature(getattr(HfApi, name)).parameters
        for parameter in inspect.signature(method).parameters.values():
            assert parameter.name in real
            assert real[parameter.name].kind == parameter.kind


def test_a_verified_folder_is_uploaded_with_its_card(hub: Hub, folder: Path) -> None:
    assert push_folder(folder, "ann/my-rm", private=True) == "https://huggingface.co/ann/my-rm"
    repo = hub.repos["ann/my-rm"]
    assert repo["private"]
    assert {"model.safetensors", "config.json", "tokenizer.json", "scoring_contract.json"} <= set(repo["files"])
    assert not any(name.startswith(("checkpoint", ".")) for name in repo["files"])
    assert "model-00001-of-00002.safetensors" not in repo["files"]  # of an older model there
    card = repo["files"]["README.md"].decode()
    assert card.count('from_pretrained("ann/my-rm")') == 2
    assert "runs/" not in card
    assert "runs/" in (folder / "README.md").read_text(encoding="utf-8")


def test_a_name_without_an_owner_is_the_users_own(hub: Hub, folder: Path) -> None:
    assert push_folder(folder, "my-rm").endswith("ann/my-rm")
    assert b'from_pretrained("ann/my-rm")' in hub.repos["ann/my-rm"]["files"]["README.md"]


def test_a_model_pushes_its_saved_folder(hub: Hub, folder: Path) -> None:
    model = RewardModel.from_pretrained(folder, device="cpu")
    assert model.push_to_hub("Lab/my-rm") == "https://huggingface.co/Lab/my-rm"
    model.folder = None
    with pytest.raises(ConfigError, match="save_pretrained first"):
        model.push_to_hub("Lab/my-rm")


def test_a_folder_that_does_not_reproduce_its_scores_stays_at_home(hub: Hub, folder: Path) -> None:
    path = folder / "scoring_contract.json"
    contract = json.loads(path.read_text(encoding="utf-8"))
    contract["golden"][0]["score"] += 1
    path.write_text(json.dumps(contract), encoding="utf-8")
    with pytest.raises(ContractError, match="nothing was pushed"):
        push_folder(folder, "ann/my-rm")
    assert hub.repos == {}


def test_a_folder_without_contract_stays_at_home(hub: Hub, folder: Path) -> None:
    (folder / "scoring_contract.json").unlink()
    with pytest.raises(ContractError, match="no scoring contract"):
        push_folder(folder, "ann/my-rm")
    with pytest.raises(OutputError, match="no such folder"):
        push_folder(folder / "elsewhere", "ann/my-rm")
    assert hub.repos == {}


def test_an_existing_public_repository_does_not_become_private_silently(hub: Hub, folder: Path) -> None:
    push_folder(folder, "ann/my-rm")
    hub.calls.clear()
    with pytest.raises(OutputError, match="exists and is public"):
        push_folder(folder, "ann/my-rm", private=True)
    assert "upload_folder" not in hub.calls


@pytest.mark.parametrize("repo_id", ["a/b/c", "ann/my rm", "", "ann/my--rm"])
def test_an_invalid_id_is_refused(hub: Hub, folder: Path, repo_id: str) -> None:
    with pytest.raises(ConfigError, match="expected owner/name"):
        push_folder(folder, repo_id)
    assert hub.calls == []


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (OfflineModeIsEnabled("offline"), "unset HF_HUB_OFFLINE"),
        (LocalTokenNotFoundError("no token"), "hf auth login"),
        (http_error(401, "Invalid user token."), "token is not valid"),
        (http_error(429, "slow down"), "try again in a few minutes"),
        (http_error(500, "broken"), "cannot push to ann/my-rm: broken"),
        (ConnectionError("no route"), "cannot be reached"),
    ],
)
def test_what_the_hub_refuses_at_the_start_says_what_to_do(hub: Hub, failure: BaseException, message: str) -> None:
    hub.failure = ("whoami", failure)
    with pytest.raises(OutputError, match=message):
        check_hub_access("ann/my-rm")


def test_a_refused_upload_says_what_to_do(hub: Hub, folder: Path) -> None:
    hub.failure = ("create_repo", http_error(403, "Forbidden: you don't have the rights"))
    with pytest.raises(OutputError, match=r"may not write there.*rights"):
        push_folder(folder, "ann/my-rm")


def test_a_token_that_only_reads_is_refused_before_anything_happens(hub: Hub) -> None:
    hub.user["auth"]["accessToken"] = {"role": "read", "displayName": "laptop"}
    with pytest.raises(OutputError, match="'laptop' only reads"):
        check_hub_access("ann/my-rm")


def test_an_owner_that_the_user_does_not_write_for_is_refused(hub: Hub) -> None:
    check_hub_access("lab/my-rm")
    with pytest.raises(OutputError, match="may write for ann, Lab"):
        check_hub_access("someone/my-rm")


def test_an_adapter_over_a_local_base_is_refused(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "adapter.json").write_text(json.dumps({"base_model_name_or_path": str(folder)}), encoding="utf-8")
    monkeypatch.setattr("plaudit.models.hub.find_adapter", lambda where: folder / "adapter.json")
    with pytest.raises(ModelError, match="only this machine has"):
        push_folder(folder, "ann/my-rm")


def test_the_command_prints_the_address(hub: Hub, folder: Path) -> None:
    result = CliRunner().invoke(app, ["push", str(folder), "--repo_id", "ann/my-rm", "--private"])
    assert (result.exit_code, result.stdout) == (0, "https://huggingface.co/ann/my-rm\n")
    result = CliRunner().invoke(app, ["push", str(folder), "--repo-id", "ann/my-rm", "--json"])
    assert json.loads(result.stdout) == {"folder": str(folder), "url": "https://huggingface.co/ann/my-rm"}
    hub.failure = ("whoami", LocalTokenNotFoundError("no token"))
    result = CliRunner().invoke(app, ["push", str(folder), "--repo-id", "ann/my-rm"])
    assert result.exit_code == 2
    assert "error: cannot push to ann/my-rm: no token" in result.stderr
