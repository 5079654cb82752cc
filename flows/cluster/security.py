"""Who may give work to a Dask cluster: those who hold its key.

Whoever reaches a Dask scheduler without TLS runs commands as the user who started it, and so does every local user on
loopback. So a cluster that capmat starts gets a key of its own, which lives in the memory of this process (for SLURM
also in files that only this user reads). A scheduler that runs already must speak TLS, unless `cluster.insecure` says
otherwise.
"""

import socket
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed.security import Security

from capmat_errors import ConfigError
from tasks.config import Cluster

_FIX = "Start it with TLS (docs/security.md), or set cluster.insecure if nobody else reaches it"
_ours: dict[str, Security] = {}  # of the clusters of this process, by address


def new_key(config: Cluster) -> Security:
    """The key of a cluster that is about to start: that of `cluster.tls`, or one that nobody else has."""
    return _from_folder(config.tls) if config.tls else Security.temporary()


def remember(cluster: Any) -> Any:
    """Return a cluster that has just started, after noting its key for the flows of this process."""
    _ours[cluster.scheduler_address] = cluster.security
    return cluster


def key_of(config: Cluster, address: str) -> Security | None:
    """What a client needs to reach the scheduler at `address`; None if it is to be reached without TLS.

    Without `cluster.tls` it is the key of Dask's own configuration (`distributed.comm.tls`).

    Raises:
        ConfigError: the scheduler has no TLS, or there is no key for it.
    """
    if address in _ours:
        return _ours[address]
    if not address.startswith("tls://"):
        if config.insecure:
            return None
        raise ConfigError(
            "whoever reaches a Dask scheduler without TLS runs commands as its user",
            where=f"cluster.address = {address}",
            fix=f"Give tls://host:port. {_FIX}",
        )
    key = _from_folder(config.tls) if config.tls else Security()
    if not key.get_tls_config_for_role("client").get("ca_file"):
        fix = "Set cluster.tls to a folder with ca.pem, cert.pem and key.pem; docs/security.md shows how to make them"
        raise ConfigError("no key for this Dask scheduler is set", where=f"cluster.address = {address}", fix=fix)
    return key


def check_answer(config: Cluster, address: str) -> None:
    """Return if a scheduler answers at `address`, and its certificate is of the authority that we know.

    Raises:
        ConfigError: it does not, or `key_of` refuses it.
    """
    key, where = key_of(config, address), f"cluster.address = {address}"
    url = urlsplit(address if "://" in address else f"tcp://{address}")
    try:
        with socket.create_connection((url.hostname or "", url.port or 8786), timeout=5) as connection:
            if key:
                key.get_connection_args("client")["ssl_context"].wrap_socket(connection).close()
    except ssl.SSLError as error:
        what = f"the Dask scheduler and cluster.tls do not fit ({error.reason or error})"
        raise ConfigError(what, where=where, fix="Start both from one ca.pem") from error
    except (OSError, ValueError) as error:
        fix = "Start one with `dask scheduler`, or remove the address"
        raise ConfigError("no Dask scheduler answers", where=where, fix=fix) from error


def _from_folder(folder: str) -> Security:
    ca, cert, key = (Path(folder, f"{name}.pem").resolve() for name in ("ca", "cert", "key"))
    for file in (ca, cert, key):
        if not file.is_file():
            fix = "The folder needs ca.pem, cert.pem and key.pem; docs/security.md shows how to make them"
            raise ConfigError("is missing", where=f"cluster.tls, {file}", fix=fix)
    if key.stat().st_mode & 0o077:
        fix = f"Call chmod 600 {key}, and make a new key if others may have read it"
        raise ConfigError("other users may read the key", where=f"cluster.tls, {key}", fix=fix)
    roles = ("client", "scheduler", "worker")
    files = {f"tls_{role}_{kind}": str(file) for role in roles for kind, file in (("cert", cert), ("key", key))}
    return Security(require_encryption=True, tls_ca_file=str(ca), **files)
