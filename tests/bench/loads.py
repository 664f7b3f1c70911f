# SPDX-License-Identifier: Apache-2.0
"""The loads of a bench: requests in HTTP/1.1 and HTTP/2, streams of events, idle streams; what goes
on beside them: requests that must be refused, and configurations that are put in force."""
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from targets import BUILD, EVENTS, GATEHOUSE, HERE, LOAD_CORE, built, memory_bytes

H2_CONNECTIONS, H2_STREAMS = 8, 8   # 64 requests at once, as many as of HTTP/1.1
RELOADS_PER_S, RELOADS_LEAST_PER_S, RELOADS_AT_ONCE = 10, 9, 5
STREAMS_BESIDE = 10                 # while the configuration is reloaded
BODY = '{"model":"bench","messages":[{"role":"user","content":"%s"}]}'
PINNED = ["taskset", "-c", LOAD_CORE]


@dataclass(frozen=True)
class Load:
    """What is asked for, by how many at once, at which of the target's places, and whether
    configurations are reloaded and streams go on beside it."""
    shape: str
    connections: int
    place: str = "now"
    reloads: bool = False


class Denied:
    """Asks for what must be refused, while a load runs; `count` is how often it was."""

    def __init__(self, target):
        self.target, self.count, self.process = target, 0, None

    def __enter__(self):
        url = self.target.said.get("denied")
        if url:
            host, port = self.target.places["now"].address
            self.process = subprocess.Popen(
                [*self.target.prefix, *PINNED, str(HERE / "denied"), host, str(port), url],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        if not self.process:
            return
        said, _ = self.process.communicate(timeout=30)
        if self.process.returncode != 0:
            raise SystemExit("what no rule allows was not refused in the middle of the load")
        self.count = int(said)


class Reloaded:
    """Puts a configuration in force RELOADS_PER_S times a second, while a load runs: at the
    gatehouse another one each time, whose `reload` has to succeed; a peer is told by SIGHUP."""

    def __init__(self, target):
        self.target, self.begun_reloads, self.done, self.why = target, 0, 0, ""
        self.under_way = []  # they may overlap: the gatehouse does one after the other
        self.pace = 0
        self.enough = threading.Event()
        self.thread = threading.Thread(target=self.go_on)

    def __enter__(self):
        self.begun = time.monotonic()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.enough.set()
        self.thread.join()
        self.pace = self.done / (time.monotonic() - self.begun)
        if self.why:
            raise SystemExit(f"{self.target.name} was not reloaded: {self.why}")

    def go_on(self):
        while not self.enough.is_set() and not self.why:
            self.reap()
            if len(self.under_way) < RELOADS_AT_ONCE:
                self.reload()
                self.begun_reloads += 1
            due = self.begun + self.begun_reloads / RELOADS_PER_S
            self.enough.wait(max(0.001, due - time.monotonic()))
        for process in self.under_way:
            process.wait()
        self.reap()

    def reap(self):
        for process in [one for one in self.under_way if one.poll() is not None]:
            self.under_way.remove(process)
            self.done += 1
            said = process.stderr.read()
            process.stderr.close()
            if process.returncode != 0:
                self.why = said

    def reload(self):
        if not self.target.said:
            self.target.process.send_signal(signal.SIGHUP)
            self.done += 1
            return
        config, other = self.target.said["config"], self.target.said["other_config"]
        if not os.path.exists(config + ".first"):
            shutil.copy(config, config + ".first")
        shutil.copy(config + ".first" if self.begun_reloads % 2 else other, config + ".next")
        os.replace(config + ".next", config)
        self.under_way.append(subprocess.Popen(
            [*PINNED, str(GATEHOUSE), "reload", "--json", "--config", config],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))


def metrics(target, *wanted):
    """The lines of the gatehouse's metrics that begin so."""
    told = subprocess.run([GATEHOUSE, "metrics", "--config", target.said["config"]],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return [line for line in told.stdout.splitlines() if line.startswith(wanted)]


def refusals(target):
    """What the gateway says it refused, by code: why requests failed."""
    if not target.said:
        return ""
    return "\n".join(["", *metrics(target, "gatehouse_gateway_refusals_total",
                                   "gatehouse_audit_")])


def environment(place, **more):
    headers = "".join(f"{name}: {value}\r\n" for name, value in place.headers.items())
    return {**os.environ, "BENCH_HEADERS": headers, **more}


def wrk(target, load, seconds, seed):
    place = target.places[load.place]
    done = subprocess.run(
        [*target.prefix, *PINNED, "wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "-s",
         str(HERE / "load.lua"), place.url + "/", "--", place.target, place.host, load.shape, seed],
        capture_output=True, text=True, stdin=subprocess.DEVNULL, env=environment(place))
    if done.returncode != 0:
        raise SystemExit(f"wrk against {target.name}: {done.stderr or done.stdout}")
    return json.loads(done.stdout.splitlines()[-1])


def h2load(target, load, seconds, seed):
    """In HTTP/2 with prior knowledge; the upstream itself, which has none of it, in HTTP/1.1."""
    place = target.places[load.place]
    body = BUILD / "h2-body"
    body.write_text(BODY % ("?" * 960))  # distinct_bodies writes other letters there
    url = place.target if "://" in place.target else f"http://{place.host}{place.target}"
    headers = [word for name, value in place.headers.items() for word in ("-H", f"{name}: {value}")]
    shape = ["-c", str(load.connections), "--h1"]
    if target.name != "direct":
        shape = ["-c", str(H2_CONNECTIONS), "-m", str(H2_STREAMS)]
    done = subprocess.run(
        [*target.prefix, *PINNED, "h2load", *shape, "-t", "1", "-D", str(seconds),
         "--connect-to", "%s:%d" % place.address, "-d", str(body),
         "-H", "Content-Type: application/json", *headers, url],
        capture_output=True, text=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "LD_PRELOAD": built("distinct_bodies.so"), "BENCH_SEED": seed})
    good = re.search(r"^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx", done.stdout,
                     re.MULTILINE)
    ends = re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", done.stdout)
    if done.returncode != 0 or not good or not ends:
        raise SystemExit(f"h2load against {target.name}: {done.stderr or done.stdout}")
    return {"requests": int(good[1]), "seconds": seconds,
            "bad": sum(map(int, good.groups()[1:])) + sum(map(int, ends.groups()))}


def sent(target, load, seconds, seed):
    """Sends a load once; its summary, with the CPU-seconds that the proxy used meanwhile."""
    with Denied(target) as denied:
        before = target.cpu_seconds()
        said = (h2load if load.place == "h2" else wrk)(target, load, seconds, seed)
        said["cpu_s"] = target.cpu_seconds() - before
    said["denied"] = denied.count
    return said


def sent_well(target, load, seconds, seed):
    """As sent(). A request that fails is the end, but at a peer that is reloaded: `bad` counts."""
    if not load.reloads or target.name == "direct":
        said = sent(target, load, seconds, seed)
    else:
        said = sent_while_reloaded(target, load, seconds, seed)
    if said["bad"] and not (load.reloads and not target.said):
        raise SystemExit(f"{target.name}, {load}: {said['bad']} requests failed: no figure"
                         + refusals(target))
    return said


def sent_while_reloaded(target, load, seconds, seed):
    """Streams that were opened before go on all the time, and lose nothing."""
    beside = started_streams(target, STREAMS_BESIDE)
    with Reloaded(target) as reloaded:
        said = sent(target, load, seconds, seed)
        ended_streams(target, beside)
    if reloaded.pace < RELOADS_LEAST_PER_S:
        said["why"] = (f"{target.name} was reloaded {reloaded.pace:.1f} times a second, of"
                       f" {RELOADS_PER_S}")
    said["requests_beside"] = STREAMS_BESIDE
    return said


def started_streams(target, count):
    place = target.places["now"]
    host, port = place.address
    return subprocess.Popen(
        [*target.prefix, *PINNED, built("sse_client"), host, str(port), place.target, place.host,
         str(count), str(EVENTS)], stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        env=environment(place))


def ended_streams(target, process):
    said, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"streams through {target.name} lost events: {said}")
    return json.loads(said)


