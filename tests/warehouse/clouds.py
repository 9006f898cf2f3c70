"""What the clouds' own clients talk to in tests: servers of this machine.

Each speaks its protocol, answers one result whatever is asked, and remembers what was asked.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa


class Cloud:
    """`statements` are those that were sent; `fails_at` is the page that is never answered well."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.fails_at: int | None = None
        self.kind = "SELECT"
        self.pages = 1

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        raise NotImplementedError


class BigQueryCloud(Cloud):
    """The REST interface: a job, and pages of its rows."""

    fields = (
        ("user_id", "STRING", "NULLABLE"), ("money", "NUMERIC", "NULLABLE"),
        ("big", "INTEGER", "NULLABLE"), ("fraction", "FLOAT", "NULLABLE"),
        ("flag", "BOOLEAN", "NULLABLE"), ("day", "DATE", "NULLABLE"),
        ("moment", "DATETIME", "NULLABLE"), ("zoned", "TIMESTAMP", "NULLABLE"),
        ("tags", "STRING", "REPEATED"), ("doc", "JSON", "NULLABLE"),
    )  # fmt: skip
    rows: tuple[tuple[Any, ...], ...] = (
        ("ü", "12.5", "9007199254740993", "0.1", "true", "2026-03-01",
         "2026-03-01T10:00:00.000001", "1772352000000000", [{"v": "ä"}, {"v": "b"}], '{"a":1}'),
        ("nobody", None, None, None, None, None, None, None, [], None),
    )  # fmt: skip

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        job = {"projectId": "shop", "jobId": "one", "location": "EU"}
        schema = {
            "fields": [
                {
                    "name": name,
                    "type": "STRING" if name == "doc" and self._cast else type_,
                    "mode": mode,
                }
                for name, type_, mode in self.fields
            ]
        }
        if method == "POST":
            self.statements.append(body["configuration"]["query"]["query"])
            schema["fields"] = [
                one | {"type": "STRING"} if one["name"] == "doc" and self._cast else one
                for one in schema["fields"]
            ]
            statistics = {"query": {"statementType": self.kind, "schema": schema}}
            return 200, {
                "jobReference": job,
                "configuration": body["configuration"] | {"jobType": "QUERY"},
                "status": {"state": "DONE"},
                "statistics": statistics,
            }
        page = int(path.partition("pageToken=")[2].partition("&")[0] or 0)
        if self.fails_at is not None and "maxResults=0" not in path and page >= self.fails_at:
            return 400, {"error": {"code": 400, "message": "the result is gone", "errors": []}}
        answer = {"jobComplete": True, "jobReference": job, "schema": schema, "totalRows": "2"}
        if "maxResults=0" not in path:
            cells = [{"f": [{"v": value} for value in self.rows[page]]}]
            answer["rows"] = cells
            if page + 1 < len(self.rows):
                answer["pageToken"] = str(page + 1)
        return 200, answer

    @property
    def _cast(self) -> bool:
        return bool(self.statements) and "TO_JSON_STRING" in self.statements[-1]


class SnowflakeCloud(Cloud):
    """Login and query, with the result as Arrow in the answer."""

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if "login-request" in path:
            session = {"token": "t", "masterToken": "m", "validityInSeconds": 3600}
            names = {"databaseName": "SHOP", "schemaName": "PUBLIC", "warehouseName": "WH"}
            more = {"sessionId": 1, "parameters": [], "sessionInfo": names | {"roleName": "R"}}
            return 200, {"success": True, "code": None, "message": None, "data": session | more}
        if "query-request" not in path:
            return 200, {"success": True, "code": None, "message": None, "data": {}}
        self.statements.append(body["sqlText"])
        if self.fails_at is not None:
            data = {"sqlState": "42S02", "queryId": "q"}
            message = "SQL compilation error: Object 'USERS' does not exist"
            return 200, {"success": False, "code": "002003", "message": message, "data": data}
        table = self._table()
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        described = [
            {
                "name": one.name, "type": one.metadata[b"logicalType"].decode().lower(),
                "nullable": True, "length": None, "byteLength": None,
                "precision": int(one.metadata[b"precision"]), "scale": int(one.metadata[b"scale"]),
            }
            for one in table.schema
        ]  # fmt: skip
        result: dict[str, Any] = {
            "parameters": [{"name": "TIMEZONE", "value": "UTC"}],
            "rowtype": described, "rowsetBase64": base64.b64encode(sink.getvalue()).decode(),
            "total": table.num_rows, "returned": table.num_rows, "queryId": "q",
            "queryResultFormat": "arrow", "statementTypeId": 4096, "finalDatabaseName": "SHOP",
            "finalSchemaName": "PUBLIC", "finalWarehouseName": "WH", "finalRoleName": "R",
            "numberOfBinds": 0, "arrayBindSupported": False, "version": 1,
        }  # fmt: skip
        return 200, {"success": True, "code": None, "message": None, "data": result}

    def _table(self) -> Any:
        columns = [
            ("USER_ID", "TEXT", 0, 0, pa.array(["ü", "nobody"])),
            ("MONEY", "FIXED", 12, 2, pa.array([1250, None], pa.int32())),
            ("BIG", "FIXED", 18, 0, pa.array([9_007_199_254_740_993, None], pa.int64())),
            ("FRACTION", "REAL", 0, 0, pa.array([0.1, None], pa.float64())),
            ("FLAG", "BOOLEAN", 0, 0, pa.array([True, None])),
            ("DAY", "DATE", 0, 0, pa.array([20513, None], pa.int32()).cast(pa.date32())),
            ("MOMENT", "TIMESTAMP_NTZ", 0, 6, pa.array([1_772_359_200_000_001, None], pa.int64())),
            ("ZONED", "TIMESTAMP_LTZ", 0, 6, pa.array([1_772_352_000_000_000, None], pa.int64())),
            ("TAGS", "ARRAY", 0, 0, pa.array(['["ä", "b"]', None])),
            ("DOC", "VARIANT", 0, 0, pa.array(['{"a": 1}', None])),
        ]
        fields = []
        for name, kind, precision, scale, array in columns:
            told = {"logicalType": kind, "precision": str(precision or 38), "scale": str(scale)}
            more = {"charLength": "100", "byteLength": "400", "finalType": "T"}
            fields.append(pa.field(name, array.type, True, told | more))
        return pa.table([array for *_, array in columns], schema=pa.schema(fields))


@contextmanager
def served(cloud: Cloud) -> Iterator[int]:
    """The port of a server that answers as the cloud does."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = self.rfile.read(length)
            if self.headers.get("Content-Encoding") == "gzip":
                sent = gzip.decompress(sent)
            status, answer = cloud.answer(self.command, self.path, json.loads(sent or b"{}"))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815 - the library's own names
        do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
