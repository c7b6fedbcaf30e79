"""Hypothesis strategies: any plan of each command, and any choice of load machines."""

from __future__ import annotations

import dataclasses
import shlex
from pathlib import Path

from hypothesis import strategies as st

from coordinator.fleet.choice import FleetChoice
from deploy.hosts.inventory import Host
from loadgen.model.bound import Bound
from loadgen.model.http_plan import HttpPlan
from loadgen.model.http_request import HttpRequest
from loadgen.model.plan import LastAd, OnLoss, Phases, Server, SpecPlan
from loadgen.model.probe import Direction, ForwardPlan, IperfPlan, Kind, Link, Mode, Transport
from loadgen.model.sending import EngineKind, IpVersion, Resolve, Timestamps
from loadgen.model.stages import Stage
from loadgen.model.target import Target
from loadgen.model.units import NS_PER_MS, NS_PER_S

durations_ns = st.integers(0, 10**15)
seeds = st.integers(-(2**63), 2**63 - 1)
ports = st.integers(1, 65535)
counts = st.integers(0, 10**12)
sources = st.lists(st.ip_addresses().map(str), max_size=3).map(tuple)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)

phases_values = st.builds(
    Phases,
    ramp_up_ns=durations_ns,
    warmup_ns=durations_ns,
    measure_ns=st.integers(NS_PER_S, 10**15),
    ramp_down_ns=durations_ns,
    iterations=st.integers(1, 100),
)
_slopes = st.floats(0, 1e12)
bounds = st.one_of(
    st.builds(Bound.rate, st.integers(1, 10**12)),
    st.builds(
        lambda good, more, a, b, c, d: dataclasses.replace(
            Bound.time(good, good + more),
            good_share=a,
            tolerable_share=b,
            good_ns_per_byte=c,
            tolerable_ns_per_byte=d,
        ),
        st.integers(1, 10**13),
        durations_ns,
        st.floats(0, 1),
        st.floats(0, 1),
        _slopes,
        _slopes,
    ),
)
_driven = st.from_regex(r"[A-Za-z0-9_-]{1,20}(\.[A-Za-z0-9_-]{1,20}){0,3}|[0-9a-f]{1,4}::[0-9a-f]{1,4}", fullmatch=True)
targets = st.builds(Target, name=names, host=_driven, port=ports, weight=st.integers(1, 10**9))


@st.composite
def spec_plans(draw: st.DrawFn) -> SpecPlan:
    driven = tuple(
        draw(st.lists(targets, max_size=4, unique_by=(lambda target: target.name, lambda target: target.authority)))
    )
    vms = len(driven) or draw(st.integers(1, 500))
    connections = draw(st.integers(1, 1000))
    bound = draw(bounds)
    return SpecPlan(
        vms=vms,
        targets=driven,
        connections=connections,
        server=draw(st.sampled_from(Server)),
        fileset_per_vm=draw(st.booleans()),
        base_port=draw(st.one_of(st.just(0), st.integers(1, 65536 - vms))),
        phases=draw(phases_values),
        bound=bound,
        line_bps=draw(st.integers(max(8, bound.floor_bps), 10**12)),
        paced_reads=draw(st.booleans()),
        timeout_ns=draw(st.integers(1, 10**13)),
        last_ad=draw(st.sampled_from(LastAd)),
        sources=draw(sources),
        engine=draw(st.sampled_from(EngineKind)),
        timestamps=draw(st.sampled_from((Timestamps.AUTO, Timestamps.LOOP))),
        canary=draw(st.booleans()),
        engines=draw(st.integers(1, vms * connections)),
        on_loss=draw(st.sampled_from(OnLoss)),
        seed=draw(seeds),
    )


requests = st.builds(
    HttpRequest,
    url=st.sampled_from(("http://a/", "http://a/b?c=d", "https://a/", "http://[::1]:8080/%20", "http://b:81/x?{{n}}")),
    method=st.sampled_from(("GET", "POST", "PURGE")),
    headers=st.lists(st.sampled_from(("Accept: text/html", "X-A:  b ", 'Q: "')), max_size=3).map(tuple),
    body=texts.map(lambda text: text.replace("{{", "")),
    status=st.one_of(st.just(0), st.integers(200, 599)),
    weight=st.integers(1, 1000),
)


stage_lists = st.lists(
    st.builds(Stage, duration_ns=st.integers(NS_PER_S, 10**13), rate_per_s=st.floats(1e-3, 1e7), step=st.booleans()),
    min_size=1,
    max_size=4,
).map(tuple)


