"""A night whose workers are jobs of a real SLURM: `make slurm`. Its daemons are of this one machine and this user."""

import getpass
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from distributed import Client
from distributed.security import Security

from tests.flows.conftest import Folder, tiny_samples  # noqa: F401
from tests.flows.site import eventually, free_port

pytestmark = pytest.mark.slurm
CONFIG = """ClusterName=stage
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=night Nodes={host} Default=YES State=UP
"""


class Queue:
    """SLURM with one node and one partition, `night`.

    Args:
        folder: for its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.daemons = folder, list[subprocess.Popen[bytes]]()
        facts = {"folder": folder, "user": getpass.getuser(), "host": socket.gethostname().partition(".")[0]}
        facts |= {"ports": (free_port(), free_port()), "cpus": os.cpu_count()}
        facts["memory"] = psutil.virtual_memory().total // 2**20
        (folder / "slurm.conf").write_text(CONFIG.format(**facts))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key, socket_ = folder / "munge.key", folder / "munge.socket"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.env = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ['PATH']}:/usr/sbin"}
        munge = ["--force", f"--key-file={key}", f"--socket={socket_}", f"--log-file={folder}/munge.log"]
        self.start("munged", "--foreground", *munge, f"--pid-file={folder}/munge.pid", f"--seed-file={folder}/seed")
        eventually(socket_.exists)
        self.start("slurmctld", "-D")
        self.start("slurmd", "-D", "-N", str(facts["host"]))
        eventually(lambda: "idle" in self.ask("sinfo", "-h", "-o", "%T"), 120)

    def start(self, *words: str) -> None:
        with (self.folder / f"{words[0]}.out").open("wb") as out:
            path = shutil.which(words[0], path=self.env["PATH"]) or words[0]
            process = subprocess.Popen([path, *words[1:]], env=os.environ | self.env, stdout=out, stderr=out)
        self.daemons.append(process)

    def ask(self, *words: str) -> str:
        done = subprocess.run(words, env=os.environ | self.env, capture_output=True, text=True, check=False)
        return done.stdout

    def end(self) -> None:
        for process in reversed(self.daemons):
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    folder = Path(tempfile.mkdtemp(prefix="capmat-slurm-"))  # short, for munge's socket
    folder.chmod(0o755)  # munge insists that everybody reaches its socket
    queue = Queue(folder)
    try:
        yield queue
    finally:
        queue.end()
        shutil.rmtree(folder)


def test_a_night_works_in_jobs_that_strangers_cannot_reach(
    queue: Queue,
    tiny_samples: Path,  # noqa: F811
    tmp_path: Path,
) -> None:
    settings = {"KIND": "slurm", "WORKERS": "1", "QUEUE": "night", "WALLTIME": "01:00:00"}
    folder = Folder(tmp_path, tiny_samples, queue.env | {f"CAPMAT_CLUSTER__{k}": v for k, v in settings.items()})
    night = folder.start("nightly")
    job = eventually(lambda: queue.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i").strip(), 300)
    script = queue.ask("scontrol", "write", "batch_script", job, "-")
    (address,) = re.findall(r"tls://[0-9.]+:[0-9]+", script)
    keys = [Path(key) for key in re.findall(r"--tls-\S+ (\S+)", script)]
    assert len(keys) == 3
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    for url, key in ((address, Security.temporary()), (address.replace("tls", "tcp"), None)):
        with pytest.raises(OSError, match=r"TLS certificate|closed|reset|[Tt]imed out"):
            Client(url, security=key, timeout=5)
    out, _ = night.communicate(timeout=900)
    assert night.returncode == 0, out[-3000:]
    assert "DAMAGED" not in folder.run("verify", "--deep")
    eventually(lambda: not queue.ask("squeue", "-h"), 120)
    assert not any(key.exists() for key in keys)
    told = queue.ask("scontrol", "show", "job", job)
    print(f"\n{out.splitlines()[-1]}\n{time.strftime('%F')} {queue.ask('sinfo', '--version').strip()}: "
          f"{' '.join(re.findall(r'(?:JobState|RunTime|Partition|NumCPUs)=[^ ]+', told))}")  # fmt: skip
