"""The configuration: what is taken, and every rejection in one clear line."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.config.loader import load_settings, load_tolerant
from pipelines.config.settings import data_home
from pipelines.errors import SettingsError
from pipelines.providers.base import Provider
from pipelines.providers.registry import PROVIDERS
from tests.support import CANARY

TOKEN = {"QODER_PAT": "pt-made-up"}


def configure(document: Any, **variables: str) -> dict[str, str]:
    """Write sessions.yaml into the working directory; return the environment."""
    text = document if isinstance(document, str) else yaml.safe_dump(document)
    Path("sessions.yaml").write_text(text, encoding="utf-8")
    return {**TOKEN, **variables}


def rejection(document: Any, **variables: str) -> str:
    """Return the one line that rejects a configuration."""
    with pytest.raises(SettingsError) as raised:
        load_settings(PROVIDERS, configure(document, **variables))
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
    settings = load_settings(PROVIDERS, environ)
    (source,) = settings.sources
    assert source.base_url == "https://api.qoder.com.cn/api/v1/cloud"
    assert source.token.get_secret_value() == "pt-other"
    assert [(s.id[-2:], s.label) for s in source.sessions] == [
        ("aa", None),
        ("ab", "nightly review"),
    ]
    assert (settings.poll_interval_minutes, settings.keep_agent_definition) == (5, True)


def test_defaults() -> None:
    """Everything but the token and the sessions has the documented default."""
    (source,) = load_settings(PROVIDERS, {**TOKEN, "QODER_SESSION_IDS": "sess_a, sess_b,"}).sources
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
        "page_limit": 100,
        "lookup_limit": 100,
        "max_pages_per_session": 10_000,
        "order": None,
        "sessions_file": None,
        "discover": None,
        "exclude": (),
        "auth": "bearer",
        "headers": {},
        "params": {},
        "paging": "cursors",
    }


def test_variables_override_the_file() -> None:
    """QODER_BASE_URL and QODER_SESSION_IDS override the source qoder, and no other."""
    document = one() | {}
    document["sources"].append({"name": "other", "sessions": ["sess_o"], "token_env": "OTHER"})
    url = "http://127.0.0.1:8000/api"
    variables = {"QODER_BASE_URL": url, "QODER_SESSION_IDS": "sess_v", "OTHER": "t"}
    qoder, other = load_settings(PROVIDERS, configure(document, **variables)).sources
    assert (qoder.base_url, qoder.sessions[0].id) == (url, "sess_v")
    assert (other.base_url, other.sessions[0].id) != (url, "sess_v")


def test_second_token_variable() -> None:
    """QODER_ACCESS_TOKEN serves where QODER_PAT is not set."""
    environ = {"QODER_ACCESS_TOKEN": "second", "QODER_PAT": " ", "QODER_SESSION_IDS": "sess_a"}
    assert load_settings(PROVIDERS, environ).sources[0].token.get_secret_value() == "second"


def test_token_is_in_no_repr() -> None:
    """The settings show no token, however they are printed."""
    settings = load_settings(PROVIDERS, {**TOKEN, "QODER_SESSION_IDS": "sess_a"})
    shown = f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    assert TOKEN["QODER_PAT"] not in shown


def test_named_file(tmp_path: Path) -> None:
    """SESSION_THREADS_CONFIG names another file."""
    path = tmp_path / "other.yaml"
    path.write_text(yaml.safe_dump(one()), encoding="utf-8")
    settings = load_settings(PROVIDERS, {**TOKEN, "SESSION_THREADS_CONFIG": str(path)})
    assert settings.sources[0].sessions[0].id == "sess_a"
    path.unlink()
    with pytest.raises(SettingsError, match=r"other\.yaml: no such file"):
        load_settings(PROVIDERS, {**TOKEN, "SESSION_THREADS_CONFIG": str(path)})


REJECTED: list[tuple[Any, str]] = [
    (one(max_concurency=3), r"sessions\.yaml: sources\[0\]\.max_concurency: unknown key\. Did you"),
    ({"sourcs": []}, r"sessions\.yaml: sourcs: unknown key\. Did you mean sources\?"),
    (one(max_attempts="six"), r"sources\[0\]\.max_attempts: .*valid integer, not 'six'\. For ex"),
    (one(max_attempts=True), r"sources\[0\]\.max_attempts: .*valid integer, not True"),
    (one(max_requests_per_second=0), r"must be greater than 0, not 0\. For example"),
    (one(provider="qodr"), r"sources\[0\]\.provider: unknown provider 'qodr'\. Did you mean qoder"),
    (one(provider="x"), r"unknown provider 'x'\. The providers are: baidu, claude, custom"),
    (one(provider=[1]), r"sources\[0\]\.provider: unknown provider \[1\]"),
    (one(name=3), r"sources\[0\]\.name: .*valid string, not 3"),
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
    (one(provider="custom"), r"sources\[0\]\.base_url: field required\. For example: base_url: https://host"),
    (one(auth="basic"), r"sources\[0\]\.auth: must be 'bearer' or 'x-api-key', not 'basic'"),
    (one(headers=["x"]), r"sources\[0\]\.headers: must be a mapping of names to values"),
    (one(headers={"a b": "c"}), r"headers: 'a b' is no name of a header"),
    (one(headers={"Authorization": "c"}), r"headers\.Authorization: a token must not stand in a"),
    (one(headers={"authorization": {"env": "A"}}), r"authorization is sent by `auth: bearer`"),
    (one(headers={"Host": "c"}), r"the header Host is the client's"),
    (one(headers={"X-A": "1", "x-a": "2"}), r"the header x-a is given twice"),
    (one(headers={"x-a": "b\nc"}), r"the value of x-a must be a text on one line"),
    (one(headers={"x-a": "ä"}), r"the value of x-a must be printable ASCII"),
    (one(headers={"x-a": {"env": "A B"}}), r"the value of x-a must be a text, or \{env: NAME\}"),
    (one(headers={"x-a": {"env": "A", "x": 1}}), r"of x-a must be a text, or \{env: NAME\}"),
    (one(headers={"x-a": "sk-ant-abc"}), r"headers\.x-a: a token must not stand in a file"),
    (one(headers={"X-Api-Key": "abc"}), r"X-Api-Key must not stand in .* write \{env: NAME\}"),
    (one(params={"access_token": "abc"}), r"of access_token must not stand in"),
    (one(params={"limit": 3}), r"the parameter limit is the client's: see page_limit"),
    (one(params={3: "a"}), r"the name 3 must be a text: put it into quotes"),
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
def test_rejected_variable_is_named(name: str) -> None:
    """What a variable holds is rejected in the variable's name."""
    assert rejection(one(), **{name: "a/b"}).startswith(f"{name}: ")


