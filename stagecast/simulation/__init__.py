"""A world of AIPS events with known truth. See docs/simulation.md."""

from stagecast.simulation.simulation import SimulationSummary, simulate

__all__ = ["SimulationSummary", "simulate"]
