"""The right answers that several set-ups of the trust benchmark share."""

from __future__ import annotations

from benchmarks.trust_judging import CONFORMING, INVALID, NOT_CONFORMING, Right

HOLDS = Right(verdicts=(CONFORMING,), why="Nothing disturbs the load generator.")
NOT_OURS = Right(
    verdicts=(CONFORMING,),
    why="Only the servers are disturbed, and no objective was given: what they did is the result.",
)
EITHER = Right(
    verdicts=(CONFORMING, NOT_CONFORMING),
    why="The servers or the path are disturbed: they may miss the objective, but the load generator does its work.",
)
MISSED = Right(
    verdicts=(NOT_CONFORMING,),
    says="Objective missed",
    why="The server stood still, which is in its response times, so the objective is missed.",
)
FAILED = Right(verdicts=(NOT_CONFORMING,), why="The server failed, and the report says how.")
SLOW = Right(verdicts=(NOT_CONFORMING,), why="Servers that stood still cost their connections the required rate.")
OTHERS = Right(
    verdicts=(INVALID,),
    checks=("other processes", "client's share", "engine runnable"),
    why="Another process has the engine's core for a part of the time, and that part is in the load and in the times.",
)
STOPPED = Right(
    verdicts=(INVALID,),
    checks=("engine stood still", "time lost to lateness", "send lateness"),
    why="Replies that arrive while the engine is stopped look like late replies.",
)
THROTTLED = Right(verdicts=(INVALID,), checks=("CPU quota",), why="The quota stops the engine again and again.")
SATURATED = Right(
    verdicts=(INVALID,),
    checks=("engine CPU", "engine runnable", "send lateness"),
    why="The client is the limit, so the servers can do more.",
)
