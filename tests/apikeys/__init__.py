"""Tests of keys: what they are, who may call, and how they are issued and revoked."""
