"""The configuration: what is taken, and every rejection in one clear line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config.settings import data_home, load_key, load_settings
from pipelines.errors import SettingsError

TOKEN = {"QODER_PAT": "pt-made-up"}


def configure(document: Any, **variables: str) -> dict[str, str]:
    """Write sessions.yaml into the working directory; return the environment."""
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    Path("sessions.yaml").write_text(text, encoding="utf-8")
    return {**TOKEN, **variables}


def rejection(document: Any, **variables: str) -> str:
    """Return the one line that rejects a configuration."""
    with pytest.raises(SettingsError) as raised:
        load_settings(configure(document, **variables))
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 2
    return str(raised.value)


def one(**keys: Any) -> dict[str, Any]:
    """Return a document with one source of one session."""
    return {"sources": [{"sessions": ["sess_a"], **keys}]}


def test_full_file() -> None:
    """Every key of the documented file is taken."""
    environ = configure(
        """
        sources:
          - name: qoder
            provider: qoder
            base_url: https://api.qoder.com.cn/api/v1/cloud/
            token_env: MY_TOKEN
            max_requests_per_second: 50
            min_page_interval_ms: 100
            max_concurrency: 8
            request_timeout_s: 60
            max_attempts: 6
            retry_budget_s: 300
            sessions:
              - sess_019f00000000000000000000000000aa
              - {id: sess_019f00000000000000000000000000ab, label: nightly review}
        poll_interval_minutes: 5
        keep_agent_definition: true
        """,
        MY_TOKEN="pt-other",
    )
    settings = load_settings(environ)
    (source,) = settings.sources
    assert source.base_url == "https://api.qoder.com.cn/api/v1/cloud"
    assert source.token.get_secret_value() == "pt-other"
    assert [(s.id[-2:], s.label) for s in source.sessions] == [
        ("aa", None),
        ("ab", "nightly review"),
    ]
    assert (settings.poll_interval_minutes, settings.keep_agent_definition) == (5, True)
    assert load_key("poll_interval_minutes", environ) == 5


def test_defaults() -> None:
    """Everything but the token and the sessions has the documented default."""
    (source,) = load_settings({**TOKEN, "QODER_SESSION_IDS": "sess_a, sess_b,"}).sources
    assert [session.id for session in source.sessions] == ["sess_a", "sess_b"]
    assert source.model_dump(exclude={"sessions"}) == {
        "name": "qoder",
        "provider": "qoder",
        "base_url": "https://api.qoder.com/api/v1/cloud",
        "token_env": None,
        "max_requests_per_second": 50,
        "min_page_interval_ms": 100,
        "max_concurrency": 8,
        "request_timeout_s": 60,
        "max_attempts": 6,
        "retry_budget_s": 300,
        "max_pages_per_session": 10_000,
        "order": None,
    }


def test_variables_override_the_file() -> None:
    """QODER_BASE_URL and QODER_SESSION_IDS override the source qoder, and no other."""
    document = one() | {}
    document["sources"].append({"name": "other", "sessions": ["sess_o"], "token_env": "OTHER"})
    url = "http://127.0.0.1:8000/api"
    variables = {"QODER_BASE_URL": url, "QODER_SESSION_IDS": "sess_v", "OTHER": "t"}
    qoder, other = load_settings(configure(document, **variables)).sources
    assert (qoder.base_url, qoder.sessions[0].id) == (url, "sess_v")
    assert (other.base_url, other.sessions[0].id) != (url, "sess_v")


def test_second_token_variable() -> None:
    """QODER_ACCESS_TOKEN serves where QODER_PAT is not set."""
    environ = {"QODER_ACCESS_TOKEN": "second", "QODER_PAT": " ", "QODER_SESSION_IDS": "sess_a"}
    assert load_settings(environ).sources[0].token.get_secret_value() == "second"


def test_token_is_in_no_repr() -> None:
    """The settings show no token, however they are printed."""
    settings = load_settings({**TOKEN, "QODER_SESSION_IDS": "sess_a"})
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert TOKEN["QODER_PAT"] not in shown


def test_named_file(tmp_path: Path) -> None:
    """SESSION_THREADS_CONFIG names another file."""
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(one()), encoding="utf-8")
    settings = load_settings({**TOKEN, "SESSION_THREADS_CONFIG": str(path)})
    assert settings.sources[0].sessions[0].id == "sess_a"
    path.unlink()
    with pytest.raises(SettingsError, match=r"other\.yaml: no such file"):
        load_settings({**TOKEN, "SESSION_THREADS_CONFIG": str(path)})


REJECTED: list[tuple[Any, str]] = [
    (one(max_concurency=3), r"sessions\.yaml: sources\[0\]\.max_concurency: unknown key\. Did you"),
    ({"sourcs": []}, r"sessions\.yaml: sourcs: unknown key\. Did you mean sources\?"),
    (one(max_attempts="six"), r"sources\[0\]\.max_attempts: .*valid integer, not 'six'\. For ex"),
    (one(max_attempts=True), r"sources\[0\]\.max_attempts: .*valid integer, not True"),
    (one(max_requests_per_second=0), r"must be greater than 0, not 0\. For example"),
    (one(order="down"), r"sources\[0\]\.order: must be 'asc' or 'desc', not 'down'"),
    (one(sessions=[]), r"sources\[0\]\.sessions: there are no sessions to poll\. List"),
    ({}, r"there are no sessions to poll"),
    ({"sources": []}, r"there are no sessions to poll"),
    ({"sources": [{}]}, r"sources\[0\]\.sessions: there are no sessions"),
    (one(sessions="sess_a"), r"sources\[0\]\.sessions: must be a list"),
    (one(sessions=["a", {"id": "a"}]), r"sources\[0\]\.sessions: the session 'a' is listed twice"),
    ({"sources": one()["sources"] * 2}, r"the source 'qoder' is listed twice"),
    (one(sessions=[7]), r"sources\[0\]\.sessions\[0\]: must be a session id, or .*not 7"),
    (one(sessions=[{"label": "x"}]), r"sessions\[0\]\.id: field required"),
    *((one(sessions=[id_]), r"sources\[0\]\.sessions\[0\]\.id: must ") for id_ in
      ("a/b", "..", ".", "a b", "a\tb", "a\x00b", "a\\b", "", "a\u00a0b", "a\u200bb")),
    *((one(base_url=url), r"sources\[0\]\.base_url: ") for url in
      ("http://api.example/x", "ftp://api.example", "https://", "api.example/x",
       "https://user:hunter2@api.example/x", "https://api.example/x?y=1", "https://api.example/#y",
       "https://api.example:x/y", "https://api.example:99999/y", "https://a b/x",
       "https://api.example/\x01", "http://127.0.0.1.example/x", "https://[::1", 3)),
    (one(token="abc"), r"sources\[0\]\.token: a token must not stand in a file\. Remove it"),
    (one(token_env="pt-abcdef"), r"sources\[0\]\.token_env: a token must not stand"),
    ({"webhook_url_env": "https://hooks.example/T/secret", **one()},
     r"sessions\.yaml: webhook_url_env: a webhook's URL is a secret and .*NAME of a variable"),
    ({"webhook_url": "http://x/secret", **one()}, r"webhook_url: a webhook's URL is a secret"),
    ({"webhook_url_env": "a b", **one()}, r"webhook_url_env: string should match pattern"),
    (one(sessions=[{"id": "a", "label": "pt-abcdef"}]), r"label: a token must not stand in a file"),
    ({"poll_interval_minutes": 7, **one()}, r"poll_interval_minutes: must be one of 1, 2, 3"),
    ({"poll_interval_minutes": True, **one()}, r"poll_interval_minutes: .*valid integer, not True"),
    ({"poll_interval_minutes": 5.0, **one()}, r"poll_interval_minutes: .*valid integer, not 5\.0"),
    ("sources: [", r"sessions\.yaml:1: not YAML"),
    ("- a", r"must hold keys"),
]  # fmt: skip


@pytest.mark.parametrize(("document", "line"), REJECTED, ids=range(len(REJECTED)))
def test_rejections(document: Any, line: str) -> None:
    """What is wrong is rejected with one line that names the file, the key and the fix."""
    message = rejection(document)
    assert re.search(line, message), message
    assert "/secret" not in message
    assert message.startswith("sessions.yaml")
    assert "hunter2" not in message
    assert "pt-abcdef" not in message


@pytest.mark.parametrize("name", ["QODER_BASE_URL", "QODER_SESSION_IDS"])
def test_refused_variable_is_named(name: str) -> None:
    """What a variable holds is rejected in the variable's name."""
    assert rejection(one(), **{name: "a/b"}).startswith(f"{name}: ")


