"""Simulated buyers: real HTTP servers that bid, refuse and misbehave as a script says.

Independent of the engine and of the buyer gateway, so that neither can hide the other's mistake.
"""
