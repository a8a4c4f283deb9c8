"""Settings: three sources in order, and everything wrong told at once."""

from pathlib import Path

import pytest

from agent.config import AgentConfig
from agent.errors import UsageError

URL = "https://preau.example.test:8443"


def write(root: Path, text: str) -> None:
    (root / "etc/preau").mkdir(parents=True, exist_ok=True)
    (root / "etc/preau/agent.toml").write_text(text)


def test_without_anything_there_are_defaults(tmp_path: Path) -> None:
    assert AgentConfig.read(tmp_path, {}, {}) == AgentConfig(tmp_path)


def test_the_command_line_beats_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    write(tmp_path, f'controller = "{URL}/"\ntoken = "file"\ninterval = 30\n')
    config = AgentConfig.read(tmp_path, {"token": "line", "interval": None}, {"PREAU_AGENT_INTERVAL": "20"})
    assert config == AgentConfig(tmp_path, controller=URL, token="line", interval=20.0)


def test_facts_of_the_root_are_used_when_they_are_there(tmp_path: Path) -> None:
    write(tmp_path, "")
    (tmp_path / "etc/preau/facts.json").write_text("{}")
    assert AgentConfig.read(tmp_path, {}, {}).facts == tmp_path / "etc/preau/facts.json"
    assert AgentConfig.read(tmp_path, {}, {"PREAU_AGENT_FACTS": "/x.json"}).facts == Path("/x.json")


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    write(tmp_path, 'controler = "x"\n')
    with pytest.raises(UsageError) as caught:
        AgentConfig.read(tmp_path, {"interval": "vite"}, {"PREAU_AGENT_CONTROLLER": "http://a"})
    told = str(caught.value)
    assert all(word in told for word in ("controler", "intervalle", "https://"))


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "inf", "86401", "1e99", "x"])
def test_an_interval_is_a_sensible_number(tmp_path: Path, interval: str) -> None:
    with pytest.raises(UsageError, match="intervalle"):
        AgentConfig.read(tmp_path, {"interval": interval}, {})


@pytest.mark.parametrize("content", [b"= ", b"\xff"])
def test_a_file_that_is_not_toml_is_named(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, "")
    (tmp_path / "etc/preau/agent.toml").write_bytes(content)
    with pytest.raises(UsageError, match=r"agent\.toml"):
        AgentConfig.read(tmp_path, {}, {})


def test_the_token_is_not_shown_by_accident(tmp_path: Path) -> None:
    assert "7K3M" not in repr(AgentConfig(tmp_path, token="7K3M"))
