"""With a certificate, the server speaks TLS and nothing else."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import time
from http import HTTPStatus
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from audience_dsl.instants import SECOND
from dataflows.refusal import JobRefused
from serving.addresses import open_doors
from serving.validity import valid_until
from tests.cli.jobs import eventually, finished
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, server


def write_certificate(
    folder: Path, number: int = 1, days: float = 100, passphrase: bytes = b""
) -> datetime.datetime:
    """Of this machine, by itself; until when it is valid."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "here")])
    today = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    ends = today + datetime.timedelta(days=days)
    here = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(today - datetime.timedelta(days=2))
        .not_valid_after(ends)
        .add_extension(here, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    locked = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, locked)
    )
    return ends


# Who does not speak TLS is unknown to uvicorn; the loop closes that connection when it ends.
@pytest.mark.filterwarnings("ignore:unclosed resource <TCPTransport:ResourceWarning")
def test_with_a_certificate(tmp_path: Path) -> None:
    files = {"certificate": "certificate.pem", "private_key": "key.pem"}
    # All addresses of this machine: the certificate allows that.
    everywhere = {**ANYWHERE, "listen": "0.0.0.0:0", **files}
    write_project(tmp_path, changed(serving=everywhere))
    write_certificate(tmp_path)
    with server(loaded_from(tmp_path)) as one:
        assert one.url.startswith("https://0.0.0.0:")
        url = one.url.replace("0.0.0.0", "127.0.0.1")
        answer = ask(f"{url}/livez", verify=str(tmp_path / "certificate.pem"))
        assert answer.json() == {"status": "alive"}
        assert "max-age" in answer.headers["strict-transport-security"]
        with pytest.raises(requests.ConnectionError):
            ask(url.replace("https", "http"))
        assert one.metrics()["usher_ready"] in {0, 1}


def number_of(host: str, port: int) -> int:
    """Of the certificate that is shown."""
    return x509.load_pem_x509_certificate(
        ssl.get_server_certificate((host, port)).encode()
    ).serial_number


def is_alive(line: HTTPSConnection) -> bool:
    line.request("GET", "/livez")
    answer = line.getresponse()
    answer.read()
    return answer.status == HTTPStatus.OK


def test_a_certificate_that_is_renewed_is_shown_from_then_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("serving.certificates._LOOK", 0.05)
    files = {"certificate": "certificate.pem", "private_key": "key.pem"}
    write_project(tmp_path, changed(serving={**ANYWHERE, **files}))
    write_certificate(tmp_path, 1)
    with server(loaded_from(tmp_path)) as one:
        host, _, port = one.url.removeprefix("https://").rpartition(":")
        context = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        line = HTTPSConnection(host, int(port), timeout=30, context=context)
        assert is_alive(line)
        assert number_of(host, int(port)) == 1
        # Of what does not belong together, nothing is taken.
        (tmp_path / "other").mkdir()
        write_certificate(tmp_path / "other", 2)
        (tmp_path / "other" / "key.pem").replace(tmp_path / "key.pem")
        eventually(lambda: "KEY_VALUES_MISMATCH; the old one stays" in capfd.readouterr().err)
        assert number_of(host, int(port)) == 1
        (tmp_path / "other" / "certificate.pem").replace(tmp_path / "certificate.pem")
        eventually(lambda: number_of(host, int(port)) == 2)
        assert is_alive(line)  # which was open
        line.close()
        assert ask(f"{one.url}/livez", verify=str(tmp_path / "certificate.pem")).ok


def test_who_opens_a_connection_and_says_nothing_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.server._HANDSHAKE", 0.2)
    files = {"certificate": "certificate.pem", "private_key": "key.pem"}
    write_project(tmp_path, changed(serving={**ANYWHERE, **files}))
    write_certificate(tmp_path)
    with server(loaded_from(tmp_path)) as one:
        host, _, port = one.url.removeprefix("https://").rpartition(":")
        with socket.create_connection((host, int(port)), timeout=30) as line:
            assert line.recv(1) == b""
        assert ask(f"{one.url}/livez", verify=str(tmp_path / "certificate.pem")).ok


FILES = {"certificate": "certificate.pem", "private_key": "key.pem"}


@pytest.mark.parametrize("days", [1, 13, 90, 40 * 365])
def test_a_certificate_that_ends_soon_is_told_of(
    tmp_path: Path, days: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.certificates._LOOK", 0.05)
    write_project(tmp_path, changed(serving={**ANYWHERE, **FILES}))
    ends = write_certificate(tmp_path, days=days)
    with server(loaded_from(tmp_path)) as one:
        assert one.metrics()["usher_certificate_expires_timestamp_seconds"] == ends.timestamp()
        said = f"http: the certificate expires soon: it is valid until {ends:%Y-%m-%dT%H:%M:%S}."
        time.sleep(0.3)
        assert capfd.readouterr().err.count(said) == (days < 14)
        # One that has expired is not taken, a new one is.
        write_certificate(tmp_path, days=-1)
        eventually(lambda: "it has expired" in capfd.readouterr().err)
        assert one.metrics()["usher_certificate_expires_timestamp_seconds"] == ends.timestamp()
        ends = write_certificate(tmp_path, days=200)
        name = "usher_certificate_expires_timestamp_seconds"
        eventually(lambda: one.metrics()[name] == ends.timestamp())


@pytest.mark.parametrize(
    ("days", "passphrase", "why"),
    [
        (-1, b"", "it has expired: it was valid until 20"),
        (9, b"secret", "the private key has a passphrase"),
    ],
)
def test_a_certificate_that_is_of_no_use_ends_it_at_its_start(
    tmp_path: Path, days: int, passphrase: bytes, why: str
) -> None:
    write_project(tmp_path, changed(serving={**ANYWHERE, **FILES}))
    write_certificate(tmp_path, days=days, passphrase=passphrase)
    with pytest.raises(JobRefused, match=why):
        open_doors(loaded_from(tmp_path), must_listen=True)


def test_until_when_a_certificate_is_valid(tmp_path: Path) -> None:
    ends = write_certificate(tmp_path)
    pem = (tmp_path / "certificate.pem").read_text()
    assert valid_until(f"a comment\n{pem}{pem}") == ends.timestamp() * SECOND
    body = pem.split("-----")[2]
    for nonsense in ("", body, pem.replace(body, ""), pem.replace(body, body[:80])):
        with pytest.raises(ValueError, match="certificate"):
            valid_until(nonsense)


def test_the_key_of_another_certificate_ends_it_at_its_start(tmp_path: Path) -> None:
    write_project(
        tmp_path,
        changed(
            serving={**ANYWHERE, "certificate": "certificate.pem", "private_key": "other/key.pem"}
        ),
    )
    (tmp_path / "other").mkdir()
    write_certificate(tmp_path)
    write_certificate(tmp_path / "other")
    code, said = finished(tmp_path, "--only", "serve")
    assert code == 3
    assert "certificate.pem and its private_key cannot be used: KEY_VALUES_MISMATCH" in said
