"""Engines run a stage over its tasks: in this process, in supervised processes, or on a Ray cluster."""

from multimodal_search.engines.base import Build, Engine, Place, Report, Session, Task, Worker

__all__ = ["Build", "Engine", "Place", "Report", "Session", "Task", "Worker"]
