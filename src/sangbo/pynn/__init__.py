"""A PyNN backend: scripts for PyNN run here when they import this as their simulator.

>>> import sangbo.pynn as sim
>>> _ = sim.setup(timestep=0.1, seed=1)
>>> cells = sim.Population(10, sim.IF_cond_exp(i_offset=0.5), label="cells")
>>> cells.record("spikes")
>>> _ = sim.run(100.0)
>>> len(cells.get_data().segments[0].spiketrains)
10
>>> sim.end()
"""

from sangbo.extras import need

need("pynn", "pyNN")

from pyNN import errors, random, space
from pyNN.connectors import *
from pyNN.network import Network
from pyNN.random import GSLRNG, NumpyRNG, RandomDistribution
from pyNN.space import Space
from pyNN.standardmodels import StandardCellType

from sangbo.pynn.cells import (
    EIF_cond_alpha_isfa_ista,
    EIF_cond_exp_isfa_ista,
    HH_cond_exp,
    IF_cond_alpha,
    IF_cond_exp,
    IF_curr_alpha,
    IF_curr_delta,
    IF_curr_exp,
    Izhikevich,
    SpikeSourceArray,
    SpikeSourceGamma,
    SpikeSourcePoisson,
    SpikeSourcePoissonRefractory,
)
from sangbo.pynn.control import (
    connect,
    create,
    end,
    get_current_time,
    get_max_delay,
    get_min_delay,
    get_time_step,
    initialize,
    num_processes,
    rank,
    record,
    record_gsyn,
    record_v,
    reset,
    run,
    run_for,
    run_until,
    setup,
)
from sangbo.pynn.electrodes import (
    ACSource,
    DCSource,
    NoisyCurrentSource,
    StepCurrentSource,
)
from sangbo.pynn.populations import Assembly, Population, PopulationView
from sangbo.pynn.projections import Projection
from sangbo.pynn.simulator import network, state
from sangbo.pynn.synapses import (
    AdditivePotentiationMultiplicativeDepression,
    AdditiveWeightDependence,
    MultiplicativeWeightDependence,
    SpikePairRule,
    StaticSynapse,
    STDPMechanism,
    TsodyksMarkramSynapse,
)


def list_standard_models() -> list[str]:
    """Names of the standard cells that run here."""
    return sorted(
        name
        for name, kind in globals().items()
        if isinstance(kind, type)
        and issubclass(kind, StandardCellType)
        and kind is not StandardCellType
    )
