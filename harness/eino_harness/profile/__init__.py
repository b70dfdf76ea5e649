"""Profiles of graphs: one frame a node, even across tasks; wall, CPU and self time of each; the framework's share."""

from __future__ import annotations

from eino_harness.profile.recorder import Recorder, Visit, recording
from eino_harness.profile.report import Profile, profile_table, write_profile
from eino_harness.profile.sampling import Flame, Sampler, flame_of
from eino_harness.profile.times import NodeTime, Overhead, node_times, overhead_of

__all__ = [
    "Flame",
    "NodeTime",
    "Overhead",
    "Profile",
    "Recorder",
    "Sampler",
    "Visit",
    "flame_of",
    "node_times",
    "overhead_of",
    "profile_table",
    "recording",
    "write_profile",
]
