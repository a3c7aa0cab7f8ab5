"""Networks of spiking neurons at the scale of a chip.

>>> from sangbo import dynamics
>>> network = dynamics.Network(step=1.0, seed=1)
>>> source = network.population(10, dynamics.PoissonSource(rate=50.0))
>>> cells = network.population(10, dynamics.LIF())
>>> _ = network.connect(source, cells, dynamics.AllToAll(), dynamics.Static(weight=100.0))
>>> network.run(100.0).synaptic_events % 10
0
"""

from sangbo.dynamics import presets
from sangbo.dynamics.cables.cell import Cable, Method
from sangbo.dynamics.cables.ion import Channel, Gate, Passive, Rate, SquidAxon
from sangbo.dynamics.cables.mesh import Place
from sangbo.dynamics.cables.morphology import Morphology, Section, cylinder, sphere
from sangbo.dynamics.cables.schemes import KineticSite, Reaction, Scheme, receptor
from sangbo.dynamics.cables.sites import ExponentialSite, Magnesium, TwoExponentialSite, Vesicles
from sangbo.dynamics.cables.swc import read_swc
from sangbo.dynamics.channels import HodgkinHuxley, TraubMiles
from sangbo.dynamics.convolution import Convolution
from sangbo.dynamics.energy import StepCost, step_cost
from sangbo.dynamics.loihi import Loihi
from sangbo.dynamics.loihi_learning import LoihiLearning, Trace
from sangbo.dynamics.mapping import place
from sangbo.dynamics.model import Model
from sangbo.dynamics.network import Network
from sangbo.dynamics.neuromodulator import Modulated, Neuromodulator
from sangbo.dynamics.neurons import LIF, AdaptiveLIF, AdEx, Izhikevich, McCullochPitts
from sangbo.dynamics.nir import Imported, from_nir, to_nir
from sangbo.dynamics.parquet import ParquetFolder, read_recording
from sangbo.dynamics.population import Population
from sangbo.dynamics.projection import Projection
from sangbo.dynamics.ranks import Alone, Ranks, World, default_ranks
from sangbo.dynamics.receptors import (
    ConductanceAlpha,
    ConductanceExponential,
    CurrentAlpha,
    CurrentExponential,
    Delta,
)
from sangbo.dynamics.recording import Memory, Recorder, Sampling
from sangbo.dynamics.rules import (
    AllToAll,
    ByDistance,
    FixedInDegree,
    FixedOutDegree,
    FixedProbability,
    FixedTotal,
    OneToOne,
    Pairs,
    Rule,
)
from sangbo.dynamics.run import Run, document
from sangbo.dynamics.sources import PoissonSource, RegularSource, SpikeTimes
from sangbo.dynamics.stimuli import NoiseInput, PoissonInput, StepInput
from sangbo.dynamics.synapses import (
    STDP,
    HomeostaticScaling,
    RewardSTDP,
    Static,
    TripletSTDP,
    TsodyksMarkram,
)
from sangbo.dynamics.values import Normal, Uniform

__all__ = [
    "LIF",
    "STDP",
    "AdEx",
    "AdaptiveLIF",
    "AllToAll",
    "Alone",
    "ByDistance",
    "Cable",
    "Channel",
    "ConductanceAlpha",
    "ConductanceExponential",
    "Convolution",
    "CurrentAlpha",
    "CurrentExponential",
    "Delta",
    "ExponentialSite",
    "FixedInDegree",
    "FixedOutDegree",
    "FixedProbability",
    "FixedTotal",
    "Gate",
    "HodgkinHuxley",
    "HomeostaticScaling",
    "Imported",
    "Izhikevich",
    "KineticSite",
    "Loihi",
    "LoihiLearning",
    "Magnesium",
    "McCullochPitts",
    "Memory",
    "Method",
    "Model",
    "Modulated",
    "Morphology",
    "Network",
    "Neuromodulator",
    "NoiseInput",
    "Normal",
    "OneToOne",
    "Pairs",
    "ParquetFolder",
    "Passive",
    "Place",
    "PoissonInput",
    "PoissonSource",
    "Population",
    "Projection",
    "Ranks",
    "Rate",
    "Reaction",
    "Recorder",
    "RegularSource",
    "RewardSTDP",
    "Rule",
    "Run",
    "Sampling",
    "Scheme",
    "Section",
    "SpikeTimes",
    "SquidAxon",
    "Static",
    "StepCost",
    "StepInput",
    "Trace",
    "TraubMiles",
    "TripletSTDP",
    "TsodyksMarkram",
    "TwoExponentialSite",
    "Uniform",
    "Vesicles",
    "World",
    "cylinder",
    "default_ranks",
    "document",
    "from_nir",
    "place",
    "presets",
    "read_recording",
    "read_swc",
    "receptor",
    "sphere",
    "step_cost",
    "to_nir",
]