def test_missing_token() -> None:
    """A missing token names the variables and how to set one."""
    configure(one())
    with pytest.raises(SettingsError, match=r"QODER_PAT or QODER_ACCESS_TOKEN is not set.*export"):
        load_settings(PROVIDERS, {})
    configure(one(token_env="MINE"))
    with pytest.raises(SettingsError, match="variable MINE is not set"):
        load_settings(PROVIDERS, TOKEN)


def test_token_that_cannot_be_one() -> None:
    """A token with a line break or a space within is rejected, and not shown."""
    for token in ("pt-a b", "pt-a\nb", "pt-ä"):
        with pytest.raises(SettingsError, match="holds a space or a character") as raised:
            load_settings(PROVIDERS, {"QODER_PAT": token, "QODER_SESSION_IDS": "a"})
        assert token not in str(raised.value)


def test_data_home(tmp_path: Path) -> None:
    """The data directory is ./data, or what SESSION_THREADS_HOME says, absolute."""
    assert data_home({}) == tmp_path / "data"
    assert data_home({"SESSION_THREADS_HOME": "x"}) == tmp_path / "x"


def test_home_is_a_setting(tmp_path: Path) -> None:
    """The settings say where the data lies, also the tolerant ones."""
    environ = configure(one(), SESSION_THREADS_HOME="x")
    assert load_settings(PROVIDERS, environ).home == tmp_path / "x"
    assert load_tolerant(environ).home == tmp_path / "x"


OTHER = Provider(
    name="other",
    base_url="https://api.example/v1",
    token_variables=("OTHER_KEY",),
    base_url_variable="OTHER_URL",
    session_ids_variable="OTHER_IDS",
    endpoints=(),
)
BOTH = {**PROVIDERS, "other": OTHER}


