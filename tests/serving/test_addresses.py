"""Where the server listens, and what is said where it cannot."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dataflows.refusal import JobRefused
from serving import addresses
from serving.addresses import open_doors
from tests.cli.projects import changed, write_project
from tests.serving.asking import loaded_from


@pytest.fixture
def taken() -> Iterator[str]:
    """An address that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield f"127.0.0.1:{door.getsockname()[1]}"


def refusal(root: Path, **options: object) -> str:
    write_project(root, changed(serving={"listen": "127.0.0.1:0", **options}))
    with pytest.raises(JobRefused) as refused:
        open_doors(loaded_from(root), must_listen=False)
    return str(refused.value)


def test_a_named_address_must_be_free(tmp_path: Path, taken: str) -> None:
    for field in ("listen", "admin"):
        assert refusal(tmp_path, **{field: taken}) == (
            f"serving: {field}: {taken} cannot be listened at: another process has it; name "
            "another address"
        )


def test_without_a_name_the_job_does_without(
    tmp_path: Path, taken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = loaded_from(write_project(tmp_path))
    monkeypatch.setattr(addresses, "_USUAL", {"listen": taken, "admin": "127.0.0.1:0"})
    doors = open_doors(loaded, must_listen=False)
    assert (doors.public, doors.public_url) == (None, "")
    assert doors.admin_url.startswith("http://127.0.0.1:")
    assert doors.sentences == [
        f"{taken} is taken, so this job has no HTTP server (serving: listen names one)",
        f"metrics at {doors.admin_url}/metrics",
    ]
    doors.close()
    with pytest.raises(JobRefused):
        open_doors(loaded, must_listen=True)


def test_parts_of_a_job_share_the_address_of_metrics(tmp_path: Path, taken: str) -> None:
    loaded = loaded_from(write_project(tmp_path, changed(serving={"admin": taken})))
    doors = open_doors(loaded, must_listen=True, for_clients=False, is_shared=True)
    assert (doors.public, doors.admin) == (None, None)
    (sentence,) = doors.sentences
    assert sentence == (
        f"{taken} is taken, so this process has no metrics "
        f"(serving: admin: ${{ADMIN:-{taken}}} lets each process have its own)"
    )
    # Where no address is named, only who answers clients has metrics.
    loaded = loaded_from(write_project(tmp_path))
    doors = open_doors(loaded, must_listen=True, for_clients=False, is_shared=True)
    assert (doors.public, doors.admin, doors.sentences) == (None, None, [])


def test_other_machines_are_let_in_only_if_that_is_safe(tmp_path: Path) -> None:
    assert "0.0.0.0:0, and keys would travel in the clear" in refusal(tmp_path, listen="0.0.0.0:0")
    behind = {"listen": "0.0.0.0:0", "admin": "[::1]:0", "behind_proxy": True}
    write_project(tmp_path, changed(serving=behind))
    doors = open_doors(loaded_from(tmp_path), must_listen=True)
    assert doors.public_url.startswith("http://0.0.0.0:")
    assert doors.admin_url.startswith("http://[::1]:")
    doors.close()


def test_a_certificate_must_be_of_use(tmp_path: Path) -> None:
    assert "private_key belongs to a certificate" in refusal(tmp_path, private_key="key.pem")
    assert "No such file" in refusal(tmp_path, certificate="a.pem", private_key="key.pem")
    (tmp_path / "a.pem").write_text("nonsense")
    assert "cannot be used" in refusal(tmp_path, certificate="a.pem")


def test_what_is_no_address_of_this_machine(tmp_path: Path) -> None:
    options = {"listen": "192.0.2.1:80", "behind_proxy": True}
    assert "192.0.2.1:80 cannot be listened at" in refusal(tmp_path, **options)
    assert "cannot be listened at" in refusal(tmp_path, admin="no.such.host.invalid:80")