@st.composite
def http_plans(draw: st.DrawFn) -> HttpPlan:
    asked = tuple(draw(st.lists(requests, min_size=1, max_size=4)))
    rate_per_s = draw(st.one_of(st.just(0.0), st.floats(1e-3, 1e7)))
    stages = draw(st.one_of(st.just(()), stage_lists))
    total = draw(st.one_of(st.just(0), st.integers(10**6, 10**15)))
    return HttpPlan(
        requests=asked,
        connections=draw(st.integers(100_000, 10**6)),  # enough for each of these targets, whatever its weight
        total_requests=total,
        duration_ns=draw(st.integers(NS_PER_S, 10**15)),
        warmup_ns=0 if stages or total else draw(durations_ns),
        rate_per_s=rate_per_s,
        poisson=bool(rate_per_s or stages) and draw(st.booleans()),
        max_backlog=draw(counts),
        timeout_ns=draw(st.integers(1, 10**13)),
        tls_verify=draw(st.booleans()),
        resolve=draw(st.sampled_from(Resolve)),
        ip_version=draw(st.sampled_from(IpVersion)),
        keepalive=draw(st.booleans()),
        max_time_ns=draw(durations_ns),
        sources=draw(sources),
        slos=tuple(draw(st.lists(st.sampled_from(("p99<50ms", "errors<0.1%", "rate>4500/s")), max_size=3))),
        engine=draw(st.sampled_from(EngineKind)),
        timestamps=draw(st.sampled_from((Timestamps.AUTO, Timestamps.LOOP))),
        canary=draw(st.booleans()),
        engines=draw(st.integers(1, 8)),
        on_loss=draw(st.sampled_from(OnLoss)),
        seed=draw(seeds),
        stages=stages,
    )


windows = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4, unique=True).map(tuple)
test_durations_ns = st.integers(100 * NS_PER_MS, 10**15)


@st.composite
def iperf_plans(draw: st.DrawFn) -> IperfPlan:
    kind = draw(st.sampled_from(Kind))
    transport = draw(st.sampled_from(Transport)) if kind is Kind.STREAM else Transport.TCP
    return IperfPlan(
        host=draw(names),
        port=draw(ports),
        windows_bytes=draw(windows),
        directions=tuple(draw(st.lists(st.sampled_from(Direction), min_size=1, max_size=3, unique=True))),
        kind=kind,
        transport=transport,
        parallel=draw(st.integers(1, 1024)),
        duration_ns=draw(test_durations_ns),
        omit_ns=draw(durations_ns),
        repeats=draw(st.integers(1, 100)),
        limit_bytes=draw(counts),
        block_bytes=draw(st.integers(16, 65507)),
        rate_bps=draw(st.integers(1, 10**12)),
        congestion=draw(texts),
        cores=tuple(draw(st.lists(st.integers(0, 1000), max_size=3))),
        at_least_bps=draw(counts),
    )


@st.composite
def forward_plans(draw: st.DrawFn) -> ForwardPlan:
    real = draw(st.booleans())
    labs = st.lists(st.sampled_from([link for link in Link if link is not Link.REAL]), min_size=1, unique=True)
    proxy = draw(st.sampled_from(("", "192.0.2.1:5201"))) if real else ""
    modes = st.lists(st.sampled_from(Mode), min_size=1, unique=True).map(tuple)
    return ForwardPlan(
        links=(Link.REAL,) if real else tuple(draw(labs)),
        modes=draw(modes) if proxy or not real else (Mode.DIRECT,),
        windows_bytes=draw(windows),
        flows=tuple(draw(st.lists(st.integers(1, 1024), max_size=3))),
        flows_window_bytes=draw(st.integers(0, 2**31 - 1)),
        duration_ns=draw(test_durations_ns),
        omit_ns=draw(durations_ns),
        repeats=draw(st.integers(1, 100)),
        latency_ns=draw(test_durations_ns),
        proxy=proxy,
        sink="[2001:db8::1]:5201" if real else "",
        at_least_bps=draw(counts),
    )


hosts = st.builds(
    Host,
    name=st.sampled_from(("a", "b7", "2001:db8::1")),
    address=st.sampled_from(("", "192.0.2.7")),
    user=st.sampled_from(("", "alice")),
    port=st.integers(0, 65535),
    cores=st.integers(0, 64),
    bind=st.sampled_from(("", "192.0.2.8")),
    command=st.lists(texts.filter(lambda text: text.isprintable()), max_size=3).map(shlex.join),
    spool=st.sampled_from(("", "/var/tmp/spool")),
)
_cores = st.integers(0, 64)
choices = st.one_of(
    st.just(FleetChoice()),
    st.builds(
        FleetChoice,
        hosts=st.lists(hosts, min_size=1, max_size=3, unique_by=lambda host: host.name).map(tuple),
        coordinator=st.sampled_from(("", "192.0.2.9")),
        engines=_cores,
    ),
    st.builds(FleetChoice, scheduler=st.just("tcp://192.0.2.1:8786"), workers=st.integers(1, 99), engines=_cores),
    st.builds(
        FleetChoice,
        listen=st.tuples(st.sampled_from(("192.0.2.1", "*", "2001:db8::1")), st.integers(0, 65535)),
        certs=st.just(Path("some/certs")),
        workers=st.integers(1, 99),
        engines=_cores,
    ),
)