def test_provider_fills_in() -> None:
    """A source has its provider's name, base URL and variables, unless it names its own."""
    environ = configure({"sources": [{"provider": "other"}]}, OTHER_KEY="k", OTHER_IDS="sess_o")
    (source,) = load_settings(BOTH, environ).sources
    assert (source.name, source.base_url) == ("other", "https://api.example/v1")
    assert (source.token.get_secret_value(), source.sessions[0].id) == ("k", "sess_o")
    (source,) = load_settings(BOTH, environ | {"OTHER_URL": "http://127.0.0.1:8"}).sources
    assert source.base_url == "http://127.0.0.1:8"
    environ = configure(one(provider="other", name="mine"), OTHER_KEY="k")
    assert load_settings(BOTH, environ).sources[0].base_url == "https://api.example/v1"


@pytest.mark.parametrize(
    ("base_url", "goes"),
    [
        ("https://api.qoder.com/another/path", True),
        ("https://API.Qoder.com:8443", True),
        ("https://api.qoder.com.cn/api/v1/cloud", True),
        ("http://127.0.0.1:8080", True),
        ("http://[::1]:8080", True),
        ("https://localhost", True),
        ("https://attacker.example", False),
        ("https://api.qoder.com.attacker.example", False),
        ("https://api-qoder.com", False),
        ("https://qoder.com", False),
        ("https://api.qoder.com.", False),
        ("https://attacker.example/api.qoder.com", False),
        ("https://127.0.0.1.attacker.example", False),
        ("https://api.anthropic.com/v1", False),
    ],
)
@pytest.mark.parametrize("variable", ["QODER_BASE_URL", None])
def test_where_a_token_goes(base_url: str, variable: str | None, *, goes: bool) -> None:
    """A provider's token goes to its hosts, to others one that is named for them."""
    document = one() if variable else one(base_url=base_url)
    environ = configure(document, **({variable: base_url} if variable else {}))
    if goes:
        load_settings(PROVIDERS, environ)
    else:
        named = (
            r"QODER_PAT goes to api\.qoder\.com and api\.qoder\.com\.cn alone, not to .*token_env"
        )
        with pytest.raises(SettingsError, match=rf"^source qoder: token: that of {named}"):
            load_settings(PROVIDERS, environ)
    document = one(**{"token_env": "MINE"} | ({} if variable else {"base_url": base_url}))
    environ = configure(document, MINE=CANARY, **({variable: base_url} if variable else {}))
    assert load_settings(PROVIDERS, environ).sources[0].token.get_secret_value() == CANARY


@pytest.mark.parametrize(
    ("place", "mode", "problem"),
    [
        ("sessions.yaml", 0o666, r"can be written by others \(mode 666\)"),
        ("sessions.yaml", 0o620, r"can be written by others \(mode 620\)"),
        (".", 0o777, r"its folder can be written by others \(mode 777\)"),
        (".", 0o770, r"its folder can be written by others \(mode 770\)"),
    ],
)
def test_configuration_of_others(tmp_path: Path, place: str, mode: int, problem: str) -> None:
    """A file that others can write, or put another in its place, is not read, nor by a link."""
    environ = configure(one())
    (tmp_path / place).chmod(mode)
    elsewhere = tmp_path.parent / f"{tmp_path.name}.link"
    elsewhere.symlink_to(tmp_path / "sessions.yaml")
    for named in ("sessions.yaml", str(elsewhere)):
        with pytest.raises(SettingsError, match=rf"^{named}: {problem}, and says .*chmod go-w"):
            load_settings(PROVIDERS, environ | {"SESSION_THREADS_CONFIG": named})


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["sessions.yaml", "."])
def test_configuration_owned_by_others(tmp_path: Path, place: str) -> None:
    """A file that belongs to someone else is not read, nor one in a folder of theirs."""
    environ = configure(one())
    os.chown(tmp_path / place, 12345, -1)
    with pytest.raises(SettingsError, match=r"belongs to another user \(uid 12345\)"):
        load_settings(PROVIDERS, environ)
    assert load_tolerant(environ).raw_retention_days is None  # what is not trusted removes nothing


def test_sticky_folder(tmp_path: Path) -> None:
    """In a folder like /tmp others can replace only what is theirs: a file of ours is read."""
    environ = configure(one())
    tmp_path.chmod(0o1777)
    assert load_settings(PROVIDERS, environ).sources


