"""Setting up, running and ending a simulation."""

from __future__ import annotations

from typing import Any

from pyNN import common
from pyNN.common.control import DEFAULT_MAX_DELAY, DEFAULT_MIN_DELAY, DEFAULT_TIMESTEP
from pyNN.connectors import FixedProbabilityConnector
from pyNN.recording import get_io

from sangbo.pynn import simulator
from sangbo.pynn.populations import Population
from sangbo.pynn.projections import Projection
from sangbo.pynn.synapses import StaticSynapse


def setup(
    timestep: float = DEFAULT_TIMESTEP, min_delay: float | str = DEFAULT_MIN_DELAY, **extra: Any
) -> int:
    """Begin a new simulation; what was described before is forgotten.

    Args:
        timestep: ms.
        min_delay: ms, or "auto": a step.
        extra: ``max_delay`` (ms), ``seed`` of everything that this simulator draws (or PyNN's
            ``rng_seed``), ``threads``.
    """
    common.setup(timestep, min_delay, **extra)
    state = simulator.state
    state.clear()
    state.dt = timestep
    state.shortest = min_delay
    longest = extra.get("max_delay", DEFAULT_MAX_DELAY)
    state.max_delay = 4000 * timestep if longest == "auto" else longest
    state.seed = int(extra.get("seed", extra.get("rng_seed", 0)))
    state.threads = extra.get("threads")
    return state.mpi_rank


def end(compatible_output: bool = True) -> None:
    """Write what was to be written at the end."""
    for population, variables, filename in simulator.state.write_on_end:
        population.write_data(get_io(filename), variables)
    simulator.state.write_on_end = []


run, run_until = common.build_run(simulator)
run_for = run
reset = common.build_reset(simulator)
initialize = common.initialize
(
    get_current_time,
    get_time_step,
    get_min_delay,
    get_max_delay,
    num_processes,
    rank,
) = common.build_state_queries(simulator)

create = common.build_create(Population)
connect = common.build_connect(Projection, FixedProbabilityConnector, StaticSynapse)
record = common.build_record(simulator)


def record_v(source: Any, filename: str) -> Any:
    """Record potentials to a file."""
    return record(["v"], source, filename)


def record_gsyn(source: Any, filename: str) -> Any:
    """Record synaptic conductances to a file."""
    return record(["gsyn_exc", "gsyn_inh"], source, filename)
