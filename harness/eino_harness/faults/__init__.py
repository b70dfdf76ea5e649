"""The fault campaign: runs are killed, stopped, raced and damaged, and must come out right. See docs/reliability.md.

`eino-harness faults` runs it. Nothing of this is in the framework: the fault points are in a wrapper around the store
of the worker program, so that no environment variable can make an application die.
"""