def test_analyses_of_others(tmp_path: Path) -> None:
    """A directory of analyses in which others can write is rejected."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own").chmod(0o775)
    problem = r"analyses_dir: must be yours alone: it can be written by others \(mode 775\)"
    with pytest.raises(SettingsError, match=problem):
        load_settings(PROVIDERS, configure(one() | {"analyses_dir": "own"}))


def test_headers_and_parameters() -> None:
    """What YAML reads as a date, number or truth is sent as it was written; null sends nothing."""
    text = """
        sources:
          - provider: claude
            sessions: [a]
            headers: {Anthropic-Version: 2024-02-29, anthropic-beta: null, X-Team: {env: TEAM}}
            params: {beta: true, depth: 2, key: {env: OTHER_KEY}}
        """
    environ = configure(text, ANTHROPIC_API_KEY="k", TEAM="t-1", OTHER_KEY="o-1")
    (source,) = load_settings(PROVIDERS, environ).sources
    headers = {"anthropic-version": "2024-02-29", "x-team": "t-1"}
    assert source.reveal(source.headers) == headers
    assert source.reveal(source.params) == {"beta": "true", "depth": "2", "key": "o-1"}
    assert source.secrets == ["k", "t-1", "o-1"]
    shown = f"{source!r} {source} {source.model_dump()}"
    assert not [secret for secret in ("t-1", "o-1") if secret in shown]
    with pytest.raises(
        SettingsError, match=r"source claude: headers\.x-team: the variable TEAM is"
    ):
        load_settings(PROVIDERS, environ | {"TEAM": " "})


def test_custom_names_its_token() -> None:
    """A source of no provider must say which variable holds its token."""
    document = one(provider="custom", base_url="https://api.example/v1")
    with pytest.raises(SettingsError, match=r"source custom: token: .*token_env: NAME"):
        load_settings(PROVIDERS, configure(document))


def test_variables_of_two_providers() -> None:
    """Without a file there is a source for each provider whose variable lists sessions."""
    environ = {**TOKEN, "OTHER_KEY": "k", "QODER_SESSION_IDS": "a", "OTHER_IDS": "b,c"}
    sources = load_settings(BOTH, environ).sources
    assert {source.name: len(source.sessions) for source in sources} == {"qoder": 1, "other": 2}


def test_rejections_speak_of_the_provider() -> None:
    """What a source lacks is asked for in its provider's variables."""
    environ = configure({"sources": [{"provider": "other"}]})
    with pytest.raises(SettingsError, match=r"sources\[0\]\.sessions: .* or set OTHER_IDS\."):
        load_settings(BOTH, environ)
    environ = configure(one(provider="other"), OTHER_URL="http://b.example")
    with pytest.raises(SettingsError, match=r"^OTHER_URL: must begin with https"):
        load_settings(BOTH, environ)
    with pytest.raises(SettingsError, match="variable OTHER_KEY is not set"):
        load_settings(BOTH, configure(one(provider="other")))


