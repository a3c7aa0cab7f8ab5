"""Networks of spiking neurons that learn something, without labels or by reward: worked examples.

Nothing here computes a gradient: synapses see the spikes of their two ends, and a modulator.
"""
