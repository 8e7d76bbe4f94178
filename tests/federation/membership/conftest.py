from tests.doubles.federated_pair import hal, here, tess, there, wire  # noqa: F401 - fixtures