@pytest.mark.parametrize(
    "text",
    ["poll_interval_minutes: 7", "poll_interval_minutes: true", "poll_interval_minutes: [", "[]"],
)
def test_broken_file_keeps_the_schedule(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """A broken file does not take the schedule away: a warning says what is wrong with it."""
    settings = load_tolerant(configure(text))
    assert settings.poll_interval_minutes == 15
    (record,) = caplog.records
    assert record.getMessage().startswith("sessions.yaml")


def test_one_broken_key_keeps_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """What is right in a broken file holds; what is wrong is named; no landed page is removed."""
    document = {
        "poll_interval_minutes": 5,
        "attention_after_minutes": "soon",
        "webhook_url_env": "https://hooks.example/T/secret",
        "pol_interval": 3,
        "sources": "none",
    }
    settings = load_tolerant(configure(document))
    assert (settings.poll_interval_minutes, settings.attention_after_minutes) == (5, 60)
    assert (settings.webhook_url_env, settings.raw_retention_days) == (None, None)
    assert len(caplog.records) == 3
    assert "/secret" not in caplog.text


def test_tolerant_is_not_silent_about_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Without a file, or with a good one, nothing is said, and pages are removed as configured."""
    assert load_tolerant({}).raw_retention_days == 14
    assert load_tolerant(configure({"raw_retention_days": 3, **one()})).raw_retention_days == 3
    assert caplog.records == []


def test_what_analyses_read() -> None:
    """Analyses are given numbers: what is configured, and after how long a session is stale."""
    settings = load_tolerant(configure({"poll_interval_minutes": 5}))
    assert settings.for_analyses == {
        "attention_after_minutes": 60.0,
        "stale_after_minutes": 10.0,
        "resting_stale_after_minutes": 490.0,
    }


TWICE = {
    "at the top": ("sources: [{sessions: [a]}]\nsources: [{sessions: [b]}]\n", "sources", 2, 1),
    "of a source": (
        "sources:\n  - sessions: [a]\n    name: x\n    sessions: [b]\n",
        "sessions",
        4,
        2,
    ),
    "of a session": ("sources: [{sessions: [{id: a, label: x,\n id: b}]}]\n", "id", 2, 1),
    "in braces": ("sources: [{sessions: [a], name: x, name: x}]", "name", 1, 1),
    "quoted": (
        "poll_interval_minutes: 5\n'poll_interval_minutes': 5\n",
        "poll_interval_minutes",
        2,
        1,
    ),
}


@pytest.mark.parametrize("where", TWICE)
def test_keys_given_twice(where: str) -> None:
    """A key that stands twice, at any depth, is rejected with both lines: YAML drops the first."""
    text, key, line, first = TWICE[where]
    assert rejection(text) == (
        f"sessions.yaml:{line}: the key {key!r} is given twice, first in line {first}."
        " Merge the two."
    )


@pytest.mark.parametrize(
    ("variable", "value"),
    [("QODER_BASE_URL", "https://a.example/x"), ("QODER_SESSION_IDS", "a,b")],
)
def test_variables_that_override_nothing(variable: str, value: str) -> None:
    """A variable of a source that the file does not have is rejected: who set it expects more."""
    assert rejection(one(name="fleet", token_env="QODER_PAT"), **{variable: value}) == (
        f"{variable}: overrides nothing, for no source is called qoder."
        " Unset it, or call the source qoder."
    )


@pytest.mark.parametrize("ids", ["a;b", "a|b", "sess_1; sess_2"])
def test_ids_with_other_separators(ids: str) -> None:
    """A list of ids that is separated by something else is no id."""
    assert "Commas separate them" in rejection({}, QODER_SESSION_IDS=ids)
    assert "Commas separate them" in rejection({"sources": [{"sessions": [ids.replace(" ", "")]}]})


@pytest.mark.parametrize("variable", ["SESSION_THREADS_HOME", "SESSION_THREADS_CONFIG"])
@pytest.mark.parametrize("path", ["~/data", "~", "~someone/data"])
def test_paths_that_a_shell_would_complete(variable: str, path: str) -> None:
    """A path that begins with ~ is rejected: no directory of that name is meant."""
    assert rejection(one(), **{variable: path}).startswith(f"{variable}: ~ is a shell's word")
    assert "analyses_dir: must be a whole path" in rejection(one() | {"analyses_dir": path})


@pytest.mark.parametrize(
    "text", ["? [a, b]\n: c\n", "sources: &a\n  - *a\n", "a: " + "[" * 5000, "a: " + "{b: " * 5000]
)
def test_odd_yaml(text: str) -> None:
    """A key that is a list, an alias of itself, or a depth without end is one line."""
    assert rejection(text)


def test_a_file_without_end(tmp_path: Path) -> None:
    """A device, or a file that is no configuration, is read as far as one may be long."""
    path = tmp_path / "sessions.yaml"
    with path.open("wb") as file:
        file.truncate(2**30)
    environ = {**TOKEN, "SESSION_THREADS_CONFIG": str(path)}
    with pytest.raises(SettingsError, match=r"cannot be read: .*[Ff]ile too large"):
        load_settings(PROVIDERS, environ)
    other = tmp_path / "other.yaml"
    other.write_text(f"sources: [{{sessions_file: {path}}}]", encoding="utf-8")
    environ = {**TOKEN, "SESSION_THREADS_CONFIG": str(other)}
    with pytest.raises(SettingsError, match=r"sessions_file: .*[Ff]ile too large"):
        load_settings(PROVIDERS, environ)