def test_missing_token() -> None:
    """A missing token names the variables and how to set one."""
    configure(one())
    with pytest.raises(SettingsError, match=r"QODER_PAT or QODER_ACCESS_TOKEN is not set.*export"):
        load_settings({})
    configure(one(token_env="MINE"))
    with pytest.raises(SettingsError, match="variable MINE is not set"):
        load_settings(TOKEN)


def test_token_that_cannot_be_one() -> None:
    """A token with a line break or a space within is rejected, and not shown."""
    for token in ("pt-a b", "pt-a\nb", "pt-ä"):
        with pytest.raises(SettingsError, match="holds a space or a character") as raised:
            load_settings({"QODER_PAT": token, "QODER_SESSION_IDS": "a"})
        assert token not in str(raised.value)


def test_data_home(tmp_path: Path) -> None:
    """The data directory is ./data, or what SESSION_THREADS_HOME says, absolute."""
    assert data_home({}) == tmp_path / "data"
    assert data_home({"SESSION_THREADS_HOME": "x"}) == tmp_path / "x"


@pytest.mark.parametrize(
    "text",
    ["poll_interval_minutes: 7", "poll_interval_minutes: true", "poll_interval_minutes: [", "[]"],
)
def test_broken_file_keeps_the_schedule(text: str) -> None:
    """A broken file does not take the schedule away."""
    assert load_key("poll_interval_minutes", configure(text)) == 15
