"""Stores of runs that outlive the process."""
