"""Cells of many compartments: shapes, channels, synapses anywhere, and the cable equation."""
