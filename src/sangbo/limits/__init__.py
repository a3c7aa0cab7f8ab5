"""Compute limits: what a job costs, and what the next percent of accuracy will."""

from sangbo.limits._requires import EXTRA as EXTRA
from sangbo.limits.burden import hardware_burden, impute_line, network_operations
from sangbo.limits.fit import Fit, Form, fit
from sangbo.limits.history import all_growth, efficiency, growth, place, systems
from sangbo.limits.measure import Measurement, Rates, measure, run
from sangbo.limits.pages import fit_page, history_page, measure_page
from sangbo.limits.project import Prices, Projection, project
from sangbo.limits.table import Observations, read_observations

__all__ = [
    "Fit",
    "Form",
    "Measurement",
    "Observations",
    "Prices",
    "Projection",
    "Rates",
    "all_growth",
    "efficiency",
    "fit",
    "fit_page",
    "growth",
    "hardware_burden",
    "history_page",
    "impute_line",
    "measure",
    "measure_page",
    "network_operations",
    "place",
    "project",
    "read_observations",
    "run",
    "systems",
]
