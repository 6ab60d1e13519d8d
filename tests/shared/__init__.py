"""Tests of limits that processes share through Redis."""