def streams(target, count):
    return ended_streams(target, started_streams(target, count))


class Idle:
    """Streams through the gatehouse that are open and idle."""

    def __init__(self, target, streams):
        self.target = target
        place = target.places["now"]
        host, port = place.address
        self.gateway = target.roles["gateway"]
        self.doors = target.said["doors"]
        self.streams = streams
        self.where = {"host": host, "port": port, "target": place.target, "name": place.host,
                      "streams": streams, "doors": self.doors}

    def bytes_each(self):
        """Memory of the gateway that is not shared and not a file's: the ring to the audit role is
        as large whatever goes through it."""
        process = subprocess.Popen([*PINNED, str(HERE / "idle_streams")], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.tell(process, json.dumps(self.where), "begun")
        before = memory_bytes(self.gateway, "status", "RssAnon")
        self.tell(process, "the others", "open")
        after = memory_bytes(self.gateway, "status", "RssAnon")
        process.stdin.close()
        process.wait()
        self.wait_for_ends()
        return (after - before) / (self.streams - len(self.doors))

    def wait_for_ends(self):
        """Until the gatehouse has ended what the client has left."""
        for _ in range(200):
            lines = metrics(self.target, "gatehouse_gateway_live_exchanges")
            if lines and all(float(line.split()[-1]) == 0 for line in lines):
                return
            time.sleep(0.1)
        raise SystemExit(f"exchanges whose client has left go on: {lines}")

    def tell(self, process, line, expected):
        process.stdin.write(line + "\n")
        process.stdin.flush()
        said = process.stdout.readline().strip()
        if said != expected:
            raise SystemExit("idle streams could not be opened: see above")
