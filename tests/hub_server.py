"""A Hub of a few megabytes in memory, for tests: models and data sets, commits, large files, tokens, and accidents."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from base64 import b64decode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


OWNER, READER, STRANGER = "hf_owner", "hf_reader", "hf_stranger"  # may write to org, read it, neither
LARGE = re.compile(r"\.(safetensors|bin|pkl|parquet|png|npy)$")  # stored by the protocol of large files, as on the Hub
API = re.compile(r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+/[^/]+)(?:/(?P<what>[a-z-]+)(?:/(?P<rest>.*))?)?")
FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<rest>.*)")
BATCH = re.compile(r"/(?:datasets/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch")


@dataclass
class Repo:
    """A repository: files by path at each commit, and the commit of each branch."""

    url: str
    private: bool
    commits: dict[str, dict[str, bytes]] = field(default_factory=lambda: {"0" * 40: {}})
    branches: dict[str, str] = field(default_factory=lambda: {"main": "0" * 40})
    messages: list[str] = field(default_factory=list)

    def find(self, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """The commit of a branch or of its own name, and its files."""
        sha = self.branches.get(revision, revision)
        return (sha, self.commits[sha]) if sha in self.commits else None

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        """A new commit on a branch."""
        sha = hashlib.sha1(f"{branch}{len(self.commits)}{message}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        self.messages.append(message)
        return sha


class Hub(ThreadingHTTPServer):
    """The server. `cut_after`: bytes after which a connection that sends a large file is dropped, None for never;
    `failing`: the status that every commit is answered by; `dropping`: whether the connection of a commit is dropped
    "before" or "after" it is made, "" for neither; `puts`: oids of large files that arrived, in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.large: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.cut_after: int | None = None
        self.cuts, self.failing, self.dropping, self.log = 0, 0, "", []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is to be."""
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, name: str, kind: str = "models", revision: str = "main") -> dict[str, bytes]:
        """The files of a repository by path."""
        found = self.repos[kind, name].find(revision)
        assert found
        return found[1]

    def handle_error(self, *_: Any) -> None:
        """A client that left is no error here."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing on the screen."""

    def do_GET(self) -> None:
        self.route()

    do_HEAD = do_POST = do_PUT = do_GET

    @property
    def token(self) -> str:
        return self.headers.get("Authorization", "").removeprefix("Bearer ")

    def route(self) -> None:
        url = urlsplit(self.path)
        path, self.query = unquote(url.path), parse_qs(url.query)
        self.server.log.append(f"{self.command} {path}")
        if path.startswith("/large/"):
            return self.take(path.split("/")[-1])
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if path == "/api/repos/create":
            return self.create(json.loads(self.body))
        if path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        if path == "/verify":
            return self.answer({})
        if match := BATCH.fullmatch(path):
            return self.batch(json.loads(self.body)["objects"]) if self.may_write(match["name"]) else None
        if match := FILE.fullmatch(path) or API.fullmatch(path):
            return self.in_repo(match.groupdict())
        self.refuse(404, "EntryNotFound")

    # Who may

    def may_write(self, name: str) -> bool:
        if self.token == OWNER and name.startswith("org/"):
            return True
        if self.token in (OWNER, READER, STRANGER):
            self.refuse(403, "", f"You don't have the rights to write to {name}")
        else:
            self.refuse(401, "", "Invalid credentials in Authorization header" if self.token else "Invalid username")
        return False

    def create(self, asked: dict[str, Any]) -> None:
        name, kind = f"{asked['organization']}/{asked['name']}", f"{asked.get('type', 'model')}s"
        if not self.may_write(name):
            return
        url = f"{self.server.url}/{'datasets/' if kind == 'datasets' else ''}{name}"
        if (kind, name) in self.server.repos:
            return self.answer({"error": "You already created this repo", "url": url}, 409)
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        self.server.repos[kind, name] = Repo(url, private)
        self.answer({"url": url, "name": name})

    # Large files

    def batch(self, objects: list[dict[str, Any]]) -> None:
        def actions(oid: str) -> dict[str, Any]:
            if oid in self.server.large:
                return {}
            verify, upload = ({"href": f"{self.server.url}/{place}"} for place in ("verify", f"large/{oid}"))
            return {"actions": {"upload": upload, "verify": verify}}

        self.answer({"transfer": "basic", "objects": [one | actions(one["oid"]) for one in objects]})

    def take(self, oid: str) -> None:
        length, most = int(self.headers["Content-Length"]), self.server.cut_after
        if most is not None and length > most:
            self.rfile.read(most)
            return self.drop()
        self.server.large[oid] = self.rfile.read(length)
        self.server.puts.append(oid)
        self.answer({})

    def drop(self) -> None:
        """End the connection without an answer."""
        self.server.cuts += 1
        self.close_connection = True
        self.connection.close()

    # In a repository

    def in_repo(self, found: dict[str, Any]) -> None:
        kind = (found["kind"] or "models").rstrip("/")
        repo, what, rest = self.server.repos.get((kind, found["name"])), found.get("what"), found["rest"] or ""
        if what in ("preupload", "commit", "branch") and not self.may_write(found["name"]):
            return
        if repo is None or (repo.private and self.token not in (OWNER, READER)):
            # The Hub does not tell strangers which names exist.
            return self.refuse(404 if self.token else 401, "RepoNotFound", "Repository not found")
        if what == "commit":
            return self.commit(repo, rest)
        if what == "branch":
            start = repo.find(json.loads(self.body or b"{}").get("startingPoint") or "main")
            if rest in repo.branches:
                return self.answer({"error": "Reference already exists"}, 409)
            repo.branches[rest] = start[0] if start else "0" * 40
            return self.answer({})
        if what == "refs":
            refs = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": sha} for n, sha in repo.branches.items()]
            return self.answer({"branches": refs, "tags": [], "converts": []})
        whole = what == "preupload" or what is None and "what" in found
        revision, path = (rest or "main", "") if whole else ([*rest.split("/", 1), ""])[:2]
        at = repo.find(revision)
        if at is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if "what" not in found:
            return self.send_file(at, path)
        answers = {"tree": self.tree, "paths-info": self.paths_info, "preupload": self.preupload}
        answers.get(what, lambda at, path: self.info(found["name"], repo, at))(at, path)

    def info(self, name: str, repo: Repo, at: tuple[str, dict[str, bytes]]) -> None:
        files = [{"rfilename": path} for path in at[1]]
        self.answer({"id": name, "sha": at[0], "private": repo.private, "siblings": files, "tags": [], "downloads": 0,
                     "lastModified": "2026-11-27T00:00:00.000Z", "createdAt": "2026-11-27T00:00:00.000Z"})  # fmt: skip

    def preupload(self, at: tuple[str, dict[str, bytes]], path: str) -> None:
        def mode(name: str) -> dict[str, Any]:
            oid = oid_of(name, at[1][name]) if name in at[1] else None
            large = bool(LARGE.search(name))
            return {"path": name, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False, "oid": oid}

        self.answer({"files": [mode(one["path"]) for one in json.loads(self.body)["files"]]})

    def commit(self, repo: Repo, branch: str) -> None:
        if self.server.failing:
            return self.answer({"error": "broken"}, self.server.failing)
        if self.server.dropping == "before":
            return self.drop()
        header, *operations = map(json.loads, self.body.splitlines())
        found = repo.find(branch)
        if found is None:
            return self.refuse(404, "RevisionNotFound", f"Invalid rev id: {branch}")
        files = dict(found[1])
        for operation in operations:
            value, key = operation["value"], operation["key"]
            if key == "file":
                files[value["path"]] = b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif key == "deletedFile":
                files.pop(value["path"])
            else:
                files = {path: data for path, data in files.items() if not path.startswith(value["path"])}
        sha = repo.commit(branch, files, header["value"]["summary"])
        if self.server.dropping == "after":
            return self.drop()
        self.answer({"success": True, "commitOid": sha, "commitUrl": f"{repo.url}/commit/{sha}"})

    def tree(self, at: tuple[str, dict[str, bytes]], folder: str) -> None:
        prefix = f"{folder}/" if folder else ""
        below = [path for path in at[1] if path.startswith(prefix)]
        if folder and not below:
            return self.refuse(404, "EntryNotFound", f"{folder} does not exist")
        if self.query.get("recursive", ["false"])[0].lower() != "true":
            below = list(dict.fromkeys(prefix + path.removeprefix(prefix).split("/")[0] for path in below))
        folders = {path.rsplit("/", n)[0] for path in below for n in range(1, path.count("/") + 1)} - {folder}
        folders = {path for path in folders if path.startswith(prefix)}
        self.answer([entry(at[1], path) for path in sorted({*below, *folders})])

    def paths_info(self, at: tuple[str, dict[str, bytes]], path: str) -> None:
        asked = parse_qs(self.body.decode())["paths"]
        known = [p for p in asked if p in at[1] or any(f.startswith(f"{p}/") for f in at[1])]
        self.answer([entry(at[1], path) for path in known])

    def send_file(self, at: tuple[str, dict[str, bytes]], path: str) -> None:
        data = at[1].get(path)
        if data is None:
            return self.refuse(404, "EntryNotFound", f"{path} does not exist", {"X-Repo-Commit": at[0]})
        tag = f'"{oid_of(path, data)}"'
        headers = {"X-Repo-Commit": at[0], "ETag": tag, "X-Linked-Size": str(len(data)), "Accept-Ranges": "bytes"}
        status, part = 200, data
        if match := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            first = int(match[1]) if match[1] else max(len(data) - int(match[2]), 0)
            last = min(int(match[2]), len(data) - 1) if match[1] and match[2] else len(data) - 1
            status, part = 206, data[first : last + 1]
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        self.reply(part, status, headers)

    # Replies

    def answer(self, value: Any, status: int = 200) -> None:
        self.reply(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str, message: str = "", headers: dict[str, str] | None = None) -> None:
        told = {"X-Error-Code": code, "X-Error-Message": message}
        self.reply(
            json.dumps({"error": message}).encode(), status, {k: v for k, v in told.items() if v} | (headers or {})
        )

    def reply(self, data: bytes, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def oid_of(path: str, data: bytes) -> str:
    """The name of a file's content: sha256 for large files, else git's."""
    if LARGE.search(path):
        return hashlib.sha256(data).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def entry(files: dict[str, bytes], path: str) -> dict[str, Any]:
    """A file or a folder as the Hub lists it."""
    if path not in files:
        return {"type": "directory", "path": path, "oid": hashlib.sha1(path.encode()).hexdigest(), "size": 0}
    data, oid = files[path], oid_of(path, files[path])
    large = {"lfs": {"oid": oid, "size": len(data), "pointerSize": 100}} if LARGE.search(path) else {}
    return {"type": "file", "path": path, "oid": oid[:40], "size": len(data), **large}
