"""The fixtures `registry_of`, `cli` and others, for this package's tests."""

pytest_plugins = ["matgen_core.testing"]
